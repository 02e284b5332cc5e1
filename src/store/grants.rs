//! Grants: what an account's provider has given, sealed like an instance's other secrets, and what stands in the way of
//! using it: a lost sign-in. One at a time has the right to renew or replace a grant: the agent or a command, in whichever
//! process. The right ends by itself, so that a process that died takes it along for a while only.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::Connection;

use super::rows::{Queries, only};
use super::secrets::{place, secrets_of};
use super::{Store, StoreError};
use crate::core::model::{GrantState, Secret, time_from_text, time_text};

pub(super) const REFRESH_TOKEN: &str = "grant.refresh_token";
pub(super) const ACCESS_TOKEN: &str = "grant.access_token";

/// How long the right to renew a grant lasts.
pub const RENEWAL_RIGHT: Duration = Duration::from_secs(2 * 60);

/// What an account's provider has given so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grant {
    pub refresh_token: Option<Secret>,
    pub access_token: Option<Secret>,
    /// When the access token ends.
    pub expires_at: Option<Timestamp>,
}

impl Store {
    /// What the provider has given this instance.
    ///
    /// # Errors
    /// `NoKey`.
    pub fn grant(&self, instance_id: i64) -> Result<Grant, StoreError> {
        let stored = self.read(|connection| secrets_of(connection, instance_id))?;
        let open = |name: &str| -> Result<Option<Secret>, StoreError> {
            let sealed = stored.iter().find(|(key, _)| key == name);
            sealed
                .map(|(key, sealed)| self.key()?.open(&place(instance_id, key), sealed))
                .transpose()
        };
        let mut grant = Grant {
            refresh_token: open(REFRESH_TOKEN)?,
            ..Grant::default()
        };
        // The access token is sealed together with its end: `<time> <token>`.
        if let Some(stored) = open(ACCESS_TOKEN)?
            && let Some((time, token)) = stored.expose().split_once(' ')
        {
            grant.expires_at = time_from_text(time);
            grant.access_token = Some(Secret::new(token));
        }
        Ok(grant)
    }

    /// Keeps a grant that `holder` has renewed, durably.
    ///
    /// # Errors
    /// `Superseded` when the right to renew it has gone to another one meanwhile; `NoKey`.
    pub fn save_grant(
        &self,
        instance_id: i64,
        holder: &str,
        grant: &Grant,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.write(|connection| {
            refuse_without_right(connection, instance_id, holder)?;
            self.put_grant(connection, instance_id, grant, now)
        })
    }

    /// Keeps the grant of a new sign-in in place of whatever was there. The instance is polled at once, from where it
    /// stood; a resource that was held for showing another drive may show what it shows now.
    ///
    /// # Errors
    /// `NoKey`; when the database cannot be written.
    pub fn sign_in(&self, instance_id: i64, grant: &Grant, now: Timestamp) -> Result<(), StoreError> {
        self.write(|connection| self.put_sign_in(connection, instance_id, grant, now))
    }

    /// Marks that a person must act before `holder` can renew the grant, and what to do.
    ///
    /// # Errors
    /// `Superseded` when the right to renew it has gone to another one meanwhile.
    pub fn require_login(&self, instance_id: i64, holder: &str, reason: &str) -> Result<(), StoreError> {
        self.write(|connection| {
            refuse_without_right(connection, instance_id, holder)?;
            connection.run(
                "UPDATE instance SET grant_state = 'login_required', grant_error = ?2 WHERE id = ?1",
                (instance_id, reason),
            )
        })
    }

    /// Lets the grant be tried again, since the app that it belongs to was changed.
    pub fn try_grant_again(&self, instance_id: i64) -> Result<(), StoreError> {
        self.write(|connection| {
            connection.change(
                "UPDATE instance SET grant_state = 'ok', grant_error = NULL WHERE id = ?1",
                [instance_id],
            )?;
            poll_at_once(connection, instance_id)
        })
    }

    /// Marks, when an agent starts, the instances whose grants cannot be opened for want of the key, and unmarks them
    /// when it is back.
    pub fn note_missing_key(&self) -> Result<(), StoreError> {
        let reason = StoreError::NoKey.to_string();
        let (from, to, error) = match self.key() {
            Ok(_) => ("login_required", "ok", None),
            Err(_) => ("ok", "login_required", Some(&reason)),
        };
        self.run(
            "UPDATE instance SET grant_state = ?2, grant_error = ?3
              WHERE grant_state = ?1 AND (?1 = 'ok' OR grant_error = ?4)",
            (from, to, error, &reason),
        )
    }

    /// Keeps how many minutes this box's clock is ahead of the provider's, or that the two agree. Returns whether they
    /// agreed until now, or agree again.
    pub fn note_clock_skew(&self, instance_id: i64, minutes: Option<i64>) -> Result<bool, StoreError> {
        let kept = self.first(
            "SELECT clock_skew_minutes FROM instance WHERE id = ?1",
            [instance_id],
            only,
        )?;
        let kept: Option<i64> = kept.flatten();
        if kept == minutes {
            return Ok(false);
        }
        self.change(
            "UPDATE instance SET clock_skew_minutes = ?2 WHERE id = ?1",
            (instance_id, minutes),
        )?;
        Ok(kept.is_some() != minutes.is_some())
    }

