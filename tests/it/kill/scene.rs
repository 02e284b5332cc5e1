//! A box whose agent keeps dying, and what its receiver and its database must say of it in the end.

use std::collections::BTreeSet;
use std::time::Duration;

use deltapost::clock::{Clock, SystemClock};
use deltapost::sim::onedrive::{Account, Drive, Tree};
use serde_json::{Value, json};

use crate::support::process::Agent;
use crate::support::{Site, ledger};

/// Events per notification: few, so that there are many notifications.
const BATCH: usize = 5;

/// One agent's end.
struct Death {
    /// Requests that had come to the receiver by then.
    requests: usize,
    /// Ids of the notifications that the database knew to be delivered by then.
    recorded: BTreeSet<String>,
}

/// What stands in the database between two processes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) phase: String,
    pub(crate) cursor_seq: u64,
    pub(crate) items: u64,
    pub(crate) doomed: u64,
    /// Notifications written.
    pub(crate) written: u64,
    pub(crate) delivered: u64,
    pub(crate) attempts: u64,
}

pub(crate) struct Scene {
    pub(crate) site: Site,
    deaths: Vec<Death>,
}

impl Scene {
    /// A box with one instance, `events`, that announces everything from the first page on, in pages of `page_size`.
    pub(crate) fn new(account: Account, page_size: usize) -> Scene {
        let scene = Scene {
            site: Site::configured(account, &format!("[delivery]\nbatch = {BATCH}\n")),
            deaths: Vec::new(),
        };
        scene.site.create_instance("first", polled_by(page_size));
        scene
    }

    /// Adds an account with an instance of its own.
    pub(crate) fn join(&self, account: Account, name: &str, page_size: usize) -> Drive {
        let drive = self.site.cloud.add_account(account);
        self.site.create_instance_of(&drive, name, polled_by(page_size));
        drive
    }

    /// Runs `deltapost ARGS` until it dies at `point`, as it must.
    #[track_caller]
    pub(crate) fn die_at(&mut self, point: &str, args: &[&str]) {
        let agent = self.site.spawn(args, &[("DELTAPOST_KILL_AT", point)]);
        assert_eq!(agent.wait(), None, "it should have died at {point:?}");
        self.note_death();
    }

    /// Runs `deltapost once` until it dies at `point`, or ends by itself without having come there. Returns whether it
    /// died.
    #[track_caller]
    pub(crate) fn dies_at(&mut self, point: &str) -> bool {
        match self.site.spawn(&["once"], &[("DELTAPOST_KILL_AT", point)]).wait() {
            None => {
                self.note_death();
                true
            }
            Some(code) => {
                assert_eq!(code, 0, "`once` fails");
                false
            }
        }
    }

    /// Kills `agent`, whatever it is doing.
    pub(crate) fn kill(&mut self, agent: Agent) {
        agent.kill();
        self.note_death();
    }

    fn note_death(&mut self) {
        let recorded = self
            .site
            .sql("SELECT event_id FROM outbox WHERE state = 'delivered'");
        self.deaths.push(Death {
            requests: self.site.receiver.deliveries().len(),
            recorded: recorded.into_iter().flatten().collect(),
        });
    }

    /// Asks for a poll of every resource for which nobody waits yet, as a command does of a running agent.
    pub(crate) fn ask_for_polls(&self, depth: &str) {
        self.site.write_sql(&format!(
            "INSERT INTO request (resource_id, depth, created_at)
             SELECT id, '{depth}', strftime('%Y-%m-%dT%H:%M:%fZ', 'now') FROM resource
              WHERE NOT EXISTS (SELECT 1 FROM request q WHERE q.resource_id = resource.id AND q.state = 'waiting')"
        ));
    }

    /// Forgets what was asked for: the commands that waited have gone with their agent.
    pub(crate) fn ask_for_nothing(&self) {
        self.site.write_sql("DELETE FROM request");
    }

