//! What polls came to, and the delivery after them: in words and as JSON.

use serde_json::json;

use super::args::Args;
use super::failure::Failure;
use super::reply::Reply;
use super::table::counted;
use crate::core::poll::{Ending, Poll};
use crate::core::shown::shown;
use crate::deliver::Tally;

fn words_of(poll: &Poll) -> String {
    let Poll {
        instance,
        resource,
        pages,
        items,
        events,
        unchanged,
        filtered,
        faults,
        duration_ms,
        note,
        ..
    } = poll;
    let end = match poll.ending() {
        Ending::Stopped => ", stopped between two pages",
        Ending::Paused => {
            ", paused: the outbox is full, and polling goes on when it is below 90 % of its bound"
        }
        Ending::Done | Ending::Failed => "",
    };
    let faults = match faults {
        0 => String::new(),
        some => format!(", {}", counted(*some, "faulty record")),
    };
    let note = note
        .as_ref()
        .map_or_else(String::new, |note| format!("; {}", shown(note)));
    format!(
        "{} / {}: {}, {}, {} ({unchanged} unchanged, {filtered} filtered{faults}) in {:.1} s{end}{note}\n",
        shown(instance),
        shown(resource),
        counted(*pages, "page"),
        counted(*items, "item"),
        counted(*events, "event"),
        *duration_ms as f64 / 1000.0
    )
}

/// Why the command fails by this poll. Its hint belongs to the failure and is taken from it.
fn failure_of(poll: &mut Poll) -> Option<Failure> {
    let (instance, resource) = (shown(&poll.instance), shown(&poll.resource));
    match &poll.error {
        Some(error) => {
            let message = format!("could not poll `{resource}` of `{instance}`: {error}");
            Some(Failure::failed(message, poll.hint.take()))
        }
        None if poll.stopped => {
            let hint = "the next poll goes on from there".to_owned();
            Some(Failure::failed(
                format!("the poll of `{resource}` of `{instance}` was stopped"),
                Some(hint),
            ))
        }
        None => None,
    }
}

/// The reply that tells of `polls`, and of the delivery after them where there was one.
pub(super) fn reply(args: &Args, mut polls: Vec<Poll>, delivery: Option<Tally>) -> Reply {
    let undelivered = delivery.filter(|delivery| delivery.failed > 0).map(|delivery| {
        let hint = "`deltapost outbox list --state pending` shows why; they are tried again".to_owned();
        let notifications = counted(delivery.failed, "notification");
        Failure::failed(format!("{notifications} could not be delivered"), Some(hint))
    });
    let failure = Failure::all(polls.iter_mut().filter_map(failure_of).chain(undelivered));
    let reply = match (args.json, delivery) {
        (true, None) => Reply::json(&json!({"polls": polls})),
        (true, Some(Tally { delivered, failed })) => {
            Reply::json(&json!({"polls": polls, "delivery": {"delivered": delivered, "failed": failed}}))
        }
        (false, _) => Reply::text(words(&polls, delivery)),
    };
    reply.failing(failure)
}

fn words(polls: &[Poll], delivery: Option<Tally>) -> String {
    let mut words: String = polls
        .iter()
        .filter(|poll| poll.error.is_none())
        .map(words_of)
        .collect();
    if let Some(delivery) = delivery {
        if polls.is_empty() {
            words.push_str("nothing to poll: no enabled instance wants events\n");
        }
        words.push_str(&format!(
            "{} delivered\n",
            counted(delivery.delivered, "notification")
        ));
    }
    words
}
