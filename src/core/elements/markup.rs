//! Names and tags without markup: they are shown on pages, in terminals and in notifications.

/// `text` without HTML tags and comments and without spaces around it. A `<` that opens no tag stays: `a < b`.
pub(super) fn stripped(text: &str) -> String {
    let mut text = text.to_owned();
    while let Some(start) = tag_start(&text) {
        let end = text[start..]
            .find('>')
            .map_or(text.len(), |length| start + length + 1);
        text.replace_range(start..end, "");
    }
    text.trim().to_owned()
}

/// Where the last tag of `text` begins. From the end, so that removing one never leaves a new one behind it unseen.
fn tag_start(text: &str) -> Option<usize> {
    text.match_indices('<').map(|(start, _)| start).rfind(|start| {
        text[start + 1..]
            .starts_with(|next: char| next.is_ascii_alphabetic() || matches!(next, '/' | '!' | '?'))
    })
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
            proptest::prop_assert_eq!(tag_start(&text), None);
            proptest::prop_assert_eq!(stripped(&text), text);
        }
    }
}
