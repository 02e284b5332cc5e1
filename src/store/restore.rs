//! Taking a copy back into use: it is looked at within the data directory before anything is replaced, and what it
//! replaces is kept. At each instant there is one whole database of the name, or, on a new box, none.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, OpenFlags};

use super::backup::{Contents, copy, open_read_only, verify};
use super::files::{key_beside, refuse_linked, sync_directory_of, with_suffix, write_private};
use super::secrets::{KEY_FILE, Key};
use super::{DATABASE, DirectoryLock, Sharing, StoreError, migrate, remove_if_there};
use crate::killpoint;

/// How long whoever has the replaced database open may take to let go of it.
const PATIENCE: Duration = Duration::from_secs(2);

/// A copy that may be restored, opened.
#[derive(Debug)]
pub struct Source {
    path: PathBuf,
    connection: Connection,
    /// The key beside it, where something is there.
    beside: Option<Result<Key, StoreError>>,
}

impl Source {
    /// Opens the database `path` with all that belongs to it.
    ///
    /// # Errors
    /// When it cannot be read, or is no deltapost database of a known version.
    pub fn open(path: &Path) -> Result<Source, StoreError> {
        let connection = open_read_only(path)?;
        // From the first reading on, SQLite opens nothing more, and its state stays the same.
        connection
            .execute_batch("BEGIN")
            .map_err(|source| StoreError::opening(path, source))?;
        migrate::pending_steps(&connection, path)?;
        let beside = key_beside(path);
        Ok(Source {
            path: path.to_owned(),
            connection,
            beside: beside.exists().then(|| Key::read(&beside)),
        })
    }

    /// The key beside it where the one in use, `in_use`, does not open it; `None` where that does.
    fn fitting_key(&mut self, in_use: Option<&Key>) -> Result<Option<Key>, StoreError> {
        let is_opened_by = |key: &Key| migrate::is_the_key(&self.connection, key);
        if in_use.is_some_and(is_opened_by) {
            return Ok(None);
        }
        match self.beside.take().transpose()? {
            Some(key) if is_opened_by(&key) => Ok(Some(key)),
            _ => Err(StoreError::ForeignKey {
                copy: self.path.clone(),
                key: key_beside(&self.path),
            }),
        }
    }
}

/// A copy that is ready to be put in place. Nobody else works with the data directory while this lives.
#[derive(Debug)]
pub struct Candidate {
    data_dir: PathBuf,
    path: PathBuf,
    contents: Contents,
    /// The key that opens it, where that is not the one in use.
    key: Option<Key>,
    _alone: DirectoryLock,
}

/// What a copy has replaced.
#[derive(Debug, Default)]
pub struct Replaced {
    /// Where the former database is now.
    pub database: Option<PathBuf>,
    /// Where the former key is now.
    pub key: Option<PathBuf>,
    /// The new key was put in place.
    pub key_is_new: bool,
}

impl Candidate {
    /// Copies the database `source` into `data_dir`, looks at everything in it, brings its schema up to date, and finds the
    /// key that opens it: `key`, which is in use, or the one beside it. Replaces nothing.
    ///
    /// # Errors
    /// `InUse`; when `source` is not a sound deltapost database of a known version; `ForeignKey`.
    pub fn prepare(
        data_dir: &Path,
        mut source: Source,
        sharing: Sharing,
        key: Option<&Key>,
    ) -> Result<Candidate, StoreError> {
        let alone = DirectoryLock::alone(data_dir)?;
        let path = with_suffix(&data_dir.join(DATABASE), ".new");
        let mut prepared = || {
            copy(&source.connection, &path, sharing.file_mode())?;
            let contents = verify(&path)?;
            let mut copied = Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
            migrate::migrate(&mut copied, &path, None)?;
            copied.close().map_err(|(_, source)| source)?;
            Ok((contents, source.fitting_key(key)?))
        };
        match prepared() {
            Ok((contents, key)) => Ok(Candidate {
                data_dir: data_dir.to_owned(),
                path,
                contents,
                key,
                _alone: alone,
            }),
            Err(error) => {
                remove_if_there(&path)?;
                Err(match error {
                    StoreError::Damaged { detail, .. } => StoreError::Damaged {
                        path: source.path,
                        detail,
                    },
                    error => error,
                })
            }
        }
    }

