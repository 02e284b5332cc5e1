//! Foreign text made fit to be shown in an error, a log line or a table: bounded, and without characters that a
//! terminal would obey. It does not judge whether the text is a secret; that is its caller's matter.

use crate::core::model::MASK;

/// The most characters of foreign text that an error or a log line carries.
pub const SHOWN_CHARS: usize = 200;

/// `text` on one line: its first 200 characters, whatever is not printable escaped as Rust does, `…` where it was cut.
pub fn shown(text: &str) -> String {
    let mut out = String::with_capacity(text.len().min(SHOWN_CHARS));
    let mut chars = text.chars();
    for c in chars.by_ref().take(SHOWN_CHARS) {
        push_escaped(&mut out, c);
    }
    if chars.next().is_some() {
        out.push('…');
    }
    out
}

/// The beginning of `bytes` as text of at most `max_bytes` bytes: bytes that are not UTF-8 become `U+FFFD`, whatever
/// is not printable is escaped, and a character or an escape that does not fit whole is left out.
pub fn excerpt(bytes: &[u8], max_bytes: usize) -> String {
    let mut out = String::new();
    for c in String::from_utf8_lossy(bytes).chars() {
        let before = out.len();
        push_escaped(&mut out, c);
        if out.len() > max_bytes {
            out.truncate(before);
            break;
        }
    }
    out
}

/// `text` with each of `secrets` that it holds replaced by the mask: for what another side says about a request that
/// held them. Their escaped or shortened forms are not recognised, and what is shorter than six bytes is no secret
/// but would tear holes into words.
pub fn redacted(text: &str, secrets: &[&str]) -> String {
    let mut out = text.to_owned();
    for secret in secrets.iter().filter(|secret| secret.len() >= 6) {
        out = out.replace(secret, MASK);
    }
    out
}

/// Quotes are left alone, since they read badly escaped and no terminal obeys them.
fn push_escaped(out: &mut String, c: char) {
    match c {
        '"' | '\'' => out.push(c),
        c => out.extend(c.escape_debug()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(input: &str, expect: &str) {
        assert_eq!(shown(input), expect);
    }

    #[test]
    fn what_a_terminal_would_obey_is_escaped() {
        check("plain, \"quoted\", größer", "plain, \"quoted\", größer");
        check("two\nlines\r\ttab", "two\\nlines\\r\\ttab");
        check("\u{1b}[31mred\u{7}", "\\u{1b}[31mred\\u{7}");
        check("right\u{202e}left", "right\\u{202e}left");
        check("C:\\n", "C:\\\\n");
    }

    #[test]
    fn long_text_is_cut_at_a_character() {
        let long = "ö".repeat(SHOWN_CHARS);
        check(&long, &long);
        check(&format!("{long}x"), &format!("{long}…"));
    }

    #[test]
    fn secrets_that_are_echoed_are_masked() {
        let said = redacted("code abcdef, abcdefg", &["abcdef", "", "code"]);
        assert_eq!(said, "code ********, ********g");
    }

    #[test]
    fn an_excerpt_never_exceeds_its_bytes() {
        assert_eq!(excerpt("größer".as_bytes(), 3), "gr");
        assert_eq!(excerpt("größer".as_bytes(), 4), "grö");
        assert_eq!(excerpt(b"ab\n", 3), "ab");
        assert_eq!(excerpt(b"ab\n", 4), "ab\\n");
        assert_eq!(excerpt(b"\xff\xfe", 100), "\u{fffd}\u{fffd}");
    }
}
