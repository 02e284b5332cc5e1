//! What waits. A provider's wish to be left alone belongs to an app in a tenant, since the provider counts by them: all
//! instances of the app there keep one pause, in every thread, every process, and after a restart.
//! When the clock is set, stored times are mended. Each wait has its begin beside its end: one that begins in the future was
//! written by a wrong clock, and begins now. What has happened in the future has happened by now. When the clock is set ahead,
//! what is left of a wait begins at the new time.
//! A begin that is forgotten makes a wait end with the wrong clock: `tests/it/schema.rs` looks for it.

use jiff::{SignedDuration, Timestamp};
use rusqlite::Connection;
use rusqlite::types::Value;

use super::grants::RENEWAL_RIGHT;
use super::rows::{Queries, get, only, row};
use super::{Store, StoreError};
use crate::core::model::{Secret, time_from_text, time_text};
use crate::core::waits::{SLACK, put_off, resumed};

/// What the provider has asked of an app.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Throttling {
    /// Nothing is requested before then.
    pub until: Option<Timestamp>,
    /// Requests in a row that were turned away.
    pub throttles: u32,
}

/// How often it is kept at least what the clock shows.
const KEPT_CLOCK: SignedDuration = SignedDuration::from_hours(1);

/// Jumps of the clock that are kept: more than count.
const JUMPS: i64 = 8;

/// Notifications that one transaction looks at or changes.
const ROWS: usize = 1_000;

/// Waits: the table, its key, and the columns of begin and end.
const WAITS: [(&str, &str, &str, &str); 2] = [
    ("endpoint", "id", "waits_since", "next_probe_at"),
    ("throttle", "app", "since", "until"),
];

/// What has happened: the table, which rows lie behind `?1`, a moment from now, and what is changed in them to `?2`, now. To
/// compare what happens from now on with such a time would mislead for as long as the clock was ahead. What is only shown
/// stays: it may be now that the clock is wrong, as on a box that starts in 1970. The start of a poll that came to its end
/// stays for a day: by it the schedule repeats nothing.
const PAST: [(&str, &str, &str); 6] = [
    (
        "endpoint",
        "max(coalesce(last_failed_at, ''), coalesce(last_accepted_at, '')) > ?1",
        "last_failed_at = min(last_failed_at, ?2), last_accepted_at = min(last_accepted_at, ?2)",
    ),
    (
        "resource",
        "last_poll_at > iif(unfinished, ?1, strftime('%Y-%m-%dT%H:%M:%fZ', ?1, '+25 hours'))",
        "last_poll_at = ?2",
    ),
    ("resource", "last_fault_at > ?1", "last_fault_at = ?2"),
    // The idle week of a grant begins now, and an access token is renewed: nobody knows when it ends.
    (
        "secret",
        "key = 'grant.refresh_token' AND updated_at > ?1",
        "updated_at = ?2",
    ),
    ("secret", "key = 'grant.access_token' AND updated_at > ?1", ""),
    ("request", "created_at > ?1", "created_at = ?2"),
];

impl Store {
    /// What the provider has asked of the app of this instance.
    pub fn throttling(&self, instance_id: i64) -> Result<Throttling, StoreError> {
        let found = self.first(
            "SELECT until, throttles FROM throttle WHERE app = (SELECT app FROM instance WHERE id = ?1)",
            [instance_id],
            |row| {
                let until: String = get(row, "until")?;
                Ok(Throttling {
                    until: time_from_text(&until),
                    throttles: get(row, "throttles")?,
                })
            },
        )?;
        Ok(found.unwrap_or_default())
    }

