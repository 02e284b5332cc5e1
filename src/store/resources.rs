//! Resources: where each polled feed stands, when it is due, and what its polls came to.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row};

use super::comparison::Hold;
use super::first::Starts;
use super::sweep::void_the_set;
use super::{Store, StoreError, first, known};
use crate::core::feed::Mode;
use crate::core::model::{
    BaselineMode, Phase, ResourceSettings, Secret, Settings, time_from_text, time_text,
};
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
        self.read(|connection| {
            let mut statement = connection.prepare_cached("SELECT * FROM resource WHERE id = ?1")?;
            let found = statement
                .query_row([id], |row| Ok(self.read_resource(row)))
                .optional()?;
            found.unwrap_or(Err(StoreError::Superseded))
        })
    }

    /// The ids of an instance's resources, in the order of their creation.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn resources_of(&self, instance_id: i64) -> Result<Vec<(i64, String)>, StoreError> {
        self.read(|connection| {
            let mut statement = connection
                .prepare_cached("SELECT id, name FROM resource WHERE instance_id = ?1 ORDER BY id")?;
            let rows = statement.query_map([instance_id], |row| Ok((row.get(0)?, row.get(1)?)))?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    /// The names of a resource's instance and of itself.
    ///
    /// # Errors
    /// When the database cannot be read, or there is no such resource.
    pub fn resource_names(&self, id: i64) -> Result<(String, String), StoreError> {
        self.read(|connection| {
            Ok(connection.query_row(
                "SELECT i.name, r.name FROM resource r JOIN instance i ON i.id = r.instance_id WHERE r.id = ?1",
                [id],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )?)
        })
    }

    /// Notes that a poll begins. It is the first thing that a poll does: until it has ended, it is one to be made again.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn begin_poll(&self, resource_id: i64, now: Timestamp) -> Result<(), StoreError> {
        self.write(|connection| {
            connection
                .prepare_cached("UPDATE resource SET last_poll_at = ?2, unfinished = 1 WHERE id = ?1")?
                .execute((resource_id, time_text(now)))?;
            Ok(())
        })
    }

    /// Keeps what a poll came to, in the history and in the resource's row.
    ///
    /// # Errors
    /// When the database cannot be written.
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
    pub(super) fn seal_cursor(
        &self,
        resource_id: i64,
        link: Option<&Secret>,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        link.map(|link| Ok(self.key()?.seal(&place(resource_id), link.expose().as_bytes())))
            .transpose()
    }

    fn read_resource(&self, row: &Row<'_>) -> Result<Resource, StoreError> {
        let id: i64 = row.get("id")?;
        let link = |column: &str| -> Result<Option<Secret>, StoreError> {
            let sealed: Option<Vec<u8>> = row.get(column)?;
            sealed
                .map(|sealed| self.key()?.open(&place(id), &sealed))
                .transpose()
        };
        let time = |column: &str| -> Result<Option<Timestamp>, StoreError> {
            let text: Option<String> = row.get(column)?;
            Ok(text.as_deref().and_then(time_from_text))
        };
        Ok(Resource {
            id,
            instance_id: row.get("instance_id")?,
            name: row.get("name")?,
            url: row.get("url")?,
            mode: known("mode", &row.get::<_, String>("mode")?, Mode::from_text)?,
            baseline: known(
                "baseline",
                &row.get::<_, String>("baseline")?,
                BaselineMode::from_text,
            )?,
            page_size: row.get("page_size")?,
            phase: known("phase", &row.get::<_, String>("phase")?, Phase::from_text)?,
            silent: row.get("silent")?,
            generation: row.get("generation")?,
            last_set: row.get::<_, i64>("sets_read")? - 1,
            cursor: link("cursor")?,
            since: time("since")?,
            anchor: link("anchor")?,
            anchored_at: time("anchored_at")?,
            cursor_seq: row.get("cursor_seq")?,
            started_at: known("started_at", &row.get::<_, String>("started_at")?, time_from_text)?,
            last_success_at: time("last_success_at")?,
            drive_id: row.get("drive_id")?,
            root_id: row.get("root_id")?,
            held: row
                .get::<_, Option<String>>("held")?
                .map(|held| known("held", &held, Hold::from_text))
                .transpose()?,
            window_from: time("window_from")?,
            window_to: time("window_to")?,
            failures: row.get("failures")?,
        })
    }
}

/// A resource's row, as far as a change of its settings has to know it.
struct Standing {
    id: i64,
    name: String,
    url: String,
    mode: String,
    baseline: String,
    phase: String,
}

