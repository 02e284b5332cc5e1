//! The outbox's rows: how notifications are written, and read again for people.

use jiff::Timestamp;
use rusqlite::{CachedStatement, Connection, Row};

use super::rows::{Queries, get, row};
use super::{Resource, Store, StoreError};
use crate::core::RETURNED_BYTES;
use crate::core::model::{Event, Notification, OutboxState, time_text};
use crate::core::outbox::{Attempt, Content, Destination, Entry, StateCount, Tallied};

/// Bytes from which a body is large.
const LARGE_BYTES: usize = 256 * 1024;

// CROSS JOIN keeps the order of the tables: the outbox is read by its ids.
pub(super) const ENTRY: &str = "SELECT o.id, o.event_id, o.instance_id, i.name AS instance, i.element_key AS element,
        i.deleting_since IS NOT NULL AS leaving, o.resource, o.format, o.state, o.created_at, o.event_count, o.attempts,
        o.next_attempt_at, o.delivered_at, o.last_status, o.last_error, o.replay_of,
        length(o.body) AS body_bytes, e.id AS endpoint_id, e.url, e.state AS endpoint_state
   FROM outbox o CROSS JOIN instance i ON i.id = o.instance_id LEFT JOIN endpoint e ON e.id = i.endpoint_id";

/// A notification with the beginning of its body, its events and its attempts.
pub type Whole = (Entry, Vec<u8>, Vec<Event>, Vec<Attempt>);

impl Store {
    /// How many notifications there are, by endpoint and state.
    pub fn outbox_counts(&self) -> Result<Vec<StateCount>, StoreError> {
        self.all(
            "SELECT e.url AS endpoint, e.id AS endpoint_id, e.state AS endpoint_state, o.state, count(*) AS notifications,
                    sum(o.event_count) AS events, min(o.created_at) AS oldest_at
               FROM outbox o
               JOIN instance i ON i.id = o.instance_id
               LEFT JOIN endpoint e ON e.id = i.endpoint_id
              GROUP BY e.id, o.state ORDER BY e.url, o.state",
            [],
            |row| {
                let tally = row!(row => Tallied { notifications, events })?;
                row!(row => StateCount { endpoint, endpoint_id, endpoint_state, state, tally: tally, oldest_at })
            },
        )
    }

    /// The newest notifications, of one state or one instance where given.
    pub fn list_outbox(
        &self,
        state: Option<OutboxState>,
        instance_id: Option<i64>,
        limit: u32,
    ) -> Result<Vec<Entry>, StoreError> {
        self.all(
            &format!(
                "{ENTRY} WHERE (?1 IS NULL OR o.state = ?1) AND (?2 IS NULL OR o.instance_id = ?2)
                  ORDER BY o.id DESC LIMIT ?3"
            ),
            (state.map(OutboxState::as_str), instance_id, limit),
            entry,
        )
    }

    /// The oldest notifications in a state, of one endpoint where given, behind the one with the id `after`.
    pub fn oldest_of(
        &self,
        state: OutboxState,
        endpoint_id: Option<i64>,
        after: i64,
        most: u32,
    ) -> Result<Vec<Entry>, StoreError> {
        self.all(
            &format!(
                "{ENTRY} WHERE o.state = ?1 AND o.id > ?2 AND (?4 IS NULL OR i.endpoint_id = ?4) ORDER BY o.id LIMIT ?3"
            ),
            (state.as_str(), after, most, endpoint_id),
            entry,
        )
    }

    /// The notification with that id, or event id.
    pub fn find_notification(&self, id: &str) -> Result<Option<Entry>, StoreError> {
        self.read(|connection| find(connection, id))
    }

    /// One notification with at most the first `most_bytes` of its body, its events and its attempts.
    pub fn outbox_notification(&self, id: &str, most_bytes: usize) -> Result<Option<Whole>, StoreError> {
        self.read(|connection| {
            let Some(entry) = find(connection, id)? else { return Ok(None) };
            let body = body(connection, entry.id, most_bytes)?;
            let events = events_of(connection, entry.id)?;
            let attempts = connection.all(
                "SELECT number, at, duration_ms, status, error FROM attempt WHERE outbox_id = ?1 ORDER BY number",
                [entry.id],
                row!(Attempt { number, at, duration_ms, status, error }),
            )?;
            Ok(Some((entry, body, events, attempts)))
        })
    }
}

fn find(connection: &Connection, id: &str) -> Result<Option<Entry>, StoreError> {
    connection.first(
        &format!("{ENTRY} WHERE o.id = ?1 OR o.event_id = ?2"),
        (id.parse::<i64>().ok(), id),
        entry,
    )
}

