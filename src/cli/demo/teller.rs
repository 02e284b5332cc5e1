//! What the demonstration says: a line for each thing that happens and each event that arrives, and the summary.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;

use super::super::failure::Failure;
use super::super::table::counted;
use crate::clock::{Clock, SystemClock};
use crate::core::model::{Event, time_text};
use crate::core::poll::Poll;
use crate::core::shown::shown;
use crate::sim::receiver::{Answer, Counts, Delivery, Received};

/// Says lines on standard output, each with its time of day in UTC.
#[derive(Debug)]
pub(super) struct Teller {
    speaks: bool,
    /// Set when nobody listens any more.
    stop: Arc<AtomicBool>,
}

impl Teller {
    /// One that says nothing unless it `speaks`, and sets `stop` when standard output is closed.
    pub(super) fn new(speaks: bool, stop: Arc<AtomicBool>) -> Teller {
        Teller { speaks, stop }
    }

    fn say(&self, who: &str, what: &str) {
        let time = time_text(SystemClock.now());
        let time = time.get(11..23).unwrap_or_default();
        if self.speaks && writeln!(io::stdout(), "{time}  {who:<8}  {what}").is_err() {
            self.stop.store(true, Ordering::Relaxed);
        }
    }

    /// The stage is set; where the user has named a callback, with this key to verify signatures by. It is good for
    /// this demonstration only, so it may be told.
    pub(super) fn begins(&self, foreign_key: Option<&str>) {
        self.say(
            "demo",
            "a simulated OneDrive, and the agent in a temporary directory",
        );
        let to = match foreign_key {
            Some(key) => format!("the callback that you name, signed with the key `{key}`"),
            None => "a receiver on 127.0.0.1 that verifies both signatures".to_owned(),
        };
        self.say("demo", &format!("events go to {to}"));
    }

    /// The baseline is read.
    pub(super) fn learnt(&self, poll: &Poll) {
        let (items, pages) = (counted(poll.items, "item"), counted(poll.pages, "page"));
        self.say(
            "agent",
            &format!("learnt {items} in {pages}, silently: what changes from now on is an event"),
        );
    }

    /// Something happened on the drive.
    pub(super) fn changed(&self, what: &str) {
        self.say("drive", what);
    }

    /// A notification has come to our receiver.
    pub(super) fn delivery(&self, delivery: &Delivery) {
        if let Err(reason) = &delivery.verdict {
            return self.say("receiver", &format!("not verified: {}", shown(reason)));
        }
        if !matches!(delivery.answer, Answer::Status(200..=299)) {
            return self.say(
                "receiver",
                "fails on purpose with 500: this notification comes again, under the same id",
            );
        }
        for Received {
            event_type,
            object_type,
            path,
            changes,
            ..
        } in &delivery.events
        {
            self.event(event_type.as_str(), object_type, path.as_deref(), changes);
        }
    }

    /// A notification has been taken by the user's callback.
    pub(super) fn sent(&self, events: &[Event]) {
        for Event {
            event_type,
            object_type,
            path,
            ..
        } in events
        {
            self.event(event_type.as_str(), object_type, path.as_deref(), &[]);
        }
    }

    fn event(&self, event_type: &str, object_type: &str, path: Option<&str>, changes: &[String]) {
        let path = path.map_or_else(|| "(in a folder that is not known yet)".to_owned(), shown);
        let changes = match changes {
            [] => String::new(),
            changes => format!("  ({})", shown(&changes.join(", "))),
        };
        self.say(event_type, &format!("{} {path}{changes}", shown(object_type)));
    }
}

/// What our receiver counted.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Receipts {
    requests: u64,
    duplicates: u64,
    /// Bodies that were not the same when they came again.
    changed: u64,
    unverified: u64,
}

impl From<Counts> for Receipts {
    fn from(counts: Counts) -> Receipts {
        let Counts {
            requests,
            duplicates,
            changed,
            unverified,
            ..
        } = counts;
        Receipts {
            requests,
            duplicates,
            changed,
            unverified,
        }
    }
}

/// What the demonstration came to.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Summary {
    pub(super) seconds: f64,
    pub(super) polls: u64,
    pub(super) failed_poll: Option<String>,
    /// Things that happened on the drive.
    pub(super) changes: u64,
    /// Delivered.
    pub(super) notifications: u64,
    /// Delivered.
    pub(super) events: u64,
    /// Notifications that were not delivered.
    pub(super) pending: u64,
    /// Why not, when the callback has said so.
    pub(super) last_error: Option<String>,
    /// `None` where the user named a callback.
    pub(super) received: Option<Receipts>,
    /// What the events get wrong about the drive.
    pub(super) contradictions: Vec<String>,
}

impl Summary {
    /// For people: whole lines.
    pub(super) fn words(&self) -> String {
        let duplicates = match &self.received {
            Some(received) => format!(", {}", counted(received.duplicates, "duplicate")),
            None => String::new(),
        };
        let counts = format!(
            "\n{}, {} on the drive, {} delivered in {}{duplicates}, {:.1} s\n",
            counted(self.polls, "poll"),
            counted(self.changes, "change"),
            counted(self.events, "event"),
            counted(self.notifications, "notification"),
            self.seconds
        );
        match (&self.received, self.failure()) {
            (Some(_), None) => {
                counts + "every signature is good, and the events describe the drive exactly\n"
            }
            _ => counts,
        }
    }

    /// What went wrong, if anything did.
    pub(super) fn failure(&self) -> Option<Failure> {
        let failed = |message: String| Some(Failure::failed(message, None));
        let receipts = self.received.iter().flat_map(|received| {
            [
                (received.unverified > 0).then(|| format!("{} could not be verified", received.unverified)),
                (received.changed > 0).then(|| format!("{} came again with another body", received.changed)),
            ]
        });
        let problems = receipts
            .flatten()
            .chain((self.pending > 0).then(|| self.undelivered()))
            .chain(
                self.failed_poll
                    .iter()
                    .map(|error| format!("a poll failed: {error}")),
            )
            .chain(self.contradictions.iter().take(10).cloned());
        Failure::all(problems.filter_map(failed))
    }
    fn undelivered(&self) -> String {
        let why = self
            .last_error
            .as_deref()
            .map_or_else(String::new, |error| format!(": {}", shown(error)));
        format!("{} not delivered{why}", counted(self.pending, "notification"))
    }
}