    /// What the copy held before its schema was brought up to date.
    pub fn contents(&self) -> Contents {
        self.contents
    }

    /// Puts the copy, and the key where it needs another one, in place of the database; what was there is kept under
    /// names that bear the time `now`.
    ///
    /// # Errors
    /// `InUse` when another program has the database open; when the disk refuses. What was there is in place then, or,
    /// after the last step, what was restored.
    pub fn put_in_place(self, now: Timestamp) -> Result<Replaced, StoreError> {
        self.exchange(now).inspect_err(|_| {
            if let Err(error) = remove_if_there(&self.path) {
                log::warn!("an unused copy is left error={:?}", error.to_string());
            }
        })
    }

    fn exchange(&self, now: Timestamp) -> Result<Replaced, StoreError> {
        let suffix = format!(".replaced-{}", now.strftime("%Y%m%dT%H%M%S%.3fZ"));
        let database = self.data_dir.join(DATABASE);
        let mut replaced = Replaced::default();
        // Keeps programs away that are not ours until the names are exchanged.
        let mut _held = None;
        refuse_linked(&database)?;
        if database.exists() {
            _held = into_one_file(&database)?;
            replaced.database = Some(keep(&database, &suffix)?);
        }
        if let Some(key) = &self.key {
            let own = self.data_dir.join(KEY_FILE);
            if own.exists() {
                replaced.key = Some(link(&own, &with_suffix(&own, &suffix))?);
            }
            write_private(&own, key.text().as_bytes())?;
            replaced.key_is_new = true;
        }
        killpoint::reached("restore.before_exchange");
        // A WAL must not meet another database than its own.
        for suffix in ["-wal", "-shm", "-journal"] {
            remove_if_there(&with_suffix(&database, suffix))?;
        }
        fs::rename(&self.path, &database)
            .map_err(|source| StoreError::file("put in place", &database, source))?;
        sync_directory_of(&database)?;
        Ok(replaced)
    }
}

/// Has SQLite put the WAL of the database at `path` into it, and holds it for nobody else to open. `None` where it is too
/// damaged for that: then it is kept with its WAL.
fn into_one_file(path: &Path) -> Result<Option<Connection>, StoreError> {
    let settle = || {
        let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        connection.busy_timeout(PATIENCE)?;
        connection.pragma_update_and_check(None, "journal_mode", "DELETE", |_| Ok(()))?;
        connection.execute_batch("BEGIN EXCLUSIVE")?;
        Ok(connection)
    };
    match settle().map_err(|source| StoreError::opening(path, source)) {
        Ok(connection) => Ok(Some(connection)),
        Err(StoreError::Busy) => Err(StoreError::InUse(path.to_owned())),
        Err(error @ (StoreError::ReadOnly(_) | StoreError::DiskFull)) => Err(error),
        Err(_) => Ok(None),
    }
}

/// Gives the database at `path`, with its WAL where it has one, a second name that stays.
fn keep(path: &Path, suffix: &str) -> Result<PathBuf, StoreError> {
    let kept = link(path, &with_suffix(path, suffix))?;
    for part in ["-wal", "-journal"] {
        let (from, to) = (with_suffix(path, part), with_suffix(&kept, part));
        if from.exists() {
            link(&from, &to)?;
        }
    }
    sync_directory_of(path)?;
    Ok(kept)
}

fn link(from: &Path, to: &Path) -> Result<PathBuf, StoreError> {
    match fs::hard_link(from, to) {
        Ok(()) => Ok(to.to_owned()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(StoreError::Exists(to.to_owned())),
        Err(source) => Err(StoreError::file("keep", from, source)),
    }
}
