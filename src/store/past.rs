//! What lately happened to one instance: its polls and its events, newest first.

use super::{Store, StoreError};

/// One poll that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PastPoll {
    pub started_at: String,
    pub resource: String,
    pub outcome: String,
    pub duration_ms: i64,
    pub pages: i64,
    pub items: i64,
    pub events: i64,
    pub error: Option<String>,
    pub note: Option<String>,
}

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PastEvent {
    /// The notification that it stands in.
    pub outbox_id: i64,
    /// That notification's state.
    pub state: String,
    pub created_at: String,
    pub event_type: String,
    pub object_type: String,
    pub object_id: String,
    pub path: Option<String>,
    /// What changed, a JSON array of words; `None` where the notification's format does not say.
    pub changes: Option<String>,
}

impl Store {
    /// The newest polls of an instance.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn past_polls(&self, instance_id: i64, most: u32) -> Result<Vec<PastPoll>, StoreError> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT p.started_at, r.name, p.outcome, p.duration_ms, p.pages, p.items, p.events, p.error, p.note
                   FROM poll p JOIN resource r ON r.id = p.resource_id
                  WHERE r.instance_id = ?1 ORDER BY p.id DESC LIMIT ?2",
            )?;
            let polls = statement.query_map((instance_id, most), |row| {
                Ok(PastPoll {
                    started_at: row.get(0)?,
                    resource: row.get(1)?,
                    outcome: row.get(2)?,
                    duration_ms: row.get(3)?,
                    pages: row.get(4)?,
                    items: row.get(5)?,
                    events: row.get(6)?,
                    error: row.get(7)?,
                    note: row.get(8)?,
                })
            })?;
            Ok(polls.collect::<Result<_, _>>()?)
        })
    }

    /// The newest events of an instance.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn past_events(&self, instance_id: i64, most: u32) -> Result<Vec<PastEvent>, StoreError> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT o.id, o.state, o.created_at, v.event_type, v.object_type, v.object_id, v.path,
                        CASE o.format WHEN 'elements'
                             THEN json_extract(CAST(o.body AS TEXT), '$.message.events[' || v.position || '].changes')
                        END
                   FROM (SELECT * FROM outbox WHERE instance_id = ?1 ORDER BY id DESC LIMIT ?2) o
                   JOIN event v ON v.outbox_id = o.id
                  ORDER BY o.id DESC, v.position DESC LIMIT ?2",
            )?;
            let events = statement.query_map((instance_id, most), |row| {
                Ok(PastEvent {
                    outbox_id: row.get(0)?,
                    state: row.get(1)?,
                    created_at: row.get(2)?,
                    event_type: row.get(3)?,
                    object_type: row.get(4)?,
                    object_id: row.get(5)?,
                    path: row.get(6)?,
                    changes: row.get(7)?,
                })
            })?;
            Ok(events.collect::<Result<_, _>>()?)
        })
    }
}
