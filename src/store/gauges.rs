//! How everything stands at this moment, in numbers: what the metrics show, and what the health is judged by. Cheap
//! enough to be asked every few seconds: no notification is counted.

use jiff::Timestamp;
use rusqlite::Row;

use super::{Store, StoreError, known};
use crate::core::alert::AlertKind;
use crate::core::model::{EndpointState, time_from_text};

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

/// What needs a person, and since when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StandingAlert {
    pub kind: AlertKind,
    /// What it is about, by id.
    pub key: String,
    pub since: Timestamp,
}

impl Store {
    /// The first thousand resources that are polled.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn resource_gauges(&self) -> Result<Vec<ResourceGauge>, StoreError> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT r.instance_id, r.name, coalesce(r.last_success_at, r.started_at) AS current_at, r.failures
                   FROM resource r JOIN instance i ON i.id = r.instance_id
                  WHERE i.enabled AND i.events_enabled AND i.deleting_since IS NULL
                  ORDER BY r.instance_id, r.id LIMIT ?1",
            )?;
            let rows = statement.query_and_then([MOST], |row| {
                Ok(ResourceGauge {
                    instance_id: row.get("instance_id")?,
                    name: row.get("name")?,
                    current_at: time(row, "current_at")?,
                    failures: row.get("failures")?,
                })
            })?;
            rows.collect()
        })
    }

    /// The first thousand endpoints.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn endpoint_gauges(&self) -> Result<Vec<EndpointGauge>, StoreError> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT e.id, e.state, coalesce(sum(i.backlog_events), 0) AS backlog_events,
                        coalesce(sum(i.backlog_bytes), 0) AS backlog_bytes,
                        min((SELECT created_at FROM outbox INDEXED BY outbox_pending_by_instance
                              WHERE instance_id = i.id AND state = 'pending' ORDER BY id LIMIT 1)) AS oldest
                   FROM endpoint e LEFT JOIN instance i ON i.endpoint_id = e.id
                  GROUP BY e.id ORDER BY e.id LIMIT ?1",
            )?;
            let rows = statement.query_and_then([MOST], |row| {
                let unsigned =
                    |column: &str| Ok::<_, StoreError>(row.get::<_, i64>(column)?.max(0).cast_unsigned());
                Ok(EndpointGauge {
                    id: row.get("id")?,
                    state: known("state", &row.get::<_, String>("state")?, EndpointState::from_text)?,
                    backlog_events: unsigned("backlog_events")?,
                    backlog_bytes: unsigned("backlog_bytes")?,
                    oldest_pending_at: row
                        .get::<_, Option<String>>("oldest")?
                        .map(|oldest| known("created_at", &oldest, time_from_text))
                        .transpose()?,
                })
            })?;
            rows.collect()
        })
    }

    /// When the oldest pending notification of all was written.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn oldest_pending_at(&self) -> Result<Option<Timestamp>, StoreError> {
        self.read(|connection| {
            let oldest: Option<String> = connection
                .prepare_cached(
                    "SELECT min((SELECT created_at FROM outbox INDEXED BY outbox_pending_by_instance
                                  WHERE instance_id = i.id AND state = 'pending' ORDER BY id LIMIT 1))
                       FROM instance i",
                )?
                .query_row([], |row| row.get(0))?;
            oldest
                .map(|oldest| known("created_at", &oldest, time_from_text))
                .transpose()
        })
    }

    /// The alerts that stand, by kind and subject.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn standing_alerts(&self) -> Result<Vec<StandingAlert>, StoreError> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT alert, subject_key, since FROM alert a
                  WHERE state = 'raised'
                    AND NOT EXISTS (SELECT 1 FROM alert later
                                     WHERE later.alert = a.alert AND later.subject_key = a.subject_key
                                       AND later.id > a.id)
                  ORDER BY alert, id",
            )?;
            let rows = statement.query_and_then([], |row| {
                Ok(StandingAlert {
                    kind: known("alert", &row.get::<_, String>("alert")?, AlertKind::from_text)?,
                    key: row.get("subject_key")?,
                    since: time(row, "since")?,
                })
            })?;
            rows.collect()
        })
    }
}

fn time(row: &Row<'_>, column: &'static str) -> Result<Timestamp, StoreError> {
    known(column, &row.get::<_, String>(column)?, time_from_text)
}
