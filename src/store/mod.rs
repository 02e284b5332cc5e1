//! SQLite: opening the database safely, and the two ways in. With `schema/*.sql`, this room is the only place with
//! SQL. What changed and when to retry is told to it; what is committed together is decided here. Whatever reads or writes
//! fails when the database cannot be read or written: only other errors are told of beside each.

mod alerts;
mod backup;
mod bounds;
mod due;
mod endpoints;
mod error;
mod files;
mod first;
mod grants;
mod instances;
mod listing;
mod migrate;
mod outbox;
mod pages;
mod plan;
mod redeliver;
mod reports;
mod resources;
mod restore;
mod rows;
mod secrets;
mod state;
mod sweep;
mod waits;
mod windows;

use std::fs;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, TransactionBehavior};

pub use alerts::{AlertEntry, Sick, StandingAlert};
pub use backup::{Contents, Target};
pub use bounds::PausedRow;
pub use due::{Due, Lane, Most, Reputation, Run, Waiting};
pub use endpoints::{Attempt, Recorded, Turned};
pub use error::StoreError;
pub use files::{
    AGENT_LOCK, AgentLock, DATABASE_LOCK, DirectoryLock, key_beside, look_at_own, look_at_own_in,
    open_directory, read_own, write_whole,
};
use files::{refuse_exposed, refuse_linked};
pub use first::Starts;
pub use grants::{Grant, RENEWAL_RIGHT};
pub use instances::{InstanceListing, InstanceRow, NewInstance, Removal};
pub use listing::{Listing, MinuteCount, Page, Wanted};
pub use migrate::BEFORE_UPGRADE;
pub use outbox::Whole;
pub use pages::PageStep;
pub use plan::{Planned, Request, Rows};
pub use redeliver::{Replayed, Selection};
pub use reports::{
    CLASSES, Counters, Counts, EndpointGauge, Overview, PastEvent, ResourceGauge, ResourceRow,
};
pub use resources::Resource;
pub use restore::{Candidate, Replaced, Source};
use rows::{Queries, get};
pub use secrets::{KEY_FILE, Key};
pub use sweep::Doomed;
pub use waits::Throttling;
pub use windows::{SeenRecord, WindowStep};

pub use crate::core::phase::{Depth, Hold, Restart};

/// The database's name within the data directory.
pub const DATABASE: &str = "deltapost.db";

/// The name of the file with the API's token within the data directory.
pub const TOKEN_FILE: &str = "api.token";

/// How long a statement waits for another process's transaction.
const BUSY: Duration = Duration::from_secs(5);

/// How many pages of 4 KiB the WAL takes before a commit copies them into the file: 16 MiB.
const WAL_PAGES: i64 = 4_096;

/// Whether members of a group may read the data directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// 0700 and 0600.
    Owner,
    /// 0750 and 0640.
    Group,
}

impl Sharing {
    /// The mode of the directory.
    pub fn directory_mode(self) -> u32 {
        match self {
            Sharing::Owner => 0o700,
            Sharing::Group => 0o750,
        }
    }

    /// The mode of the database's files.
    pub fn file_mode(self) -> u32 {
        match self {
            Sharing::Owner => 0o600,
            Sharing::Group => 0o640,
        }
    }
}

/// How closely the database is looked at when it is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// The header and the version: for a command.
    Brief,
    /// SQLite's quick check of every page: at the agent's start.
    Whole,
}

/// The open database. All writes go through one connection, since a second writer would only wait for the first;
/// readers never wait.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    /// Device and inode of the file that is open.
    file: (u64, u64),
    key: Option<Key>,
    graph_base: String,
    writer: Mutex<Connection>,
    reader: Mutex<Connection>,
    /// SQLite's `data_version` when it was last looked at.
    seen_version: AtomicI64,
    /// The last write was refused for want of space.
    refused: AtomicBool,
    _in_use: DirectoryLock,
    counters: Counters,
}

