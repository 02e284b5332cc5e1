//! What is remembered of an object's content and metadata, small enough for millions of rows.
//!
//! A fingerprint is a version byte and a fixed number of slots, each the first eight bytes of the SHA-256 of one
//! field, or eight zero bytes where the provider did not give the field. Slots are compared one by one and only where
//! both sides have a value, so that a field seen for the first time, or left out once, is no change.

use ring::digest::{Context, SHA256, digest};

use super::model::{FeedItem, ItemKind, LONGEST};
use super::properties;

/// The version of the recipes below. Fingerprints of another version are replaced without being compared.
const VERSION: u8 = 1;
const SLOT: usize = 8;

/// The fingerprint of what makes up an object's content: size and hash; of what has no tag and no time to tell a change
/// by, each property.
pub fn content(item: &FeedItem<'_>) -> Vec<u8> {
    if item.kind == ItemKind::Object && item.etag.is_none() && item.modified.is_none() {
        return properties::fingerprint(item.raw);
    }
    encode([item.size.as_deref(), item.hash.as_deref()])
}

/// The fingerprint of an object's metadata: eTag and modification time.
pub fn metadata(item: &FeedItem<'_>) -> Vec<u8> {
    let modified = item.modified.map(|time| time.to_string());
    encode([item.etag.as_deref(), modified.as_deref()])
}

/// What tells a text, given in parts, from another.
pub fn of_texts(texts: &[&str]) -> Vec<u8> {
    let mut context = Context::new(&SHA256);
    for text in texts {
        context.update(text.as_bytes());
    }
    context.finish().as_ref()[..2 * SLOT].to_vec()
}

/// Whether a field that both fingerprints have differs between them.
pub fn moved(known: &[u8], seen: &[u8]) -> bool {
    if properties::is_one(known) && properties::is_one(seen) {
        return properties::moved(known, seen);
    }
    comparable(known, seen)
        && slots(known)
            .zip(slots(seen))
            .any(|(a, b)| given(a) && given(b) && a != b)
}

/// The fingerprint to remember after `seen` came: its fields, and the known ones that it lacks.
pub fn adopt(known: &[u8], seen: &[u8]) -> Vec<u8> {
    if properties::is_one(known) && properties::is_one(seen) {
        return properties::adopt(known, seen);
    }
    if !comparable(known, seen) {
        return seen.to_vec();
    }
    let merged = slots(known)
        .zip(slots(seen))
        .flat_map(|(a, b)| if given(b) { b } else { a });
    std::iter::once(VERSION).chain(merged.copied()).collect()
}

/// `name`, and of one longer than 4 KiB its beginning with a fingerprint of the whole, so that two such names differ where
/// the whole ones do.
pub fn short_name(mut name: String) -> String {
    if name.len() > LONGEST {
        let whole = digest(&SHA256, name.as_bytes());
        let mark: String = whole.as_ref()[..SLOT]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        name.truncate(name.floor_char_boundary(LONGEST - mark.len() - '…'.len_utf8()));
        name = format!("{name}…{mark}");
    }
    name
}

fn encode<const N: usize>(fields: [Option<&str>; N]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(1 + N * SLOT);
    bytes.push(VERSION);
    for field in fields {
        match field {
            Some(text) => bytes.extend_from_slice(&digest(&SHA256, text.as_bytes()).as_ref()[..SLOT]),
            None => bytes.extend_from_slice(&[0; SLOT]),
        }
    }
    bytes
}

fn comparable(known: &[u8], seen: &[u8]) -> bool {
    known.first() == Some(&VERSION) && known.len() == seen.len()
}

fn slots(fingerprint: &[u8]) -> impl Iterator<Item = &[u8]> {
    fingerprint.get(1..).unwrap_or_default().chunks(SLOT)
}

fn given(slot: &[u8]) -> bool {
    slot.iter().any(|byte| *byte != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_compared_only_where_both_sides_have_it() {
        let (both, other_hash) = (encode([Some("1"), Some("a")]), encode([Some("1"), Some("b")]));
        let no_hash = encode([Some("1"), None]);
        assert!(moved(&both, &other_hash));
        assert!(!moved(&both, &both));
        assert!(!moved(&no_hash, &both), "a field seen for the first time");
        assert!(!moved(&both, &no_hash), "a field left out");
        assert!(!moved(&[], &both), "nothing remembered");
    }

    #[test]
    fn a_field_left_out_is_remembered() {
        let both = encode([Some("1"), Some("a")]);
        assert_eq!(adopt(&both, &encode([Some("1"), None])), both);
        assert_eq!(adopt(&encode([Some("1"), None]), &both), both);
        assert_eq!(adopt(&[9, 9], &both), both, "another version is replaced");
    }
}
