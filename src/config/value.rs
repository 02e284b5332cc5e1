//! What single values may be: each function reads one TOML value into its type, or says what it expected.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::de::DeValue;
use url::Url;

use crate::core::address::{Network, is_loopback};
use crate::core::plan::Whose;
use crate::core::schedule::Schedule;
use crate::zones::Zones;

/// Why a value was not taken.
#[derive(Debug)]
pub(super) struct Wrong {
    pub(super) expected: String,
    /// What to show in place of the value, when that may hold a secret.
    pub(super) received: Option<String>,
    /// All that is to be said, where the value's own reader says it better.
    pub(super) words: Option<String>,
}

impl Wrong {
    pub(super) fn expected(expected: impl Into<String>) -> Wrong {
        Wrong {
            expected: expected.into(),
            received: None,
            words: None,
        }
    }

    /// What a value's own reader says of it, and its hint.
    fn words(error: &impl ToString, hint: Option<String>) -> Wrong {
        let hint = hint.map_or_else(String::new, |hint| format!("; {hint}"));
        Wrong {
            words: Some(error.to_string() + &hint),
            ..Wrong::expected("")
        }
    }
}

/// A crontab expression.
pub(super) fn cron(value: &DeValue) -> Result<Schedule, Wrong> {
    let text = value
        .as_str()
        .ok_or_else(|| Wrong::expected("a cron expression such as \"*/15 * * * *\""))?;
    Schedule::parse(text).map_err(|error| Wrong::words(&error, error.hint()))
}

/// The name of a zone that there is.
pub(super) fn timezone(value: &DeValue) -> Result<String, Wrong> {
    let name = value
        .as_str()
        .ok_or_else(|| Wrong::expected("an IANA time zone such as \"Europe/Berlin\""))?;
    let found = Zones::of_system().find(name);
    found.map_err(|error| Wrong::words(&error, error.hint()))?;
    Ok(name.to_owned())
}

/// Whose resources a `[[poll]]` is about.
pub(super) fn whose(value: &DeValue) -> Result<Whose, Wrong> {
    let named = value.as_str().filter(|text| !text.is_empty() && *text != "tag:");
    named
        .map(Whose::from_text)
        .ok_or_else(|| Wrong::expected("the name or id of an instance, \"tag:NAME\" or \"*\""))
}

/// The name of a resource; `"*"` is every one.
pub(super) fn resource(value: &DeValue) -> Result<Option<String>, Wrong> {
    let named = value.as_str().filter(|text| !text.is_empty());
    let named = named.ok_or_else(|| Wrong::expected("the name of a resource, or \"*\""))?;
    Ok((named != "*").then(|| named.to_owned()))
}

/// True or false.
pub(super) fn boolean(value: &DeValue) -> Result<bool, Wrong> {
    value.as_bool().ok_or_else(|| Wrong::expected("true or false"))
}

/// An IP address with a port; `"off"` is none.
pub(super) fn address(value: &DeValue) -> Result<Option<SocketAddr>, Wrong> {
    let read = |text: &str| match text {
        "off" => Some(None),
        _ => text.parse().ok().map(Some),
    };
    value.as_str().and_then(read).ok_or_else(|| {
        Wrong::expected("an IP address with a port such as \"127.0.0.1:8649\" or \"[::1]:8649\", or \"off\"")
    })
}

/// A whole number in `range`, for what is counted in memory.
pub(super) fn count(range: RangeInclusive<usize>) -> impl Fn(&DeValue) -> Result<usize, Wrong> {
    let read = number(*range.start() as u64..=*range.end() as u64);
    // What is in the range fits what the range is made of.
    move |value| read(value).map(|number| number as usize)
}

