//! The bytes of an answer read as one page of a delta feed, each object's own bytes kept as they came. A page is given out
//! in pieces, since its objects take many times the memory of its bytes.
//! What a change is, and which page to fetch, is decided elsewhere.

mod drive_item;
mod object;
mod objects;
mod records;

use std::hash::{BuildHasher, RandomState};

use serde::Deserialize;
use serde_json::error::Category;
use serde_json::value::RawValue;

use objects::Objects;
pub use records::{Records, RecordsPiece, records};

use crate::core::feed::Feed;
use crate::core::model::{FeedItem, ItemKind, Page, PageEnd, Secret};
use crate::graph::complaint::{self, Complaint};
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

/// The largest body that is read as an error in the place of a page.
const MAX_ERROR_BYTES: usize = 64 * 1024;

/// Drives and kinds of items that a page's outline shows. The account's own are among the first.
const OUTLINED: usize = 64;

#[derive(Deserialize)]
struct Envelope<'page> {
    #[serde(borrow)]
    value: Option<&'page RawValue>,
    #[serde(rename = "@odata.nextLink")]
    next: Option<String>,
    #[serde(rename = "@odata.deltaLink")]
    delta: Option<String>,
}

/// A page that has been looked through: each of its objects can be read.
#[derive(Clone, Debug)]
pub struct Body<'page> {
    objects: Objects<'page>,
    feed: &'page Feed,
    pub end: PageEnd,
    /// Whether a later object of the page has the same id, by the object's place.
    superseded: Vec<bool>,
    /// As much of the page as tells which drive it shows: its roots, and an item of each drive and kind.
    pub outline: Page<'page>,
}

/// Reads `bytes`, the body of a 200, as a page of `feed` whose link lies below `base`.
///
/// Each item's `raw` is its slice of `bytes`, unchanged. Within an item the last of duplicate keys counts, unknown
/// fields do no harm, and a date that is none is absent.
///
/// # Errors
/// When any part of the page cannot be relied on: a page is read whole or not at all.
pub fn parse<'page>(bytes: &'page [u8], base: &str, feed: &'page Feed) -> Result<Body<'page>, PageError> {
    let (objects, next, delta) = envelope(bytes)?;
    let end = match (next, delta) {
        (Some(next), None) => PageEnd::Next(own_link("@odata.nextLink", next, base)?),
        (None, Some(delta)) => PageEnd::Delta(own_link("@odata.deltaLink", delta, base)?),
        (Some(_), Some(_)) => return Err(PageError::BothLinks),
        (None, None) => return Err(PageError::NoLink),
    };
    let mut outline = Page {
        items: Vec::new(),
        end: end.clone(),
    };
    // A hash in place of an id: the key is random, and two ids of a page share one less often than memory fails.
    let hasher = RandomState::new();
    let mut ids: Vec<(u64, usize)> = Vec::new();
    for (index, raw) in objects.clone().enumerate() {
        let item = read(feed, index, raw)?;
        ids.push((hasher.hash_one(&item.id), index));
        let tells = item.drive_id.is_some() || item.kind == ItemKind::Root;
        let says = |item: &FeedItem<'_>| (item.kind, item.deleted, item.drive_id.clone());
        let outlined = outline.items.iter().any(|known| says(known) == says(&item));
        if tells && !outlined && outline.items.len() < OUTLINED {
            outline.items.push(item);
        }
    }
    let mut superseded = vec![false; ids.len()];
    ids.sort_unstable();
    for pair in ids.windows(2) {
        superseded[pair[0].1] = pair[0].0 == pair[1].0;
    }
    Ok(Body {
        objects,
        feed,
        end,
        superseded,
        outline,
    })
}

impl<'page> Body<'page> {
    /// How many objects the page lists.
    pub fn len(&self) -> usize {
        self.superseded.len()
    }

    /// Whether the page lists nothing.
    pub fn is_empty(&self) -> bool {
        self.superseded.is_empty()
    }

    /// The page in pieces, each small enough to be worked through at once: the last one has the page's end, the others
    /// `PageEnd::More`. Of the objects with the same id there is the last one only.
    pub fn pieces(&self) -> impl Iterator<Item = Result<Page<'page>, PageError>> {
        let mut objects = self.objects.clone().enumerate().peekable();
        let mut ended = false;
        std::iter::from_fn(move || {
            if ended {
                return None;
            }
            let piece = objects::piece(&mut objects, |(_, raw)| raw.len());
            ended = objects.peek().is_none();
            let items = piece
                .into_iter()
                .filter(|(index, _)| !self.superseded[*index])
                .map(|(index, raw)| read(self.feed, index, raw))
                .collect::<Result<_, _>>();
            let end = if ended { self.end.clone() } else { PageEnd::More };
            Some(items.map(|items| Page { items, end }))
        })
    }
}

fn read<'page>(feed: &Feed, index: usize, raw: &'page str) -> Result<FeedItem<'page>, PageError> {
    match feed {
        Feed::Objects { id_field } => object::read(index, raw, id_field.as_deref()),
        _ => drive_item::read(index, raw),
    }
}

/// The objects of a page, its nextLink and its deltaLink.
fn envelope(bytes: &[u8]) -> Result<(Objects<'_>, Option<String>, Option<String>), PageError> {
    let text = std::str::from_utf8(bytes).map_err(|e| match e.error_len() {
        None => PageError::Truncated { bytes: bytes.len() },
        Some(_) => PageError::NotUtf8 { at: e.valid_up_to() },
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.trim_start().starts_with('<') {
        return Err(PageError::Html);
    }
    let envelope: Envelope<'_> = serde_json::from_str(text).map_err(|e| not_json(&e, bytes.len()))?;
    let value = envelope.value.ok_or_else(|| {
        let error = bytes.get(..MAX_ERROR_BYTES).map_or(bytes, |_| b"{}");
        let Complaint { code, resync, .. } = Complaint::read(error, &[]);
        if resync {
            // Another code may hold anything, also what the request held.
            let code = Some(code).filter(|code| complaint::is_known(code));
            PageError::Stale {
                code: code.unwrap_or_else(|| "resyncRequired".to_owned()),
            }
        } else {
            PageError::NoValue
        }
    })?;
    let objects = Objects::new(value.get()).ok_or_else(|| PageError::Malformed {
        problem: "its `value` is not a list".to_owned(),
    })?;
    Ok((objects, envelope.next, envelope.delta))
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

#[cfg(test)]
mod tests;
