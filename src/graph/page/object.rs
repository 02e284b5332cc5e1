//! One object of another delta feed than a drive's: a message, an event, a user, a group, a list item. Of it is read what
//! all of them may have; what is missing, or of another type, is not known.

use serde_json::Number;

use super::PageError;
use crate::core::fields::{Text, fields};
use crate::core::model::{FeedItem, ItemKind, LONGEST};

/// Reads the object `raw` at `value[index]`; events call it by what stands at `id_field`, where that is given.
///
/// # Errors
/// When it is no object, or has no id to follow it by.
pub(super) fn read<'page>(
    index: usize,
    raw: &'page str,
    id_field: Option<&str>,
) -> Result<FeedItem<'page>, PageError> {
    const NAMES: [&str; 8] = [
        "id",
        "@odata.etag",
        "eTag",
        "changeKey",
        "createdDateTime",
        "lastModifiedDateTime",
        "@removed",
        "deleted",
    ];
    let found = fields(raw, NAMES).ok_or(PageError::NotAnObject { index })?;
    let [
        id,
        odata_etag,
        etag,
        change_key,
        created,
        modified,
        removed,
        deleted,
    ] = found;
    let id = text(id)
        .filter(|id| !id.is_empty())
        .ok_or(PageError::NoId { index })?;
    if id.len() > LONGEST {
        let (field, expected) = ("id", "an id of at most 4 KiB");
        return Err(PageError::WrongType {
            index,
            field,
            expected,
        });
    }
    let etag = text(odata_etag)
        .or_else(|| text(etag))
        .or_else(|| text(change_key));
    let announced = id_field.and_then(|path| at_path(raw, path));
    Ok(FeedItem {
        raw,
        announced_id: announced.filter(|announced| *announced != id && announced.len() <= LONGEST),
        id,
        name: None,
        parent_id: None,
        drive_id: None,
        kind: ItemKind::Object,
        // Lists mark a removal with the facet that drives use; elsewhere `deleted` may be a property of any type.
        deleted: removed.is_some() || deleted.is_some_and(|facet| facet.starts_with('{')),
        size: None,
        hash: None,
        etag,
        created: text(created).and_then(|time| time.parse().ok()),
        modified: text(modified).and_then(|time| time.parse().ok()),
    })
}

/// A text, or a whole number as one.
fn text(value: Option<&str>) -> Option<String> {
    let value = value?;
    if let Ok(Text(text)) = serde_json::from_str(value) {
        return Some(text);
    }
    let number: Number = serde_json::from_str(value).ok()?;
    (!number.is_f64()).then(|| number.to_string())
}

/// The text at a dotted path.
fn at_path(raw: &str, path: &str) -> Option<String> {
    let mut value = raw;
    for name in path.split('.') {
        let [inner] = fields(value, [name])?;
        value = inner?;
    }
    text(Some(value))
}
