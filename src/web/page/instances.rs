//! The first page: every instance with its health in words, its polls and what waits.

use maud::{Markup, html};

use super::super::call::Call;
use super::super::reply::Refusal;
use super::layout::{Column, link, page, state, table, text, time, to_instance};
use super::plans::Plans;
use super::visitor::Visitor;
use crate::core::model::Instance;
use crate::httpd::Reply;
use crate::store::{ResourceRow, StoreError};

/// Instances on one page.
const MOST: usize = 100;

pub(super) fn show(call: &Call<'_>, visitor: &Visitor) -> Result<Reply, Refusal> {
    let after = call.query_as::<i64>("after", "an instance's id")?.unwrap_or(0);
    let mut instances = call.house.present_instances()?;
    instances.retain(|instance| instance.id > after);
    let more = instances.len() > MOST;
    instances.truncate(MOST);
    let last = instances.last().filter(|_| more);
    let content = html! {
        @if instances.is_empty() && after == 0 { (first_steps()) }
        p { a.button.main href="/page/instances/new" { "New instance" } }
        @if !instances.is_empty() || after != 0 { (listed(call, &instances)?) }
        @if let Some(last) = last { p { (link(&format!("/?after={}", last.id), "More instances")) } }
    };
    Ok(page(visitor, 200, "Instances", &content))
}

fn first_steps() -> Markup {
    html! {
        p {
            "There are no instances yet. An instance is one OneDrive account that is polled, and the callback that \
             its changes go to."
        }
        ol {
            li { "Register an app at Microsoft, once." }
            li { "Create an instance here, and sign in to the account." }
            li { "Changes arrive at your callback from the first poll on." }
        }
    }
}

fn listed(call: &Call<'_>, instances: &[Instance]) -> Result<Markup, StoreError> {
    let plans = Plans::of_all(call)?;
    let mut rows: Vec<(&Instance, ResourceRow)> = Vec::new();
    for instance in instances {
        let mut resources = call.house.store.health(&instance.name)?;
        if resources.is_empty() {
            resources.push(without_resources(instance));
        }
        rows.extend(resources.into_iter().map(|resource| (instance, resource)));
    }
    let columns: &[Column<'_, (&Instance, ResourceRow)>] = &[
        ("Instance", &|(instance, _)| to_instance(instance)),
        ("Account type", &|(instance, _)| text(instance.element.as_str())),
        ("Resource", &|(_, row)| text(&row.resource)),
        ("Health", &|(_, row)| state(&row.health)),
        ("Last poll", &|(_, row)| time(row.last_poll_at.as_deref())),
        ("Next poll", &|(instance, row)| plans.next(instance.id, row)),
        ("#Pending", &|(_, row)| text(row.pending)),
        ("#Dead", &|(_, row)| text(row.dead)),
    ];
    Ok(table("Instances", &rows, columns))
}

/// The row of an instance that polls nothing.
fn without_resources(instance: &Instance) -> ResourceRow {
    let health = match instance.enabled {
        true => "events off",
        false => "disabled",
    };
    ResourceRow {
        resource: "–".to_owned(),
        health: health.to_owned(),
        ..ResourceRow::default()
    }
}
