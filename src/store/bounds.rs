//! How much room the outbox takes and how it is given back: sizes, pauses, and the removal of what is delivered. Who
//! pauses is decided in `core::bounds`.

use std::fs;

use jiff::Timestamp;

use super::rows::{Queries, row};
use super::{Store, StoreError, lock};
use crate::core::bounds::{Backlog, PausedBy};
use crate::core::model::time_text;
use crate::core::shown::shown;

/// Rows that one transaction removes: notifications, their events and their attempts.
const PURGED: i64 = 1_000;

/// Bytes of bodies that one transaction removes.
const PURGED_BYTES: i64 = 2 << 20;

/// The same of notifications that were delivered by a clock that was ahead.
const PURGED_BEFORE: i64 = 50;

/// Pages that are given back to the disk at a time.
const GIVEN_BACK: i64 = 256;

const PAGES: &str = "PRAGMA page_count";
const FREE_PAGES: &str = "PRAGMA freelist_count";

/// An instance whose polling waits for the outbox.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PausedRow {
    pub instance: String,
    pub paused_by: String,
    pub paused_since: String,
    /// Pending and dead.
    pub backlog_events: i64,
}

impl Store {
    /// The instances whose polling waits for the outbox.
    pub fn paused_instances(&self) -> Result<Vec<PausedRow>, StoreError> {
        self.all(
            "SELECT name, paused_by, paused_since, backlog_events FROM instance
              WHERE paused_by IS NOT NULL ORDER BY id",
            [],
            row!(PausedRow { instance as "name", paused_by, paused_since, backlog_events }),
        )
    }

