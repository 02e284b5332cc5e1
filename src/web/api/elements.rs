//! The catalogue: the elements that there are to make instances of.

use serde_json::Value;

use super::super::call::Call;
use super::super::reply::{self, Refusal};
use super::super::route::{Table, Who, route};
use super::BASE;
use crate::core::elements::catalogue;
use crate::core::model::ElementKey;
use crate::core::shown::shown;
use crate::httpd::Reply;

pub(crate) const TABLE: Table = Table {
    base: BASE,
    routes: &[
        route("GET", "/elements", Who::Client, list),
        route("GET", "/elements/{keyOrId}", Who::Client, show),
        route("GET", "/elements/{keyOrId}/metadata", Who::Client, metadata),
    ],
};

fn list(_: &Call<'_>) -> Result<Reply, Refusal> {
    let entries = ElementKey::ALL
        .iter()
        .map(|element| catalogue::entry_with_defaults(*element));
    Ok(reply::json(200, &entries.collect::<Vec<Value>>()))
}

fn show(call: &Call<'_>) -> Result<Reply, Refusal> {
    Ok(reply::json(200, &catalogue::entry_with_defaults(element(call)?)))
}

fn metadata(call: &Call<'_>) -> Result<Reply, Refusal> {
    Ok(reply::json(200, &catalogue::metadata(element(call)?)))
}

/// The element that the path names.
pub(super) fn element(call: &Call<'_>) -> Result<ElementKey, Refusal> {
    let named = call.param("keyOrId");
    catalogue::find(named).ok_or_else(|| {
        let known: Vec<_> = ElementKey::ALL
            .iter()
            .map(|element| format!("`{element}`"))
            .collect();
        Refusal::not_found(format!(
            "there is no element `{}`; there are {}",
            shown(named),
            known.join(", ")
        ))
    })
}