impl Standing {
    /// What of `wanted` leaves no use for what was read so far. A baseline is for what exists at the start: a changed one
    /// counts while that is being learnt, and after `latest`, which never learnt it.
    fn reason_to_learn_anew(&self, wanted: &ResourceSettings) -> Option<&'static str> {
        let counts = self.phase == Phase::Baseline.as_str() || self.baseline == BaselineMode::Latest.as_str();
        if self.mode != wanted.feed.mode().as_str() {
            Some("mode")
        } else if self.url != wanted.url {
            Some("url")
        } else if counts && self.baseline != wanted.baseline.as_str() {
            Some("baseline")
        } else {
            None
        }
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
    let mut known: Vec<Standing> = connection
        .prepare_cached("SELECT id, name, url, mode, baseline, phase FROM resource WHERE instance_id = ?1")?
        .query_map([instance_id], |row| {
            Ok(Standing {
                id: row.get("id")?,
                name: row.get("name")?,
                url: row.get("url")?,
                mode: row.get("mode")?,
                baseline: row.get("baseline")?,
                phase: row.get("phase")?,
            })
        })?
        .collect::<Result<_, _>>()?;
    for wanted in &settings.resources {
        let silent = wanted.baseline != BaselineMode::Emit;
        let same = known.iter().position(|standing| standing.name == wanted.name);
        if let Some(standing) = same.map(|position| known.swap_remove(position)) {
            let id = standing.id;
            connection.execute(
                "UPDATE resource SET url = ?2, baseline = ?3, page_size = ?4, schedule = ?5, timezone = ?6, mode = ?7
                  WHERE id = ?1",
                (
                    id,
                    &wanted.url,
                    wanted.baseline.as_str(),
                    wanted.page_size,
                    &wanted.schedule,
                    &wanted.timezone,
                    wanted.feed.mode().as_str(),
                ),
            )?;
            if let Some(reason) = standing.reason_to_learn_anew(wanted) {
                notes.push(format!(
                    "resource `{}` has another {reason} and learns what exists there anew",
                    standing.name
                ));
                // What was followed from a moment on goes on from where it stands, once it has learnt what exists.
                let goes_on = reason == "baseline"
                    && [Phase::Following.as_str(), Phase::Sweeping.as_str()]
                        .contains(&standing.phase.as_str());
                if reason != "baseline" {
                    // What lies at the former url is missing at the new one, and not deleted: nothing of it is told.
                    connection.execute("DELETE FROM item WHERE resource_id = ?1", [id])?;
                }
                learn_anew(connection, id, silent, goes_on)?;
                first::begin(store, connection, id, wanted, starts)?;
            }
            continue;
        }
        connection.execute(
            "INSERT INTO resource
                    (instance_id, name, url, baseline, page_size, schedule, timezone, silent, started_at, next_poll_at, mode)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?9, ?10)",
            (
                instance_id,
                &wanted.name,
                &wanted.url,
                wanted.baseline.as_str(),
                wanted.page_size,
                &wanted.schedule,
                &wanted.timezone,
                silent,
                time_text(now),
                wanted.feed.mode().as_str(),
            ),
        )?;
        first::begin(store, connection, connection.last_insert_rowid(), wanted, starts)?;
    }
    for Standing { id, name, .. } in known {
        notes.push(format!(
            "resource `{name}` is no longer polled; what was known of it is forgotten"
        ));
        connection.execute("DELETE FROM resource WHERE id = ?1", [id])?;
    }
    Ok(notes)
}

/// Forgets where a resource stands and whose drive it was: its url leads elsewhere, or it `goes_on` behind what it learns.
fn learn_anew(
    connection: &Connection,
    resource_id: i64,
    silent: bool,
    goes_on: bool,
) -> Result<(), StoreError> {
    void_the_set(connection, resource_id)?;
    first::end(connection, resource_id)?;
    connection.execute("DELETE FROM seen_record WHERE resource_id = ?1", [resource_id])?;
    connection.execute(
        "UPDATE resource
            SET phase = 'baseline', silent = ?2, generation = generation + 1, cursor = NULL,
                anchor = iif(?3 AND ?2, coalesce(next_cursor, cursor), NULL),
                next_cursor = NULL, cursor_seq = cursor_seq + 1, drive_id = NULL, root_id = NULL,
                compared_items = NULL, held = NULL, window_from = NULL, window_to = NULL, faults = 0,
                last_fault = NULL, last_fault_at = NULL
          WHERE id = ?1",
        (resource_id, silent, goes_on),
    )?;
    Ok(())
}

/// The place that a cursor is bound to.
fn place(resource_id: i64) -> String {
    format!("resource/{resource_id}/cursor")
}
