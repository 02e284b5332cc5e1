//! An instance's configuration as a list of entries, as Cloud Elements' `/configuration` gives it: each key with a number,
//! a name for people and its value as text.

use serde_json::{Value, json};

use crate::core::model::{Configuration, Instance};

use super::keys::{KEYS, Kind};
use super::secrets::mask;

/// Keys of one instance, at most: its entries' numbers begin at its own times this.
const MOST_KEYS: i64 = 1_000;

/// Every key that `instance` can have, its secrets masked; `propertyValue` is null where it has none.
pub fn entries(instance: &Instance) -> Vec<Value> {
    let shown = mask(&instance.configuration);
    let known = KEYS
        .iter()
        .zip(1..)
        .filter(|((.., kind), _)| !matches!(kind, Kind::NotYet(_)));
    known
        .map(|((key, name, _), number)| entry(instance.id, number, (key, name), &shown))
        .collect()
}

/// The entry with that number.
pub fn entry_of(instance: &Instance, id: i64) -> Option<Value> {
    entries(instance).into_iter().find(|entry| entry["id"] == id)
}

fn entry(instance: i64, number: i64, (key, name): (&str, &str), shown: &Configuration) -> Value {
    json!({
        "id": instance * MOST_KEYS + number,
        "key": key,
        "name": name,
        "propertyValue": shown.get(key).map(text),
    })
}

/// A value as a client that knows only texts reads it, and may give it back.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
