//! Read-only answers for people: what the command line prints.

use rusqlite::{OptionalExtension, Row};

use super::listing::body;
use super::{Store, StoreError};
use crate::core::model::OutboxState;

/// Notifications of one endpoint in one state.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OutboxCount {
    pub endpoint: Option<String>,
    pub endpoint_id: Option<i64>,
    pub endpoint_state: Option<String>,
    pub state: String,
    pub notifications: i64,
    pub events: i64,
    /// When the oldest was written.
    pub oldest_at: String,
}

/// One endpoint and what waits for it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EndpointRow {
    pub id: i64,
    /// Without its query: several endpoints can be shown alike.
    pub url: String,
    pub state: String,
    pub state_since: String,
    /// Failures in a row.
    pub failures: i64,
    pub last_accepted_at: Option<String>,
    pub last_failed_at: Option<String>,
    /// When one notification may try it, unless it is active.
    pub next_probe_at: Option<String>,
    pub last_error: Option<String>,
    /// Notifications.
    pub pending: i64,
    pub dead: i64,
}

/// One notification without its body.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NotificationRow {
    pub id: i64,
    pub event_id: String,
    pub instance: String,
    pub resource: String,
    pub state: String,
    pub event_count: i64,
    pub created_at: String,
    pub attempts: i64,
    pub next_attempt_at: Option<String>,
    pub delivered_at: Option<String>,
    pub last_status: Option<i64>,
    pub last_error: Option<String>,
    /// The event id that it repeats.
    pub replay_of: Option<String>,
}

/// One event of a notification.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EventRow {
    pub event_type: String,
    pub object_type: String,
    pub object_id: String,
    pub path: Option<String>,
}

/// One attempt to deliver a notification.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AttemptRow {
    pub number: i64,
    pub at: String,
    pub duration_ms: i64,
    pub status: Option<i64>,
    pub error: Option<String>,
}

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

/// A notification's row, body, events and attempts.
pub type Notification = (NotificationRow, Vec<u8>, Vec<EventRow>, Vec<AttemptRow>);

