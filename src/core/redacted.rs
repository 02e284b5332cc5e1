//! Secrets cut out of what another side says about a request that held them, in whichever of the usual ways it writes them.
//! Which part of a request is secret is its sender's matter.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::model::{MASK, Secret};
use super::shown::hidden_segments;

/// A secret as short as this is looked for as a word only: it would tear holes into others.
const SHORT: usize = 3;

/// So many first characters of a secret at the end of a text are taken for one that was cut off.
const CUT_OFF: usize = 3;

/// `text` with each of `secrets` that it holds replaced by the mask, also where it is percent-encoded, or escaped for JSON or
/// HTML.
pub fn redacted<S: AsRef<str>>(text: &str, secrets: &[S]) -> String {
    masked(text, secrets, false)
}

/// The same for a text that may have been longer: the beginning of a secret at its end is replaced, too.
pub fn redacted_beginning<S: AsRef<str>>(text: &str, secrets: &[S]) -> String {
    masked(text, secrets, true)
}

fn masked<S: AsRef<str>>(text: &str, secrets: &[S], cut: bool) -> String {
    let needles: Vec<Needle> = secrets.iter().filter_map(|s| Needle::new(s.as_ref())).collect();
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut before = None;
    while let Some(c) = rest.chars().next() {
        let longest = needles
            .iter()
            .filter_map(|needle| needle.length_in(before, rest, cut))
            .max();
        let skipped = longest.unwrap_or(c.len_utf8());
        match longest {
            Some(_) if out.ends_with(MASK) => {}
            Some(_) => out.push_str(MASK),
            None => out.push(c),
        }
        before = rest[..skipped].chars().next_back();
        rest = &rest[skipped..];
    }
    out
}

/// What of a header's `value`, or of a key, another side may repeat: the whole, what stands behind a scheme or a prefix, and
/// what that encodes, as the password in `Basic …`.
pub fn parts_of(value: &Secret) -> Vec<String> {
    let mut parts = vec![value.expose().to_owned()];
    let scheme = value.expose().split_once(' ').map(|(_, inner)| inner.trim());
    if let Some(inner) = scheme.or(value.expose().strip_prefix("whsec_")) {
        parts.push(inner.to_owned());
        let decoded = STANDARD
            .decode(inner)
            .ok()
            .and_then(|bytes| String::from_utf8(bytes).ok());
        if let Some(pair) = decoded {
            parts.extend(pair.split_once(':').map(|(_, password)| password.to_owned()));
            parts.push(pair);
        }
    }
    parts
}

/// What of `url` another side may repeat: its user, the parts of its path that are not shown, its query, and the values in
/// that; each as it is and decoded.
pub fn parts_of_url(url: &Secret) -> Vec<String> {
    let url = url.expose().split('#').next().unwrap_or_default();
    let (place, query) = url.split_once('?').unwrap_or((url, ""));
    let authority = place.split('/').nth(2).unwrap_or_default();
    let mut parts: Vec<String> = vec![query.to_owned()];
    if let Some((user, _)) = authority.rsplit_once('@') {
        parts.push(user.to_owned());
        parts.extend(user.split_once(':').map(|(_, password)| password.to_owned()));
        parts.push(STANDARD.encode(user));
    }
    parts.extend(hidden_segments(place).map(str::to_owned));
    let value = |option: &str| {
        option
            .split_once('=')
            .map_or(option, |(_, value)| value)
            .to_owned()
    };
    parts.extend(query.split('&').map(value));
    let decoded = parts.iter().map(|part| decoded(part)).collect::<Vec<_>>();
    parts.extend(decoded);
    parts.sort();
    parts.dedup();
    parts
}

fn decoded(text: &str) -> String {
    let pair = format!("x={text}");
    url::form_urlencoded::parse(pair.as_bytes())
        .next()
        .map_or_else(String::new, |(_, value)| value.into_owned())
}

/// A secret, and the ways in which each of its characters may be written.
struct Needle(Vec<Vec<String>>);

impl Needle {
    fn new(secret: &str) -> Option<Needle> {
        let secret = secret.trim();
        (!secret.is_empty()).then(|| Needle(secret.chars().map(spellings).collect()))
    }

