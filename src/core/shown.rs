//! Foreign text made fit to be shown in an error, a log line or a table: bounded, and without characters that a
//! terminal would obey. What may be secret in a callback URL is known here; of any other text that is its caller's matter.

/// The most characters of foreign text that an error or a log line carries.
pub const SHOWN_CHARS: usize = 200;

/// `text` on one line: its first 200 characters, whatever is not printable escaped as Rust does, `…` where it was cut.
pub fn shown(text: &str) -> String {
    shown_within(text, SHOWN_CHARS)
}

/// The same, with its first `most` characters.
pub fn shown_within(text: &str, most: usize) -> String {
    let mut out = String::with_capacity(text.len().min(most));
    let mut chars = text.chars().peekable();
    for _ in 0..most {
        let Some(c) = chars.next() else { break };
        push_escaped(&mut out, c, chars.peek());
    }
    if chars.peek().is_some() {
        out.push('…');
    }
    out
}

/// Whether a terminal or a page may do something else about `c` than show it: controls, marks that turn the direction of
/// writing around (Unicode, "Bidi_Control"), and characters that take no room.
pub fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// The beginning of `bytes` as text of at most `max_bytes` bytes: bytes that are not UTF-8 become `U+FFFD`, whatever
/// is not printable is escaped, and a character or an escape that does not fit whole is left out.
pub fn excerpt(bytes: &[u8], max_bytes: usize) -> String {
    let mut out = String::new();
    let text = String::from_utf8_lossy(bytes);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let before = out.len();
        push_escaped(&mut out, c, chars.peek());
        if out.len() > max_bytes {
            out.truncate(before);
            break;
        }
    }
    out
}

/// The callback URL as it may be shown: without what may be a credential. Its query and fragment are left out, and `…` stands
/// for each segment of its path that looks like a token. What is shown already is shown as it is.
pub fn shown_url(url: &str) -> String {
    let place = url.split(['?', '#']).next().unwrap_or(url);
    let segments = place.split('/').enumerate();
    let shown = segments.map(|(at, segment)| {
        if at > 2 && looks_like_a_token(segment) {
            "…"
        } else {
            segment
        }
    });
    shown.collect::<Vec<_>>().join("/")
}

/// The segments of a URL's path that `shown_url` leaves out.
pub fn hidden_segments(url: &str) -> impl Iterator<Item = &str> {
    let place = url.split(['?', '#']).next().unwrap_or(url);
    place
        .split('/')
        .skip(3)
        .filter(|segment| looks_like_a_token(segment))
}

/// Whether a segment of a path may be a token: people's names for places are words and small numbers. Hidden are words
/// with digits in them from eight characters on (a year or a number behind a word is none), long numbers, and what is long without
/// a break.
fn looks_like_a_token(segment: &str) -> bool {
    let letters = |text: &str| text.bytes().any(|byte| byte.is_ascii_alphabetic());
    let digits = |text: &str| text.bytes().any(|byte| byte.is_ascii_digit());
    let bare = segment.trim_end_matches(|c: char| c.is_ascii_digit());
    let number = segment.len() - bare.len();
    let named = number <= 4 && !digits(bare);
    let parts = || segment.split(['-', '_', '.']);
    let mixed = |part: &str| letters(part) && digits(part);
    let is_mixed =
        (segment.len() >= 20 && mixed(segment)) || parts().any(|part| part.len() >= 8 && mixed(part));
    (is_mixed && !named) || number >= 12 || parts().any(|part| part.len() >= 24)
}

/// Whether `c` is a joiner where people write one, between two characters beyond ASCII: emoji of several parts and Persian names
/// need it. Elsewhere it only hides, as in `invoice.exe` with one in it.
pub fn joins(before: Option<char>, c: char, after: Option<char>) -> bool {
    let joined = |beside: Option<char>| beside.is_some_and(|c| !c.is_ascii());
    matches!(c, '\u{200c}' | '\u{200d}') && joined(before) && joined(after)
}

/// Quotes are left alone, since they read badly escaped and no terminal obeys them. An accent or vowel sign that belongs to the
/// character before it is shown with that.
fn push_escaped(out: &mut String, c: char, after: Option<&char>) {
    let before = out.chars().next_back();
    match c {
        '"' | '\'' => out.push(c),
        c if joins(before, c, after.copied()) => out.push(c),
        c if before.is_none() => out.extend(c.escape_debug()),
        c => out.extend(String::from_iter(['x', c]).escape_debug().skip(1)),
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
    fn what_belongs_to_a_letter_or_an_emoji_is_shown_with_it() {
        for name in [
            "gro\u{308}ßer",
            "می\u{200c}خواهم",
            "👩\u{200d}💻",
            "❤\u{fe0f}\u{200d}🔥",
            "हिन्दी",
        ] {
            check(name, name);
        }
        check("in\u{200d}voice\u{200c}", "in\\u{200d}voice\\u{200c}");
        check("\u{308}a", "\\u{308}a");
        check("ä\u{202e}\u{200d}ä", "ä\\u{202e}\\u{200d}ä");
    }

    #[test]
    fn long_text_is_cut_at_a_character() {
        let long = "ö".repeat(SHOWN_CHARS);
        check(&long, &long);
        check(&format!("{long}x"), &format!("{long}…"));
    }

    #[test]
    fn an_excerpt_never_exceeds_its_bytes() {
        assert_eq!(excerpt("größer".as_bytes(), 3), "gr");
        assert_eq!(excerpt("größer".as_bytes(), 4), "grö");
        assert_eq!(excerpt(b"ab\n", 3), "ab");
        assert_eq!(excerpt(b"ab\n", 4), "ab\\n");
        assert_eq!(excerpt(b"\xff\xfe", 100), "\u{fffd}\u{fffd}");
    }

    #[test]
    fn a_url_is_shown_without_what_may_be_a_credential() {
        for (url, expect) in [
            (
                "https://example.com/hooks/orders-2026?code=x#y",
                "https://example.com/hooks/orders-2026",
            ),
            ("http://127.0.0.1:8080/events", "http://127.0.0.1:8080/events"),
            (
                "https://token8token8.example/v1.0/b2b-events",
                "https://token8token8.example/v1.0/b2b-events",
            ),
            (
                "https://hooks.slack.com/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX",
                "https://hooks.slack.com/services/…/…/…",
            ),
            (
                "https://webhook.site/0197a3b2-c3d4-7abc-8def-0123456789ab/x",
                "https://webhook.site/…/x",
            ),
            (
                "https://a.example/webhooks/1234567890123/in/aB3-dE_fG9hiJ0kLm4nO",
                "https://a.example/webhooks/…/in/…",
            ),
        ] {
            assert_eq!(shown_url(url), expect);
            assert_eq!(shown_url(expect), expect);
        }
    }
}
