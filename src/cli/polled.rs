//! What polls came to, and the delivery after them: in words and as JSON.

use serde::Serialize;
use serde_json::json;

use super::args::Args;
use super::failure::Failure;
use super::reply::Reply;
use super::table::counted;
use crate::commands::PollAnswer;
use crate::core::shown::shown;
use crate::deliver::Tally;
use crate::store::PollRecord;

/// One poll, as it is told.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Polled {
    instance: String,
    resource: String,
    #[serde(flatten)]
    record: Record,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip)]
    hint: Option<String>,
}

/// The numbers of a poll.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    pages: u64,
    items: u64,
    events: u64,
    unchanged: u64,
    filtered: u64,
    /// Records that could not be judged.
    #[serde(skip_serializing_if = "is_none")]
    faults: u64,
    duration_ms: i64,
    /// A stale token, a gap.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
    /// It was asked to stop between two pages.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    stopped: bool,
    /// It ended between two pages since the outbox is full.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    paused: bool,
}

impl From<PollRecord> for Record {
    fn from(record: PollRecord) -> Record {
        let PollRecord {
            duration_ms,
            pages,
            items,
            events,
            unchanged,
            filtered,
            faults,
            note,
            stopped,
            paused,
            ..
        } = record;
        Record {
            pages,
            items,
            events,
            unchanged,
            filtered,
            faults,
            duration_ms,
            note,
            stopped,
            paused,
        }
    }
}

/// Whether a count is not worth a word.
fn is_none(count: &u64) -> bool {
    *count == 0
}

impl Polled {
    /// The poll of `resource` of `instance` that was answered so.
    pub(super) fn of(instance: &str, resource: &str, answer: PollAnswer) -> Polled {
        let record = answer.record.unwrap_or_default();
        Polled {
            instance: instance.to_owned(),
            resource: resource.to_owned(),
            error: answer.error.or_else(|| record.error.clone()),
            hint: answer.hint,
            record: record.into(),
        }
    }

    fn words(&self) -> String {
        let Record {
            pages,
            items,
            events,
            unchanged,
            filtered,
            faults,
            duration_ms,
            note,
            stopped,
            paused,
        } = &self.record;
        let end = match (stopped, paused) {
            (true, _) => ", stopped between two pages",
            (false, true) => {
                ", paused: the outbox is full, and polling goes on when it is below 90 % of its bound"
            }
            (false, false) => "",
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
            shown(&self.instance),
            shown(&self.resource),
            counted(*pages, "page"),
            counted(*items, "item"),
            counted(*events, "event"),
            *duration_ms as f64 / 1000.0
        )
    }

    fn failure(&self) -> Option<Failure> {
        let (instance, resource) = (shown(&self.instance), shown(&self.resource));
        match &self.error {
            Some(error) => {
                let message = format!("could not poll `{resource}` of `{instance}`: {error}");
                Some(Failure::failed(message, self.hint.clone()))
            }
            None if self.record.stopped => {
                let hint = "the next poll goes on from there".to_owned();
                Some(Failure::failed(
                    format!("the poll of `{resource}` of `{instance}` was stopped"),
                    Some(hint),
                ))
            }
            None => None,
        }
    }
}

/// The reply that tells of `polls`, and of the delivery after them where there was one.
pub(super) fn told(args: &Args, polls: &[Polled], delivery: Option<Tally>) -> Reply {
    let undelivered = delivery.filter(|delivery| delivery.failed > 0).map(|delivery| {
        let hint = "`deltapost outbox list --state pending` shows why; they are tried again".to_owned();
        let notifications = counted(delivery.failed, "notification");
        Failure::failed(format!("{notifications} could not be delivered"), Some(hint))
    });
    let failure = Failure::all(polls.iter().filter_map(Polled::failure).chain(undelivered));
    let reply = match (args.json, delivery) {
        (true, None) => Reply::json(&json!({"polls": polls})),
        (true, Some(Tally { delivered, failed })) => {
            Reply::json(&json!({"polls": polls, "delivery": {"delivered": delivered, "failed": failed}}))
        }
        (false, _) => Reply::text(words(polls, delivery)),
    };
    reply.failing(failure)
}

fn words(polls: &[Polled], delivery: Option<Tally>) -> String {
    let mut words: String = polls
        .iter()
        .filter(|poll| poll.error.is_none())
        .map(Polled::words)
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
