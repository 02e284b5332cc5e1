//! Endpoints: one row per callback URL. The URL is shown without its query; a keyed hash of the whole tells two apart.

use jiff::Timestamp;
use rusqlite::Connection;

use super::StoreError;
use super::secrets::Key;
use crate::core::model::{Secret, shown_url, time_text};

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
