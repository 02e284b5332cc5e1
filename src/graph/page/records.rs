//! A page of a collection that has no feed: its records as they came, and where to go on.

use super::objects::{self, Objects};
use super::{PageError, envelope, own_link};
use crate::core::model::Secret;

/// One page of a collection, borrowed from the bytes it came in.
#[derive(Clone, Debug)]
pub struct Records<'page> {
    records: Objects<'page>,
    /// `@odata.nextLink`; `None` on the last page.
    pub next: Option<Secret>,
}

/// Some of a page's records, few enough to be worked through at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordsPiece<'page> {
    /// The provider's text of each, byte for byte. Whether it is one that can be judged is not asked here.
    pub raw: Vec<&'page str>,
    /// Whether nothing of the page comes after it.
    pub last: bool,
}

/// Reads `bytes`, the body of a 200, as a page of records whose link lies below `base`.
///
/// # Errors
/// When any part of the page cannot be relied on; a record may be anything.
pub fn records<'page>(bytes: &'page [u8], base: &str) -> Result<Records<'page>, PageError> {
    let (records, next, _) = envelope(bytes)?;
    let next = next
        .map(|link| own_link("@odata.nextLink", link, base))
        .transpose()?;
    Ok(Records { records, next })
}

impl<'page> Records<'page> {
    /// The page's records in pieces, one at least.
    pub fn pieces(&self) -> impl Iterator<Item = RecordsPiece<'page>> + use<'page> {
        let mut records = self.records.clone().peekable();
        let mut ended = false;
        std::iter::from_fn(move || {
            if ended {
                return None;
            }
            let raw = objects::piece(&mut records, |raw| raw.len());
            ended = records.peek().is_none();
            Some(RecordsPiece { raw, last: ended })
        })
    }
}