    /// Keeps that the instance makes its requests as `app`, the name of a tenant and a client id. Nothing is kept without
    /// the key: then nothing is requested, either.
    pub fn note_app(&self, instance_id: i64, app: &Secret) -> Result<(), StoreError> {
        let Ok(key) = self.key() else { return Ok(()) };
        let app = key.name(app.expose());
        let known = self.first("SELECT app FROM instance WHERE id = ?1", [instance_id], only)?;
        let known: Option<Vec<u8>> = known.flatten();
        if known.as_deref() == Some(&app[..]) {
            return Ok(());
        }
        self.write(|connection| {
            connection.run("UPDATE instance SET app = ?2 WHERE id = ?1", (instance_id, &app))?;
            // A pause that nobody else keeps any more goes along, unless the app is known to have one.
            let unused = "app = ?1 AND NOT EXISTS (SELECT 1 FROM instance WHERE app = ?1)";
            connection.run(
                &format!("UPDATE OR IGNORE throttle SET app = ?2 WHERE {unused}"),
                (&known, &app),
            )?;
            connection.run(&format!("DELETE FROM throttle WHERE {unused}"), [&known])
        })
    }

    /// Leaves the app of an instance open, since it has another one. The pause of the former one stays its own.
    pub fn forget_app(&self, instance_id: i64) -> Result<(), StoreError> {
        self.run("UPDATE instance SET app = NULL WHERE id = ?1", [instance_id])
    }

    /// Keeps that nothing is requested for the app of this instance from `since` on and before `until`, unless a longer
    /// pause is known. `refused`: the provider has turned a request away.
    pub fn throttle(
        &self,
        instance_id: i64,
        (since, until): (Timestamp, Timestamp),
        refused: bool,
    ) -> Result<(), StoreError> {
        self.run(
            "INSERT INTO throttle (app, since, until, throttles)
             SELECT app, ?2, ?3, ?4 FROM instance WHERE id = ?1 AND app IS NOT NULL
             ON CONFLICT (app) DO UPDATE
                SET since = iif(excluded.until > until, excluded.since, since),
                    until = max(until, excluded.until), throttles = throttles + excluded.throttles",
            (instance_id, time_text(since), time_text(until), refused),
        )
    }

    /// Notes that the provider answers the app of this instance again.
    pub fn calm(&self, instance_id: i64) -> Result<(), StoreError> {
        self.run(
            "UPDATE throttle SET throttles = 0 WHERE app = (SELECT app FROM instance WHERE id = ?1)",
            [instance_id],
        )
    }

    /// Ends the pause of the instance's app at `now`, since a person wants it.
    pub fn lift_pause(&self, instance_id: i64, now: Timestamp) -> Result<(), StoreError> {
        self.run(
            "UPDATE throttle SET since = ?2, until = ?2
              WHERE app = (SELECT app FROM instance WHERE id = ?1) AND until > ?2",
            (instance_id, time_text(now)),
        )
    }

    /// Takes in that the clock shows `now`, and returns its jumps ahead, oldest first: when more passed than is `believed` since
    /// `seen`, or since it was last kept here what the clock showed.
    pub fn note_clock(
        &self,
        seen: Option<Timestamp>,
        now: Timestamp,
        believed: SignedDuration,
    ) -> Result<Vec<(Timestamp, Timestamp)>, StoreError> {
        let kept: Option<String> = self.value("SELECT clock_seen_at FROM meta", [])?;
        let kept = kept.as_deref().and_then(time_from_text);
        let (passed, unkept) = (
            seen.or(kept).map(|seen| now.duration_since(seen)),
            kept.map(|kept| now.duration_since(kept)),
        );
        let jumped = passed.filter(|passed| *passed > believed);
        let soon = believed.min(KEPT_CLOCK);
        if jumped.is_some() || unkept.is_none_or(|unkept| unkept > soon || unkept < -SLACK) {
            self.write(|connection| {
                // It was none, where the clock has been set back since.
                connection.change("DELETE FROM clock_jump WHERE jumped_to > ?1", [time_text(now)])?;
                if let Some(from) = jumped.and_then(|passed| now.checked_sub(passed).ok()) {
                    connection.change(
                        "INSERT OR REPLACE INTO clock_jump VALUES (?1, ?2)",
                        (time_text(from), time_text(now)),
                    )?;
                    connection.change(
                        "DELETE FROM clock_jump WHERE jumped_from NOT IN
                           (SELECT jumped_from FROM clock_jump ORDER BY jumped_to DESC LIMIT ?1)",
                        [JUMPS],
                    )?;
                }
                connection.run("UPDATE meta SET clock_seen_at = ?1", [time_text(now)])
            })?;
        }
        self.all(
            "SELECT jumped_from, jumped_to FROM clock_jump ORDER BY jumped_to",
            [],
            row!(jumped_from, jumped_to),
        )
    }

