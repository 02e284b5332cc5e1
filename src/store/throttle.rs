//! A provider's wish to be left alone. It belongs to an app in a tenant, since the provider counts by them: all instances
//! of the app there keep one pause, in every thread, every process, and after a restart.

use jiff::Timestamp;

use super::rows::{Queries, get, only};
use super::{Store, StoreError};
use crate::core::model::{Secret, time_from_text, time_text};

/// Pauses that one transaction removes.
const PURGED: i64 = 1_000;

/// What the provider has asked of an app.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Throttling {
    /// Nothing is requested before then.
    pub until: Option<Timestamp>,
    /// Requests in a row that were turned away.
    pub throttles: u32,
}

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

    /// Removes pauses that were over before `before`, a bounded number of them.
    pub fn purge_pauses(&self, before: Timestamp) -> Result<(), StoreError> {
        let before = time_text(before);
        if !self.value(
            "SELECT EXISTS (SELECT 1 FROM throttle WHERE until < ?1)",
            [&before],
        )? {
            return Ok(());
        }
        self.run(
            "DELETE FROM throttle WHERE app IN (SELECT app FROM throttle WHERE until < ?1 LIMIT ?2)",
            (&before, PURGED),
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
}