/// A whole number in `range`, for what may be more than fits a `usize`.
pub(super) fn number(range: RangeInclusive<u64>) -> impl Fn(&DeValue) -> Result<u64, Wrong> {
    move |value| {
        value
            .as_integer()
            .and_then(|number| u64::from_str_radix(number.as_str(), number.radix()).ok())
            .filter(|number| range.contains(number))
            .ok_or_else(|| {
                Wrong::expected(format!(
                    "a whole number from {} to {}",
                    range.start(),
                    range.end()
                ))
            })
    }
}

/// One of the spellings in `choices`.
pub(super) fn choice<T: Copy + 'static>(
    choices: &'static [(&'static str, T)],
) -> impl Fn(&DeValue) -> Result<T, Wrong> {
    move |value| {
        let chosen = choices.iter().find(|(text, _)| value.as_str() == Some(text));
        chosen.map(|(_, choice)| *choice).ok_or_else(|| {
            let texts: Vec<String> = choices.iter().map(|(text, _)| format!("\"{text}\"")).collect();
            Wrong::expected(texts.join(" or "))
        })
    }
}

/// A size from `least` to `most`: a whole number and `KiB`, `MiB` or `GiB`.
pub(super) fn bytes(least: &'static str, most: &'static str) -> impl Fn(&DeValue) -> Result<u64, Wrong> {
    let range = bytes_from_text(least)..=bytes_from_text(most);
    move |value| {
        value
            .as_str()
            .and_then(bytes_from_text)
            .filter(|size| range.contains(&Some(*size)))
            .ok_or_else(|| Wrong::expected(format!("a size from \"{least}\" to \"{most}\"")))
    }
}

fn bytes_from_text(text: &str) -> Option<u64> {
    let units = [("KiB", 10), ("MiB", 20), ("GiB", 30)];
    let (digits, shift) = units
        .into_iter()
        .find_map(|(unit, shift)| Some((text.strip_suffix(unit)?, shift)))?;
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse::<u64>().ok()?.checked_mul(1 << shift)
}

/// A duration as `duration` takes it, or `"off"`.
pub(super) fn duration_or_off(
    least: &'static str,
    most: &'static str,
) -> impl Fn(&DeValue) -> Result<Option<Duration>, Wrong> {
    let read = duration(least, most);
    move |value| match value.as_str() {
        Some("off") => Ok(None),
        _ => read(value)
            .map(Some)
            .map_err(|wrong| Wrong::expected(format!("{}, or \"off\"", wrong.expected))),
    }
}

/// An http or https URL without credentials; `""` is none. Its query may hold a secret, so it is not shown.
pub(super) fn callback_url(value: &DeValue) -> Result<Option<String>, Wrong> {
    let good = |text: &&str| {
        text.is_empty()
            || Url::parse(text).is_ok_and(|url| {
                matches!(url.scheme(), "http" | "https")
                    && url.has_host()
                    && url.username().is_empty()
                    && url.password().is_none()
            })
    };
    optional_text(
        value,
        good,
        "an http or https URL without credentials, or \"\" for none",
    )
    .map_err(|wrong| Wrong {
        received: Some("one that is not shown here, since it may hold a secret".to_owned()),
        ..wrong
    })
}

/// An http proxy's URL; `""` is none. It may hold credentials, so it is not shown.
pub(super) fn proxy(value: &DeValue) -> Result<Option<String>, Wrong> {
    let good = |text: &&str| {
        text.is_empty()
            || Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
    };
    optional_text(value, good, "the http URL of a proxy, or \"\" for none").map_err(|wrong| Wrong {
        received: Some("one that is not shown here, since it may hold a secret".to_owned()),
        ..wrong
    })
}

/// A network in CIDR notation.
pub(super) fn network(value: &DeValue) -> Result<Network, Wrong> {
    let expected = "a network such as \"10.0.0.0/8\" or \"fd00::/8\"";
    let text = value.as_str().ok_or_else(|| Wrong::expected(expected))?;
    Network::parse(text).map_err(|error| Wrong::expected(format!("{expected} ({})", error.hint())))
}

