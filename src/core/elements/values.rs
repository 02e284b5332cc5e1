//! Single values: from what was written (`"true"`, `15`, a list as text) to the canonical JSON form. Reading a canonical value
//! gives it back unchanged. Which of them a key takes stands in `kinds`.

use std::ops::RangeInclusive;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};
use url::Url;

use crate::core::model::EventType;
use crate::core::schedule::{self, Schedule};

use super::{json, keys};
use crate::core::problem::{described, escaped, listed, quoted};

/// The longest URL and the longest secret that is accepted, in characters.
const LONGEST_URL: usize = 2048;
const LONGEST_SECRET: usize = 16_384;

/// The facets that become an event's `objectType`.
pub(super) const FACETS: &[&str] = &["remoteItem", "package", "folder", "file"];

/// Whether `value` says that its key is absent.
pub(super) fn is_absent(value: &Value) -> bool {
    value.is_null() || value == ""
}

/// An error when `text` still is a placeholder such as `<INSERT_YOUR_APPS_CALLBACK_URL>`.
pub(super) fn refuse_placeholder(text: &str) -> Result<(), String> {
    let trimmed = text.trim();
    if trimmed.starts_with('<') && trimmed.ends_with('>') && trimmed.matches(['<', '>']).count() == 2 {
        return Err(format!(
            "the placeholder {} is still there; replace it",
            quoted(trimmed)
        ));
    }
    Ok(())
}

/// Text without stray spaces. The message does not repeat it, since a URL may hold credentials.
pub(super) fn text(value: &Value) -> Result<&str, String> {
    let text = value
        .as_str()
        .ok_or_else(|| format!("expected text, got {}", described(value)))?;
    if text.contains(char::is_control) {
        return Err("holds a line break or another control character".to_owned());
    }
    if text.trim() != text {
        return Err("begins or ends with a space".to_owned());
    }
    Ok(text)
}

pub(super) fn secret(value: &Value) -> Result<Value, String> {
    let secret = unshown_text(value)?;
    if secret.trim() != secret {
        return Err("begins or ends with a space".to_owned());
    }
    Ok(Value::from(secret))
}

pub(super) fn signature_key(value: &Value) -> Result<Value, String> {
    let key = unshown_text(value)?;
    if let Some(encoded) = key.strip_prefix("whsec_") {
        let decoded = STANDARD.decode(encoded).unwrap_or_default();
        if decoded.is_empty() {
            return Err("what follows `whsec_` must be base64, with its padding".to_owned());
        }
    }
    Ok(Value::from(key))
}

/// Text that no message repeats.
fn unshown_text(value: &Value) -> Result<String, String> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) if number.is_u64() => number.to_string(),
        Value::Array(_) | Value::Object(_) => return Err(format!("expected text, got {}", described(value))),
        _ => return Err("expected text".to_owned()),
    };
    if text.contains(char::is_control) {
        return Err("holds a line break or another control character".to_owned());
    }
    if text.chars().count() > LONGEST_SECRET {
        return Err(format!("longer than {LONGEST_SECRET} characters"));
    }
    Ok(text)
}

/// The `scope` of RFC 6749, 3.3.
pub(super) fn scope(text: &str) -> Result<Value, String> {
    let allowed = |byte: u8| matches!(byte, b' ' | b'!' | b'#'..=b'[' | b']'..=b'~');
    if text.len() > LONGEST_URL || !text.bytes().all(allowed) {
        return Err(format!(
            "expected scopes separated by spaces, got {}",
            quoted(text)
        ));
    }
    Ok(Value::from(text))
}

/// The tenant becomes a segment of the authority's path, so it is held to what tenants look like.
pub(super) fn tenant(text: &str) -> Result<Value, String> {
    let plain = text
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.');
    if text.len() > 253 || !plain || text.starts_with('.') || text.ends_with('.') || text.contains("..") {
        return Err(format!("expected a tenant's id or domain, got {}", quoted(text)));
    }
    Ok(Value::from(text))
}

pub(super) fn boolean(value: &Value) -> Result<Value, String> {
    match value {
        Value::Bool(_) => Ok(value.clone()),
        Value::String(text) if text.eq_ignore_ascii_case("true") => Ok(Value::Bool(true)),
        Value::String(text) if text.eq_ignore_ascii_case("false") => Ok(Value::Bool(false)),
        _ => Err(format!("expected true or false, got {}", described(value))),
    }
}

/// A crontab expression, in the one spelling that `Schedule` has for it.
pub(super) fn schedule(text: &str) -> Result<Value, String> {
    refuse_placeholder(text)?;
    match Schedule::parse(text) {
        Ok(schedule) => Ok(Value::from(schedule.to_string())),
        Err(error) => Err(match error.hint() {
            Some(hint) => format!("{error}; {hint}"),
            None => error.to_string(),
        }),
    }
}

/// What can be the name of a zone. It becomes a path below the zones' directory, so it is held to what they look like.
pub(super) fn timezone(text: &str) -> Result<Value, String> {
    refuse_placeholder(text)?;
    if !schedule::is_zone_name(text) {
        return Err(format!(
            "expected an IANA time zone such as `Europe/Berlin`, got {}",
            quoted(text)
        ));
    }
    Ok(Value::from(text))
}