    /// Has all waits that begin in the future begin at `now`, each as long as was meant. Of an instance's notifications only
    /// the first and the last are looked at, unless `thoroughly`. Returns whether anything was changed.
    ///
    /// # Errors
    /// When the database cannot be read or written; what was done before stays.
    pub fn resume_waits(&self, now: Timestamp, thoroughly: bool) -> Result<bool, StoreError> {
        let ahead = time_text(now.saturating_add(SLACK).unwrap_or(Timestamp::MAX));
        let mut changed = self.read(|connection| any_ahead(connection, &ahead))?;
        if changed {
            self.write(|connection| mend(connection, now, &ahead))?;
        }
        let until = |since, until| resumed(since, until, now);
        for instance in suspects(self, now, &ahead, thoroughly)? {
            changed |= self.move_outbox(instance, now, now, &until)?;
        }
        Ok(changed)
    }

    /// Has what is left at `from` of each wait begin at `now`, to which the clock was set ahead then. A command's request is as
    /// young at `now` as if it had just been made.
    ///
    /// # Errors
    /// When the database cannot be read or written; what was done before stays.
    pub fn put_waits_off(&self, from: Timestamp, now: Timestamp) -> Result<(), StoreError> {
        let until = |since, until| put_off(since, until, from, now);
        self.write(|connection| {
            move_waits(connection, now, &until)?;
            move_rights(connection, now, &until)?;
            connection.run(
                "UPDATE request SET created_at = ?2 WHERE created_at <= ?1",
                (time_text(from), time_text(now)),
            )
        })?;
        for instance in suspects(self, from, "", true)? {
            self.move_outbox(instance, from, now, &until)?;
        }
        Ok(())
    }

    /// Has the pending notifications of one instance whose waits end after `running_at` wait until what `until` says.
    fn move_outbox(
        &self,
        instance_id: i64,
        running_at: Timestamp,
        now: Timestamp,
        until: &Until<'_>,
    ) -> Result<bool, StoreError> {
        // What is due is not asked for its begin, which lies behind the body.
        let select =
            "SELECT id, iif(next_attempt_at > ?1, coalesce(waits_since, created_at), ''), next_attempt_at
                        FROM outbox INDEXED BY outbox_pending_by_instance
                       WHERE instance_id = ?2 AND state = 'pending' AND id > ?3 ORDER BY id LIMIT ?4";
        let update = "UPDATE outbox
                         SET waits_since = ?2, next_attempt_at = ?3, last_failed_at = min(last_failed_at, ?2)
                       WHERE id = ?1 AND state = 'pending'";
        let (mut after, mut changed) = (0, false);
        loop {
            let rows = self.all(
                select,
                (time_text(running_at), instance_id, after, ROWS as i64),
                wait,
            )?;
            let moved = moved(&rows, until);
            if !moved.is_empty() {
                changed = true;
                self.write(|connection| put(connection, update, &moved, now))?;
            }
            match rows.last() {
                Some((Value::Integer(last), ..)) if rows.len() == ROWS => after = *last,
                _ => return Ok(changed),
            }
        }
    }
}

/// A row's key, and the begin and the end of its wait.
type Wait = (Value, String, String);

/// The end of a wait, by its begin and its end, when it has to be moved.
type Until<'a> = dyn Fn(Timestamp, Timestamp) -> Option<Timestamp> + 'a;

fn wait(row: &rusqlite::Row<'_>) -> Result<Wait, StoreError> {
    Ok((row.get(0)?, row.get(1)?, row.get(2)?))
}

