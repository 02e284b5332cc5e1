//! Poll now: asks the agent, and waits a while for what comes of it.

use std::time::Duration;

use serde_json::{Value, json};

use super::super::call::Call;
use super::super::reply::{self, Refusal};
use super::super::route::{Table, Who, route};
use super::BASE;
use super::instances::meant;
use crate::commands::{Asked, PollAnswer};
use crate::httpd::Reply;
use crate::store::Depth;

pub(crate) const TABLE: Table = Table {
    base: BASE,
    routes: &[
        route("POST", "/instances/poll", Who::Instance, poll),
        route("POST", "/instances/{id}/poll", Who::Client, poll),
    ],
};

/// How long a client is kept waiting; a first reading can take hours, and goes on by itself.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often the database is asked for an answer.
const LOOK: Duration = Duration::from_millis(50);

/// Polls all resources, or the `resource` of the query. 200 when all came to their end, 202 when some are still at it.
fn poll(call: &Call<'_>) -> Result<Reply, Refusal> {
    let instance = meant(call)?;
    let asked = call
        .house
        .ask_for_polls(&instance, call.query("resource").as_deref(), Depth::Changes)?;
    let deadline = call
        .house
        .clock
        .now()
        .saturating_add(PATIENCE)
        .unwrap_or(jiff::Timestamp::MAX);
    let mut polls: Vec<(Asked, Option<PollAnswer>)> = asked.into_iter().map(|asked| (asked, None)).collect();
    loop {
        for (asked, answer) in polls.iter_mut().filter(|(_, answer)| answer.is_none()) {
            *answer = call.house.poll_answer(asked)?;
        }
        let all = polls.iter().all(|(_, answer)| answer.is_some());
        if all || call.web.stopping() || call.house.clock.now() >= deadline {
            let told: Vec<Value> = polls
                .iter()
                .map(|(asked, answer)| told(asked, answer.as_ref()))
                .collect();
            let failed = polls
                .iter()
                .any(|(_, answer)| answer.as_ref().is_some_and(|answer| answer.error.is_some()));
            if failed {
                let each = told.iter().filter_map(|poll| poll["error"].as_str());
                return Err(Refusal::new(502, each.collect::<Vec<_>>().join("\n")));
            }
            let status = if all { 200 } else { 202 };
            return Ok(reply::json(
                status,
                &json!({"instanceId": instance.id, "polls": told}),
            ));
        }
        call.house.clock.sleep(LOOK);
    }
}

fn told(asked: &Asked, answer: Option<&PollAnswer>) -> Value {
    match answer {
        None => json!({"resource": asked.resource, "status": "under way"}),
        Some(PollAnswer {
            error: Some(error), ..
        }) => {
            json!({"resource": asked.resource, "error": format!("resource `{}`: {error}", asked.resource)})
        }
        Some(PollAnswer { record, .. }) => {
            let record = record.clone().unwrap_or_default();
            json!({
                "resource": asked.resource, "status": "done", "pages": record.pages, "items": record.items,
                "events": record.events, "unchanged": record.unchanged, "filtered": record.filtered,
                "durationMs": record.duration_ms, "note": record.note,
            })
        }
    }
}
