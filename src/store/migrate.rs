//! Versions of the schema: forward only, all steps in one transaction together with their `user_version`.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rusqlite::{Connection, TransactionBehavior};

use super::StoreError;
use super::secrets::Key;
use crate::core::model::time_text;
use crate::killpoint;

/// `dpst`: tells a deltapost database from another program's.
const APPLICATION_ID: i64 = 0x6470_7374;

/// The steps, oldest first. A shipped file never changes; a test holds each one's hash.
pub(super) const STEPS: &[&str] = &[
    include_str!("../../schema/0001_initial.sql"),
    include_str!("../../schema/0002_windows.sql"),
    include_str!("../../schema/0003_instance_token.sql"),
    include_str!("../../schema/0004_promises.sql"),
];

/// The copy that an upgrade keeps, within the data directory: what the database was before the last one.
pub const BEFORE_UPGRADE: &str = "deltapost.db.before-upgrade";

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

/// Makes the copy that is the way back.
type Keep = fn(&Path) -> Result<PathBuf, StoreError>;

/// How many steps the database at `path` is behind the present version.
pub(super) fn pending_steps(connection: &Connection, path: &Path) -> Result<usize, StoreError> {
    pending_of(STEPS, connection, path)
}

fn pending_of(steps: &[&str], connection: &Connection, path: &Path) -> Result<usize, StoreError> {
    let pragma = |name: &str| -> Result<i64, StoreError> {
        connection
            .pragma_query_value(None, name, |row| row.get(0))
            .map_err(|source| StoreError::opening(path, source))
    };
    if pragma("application_id")? != APPLICATION_ID {
        return Err(StoreError::NotADatabase(path.to_owned()));
    }
    let (found, known) = (pragma("user_version")?, steps.len() as i64);
    if found > known {
        return Err(StoreError::Newer {
            path: path.to_owned(),
            found,
            known,
            kept: kept_before_upgrade(path),
        });
    }
    Ok(usize::try_from(known - found)
        .unwrap_or(steps.len())
        .min(steps.len()))
}

/// Brings the database at `path` to the present version in one transaction, or says why it stays as it is. What it was
/// before is kept by `keep`, unless it is a copy itself.
pub(super) fn migrate(
    connection: &mut Connection,
    path: &Path,
    keep: Option<Keep>,
) -> Result<(), StoreError> {
    take(STEPS, connection, path, keep)
}

