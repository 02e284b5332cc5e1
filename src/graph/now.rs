//! The cursor that begins at now: the feed answers it with a deltaLink and, as a rule, without objects.

use crate::core::feed::Feed;
use crate::core::model::{PageEnd, Secret};
use crate::graph::page::{self, PageError};

/// A feed that has more pages than this where it should begin at now does not know what is asked of it.
const PAGES: usize = 5;

/// The deltaLink to which `link`, one of `link_at_now`, leads by way of `fetch`; `None` where it leads to none.
///
/// # Errors
/// Those of `fetch`, and what is no page.
pub fn cursor_at_now<E: From<PageError>>(
    mut link: Secret,
    base: &str,
    feed: &Feed,
    mut fetch: impl FnMut(&Secret) -> Result<Vec<u8>, E>,
) -> Result<Option<Secret>, E> {
    for _ in 0..PAGES {
        let body = fetch(&link)?;
        match page::parse(&body, base, feed)?.end {
            PageEnd::Delta(cursor) => return Ok(Some(cursor)),
            PageEnd::Next(next) => link = next,
            PageEnd::More => return Ok(None),
        }
    }
    Ok(None)
}
