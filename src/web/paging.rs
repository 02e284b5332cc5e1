//! What lists have in common: how a request says which page and which time it means, and how an answer says that there
//! is more. Cloud Elements' clients know `pageSize`, `nextPage` and the two headers.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde::Serialize;

use super::call::Call;
use super::reply::{self, Refusal};
use crate::core::shown::shown;
use crate::core::span;
use crate::httpd::Reply;

/// Entries of a page where the request does not say.
const USUAL: usize = 200;

/// Entries of a page, at most.
const MOST: usize = 1_000;

/// How many entries the page is to have, 1 to 1,000.
///
/// # Errors
/// 400 for anything else.
pub(super) fn page_size(call: &Call<'_>) -> Result<usize, Refusal> {
    let expected = "a whole number from 1 to 1000";
    match call.query_as("pageSize", expected)? {
        None => Ok(USUAL),
        Some(size @ 1..=MOST) => Ok(size),
        Some(size) => Err(Refusal::bad(format!(
            "`pageSize`: expected {expected}, got `{size}`"
        ))),
    }
}

/// The id beside which the page begins, as `nextPage` has it from the page before.
///
/// # Errors
/// 400 when it is not from there.
pub(super) fn next_page(call: &Call<'_>) -> Result<Option<i64>, Refusal> {
    let Some(token) = call.query("nextPage").filter(|token| !token.is_empty()) else {
        return Ok(None);
    };
    let id = URL_SAFE_NO_PAD
        .decode(&token)
        .ok()
        .and_then(|bytes| Some(i64::from_be_bytes(bytes.try_into().ok()?)));
    let wrong = || {
        let token = shown(&token);
        Refusal::bad(format!(
            "`nextPage`: expected `Elements-Next-Page-Token` of the page before, got `{token}`"
        ))
    };
    id.filter(|id| *id > 0).map(Some).ok_or_else(wrong)
}

/// The time that `name` gives in the query.
///
/// # Errors
/// 400 when it is none.
pub(super) fn time(call: &Call<'_>, name: &str) -> Result<Option<Timestamp>, Refusal> {
    let Some(text) = call.query(name).filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    // The `+` of an offset that was not escaped arrives as a space.
    let time = span::instant(&text).or_else(|| span::instant(&text.replace(' ', "+")));
    let wrong = || {
        let text = shown(&text);
        Refusal::bad(format!(
            "`{name}`: expected a time such as 2026-03-01T09:30:00Z, or a date, which is its midnight in UTC, got `{text}`"
        ))
    };
    time.map(Some).ok_or_else(wrong)
}

/// A page of `entries`, and where the next one begins when there is more.
pub(super) fn page(entries: &[impl Serialize], next: Option<i64>) -> Reply {
    counted(reply::json(200, &entries), entries.len(), next)
}

/// `reply`, which holds `count` entries, with what `page` says of them.
pub(super) fn counted(reply: Reply, count: usize, next: Option<i64>) -> Reply {
    let reply = reply
        .with("Elements-Returned-Count", count.to_string())
        .with("Elements-Has-More", if next.is_some() { "true" } else { "false" });
    match next {
        Some(id) => reply.with(
            "Elements-Next-Page-Token",
            URL_SAFE_NO_PAD.encode(id.to_be_bytes()),
        ),
        None => reply,
    }
}