    /// How many bytes at the start of `text`, behind the letter `before`, are the secret, or its beginning when `text` was `cut`
    /// within it.
    fn length_in(&self, before: Option<char>, text: &str, cut: bool) -> Option<usize> {
        let is_word = self.0.len() <= SHORT;
        if is_word && before.is_some_and(char::is_alphanumeric) {
            return None;
        }
        let mut ends = vec![0];
        for (position, spellings) in self.0.iter().enumerate() {
            let mut next = Vec::new();
            for rest in ends.iter().map(|end| &text.as_bytes()[*end..]) {
                for spelling in spellings.iter().map(String::as_bytes) {
                    let common = rest.len().min(spelling.len());
                    if !is_spelled(&rest[..common], &spelling[..common]) {
                        continue;
                    }
                    if common == spelling.len() {
                        next.push(text.len() - rest.len() + common);
                    } else if cut && position >= CUT_OFF {
                        return Some(text.len());
                    }
                }
            }
            next.sort_unstable();
            next.dedup();
            ends = next;
        }
        let end = ends.pop()?;
        let after = text[end..].chars().next();
        (!is_word || !after.is_some_and(char::is_alphanumeric)).then_some(end)
    }
}

/// Whether `text` is `spelling`: the digits of an escape may have either case, a character itself may not.
fn is_spelled(text: &[u8], spelling: &[u8]) -> bool {
    text == spelling || (spelling.len() > 2 && text.eq_ignore_ascii_case(spelling))
}

fn spellings(c: char) -> Vec<String> {
    let percent = |sign: &str| {
        c.to_string()
            .bytes()
            .map(|byte| format!("{sign}{byte:02x}"))
            .collect()
    };
    let mut units = [0; 2];
    let units = c.encode_utf16(&mut units).iter();
    let code = u32::from(c);
    let mut all: Vec<String> = vec![
        c.to_string(),
        percent("%"),
        percent("%25"),
        units.map(|unit| format!("\\u{unit:04x}")).collect(),
        format!("&#{code};"),
        format!("&#0{code};"),
        format!("&#x{code:x};"),
    ];
    all.extend((!c.is_alphanumeric()).then(|| format!("\\{c}")));
    let other = match c {
        '&' => "&amp;",
        '<' => "&lt;",
        '>' => "&gt;",
        '"' => "&quot;",
        '\'' => "&apos;",
        ' ' => "+",
        _ => return all,
    };
    all.push(other.to_owned());
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, secrets: &[&str], expect: &str) {
        assert_eq!(redacted(text, secrets), expect, "{text}");
    }

    #[test]
    fn a_secret_is_found_in_whatever_way_it_is_written() {
        let secret = "a/b+c&d \"ü%41😀";
        for written in [
            "a/b+c&d \"ü%41😀",
            "a%2Fb%2bc%26d+%22%C3%BC%2541%F0%9F%98%80",
            "a%252Fb%252bc%2526d%2520%2522%25C3%25BC%252541%25F0%259F%2598%2580",
            "a\\/b+c\\u0026d \\\"\\u00fc%41\\uD83D\\ude00",
            "a/b&#43;c&amp;d &quot;&#xFC;%41&#128512;",
        ] {
            check(&format!("x {written} y"), &[secret], "x ******** y");
        }
        check("A/B", &["a/b12345"], "A/B");
        check("one,two", &["one", "two"], "********,********");
        check("onetwo", &["one0", "onetw", "two"], "********o");
    }

    #[test]
    fn a_secret_that_is_cut_off_leaves_nothing() {
        let cut = |end: &str| redacted_beginning(&format!("password {end}"), &["hunter/2"]);
        for end in ["hunter", "hun", "hunter%", "hunter%2"] {
            assert_eq!(cut(end), "password ********");
        }
        assert_eq!(cut("hu"), "password hu");
        check("password hunter", &["hunter/2"], "password hunter");
    }

    #[test]
    fn a_short_secret_is_found_as_a_word() {
        check(
            "id 17, 170, x17, (17) x",
            &["17"],
            "id ********, 170, x17, (********) x",
        );
        check("nothing", &["", " "], "nothing");
    }

    #[test]
    fn what_a_header_and_a_url_hold_is_secret_in_parts() {
        let basic = parts_of(&Secret::new(format!(
            "Basic {}",
            STANDARD.encode("user:pass word")
        )));
        assert!(basic.contains(&"pass word".to_owned()) && basic.contains(&"user:pass word".to_owned()));
        assert_eq!(parts_of(&Secret::new("Bearer x1"))[1], "x1");
        let url = Secret::new("https://u:p%40ss@example.com/services/T00000000/events?key=a%2Fb&flag#part");
        let parts = parts_of_url(&url);
        for part in [
            "u:p%40ss",
            "p@ss",
            "T00000000",
            "key=a%2Fb&flag",
            "a%2Fb",
            "a/b",
            "flag",
        ] {
            assert!(parts.contains(&part.to_owned()), "{part}: {parts:?}");
        }
        assert!(!parts.contains(&"events".to_owned()));
    }
}
