//! Alerts: the facts that they are decided from, and the book of their changes, which a restart reads again.

use jiff::Timestamp;
use rusqlite::{Connection, Row};

use super::rows::{Queries, get, row};
use super::{Store, StoreError};
use crate::core::alert::{
    Alert, AlertKind, DisabledEndpoint, FailingResource, HeldResource, LostLogin, PausedInstance,
};
use crate::core::model::{time_from_text, time_text};

/// Changes that are kept when they are told and over.
const KEPT: i64 = 1_000;

/// Whether `a` is the last change of its alert.
const LAST: &str = "NOT EXISTS (SELECT 1 FROM alert later
                     WHERE later.alert = a.alert AND later.subject_key = a.subject_key AND later.id > a.id)";

/// A change of an alert's state, and how far it is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertEntry {
    pub alert: Alert,
    /// The URL has accepted it.
    pub posted: bool,
    /// The command has ended well with it.
    pub ran: bool,
    /// Made so far to tell it.
    pub attempts: u32,
    /// When the wait before the next attempt began.
    pub waits_since: Timestamp,
    /// `None` when it is told, or given up, or there is nobody to tell.
    pub next_attempt_at: Option<Timestamp>,
    /// What the last attempt met.
    pub last_error: Option<String>,
}

/// What the tables say of those that may need a person.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sick {
    pub disabled: Vec<DisabledEndpoint>,
    pub logins: Vec<LostLogin>,
    pub paused: Vec<PausedInstance>,
    pub failing: Vec<FailingResource>,
    pub held: Vec<HeldResource>,
}

/// What needs a person, and since when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StandingAlert {
    pub kind: AlertKind,
    /// What it is about, by id.
    pub key: String,
    pub since: Timestamp,
}

impl Store {
    /// Disabled endpoints, and the polled instances that must sign in, wait for the outbox or for
    /// a person, or fail.
    pub fn sick(&self) -> Result<Sick, StoreError> {
        self.read(|connection| {
            Ok(Sick {
                disabled: connection.all(
                    "SELECT e.id, e.url, e.state_since AS since, coalesce(sum(i.backlog_events), 0) AS waiting_events
                       FROM endpoint e LEFT JOIN instance i ON i.endpoint_id = e.id
                      WHERE e.state = 'disabled' GROUP BY e.id",
                    [],
                    row!(DisabledEndpoint {
                        id,
                        url,
                        since,
                        waiting_events
                    }),
                )?,
                logins: connection.all(
                    "SELECT id AS instance_id, name AS instance, grant_error AS error FROM instance
                      WHERE grant_state = 'login_required' AND enabled AND events_enabled AND deleting_since IS NULL",
                    [],
                    row!(LostLogin {
                        instance_id,
                        instance,
                        error
                    }),
                )?,
                paused: connection.all(
                    "SELECT id AS instance_id, name AS instance, paused_by, paused_since AS since, backlog_events AS waiting_events
                       FROM instance
                      WHERE paused_by IS NOT NULL AND enabled AND events_enabled AND deleting_since IS NULL",
                    [],
                    row!(PausedInstance { instance_id, instance, by as "paused_by", since, waiting_events }),
                )?,
                failing: failing(connection)?,
                held: connection.all(
                    "SELECT r.id AS resource_id, i.name AS instance, r.name AS resource, r.last_error AS error
                       FROM resource r JOIN instance i ON i.id = r.instance_id
                      WHERE r.held IS NOT NULL AND i.enabled AND i.events_enabled AND i.deleting_since IS NULL",
                    [],
                    row!(HeldResource {
                        resource_id,
                        instance,
                        resource,
                        error
                    }),
                )?,
            })
        })
    }

    /// The changes that still matter, in their order: what is not told yet, and what stands. With them the id of the
    /// next change.
    pub fn alerts(&self) -> Result<(Vec<AlertEntry>, i64), StoreError> {
        self.read(|connection| {
            let entries = connection.all(
                &format!(
                    "SELECT * FROM alert a
                      WHERE next_attempt_at IS NOT NULL OR (state = 'raised' AND {LAST})
                      ORDER BY id"
                ),
                [],
                entry,
            )?;
            Ok((
                entries,
                connection.value("SELECT coalesce(max(id), 0) + 1 FROM alert", [])?,
            ))
        })
    }

