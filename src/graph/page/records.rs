//! A page of a collection that has no feed: its records as they came, and where to go on.

use serde_json::value::RawValue;

use super::{PageError, envelope, own_link};
use crate::core::model::Secret;

/// One page of a collection, borrowed from the bytes it came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Records<'page> {
    /// The provider's text of each, byte for byte. Whether it is one that can be judged is not asked here.
    pub raw: Vec<&'page str>,
    /// `@odata.nextLink`; `None` on the last page.
    pub next: Option<Secret>,
}

/// Reads `bytes`, the body of a 200, as a page of records whose link lies below `base`.
///
/// # Errors
/// When any part of the page cannot be relied on; a record may be anything.
pub fn records<'page>(bytes: &'page [u8], base: &str) -> Result<Records<'page>, PageError> {
    let (objects, next, _) = envelope(bytes)?;
    let next = next
        .map(|link| own_link("@odata.nextLink", link, base))
        .transpose()?;
    Ok(Records {
        raw: objects.into_iter().map(RawValue::get).collect(),
        next,
    })
}
