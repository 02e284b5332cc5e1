//! What is told of how everything stands: what the command line prints, the metrics show and the health is judged by; what
//! lately happened to one instance; and what this process has counted. The gauges are cheap enough to be asked for every few
//! seconds: no notification is counted.

use std::sync::atomic::{AtomicU64, Ordering};

use jiff::Timestamp;

use super::endpoints::{Attempt, Recorded};
use super::rows::{Queries, row};
use super::{Store, StoreError};
use crate::core::histogram::{Histogram, Reading};
use crate::core::model::{EndpointState, EventType, OutboxState};
use crate::core::poll::{Ending, Poll};
use crate::core::retry::{Class, Fate};

/// One resource's line of `instance_health`.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ResourceRow {
    pub resource: String,
    pub health: String,
    pub mode: String,
    pub phase: String,
    pub last_poll_at: Option<String>,
    pub last_success_at: Option<String>,
    pub next_poll_at: Option<String>,
    pub last_error: Option<String>,
    /// Records that could not be judged, since the resource was learnt, and what was wrong with the last of them.
    pub faults: i64,
    pub last_fault: Option<String>,
    pub pending: i64,
    pub dead: i64,
}

/// How the whole agent stands, in four numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overview {
    pub instances: i64,
    /// Events in notifications that are pending or dead.
    pub undelivered: i64,
    /// Instances that a person must sign in to again.
    pub logins: i64,
    /// Endpoints that back off or are disabled.
    pub failing: i64,
}

/// Where the metrics of one kind end: a box with more instances is watched by its database.
const MOST: i64 = 1_000;

/// A resource that is polled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceGauge {
    pub instance_id: i64,
    pub name: String,
    /// When a poll of it last came to its end, or when it was set up.
    pub current_at: Timestamp,
    /// Polls that failed in a row.
    pub failures: u32,
}

/// An endpoint and what waits for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointGauge {
    pub id: i64,
    pub state: EndpointState,
    /// Pending and dead, of its instances.
    pub backlog_events: u64,
    pub backlog_bytes: u64,
    /// When the oldest notification that is pending for it was written.
    pub oldest_pending_at: Option<Timestamp>,
}

/// One event of the past.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PastEvent {
    /// The notification that it stands in.
    pub outbox_id: i64,
    /// That notification's state.
    pub state: OutboxState,
    pub created_at: String,
    pub event_type: EventType,
    pub object_type: String,
    pub object_id: String,
    pub path: Option<String>,
    /// What changed, a JSON array of words; `None` where the notification's format does not say.
    pub changes: Option<String>,
}

impl Store {
    /// How the whole agent stands.
    pub fn standing(&self) -> Result<Overview, StoreError> {
        let standing = self.first(
            "SELECT count(*) AS instances, ifnull(sum(backlog_events), 0) AS undelivered,
                    ifnull(sum(grant_state = 'login_required'), 0) AS logins,
                    (SELECT count(*) FROM endpoint WHERE state <> 'active') AS failing
               FROM instance",
            [],
            row!(Overview {
                instances,
                undelivered,
                logins,
                failing
            }),
        )?;
        Ok(standing.unwrap_or_default())
    }

    /// What `instance_health` says of an instance, a line for each resource.
    pub fn health(&self, instance: &str) -> Result<Vec<ResourceRow>, StoreError> {
        self.health_of_first(u32::MAX, instance)
    }

    /// The same for its first `most` resources.
    pub fn health_of_first(&self, most: u32, instance: &str) -> Result<Vec<ResourceRow>, StoreError> {
        self.all(
            "SELECT resource, health, mode, phase, last_poll_at, last_success_at, next_poll_at, last_error, faults,
                    last_fault, pending, dead
               FROM instance_health WHERE instance = ?1 AND resource IS NOT NULL LIMIT ?2",
            (instance, most),
            row!(ResourceRow {
                resource,
                health,
                mode,
                phase,
                last_poll_at,
                last_success_at,
                next_poll_at,
                last_error,
                faults,
                last_fault,
                pending,
                dead,
            }),
        )
    }

    /// The first thousand resources that are polled.
    pub fn resource_gauges(&self) -> Result<Vec<ResourceGauge>, StoreError> {
        self.all(
            "SELECT r.instance_id, r.name, coalesce(r.last_success_at, r.started_at) AS current_at, r.failures
               FROM resource r JOIN instance i ON i.id = r.instance_id
              WHERE i.enabled AND i.events_enabled AND i.deleting_since IS NULL
              ORDER BY r.instance_id, r.id LIMIT ?1",
            [MOST],
            row!(ResourceGauge { instance_id, name, current_at, failures }),
        )
    }

    /// The first thousand endpoints.
    pub fn endpoint_gauges(&self) -> Result<Vec<EndpointGauge>, StoreError> {
        self.all(
            "SELECT e.id, e.state, coalesce(sum(i.backlog_events), 0) AS backlog_events,
                    coalesce(sum(i.backlog_bytes), 0) AS backlog_bytes,
                    min((SELECT created_at FROM outbox INDEXED BY outbox_pending_by_instance
                          WHERE instance_id = i.id AND state = 'pending' ORDER BY id LIMIT 1)) AS oldest_pending_at
               FROM endpoint e LEFT JOIN instance i ON i.endpoint_id = e.id
              GROUP BY e.id ORDER BY e.id LIMIT ?1",
            [MOST],
            row!(EndpointGauge { id, state, backlog_events, backlog_bytes, oldest_pending_at }),
        )
    }

