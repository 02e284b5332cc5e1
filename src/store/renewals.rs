//! The right to renew or replace a grant, which one at a time has: the agent or a command, in whichever process. It ends
//! by itself, so that a process that died takes it along for a while only.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension};

use super::grants::REFRESH_TOKEN;
use super::{Store, StoreError};
use crate::core::model::{GrantState, time_text};

impl Store {
    /// Gives `holder` the right to renew the instance's grant until `until`, unless another one has it at `now`. Returns
    /// whether it has it; who had it keeps it. A right that ends later than `until` was given before the clock was set
    /// back, and is void.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn take_renewal(
        &self,
        instance_id: i64,
        holder: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<bool, StoreError> {
        self.write(|connection| {
            let taken = connection.execute(
                "UPDATE instance SET renewal_holder = ?2, renewal_until = ?4
                  WHERE id = ?1 AND (renewal_until IS NULL OR renewal_until <= ?3 OR renewal_holder = ?2
                                  OR renewal_until > ?4)",
                (instance_id, holder, time_text(now), time_text(until)),
            )?;
            Ok(taken == 1)
        })
    }

    /// Gives the right up, if `holder` still has it.
    ///
    /// # Errors
    /// When the database cannot be written; the right ends by itself then.
    pub fn give_renewal_up(&self, instance_id: i64, holder: &str) -> Result<(), StoreError> {
        self.write(|connection| {
            connection.execute(
                "UPDATE instance SET renewal_holder = NULL, renewal_until = NULL
                  WHERE id = ?1 AND renewal_holder = ?2",
                (instance_id, holder),
            )?;
            Ok(())
        })
    }

    /// Whether an instance can renew its grant, as it is now.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn grant_state(&self, instance_id: i64) -> Result<GrantState, StoreError> {
        self.read(|connection| {
            let state: Option<String> = connection
                .prepare_cached("SELECT grant_state FROM instance WHERE id = ?1")?
                .query_row([instance_id], |row| row.get(0))
                .optional()?;
            let state = state.ok_or_else(|| StoreError::NoSuchInstance(instance_id.to_string()))?;
            super::known("grant_state", &state, GrantState::from_text)
        })
    }

    /// The instances whose grant was last renewed before `before` although it could be renewed at `now`: nobody polls
    /// them, and the provider lets a grant die that is not used.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn idle_grants(&self, before: Timestamp, now: Timestamp) -> Result<Vec<i64>, StoreError> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT i.id FROM instance i JOIN secret s ON s.instance_id = i.id AND s.key = ?1
                   LEFT JOIN throttle t ON t.app = i.app
                  WHERE s.updated_at <= ?2 AND i.grant_state = 'ok' AND i.deleting_since IS NULL
                    AND (t.until IS NULL OR t.until <= ?3)
                  ORDER BY s.updated_at",
            )?;
            let rows = statement.query_map((REFRESH_TOKEN, time_text(before), time_text(now)), |row| {
                row.get(0)
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }
}

/// What `holder` has asked the provider for must not overwrite what somebody else has kept since.
pub(super) fn refuse_without_right(
    connection: &Connection,
    instance_id: i64,
    holder: &str,
) -> Result<(), StoreError> {
    let has: bool = connection.query_row(
        "SELECT EXISTS (SELECT 1 FROM instance WHERE id = ?1 AND renewal_holder = ?2)",
        (instance_id, holder),
        |row| row.get(0),
    )?;
    if has { Ok(()) } else { Err(StoreError::Superseded) }
}