    /// The alerts that stand, by kind and subject.
    pub fn standing_alerts(&self) -> Result<Vec<StandingAlert>, StoreError> {
        self.all(
            &format!(
                "SELECT alert, subject_key, since FROM alert a
                  WHERE state = 'raised' AND {LAST} ORDER BY alert, id"
            ),
            [],
            row!(StandingAlert { kind as "alert", key as "subject_key", since }),
        )
    }

    /// Writes new and changed entries, and forgets the oldest that are told and over.
    pub fn put_alerts(&self, entries: &[&AlertEntry]) -> Result<(), StoreError> {
        self.write(|connection| {
            let mut put = connection.prepare_cached(
                "INSERT INTO alert (id, alert, subject_key, subject, state, since, message, posted, ran, attempts,
                                    next_attempt_at, last_error, waits_since)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)
                 ON CONFLICT (id) DO UPDATE
                    SET posted = excluded.posted, ran = excluded.ran, attempts = excluded.attempts,
                        next_attempt_at = excluded.next_attempt_at, last_error = excluded.last_error,
                        waits_since = excluded.waits_since",
            )?;
            for entry in entries {
                let alert = &entry.alert;
                put.execute((
                    alert.id,
                    alert.kind.as_str(),
                    &alert.key,
                    &alert.subject,
                    alert.state.as_str(),
                    time_text(alert.since),
                    &alert.message,
                    entry.posted,
                    entry.ran,
                    entry.attempts,
                    entry.next_attempt_at.map(time_text),
                    &entry.last_error,
                    time_text(entry.waits_since),
                ))?;
            }
            connection.run(
                &format!(
                    "DELETE FROM alert AS a
                      WHERE id <= (SELECT max(id) FROM alert) - ?1 AND next_attempt_at IS NULL
                        AND (state = 'cleared' OR NOT {LAST})"
                ),
                [KEPT],
            )
        })
    }
}

fn failing(connection: &Connection) -> Result<Vec<FailingResource>, StoreError> {
    let found = connection.all(
        "SELECT r.id AS resource_id, i.name AS instance, r.name AS resource, r.failures, r.last_error AS error
           FROM resource r JOIN instance i ON i.id = r.instance_id
          WHERE r.failures > 0 AND r.held IS NULL AND i.grant_state = 'ok' AND i.enabled AND i.events_enabled
            AND i.deleting_since IS NULL",
        [],
        |row| {
            // Without a history it cannot be said since when: the next failure begins one.
            let since = failing_since(connection, get(row, "resource_id")?, get(row, "failures")?)?;
            let failing = |since| row!(row => FailingResource { resource_id, instance, resource, since: since, error });
            since.map(failing).transpose()
        },
    )?;
    Ok(found.into_iter().flatten().collect())
}

/// When the first of a resource's failures in a row was, or the oldest of them that the history has.
fn failing_since(
    connection: &Connection,
    resource_id: i64,
    failures: i64,
) -> Result<Option<Timestamp>, StoreError> {
    connection.value(
        "SELECT min(started_at)
           FROM (SELECT started_at FROM poll
                  WHERE resource_id = ?1 AND outcome = 'failed' ORDER BY id DESC LIMIT ?2)",
        (resource_id, failures),
    )
}

fn entry(row: &Row<'_>) -> Result<AlertEntry, StoreError> {
    // A wait that nobody can read is over.
    let wait = |column| -> Result<Option<Timestamp>, StoreError> {
        let text: Option<String> = get(row, column)?;
        Ok(text.as_deref().and_then(time_from_text))
    };
    let alert =
        row!(row => Alert { id, kind as "alert", key as "subject_key", subject, state, since, message })?;
    row!(row => AlertEntry {
        alert: alert,
        posted,
        ran,
        attempts,
        waits_since: wait("waits_since")?.unwrap_or(Timestamp::MIN),
        next_attempt_at: wait("next_attempt_at")?,
        last_error,
    })
}