impl Store {
    /// Creates the data directory and the database where there are none. Returns whether the database is new.
    ///
    /// # Errors
    /// When the directory or the database cannot be made, or one that exists is not usable.
    pub fn create(data_dir: &Path, sharing: Sharing, key: &Key, now: Timestamp) -> Result<bool, StoreError> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(sharing.directory_mode())
            .create(data_dir)
            .and_then(|()| {
                fs::set_permissions(data_dir, fs::Permissions::from_mode(sharing.directory_mode()))
            })
            .map_err(|source| StoreError::file("create", data_dir, source))?;
        let path = data_dir.join(DATABASE);
        refuse_linked(&path)?;
        if path.exists() {
            return Ok(false);
        }
        // The file is made with its mode before SQLite opens it: its WAL takes the mode over.
        let unfinished = data_dir.join("deltapost.db.new");
        remove_if_there(&unfinished)?;
        fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(sharing.file_mode())
            .open(&unfinished)
            .map_err(|source| StoreError::file("create", &unfinished, source))?;
        let mut connection = Connection::open(&unfinished)?;
        connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
        migrate::create(&mut connection, key, now)?;
        connection.close().map_err(|(_, source)| source)?;
        // What is left of a database that was taken away would be read as the new one's.
        for suffix in ["-wal", "-shm", "-journal"] {
            remove_if_there(&files::with_suffix(&path, suffix))?;
        }
        // Only a whole database ever bears the name.
        fs::rename(&unfinished, &path).map_err(|source| StoreError::file("create", &path, source))?;
        Ok(true)
    }

    /// Opens the database in `data_dir`. Without `key`, or with another than the one it was made with, what is sealed
    /// stays closed. Absolute URLs in configurations are judged by `graph_base`.
    ///
    /// # Errors
    /// When it is missing, open to others, read-only, of a newer version, damaged, or not a deltapost database.
    pub fn open(
        data_dir: &Path,
        sharing: Sharing,
        key: Option<Key>,
        look: Look,
        graph_base: &str,
    ) -> Result<Store, StoreError> {
        let path = data_dir.join(DATABASE);
        refuse_linked(&path)?;
        if !path.exists() {
            return Err(StoreError::Missing(path));
        }
        refuse_exposed(data_dir, sharing.directory_mode())?;
        refuse_exposed(&path, sharing.file_mode())?;
        let in_use = DirectoryLock::shared(data_dir)?;
        let file = identity(&path)?;
        let mut writer = connect(&path)?;
        migrate::migrate(&mut writer, &path, Some(backup::keep_before_upgrade))?;
        if look == Look::Whole {
            migrate::quick_check(&writer, &path)?;
        }
        // What a statement with triggers keeps for its own undoing is small, and slow in a file.
        writer.pragma_update(None, "temp_store", "MEMORY")?;
        let key = key.filter(|key| migrate::is_the_key(&writer, key));
        let reader = connect(&path)?;
        reader.pragma_update(None, "query_only", true)?;
        let store = Store {
            path,
            file,
            key,
            graph_base: graph_base.to_owned(),
            writer: Mutex::new(writer),
            reader: Mutex::new(reader),
            seen_version: AtomicI64::new(0),
            refused: AtomicBool::new(false),
            _in_use: in_use,
            counters: Counters::default(),
        };
        store.seal_paths()?;
        Ok(store)
    }

    /// How many steps the schema of the database in `data_dir` is behind; opening it takes them. Changes nothing.
    ///
    /// # Errors
    /// When it is of a newer version, or not a deltapost database.
    pub fn pending_steps(data_dir: &Path) -> Result<usize, StoreError> {
        let path = data_dir.join(DATABASE);
        refuse_linked(&path)?;
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection =
            Connection::open_with_flags(&path, flags).map_err(|source| StoreError::opening(&path, source))?;
        connection.busy_timeout(BUSY)?;
        migrate::pending_steps(&connection, &path)
    }

    /// The database's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes sure that the file that is open still bears the database's name: what is written to another one is lost.
    ///
    /// # Errors
    /// `Gone`. A disk that does not answer is no proof of anything.
    pub fn stands_in_place(&self) -> Result<(), StoreError> {
        match identity(&self.path) {
            Ok(file) if file != self.file => Err(StoreError::Gone(self.path.clone())),
            Err(StoreError::File { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                Err(StoreError::Gone(self.path.clone()))
            }
            _ => Ok(()),
        }
    }

    /// What this process has recorded so far.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The key that seals this database's secrets.
    ///
    /// # Errors
    /// When the key was not given, or is not the one that the database was made with.
    pub fn key(&self) -> Result<&Key, StoreError> {
        self.key.as_ref().ok_or(StoreError::NoKey)
    }

    /// Runs `work` in one immediate transaction. A deferred one that reads and then writes would fail with BUSY at
    /// once, whatever the time-out says.
    fn write<T>(&self, work: impl FnOnce(&Connection) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let result = in_transaction(&mut lock(&self.writer), work);
        self.note_space(&result);
        result
    }

    fn note_space<T>(&self, written: &Result<T, StoreError>) {
        let refused = matches!(written, Err(StoreError::DiskFull));
        self.refused.store(refused, Ordering::Relaxed);
    }

    /// Whether the last write was refused for want of space.
    pub fn was_refused_space(&self) -> bool {
        self.refused.load(Ordering::Relaxed)
    }

    /// Runs `work` on the reading connection, in one transaction: it sees one state of the database, and takes its
    /// place in the WAL once and not for each of its queries.
    fn read<T>(&self, work: impl FnOnce(&Connection) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let reader = lock(&self.reader);
        let view = reader.unchecked_transaction()?;
        let result = work(&view)?;
        view.commit()?;
        Ok(result)
    }

    /// A number that is another one when anybody has written to the database meanwhile, this process included. Asking for it
    /// reads no page.
    pub fn data_version(&self) -> Result<i64, StoreError> {
        self.value("PRAGMA data_version", [])
    }

    /// Whether anybody has written to the database since this was last asked.
    pub fn written_since_asked(&self) -> Result<bool, StoreError> {
        let version = self.data_version()?;
        Ok(self.seen_version.swap(version, Ordering::Relaxed) != version)
    }

    /// Moves what the WAL holds into the database file and empties it, when no reader is in the way. It waits for
    /// none: writers would wait with it. Returns whether it is empty.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn checkpoint(&self) -> Result<bool, StoreError> {
        let writer = lock(&self.writer);
        // Its own reader is done in a moment.
        let _reader = lock(&self.reader);
        writer.busy_timeout(Duration::ZERO)?;
        let busy: Result<Option<bool>, _> =
            writer.first("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| get(row, "busy"));
        writer.busy_timeout(BUSY)?;
        let emptied = busy.map(|busy| busy == Some(false));
        self.note_space(&emptied);
        emptied
    }
}

