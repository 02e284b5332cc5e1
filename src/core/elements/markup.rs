//! Names and tags without markup: they are shown on pages, in terminals and in notifications.

/// `text` without HTML tags and comments and without spaces around it. A `<` that opens no tag stays: `a < b`.
///
/// It goes from the end to the beginning, so that a tag that appears by the removal of another is found, and looks at each
/// character once.
pub(super) fn stripped(text: &str) -> String {
    let mut kept = Vec::new();
    for c in text.chars().rev() {
        match kept.last() {
            Some(next) if c == '<' && opens_tag(*next) => while kept.pop().is_some_and(|c| c != '>') {},
            _ => kept.push(c),
        }
    }
    kept.iter().rev().collect::<String>().trim().to_owned()
}

/// Whether a tag begins where `next` follows a `<`.
fn opens_tag(next: char) -> bool {
    next.is_ascii_alphabetic() || matches!(next, '/' | '!' | '?')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expect: &str) {
        assert_eq!(stripped(text), expect);
    }

    #[test]
    fn tags_go_and_text_stays() {
        check("<a href=\"#\">x</a>", "x");
        check(" Finance <b>OneDrive</b> ", "Finance OneDrive");
        check("a < b > c", "a < b > c");
        check("<<b>script>alert(1)</script>", "alert(1)");
        check("<img src=x onerror=alert(1)", "");
        check("<!-- x -->y<br/>", "y");
    }

    proptest::proptest! {
        #[test]
        fn no_tag_is_left(text in "[<>a/! é]{0,20}") {
            let text = stripped(&text);
            let chars: Vec<char> = text.chars().collect();
            proptest::prop_assert!(!chars.windows(2).any(|two| two[0] == '<' && opens_tag(two[1])));
            proptest::prop_assert_eq!(stripped(&text), text);
        }
    }
}
