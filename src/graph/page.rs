//! The bytes of an answer read as one page of a delta feed, each object's own bytes kept as they came.
//! What a change is, and which page to fetch, is decided elsewhere.

mod drive_item;
mod fields;
mod object;
mod records;

use serde::Deserialize;
use serde_json::error::Category;
use serde_json::value::RawValue;

pub use records::{Records, records};

use crate::core::feed::Feed;
use crate::core::model::{Page, PageEnd, Secret};
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

/// Reads `bytes`, the body of a 200, as a page of `feed` whose link lies below `base`.
///
/// Each item's `raw` is its slice of `bytes`, unchanged. Within an item the last of duplicate keys counts, unknown
/// fields do no harm, and a date that is none is absent.
///
/// # Errors
/// When any part of the page cannot be relied on: a page is read whole or not at all.
pub fn parse<'page>(bytes: &'page [u8], base: &str, feed: &Feed) -> Result<Page<'page>, PageError> {
    let (objects, next, delta) = envelope(bytes)?;
    let end = match (next, delta) {
        (Some(next), None) => PageEnd::Next(own_link("@odata.nextLink", next, base)?),
        (None, Some(delta)) => PageEnd::Delta(own_link("@odata.deltaLink", delta, base)?),
        (Some(_), Some(_)) => return Err(PageError::BothLinks),
        (None, None) => return Err(PageError::NoLink),
    };
    let items = objects
        .into_iter()
        .enumerate()
        .map(|(index, object)| match feed {
            Feed::Objects { id_field } => object::read(index, object.get(), id_field.as_deref()),
            _ => drive_item::read(index, object.get()),
        })
        .collect::<Result<_, _>>()?;
    Ok(Page { items, end })
}

/// The objects of a page, its nextLink and its deltaLink.
#[expect(clippy::type_complexity, reason = "the three parts of an envelope")]
fn envelope(bytes: &[u8]) -> Result<(Vec<&RawValue>, Option<String>, Option<String>), PageError> {
    let text = std::str::from_utf8(bytes).map_err(|e| match e.error_len() {
        None => PageError::Truncated { bytes: bytes.len() },
        Some(_) => PageError::NotUtf8 { at: e.valid_up_to() },
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.trim_start().starts_with('<') {
        return Err(PageError::Html);
    }
    let envelope: Envelope<'_> = serde_json::from_str(text).map_err(|e| not_json(&e, bytes.len()))?;
    let objects = envelope.value.ok_or_else(|| {
        let Complaint { code, resync, .. } = Complaint::read(bytes, &[]);
        if resync {
            PageError::Stale { code }
        } else {
            PageError::NoValue
        }
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
#[path = "page_tests.rs"]
mod tests;
