//! An instance's configuration, entry by entry.

use serde_json::{Map, Value, json};

use super::super::call::Call;
use super::super::reply::{self, Refusal};
use super::super::route::{Table, Who, route};
use super::BASE;
use super::instances::meant;
use crate::commands::Edit;
use crate::core::elements::{entries, entry_of, parse_json};
use crate::core::model::Instance;
use crate::core::shown::shown;
use crate::httpd::Reply;

pub(crate) const TABLE: Table = Table {
    base: BASE,
    routes: &[
        route("GET", "/instances/configuration", Who::Instance, list),
        route("PATCH", "/instances/configuration", Who::Instance, merge),
        route(
            "GET",
            "/instances/configuration/{configurationId}",
            Who::Instance,
            show,
        ),
        route(
            "PATCH",
            "/instances/configuration/{configurationId}",
            Who::Instance,
            merge_one,
        ),
        route("GET", "/instances/{id}/configuration", Who::Client, list),
        route("PATCH", "/instances/{id}/configuration", Who::Client, merge),
        route(
            "GET",
            "/instances/{id}/configuration/{configurationId}",
            Who::Client,
            show,
        ),
        route(
            "PATCH",
            "/instances/{id}/configuration/{configurationId}",
            Who::Client,
            merge_one,
        ),
    ],
};

fn list(call: &Call<'_>) -> Result<Reply, Refusal> {
    Ok(reply::json(200, &entries(&meant(call)?)))
}

fn show(call: &Call<'_>) -> Result<Reply, Refusal> {
    Ok(reply::json(200, &entry(call, &meant(call)?)?))
}

/// The entry that the path names.
fn entry(call: &Call<'_>, instance: &Instance) -> Result<Value, Refusal> {
    let named = call.param("configurationId");
    let entry = named.parse().ok().and_then(|id| entry_of(instance, id));
    entry.ok_or_else(|| Refusal::not_found(format!("there is no configuration entry `{}`", shown(named))))
}

/// Changes several: an object of keys and values, or a list of entries.
fn merge(call: &Call<'_>) -> Result<Reply, Refusal> {
    let instance = meant(call)?;
    let configuration = match body(call)? {
        Value::Object(keys) => keys,
        Value::Array(entries) => {
            let mut keys = Map::new();
            for (key, value) in entries.into_iter().map(pair).collect::<Result<Vec<_>, _>>()? {
                if keys.insert(key.clone(), value).is_some() {
                    return Err(Refusal::bad(format!("key `{}` is given twice", shown(&key))));
                }
            }
            keys
        }
        _ => {
            return Err(Refusal::bad(
                "expected an object of keys and values, or a list of entries",
            ));
        }
    };
    Ok(reply::json(
        200,
        &entries(&changed(call, &instance, configuration)?),
    ))
}

/// Changes the one that the path names, to `propertyValue`.
fn merge_one(call: &Call<'_>) -> Result<Reply, Refusal> {
    let instance = meant(call)?;
    let entry = entry(call, &instance)?;
    let key = entry["key"].as_str().unwrap_or_default();
    let body = body(call)?;
    if body.get("key").is_some_and(|given| given != key) {
        return Err(Refusal::bad(format!(
            "`key`: this entry's key is `{key}`, and stays"
        )));
    }
    let value = body.get("propertyValue").cloned();
    let value = value.ok_or_else(|| Refusal::bad("expected an object with `propertyValue`"))?;
    let configuration = Map::from_iter([(key.to_owned(), value)]);
    let instance = changed(call, &instance, configuration)?;
    Ok(reply::json(200, &self::entry(call, &instance)?))
}

fn body(call: &Call<'_>) -> Result<Value, Refusal> {
    parse_json(call.text()?).map_err(|error| Refusal::bad(format!("the body is {error}")))
}

fn pair(entry: Value) -> Result<(String, Value), Refusal> {
    let key = entry.get("key").and_then(Value::as_str).map(str::to_owned);
    let value = entry.get("propertyValue").cloned();
    key.zip(value)
        .ok_or_else(|| Refusal::bad("each entry of the list must have a `key` and a `propertyValue`"))
}

fn changed(
    call: &Call<'_>,
    instance: &Instance,
    configuration: Map<String, Value>,
) -> Result<Instance, Refusal> {
    let document = json!({"configuration": configuration}).to_string();
    Ok(call
        .house
        .edit_instance(instance.id, &document, Edit::Merge)?
        .instance)
}
