//! Foreign text on a page. `maud` escapes what would be markup; here, characters that would turn text around or hide in it
//! are made visible; joiners are so where they join nothing (`core::shown`).

use std::fmt::Write as _;

use maud::Markup;

use crate::core::shown::{is_hidden, joins};

/// The text of a whole page. It is looked through once, here, so that no piece of it can be forgotten.
pub(super) fn visible(page: &Markup) -> String {
    let mut out = String::with_capacity(page.0.len());
    let mut chars = page.0.chars().peekable();
    while let Some(c) = chars.next() {
        let shows = matches!(c, '\n' | '\t') || joins(out.chars().next_back(), c, chars.peek().copied());
        match is_hidden(c) && !shows {
            true => write!(out, "\\u{{{:x}}}", u32::from(c)).expect("a string takes all"),
            false => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use maud::html;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn text_is_text_and_hidden_characters_show() {
        let (title, text) = ("\"><i>", "<img src=x onerror=a()>");
        assert_eq!(
            visible(&html! { b title=(title) { (text) } }),
            "<b title=\"&quot;&gt;&lt;i&gt;\">&lt;img src=x onerror=a()&gt;</b>"
        );
        let page = html! { ("a\u{202e}gpj.exe\u{0}\nb") };
        assert_eq!(visible(&page), "a\\u{202e}gpj.exe\\u{0}\nb");
        let page = html! { ("می\u{200c}خواهم 👩\u{200d}💻 in\u{200d}voice") };
        assert_eq!(visible(&page), "می\u{200c}خواهم 👩\u{200d}💻 in\\u{200d}voice");
    }

    proptest! {
        #[test]
        fn no_text_becomes_markup(text in any::<String>()) {
            let page = visible(&html! { (text) });
            prop_assert!(!page.contains(['<', '>', '"']));
            let is_allowed = |c| matches!(c, '\n' | '\t' | '\u{200c}' | '\u{200d}');
            prop_assert!(!page.chars().any(|c| is_hidden(c) && !is_allowed(c)));
        }
    }
}