    /// Gives `holder` the right to renew the instance's grant for `RENEWAL_RIGHT`, unless another one has it at `now`. Returns
    /// whether it has it; who had it keeps it. A right that ends later than this one would was given before the clock was
    /// set back, and is void.
    pub fn take_renewal(&self, instance_id: i64, holder: &str, now: Timestamp) -> Result<bool, StoreError> {
        let until = now.saturating_add(RENEWAL_RIGHT).unwrap_or(Timestamp::MAX);
        let taken = self.change(
            "UPDATE instance SET renewal_holder = ?2, renewal_until = ?4
              WHERE id = ?1 AND (renewal_until IS NULL OR renewal_until <= ?3 OR renewal_holder = ?2
                              OR renewal_until > ?4)",
            (instance_id, holder, time_text(now), time_text(until)),
        )?;
        Ok(taken == 1)
    }

    /// Gives the right up, if `holder` still has it.
    ///
    /// # Errors
    /// When the database cannot be written; the right ends by itself then.
    pub fn give_renewal_up(&self, instance_id: i64, holder: &str) -> Result<(), StoreError> {
        self.run(
            "UPDATE instance SET renewal_holder = NULL, renewal_until = NULL
              WHERE id = ?1 AND renewal_holder = ?2",
            (instance_id, holder),
        )
    }

    /// Whether an instance can renew its grant, as it is now.
    pub fn grant_state(&self, instance_id: i64) -> Result<GrantState, StoreError> {
        let state = self.first(
            "SELECT grant_state FROM instance WHERE id = ?1",
            [instance_id],
            only,
        )?;
        state.ok_or_else(|| StoreError::NoSuchInstance(instance_id.to_string()))
    }

    /// The instances whose grant was last renewed before `before` although it could be renewed at `now`: nobody polls
    /// them, and the provider lets a grant die that is not used.
    pub fn idle_grants(&self, before: Timestamp, now: Timestamp) -> Result<Vec<i64>, StoreError> {
        self.all(
            "SELECT i.id FROM instance i JOIN secret s ON s.instance_id = i.id AND s.key = ?1
               LEFT JOIN throttle t ON t.app = i.app
              WHERE s.updated_at <= ?2 AND i.grant_state = 'ok' AND i.deleting_since IS NULL
                AND (t.until IS NULL OR t.until <= ?3)
              ORDER BY s.updated_at",
            (REFRESH_TOKEN, time_text(before), time_text(now)),
            only,
        )
    }

    pub(super) fn put_sign_in(
        &self,
        connection: &Connection,
        instance_id: i64,
        grant: &Grant,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        connection.change(
            "DELETE FROM secret WHERE instance_id = ?1 AND key IN (?2, ?3)",
            (instance_id, REFRESH_TOKEN, ACCESS_TOKEN),
        )?;
        self.put_grant(connection, instance_id, grant, now)?;
        connection.change(
            "UPDATE resource SET held = NULL WHERE instance_id = ?1 AND held = 'drive'",
            [instance_id],
        )?;
        poll_at_once(connection, instance_id)
    }

    pub(super) fn put_grant(
        &self,
        connection: &Connection,
        instance_id: i64,
        grant: &Grant,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut tokens = BTreeMap::new();
        if let Some(token) = &grant.refresh_token {
            tokens.insert(REFRESH_TOKEN.to_owned(), token.clone());
        }
        if let (Some(token), Some(end)) = (&grant.access_token, grant.expires_at) {
            let with_end = Secret::new(format!("{} {}", time_text(end), token.expose()));
            tokens.insert(ACCESS_TOKEN.to_owned(), with_end);
        }
        self.put_secrets(connection, instance_id, &tokens, now)?;
        let (state, error) = match &grant.access_token {
            Some(_) => ("ok", None),
            None => (
                "login_required",
                Some("nobody has signed in yet: run `deltapost login`"),
            ),
        };
        connection.run(
            "UPDATE instance SET grant_state = ?2, grant_error = ?3 WHERE id = ?1",
            (instance_id, state, error),
        )
    }
}

/// Makes the instance's polls owed that have begun before: what has kept them from their ends may be mended.
fn poll_at_once(connection: &Connection, instance_id: i64) -> Result<(), StoreError> {
    connection.run(
        "UPDATE resource SET unfinished = 1 WHERE instance_id = ?1 AND last_poll_at IS NOT NULL",
        [instance_id],
    )
}

/// What `holder` has asked the provider for must not overwrite what somebody else has kept since.
fn refuse_without_right(connection: &Connection, instance_id: i64, holder: &str) -> Result<(), StoreError> {
    let has = connection.value(
        "SELECT EXISTS (SELECT 1 FROM instance WHERE id = ?1 AND renewal_holder = ?2)",
        (instance_id, holder),
    )?;
    if has { Ok(()) } else { Err(StoreError::Superseded) }
}
