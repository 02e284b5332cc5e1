//! Markup that cannot forget to escape: what is markup stands in the source, and whatever else goes in as text. Characters
//! that would turn the text around or hide in it are made visible; joiners are so where they join nothing (`core::shown`).

use std::fmt::Write as _;

use crate::core::shown::is_hidden;
use crate::core::shown::joins;

/// A piece of a page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Html(String);

impl Html {
    pub(super) fn new() -> Html {
        Html::default()
    }

    /// Markup as it stands in the source.
    pub(super) fn raw(mut self, markup: &'static str) -> Html {
        self.0.push_str(markup);
        self
    }

    /// Text, escaped, whatever it holds.
    pub(super) fn text(mut self, text: &str) -> Html {
        escape(text, &mut self.0);
        self
    }

    /// A number.
    pub(super) fn number(mut self, number: i64) -> Html {
        self.0.push_str(&number.to_string());
        self
    }

    /// An attribute within a tag that is open.
    pub(super) fn attr(self, name: &'static str, value: &str) -> Html {
        self.raw(" ").raw(name).raw("=\"").text(value).raw("\"")
    }

    /// Another piece, which is markup already.
    pub(super) fn add(mut self, other: &Html) -> Html {
        self.0.push_str(&other.0);
        self
    }

    /// One piece for each of `all`.
    pub(super) fn each<T>(self, all: impl IntoIterator<Item = T>, piece: impl Fn(T) -> Html) -> Html {
        all.into_iter().fold(self, |page, one| page.add(&piece(one)))
    }

    /// `piece` where there is a `value`, else nothing.
    pub(super) fn some<T>(self, value: Option<T>, piece: impl FnOnce(T) -> Html) -> Html {
        match value {
            Some(value) => self.add(&piece(value)),
            None => self,
        }
    }

    pub(super) fn into_string(self) -> String {
        self.0
    }
}

fn escape(text: &str, out: &mut String) {
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' | '\t' => out.push(c),
            c if joins(out.chars().next_back(), c, chars.peek().copied()) => out.push(c),
            c if is_hidden(c) => write!(out, "\\u{{{:x}}}", u32::from(c)).expect("a string takes all"),
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn text_is_text_and_hidden_characters_show() {
        let page = Html::new()
            .raw("<b")
            .attr("title", "\"><i>")
            .raw(">")
            .text("<img src=x onerror=a()>")
            .raw("</b>");
        assert_eq!(
            page.into_string(),
            "<b title=\"&quot;&gt;&lt;i&gt;\">&lt;img src=x onerror=a()&gt;</b>"
        );
        let page = Html::new().text("a\u{202e}gpj.exe\u{0}\nb");
        assert_eq!(page.into_string(), "a\\u{202e}gpj.exe\\u{0}\nb");
        let page = Html::new().text("می\u{200c}خواهم 👩\u{200d}💻 in\u{200d}voice");
        assert_eq!(
            page.into_string(),
            "می\u{200c}خواهم 👩\u{200d}💻 in\\u{200d}voice"
        );
    }

    proptest! {
        #[test]
        fn no_text_becomes_markup(text in any::<String>()) {
            let page = Html::new().text(&text).into_string();
            prop_assert!(!page.contains(['<', '>', '"', '\'']));
            let is_allowed = |c| matches!(c, '\n' | '\t' | '\u{200c}' | '\u{200d}');
            prop_assert!(!page.chars().any(|c| is_hidden(c) && !is_allowed(c)));
        }
    }
}
