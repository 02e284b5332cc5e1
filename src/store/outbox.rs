//! The outbox: where polling ends and delivery begins. A page's items, events, notifications and cursor are one
//! transaction; attempts are recorded in groups.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension};

use super::items::put_items;
use super::{Resource, Store, StoreError};
use crate::core::detect::StagedDeletion;
use crate::core::model::{Item, Notification, PageEnd, Phase, time_from_text, time_text};
use crate::core::retry::Verdict;

/// Notifications and bytes of bodies that are taken up at a time.
const RUN: i64 = 64;
const RUN_BYTES: usize = 1 << 20;

/// One step of a cursor: everything that a page brings.
#[derive(Debug)]
pub struct PageStep<'a> {
    pub upserts: &'a [Item],
    /// Ids seen alive, whose staged deletions are void.
    pub alive: &'a [String],
    pub staged: &'a [StagedDeletion],
    pub notifications: &'a [Notification],
    pub end: &'a PageEnd,
    /// At the end of a set: what is staged waits for the end of the next one.
    pub wait: bool,
    pub drive_id: Option<&'a str>,
    pub root_id: Option<&'a str>,
    /// When the poll began.
    pub now: Timestamp,
}

/// A notification whose time has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    pub id: i64,
    pub event_id: String,
    pub body: Vec<u8>,
    /// Attempts made so far.
    pub attempts: u32,
    pub event_count: u32,
}

/// One attempt to deliver, and what was decided about it.
#[derive(Clone, Debug)]
pub struct Attempt {
    pub outbox_id: i64,
    pub at: Timestamp,
    pub duration_ms: i64,
    pub status: Option<u16>,
    /// What the endpoint said or why it could not be reached.
    pub error: Option<String>,
    pub verdict: Verdict,
}

impl Store {
    /// Commits a page: its items, its events with the bodies that announce them, and the cursor behind it, all or
    /// nothing. Returns the phase that the resource is in afterwards.
    ///
    /// # Errors
    /// `Superseded` when the resource has moved on from `resource.cursor_seq`, or its instance is being deleted; nothing
    /// is written then.
    pub fn commit_page(&self, resource: &Resource, step: &PageStep<'_>) -> Result<Phase, StoreError> {
        let (PageEnd::Next(link) | PageEnd::Delta(link)) = step.end;
        let sealed = self.seal_cursor(resource.id, Some(link))?;
        self.write(|connection| {
            refuse_leaving(connection, resource)?;
            put_items(connection, resource.id, resource.generation, step.upserts)?;
            stage(connection, resource.id, step)?;
            append(connection, resource, step.notifications, step.now)?;
            let (phase, silent) = match step.end {
                PageEnd::Next(_) => (resource.phase, resource.silent),
                PageEnd::Delta(_) if !step.wait && to_sweep(connection, resource.id)? => {
                    (Phase::Sweeping, resource.silent)
                }
                PageEnd::Delta(_) => (Phase::Following, false),
            };
            let moved = connection
                .prepare_cached(
                    "UPDATE resource
                        SET phase = ?3, silent = ?4, cursor_seq = cursor_seq + 1,
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
                ))?;
            if moved == 1 { Ok(phase) } else { Err(StoreError::Superseded) }
        })
    }

    /// Whether deletions of this resource wait for the end of a set.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn has_staged_deletions(&self, resource_id: i64) -> Result<bool, StoreError> {
        self.read(|connection| any_staged(connection, resource_id))
    }

    /// The first notifications of one instance that is due and not among `in_hand`, in their order: its oldest pending
    /// one and those behind it. The instance whose oldest has been due the longest comes first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn due_notifications(
        &self,
        now: Timestamp,
        in_hand: impl Fn(i64) -> bool,
    ) -> Result<Option<(i64, Vec<Due>)>, StoreError> {
        self.read(|connection| {
            let now = time_text(now);
            let mut heads = connection.prepare_cached(
                "SELECT o.instance_id
                   FROM instance i
                   JOIN outbox o ON o.id = (SELECT id FROM outbox
                                             WHERE instance_id = i.id AND state = 'pending' ORDER BY id LIMIT 1)
                  WHERE o.next_attempt_at <= ?1
                  ORDER BY o.next_attempt_at, o.id",
            )?;
            let mut rows = heads.query([&now])?;
            while let Some(row) = rows.next()? {
                let instance_id: i64 = row.get(0)?;
                if !in_hand(instance_id) {
                    return Ok(Some((instance_id, run_of(connection, instance_id, &now)?)));
                }
            }
            Ok(None)
        })
    }

    /// When the next pending notification that is first of its instance is due.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn next_due(&self) -> Result<Option<Timestamp>, StoreError> {
        self.read(|connection| {
            let next: Option<String> = connection
                .prepare_cached(
                    "SELECT min(o.next_attempt_at)
                       FROM instance i
                       JOIN outbox o ON o.id = (SELECT id FROM outbox
                                                 WHERE instance_id = i.id AND state = 'pending' ORDER BY id LIMIT 1)",
                )?
                .query_row([], |row| row.get(0))?;
            Ok(next.as_deref().and_then(time_from_text))
        })
    }

    /// Records attempts with what was decided about each, in one transaction.
    ///
    /// # Errors
    /// When the database cannot be written; then the notifications are still pending, and go out again.
    pub fn record_attempts(&self, attempts: &[Attempt]) -> Result<(), StoreError> {
        if attempts.is_empty() {
            return Ok(());
        }
        self.write(|connection| {
            let mut history = connection.prepare_cached(
                "INSERT INTO attempt (outbox_id, number, at, duration_ms, status, error)
                 SELECT id, attempts + 1, ?2, ?3, ?4, ?5 FROM outbox WHERE id = ?1",
            )?;
            let mut outcome = connection.prepare_cached(
                "UPDATE outbox
                    SET attempts = attempts + 1, last_status = ?2, last_error = ?3, state = ?4,
                        next_attempt_at = ?5, delivered_at = ?6
                  WHERE id = ?1 AND state = 'pending'",
            )?;
            for attempt in attempts {
                let at = time_text(attempt.at);
                history.execute((
                    attempt.outbox_id,
                    &at,
                    attempt.duration_ms,
                    attempt.status,
                    &attempt.error,
                ))?;
                let (state, next, delivered) = match attempt.verdict {
                    Verdict::Delivered => ("delivered", None, Some(at)),
                    Verdict::Retry { at } => ("pending", Some(time_text(at)), None),
                };
                outcome.execute((
                    attempt.outbox_id,
                    attempt.status,
                    &attempt.error,
                    state,
                    next,
                    delivered,
                ))?;
            }
            Ok(())
        })
    }

    /// Gives up everything pending of an instance. Returns how many notifications that were.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn discard_pending(&self, instance_id: i64) -> Result<usize, StoreError> {
        self.write(|connection| {
            Ok(connection.execute(
                "DELETE FROM outbox WHERE instance_id = ?1 AND state = 'pending'",
                [instance_id],
            )?)
        })
    }
}