/// A whole number of `what` within `range`.
pub(super) fn number(value: &Value, what: &str, range: RangeInclusive<u64>) -> Result<Value, String> {
    let (least, most) = range.clone().into_inner();
    match whole_number(value) {
        Some(number) if range.contains(&number) => Ok(Value::from(number)),
        _ if most == u64::MAX => Err(format!("expected {what} from {least}, got {}", described(value))),
        _ => Err(format!(
            "expected {what} from {least} to {most}, got {}",
            described(value)
        )),
    }
}

/// A number without sign and fraction, or text of its digits.
fn whole_number(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) => number.as_u64(),
        Value::String(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse().ok(),
        _ => None,
    }
}

pub(super) fn choice(value: &Value, known: &[&str]) -> Result<Value, String> {
    match value.as_str().filter(|text| known.contains(text)) {
        Some(text) => Ok(Value::from(text)),
        None => Err(format!(
            "expected one of {}, got {}",
            listed(known.iter().copied()),
            described(value)
        )),
    }
}

/// A redirect URI of any scheme: the registered app decides which, and it is sent as it stands.
pub(super) fn redirect_url(text: &str) -> Result<Value, String> {
    url(text)?;
    Ok(Value::from(text))
}

/// An endpoint. No message repeats it: it may hold credentials.
pub(super) fn callback_url(text: &str) -> Result<Value, String> {
    let url = url(text)?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!(
            "expected an http or https URL, got the scheme {}",
            quoted(url.scheme())
        ));
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err("expected a URL with a host".to_owned());
    }
    if authority(text).contains('@') {
        return Err(format!(
            "must not hold a user name or password; use `{}`",
            keys::HEADERS
        ));
    }
    Ok(Value::from(text))
}

/// An absolute URL that is written as RFC 3986 has it, so that every later reader sees the same host in it.
fn url(text: &str) -> Result<Url, String> {
    refuse_placeholder(text)?;
    if text.chars().count() > LONGEST_URL {
        return Err(format!("longer than {LONGEST_URL} characters"));
    }
    let foreign = |letter: &char| !letter.is_ascii_graphic() || "\"<>\\^`{|}".contains(*letter);
    if let Some(letter) = text.chars().find(foreign) {
        return Err(format!(
            "holds {}, which a URL may not; write it percent-encoded",
            quoted(letter.encode_utf8(&mut [0; 4]))
        ));
    }
    if text.contains('#') {
        return Err("must not hold a fragment (`#…`)".to_owned());
    }
    Url::parse(text).map_err(|error| match error {
        url::ParseError::RelativeUrlWithoutBase => "expected an absolute URL such as `https://…`".to_owned(),
        _ => format!("not a URL: {error}"),
    })
}

/// The text between `scheme://` and the path.
pub(super) fn authority(url: &str) -> &str {
    let rest = url.split_once("://").map_or("", |(_, rest)| rest);
    rest.split(['/', '?']).next().unwrap_or(rest)
}

/// A JSON list of texts, such a list as text, or texts separated by commas.
pub(super) fn texts(value: &Value) -> Result<Vec<String>, String> {
    let expected = || format!("expected a list of texts, got {}", described(value));
    match value {
        Value::Array(items) => items
            .iter()
            .map(|item| item.as_str().map(str::to_owned).ok_or_else(expected))
            .collect(),
        Value::String(text) if text.trim_start().starts_with('[') => match json::parse(text)? {
            Value::Array(items) => texts(&Value::Array(items)),
            _ => Err(expected()),
        },
        Value::String(text) => Ok(text
            .split(',')
            .map(|item| item.trim().to_owned())
            .filter(|item| !item.is_empty())
            .collect()),
        _ => Err(expected()),
    }
}

pub(super) fn event_type(text: &str) -> Result<String, String> {
    let upper = text.to_ascii_uppercase();
    EventType::from_text(&upper)
        .map(|event_type| event_type.to_string())
        .ok_or_else(|| {
            let known = EventType::ALL.iter().map(|event_type| event_type.as_str());
            format!("expected {}, got {}", listed(known), quoted(text))
        })
}

/// A facet, or the name of a resource: `settings` knows which there are.
pub(super) fn object_type(text: &str) -> Result<String, String> {
    if text.trim().is_empty() || text.contains(char::is_control) {
        return Err(format!(
            "expected an object type such as `file`, got {}",
            quoted(text)
        ));
    }
    let facet = FACETS.iter().find(|facet| facet.eq_ignore_ascii_case(text));
    Ok(facet.map_or(text, |facet| *facet).to_owned())
}

/// Paths begin at the drive's root, so a glob that begins elsewhere would match nothing, silently.
pub(super) fn glob(text: &str) -> Result<String, String> {
    if text.contains(char::is_control) || text.chars().count() > LONGEST_URL {
        return Err(format!("not a glob on a path: {}", quoted(text)));
    }
    if !text.starts_with(['/', '*']) {
        let (text, inside) = (quoted(text), escaped(text));
        return Err(format!(
            "paths begin with `/`, so {text} matches none; write `/{inside}` or `**/{inside}`"
        ));
    }
    Ok(text.to_owned())
}

/// An object, or text that holds one as JSON. The message repeats nothing of it.
pub(super) fn object(value: &Value) -> Result<Map<String, Value>, String> {
    let parsed = match value {
        Value::String(text) => json::parse(text)?,
        other => other.clone(),
    };
    match parsed {
        Value::Object(object) => Ok(object),
        Value::Array(_) => Err("expected an object, got a list".to_owned()),
        _ => Err("expected an object".to_owned()),
    }
}
