//! Instances: created, listed, shown, changed, paused and deleted, by id or by their own token.

use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::super::call::Call;
use super::super::paging;
use super::super::reply::{self, Refusal};
use super::super::route::{Table, Who, route};
use super::BASE;
use super::elements::element;
use crate::commands::{Edit, Pending, Written};
use crate::core::elements as documents;
use crate::core::model::{ElementKey, Instance};
use crate::core::shown::shown;
use crate::httpd::Reply;
use crate::store::{InstanceListing, InstanceRow};

pub(crate) const TABLE: Table = Table {
    base: BASE,
    routes: &[
        route("GET", "/instances", Who::Client, list),
        route("POST", "/instances", Who::Client, create),
        route("PUT", "/instances", Who::Instance, replace),
        route("PATCH", "/instances", Who::Instance, merge),
        route("DELETE", "/instances", Who::Instance, delete),
        route(
            "GET",
            "/elements/{keyOrId}/instances",
            Who::Client,
            list_of_element,
        ),
        route(
            "POST",
            "/elements/{keyOrId}/instances",
            Who::Client,
            create_of_element,
        ),
        route("GET", "/instances/{id}", Who::Client, show),
        route("PUT", "/instances/{id}", Who::Client, replace),
        route("PATCH", "/instances/{id}", Who::Client, merge),
        route("DELETE", "/instances/{id}", Who::Client, delete),
        route("PUT", "/instances/enabled", Who::Instance, enable),
        route("DELETE", "/instances/enabled", Who::Instance, disable),
        route("PUT", "/instances/{id}/enabled", Who::Client, enable),
        route("DELETE", "/instances/{id}/enabled", Who::Client, disable),
    ],
};

/// Bytes of configurations at which a page ends; one may be larger.
const PAGE_BYTES: usize = 128 * 1024;

/// Notes of an answer: its head stays within what clients read.
const MOST_NOTES: usize = 20;

/// The instance that is meant: by the path's id, or else by its token.
pub(super) fn meant(call: &Call<'_>) -> Result<Instance, Refusal> {
    let named = call.param("id");
    match (&call.instance, named) {
        (Some(instance), "") => Ok(instance.clone()),
        _ => {
            let unknown = || Refusal::not_found(format!("there is no instance `{}`", shown(named)));
            call.instance(named.parse().map_err(|_| unknown())?)
        }
    }
}

/// All instances; with an instance's own token that one alone, as Cloud Elements has it.
fn list(call: &Call<'_>) -> Result<Reply, Refusal> {
    match &call.instance {
        Some(instance) if !instance.enabled => Err(Refusal::disabled()),
        Some(instance) => Ok(reply::json(200, &call.house.shown_with_token(instance)?)),
        None => listed(call, None),
    }
}

fn list_of_element(call: &Call<'_>) -> Result<Reply, Refusal> {
    if call.instance.as_ref().is_some_and(|own| !own.enabled) {
        return Err(Refusal::disabled());
    }
    listed(call, Some(element(call)?))
}

/// Those that bear every one of `tags[]`; with an instance's own token that one alone; with `hydrate=false` without their
/// configurations.
fn listed(call: &Call<'_>, element: Option<ElementKey>) -> Result<Reply, Refusal> {
    let tags: Vec<String> = call.queries("tags[]").chain(call.queries("tags")).collect();
    let hydrate = call.query_as("hydrate", "true or false")?.unwrap_or(true);
    let most = paging::page_size(call)?;
    let rows = call.house.store.listed_instances(&InstanceListing {
        id: call.instance.as_ref().map(|own| own.id),
        element,
        tags,
        after: paging::next_page(call)?.unwrap_or(0),
        most: most + 1,
    })?;
    let count = cut(&rows, most, hydrate);
    let next = (count < rows.len()).then(|| rows[count - 1].id);
    let rows = &rows[..count];
    let largest = rows.iter().map(|row| row.parsed_bytes).max();
    call.make_room(largest.unwrap_or(0))?;
    let mut shown: Vec<Box<RawValue>> = Vec::new();
    for row in rows {
        let instance = match call.house.present_instance(row.id) {
            Err(error) if error.is_unknown_instance() => continue,
            found => found?,
        };
        let mut one = call.house.shown_with_token(&instance)?;
        if let Some(fields) = one.as_object_mut().filter(|_| !hydrate) {
            fields.remove("configuration");
            fields["element"] = json!({"key": instance.element.as_str()});
        }
        shown.push(reply::raw(&one));
    }
    Ok(paging::page(&shown, next))
}

