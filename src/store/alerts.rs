//! Alerts: the facts that they are decided from, and the book of their changes, which a restart reads again.

use jiff::Timestamp;
use rusqlite::{Connection, Row};

use super::bounds::{paused_by, unsigned};
use super::{Store, StoreError, known};
use crate::core::alert::{
    Alert, AlertKind, AlertState, DisabledEndpoint, FailingResource, HeldResource, LostLogin, PausedInstance,
};
use crate::core::bounds::PausedBy;
use crate::core::model::{time_from_text, time_text};

/// Changes that are kept when they are told and over.
const KEPT: i64 = 1_000;

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

impl Store {
    /// Disabled endpoints, and the polled instances that must sign in, wait for the outbox or for
    /// a person, or fail.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn sick(&self) -> Result<Sick, StoreError> {
        self.read(|connection| {
            Ok(Sick {
                disabled: disabled(connection)?,
                logins: logins(connection)?,
                paused: paused(connection)?,
                failing: failing(connection)?,
                held: held(connection)?,
            })
        })
    }

    /// The changes that still matter, in their order: what is not told yet, and what stands. With them the id of the
    /// next change.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn alerts(&self) -> Result<(Vec<AlertEntry>, i64), StoreError> {
        self.read(|connection| {
            let mut statement = connection.prepare(
                "SELECT * FROM alert a
                  WHERE next_attempt_at IS NOT NULL
                     OR (state = 'raised'
                         AND NOT EXISTS (SELECT 1 FROM alert later
                                          WHERE later.alert = a.alert AND later.subject_key = a.subject_key
                                            AND later.id > a.id))
                  ORDER BY id",
            )?;
            let mut rows = statement.query([])?;
            let mut entries = Vec::new();
            while let Some(row) = rows.next()? {
                entries.push(entry(row)?);
            }
            let next: i64 =
                connection.query_row("SELECT coalesce(max(id), 0) + 1 FROM alert", [], |row| row.get(0))?;
            Ok((entries, next))
        })
    }

    /// Writes new and changed entries, and forgets the oldest that are told and over.
    ///
    /// # Errors
    /// When the database cannot be written.
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
            connection.execute(
                "DELETE FROM alert
                  WHERE id <= (SELECT max(id) FROM alert) - ?1 AND next_attempt_at IS NULL
                    AND (state = 'cleared'
                         OR EXISTS (SELECT 1 FROM alert later
                                     WHERE later.alert = alert.alert AND later.subject_key = alert.subject_key
                                       AND later.id > alert.id))",
                [KEPT],
            )?;
            Ok(())
        })
    }
}

fn disabled(connection: &Connection) -> Result<Vec<DisabledEndpoint>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT e.id, e.url, e.state_since, coalesce(sum(i.backlog_events), 0) AS waiting
           FROM endpoint e LEFT JOIN instance i ON i.endpoint_id = e.id
          WHERE e.state = 'disabled' GROUP BY e.id",
    )?;
    let mut rows = statement.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(DisabledEndpoint {
            id: row.get("id")?,
            url: row.get("url")?,
            since: time(row, "state_since")?,
            waiting_events: unsigned(row, "waiting")?,
        });
    }
    Ok(found)
}

fn logins(connection: &Connection) -> Result<Vec<LostLogin>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT id, name, grant_error FROM instance
          WHERE grant_state = 'login_required' AND enabled AND events_enabled AND deleting_since IS NULL",
    )?;
    let rows = statement.query_map([], |row| {
        Ok(LostLogin {
            instance_id: row.get(0)?,
            instance: row.get(1)?,
            error: row.get(2)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn paused(connection: &Connection) -> Result<Vec<PausedInstance>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT id, name, paused_by, paused_since, backlog_events FROM instance
          WHERE paused_by IS NOT NULL AND enabled AND events_enabled AND deleting_since IS NULL",
    )?;
    let mut rows = statement.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(PausedInstance {
            instance_id: row.get("id")?,
            instance: row.get("name")?,
            by: paused_by(row)?.unwrap_or(PausedBy::MaxEvents),
            since: time(row, "paused_since")?,
            waiting_events: unsigned(row, "backlog_events")?,
        });
    }
    Ok(found)
}

fn failing(connection: &Connection) -> Result<Vec<FailingResource>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT r.id, i.name AS instance, r.name, r.failures, r.last_error
           FROM resource r JOIN instance i ON i.id = r.instance_id
          WHERE r.failures > 0 AND r.held IS NULL AND i.grant_state = 'ok' AND i.enabled AND i.events_enabled
            AND i.deleting_since IS NULL",
    )?;
    let mut rows = statement.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let id: i64 = row.get("id")?;
        // Without a history it cannot be said since when: the next failure begins one.
        let Some(since) = failing_since(connection, id, row.get("failures")?)? else {
            continue;
        };
        found.push(FailingResource {
            resource_id: id,
            instance: row.get("instance")?,
            resource: row.get("name")?,
            since,
            error: row.get("last_error")?,
        });
    }
    Ok(found)
}

fn held(connection: &Connection) -> Result<Vec<HeldResource>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT r.id, i.name, r.name, r.last_error
           FROM resource r JOIN instance i ON i.id = r.instance_id
          WHERE r.held IS NOT NULL AND i.enabled AND i.events_enabled AND i.deleting_since IS NULL",
    )?;
    let rows = statement.query_map([], |row| {
        Ok(HeldResource {
            resource_id: row.get(0)?,
            instance: row.get(1)?,
            resource: row.get(2)?,
            error: row.get(3)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// When the first of a resource's failures in a row was, or the oldest of them that the history has.
fn failing_since(
    connection: &Connection,
    resource_id: i64,
    failures: i64,
) -> Result<Option<Timestamp>, StoreError> {
    let since: Option<String> = connection
        .prepare_cached(
            "SELECT min(started_at)
               FROM (SELECT started_at FROM poll
                      WHERE resource_id = ?1 AND outcome = 'failed' ORDER BY id DESC LIMIT ?2)",
        )?
        .query_row((resource_id, failures), |row| row.get(0))?;
    since
        .map(|since| known("started_at", &since, time_from_text))
        .transpose()
}

fn entry(row: &Row<'_>) -> Result<AlertEntry, StoreError> {
    let next: Option<String> = row.get("next_attempt_at")?;
    let since: Option<String> = row.get("waits_since")?;
    Ok(AlertEntry {
        alert: Alert {
            id: row.get("id")?,
            kind: known("alert", &row.get::<_, String>("alert")?, AlertKind::from_text)?,
            key: row.get("subject_key")?,
            subject: row.get("subject")?,
            state: known("state", &row.get::<_, String>("state")?, AlertState::from_text)?,
            since: time(row, "since")?,
            message: row.get("message")?,
        },
        posted: row.get("posted")?,
        ran: row.get("ran")?,
        attempts: row.get("attempts")?,
        waits_since: since
            .as_deref()
            .and_then(time_from_text)
            .unwrap_or(Timestamp::MIN),
        next_attempt_at: next.as_deref().and_then(time_from_text),
        last_error: row.get("last_error")?,
    })
}

fn time(row: &Row<'_>, column: &'static str) -> Result<Timestamp, StoreError> {
    known(column, &row.get::<_, String>(column)?, time_from_text)
}
