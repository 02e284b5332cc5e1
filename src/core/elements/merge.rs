//! What a document makes of the configuration that is stored: a change of it, or its replacement.

use serde_json::{Map, Value};

use crate::core::model::{Configuration, MASK};

use super::document::Document;
use super::keys::{CALLBACK_URL, HEADERS};
use super::secrets::{is_masked, masked};
use crate::core::problem::{Problem, Report, quoted};

/// `current` with what `change` names: given keys replace, removed keys go, `********` keeps.
///
/// # Errors
/// A `********` for which there is no value to keep.
pub fn merge(current: &Configuration, change: &Document) -> Result<Configuration, Vec<Problem>> {
    let mut base = current.clone();
    base.retain(|key, _| !change.removed.contains(key));
    overlay(base, current, change)
}

/// The configuration that `document` describes in whole; `********` keeps the value of `current`.
///
/// # Errors
/// A `********` for which there is no value to keep.
pub fn replace(current: &Configuration, document: &Document) -> Result<Configuration, Vec<Problem>> {
    overlay(Configuration::new(), current, document)
}

fn overlay(
    mut base: Configuration,
    current: &Configuration,
    document: &Document,
) -> Result<Configuration, Vec<Problem>> {
    let mut report = Report::default();
    for (key, given) in &document.configuration {
        match resolved(key, given, current.get(key)) {
            Ok(value) => {
                base.insert(key.clone(), value);
            }
            Err(message) => report.problem(key, message),
        }
    }
    report.result(base)
}

/// `given` with `current` in the place of masks.
fn resolved(key: &str, given: &Value, current: Option<&Value>) -> Result<Value, String> {
    if !is_masked(key, given) {
        return Ok(given.clone());
    }
    let nothing = || format!("`{MASK}` means unchanged, but no value is stored");
    match given {
        Value::Object(headers) if key == HEADERS => {
            let stored = current.and_then(Value::as_object).ok_or_else(nothing)?;
            resolved_headers(headers, stored)
        }
        Value::String(text) if key == CALLBACK_URL && text != MASK => {
            let stored = current.ok_or_else(nothing)?;
            if masked(key, stored) == *given {
                return Ok(stored.clone());
            }
            Err(format!(
                "`?{MASK}` means an unchanged query, but the URL is another; give it with its query"
            ))
        }
        _ => current.cloned().ok_or_else(nothing),
    }
}

fn resolved_headers(given: &Map<String, Value>, stored: &Map<String, Value>) -> Result<Value, String> {
    let mut headers = Map::new();
    for (name, value) in given {
        let kept = stored
            .iter()
            .find(|(other, _)| other.eq_ignore_ascii_case(name))
            .map(|(_, value)| value);
        let value = match kept {
            _ if value != MASK => value,
            Some(kept) => kept,
            None => {
                return Err(format!(
                    "header {}: `{MASK}` means unchanged, but no value is stored",
                    quoted(name)
                ));
            }
        };
        headers.insert(name.clone(), value.clone());
    }
    let unread = headers.values().filter(|value| *value == MASK).count();
    if unread > 0 && unread < headers.len() {
        return Err(
            "the stored values cannot be read, so they cannot be kept beside new ones; give all".to_owned(),
        );
    }
    Ok(Value::Object(headers))
}
