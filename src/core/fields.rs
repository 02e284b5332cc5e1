//! Named fields of a JSON object, taken out as the bytes they are: nothing else of it is looked at.

use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The JSON text of the named fields of `object`: the last of duplicates, none for an absent one or `null`.
/// `None` when `object` is not an object. Values are skipped over, never descended into, so depth costs no stack.
pub fn fields<'page, const N: usize>(
    object: &'page str,
    names: [&str; N],
) -> Option<[Option<&'page str>; N]> {
    values(object, names).map(|found| found.map(|value| value.filter(|value| *value != "null")))
}

/// The same, with each `null` that is there.
pub fn values<'page, const N: usize>(
    object: &'page str,
    names: [&str; N],
) -> Option<[Option<&'page str>; N]> {
    let mut deserializer = serde_json::Deserializer::from_str(object);
    deserializer.deserialize_map(Fields(names)).ok()
}

/// Shows `see` the name and the JSON text of each field of `object`, as far as it is one.
pub fn each(object: &str, see: impl FnMut(&str, &str)) {
    // What is no object has no fields.
    serde_json::Deserializer::from_str(object)
        .deserialize_map(Each(see))
        .unwrap_or_default();
}

struct Each<F>(F);

impl<'de, F: FnMut(&str, &str)> Visitor<'de> for Each<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some((Text(name), value)) = map.next_entry::<Text, &RawValue>()? {
            (self.0)(&name, value.get());
        }
        Ok(())
    }
}

struct Fields<'names, const N: usize>([&'names str; N]);

impl<'de, const N: usize> Visitor<'de> for Fields<'_, N> {
    type Value = [Option<&'de str>; N];

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = [None; N];
        while let Some(position) = map.next_key_seed(Position(&self.0))? {
            match position {
                Some(position) => {
                    let value: &RawValue = map.next_value()?;
                    found[position] = Some(value.get());
                }
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(found)
    }
}

/// Where a key stands among the names, if it is one. Read as bytes: a key with half a surrogate pair is no error.
struct Position<'names>(&'names [&'names str]);

impl<'de> DeserializeSeed<'de> for Position<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_bytes(self)
    }
}

impl Visitor<'_> for Position<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_bytes<E>(self, key: &[u8]) -> Result<Self::Value, E> {
        Ok(self.0.iter().position(|name| name.as_bytes() == key))
    }
}

/// A JSON string. Read as bytes, since a name may hold half a surrogate pair, which is no Unicode text: such a half
/// becomes `U+FFFD`s here, while `raw` keeps it as it came.
pub struct Text(pub String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Text, D::Error> {
        struct TextVisitor;

        impl Visitor<'_> for TextVisitor {
            type Value = Text;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_bytes<E>(self, text: &[u8]) -> Result<Text, E> {
                Ok(Text(String::from_utf8_lossy(text).into_owned()))
            }
        }

        deserializer.deserialize_bytes(TextVisitor)
    }
}