impl Store {
    /// How the whole agent stands.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn standing(&self) -> Result<Overview, StoreError> {
        self.read(|connection| {
            let counts = "SELECT count(*), ifnull(sum(backlog_events), 0), ifnull(sum(grant_state = 'login_required'), 0),
                                 (SELECT count(*) FROM endpoint WHERE state <> 'active')
                            FROM instance";
            let standing = connection.query_row(counts, [], |row| {
                Ok(Overview {
                    instances: row.get(0)?,
                    undelivered: row.get(1)?,
                    logins: row.get(2)?,
                    failing: row.get(3)?,
                })
            })?;
            Ok(standing)
        })
    }

    /// How many notifications there are, by endpoint and state.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn outbox_counts(&self) -> Result<Vec<OutboxCount>, StoreError> {
        self.read(|connection| {
            let mut statement = connection.prepare(
                "SELECT e.url, e.id, e.state, o.state, count(*), sum(o.event_count), min(o.created_at)
                   FROM outbox o
                   JOIN instance i ON i.id = o.instance_id
                   LEFT JOIN endpoint e ON e.id = i.endpoint_id
                  GROUP BY e.id, o.state ORDER BY e.url, o.state",
            )?;
            let rows = statement.query_map([], |row| {
                Ok(OutboxCount {
                    endpoint: row.get(0)?,
                    endpoint_id: row.get(1)?,
                    endpoint_state: row.get(2)?,
                    state: row.get(3)?,
                    notifications: row.get(4)?,
                    events: row.get(5)?,
                    oldest_at: row.get(6)?,
                })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    /// Every endpoint.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn endpoints(&self) -> Result<Vec<EndpointRow>, StoreError> {
        self.read(|connection| {
            // CROSS JOIN keeps the order of the tables: the instances' entries in the index of the state are counted.
            let mut statement = connection.prepare(
                "SELECT e.id, e.url, e.state, e.state_since, e.failures, e.last_accepted_at, e.last_failed_at,
                        e.next_probe_at, e.last_error,
                        (SELECT count(*) FROM instance i CROSS JOIN outbox o
                          WHERE i.endpoint_id = e.id AND o.instance_id = i.id AND o.state = 'pending') AS pending,
                        (SELECT count(*) FROM instance i CROSS JOIN outbox o
                          WHERE i.endpoint_id = e.id AND o.instance_id = i.id AND o.state = 'dead') AS dead
                   FROM endpoint e ORDER BY e.id",
            )?;
            let rows = statement.query_map([], |row| {
                Ok(EndpointRow {
                    id: row.get("id")?,
                    url: row.get("url")?,
                    state: row.get("state")?,
                    state_since: row.get("state_since")?,
                    failures: row.get("failures")?,
                    last_accepted_at: row.get("last_accepted_at")?,
                    last_failed_at: row.get("last_failed_at")?,
                    next_probe_at: row.get("next_probe_at")?,
                    last_error: row.get("last_error")?,
                    pending: row.get("pending")?,
                    dead: row.get("dead")?,
                })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    /// The newest notifications, of one state or one instance where given.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn list_outbox(
        &self,
        state: Option<&str>,
        instance_id: Option<i64>,
        limit: u32,
    ) -> Result<Vec<NotificationRow>, StoreError> {
        self.read(|connection| {
            let mut statement = connection.prepare(&format!(
                "{NOTIFICATION} WHERE (?1 IS NULL OR o.state = ?1) AND (?2 IS NULL OR o.instance_id = ?2)
                  ORDER BY o.id DESC LIMIT ?3"
            ))?;
            let rows = statement.query_map((state, instance_id, limit), notification)?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    /// The oldest notifications in a state, of one endpoint where given, behind the one with the id `after`.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn oldest_of(
        &self,
        state: OutboxState,
        endpoint_id: Option<i64>,
        after: i64,
        most: u32,
    ) -> Result<Vec<NotificationRow>, StoreError> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached(&format!(
                "{NOTIFICATION} WHERE o.state = ?1 AND o.id > ?2 AND (?4 IS NULL OR i.endpoint_id = ?4) ORDER BY o.id LIMIT ?3"
            ))?;
            let rows = statement.query_map((state.as_str(), after, most, endpoint_id), notification)?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    /// One notification: its row, body, events and attempts. `None` where there is none of that id or event id.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn outbox_notification(&self, id: &str) -> Result<Option<Notification>, StoreError> {
        self.begun_notification(id, usize::MAX)
    }

    /// The same with no more than the first `most_bytes` of its body.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn begun_notification(
        &self,
        id: &str,
        most_bytes: usize,
    ) -> Result<Option<Notification>, StoreError> {
        self.read(|connection| {
            let row = connection
                .prepare(&format!(
                    "{NOTIFICATION} WHERE CAST(o.id AS TEXT) = ?1 OR o.event_id = ?1"
                ))?
                .query_row([id], notification)
                .optional()?;
            let Some(row) = row else { return Ok(None) };
            let body = body(connection, row.id, most_bytes)?;
            let events = connection
                .prepare(
                    "SELECT event_type, object_type, object_id, path FROM event
                      WHERE outbox_id = ?1 ORDER BY position",
                )?
                .query_map([row.id], |row| {
                    Ok(EventRow {
                        event_type: row.get(0)?,
                        object_type: row.get(1)?,
                        object_id: row.get(2)?,
                        path: row.get(3)?,
                    })
                })?
                .collect::<Result<_, _>>()?;
            let attempts = connection
                .prepare(
                    "SELECT number, at, duration_ms, status, error FROM attempt
                      WHERE outbox_id = ?1 ORDER BY number",
                )?
                .query_map([row.id], |row| {
                    Ok(AttemptRow {
                        number: row.get(0)?,
                        at: row.get(1)?,
                        duration_ms: row.get(2)?,
                        status: row.get(3)?,
                        error: row.get(4)?,
                    })
                })?
                .collect::<Result<_, _>>()?;
            Ok(Some((row, body, events, attempts)))
        })
    }

    /// What `instance_health` says of an instance, a line for each resource.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn health(&self, instance: &str) -> Result<Vec<ResourceRow>, StoreError> {
        self.read(|connection| {
            let mut statement = connection.prepare(
                "SELECT resource, health, mode, phase, last_poll_at, last_success_at, next_poll_at, last_error, faults,
                        last_fault, pending, dead
                   FROM instance_health WHERE instance = ?1 AND resource IS NOT NULL",
            )?;
            let rows = statement.query_map([instance], |row| {
                Ok(ResourceRow {
                    resource: row.get("resource")?,
                    health: row.get("health")?,
                    mode: row.get("mode")?,
                    phase: row.get("phase")?,
                    last_poll_at: row.get("last_poll_at")?,
                    last_success_at: row.get("last_success_at")?,
                    next_poll_at: row.get("next_poll_at")?,
                    last_error: row.get("last_error")?,
                    faults: row.get("faults")?,
                    last_fault: row.get("last_fault")?,
                    pending: row.get("pending")?,
                    dead: row.get("dead")?,
                })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }
}

const NOTIFICATION: &str =
    "SELECT o.id, o.event_id, i.name AS instance, o.resource, o.state, o.event_count, o.created_at,
        o.attempts, o.next_attempt_at, o.delivered_at, o.last_status, o.last_error, o.replay_of
   FROM outbox o JOIN instance i ON i.id = o.instance_id";

fn notification(row: &Row<'_>) -> rusqlite::Result<NotificationRow> {
    Ok(NotificationRow {
        id: row.get("id")?,
        event_id: row.get("event_id")?,
        instance: row.get("instance")?,
        resource: row.get("resource")?,
        state: row.get("state")?,
        event_count: row.get("event_count")?,
        created_at: row.get("created_at")?,
        attempts: row.get("attempts")?,
        next_attempt_at: row.get("next_attempt_at")?,
        delivered_at: row.get("delivered_at")?,
        last_status: row.get("last_status")?,
        last_error: row.get("last_error")?,
        replay_of: row.get("replay_of")?,
    })
}
