//! Poll now: asks the agent, and waits a while for what comes of it.

use std::time::Duration;

use serde_json::{Value, json};

use super::super::call::Call;
use super::super::reply::{self, Refusal};
use super::super::route::{Table, Who, route};
use super::BASE;
use super::instances::meant;
use crate::commands::Asked;
use crate::core::poll::Poll;
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
    let _seat = call.web.polls.take()?;
    let asked = call
        .house
        .ask_for_polls(&instance, call.query("resource").as_deref(), Depth::Changes)?;
    let instance_id = instance.id;
    drop(instance);
    call.leave_room();
    let deadline = call.house.clock.uptime() + PATIENCE;
    let mut polls: Vec<(Asked, Option<Poll>)> = asked.into_iter().map(|asked| (asked, None)).collect();
    loop {
        for (asked, answer) in polls.iter_mut().filter(|(_, answer)| answer.is_none()) {
            *answer = call.house.poll_answer(asked)?;
        }
        let all = polls.iter().all(|(_, answer)| answer.is_some());
        if all || call.web.stopping() || call.house.clock.uptime() >= deadline {
            let entries: Vec<Value> = polls
                .iter()
                .map(|(asked, answer)| entry(asked, answer.as_ref()))
                .collect();
            let failed = polls
                .iter()
                .any(|(_, answer)| answer.as_ref().is_some_and(|answer| answer.error.is_some()));
            if failed {
                let each = entries.iter().filter_map(|poll| poll["error"].as_str());
                return Err(Refusal::new(502, each.collect::<Vec<_>>().join("\n")));
            }
            let status = if all { 200 } else { 202 };
            return Ok(reply::json(
                status,
                &json!({"instanceId": instance_id, "polls": entries}),
            ));
        }
        call.house.clock.sleep(LOOK);
    }
}

/// One poll as JSON; one that is under way has no answer.
fn entry(asked: &Asked, answer: Option<&Poll>) -> Value {
    let Some(poll) = answer else {
        return json!({"resource": asked.resource, "status": "under way"});
    };
    match &poll.error {
        Some(error) => {
            json!({"resource": asked.resource, "error": format!("resource `{}`: {error}", asked.resource)})
        }
        None => json!({
            "resource": asked.resource, "status": "done", "pages": poll.pages, "items": poll.items,
            "events": poll.events, "unchanged": poll.unchanged, "filtered": poll.filtered,
            "durationMs": poll.duration_ms, "note": poll.note,
        }),
    }
}