fn take(
    steps: &[&str],
    connection: &mut Connection,
    path: &Path,
    keep: Option<Keep>,
) -> Result<(), StoreError> {
    if pending_of(steps, connection, path)? == 0 {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Looked at again behind the lock: another process may have taken the steps in the meantime.
    let taken = steps.len() - pending_of(steps, &transaction, path)?;
    if taken == steps.len() {
        return Ok(());
    }
    if let Some(keep) = keep {
        keep_former(path, keep)?;
    }
    for step in &steps[taken..] {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "user_version", steps.len() as i64)?;
    killpoint::reached("migrate.before_commit");
    transaction.commit()?;
    log::info!("schema brought up to date from={taken} to={}", steps.len());
    Ok(())
}

/// Keeps a copy of what the database is. A box without room for it goes on without a way back: it should not stand still
/// until somebody comes.
fn keep_former(path: &Path, keep: Keep) -> Result<(), StoreError> {
    match keep(path) {
        Ok(_) => Ok(()),
        Err(StoreError::File { source, .. }) if source.kind() == ErrorKind::StorageFull => {
            log::warn!(
                "no room to keep a copy of the database before its upgrade; there is no way back to it"
            );
            Ok(())
        }
        Err(error) => Err(error),
    }
}

/// What the last upgrade of the database at `path` has kept.
fn kept_before_upgrade(path: &Path) -> Option<PathBuf> {
    Some(path.with_file_name(BEFORE_UPGRADE)).filter(|kept| kept.exists())
}

/// SQLite's own check of every page, without the indexes' order.
pub(super) fn quick_check(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    check(connection, "PRAGMA quick_check(1)", path)
}

/// SQLite's own check of every page, of the indexes' order and of the rows' constraints.
pub(super) fn whole_check(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    check(connection, "PRAGMA integrity_check(1)", path)
}

fn check(connection: &Connection, pragma: &str, path: &Path) -> Result<(), StoreError> {
    let verdict: String = connection
        .query_row(pragma, [], |row| row.get(0))
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
    use crate::store::backup::keep_before_upgrade;

    const KEEP: Option<Keep> = Some(keep_before_upgrade);

    /// A database of version 1 in a file of its own, open.
    fn first_version(directory: &Path) -> (Connection, std::path::PathBuf) {
        let path = directory.join("deltapost.db");
        let mut connection = Connection::open(&path).unwrap();
        connection
            .pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))
            .unwrap();
        let transaction = connection.transaction().unwrap();
        transaction.execute_batch(STEPS[0]).unwrap();
        transaction
            .pragma_update(None, "application_id", APPLICATION_ID)
            .unwrap();
        transaction.pragma_update(None, "user_version", 1).unwrap();
        transaction.commit().unwrap();
        (connection, path)
    }

    fn version(connection: &Connection) -> i64 {
        connection
            .pragma_query_value(None, "user_version", |row| row.get(0))
            .unwrap()
    }

    #[test]
    fn an_upgrade_takes_all_steps_and_keeps_what_was_before() {
        let directory = tempfile::tempdir().unwrap();
        let (mut connection, path) = first_version(directory.path());
        // More of them than this version knows.
        let mut steps = vec![STEPS[0], "CREATE TABLE second (x)", "CREATE TABLE third (x)"];
        steps.resize(steps.len() + STEPS.len(), "");
        take(&steps, &mut connection, &path, KEEP).unwrap();
        assert_eq!(version(&connection), steps.len() as i64);
        connection.execute_batch("SELECT * FROM second, third").unwrap();
        let kept = Connection::open(path.with_file_name(BEFORE_UPGRADE)).unwrap();
        assert_eq!(version(&kept), 1);
        kept.execute_batch("SELECT * FROM second").unwrap_err();
        // The older version finds the way back.
        match pending_steps(&connection, &path).unwrap_err() {
            StoreError::Newer { kept: Some(kept), .. } => assert!(kept.exists()),
            error => panic!("{error}"),
        }
    }

    #[test]
    fn a_pause_outlives_an_upgrade_and_one_of_a_wrong_clock_lasts_a_day() {
        let directory = tempfile::tempdir().unwrap();
        let (mut connection, path) = first_version(directory.path());
        let insert =
            "INSERT INTO instance (name, element_key, configuration, created_at, updated_at, throttled_until)
                      VALUES (?1, 'onedrivev2', '{}', '', '', strftime('%Y-%m-%dT%H:%M:%fZ', 'now', ?2))";
        for (name, until) in [("paused", "+1 hour"), ("wrong", "+10 years"), ("well", "-1 hour")] {
            connection.execute(insert, (name, until)).unwrap();
        }
        migrate(&mut connection, &path, KEEP).unwrap();
        let pauses =
            "SELECT group_concat(name || ' ' || round((julianday(until) - julianday('now')) * 24), ', ')
                        FROM instance JOIN throttle USING (app) WHERE until > since";
        let pauses: String = connection.query_row(pauses, [], |row| row.get(0)).unwrap();
        assert_eq!(pauses, "paused 1.0, wrong 24.0");
    }

    #[test]
    fn an_upgrade_that_fails_at_its_last_step_has_taken_none() {
        let directory = tempfile::tempdir().unwrap();
        let (mut connection, path) = first_version(directory.path());
        let steps = [STEPS[0], "CREATE TABLE second (x)", "no SQL"];
        take(&steps, &mut connection, &path, KEEP).unwrap_err();
        assert_eq!(version(&connection), 1);
        connection.execute_batch("SELECT * FROM second").unwrap_err();
    }

    #[test]
    fn a_shipped_schema_file_never_changes() {
        let shipped = [
            "4bac3e99c7a3159971dbc3b3dce4a69b5df2aa2e9debe1b746e0edfba6e596ff",
            "daead99eaf7641e32a6094b603ced16c9196cc88ce7f7efaf3b40c3f6d116094",
            "717556e56a54f540c1802790377e2de7c65db8a175d710764efdbdd6ec878918",
            "76df4bdaf335ff09437d7f2577df6db42bd0b3ef2ecdd2d8bceeb12cff868350",
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