/// Nothing is added to an instance that is being deleted.
pub(super) fn refuse_leaving(connection: &Connection, resource: &Resource) -> Result<(), StoreError> {
    let leaving: bool = connection
        .prepare_cached("SELECT deleting_since IS NOT NULL FROM instance WHERE id = ?1")?
        .query_row([resource.instance_id], |row| row.get(0))
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
    let mut outbox = connection.prepare_cached(
        "INSERT INTO outbox (event_id, instance_id, resource, created_at, event_count, next_attempt_at, body)
         VALUES (?1, ?2, ?3, ?4, ?5, ?4, ?6)",
    )?;
    let mut events = connection.prepare_cached(
        "INSERT INTO event (outbox_id, position, event_type, object_id, object_type, path, raw_start, raw_length)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?;
    for notification in notifications {
        let outbox_id = outbox.insert((
            &notification.event_id,
            resource.instance_id,
            &resource.name,
            time_text(now),
            notification.events.len() as i64,
            &notification.body,
        ))?;
        for (position, event) in notification.events.iter().enumerate() {
            let (start, length) = event
                .raw
                .map(|(start, length)| (start as i64, length as i64))
                .unzip();
            events.execute((
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
    }
    Ok(())
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
        "INSERT INTO staged_deletion (resource_id, object_id, raw) VALUES (?1, ?2, ?3)
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

/// Whether the set that ends here leaves deletions to work through: listed ones, or those that only a comparison
/// with an older generation shows.
fn to_sweep(connection: &Connection, resource_id: i64) -> Result<bool, StoreError> {
    let compared: bool = connection
        .prepare_cached("SELECT generation = swept_generation FROM resource WHERE id = ?1")?
        .query_row([resource_id], |row| row.get(0))?;
    Ok(!compared || any_staged(connection, resource_id)?)
}

/// Left to itself SQLite takes the index of all notifications, and passes over every delivered one to reach the first
/// that is pending.
fn run_of(connection: &Connection, instance_id: i64, now: &str) -> Result<Vec<Due>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT id, event_id, body, attempts, event_count, next_attempt_at
           FROM outbox INDEXED BY outbox_pending_by_instance
          WHERE instance_id = ?1 AND state = 'pending' ORDER BY id LIMIT ?2",
    )?;
    let mut rows = statement.query((instance_id, RUN))?;
    let mut run = Vec::new();
    let mut bytes = 0;
    while let Some(row) = rows.next()? {
        let due: String = row.get("next_attempt_at")?;
        if due.as_str() > now || bytes >= RUN_BYTES {
            break;
        }
        let body: Vec<u8> = row.get("body")?;
        bytes += body.len();
        run.push(Due {
            id: row.get("id")?,
            event_id: row.get("event_id")?,
            body,
            attempts: row.get("attempts")?,
            event_count: row.get("event_count")?,
        });
    }
    Ok(run)
}
