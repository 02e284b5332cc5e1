//! One object of a drive's feed, with the types that its documentation promises.

use jiff::Timestamp;

use super::PageError;
use crate::core::fields::{Text, fields};
use crate::core::fingerprint;
use crate::core::model::{FeedItem, ItemKind, LONGEST};

/// Reads the object `raw` at `value[index]`.
///
/// # Errors
/// When a field is not what the documentation says, so that nothing of the page may be relied on.
pub(super) fn read(index: usize, raw: &str) -> Result<FeedItem<'_>, PageError> {
    let [id, name, etag, size, created, modified, parent, removed] = fields(
        raw,
        [
            "id",
            "name",
            "eTag",
            "size",
            "createdDateTime",
            "lastModifiedDateTime",
            "parentReference",
            "@removed",
        ],
    )
    .ok_or(PageError::NotAnObject { index })?;
    let [root, remote_item, package, folder, file, deleted] = fields(
        raw,
        ["root", "remoteItem", "package", "folder", "file", "deleted"],
    )
    .ok_or(PageError::NotAnObject { index })?;
    let at = At(index);
    let [parent_id, drive_id] = at.within("parentReference", parent, ["id", "driveId"])?;
    let kinds = [
        (root, ItemKind::Root),
        (remote_item, ItemKind::RemoteItem),
        (package, ItemKind::Package),
        (folder, ItemKind::Folder),
        (file, ItemKind::File),
    ];
    Ok(FeedItem {
        raw,
        announced_id: None,
        id: at
            .id("id", id)?
            .filter(|id| !id.is_empty())
            .ok_or(PageError::NoId { index })?,
        name: at.text("name", name)?.map(fingerprint::short_name),
        parent_id: at.id("parentReference.id", parent_id)?,
        drive_id: at.id("parentReference.driveId", drive_id)?,
        kind: kinds
            .iter()
            .find(|(facet, _)| facet.is_some())
            .map_or(ItemKind::Object, |(_, kind)| *kind),
        deleted: deleted.is_some() || removed.is_some(),
        size: at.number("size", size)?,
        hash: at.hash(file)?,
        etag: at.text("eTag", etag)?,
        created: at.time("createdDateTime", created)?,
        modified: at.time("lastModifiedDateTime", modified)?,
    })
}

/// An item's place in the page, for what its fields are refused with.
struct At(usize);

impl At {
    fn wrong(&self, field: &'static str, expected: &'static str) -> PageError {
        PageError::WrongType {
            index: self.0,
            field,
            expected,
        }
    }

    fn text(&self, field: &'static str, value: Option<&str>) -> Result<Option<String>, PageError> {
        let Some(value) = value else { return Ok(None) };
        match serde_json::from_str(value) {
            Ok(Text(text)) => Ok(Some(text)),
            Err(_) => Err(self.wrong(field, "a string")),
        }
    }

    fn id(&self, field: &'static str, value: Option<&str>) -> Result<Option<String>, PageError> {
        match self.text(field, value)? {
            Some(id) if id.len() > LONGEST => Err(self.wrong(field, "an id of at most 4 KiB")),
            id => Ok(id),
        }
    }

    fn number(&self, field: &'static str, value: Option<&str>) -> Result<Option<String>, PageError> {
        match value {
            Some(number) if number.starts_with(|c: char| c == '-' || c.is_ascii_digit()) => {
                Ok(Some(number.to_owned()))
            }
            Some(_) => Err(self.wrong(field, "a number")),
            None => Ok(None),
        }
    }

    fn time(&self, field: &'static str, value: Option<&str>) -> Result<Option<Timestamp>, PageError> {
        Ok(self.text(field, value)?.and_then(|text| text.parse().ok()))
    }

    fn within<'page, const N: usize>(
        &self,
        field: &'static str,
        value: Option<&'page str>,
        names: [&str; N],
    ) -> Result<[Option<&'page str>; N], PageError> {
        match value {
            Some(object) => fields(object, names).ok_or_else(|| self.wrong(field, "an object")),
            None => Ok([None; N]),
        }
    }

    /// The first of the hashes that Graph may give, the one that both kinds of OneDrive have before the others.
    fn hash(&self, file: Option<&str>) -> Result<Option<String>, PageError> {
        const ALGORITHMS: [(&str, &str); 4] = [
            ("quickXorHash", "file.hashes.quickXorHash"),
            ("sha256Hash", "file.hashes.sha256Hash"),
            ("sha1Hash", "file.hashes.sha1Hash"),
            ("crc32Hash", "file.hashes.crc32Hash"),
        ];
        let [hashes] = self.within("file", file, ["hashes"])?;
        let values = self.within("file.hashes", hashes, ALGORITHMS.map(|(name, _)| name))?;
        for ((name, field), value) in ALGORITHMS.into_iter().zip(values) {
            if let Some(hash) = self.text(field, value)? {
                return Ok(Some(format!("{name}:{hash}")));
            }
        }
        Ok(None)
    }
}
