//! The outbox as polling sees it: a page's items, events, notifications and cursor are one transaction.

use jiff::Timestamp;
use rusqlite::{CachedStatement, Connection, OptionalExtension};

use super::items::put_items;
use super::{Resource, SeenRecord, Store, StoreError, first, windows};
use crate::core::detect::StagedDeletion;
use crate::core::model::{Item, Notification, PageEnd, Phase, time_text};

/// One step of a cursor: everything that a page brings.
#[derive(Debug)]
pub struct PageStep<'a> {
    pub upserts: &'a [Item],
    /// Ids seen alive, whose staged deletions are void.
    pub alive: &'a [String],
    pub staged: &'a [StagedDeletion],
    /// Ids that a first reading is to announce no second time.
    pub told: &'a [String],
    /// Objects that this piece announces whenever it is read, so that reading it again announces them no more.
    pub seen: &'a [SeenRecord],
    pub notifications: &'a [Notification],
    pub end: &'a PageEnd,
    pub drive_id: Option<&'a str>,
    pub root_id: Option<&'a str>,
    /// When the poll began.
    pub now: Timestamp,
}

impl Store {
    /// Commits a page: its items, its events with the bodies that announce them, and the cursor behind it, all or
    /// nothing. Of a page that comes in pieces the last one moves the cursor; the others are known, and announce nothing,
    /// when the page is read again. Returns the phase that the resource is in afterwards.
    ///
    /// # Errors
    /// `Superseded` when the resource has moved on from `resource.cursor_seq`, or its instance is being deleted; nothing
    /// is written then.
    pub fn commit_page(&self, resource: &Resource, step: &PageStep<'_>) -> Result<Phase, StoreError> {
        let link = match step.end {
            PageEnd::Next(link) | PageEnd::Delta(link) => Some(link),
            PageEnd::More => resource.cursor.as_ref(),
        };
        let sealed = self.seal_cursor(resource.id, link)?;
        self.write(|connection| {
            refuse_leaving(connection, resource)?;
            put_items(connection, resource.id, resource.generation, step.upserts)?;
            let compared = is_compared(connection, resource.id)?;
            if !compared {
                see_alive(connection, resource, step.alive)?;
            }
            stage(connection, resource.id, step)?;
            append(connection, resource, step.notifications, step.now)?;
            first::tell(connection, resource, step.told)?;
            windows::remember(connection, resource, step.seen)?;
            let silent = resource.silent && resource.since.is_none();
            let set_ends = matches!(step.end, PageEnd::Delta(_));
            // The set that began at the creation comes behind the first reading.
            let anchored = set_ends && resource.phase == Phase::Baseline && resource.anchor.is_some();
            let (phase, silent) = match step.end {
                PageEnd::Next(_) | PageEnd::More => (resource.phase, resource.silent),
                PageEnd::Delta(_) if anchored => (Phase::Following, false),
                // Listed deletions are to be worked through, or those that only the comparison shows. What a silent
                // reading lists is gone since it began: the next set's end announces it.
                PageEnd::Delta(_) if !compared || (!silent && any_staged(connection, resource.id)?) => {
                    (Phase::Sweeping, silent)
                }
                PageEnd::Delta(_) => (Phase::Following, false),
            };
            let moved = connection
                .prepare_cached(
                    "UPDATE resource
                        SET phase = ?3, silent = ?4, cursor_seq = cursor_seq + 1, sets_read = sets_read + ?9,
                            cursor = iif(?3 = 'sweeping', NULL, ?5), next_cursor = iif(?3 = 'sweeping', ?5, NULL),
                            started_at = iif(cursor IS NULL AND phase = 'baseline', ?6, started_at),
                            drive_id = coalesce(drive_id, ?7), root_id = coalesce(root_id, ?8)
                      WHERE id = ?1 AND cursor_seq = ?2",
                )?
                .execute((
                    resource.id,
                    resource.cursor_seq,
                    phase.as_str(),
                    silent,
                    &sealed,
                    time_text(step.now),
                    step.drive_id,
                    step.root_id,
                    set_ends,
                ))?;
            match set_ends {
                true if anchored => first::follow_anchor(connection, resource.id)?,
                true if resource.since.is_some() => first::end(connection, resource.id)?,
                _ => {}
            }
            if moved == 1 { Ok(phase) } else { Err(StoreError::Superseded) }
        })
    }

    /// Whether deletions of this resource wait for the end of the next set.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn has_staged_deletions(&self, resource_id: i64) -> Result<bool, StoreError> {
        self.read(|connection| any_staged(connection, resource_id))
    }
}

/// Nothing is added to an instance that is being deleted, nor to a resource that is gone.
pub(super) fn refuse_leaving(connection: &Connection, resource: &Resource) -> Result<(), StoreError> {
    let leaving: bool = connection
        .prepare_cached(
            "SELECT i.deleting_since IS NOT NULL FROM resource r JOIN instance i ON i.id = r.instance_id WHERE r.id = ?1",
        )?
        .query_row([resource.id], |row| row.get(0))
        .optional()?
        .unwrap_or(true);
    if leaving {
        Err(StoreError::Superseded)
    } else {
        Ok(())
    }
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

/// Voids what was staged against objects seen alive, and stages what the page lists as deleted.
fn stage(connection: &Connection, resource_id: i64, step: &PageStep<'_>) -> Result<(), StoreError> {
    if any_staged(connection, resource_id)? {
        let mut void = connection
            .prepare_cached("DELETE FROM staged_deletion WHERE resource_id = ?1 AND object_id = ?2")?;
        for id in step.alive {
            void.execute((resource_id, id))?;
        }
    }
    let mut statement = connection.prepare_cached(
        "INSERT INTO staged_deletion (resource_id, object_id, raw, staged_in)
         SELECT id, ?2, ?3, sets_read FROM resource WHERE id = ?1
             ON CONFLICT (resource_id, object_id) DO UPDATE SET raw = excluded.raw",
    )?;
    for deletion in step.staged {
        statement.execute((resource_id, &deletion.object_id, &deletion.raw))?;
    }
    Ok(())
}

fn any_staged(connection: &Connection, resource_id: i64) -> Result<bool, StoreError> {
    Ok(connection
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM staged_deletion WHERE resource_id = ?1)")?
        .query_row([resource_id], |row| row.get(0))?)
}

/// Whether what bears an older generation than its resource has been worked through. While it has not, an object that
/// is not seen under the present generation counts as gone.
fn is_compared(connection: &Connection, resource_id: i64) -> Result<bool, StoreError> {
    Ok(connection
        .prepare_cached("SELECT generation = swept_generation FROM resource WHERE id = ?1")?
        .query_row([resource_id], |row| row.get(0))?)
}

/// Lets objects seen alive bear the present generation, also those in which nothing moved: the set behind an
/// enumeration may be the first to show them.
fn see_alive(connection: &Connection, resource: &Resource, alive: &[String]) -> Result<(), StoreError> {
    let mut statement = connection.prepare_cached(
        "UPDATE item SET generation = ?3 WHERE resource_id = ?1 AND object_id = ?2 AND generation < ?3",
    )?;
    for id in alive {
        statement.execute((resource.id, id, resource.generation))?;
    }
    Ok(())
}