/// Reads a row of `ENTRY`, without its content.
pub(super) fn entry(row: &Row<'_>) -> Result<Entry, StoreError> {
    let endpoint = match get(row, "endpoint_id")? {
        Some(id) => Some(row!(row => Destination { id: id, url, state as "endpoint_state" })?),
        None => None,
    };
    row!(row => Entry {
        id,
        event_id,
        instance,
        resource,
        state,
        event_count,
        created_at,
        attempts,
        next_attempt_at,
        delivered_at,
        last_status,
        last_error,
        replay_of,
        instance_id,
        leaving,
        element,
        format,
        endpoint: endpoint,
        body_bytes: get::<u32>(row, "body_bytes")? as usize,
        content: None,
    })
}

/// The events of a notification, in their order.
pub(super) fn events_of(connection: &Connection, outbox_id: i64) -> Result<Vec<Event>, StoreError> {
    connection.all(
        "SELECT event_type, object_id, object_type, path, raw_start, raw_length
           FROM event WHERE outbox_id = ?1 ORDER BY position",
        [outbox_id],
        |row| {
            let raw = raw_of(row)?.map(|(start, length)| (start as usize, length as usize));
            row!(row => Event { event_type, object_type, object_id, path, raw: raw })
        },
    )
}

/// Where an event's object lies in the body.
fn raw_of(row: &Row<'_>) -> Result<Option<(u32, u32)>, StoreError> {
    let (start, length): (Option<u32>, Option<u32>) = row!(raw_start, raw_length)(row)?;
    Ok(start.zip(length))
}

/// The first `most` bytes of a notification's body. Read piece by piece: a query would hold all of it beside them.
fn body(connection: &Connection, outbox_id: i64, most: usize) -> Result<Vec<u8>, StoreError> {
    let blob = connection.blob_open("main", "outbox", "body", outbox_id, true)?;
    let length = blob.len().min(most);
    let room = if length > LARGE_BYTES { RETURNED_BYTES } else { 0 };
    let mut body = Vec::with_capacity(length.max(room));
    body.resize(length, 0);
    blob.read_at_exact(&mut body, 0)?;
    Ok(body)
}

/// The body of a notification and where its objects lie; `None` where it was purged.
pub(super) fn content(connection: &Connection, outbox_id: i64) -> Result<Option<Content>, StoreError> {
    if !connection.value("SELECT EXISTS (SELECT 1 FROM outbox WHERE id = ?1)", [outbox_id])? {
        return Ok(None);
    }
    let body = body(connection, outbox_id, usize::MAX)?;
    let raws = connection.all(
        "SELECT raw_start, raw_length FROM event WHERE outbox_id = ?1 ORDER BY position",
        [outbox_id],
        raw_of,
    )?;
    Ok(Some(Content { body, raws }))
}

/// Writes notifications with their events, in order.
pub(super) fn append(
    connection: &Connection,
    resource: &Resource,
    notifications: &[Notification],
    now: Timestamp,
) -> Result<(), StoreError> {
    let mut appender = Appender::new(connection)?;
    for notification in notifications {
        appender.append(resource.instance_id, &resource.name, notification, None, now)?;
    }
    Ok(())
}

/// Writes notifications with their events behind all that the outbox holds.
pub(super) struct Appender<'c> {
    outbox: CachedStatement<'c>,
    events: CachedStatement<'c>,
}

impl<'c> Appender<'c> {
    pub(super) fn new(connection: &'c Connection) -> Result<Appender<'c>, StoreError> {
        let outbox = connection.prepare_cached(
            "INSERT INTO outbox (event_id, instance_id, resource, created_at, event_count, next_attempt_at, body,
                                 format, replay_of)
             VALUES (?1, ?2, ?3, ?4, ?5, ?4, ?6, ?7, ?8)",
        )?;
        let events = connection.prepare_cached(
            "INSERT INTO event (outbox_id, position, event_type, object_id, object_type, path, raw_start, raw_length)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?;
        Ok(Appender { outbox, events })
    }

    /// Writes one notification of an instance's resource, due at `now`. `replay_of` is the event id that it repeats.
    pub(super) fn append(
        &mut self,
        instance_id: i64,
        resource: &str,
        notification: &Notification,
        replay_of: Option<&str>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let outbox_id = self.outbox.insert((
            &notification.event_id,
            instance_id,
            resource,
            time_text(now),
            notification.events.len() as i64,
            &notification.body,
            notification.format.as_str(),
            replay_of,
        ))?;
        for (position, event) in notification.events.iter().enumerate() {
            let (start, length) = event
                .raw
                .map(|(start, length)| (start as i64, length as i64))
                .unzip();
            self.events.execute((
                outbox_id,
                position as i64,
                event.event_type.as_str(),
                &event.object_id,
                &event.object_type,
                &event.path,
                start,
                length,
            ))?;
        }
        Ok(())
    }
}
