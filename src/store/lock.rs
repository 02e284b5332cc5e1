//! Who may work with a data directory: one agent at a time, and while whole files are exchanged nobody else at all. Both locks
//! are on files that only the owner can open: whoever may only read the database can keep nobody from his work.

use std::fs::{File, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;
use std::time::Duration;

use nix::fcntl::OFlag;

use super::StoreError;
use super::files::open_own;
use crate::clock::{Clock, SystemClock};

/// The agent's lock, with its pid.
pub const AGENT_LOCK: &str = "agent.lock";

/// The lock of everybody who has the database open.
pub const DATABASE_LOCK: &str = "database.lock";

/// How often and how long apart it is looked whether who exchanges the database is done: he has done all that takes long
/// before.
const TRIES: u32 = 100;
const APART: Duration = Duration::from_millis(50);

/// Held while an agent works with the data directory; the system lets go of it with the process, however it ends.
#[derive(Debug)]
pub struct AgentLock {
    _file: File,
}

impl AgentLock {
    /// Takes the lock, or says who has it.
    ///
    /// # Errors
    /// `StoreError::Locked` with the holder's pid, or a file error.
    pub fn take(data_dir: &Path) -> Result<AgentLock, StoreError> {
        let path = data_dir.join(AGENT_LOCK);
        let failed = |source| StoreError::file("lock", &path, source);
        let mut file = open_own("lock", &path, OFlag::O_RDWR | OFlag::O_CREAT)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                file.read_to_string(&mut holder).map_err(failed)?;
                return Err(StoreError::Locked {
                    path: data_dir.to_owned(),
                    pid: holder.trim().parse().ok(),
                });
            }
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        file.set_len(0).map_err(failed)?;
        file.rewind().map_err(failed)?;
        writeln!(file, "{}", std::process::id()).map_err(failed)?;
        Ok(AgentLock { _file: file })
    }
}

/// Held by everyone who has the data directory's database open, together; and alone by who makes or exchanges it.
#[derive(Debug)]
pub struct DirectoryLock {
    _file: File,
}

impl DirectoryLock {
    /// Waits until nobody exchanges the database, for 5 s at most, and keeps it from being exchanged.
    ///
    /// # Errors
    /// `InUse`; when the file cannot be opened or locked.
    pub(super) fn shared(data_dir: &Path) -> Result<DirectoryLock, StoreError> {
        for tried in 1..TRIES {
            match DirectoryLock::take(data_dir, File::try_lock_shared) {
                Err(StoreError::InUse(_)) if tried == 1 => log::info!("waiting for a restore to end"),
                Err(StoreError::InUse(_)) => SystemClock.sleep(APART),
                other => return other,
            }
        }
        DirectoryLock::take(data_dir, File::try_lock_shared)
    }

    /// Takes the directory for itself.
    ///
    /// # Errors
    /// `InUse` when any other deltapost has its database open, or exchanges it; a file error.
    pub fn alone(data_dir: &Path) -> Result<DirectoryLock, StoreError> {
        DirectoryLock::take(data_dir, File::try_lock)
    }

    fn take(
        data_dir: &Path,
        lock: impl FnOnce(&File) -> Result<(), TryLockError>,
    ) -> Result<DirectoryLock, StoreError> {
        let path = data_dir.join(DATABASE_LOCK);
        // Read-only, so that a file that is there can be locked where nothing can be written.
        let file = open_own("lock", &path, OFlag::O_RDONLY | OFlag::O_CREAT)?;
        match lock(&file) {
            Ok(()) => Ok(DirectoryLock { _file: file }),
            Err(TryLockError::WouldBlock) => Err(StoreError::InUse(data_dir.to_owned())),
            Err(TryLockError::Error(source)) => Err(StoreError::file("lock", &path, source)),
        }
    }
}
