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

/// A text that `read` accepts.
fn text<T>(value: &DeValue, expected: &str, read: impl FnOnce(&str) -> Option<T>) -> Result<T, Wrong> {
    let read = value.as_str().and_then(read);
    read.ok_or_else(|| Wrong::expected(expected))
}

/// A crontab expression.
pub(super) fn cron(value: &DeValue) -> Result<Schedule, Wrong> {
    let read = |text: &str| Some(Schedule::parse(text));
    text(value, "a cron expression such as \"*/15 * * * *\"", read)?
        .map_err(|error| Wrong::words(&error, error.hint()))
}

/// The name of a zone that there is.
pub(super) fn timezone(value: &DeValue) -> Result<String, Wrong> {
    let read = |text: &str| Some(text.to_owned());
    let name = text(value, "an IANA time zone such as \"Europe/Berlin\"", read)?;
    let found = Zones::of_system().find(&name);
    found.map_err(|error| Wrong::words(&error, error.hint()))?;
    Ok(name)
}

/// Whose resources a `[[poll]]` is about.
pub(super) fn whose(value: &DeValue) -> Result<Whose, Wrong> {
    let expected = "the name or id of an instance, \"tag:NAME\" or \"*\"";
    text(value, expected, |text| {
        (!text.is_empty() && text != "tag:").then(|| Whose::from_text(text))
    })
}

/// The name of a resource; `"*"` is every one.
pub(super) fn resource(value: &DeValue) -> Result<Option<String>, Wrong> {
    text(value, "the name of a resource, or \"*\"", |text| match text {
        "" => None,
        "*" => Some(None),
        name => Some(Some(name.to_owned())),
    })
}

/// True or false.
pub(super) fn boolean(value: &DeValue) -> Result<bool, Wrong> {
    value.as_bool().ok_or_else(|| Wrong::expected("true or false"))
}

/// An IP address with a port; `"off"` is none.
pub(super) fn address(value: &DeValue) -> Result<Option<SocketAddr>, Wrong> {
    let expected = "an IP address with a port such as \"127.0.0.1:8649\" or \"[::1]:8649\", or \"off\"";
    text(value, expected, |text| match text {
        "off" => Some(None),
        _ => text.parse().ok().map(Some),
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

/// The units of a size in bytes, and those of a duration in seconds.
const BYTES: [(&str, u64); 3] = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];
const SECONDS: [(&str, u64); 4] = [("s", 1), ("m", 60), ("h", 60 * 60), ("d", 24 * 60 * 60)];

/// A size from `least` to `most`: a whole number and `KiB`, `MiB` or `GiB`.
pub(super) fn bytes(least: &'static str, most: &'static str) -> impl Fn(&DeValue) -> Result<u64, Wrong> {
    move |value| quantity(value, "size", &BYTES, least, most)
}

/// A duration from `least` to `most`: a whole number and `s`, `m`, `h` or `d`.
pub(super) fn duration(
    least: &'static str,
    most: &'static str,
) -> impl Fn(&DeValue) -> Result<Duration, Wrong> {
    move |value| quantity(value, "duration", &SECONDS, least, most).map(Duration::from_secs)
}

/// A whole number and one of `units`, from `least` to `most`, both spelled as in the file.
fn quantity(
    value: &DeValue,
    noun: &str,
    units: &[(&str, u64)],
    least: &str,
    most: &str,
) -> Result<u64, Wrong> {
    let read = |text: &str| {
        let split = |(unit, factor): &(&str, u64)| Some((text.strip_suffix(unit)?, *factor));
        let (digits, factor) = units.iter().find_map(split)?;
        let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
        digits
            .parse::<u64>()
            .ok()
            .filter(|_| is_number)?
            .checked_mul(factor)
    };
    let range = read(least)..=read(most);
    let read = |text: &str| read(text).filter(|read| range.contains(&Some(*read)));
    text(value, &format!("a {noun} from \"{least}\" to \"{most}\""), read)
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
    let expected = "an http or https URL without credentials, or \"\" for none";
    secret_url(value, expected, |url| {
        url.username().is_empty() && url.password().is_none()
    })
}

/// An http proxy's URL; `""` is none. It may hold credentials, so it is not shown.
pub(super) fn proxy(value: &DeValue) -> Result<Option<String>, Wrong> {
    secret_url(value, "the http URL of a proxy, or \"\" for none", |_| true)
}

fn secret_url(value: &DeValue, expected: &str, good: impl Fn(&Url) -> bool) -> Result<Option<String>, Wrong> {
    let is_http = |url: &Url| matches!(url.scheme(), "http" | "https") && url.has_host();
    let good = |text: &str| Url::parse(text).is_ok_and(|url| is_http(&url) && good(&url));
    optional_text(value, good, expected).map_err(|wrong| Wrong {
        received: Some(NOT_SHOWN.to_owned()),
        ..wrong
    })
}

/// What is said of a value that may hold a secret.
const NOT_SHOWN: &str = "one that is not shown here, since it may hold a secret";

/// A network in CIDR notation.
pub(super) fn network(value: &DeValue) -> Result<Network, Wrong> {
    let expected = "a network such as \"10.0.0.0/8\" or \"fd00::/8\"";
    let text = value.as_str().ok_or_else(|| Wrong::expected(expected))?;
    Network::parse(text).map_err(|error| Wrong::expected(format!("{expected} ({})", error.hint())))
}

/// A command line for the shell; `""` is none.
pub(super) fn command(value: &DeValue) -> Result<Option<String>, Wrong> {
    optional_text(value, |text| !text.contains('\0'), "a command, or \"\" for none")
}

/// An absolute path: what a relative one means would depend on where the command was typed.
pub(super) fn directory(value: &DeValue) -> Result<PathBuf, Wrong> {
    text(value, "an absolute path", |text| {
        Some(PathBuf::from(text)).filter(|path| path.is_absolute())
    })
}

/// An absolute path to a file; `""` is none.
pub(super) fn file(value: &DeValue) -> Result<Option<PathBuf>, Wrong> {
    let good = |text: &str| Path::new(text).is_absolute();
    let path = optional_text(value, good, "an absolute path, or \"\" for none")?;
    Ok(path.map(PathBuf::from))
}

/// The name of a group; `""` is none.
pub(super) fn group(value: &DeValue) -> Result<Option<String>, Wrong> {
    let plain = |text: &str| !text.contains(|c: char| c.is_whitespace() || c.is_control() || c == ':');
    optional_text(value, plain, "the name of a group, or \"\" for none")
}

/// A name that fits between the bars of `NONISV|company|deltapost/version`; `""` is none.
pub(super) fn company(value: &DeValue) -> Result<Option<String>, Wrong> {
    let plain = |text: &str| text.len() <= 64 && text.chars().all(|c| matches!(c, ' '..='~') && c != '|');
    optional_text(value, plain, "at most 64 characters of ASCII without `|`")
}

/// A text that is `good`; `""` is none.
fn optional_text(
    value: &DeValue,
    good: impl Fn(&str) -> bool,
    expected: &str,
) -> Result<Option<String>, Wrong> {
    text(value, expected, |text| {
        (text.is_empty() || good(text)).then(|| Some(text.to_owned()).filter(|text| !text.is_empty()))
    })
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
                .map(|_| NOT_SHOWN.to_owned()),
            words: None,
        }),
    }
}
