//! How everything stands at this moment: what the command line prints, the metrics show and the health is judged by. The
//! gauges are cheap enough to be asked for every few seconds: no notification is counted.

use jiff::Timestamp;

use super::rows::{Queries, row};
use super::{Store, StoreError};
use crate::core::alert::AlertKind;
use crate::core::model::EndpointState;

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

/// What needs a person, and since when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StandingAlert {
    pub kind: AlertKind,
    /// What it is about, by id.
    pub key: String,
    pub since: Timestamp,
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
        self.all(
            "SELECT resource, health, mode, phase, last_poll_at, last_success_at, next_poll_at, last_error, faults,
                    last_fault, pending, dead
               FROM instance_health WHERE instance = ?1 AND resource IS NOT NULL",
            [instance],
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

    /// The alerts that stand, by kind and subject.
    pub fn standing_alerts(&self) -> Result<Vec<StandingAlert>, StoreError> {
        self.all(
            "SELECT alert, subject_key, since FROM alert a
              WHERE state = 'raised'
                AND NOT EXISTS (SELECT 1 FROM alert later
                                 WHERE later.alert = a.alert AND later.subject_key = a.subject_key
                                   AND later.id > a.id)
              ORDER BY alert, id",
            [],
            row!(StandingAlert { kind as "alert", key as "subject_key", since }),
        )
    }
}
