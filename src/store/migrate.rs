//! Versions of the schema: forward only, each step in one transaction together with its `user_version`.

use std::path::Path;

use jiff::Timestamp;
use rusqlite::{Connection, TransactionBehavior};

use super::StoreError;
use super::secrets::Key;
use crate::core::model::time_text;

/// `dpst`: tells a deltapost database from another program's.
const APPLICATION_ID: i64 = 0x6470_7374;

/// The steps, oldest first. A shipped file never changes; a test holds each one's hash.
const STEPS: &[&str] = &[
    include_str!("../../schema/0001_initial.sql"),
    include_str!("../../schema/0002_instance_token.sql"),
];

/// What is sealed in `meta.key_check`.
const KEY_CHECK: &[u8] = b"deltapost";

/// Fills a new database.
pub(super) fn create(connection: &mut Connection, key: &Key, now: Timestamp) -> Result<(), StoreError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for step in STEPS {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", STEPS.len() as i64)?;
    transaction.execute(
        "INSERT INTO meta (id, created_at, key_check) VALUES (1, ?1, ?2)",
        (time_text(now), key.seal("meta/key_check", KEY_CHECK)),
    )?;
    transaction.commit()?;
    Ok(())
}

/// How many steps the database at `path` is behind the present version.
pub(super) fn pending_steps(connection: &Connection, path: &Path) -> Result<usize, StoreError> {
    let pragma = |name: &str| -> Result<i64, StoreError> {
        connection
            .pragma_query_value(None, name, |row| row.get(0))
            .map_err(|source| StoreError::opening(path, source))
    };
    if pragma("application_id")? != APPLICATION_ID {
        return Err(StoreError::NotADatabase(path.to_owned()));
    }
    let (found, known) = (pragma("user_version")?, STEPS.len() as i64);
    if found > known {
        return Err(StoreError::Newer {
            path: path.to_owned(),
            found,
            known,
        });
    }
    Ok(usize::try_from(known - found)
        .unwrap_or(STEPS.len())
        .min(STEPS.len()))
}

/// Brings the database at `path` to the present version, or says why it stays as it is.
pub(super) fn migrate(connection: &mut Connection, path: &Path) -> Result<(), StoreError> {
    while pending_steps(connection, path)? > 0 {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        // Looked at again behind the lock: another process may have taken the step in the meantime.
        let pending = pending_steps(&transaction, path)?;
        if let Some(step) = STEPS
            .len()
            .checked_sub(pending)
            .and_then(|taken| STEPS.get(taken))
        {
            transaction.execute_batch(step)?;
            transaction.pragma_update(None, "user_version", (STEPS.len() - pending + 1) as i64)?;
        }
        transaction.commit()?;
    }
    Ok(())
}

/// SQLite's own check of every page, without the indexes' order.
pub(super) fn quick_check(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let verdict: String = connection
        .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
        .map_err(|source| StoreError::opening(path, source))?;
    match verdict.as_str() {
        "ok" => Ok(()),
        detail => Err(StoreError::Damaged {
            path: path.to_owned(),
            detail: detail.chars().take(200).collect(),
        }),
    }
}

/// Whether `key` is the one that this database was made with.
pub(super) fn is_the_key(connection: &Connection, key: &Key) -> bool {
    let sealed: Result<Vec<u8>, _> = connection.query_row("SELECT key_check FROM meta", [], |row| row.get(0));
    sealed.is_ok_and(|sealed| key.open("meta/key_check", &sealed).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shipped_schema_file_never_changes() {
        let shipped = [
            "4bac3e99c7a3159971dbc3b3dce4a69b5df2aa2e9debe1b746e0edfba6e596ff",
            "717556e56a54f540c1802790377e2de7c65db8a175d710764efdbdd6ec878918",
        ];
        let now: Vec<String> = STEPS
            .iter()
            .map(|step| {
                let hash = ring::digest::digest(&ring::digest::SHA256, step.as_bytes());
                hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
            })
            .collect();
        assert_eq!(
            now, shipped,
            "add a new file instead: databases of this version exist"
        );
    }
}
