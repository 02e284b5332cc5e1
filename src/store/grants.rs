//! Grants: what an account's provider has given, sealed like an instance's other secrets, and what stands in the way of
//! using it: a lost sign-in, a wish to be left alone.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension};

use super::secrets::{place, secrets_of};
use super::{Store, StoreError};
use crate::core::model::{Secret, time_from_text, time_text};

pub(super) const REFRESH_TOKEN: &str = "grant.refresh_token";
pub(super) const ACCESS_TOKEN: &str = "grant.access_token";

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

    /// Keeps a renewed grant, durably, and with it that the instance is signed in.
    ///
    /// # Errors
    /// `NoKey`; when the database cannot be written.
    pub fn save_grant(&self, instance_id: i64, grant: &Grant, now: Timestamp) -> Result<(), StoreError> {
        self.write(|connection| self.put_grant(connection, instance_id, grant, now))
    }

    /// Marks that a person must sign in again, and why.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn require_login(&self, instance_id: i64, reason: &str) -> Result<(), StoreError> {
        self.write(|connection| {
            connection.execute(
                "UPDATE instance SET grant_state = 'login_required', grant_error = ?2 WHERE id = ?1",
                (instance_id, reason),
            )?;
            Ok(())
        })
    }

    /// Marks, when an agent starts, the instances whose grants cannot be opened for want of the key, and unmarks them
    /// when it is back.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn note_missing_key(&self) -> Result<(), StoreError> {
        let reason = StoreError::NoKey.to_string();
        let (from, to, error) = match self.key() {
            Ok(_) => ("login_required", "ok", None),
            Err(_) => ("ok", "login_required", Some(&reason)),
        };
        self.write(|connection| {
            connection.execute(
                "UPDATE instance SET grant_state = ?2, grant_error = ?3
                  WHERE grant_state = ?1 AND (?1 = 'ok' OR grant_error = ?4)",
                (from, to, error, &reason),
            )?;
            Ok(())
        })
    }

    /// When requests for this instance's account may go out again, where the provider has asked to wait.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn throttled_until(&self, instance_id: i64) -> Result<Option<Timestamp>, StoreError> {
        self.read(|connection| {
            let until: Option<Option<String>> = connection
                .query_row(
                    "SELECT throttled_until FROM instance WHERE id = ?1",
                    [instance_id],
                    |row| row.get(0),
                )
                .optional()?;
            Ok(until.flatten().as_deref().and_then(time_from_text))
        })
    }

    /// Keeps the provider's wish that nothing is requested for this account before `until`.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn throttle(&self, instance_id: i64, until: Timestamp) -> Result<(), StoreError> {
        self.write(|connection| {
            connection.execute(
                "UPDATE instance SET throttled_until = ?2 WHERE id = ?1",
                (instance_id, time_text(until)),
            )?;
            Ok(())
        })
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
        connection.execute(
            "UPDATE instance SET grant_state = 'ok', grant_error = NULL WHERE id = ?1",
            [instance_id],
        )?;
        Ok(())
    }
}