    pub(crate) fn standing(&self) -> Standing {
        let number = |query: &str| self.site.cell(query).parse().unwrap();
        Standing {
            phase: self.site.cell("SELECT min(phase) FROM resource"),
            cursor_seq: number("SELECT sum(cursor_seq) FROM resource"),
            items: number("SELECT count(*) FROM item"),
            doomed: number("SELECT count(*) FROM item WHERE doomed > 0"),
            written: number("SELECT count(*) FROM outbox"),
            delivered: number("SELECT count(*) FROM outbox WHERE state = 'delivered'"),
            attempts: number("SELECT count(*) FROM attempt"),
        }
    }

    /// Lets the agent catch up undisturbed: the first poll ends the set that was being read, the second reads what came
    /// after it, and the third finds nothing.
    #[track_caller]
    pub(crate) fn settle(&self) {
        self.site.once().code(0);
        self.site.once().code(0);
        let written = self.standing().written;
        self.site.once().code(0);
        assert_eq!(
            self.standing().written,
            written,
            "something is announced of a drive that rests"
        );
    }

    /// Everything that a receiver may count on, however often the agent died.
    #[track_caller]
    pub(crate) fn check(&self, drives: &[Drive]) {
        let counts = self.site.receiver.counts();
        assert_eq!((counts.changed, counts.unverified), (0, 0), "{counts:?}");
        assert_eq!(
            self.site.sql("SELECT id FROM outbox WHERE state <> 'delivered'"),
            Vec::<Vec<String>>::new()
        );
        assert_eq!(self.site.cell("PRAGMA integrity_check"), "ok");
        self.check_recorded_stay_recorded();
        for (number, drive) in drives.iter().enumerate() {
            let instance = number as i64 + 1;
            self.check_order(instance);
            let mut events = self.site.receiver.events();
            events.retain(|event| event.instance == instance);
            ledger::check_replay(&Tree::new(), &events, &drive.tree());
        }
    }

    /// What is known to be delivered is not sent again.
    #[track_caller]
    fn check_recorded_stay_recorded(&self) {
        let deliveries = self.site.receiver.deliveries();
        for (number, death) in self.deaths.iter().enumerate() {
            for again in &deliveries[death.requests..] {
                let id = &again.id;
                assert!(
                    !death.recorded.contains(id),
                    "{id} was recorded before death {number}, and came again"
                );
            }
        }
    }

    /// First deliveries come in the order of the outbox, none left out and none that is not in it; after a death the
    /// sequence begins again somewhere before, and goes on in order.
    #[track_caller]
    fn check_order(&self, instance: i64) {
        let written = self.site.sql(&format!(
            "SELECT event_id FROM outbox WHERE instance_id = {instance} ORDER BY id"
        ));
        let written: Vec<String> = written.into_iter().flatten().collect();
        let theirs = format!("\"instanceId\":{instance},");
        let deliveries = self.site.receiver.deliveries();
        let of_instance = deliveries
            .iter()
            .filter(|delivery| String::from_utf8_lossy(&delivery.body).contains(&theirs));
        let (mut next, mut furthest, mut returns) = (0, 0, 0);
        for delivery in of_instance {
            if written.get(next) != Some(&delivery.id) {
                let place = written[..furthest].iter().position(|id| *id == delivery.id);
                next = place.unwrap_or_else(|| {
                    panic!(
                        "instance {instance}: {} came instead of number {next}",
                        delivery.id
                    )
                });
                returns += 1;
            }
            next += 1;
            furthest = furthest.max(next);
        }
        assert_eq!(furthest, written.len(), "instance {instance}: not all came");
        let deaths = self.deaths.len();
        assert!(
            returns <= deaths,
            "instance {instance}: {returns} returns for {deaths} deaths"
        );
    }
}

/// Waits until `is_so`, or `at_most` has passed. Returns whether it is so.
pub(crate) fn within(at_most: Duration, mut is_so: impl FnMut() -> bool) -> bool {
    let deadline = SystemClock.now() + at_most;
    while SystemClock.now() < deadline {
        if is_so() {
            return true;
        }
        SystemClock.sleep(Duration::from_millis(1));
    }
    is_so()
}

fn polled_by(page_size: usize) -> Value {
    let resource = json!({"url": "/hubs/documents/events", "baseline": "emit", "pageSize": page_size});
    json!({"event.poller.configuration": {"events": resource}})
}
