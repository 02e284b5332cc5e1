//! Resources: where each polled feed stands, when it is due, and what its polls came to.

use jiff::Timestamp;
use rusqlite::{Connection, Row};

use super::first::Starts;
use super::rows::{Queries, get, row};
use super::state::{self, advance};
use super::{Store, StoreError};
use crate::core::feed::Mode;
use crate::core::model::{BaselineMode, Phase, ResourceSettings, Secret, Settings, time_text};
use crate::core::phase::{Event, Hold, Link};
use crate::core::poll::{Ending, Poll};

/// Polls that are kept of each resource.
const KEPT_POLLS: i64 = 1_000;

/// One polled feed of an instance and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    pub id: i64,
    pub instance_id: i64,
    pub name: String,
    pub url: String,
    pub mode: Mode,
    pub baseline: BaselineMode,
    pub page_size: Option<u32>,
    pub phase: Phase,
    /// What is read now is learnt without being announced.
    pub silent: bool,
    pub generation: i64,
    /// The number of the set that was read to its end last.
    pub last_set: i64,
    /// The link that is requested next; `None` before the first page.
    pub cursor: Option<Secret>,
    /// Counts the cursor's steps: a commit names the step that it began from.
    pub cursor_seq: i64,
    /// Until what has changed since its creation is announced: that moment, by the provider's clock.
    pub since: Option<Timestamp>,
    /// The link that is followed when the first reading has ended: it began at the creation, or as soon as it could.
    pub anchor: Option<Secret>,
    /// When that was.
    pub anchored_at: Option<Timestamp>,
    /// When its first cursor began.
    pub started_at: Timestamp,
    /// The end of the last poll that came to its end.
    pub last_success_at: Option<Timestamp>,
    pub drive_id: Option<String>,
    pub root_id: Option<String>,
    /// What waits for a person.
    pub held: Option<Hold>,
    /// By dates: what was updated before is not asked for any more; `None` before the first window has been read.
    pub window_from: Option<Timestamp>,
    /// By dates: where the window ends that is being read.
    pub window_to: Option<Timestamp>,
    pub failures: i64,
}

impl Store {
    /// The resource with that id.
    ///
    /// # Errors
    /// `NoKey` when it has a cursor that cannot be opened; `Superseded` when it is gone.
    pub fn resource(&self, id: i64) -> Result<Resource, StoreError> {
        self.first("SELECT * FROM resource WHERE id = ?1", [id], |row| {
            self.read_resource(row)
        })?
        .ok_or(StoreError::Superseded)
    }

    /// The ids and names of an instance's resources, in the order of their creation.
    pub fn resources_of(&self, instance_id: i64) -> Result<Vec<(i64, String)>, StoreError> {
        self.all(
            "SELECT id, name FROM resource WHERE instance_id = ?1 ORDER BY id",
            [instance_id],
            row!(id, name),
        )
    }

    /// The names of a resource's instance and of itself.
    ///
    /// # Errors
    /// `Superseded` when there is no such resource.
    pub fn resource_names(&self, id: i64) -> Result<(String, String), StoreError> {
        let names = self.first(
            "SELECT i.name AS instance, r.name AS resource FROM resource r JOIN instance i ON i.id = r.instance_id
              WHERE r.id = ?1",
            [id],
            row!(instance, resource),
        )?;
        names.ok_or(StoreError::Superseded)
    }

    /// Notes that a poll begins. It is the first thing that a poll does: until it has ended, it is one to be made again.
    pub fn begin_poll(&self, resource_id: i64, now: Timestamp) -> Result<(), StoreError> {
        self.change(
            "UPDATE resource SET last_poll_at = ?2, unfinished = 1 WHERE id = ?1",
            (resource_id, time_text(now)),
        )
        .map(drop)
    }

