//! What lately happened to one instance: its polls and its events, newest first.

use super::rows::{Queries, row};
use super::{Store, StoreError};
use crate::core::model::{EventType, OutboxState};
use crate::core::poll::Poll;

/// One event.
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