/// The keys of those that have to be moved, with their new ends.
fn moved<'r>(rows: &'r [Wait], until: &Until<'_>) -> Vec<(&'r Value, Timestamp)> {
    let moved = |(key, begin, end): &'r Wait| {
        let until = until(time_from_text(begin)?, time_from_text(end)?)?;
        Some((key, until))
    };
    rows.iter().filter_map(moved).collect()
}

fn put(
    connection: &Connection,
    update: &str,
    moved: &[(&Value, Timestamp)],
    now: Timestamp,
) -> Result<(), StoreError> {
    for (key, until) in moved {
        connection.run(update, (key, time_text(now), time_text(*until)))?;
    }
    Ok(())
}

/// Whether there is a row of those that `mend` changes.
fn any_ahead(connection: &Connection, ahead: &str) -> Result<bool, StoreError> {
    let waits = WAITS
        .iter()
        .map(|(table, _, since, until)| (*table, format!("{since} > ?1 AND {until} IS NOT NULL")));
    let past = PAST
        .iter()
        .map(|(table, is_ahead, _)| (*table, (*is_ahead).to_owned()));
    for (table, is_ahead) in waits.chain(past) {
        let select = format!("SELECT EXISTS (SELECT 1 FROM {table} WHERE {is_ahead})");
        if connection.value(&select, [ahead])? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn mend(connection: &Connection, now: Timestamp, ahead: &str) -> Result<(), StoreError> {
    move_waits(connection, now, &|since, until| resumed(since, until, now))?;
    for (table, is_ahead, change) in PAST {
        match change {
            "" => connection.run(&format!("DELETE FROM {table} WHERE {is_ahead}"), [ahead])?,
            change => connection.run(
                &format!("UPDATE {table} SET {change} WHERE {is_ahead}"),
                (ahead, time_text(now)),
            )?,
        };
    }
    // A timetable is made by these times.
    connection.run("UPDATE meta SET plan_version = plan_version + 1", [])
}

/// Has the waits of endpoints and apps end at what `until` says.
fn move_waits(connection: &Connection, now: Timestamp, until: &Until<'_>) -> Result<(), StoreError> {
    for (table, key, begin, end) in WAITS {
        let select = format!(
            "SELECT {key}, {begin}, {end} FROM {table} WHERE {begin} IS NOT NULL AND {end} IS NOT NULL"
        );
        let rows = connection.all(&select, [], wait)?;
        let update = format!("UPDATE {table} SET {begin} = ?2, {end} = ?3 WHERE {key} = ?1");
        put(connection, &update, &moved(&rows, until), now)?;
    }
    Ok(())
}

/// Has the rights to renew a grant end at what `until` says. They have no begin beside their end, and need none: each lasts
/// as long as the others.
fn move_rights(connection: &Connection, now: Timestamp, until: &Until<'_>) -> Result<(), StoreError> {
    let select = "SELECT id, strftime('%Y-%m-%dT%H:%M:%fZ', renewal_until, ?1), renewal_until FROM instance
          WHERE renewal_until IS NOT NULL";
    let before = format!("-{} seconds", RENEWAL_RIGHT.as_secs());
    let rows = connection.all(select, [before], wait)?;
    let update = "UPDATE instance SET renewal_until = ?3 WHERE id = ?1";
    put(connection, update, &moved(&rows, until), now)
}

/// The instances of whose pending notifications one may wait for a time that a wrong clock has set.
fn suspects(queries: &impl Queries, now: Timestamp, ahead: &str, all: bool) -> Result<Vec<i64>, StoreError> {
    let pending =
        "FROM outbox INDEXED BY outbox_pending_by_instance WHERE instance_id = i.id AND state = 'pending'";
    let select = format!(
        "SELECT i.id FROM instance i
          WHERE EXISTS (SELECT 1 FROM outbox
                         WHERE id IN ((SELECT min(id) {pending}), (SELECT max(id) {pending}))
                           AND (?3 OR (next_attempt_at > ?1 AND coalesce(waits_since, created_at) > ?2)))"
    );
    queries.all(&select, (time_text(now), ahead, all), only)
}
