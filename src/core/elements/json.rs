//! Text to JSON with two things that `serde_json::from_str` does not do: a key given twice is an error, since one of
//! its values would be dropped silently, and the error says where it is without repeating the text.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use crate::core::problem::quoted;

/// Reads `text`, with or without a byte order mark.
///
/// # Errors
/// What is wrong, with line and column.
pub fn parse(text: &str) -> Result<Value, String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    match serde_json::from_str::<Strict>(text) {
        Ok(Strict(value)) => Ok(value),
        Err(error) => {
            let curly = text.contains(['\u{201c}', '\u{201d}']);
            let advice = if curly {
                "; write straight quotes (\") instead of curly ones"
            } else {
                ""
            };
            Err(format!("not valid JSON: {error}{advice}"))
        }
    }
}

/// A JSON value in which no object holds a key twice.
struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Strict, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Strict)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Strict(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            if object.contains_key(&key) {
                return Err(A::Error::custom(format_args!(
                    "key {} is given twice",
                    quoted(&key)
                )));
            }
            let Strict(value) = entries.next_value()?;
            object.insert(key, value);
        }
        Ok(Value::Object(object))
    }
}

/// What an object and any other value take in memory, beside their text, and how many copies of a document there are while
/// it is read, checked and shown.
const OBJECT_BYTES: usize = 700;
const VALUE_BYTES: usize = 64;
const COPIES: usize = 4;

/// What the JSON in `text` takes of memory when it is parsed: many times its length where it consists of small objects.
pub fn parsed_bytes(text: &[u8]) -> usize {
    let count = |wanted| text.iter().filter(|byte| **byte == wanted).count();
    COPIES * (text.len() + OBJECT_BYTES * count(b'{') + VALUE_BYTES * (count(b',') + count(b'[')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expect: &str) {
        assert_eq!(parse(text).unwrap_err(), expect);
    }

    #[test]
    fn an_error_says_where_it_is() {
        check(
            "{\n \"a\": 1,,\n}",
            "not valid JSON: key must be a string at line 2 column 9",
        );
        check(
            "{\"a\": 1, \"a\": 2}",
            "not valid JSON: key `a` is given twice at line 1 column 12",
        );
        check(
            "{“a”: 1}",
            "not valid JSON: key must be a string at line 1 column 2; write straight quotes (\") instead of curly ones",
        );
    }

    proptest::proptest! {
        #[test]
        fn it_reads_what_serde_json_reads(list in proptest::collection::vec(proptest::prelude::any::<(bool, i64, u64, f64, String)>(), 0..4)) {
            let value = serde_json::json!({"list": list, "none": null});
            proptest::prop_assert_eq!(parse(&value.to_string()), Ok(serde_json::from_str(&value.to_string()).unwrap()));
        }
    }
}
