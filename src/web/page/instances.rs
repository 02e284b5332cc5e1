//! The first page: every instance with its health in words, its polls and what waits.

use super::super::call::Call;
use super::super::reply::Refusal;
use super::html::Html;
use super::layout::{link, number, page, state, table, text, time};
use super::plans::Plans;
use super::visitor::Visitor;
use crate::core::model::Instance;
use crate::httpd::Reply;
use crate::store::{ResourceRow, Store, StoreError};

/// Instances on one page.
const MOST: usize = 100;

pub(super) fn show(call: &Call<'_>, visitor: &Visitor) -> Result<Reply, Refusal> {
    let after = call.query_as::<i64>("after", "an instance's id")?.unwrap_or(0);
    let mut instances = call.house.present_instances()?;
    instances.retain(|instance| instance.id > after);
    let more = instances.len() > MOST;
    instances.truncate(MOST);
    let new = "<p><a class=\"button main\" href=\"/page/instances/new\">New instance</a></p>";
    if instances.is_empty() && after == 0 {
        let content = Html::new()
                .raw(
                    "<p>There are no instances yet. An instance is one OneDrive account that is polled, and the callback that \
                     its changes go to.</p><ol><li>Register an app at Microsoft, once.</li><li>Create an instance here, and \
                     sign in to the account.</li><li>Changes arrive at your callback from the first poll on.</li></ol>",
                )
                .raw(new);
        return Ok(page(visitor, 200, "Instances", &content));
    }
    let plans = Plans::of_all(call)?;
    let mut rows = Vec::new();
    for instance in &instances {
        rows.extend(lines(call.house.store, &plans, instance)?);
    }
    let headings = [
        "Instance",
        "Account type",
        "Resource",
        "Health",
        "Last poll",
        "Next poll",
        "#Pending",
        "#Dead",
    ];
    let last = instances.last().map_or(0, |last| last.id);
    let content = Html::new()
        .raw(new)
        .add(&table("Instances", &headings, rows))
        .some(more.then_some(last), |last| {
            Html::new()
                .raw("<p>")
                .add(&link(&format!("/?after={last}"), "More instances"))
                .raw("</p>")
        });
    Ok(page(visitor, 200, "Instances", &content))
}

fn lines(store: &Store, plans: &Plans<'_>, instance: &Instance) -> Result<Vec<Vec<Html>>, StoreError> {
    let resources = store.health(&instance.name)?;
    let name = || link(&format!("/page/instances/{}", instance.id), &instance.name);
    if resources.is_empty() {
        let health = if instance.enabled {
            "events off"
        } else {
            "disabled"
        };
        let mut row = vec![name(), text(instance.element.as_str()), text("–"), state(health)];
        row.extend([time(None), time(None), number(0), number(0)]);
        return Ok(vec![row]);
    }
    let line = |resource: ResourceRow| {
        vec![
            name(),
            text(instance.element.as_str()),
            text(&resource.resource),
            state(&resource.health),
            time(resource.last_poll_at.as_deref()),
            plans.next(instance.id, &resource.resource, resource.next_poll_at.as_deref()),
            number(resource.pending),
            number(resource.dead),
        ]
    };
    Ok(resources.into_iter().map(line).collect())
}
