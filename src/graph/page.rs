//! The bytes of an answer read as one page of a delta feed, each object's own bytes kept as they came.
//! What a change is, and which page to fetch, is decided elsewhere.

use std::fmt;

use jiff::Timestamp;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::error::Category;
use serde_json::value::RawValue;

use crate::core::model::{FeedItem, ItemKind, Page, PageEnd, Secret};
use crate::graph::complaint::Complaint;
use crate::graph::link::{lies_below, shown_origin};

/// Why an answer is not a page of changes. Items are counted from 0, as in `value[0]`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PageError {
    #[error("could not read the page of changes: it is not UTF-8 from byte {at} on")]
    NotUtf8 { at: usize },
    #[error("could not read the page of changes: it is HTML, not JSON")]
    Html,
    #[error("could not read the page of changes: it ends in the middle, after {bytes} bytes")]
    Truncated { bytes: usize },
    /// Not JSON, or not an object of the expected shape; `problem` says where.
    #[error("could not read the page of changes: {problem}")]
    Malformed { problem: String },
    #[error("could not read the page of changes: it has no `value`")]
    NoValue,
    /// An error in the place of a page, whatever its status: the delta token is stale.
    #[error("could not read the page of changes: the delta token is stale, `{code}`")]
    Stale { code: String },
    #[error("could not read the page of changes: it has both `@odata.nextLink` and `@odata.deltaLink`")]
    BothLinks,
    #[error("could not read the page of changes: it has neither `@odata.nextLink` nor `@odata.deltaLink`")]
    NoLink,
    /// The link is not told whole: its query holds a session token.
    #[error(
        "could not go on from the page of changes: its {link} leads to `{origin}`, not below the Graph base"
    )]
    ForeignLink { link: &'static str, origin: String },
    #[error("could not read the page of changes: `value[{index}]` is not an object")]
    NotAnObject { index: usize },
    #[error("could not read the page of changes: `value[{index}]` has no `id`")]
    NoId { index: usize },
    #[error("could not read the page of changes: `{field}` of `value[{index}]` is not {expected}")]
    WrongType {
        index: usize,
        field: &'static str,
        expected: &'static str,
    },
}

impl PageError {
    /// The next thing to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            PageError::Html => {
                "a proxy or a portal answered with its own page in place of Graph: open the network's way to Graph, \
                 or set `proxy` under `[network]`"
            }
            PageError::Truncated { .. } => {
                "the connection was cut: the same page is asked for again at the next poll"
            }
            PageError::ForeignLink { .. } => {
                "the access token goes to the Graph base only: check `graph` under `[microsoft]`"
            }
            PageError::NoLink => {
                "the url of this resource may not be a delta feed: it should end in `/delta`"
            }
            _ => {
                "Graph, or something between, sent what the documentation does not allow: nothing was skipped"
            }
        }
    }
}

#[derive(Deserialize)]
struct Envelope<'page> {
    #[serde(borrow)]
    value: Option<Vec<&'page RawValue>>,
    #[serde(rename = "@odata.nextLink")]
    next: Option<String>,
    #[serde(rename = "@odata.deltaLink")]
    delta: Option<String>,
}

/// Reads `bytes`, the body of a 200, as a page whose link lies below `base`.
///
/// Each item's `raw` is its slice of `bytes`, unchanged. Within an item the last of duplicate keys counts, unknown
/// fields do no harm, and a date that is none is absent.
///
/// # Errors
/// When any part of the page cannot be relied on: a page is read whole or not at all.
pub fn parse<'page>(bytes: &'page [u8], base: &str) -> Result<Page<'page>, PageError> {
    let text = std::str::from_utf8(bytes).map_err(|e| match e.error_len() {
        None => PageError::Truncated { bytes: bytes.len() },
        Some(_) => PageError::NotUtf8 { at: e.valid_up_to() },
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.trim_start().starts_with('<') {
        return Err(PageError::Html);
    }
    let envelope: Envelope<'page> = serde_json::from_str(text).map_err(|e| not_json(&e, bytes.len()))?;
    let objects = envelope.value.ok_or_else(|| {
        let Complaint { code, resync, .. } = Complaint::read(bytes, &[]);
        if resync {
            PageError::Stale { code }
        } else {
            PageError::NoValue
        }
    })?;
    let end = match (envelope.next, envelope.delta) {
        (Some(next), None) => PageEnd::Next(own_link("@odata.nextLink", next, base)?),
        (None, Some(delta)) => PageEnd::Delta(own_link("@odata.deltaLink", delta, base)?),
        (Some(_), Some(_)) => return Err(PageError::BothLinks),
        (None, None) => return Err(PageError::NoLink),
    };
    let items = objects
        .into_iter()
        .enumerate()
        .map(|(index, object)| feed_item(index, object.get()))
        .collect::<Result<_, _>>()?;
    Ok(Page { items, end })
}

/// The parser's words for a fault of shape may quote the value, which may be a link: only their place is told.
fn not_json(error: &serde_json::Error, bytes: usize) -> PageError {
    let problem = match error.classify() {
        Category::Eof => return PageError::Truncated { bytes },
        Category::Data => format!(
            "it is not of a page's shape, at line {} column {}",
            error.line(),
            error.column()
        ),
        Category::Syntax | Category::Io => error.to_string(),
    };
    PageError::Malformed { problem }
}

fn own_link(name: &'static str, link: String, base: &str) -> Result<Secret, PageError> {
    if lies_below(base, &link) {
        Ok(Secret::new(link))
    } else {
        Err(PageError::ForeignLink {
            link: name,
            origin: shown_origin(&link),
        })
    }
}

fn feed_item(index: usize, raw: &str) -> Result<FeedItem<'_>, PageError> {
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
        id: at
            .text("id", id)?
            .filter(|id| !id.is_empty())
            .ok_or(PageError::NoId { index })?,
        name: at.text("name", name)?,
        parent_id: at.text("parentReference.id", parent_id)?,
        drive_id: at.text("parentReference.driveId", drive_id)?,
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

/// The JSON text of the named fields of `object`: the last of duplicates, none for an absent one or `null`.
/// `None` when `object` is not an object. Values are skipped over, never descended into, so depth costs no stack.
fn fields<'page, const N: usize>(object: &'page str, names: [&str; N]) -> Option<[Option<&'page str>; N]> {
    let mut deserializer = serde_json::Deserializer::from_str(object);
    deserializer.deserialize_map(Fields(names)).ok()
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
                    found[position] = (value.get() != "null").then_some(value.get());
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
struct Text(String);

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

#[cfg(test)]
#[path = "page_tests.rs"]
mod tests;