fn in_transaction<T>(
    writer: &mut Connection,
    work: impl FnOnce(&Connection) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let transaction = writer.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let result = work(&transaction)?;
    transaction.commit()?;
    Ok(result)
}

/// Opens a connection with the settings that every connection has.
fn connect(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection =
        Connection::open_with_flags(path, flags).map_err(|source| StoreError::opening(path, source))?;
    if connection.is_readonly("main")? {
        return Err(StoreError::ReadOnly(path.to_owned()));
    }
    connection.busy_timeout(BUSY)?;
    connection.set_prepared_statement_cache_capacity(128);
    // The schema of a file from elsewhere must not run functions of ours.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    connection
        .pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))
        .map_err(|source| StoreError::opening(path, source))?;
    // FULL: a commit that has returned survives the power. With NORMAL the last ones would be lost, and with them
    // the order "cursor committed, therefore events committed" across a crash would still hold, but not promise 1.
    connection.pragma_update(None, "synchronous", "FULL")?;
    // An enumeration puts its items all over a large table. The longer the WAL, the more of its pages are overtaken by
    // later versions before they are copied into the file.
    connection.pragma_update_and_check(None, "wal_autocheckpoint", WAL_PAGES, |_| Ok(()))?;
    connection.pragma_update(None, "foreign_keys", true)?;
    Ok(connection)
}

fn identity(path: &Path) -> Result<(u64, u64), StoreError> {
    let found = fs::metadata(path).map_err(|source| StoreError::file("look at", path, source))?;
    Ok((found.dev(), found.ino()))
}

fn remove_if_there(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(StoreError::file("remove", path, error))
        }
        _ => Ok(()),
    }
}

/// A thread that panicked while it held the connection left no transaction open (it was rolled back on the way), so
/// the connection is as good as before.
fn lock(connection: &Mutex<Connection>) -> MutexGuard<'_, Connection> {
    connection.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}
