//! Who may work with a data directory: one agent at a time, and while whole files are exchanged nobody else at all.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::StoreError;

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
        let path = data_dir.join("agent.lock");
        let failed = |source| StoreError::file("lock", &path, source);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(failed)?;
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

/// Held by everyone who has the data directory's database open, together; and alone by who makes or exchanges it. A lock on
/// the directory itself, so that there is no file that could be of the wrong owner.
#[derive(Debug)]
pub struct DirectoryLock {
    _directory: File,
}

impl DirectoryLock {
    /// Waits until nobody exchanges the database, and keeps it from being exchanged. Whoever exchanges it has done all
    /// that takes long before.
    ///
    /// # Errors
    /// When the directory cannot be opened or locked.
    pub(super) fn shared(data_dir: &Path) -> Result<DirectoryLock, StoreError> {
        let lock = || {
            let directory = File::open(data_dir)?;
            directory.lock_shared()?;
            Ok(directory)
        };
        let locked = lock().map_err(|source| StoreError::file("lock", data_dir, source))?;
        Ok(DirectoryLock { _directory: locked })
    }

    /// Takes the directory for itself.
    ///
    /// # Errors
    /// `InUse` when any other deltapost has its database open, or exchanges it; a file error.
    pub fn alone(data_dir: &Path) -> Result<DirectoryLock, StoreError> {
        let failed = |source| StoreError::file("lock", data_dir, source);
        let directory = File::open(data_dir).map_err(failed)?;
        match directory.try_lock() {
            Ok(()) => Ok(DirectoryLock {
                _directory: directory,
            }),
            Err(TryLockError::WouldBlock) => Err(StoreError::InUse(data_dir.to_owned())),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }
}
