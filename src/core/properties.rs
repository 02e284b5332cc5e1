//! What is remembered of an object that has neither an eTag nor a modification time, such as a user: a slot for each of its
//! properties. A feed may show such an object with the changed properties only, so each is compared by itself.

use std::collections::BTreeMap;

use ring::digest::{SHA256, digest};

use super::fields::each;

/// The first byte of such a fingerprint; `core::fingerprint` has others.
const VERSION: u8 = 2;

/// A property's name and value, eight bytes of the SHA-256 of each.
const SLOT: usize = 16;

/// The end of the name of what lists changes of a relation (OData 4.01, 15.3): `members@delta`.
const RELATION: &str = "@delta";

/// More properties than this are remembered as one.
const MOST: usize = 256;

/// The fingerprint of the object `raw`. Annotations say nothing of the object and are left out.
pub(super) fn fingerprint(raw: &str) -> Vec<u8> {
    let mut slots = Slots::new();
    each(raw, |name, value| {
        if !name.contains('@') && slots.len() <= MOST {
            slots.insert(short(name), short(value));
        }
    });
    if slots.len() > MOST {
        slots = Slots::from([(short(""), short(raw))]);
    }
    encode(slots)
}

/// Whether `raw` tells what was added to, or taken from, a relation of the object.
pub fn tells_of_relations(raw: &str) -> bool {
    let mut tells = false;
    if raw.contains(RELATION) {
        each(raw, |name, _| tells |= name.ends_with(RELATION));
    }
    tells
}

/// Whether bytes are such a fingerprint.
pub(super) fn is_one(fingerprint: &[u8]) -> bool {
    fingerprint.first() == Some(&VERSION)
}

/// Whether `seen` shows a property with another value than `known` has. One that is not known is null.
pub(super) fn moved(known: &[u8], seen: &[u8]) -> bool {
    let (known, null) = (decode(known), short("null"));
    decode(seen)
        .iter()
        .any(|(name, value)| known.get(name).unwrap_or(&null) != value)
}

/// The fingerprint to remember after `seen` came: its properties, and the known ones that it lacks.
pub(super) fn adopt(known: &[u8], seen: &[u8]) -> Vec<u8> {
    let mut merged = decode(known);
    merged.extend(decode(seen));
    if merged.len() > MOST {
        return seen.to_vec();
    }
    encode(merged)
}

fn short(text: &str) -> [u8; SLOT / 2] {
    let mut bytes = [0; SLOT / 2];
    bytes.copy_from_slice(&digest(&SHA256, text.as_bytes()).as_ref()[..SLOT / 2]);
    bytes
}

type Slots = BTreeMap<[u8; SLOT / 2], [u8; SLOT / 2]>;

fn encode(slots: Slots) -> Vec<u8> {
    let slots = slots.into_iter().flat_map(|(name, value)| [name, value].concat());
    std::iter::once(VERSION).chain(slots).collect()
}

fn decode(fingerprint: &[u8]) -> Slots {
    let slots = fingerprint.get(1..).unwrap_or_default().chunks_exact(SLOT);
    slots
        .map(|slot| {
            let (mut name, mut value) = ([0; SLOT / 2], [0; SLOT / 2]);
            name.copy_from_slice(&slot[..SLOT / 2]);
            value.copy_from_slice(&slot[SLOT / 2..]);
            (name, value)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEGAN: &str = r#"{"id":"1","displayName":"Megan","jobTitle":null,"businessPhones":["1"]}"#;

    #[track_caller]
    fn check(seen: &str, expect: bool) {
        assert_eq!(moved(&fingerprint(MEGAN), &fingerprint(seen)), expect, "{seen}");
    }

    #[test]
    fn each_property_is_compared_by_itself() {
        check(MEGAN, false);
        check(r#"{"displayName":"Megan","id":"1"}"#, false);
        check(r#"{"id":"1","displayName":"Meg"}"#, true);
        check(r#"{"id":"1","displayName":null}"#, true);
        check(r#"{"id":"1","jobTitle":"Boss"}"#, true);
        check(
            r##"{"id":"1","mail":null,"@odata.type":"#microsoft.graph.user"}"##,
            false,
        );
        check(r#"{"id":"1","mail":"m@example.com"}"#, true);
    }

    #[test]
    fn what_a_partial_object_leaves_out_stays_known() {
        let after = adopt(
            &fingerprint(MEGAN),
            &fingerprint(r#"{"id":"1","jobTitle":"Boss"}"#),
        );
        let whole = r#"{"id":"1","displayName":"Megan","jobTitle":"Boss","businessPhones":["1"]}"#;
        assert_eq!(after, fingerprint(whole));
    }

    #[test]
    fn changes_of_a_relation_are_told_from_a_text_that_says_so() {
        assert!(tells_of_relations(r#"{"id":"1","members@delta":[{"id":"2"}]}"#));
        assert!(!tells_of_relations(r#"{"id":"1","displayName":"members@delta"}"#));
    }
}
