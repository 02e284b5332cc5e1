//! Instances' own tokens: sealed at rest, found by a keyed hash. Who may use one is not decided here.

use rusqlite::Connection;

use super::rows::{Queries, only};
use super::secrets::place;
use super::{Store, StoreError};
use crate::clock;
use crate::core::model::{Instance, Secret};

/// The part of the token's place behind its instance.
const PLACE: &str = "token";

impl Store {
    /// The token of the instance `id`, made where it has none yet.
    ///
    /// # Errors
    /// `NoSuchInstance`; `NoKey`.
    pub fn instance_token(&self, id: i64) -> Result<Secret, StoreError> {
        if let Some(token) = self.read(|connection| self.token_of(connection, id))? {
            return Ok(token);
        }
        self.write(|connection| {
            // Looked at again behind the lock: another may have made it in the meantime.
            if let Some(token) = self.token_of(connection, id)? {
                return Ok(token);
            }
            let token = Secret::new(clock::new_token());
            let sealed = self.key()?.seal(&place(id, PLACE), token.expose().as_bytes());
            connection.change(
                "UPDATE instance SET token = ?2, token_mac = ?3 WHERE id = ?1",
                (id, sealed, self.key()?.name(token.expose())),
            )?;
            Ok(token)
        })
    }

    /// The instance whose token that is, unless it is being deleted.
    ///
    /// # Errors
    /// `NoSuchInstance`, which does not tell the token; `NoKey`.
    pub fn instance_with_token(&self, token: &Secret) -> Result<Instance, StoreError> {
        let mac = self.key()?.name(token.expose());
        let id = self.first(
            "SELECT id FROM instance WHERE token_mac = ?1 AND deleting_since IS NULL",
            [mac],
            only,
        )?;
        match id {
            Some(id) => self.instance(id),
            None => Err(StoreError::NoSuchInstance("of this token".to_owned())),
        }
    }

    fn token_of(&self, connection: &Connection, id: i64) -> Result<Option<Secret>, StoreError> {
        let sealed: Option<Option<Vec<u8>>> =
            connection.first("SELECT token FROM instance WHERE id = ?1", [id], only)?;
        match sealed {
            None => Err(StoreError::NoSuchInstance(id.to_string())),
            Some(None) => Ok(None),
            Some(Some(sealed)) => self.key()?.open(&place(id, PLACE), &sealed).map(Some),
        }
    }
}