/// A command line for the shell; `""` is none.
pub(super) fn command(value: &DeValue) -> Result<Option<String>, Wrong> {
    optional_text(
        value,
        |text: &&str| !text.contains('\0'),
        "a command, or \"\" for none",
    )
}

/// A duration from `least` to `most`, both spelled as in the file.
pub(super) fn duration(
    least: &'static str,
    most: &'static str,
) -> impl Fn(&DeValue) -> Result<Duration, Wrong> {
    let range = duration_from_text(least)..=duration_from_text(most);
    move |value| {
        value
            .as_str()
            .and_then(duration_from_text)
            .filter(|duration| range.contains(&Some(*duration)))
            .ok_or_else(|| Wrong::expected(format!("a duration from \"{least}\" to \"{most}\"")))
    }
}

/// A whole number and `s`, `m`, `h` or `d`.
fn duration_from_text(text: &str) -> Option<Duration> {
    let unit = text.chars().next_back()?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 60 * 60,
        'd' => 24 * 60 * 60,
        _ => return None,
    };
    let digits = &text[..text.len() - unit.len_utf8()];
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number: u64 = digits.parse().ok()?;
    number.checked_mul(seconds).map(Duration::from_secs)
}

/// An absolute path: what a relative one means would depend on where the command was typed.
pub(super) fn directory(value: &DeValue) -> Result<PathBuf, Wrong> {
    value
        .as_str()
        .filter(|text| Path::new(text).is_absolute())
        .map(PathBuf::from)
        .ok_or_else(|| Wrong::expected("an absolute path"))
}

/// An absolute path to a file; `""` is none.
pub(super) fn file(value: &DeValue) -> Result<Option<PathBuf>, Wrong> {
    let good = |text: &&str| text.is_empty() || Path::new(text).is_absolute();
    let text = optional_text(value, good, "an absolute path, or \"\" for none")?;
    Ok(text.map(PathBuf::from))
}

/// The name of a group; `""` is none.
pub(super) fn group(value: &DeValue) -> Result<Option<String>, Wrong> {
    let plain = |text: &&str| {
        !text
            .chars()
            .any(|c| c.is_whitespace() || c.is_control() || c == ':')
    };
    optional_text(value, plain, "the name of a group, or \"\" for none")
}

/// A name that fits between the bars of `NONISV|company|deltapost/version`; `""` is none.
pub(super) fn company(value: &DeValue) -> Result<Option<String>, Wrong> {
    let plain = |text: &&str| text.len() <= 64 && text.chars().all(|c| matches!(c, ' '..='~') && c != '|');
    optional_text(value, plain, "at most 64 characters of ASCII without `|`")
}

fn optional_text(
    value: &DeValue,
    good: impl Fn(&&str) -> bool,
    expected: &str,
) -> Result<Option<String>, Wrong> {
    match value.as_str().filter(good) {
        Some("") => Ok(None),
        Some(text) => Ok(Some(text.to_owned())),
        None => Err(Wrong::expected(expected)),
    }
}

/// A URL to which paths are appended, without a slash at its end. https, or http to this machine, since tokens travel
/// there; no query, and no credentials, which would end in logs.
pub(super) fn base_url(value: &DeValue) -> Result<String, Wrong> {
    let text = value.as_str();
    let url = text
        .and_then(|text| Url::parse(text).ok())
        .filter(|url| url.scheme() == "https" || (url.scheme() == "http" && is_loopback(url)))
        .filter(|url| url.username().is_empty() && url.password().is_none())
        .filter(|url| url.query().is_none() && url.fragment().is_none());
    match url {
        Some(url) => Ok(url.as_str().trim_end_matches('/').to_owned()),
        None => Err(Wrong {
            expected: "an https URL (http only to a loopback host) without credentials, query or fragment"
                .to_owned(),
            received: text
                .filter(|text| text.contains(['@', '?', '#']))
                .map(|_| "one that is not shown here, since it may hold a secret".to_owned()),
            words: None,
        }),
    }
}
