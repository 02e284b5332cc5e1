//! Endpoints: one row per callback URL. The URL is shown without what may be secret in it; a keyed hash of the whole tells two
//! apart.

use jiff::Timestamp;
use rusqlite::Connection;

use super::rows::{Queries, json, only, row};
use super::secrets::Key;
use super::{Store, StoreError};
use crate::core::elements::{self, keys::CALLBACK_URL};
use crate::core::model::{Secret, time_text};
use crate::core::outbox::Endpoint;
use crate::core::shown::shown_url;

impl Store {
    /// Every endpoint.
    pub fn endpoints(&self) -> Result<Vec<Endpoint>, StoreError> {
        // CROSS JOIN keeps the order of the tables: the instances' entries in the index of the state are counted.
        self.all(
            "SELECT e.id, e.url, e.state, e.state_since, e.failures, e.last_accepted_at, e.last_failed_at,
                    e.next_probe_at, e.last_error,
                    (SELECT count(*) FROM instance i CROSS JOIN outbox o
                      WHERE i.endpoint_id = e.id AND o.instance_id = i.id AND o.state = 'pending') AS pending,
                    (SELECT count(*) FROM instance i CROSS JOIN outbox o
                      WHERE i.endpoint_id = e.id AND o.instance_id = i.id AND o.state = 'dead') AS dead
               FROM endpoint e ORDER BY e.id",
            [],
            row!(Endpoint {
                id,
                url,
                state,
                state_since,
                failures,
                last_accepted_at,
                last_failed_at,
                next_probe_at,
                last_error,
                pending,
                dead,
            }),
        )
    }

    /// Opens an endpoint as if it had never failed.
    pub fn reactivate(&self, endpoint_id: i64, now: Timestamp) -> Result<(), StoreError> {
        self.run(
            "UPDATE endpoint
                SET state_since = iif(state = 'active', state_since, ?2), state = 'active', failures = 0,
                    deaths = 0, next_probe_at = NULL, asked_to_wait = 0, last_error = NULL
              WHERE id = ?1",
            (endpoint_id, time_text(now)),
        )
    }

    /// Lets an endpoint that backs off be tried at `now`, if it were not before.
    pub fn probe_at(&self, endpoint_id: i64, now: Timestamp) -> Result<(), StoreError> {
        self.run(
            "UPDATE endpoint SET waits_since = ?2, next_probe_at = ?2
              WHERE id = ?1 AND state = 'backing_off' AND next_probe_at > ?2",
            (endpoint_id, time_text(now)),
        )
    }

    /// Each instance with its endpoint.
    pub fn instance_endpoints(&self) -> Result<Vec<(i64, Option<i64>)>, StoreError> {
        self.all(
            "SELECT id, endpoint_id FROM instance ORDER BY id",
            [],
            row!(id, endpoint_id),
        )
    }

    /// The id of the endpoint whose whole URL is `url`; `None` where there is none, or nobody can tell without the key.
    pub fn endpoint_at(&self, url: &str) -> Result<Option<i64>, StoreError> {
        let Ok(key) = self.key() else { return Ok(None) };
        let mac = key.name(url);
        self.first("SELECT id FROM endpoint WHERE url_mac = ?1", [&mac], only)
    }

    /// Seals what an older version has stored in the clear of callback URLs, once, as soon as the key is there.
    pub(super) fn seal_paths(&self) -> Result<(), StoreError> {
        if self.key.is_none() || self.value("SELECT paths_sealed FROM meta", [])? {
            return Ok(());
        }
        self.write(|connection| {
            // What is written over must not be left in the file.
            connection.pragma_update(None, "secure_delete", true)?;
            for instance in self.instances_where(connection, "id > ?1", 0)? {
                let (shown, mut secrets) = elements::split(&instance.configuration);
                secrets.retain(|key, _| key == CALLBACK_URL);
                self.put_secrets(connection, instance.id, &secrets, instance.created_at)?;
                connection.change(
                    "UPDATE instance SET configuration = ?2 WHERE id = ?1",
                    (instance.id, json(&shown)),
                )?;
            }
            let endpoints: Vec<(i64, String)> =
                connection.all("SELECT id, url FROM endpoint", [], row!(id, url))?;
            for (id, url) in endpoints {
                connection.change(
                    "UPDATE endpoint SET url = ?2 WHERE id = ?1",
                    (id, shown_url(&url)),
                )?;
            }
            connection.change("UPDATE meta SET paths_sealed = 1", [])?;
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
    connection.change(
        "INSERT INTO endpoint (url, url_mac, state_since) VALUES (?1, ?2, ?3) ON CONFLICT (url_mac) DO NOTHING",
        (shown_url(url.expose()), &mac, time_text(now)),
    )?;
    connection.value("SELECT id FROM endpoint WHERE url_mac = ?1", [&mac])
}

/// Removes the endpoints that no instance uses any more.
pub(super) fn forget_unused(connection: &Connection) -> Result<(), StoreError> {
    connection.run(
        "DELETE FROM endpoint WHERE id NOT IN (SELECT endpoint_id FROM instance WHERE endpoint_id IS NOT NULL)",
        [],
    )
}
