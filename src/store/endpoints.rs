//! Endpoints: one row per callback URL. The URL is shown without what may be secret in it; a keyed hash of the whole tells two
//! apart.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension};

use super::instances::json;
use super::secrets::Key;
use super::{Store, StoreError};
use crate::core::elements::{self, keys::CALLBACK_URL};
use crate::core::model::{Secret, time_text};
use crate::core::shown::shown_url;

impl Store {
    /// The id of the endpoint whose whole URL is `url`; `None` where there is none, or nobody can tell without the key.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn endpoint_at(&self, url: &str) -> Result<Option<i64>, StoreError> {
        let Ok(key) = self.key() else { return Ok(None) };
        let mac = key.name(url);
        self.read(|connection| {
            let id = connection.query_row("SELECT id FROM endpoint WHERE url_mac = ?1", [&mac], |row| {
                row.get(0)
            });
            Ok(id.optional()?)
        })
    }

    /// Seals what an older version has stored in the clear of callback URLs, once, as soon as the key is there.
    pub(super) fn seal_paths(&self) -> Result<(), StoreError> {
        let sealed = |connection: &Connection| -> Result<bool, StoreError> {
            Ok(connection.query_row("SELECT paths_sealed FROM meta", [], |row| row.get(0))?)
        };
        if self.key.is_none() || self.read(sealed)? {
            return Ok(());
        }
        self.write(|connection| {
            // What is written over must not be left in the file.
            connection.pragma_update(None, "secure_delete", true)?;
            for instance in self.instances_where(connection, "id > ?1", 0)? {
                let (shown, mut secrets) = elements::split(&instance.configuration);
                secrets.retain(|key, _| key == CALLBACK_URL);
                self.put_secrets(connection, instance.id, &secrets, instance.created_at)?;
                connection.execute(
                    "UPDATE instance SET configuration = ?2 WHERE id = ?1",
                    (instance.id, json(&shown)),
                )?;
            }
            let endpoints: Vec<(i64, String)> = connection
                .prepare("SELECT id, url FROM endpoint")?
                .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
                .collect::<Result<_, _>>()?;
            for (id, url) in endpoints {
                connection.execute(
                    "UPDATE endpoint SET url = ?2 WHERE id = ?1",
                    (id, shown_url(&url)),
                )?;
            }
            connection.execute("UPDATE meta SET paths_sealed = 1", [])?;
            connection.pragma_update(None, "secure_delete", false)?;
            Ok(())
        })
    }
}

/// The row of the endpoint `url`, made where there is none.
pub(super) fn endpoint_of(
    connection: &Connection,
    key: &Key,
    url: &Secret,
    now: Timestamp,
) -> Result<i64, StoreError> {
    let mac = key.name(url.expose());
    connection.execute(
        "INSERT INTO endpoint (url, url_mac, state_since) VALUES (?1, ?2, ?3) ON CONFLICT (url_mac) DO NOTHING",
        (shown_url(url.expose()), &mac, time_text(now)),
    )?;
    Ok(
        connection.query_row("SELECT id FROM endpoint WHERE url_mac = ?1", [&mac], |row| {
            row.get(0)
        })?,
    )
}

/// Removes the endpoints that no instance uses any more.
pub(super) fn forget_unused(connection: &Connection) -> Result<(), StoreError> {
    connection.execute(
        "DELETE FROM endpoint WHERE id NOT IN (SELECT endpoint_id FROM instance WHERE endpoint_id IS NOT NULL)",
        [],
    )?;
    Ok(())
}
