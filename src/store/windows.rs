//! Resources polled by dates: the bounds of their windows, and the records that the next window may show again. A page of
//! records, its events and the place behind it are one transaction, as with a feed. A feed's page remembers objects here, too,
//! until all its pieces are committed.

use std::collections::HashMap;

use jiff::Timestamp;
use rusqlite::Connection;

use super::outbox::append;
use super::rows::{Queries, row};
use super::state::{advance, state_of};
use super::{Resource, Store, StoreError};
use crate::core::model::{Notification, Secret, time_from_text, time_text};
use crate::core::phase::Event;

/// Records that one transaction forgets.
const FORGOTTEN: i64 = 1_000;

/// A record as it was when it was last announced, or learnt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenRecord {
    pub id: String,
    /// By its own date; `None` where it has none that counts.
    pub updated: Option<Timestamp>,
    /// Of all that the provider says of it.
    pub fingerprint: Vec<u8>,
}

/// One step through a window: everything that a page of records brings.
#[derive(Debug)]
pub struct WindowStep<'a> {
    /// Where the window that is read ends.
    pub to: Timestamp,
    /// The window's next page; `None` when all of it has been read: then the next one begins where this one ends.
    pub next: Option<&'a Secret>,
    /// Whether nothing more of the same page comes: until then the window stays where it is.
    pub last: bool,
    pub seen: &'a [SeenRecord],
    pub notifications: &'a [Notification],
    /// Records that could not be judged, and what was wrong with the last of them.
    pub faults: u64,
    pub last_fault: Option<&'a str>,
    pub now: Timestamp,
}

impl Store {
    /// The records among `ids` that are remembered.
    pub fn seen_records<'a>(
        &self,
        resource_id: i64,
        ids: impl IntoIterator<Item = &'a str>,
    ) -> Result<HashMap<String, SeenRecord>, StoreError> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT updated_at, fingerprint FROM seen_record WHERE resource_id = ?1 AND object_id = ?2",
            )?;
            let mut found = HashMap::new();
            for id in ids {
                let mut rows = statement.query_and_then((resource_id, id), row!(updated_at, fingerprint))?;
                if let Some((updated, fingerprint)) = rows.next().transpose()? {
                    let updated: Option<String> = updated;
                    let record = SeenRecord {
                        id: id.to_owned(),
                        updated: updated.as_deref().and_then(time_from_text),
                        fingerprint,
                    };
                    found.insert(id.to_owned(), record);
                }
            }
            Ok(found)
        })
    }

    /// Commits a page of records: what is remembered of them, their events with the bodies that announce them, and the
    /// place behind them, all or nothing.
    ///
    /// # Errors
    /// `Superseded` when the resource has moved on from `resource.cursor_seq`, or its instance is being deleted; nothing
    /// is written then.
    pub fn commit_records(&self, resource: &Resource, step: &WindowStep<'_>) -> Result<(), StoreError> {
        let next = step.next.filter(|_| step.last);
        let next = next.map(|link| self.seal_cursor(resource.id, link)).transpose()?;
        let to = step.to;
        self.write(|connection| {
            let state = state_of(connection, resource)?;
            remember(connection, resource, step.seen)?;
            append(connection, resource, step.notifications, step.now)?;
            if step.faults > 0 {
                connection.change(
                    "UPDATE resource SET faults = faults + ?2, last_fault = ?3, last_fault_at = ?4 WHERE id = ?1",
                    (
                        resource.id,
                        step.faults.cast_signed(),
                        step.last_fault,
                        time_text(step.now),
                    ),
                )?;
            }
            let event = match step.last && step.next.is_none() {
                true => Event::WindowEnd { to },
                false => Event::Records { next, to },
            };
            advance(connection, resource.id, state, event).map(drop)
        })
    }

    /// Forgets the records that no window from `from` on shows again: those updated before, and those without a date that
    /// the window just read, number `window`, did not show.
    ///
    /// # Errors
    /// When the database cannot be written; what is left is forgotten by the next call.
    pub fn forget_records(&self, resource_id: i64, from: Timestamp, window: i64) -> Result<(), StoreError> {
        let forget = |connection: &Connection| {
            let mut statement = connection.prepare_cached(
                "DELETE FROM seen_record WHERE resource_id = ?1 AND object_id IN
                   (SELECT object_id FROM seen_record
                     WHERE resource_id = ?1 AND (updated_at < ?2 OR (updated_at IS NULL AND window < ?3)) LIMIT ?4)",
            )?;
            Ok(statement.execute((resource_id, exact_text(from), window, FORGOTTEN))?)
        };
        while self.write(forget)? > 0 {}
        Ok(())
    }
}

pub(super) fn remember(
    connection: &Connection,
    resource: &Resource,
    seen: &[SeenRecord],
) -> Result<(), StoreError> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO seen_record (resource_id, object_id, updated_at, fingerprint, window) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (resource_id, object_id) DO UPDATE
            SET updated_at = excluded.updated_at, fingerprint = excluded.fingerprint, window = excluded.window",
    )?;
    for record in seen {
        statement.execute((
            resource.id,
            &record.id,
            record.updated.map(exact_text),
            &record.fingerprint,
            resource.generation,
        ))?;
    }
    Ok(())
}

/// A record's date to the microsecond, since two that differ by less than a millisecond are two: still UTC text whose order
/// is that of time.
pub(super) fn exact_text(time: Timestamp) -> String {
    format!("{time:.6}")
}