    /// The bytes that the database takes on the disk, with its WAL and without its free pages.
    ///
    /// # Errors
    /// When the database or its WAL cannot be read.
    pub fn used_bytes(&self) -> Result<u64, StoreError> {
        let (pages, free, size) = self.read(|connection| {
            let number = |pragma| connection.value::<i64>(pragma, []);
            Ok((number(PAGES)?, number(FREE_PAGES)?, number("PRAGMA page_size")?))
        })?;
        let mut wal = self.path.clone().into_os_string();
        wal.push("-wal");
        let wal = match std::fs::metadata(&wal) {
            Ok(file) => file.len(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => 0,
            Err(source) => return Err(StoreError::file("look at", wal.as_ref(), source)),
        };
        Ok(pages.saturating_sub(free).max(0).cast_unsigned() * size.cast_unsigned() + wal)
    }

    /// What is not delivered, of every instance.
    pub fn backlogs(&self) -> Result<Vec<Backlog>, StoreError> {
        self.all(
            "SELECT id AS instance_id, name AS instance, backlog_events AS events, backlog_bytes AS bytes, paused_by
               FROM instance ORDER BY id",
            [],
            row!(Backlog { instance_id, instance, events, bytes, paused_by }),
        )
    }

    /// Whether polling of an instance has to wait, for what polls ask between two pages. It is paused here when its
    /// backlog has come to `max_events`.
    pub fn pause_if_full(
        &self,
        instance_id: i64,
        max_events: u64,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let found = self.first(
            "SELECT paused_by IS NOT NULL AS paused, backlog_events >= ?2 AS full FROM instance WHERE id = ?1",
            (instance_id, signed(max_events)),
            row!(paused, full),
        )?;
        let (paused, full): (bool, bool) =
            found.ok_or_else(|| StoreError::NoSuchInstance(instance_id.to_string()))?;
        if full && !paused {
            self.pause(instance_id, PausedBy::MaxEvents, now)?;
        }
        Ok(paused || full)
    }

    /// Lets polling of an instance wait. Returns whether it did not before.
    pub fn pause(&self, instance_id: i64, by: PausedBy, now: Timestamp) -> Result<bool, StoreError> {
        let paused = self.change(
            "UPDATE instance SET paused_by = ?2, paused_since = ?3 WHERE id = ?1 AND paused_by IS NULL",
            (instance_id, by.as_str(), time_text(now)),
        )?;
        Ok(paused > 0)
    }

    /// Lets polling of an instance go on; polls that its pause has cut off are due at once.
    pub fn resume(&self, instance_id: i64) -> Result<(), StoreError> {
        self.run(
            "UPDATE instance SET paused_by = NULL, paused_since = NULL WHERE id = ?1",
            [instance_id],
        )
    }

    /// Removes notifications that were delivered before `before`, oldest first, in one transaction of at most a
    /// thousand rows and 2 MiB of bodies. Returns how many.
    pub fn purge_delivered(&self, before: Timestamp) -> Result<usize, StoreError> {
        let before = time_text(before);
        let ids = self.read(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT id, 1 + event_count + min(attempts, 20) AS rows, length(body) AS bytes FROM outbox
                  WHERE state = 'delivered' AND delivered_at < ?1
                  ORDER BY delivered_at LIMIT ?2",
            )?;
            let mut rows = statement.query_and_then((&before, PURGED), row!(id, rows, bytes))?;
            let mut ids = Vec::new();
            let (mut removed, mut removed_bytes) = (0, 0);
            while let Some::<(i64, i64, i64)>((id, rows, bytes)) = rows.next().transpose()? {
                removed += rows;
                removed_bytes += bytes;
                if !ids.is_empty() && (removed > PURGED || removed_bytes > PURGED_BYTES) {
                    break;
                }
                ids.push(id);
            }
            Ok(ids)
        })?;
        if ids.is_empty() {
            return Ok(0);
        }
        self.write(|connection| {
            // It may have been made to wait again since it was chosen.
            let mut gone = 0;
            for id in &ids {
                gone += connection.change("DELETE FROM outbox WHERE id = ?1 AND state = 'delivered'", [id])?;
            }
            // What was delivered before them by a clock that was ahead is older than they are, whatever it says.
            let before_them = connection.change(
                "DELETE FROM outbox WHERE id IN
                   (SELECT id FROM outbox
                     WHERE state = 'delivered' AND id < ?1
                       AND delivered_at > (SELECT strftime('%Y-%m-%dT%H:%M:%fZ', clock_seen_at, '+25 hours') FROM meta)
                     LIMIT ?2)",
                (ids.iter().max(), PURGED_BEFORE),
            )?;
            Ok(gone + before_them)
        })
    }

    /// Removes what commands asked for before `before`: who waited for an answer is gone. Returns how many.
    pub fn purge_requests(&self, before: Timestamp) -> Result<usize, StoreError> {
        self.purge("request", "id", "created_at", before)
    }

    /// Removes pauses that were over before `before`. Returns how many.
    pub fn purge_pauses(&self, before: Timestamp) -> Result<usize, StoreError> {
        self.purge("throttle", "app", "until", before)
    }

    /// Removes at most a thousand rows of `table`, with their `key`, whose time in `column` is before `before`. Where there
    /// are none, nobody who writes is waited for.
    fn purge(&self, table: &str, key: &str, column: &str, before: Timestamp) -> Result<usize, StoreError> {
        let old = format!("SELECT {key} FROM {table} WHERE {column} < ?1 LIMIT ?2");
        let before = time_text(before);
        if !self.value(&format!("SELECT EXISTS ({old})"), (&before, PURGED))? {
            return Ok(0);
        }
        self.change(
            &format!("DELETE FROM {table} WHERE {key} IN ({old})"),
            (&before, PURGED),
        )
    }

    /// Gives one step of free pages back to the disk, as far as there are more than the tenth that is kept for what
    /// comes next. Returns whether there were; the file itself shrinks at the next checkpoint.
    pub fn give_back(&self) -> Result<bool, StoreError> {
        let writer = lock(&self.writer);
        let kept = (writer.value::<i64>(PAGES, [])? / 10).max(GIVEN_BACK);
        let step = (writer.value::<i64>(FREE_PAGES, [])? - kept).min(GIVEN_BACK);
        if step > 0 {
            // Each step of the statement is one page.
            let mut vacuum = writer.prepare(&format!("PRAGMA incremental_vacuum({step})"))?;
            let mut rows = vacuum.query([])?;
            while rows.next()?.is_some() {}
        }
        Ok(step > 0)
    }

    /// The other processes that have the database open, as far as the system tells: `NAME (process ID)`.
    pub fn other_users(&self) -> Vec<String> {
        let pids = fs::read_dir("/proc").into_iter().flatten().flatten();
        let pids = pids.filter(|process| process.file_name() != *std::process::id().to_string());
        let opened = |process: &fs::DirEntry| {
            let files = fs::read_dir(process.path().join("fd"))
                .into_iter()
                .flatten()
                .flatten();
            files
                .flat_map(|file| fs::read_link(file.path()))
                .any(|file| file == self.path)
        };
        let named = |process: fs::DirEntry| {
            let name = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            format!(
                "{} (process {})",
                shown(name.trim()),
                process.file_name().display()
            )
        };
        pids.filter(opened).map(named).collect()
    }

    /// The space of the data directory's file system, free for this user and in all, in bytes.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn disk_space(&self) -> Result<(u64, u64), StoreError> {
        let directory = self.path.parent().unwrap_or(&self.path);
        let system = nix::sys::statvfs::statvfs(directory)
            .map_err(|errno| StoreError::file("look at the file system of", directory, errno.into()))?;
        let unit = system.fragment_size() as u64;
        Ok((
            unit * system.blocks_available() as u64,
            unit * system.blocks() as u64,
        ))
    }
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
