//! The first page: every instance with its health in words, its polls and what waits.

use maud::{Markup, html};

use super::super::call::Call;
use super::super::reply::Refusal;
use super::layout::{link, page, state, table, text, time, to_instance};
use super::plans::Plans;
use super::visitor::Visitor;
use crate::httpd::Reply;
use crate::store::{InstanceListing, InstanceRow, ResourceRow, StoreError};

/// Instances on one page, and resources at which it ends.
const MOST: usize = 100;

/// Resources of one instance.
const MOST_OF_ONE: u32 = 20;

pub(super) fn show(call: &Call<'_>, visitor: &Visitor) -> Result<Reply, Refusal> {
    let after = call.query_as::<i64>("after", "an instance's id")?.unwrap_or(0);
    let instances = call.house.store.listed_instances(&InstanceListing {
        after,
        most: MOST + 1,
        ..InstanceListing::default()
    })?;
    let content = html! {
        @if instances.is_empty() && after == 0 { (first_steps()) }
        p { a.button.main href="/page/instances/new" { "New instance" } }
        @if !instances.is_empty() || after != 0 { (listed(call, &instances)?) }
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

/// What one row shows.
struct Line<'i> {
    instance: &'i InstanceRow,
    resource: ResourceRow,
    next_poll: Markup,
}

/// As many of `instances` as a page takes.
fn listed(call: &Call<'_>, instances: &[InstanceRow]) -> Result<Markup, StoreError> {
    let (mut lines, mut shown, mut is_cut): (Vec<Line<'_>>, _, _) = (Vec::new(), 0, false);
    for instance in instances.iter().take(MOST) {
        if lines.len() >= MOST {
            break;
        }
        let store = &call.house.store;
        let mut resources = store.health_of_first(MOST_OF_ONE + 1, &instance.name)?;
        is_cut |= resources.len() > MOST_OF_ONE as usize;
        resources.truncate(MOST_OF_ONE as usize);
        if resources.is_empty() {
            resources.push(without_resources(instance));
        }
        let plans = Plans::of(call, instance.id, &resources)?;
        lines.extend(resources.into_iter().map(|resource| Line {
            instance,
            next_poll: plans.next(&resource),
            resource,
        }));
        shown += 1;
    }
    let last = instances[..shown].last().filter(|_| shown < instances.len());
    Ok(html! {
        (table("Instances", &lines, &[
            ("Instance", &|line| to_instance(line.instance.id, &line.instance.name)),
            ("Account type", &|line| text(line.instance.element.as_str())),
            ("Resource", &|line| text(&line.resource.resource)),
            ("Health", &|line| state(&line.resource.health)),
            ("Last poll", &|line| time(line.resource.last_poll_at.as_deref())),
            ("Next poll", &|line| text(&line.next_poll)),
            ("#Pending", &|line| text(line.resource.pending)),
            ("#Dead", &|line| text(line.resource.dead)),
        ]))
        @if is_cut { p.dim { "Of each instance, these are the first " (MOST_OF_ONE) " resources." } }
        @if let Some(last) = last { p { (link(&format!("/?after={}", last.id), "More instances")) } }
    })
}

/// The row of an instance that polls nothing.
fn without_resources(instance: &InstanceRow) -> ResourceRow {
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
