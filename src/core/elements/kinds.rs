//! The canonical form of each key's value, by its kind. How single values are read stands in `values`, `headers` and
//! `resources`; what several keys mean together in `settings`.

use serde_json::Value;

use crate::core::model::MASK;

use super::keys::Kind;
use super::{headers, resources, values};
use crate::core::problem::{Report, described};

/// Above this many minutes (31 days) an interval means: no polling by interval.
pub(super) const LONGEST_INTERVAL_MINUTES: u64 = 44_640;

/// The canonical form of `value` for `key`; `Value::Null` where it means "absent". `None` after a problem.
pub(super) fn canonical(key: &str, kind: Kind, value: &Value, report: &mut Report) -> Option<Value> {
    if values::is_absent(value) {
        return Some(Value::Null);
    }
    if value == MASK {
        return Some(value.clone());
    }
    let read = match kind {
        // A document's is converted before it comes here.
        Kind::Urls => values::text(value).map(Value::from),
        Kind::Resources => return resources::canonical(value, report),
        Kind::Headers => return headers::canonical(value, report),
        Kind::EventTypes => return list(key, value, values::event_type, report),
        Kind::ObjectTypes => return list(key, value, values::object_type, report),
        Kind::Globs => return list(key, value, values::glob, report),
        Kind::Secret => values::secret(value),
        Kind::SignatureKey => values::signature_key(value),
        Kind::Scope => values::text(value).and_then(values::scope),
        Kind::Tenant => values::text(value).and_then(values::tenant),
        Kind::Boolean => values::boolean(value),
        Kind::Minutes => values::number(value, "minutes", 1..=u64::MAX),
        Kind::Schedule => values::text(value).and_then(values::schedule),
        Kind::Timezone => values::text(value).and_then(values::timezone),
        Kind::Choice(known) => values::choice(value, known),
        Kind::Only(known, reason) => only(value, known, reason),
        Kind::RedirectUrl => values::text(value).and_then(values::redirect_url),
        Kind::CallbackUrl => values::text(value).and_then(values::callback_url),
        Kind::NotYet(instead) => Err(format!("not supported by this version; {instead}")),
    };
    note(key, kind, &read, report);
    read.map_err(|message| report.problem(key, message)).ok()
}

/// Tells what the author should know about a value that is valid.
fn note(key: &str, kind: Kind, read: &Result<Value, String>, report: &mut Report) {
    let Ok(value) = read else { return };
    match kind {
        Kind::Minutes
            if value
                .as_u64()
                .is_some_and(|minutes| minutes > LONGEST_INTERVAL_MINUTES) =>
        {
            report.note(format!(
                "`{key}` is above {LONGEST_INTERVAL_MINUTES} minutes: the instance is polled on request only"
            ));
        }
        Kind::Secret | Kind::SignatureKey => {
            if let Some(placeholder) = value.as_str().and_then(capital_placeholder) {
                report.note(format!("`{key}` still holds the placeholder `{placeholder}`"));
            }
        }
        _ => {}
    }
}

/// `text` when it is a documentation's placeholder beyond doubt, so that showing it gives nothing away.
fn capital_placeholder(text: &str) -> Option<&str> {
    let name = text.strip_prefix('<')?.strip_suffix('>')?;
    let plain = (1..=60).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte == b'_' || byte == b' ');
    plain.then_some(text)
}

fn only(value: &Value, known: &str, reason: &str) -> Result<Value, String> {
    if value == known {
        return Ok(value.clone());
    }
    Err(format!("{} is refused: {reason}", described(value)))
}

/// A JSON list of texts, such a list as text, or texts separated by commas; an empty one means "absent".
fn list(
    key: &str,
    value: &Value,
    item: fn(&str) -> Result<String, String>,
    report: &mut Report,
) -> Option<Value> {
    let texts = match values::texts(value) {
        Ok(texts) => texts,
        Err(message) => {
            report.problem(key, message);
            return None;
        }
    };
    let mut items: Vec<Value> = Vec::new();
    let before = report.problems.len();
    for text in texts {
        match item(&text).map(Value::from) {
            Ok(item) if items.contains(&item) => {}
            Ok(item) => items.push(item),
            Err(message) => report.problem(key, message),
        }
    }
    report.sound(before, Value::Array(items))
}