/// How many of `rows` the page holds: `most`, or fewer where their configurations are large and `hydrate` shows them.
fn cut(rows: &[InstanceRow], most: usize, hydrate: bool) -> usize {
    let mut bytes = 0;
    let fits = |row: &&InstanceRow| {
        let fits = !hydrate || bytes < PAGE_BYTES;
        bytes += row.configuration_bytes;
        fits
    };
    rows.iter().take(most).take_while(fits).count()
}

fn show(call: &Call<'_>) -> Result<Reply, Refusal> {
    Ok(reply::json(200, &call.house.shown_with_token(&meant(call)?)?))
}

fn create(call: &Call<'_>) -> Result<Reply, Refusal> {
    reply_of(call, &call.house.create_instance(call.text()?)?)
}

fn create_of_element(call: &Call<'_>) -> Result<Reply, Refusal> {
    let document = with_element(call.text()?, element(call)?)?;
    reply_of(call, &call.house.create_instance(&document)?)
}

/// `document` with the path's element, which it may leave out but not contradict. What is no object is left for whoever
/// reads the document to tell.
fn with_element(document: &str, element: ElementKey) -> Result<String, Refusal> {
    let Ok(Value::Object(mut fields)) = serde_json::from_str::<Value>(document) else {
        return Ok(document.to_owned());
    };
    let given = fields
        .get("element")
        .and_then(|given| given.get("key"))
        .and_then(Value::as_str);
    match given {
        Some(given) if given == element.as_str() => Ok(document.to_owned()),
        Some(given) => {
            let given = shown(given);
            Err(Refusal::bad(format!(
                "`element.key`: the path says `{element}`, the document `{given}`"
            )))
        }
        // Read first as it is: written anew, a key that is there twice would stand once.
        None => {
            documents::parse(document).map_err(Refusal::invalid)?;
            fields.insert("element".to_owned(), json!({"key": element.as_str()}));
            Ok(Value::Object(fields).to_string())
        }
    }
}

fn merge(call: &Call<'_>) -> Result<Reply, Refusal> {
    edit(call, Edit::Merge)
}

fn replace(call: &Call<'_>) -> Result<Reply, Refusal> {
    edit(call, Edit::Replace)
}

fn edit(call: &Call<'_>, edit: Edit) -> Result<Reply, Refusal> {
    reply_of(
        call,
        &call.house.edit_instance(meant(call)?.id, call.text()?, edit)?,
    )
}

fn delete(call: &Call<'_>) -> Result<Reply, Refusal> {
    call.house
        .delete_instance(&meant(call)?.id.to_string(), Pending::Deliver)?;
    Ok(reply::json(200, &json!({})))
}

fn enable(call: &Call<'_>) -> Result<Reply, Refusal> {
    enabled(call, true)
}

fn disable(call: &Call<'_>) -> Result<Reply, Refusal> {
    enabled(call, false)
}

fn enabled(call: &Call<'_>, enabled: bool) -> Result<Reply, Refusal> {
    let instance = call.house.enable_instance(meant(call)?.id, enabled)?;
    Ok(reply::json(200, &call.house.shown_with_token(&instance)?))
}

/// The instance as it is by now. What its author should know stands in headers: what the body holds can be sent back.
pub(super) fn reply_of(call: &Call<'_>, outcome: &Written) -> Result<Reply, Refusal> {
    let reply = reply::json(200, &call.house.shown_with_token(&outcome.instance)?);
    Ok(outcome
        .notes
        .iter()
        .take(MOST_NOTES)
        .fold(reply, |reply, note| reply.with("Deltapost-Note", note)))
}
