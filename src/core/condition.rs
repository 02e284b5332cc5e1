//! The conditions of a `where=`: `key='value'`, joined by `and`. That much of CEQL, Cloud Elements' query language, is
//! understood; everything else is refused by its name. Pure: what the keys mean is their reader's matter.

use super::nearest::nearest;
use super::shown::shown;

/// A text longer than this is not read.
const LONGEST: usize = 4_096;

/// Why a `where` is not understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mistake {
    #[error("`where` is longer than {LONGEST} bytes")]
    TooLong,
    #[error("`where` at `{}`: expected {expected}", rest(.at))]
    Expected { expected: &'static str, at: String },
    #[error("`where` names `{}`; known are {known}{}", shown(.key), suggestion(.meant.as_deref()))]
    UnknownKey {
        key: String,
        known: String,
        meant: Option<String>,
    },
    #[error("`where` names `{0}` twice")]
    Twice(&'static str),
}

fn rest(at: &str) -> String {
    if at.is_empty() {
        "the end".to_owned()
    } else {
        shown(at)
    }
}

fn suggestion(meant: Option<&str>) -> String {
    meant.map_or_else(String::new, |key| format!("; did you mean `{key}`?"))
}

/// The conditions of `text`, each one's key out of `keys`, none of them twice. An empty text has none. A value stands
/// in single quotes, a quote within it is doubled; a whole number needs none.
///
/// # Errors
/// The first thing that is not understood.
pub fn conditions(text: &str, keys: &[&'static str]) -> Result<Vec<(&'static str, String)>, Mistake> {
    if text.len() > LONGEST {
        return Err(Mistake::TooLong);
    }
    let mut found: Vec<(&'static str, String)> = Vec::new();
    let mut at = text.trim_start();
    while !at.is_empty() {
        if !found.is_empty() {
            at = joined(at)?;
        }
        let (key, after) = key(at, keys)?;
        if found.iter().any(|(known, _)| *known == key) {
            return Err(Mistake::Twice(key));
        }
        let after = after.trim_start();
        let after = after.strip_prefix('=').ok_or_else(|| expected("`=`", after))?;
        let (value, after) = value(after.trim_start())?;
        found.push((key, value));
        at = after.trim_start();
    }
    Ok(found)
}

fn expected(expected: &'static str, at: &str) -> Mistake {
    Mistake::Expected {
        expected,
        at: at.to_owned(),
    }
}

/// What follows `and`, of which there must be something.
fn joined(at: &str) -> Result<&str, Mistake> {
    let (word, after) = at.split_at(at.find(char::is_whitespace).unwrap_or(at.len()));
    match word.eq_ignore_ascii_case("and") {
        true => Ok(after.trim_start()),
        false => Err(expected("`and`, or the end", at)),
    }
}

fn key<'t>(at: &'t str, keys: &[&'static str]) -> Result<(&'static str, &'t str), Mistake> {
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-');
    let (word, after) = at.split_at(at.find(|c| !is_part(c)).unwrap_or(at.len()));
    if word.is_empty() {
        return Err(expected("a key", at));
    }
    let known = keys.iter().find(|key| **key == word);
    let unknown = || Mistake::UnknownKey {
        key: word.to_owned(),
        known: keys
            .iter()
            .map(|key| format!("`{key}`"))
            .collect::<Vec<_>>()
            .join(", "),
        meant: nearest(word, keys.iter().copied()).map(str::to_owned),
    };
    known.map(|key| (*key, after)).ok_or_else(unknown)
}

fn value(at: &str) -> Result<(String, &str), Mistake> {
    let Some(mut after) = at.strip_prefix('\'') else {
        let digits = at.find(|c: char| !c.is_ascii_digit()).unwrap_or(at.len());
        return match digits {
            0 => Err(expected("a value in single quotes, or a whole number", at)),
            _ => Ok((at[..digits].to_owned(), &at[digits..])),
        };
    };
    let mut value = String::new();
    loop {
        let (part, rest) = after
            .split_once('\'')
            .ok_or_else(|| expected("a closing quote", ""))?;
        value.push_str(part);
        let Some(rest) = rest.strip_prefix('\'') else {
            return Ok((value, rest));
        };
        value.push('\'');
        after = rest;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KEYS: &[&str] = &["channel", "status", "config.url", "notificationId"];

    #[track_caller]
    fn check(text: &str, expect: &[(&'static str, &str)]) {
        let expect: Vec<_> = expect
            .iter()
            .map(|(key, value)| (*key, (*value).to_owned()))
            .collect();
        assert_eq!(conditions(text, KEYS), Ok(expect), "{text}");
    }

    #[test]
    fn conditions_are_read_in_their_order() {
        check("", &[]);
        check("  ", &[]);
        check("channel='webhook'", &[("channel", "webhook")]);
        check(
            "channel='webhook' and status='queued' and config.url= 'https://example.com/a?b=c and d'",
            &[
                ("channel", "webhook"),
                ("status", "queued"),
                ("config.url", "https://example.com/a?b=c and d"),
            ],
        );
        check(
            " notificationId = 17 AND status = '' ",
            &[("notificationId", "17"), ("status", "")],
        );
        check("status='it''s'", &[("status", "it's")]);
        check("status=''''", &[("status", "'")]);
    }

    #[track_caller]
    fn refuse(text: &str, expect: &str) {
        assert_eq!(conditions(text, KEYS).unwrap_err().to_string(), expect);
    }

    #[test]
    fn what_is_not_understood_is_refused_by_its_name() {
        refuse("'webhook'", "`where` at `'webhook'`: expected a key");
        refuse("status", "`where` at `the end`: expected `=`");
        refuse("status > 'a'", "`where` at `> 'a'`: expected `=`");
        refuse("status='a", "`where` at `the end`: expected a closing quote");
        refuse(
            "status=a",
            "`where` at `a`: expected a value in single quotes, or a whole number",
        );
        refuse(
            "status='a' or channel='b'",
            "`where` at `or channel='b'`: expected `and`, or the end",
        );
        refuse("status='a' and", "`where` at `the end`: expected a key");
        refuse("status='a' and status='b'", "`where` names `status` twice");
        refuse(
            "state='a'",
            "`where` names `state`; known are `channel`, `status`, `config.url`, `notificationId`; did you mean `status`?",
        );
        refuse(&"x".repeat(5_000), "`where` is longer than 4096 bytes");
    }

    proptest! {
        #[test]
        fn any_value_survives_its_quoting(value in ".*", number in any::<u32>()) {
            let text = format!("config.url='{}' and notificationId={number}", value.replace('\'', "''"));
            prop_assume!(text.len() <= LONGEST);
            let expect = vec![("config.url", value), ("notificationId", number.to_string())];
            prop_assert_eq!(conditions(&text, KEYS), Ok(expect));
        }

        #[test]
        fn what_is_understood_means_the_same_when_it_is_written_plainly(text in "(channel|status|=|'|and| |[a-z1]){0,24}") {
            if let Ok(found) = conditions(&text, KEYS) {
                let plain: Vec<_> = found.iter().map(|(key, value)| format!("{key}='{}'", value.replace('\'', "''"))).collect();
                prop_assert_eq!(conditions(&plain.join(" and "), KEYS), Ok(found));
            }
        }
    }
}