    /// Keeps what a poll came to, in the history and in the resource's row.
    pub fn end_poll(&self, resource_id: i64, poll: &Poll) -> Result<(), StoreError> {
        let ended_at = poll
            .started_at
            .saturating_add(jiff::SignedDuration::from_millis(poll.duration_ms))
            .unwrap_or(Timestamp::MAX);
        self.write(|connection| {
            // A resource that is gone has no history.
            connection.execute(
                "INSERT INTO poll (resource_id, started_at, duration_ms, outcome, pages, items, events, unchanged,
                                   filtered, error, note, faults)
                 SELECT id, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12 FROM resource WHERE id = ?1",
                (
                    resource_id,
                    time_text(poll.started_at),
                    poll.duration_ms,
                    poll.ending().as_str(),
                    poll.pages.cast_signed(),
                    poll.items.cast_signed(),
                    poll.events.cast_signed(),
                    poll.unchanged.cast_signed(),
                    poll.filtered.cast_signed(),
                    &poll.error,
                    &poll.note,
                    poll.faults.cast_signed(),
                ),
            )?;
            connection.execute(
                "DELETE FROM poll WHERE resource_id = ?1 AND id <=
                   (SELECT id FROM poll WHERE resource_id = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)",
                (resource_id, KEPT_POLLS),
            )?;
            connection.execute(
                "UPDATE resource SET unfinished = ?2 WHERE id = ?1",
                (resource_id, poll.is_unfinished()),
            )?;
            match poll.ending() {
                Ending::Failed => connection.execute(
                    "UPDATE resource SET failures = failures + 1, last_error = ?2 WHERE id = ?1",
                    (resource_id, &poll.error),
                )?,
                Ending::Done => connection.execute(
                    "UPDATE resource SET failures = 0, last_error = NULL, last_success_at = ?2 WHERE id = ?1",
                    (resource_id, time_text(ended_at)),
                )?,
                Ending::Stopped | Ending::Paused => 0,
            };
            Ok(())
        })?;
        self.counters().count_poll(poll);
        Ok(())
    }

    /// Seals a link for its resource's row.
    pub(super) fn seal_cursor(&self, resource_id: i64, link: &Secret) -> Result<Link, StoreError> {
        Ok(self.key()?.seal(&place(resource_id), link.expose().as_bytes()))
    }

    fn read_resource(&self, row: &Row<'_>) -> Result<Resource, StoreError> {
        let id = get(row, "id")?;
        let link = |column| -> Result<Option<Secret>, StoreError> {
            let sealed: Option<Link> = get(row, column)?;
            sealed
                .map(|sealed| self.key()?.open(&place(id), &sealed))
                .transpose()
        };
        row!(row => Resource {
            id,
            instance_id,
            name,
            url,
            mode,
            baseline,
            page_size,
            phase,
            silent,
            generation,
            last_set: get::<i64>(row, "sets_read")? - 1,
            cursor: link("cursor")?,
            cursor_seq,
            since,
            anchor: link("anchor")?,
            anchored_at,
            started_at,
            last_success_at,
            drive_id,
            root_id,
            held,
            window_from,
            window_to,
            failures,
        })
    }
}

/// Brings an instance's resource rows in line with its settings. Returns notes on what that means for each: another URL,
/// or a baseline that still counts, learns anew; a resource that is no longer named is forgotten.
pub(super) fn reconcile(
    store: &Store,
    connection: &Connection,
    instance_id: i64,
    settings: &Settings,
    starts: &Starts,
    now: Timestamp,
) -> Result<Vec<String>, StoreError> {
    let mut notes = Vec::new();
    let mut known: Vec<(i64, String, String, Mode)> = connection.all(
        "SELECT id, name, url, mode FROM resource WHERE instance_id = ?1",
        [instance_id],
        row!(id, name, url, mode),
    )?;
    for wanted in &settings.resources {
        let same = known.iter().position(|(_, name, ..)| *name == wanted.name);
        let same = same.map(|position| known.swap_remove(position));
        let before = match same {
            Some((id, _, url, mode)) => Some((url, mode, state::read(connection, id)?)),
            None => None,
        };
        let id = put(connection, instance_id, wanted, now)?;
        let mut state = state::read(connection, id)?;
        if let Some((url, mode, before)) = before {
            let reason = if mode != wanted.feed.mode() {
                "mode"
            } else if url != wanted.url {
                "url"
            } else if before.baseline_counts() && before.baseline != wanted.baseline {
                "baseline"
            } else {
                continue;
            };
            notes.push(format!(
                "resource `{}` has another {reason} and learns what exists there anew",
                wanted.name
            ));
            let elsewhere = reason != "baseline";
            state = advance(connection, id, state, Event::Anew { elsewhere })?;
        }
        let link = starts.anchors.get(&wanted.name);
        let created = Event::Created {
            since: starts.since,
            link: link.map(|link| store.seal_cursor(id, link)).transpose()?,
        };
        advance(connection, id, state, created)?;
    }
    for (id, name, ..) in known {
        notes.push(format!(
            "resource `{name}` is no longer polled; what was known of it is forgotten"
        ));
        connection.change("DELETE FROM resource WHERE id = ?1", [id])?;
    }
    Ok(notes)
}

/// Writes how a resource is polled, and returns its id. A new one stands before its first reading.
fn put(
    connection: &Connection,
    instance_id: i64,
    wanted: &ResourceSettings,
    now: Timestamp,
) -> Result<i64, StoreError> {
    connection.value(
        "INSERT INTO resource
                (instance_id, name, url, baseline, page_size, schedule, timezone, mode, silent, started_at, next_poll_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?10)
             ON CONFLICT (instance_id, name) DO UPDATE
            SET url = excluded.url, baseline = excluded.baseline, page_size = excluded.page_size,
                schedule = excluded.schedule, timezone = excluded.timezone, mode = excluded.mode
         RETURNING id",
        (
            instance_id,
            &wanted.name,
            &wanted.url,
            wanted.baseline.as_str(),
            wanted.page_size,
            &wanted.schedule,
            &wanted.timezone,
            wanted.feed.mode().as_str(),
            wanted.baseline != BaselineMode::Emit,
            time_text(now),
        ),
    )
}

/// The place that a cursor is bound to.
fn place(resource_id: i64) -> String {
    format!("resource/{resource_id}/cursor")
}