    /// When the oldest pending notification of all was written.
    pub fn oldest_pending_at(&self) -> Result<Option<Timestamp>, StoreError> {
        self.value(
            "SELECT min((SELECT created_at FROM outbox INDEXED BY outbox_pending_by_instance
                          WHERE instance_id = i.id AND state = 'pending' ORDER BY id LIMIT 1))
               FROM instance i",
            [],
        )
    }

    /// The newest polls of an instance.
    pub fn past_polls(&self, instance_id: i64, most: u32) -> Result<Vec<Poll>, StoreError> {
        self.all(
            "SELECT p.*, r.name AS resource, i.name AS instance,
                    p.outcome = 'stopped' AS stopped, p.outcome = 'paused' AS paused
               FROM poll p JOIN resource r ON r.id = p.resource_id JOIN instance i ON i.id = r.instance_id
              WHERE i.id = ?1 ORDER BY p.id DESC LIMIT ?2",
            (instance_id, most),
            |row| {
                row!(row => Poll {
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
                    stopped,
                    paused,
                    error,
                    hint: None,
                    started_at,
                    postponed: false,
                })
            },
        )
    }

    /// The newest events of an instance.
    pub fn past_events(&self, instance_id: i64, most: u32) -> Result<Vec<PastEvent>, StoreError> {
        self.all(
                "SELECT o.id AS outbox_id, o.state, o.created_at, v.event_type, v.object_type, v.object_id, v.path,
                        CASE o.format WHEN 'elements'
                             THEN json_extract(CAST(o.body AS TEXT), '$.message.events[' || v.position || '].changes')
                        END AS changes
                   FROM (SELECT * FROM outbox WHERE instance_id = ?1 ORDER BY id DESC LIMIT ?2) o
                   JOIN event v ON v.outbox_id = o.id
                  ORDER BY o.id DESC, v.position DESC LIMIT ?2",
            (instance_id, most),
            row!(PastEvent { outbox_id, state, created_at, event_type, object_type, object_id, path, changes }),
        )
    }
}

/// What attempts come to, as the counters name it. The last: nothing could be sent.
pub const CLASSES: [&str; 5] = ["accepted", "refused", "gone", "failed", "withheld"];

/// What this process has recorded since it opened the store: attempts and polls, by what they came to and how long they took.
/// Rows are purged in their time, so counting them would give numbers that fall; these only rise.
#[derive(Debug, Default)]
pub struct Counters {
    attempts: [AtomicU64; CLASSES.len()],
    attempt_times: Histogram,
    deaths: AtomicU64,
    polls: [AtomicU64; Ending::ALL.len()],
    poll_times: Histogram,
    events: AtomicU64,
    items: AtomicU64,
}

/// The counts at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Attempts, by `CLASSES`.
    pub attempts: [u64; CLASSES.len()],
    pub attempt_times: Reading,
    /// Notifications that became dead.
    pub deaths: u64,
    /// Polls, by `Ending`.
    pub polls: [u64; Ending::ALL.len()],
    pub poll_times: Reading,
    /// Events that polls have written.
    pub events: u64,
    /// Items that polls have read.
    pub items: u64,
}

impl Counters {
    /// The counts now.
    pub fn read(&self) -> Counts {
        let all = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Counts {
            attempts: self.attempts.each_ref().map(all),
            attempt_times: self.attempt_times.read(),
            deaths: all(&self.deaths),
            polls: self.polls.each_ref().map(all),
            poll_times: self.poll_times.read(),
            events: all(&self.events),
            items: all(&self.items),
        }
    }

    /// Counts attempts that have been committed, with what they came to.
    pub(super) fn count_attempts(&self, attempts: &[Attempt], recorded: &[Recorded]) {
        let dead = recorded
            .iter()
            .filter(|recorded| matches!(recorded.fate, Fate::Dead { .. }));
        self.deaths.fetch_add(dead.count() as u64, Ordering::Relaxed);
        for attempt in attempts {
            let class = match attempt.outcome.map(|outcome| outcome.class) {
                Some(Class::Accepted) => 0,
                Some(Class::Refused) => 1,
                Some(Class::Gone) => 2,
                Some(Class::Failed) => 3,
                None => 4,
            };
            self.attempts[class].fetch_add(1, Ordering::Relaxed);
            if attempt.outcome.is_some() {
                let took = attempt.ended_at.duration_since(attempt.began_at).as_millis();
                self.attempt_times.count(u64::try_from(took).unwrap_or(0));
            }
        }
    }

    /// Counts a poll that has been committed.
    pub(super) fn count_poll(&self, poll: &Poll) {
        self.polls[poll.ending() as usize].fetch_add(1, Ordering::Relaxed);
        self.poll_times
            .count(u64::try_from(poll.duration_ms).unwrap_or(0));
        self.events.fetch_add(poll.events, Ordering::Relaxed);
        self.items.fetch_add(poll.items, Ordering::Relaxed);
    }
}
