//! Files outside of the data directory that a command of root's opens before its process becomes the directory's owner, who
//! may not reach them: what a backup is written into, and what a restore reads.

use std::fs::{File, Permissions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use nix::unistd::geteuid;
use rusqlite::Connection;

use super::backup::open_read_only;
use super::files::{open_directory, open_own, open_own_in};
use super::whole::{COPY_MODE, key_beside};
use super::{Key, StoreError, migrate};

/// How much of a database is written last: without its beginning it is none.
const BEGINNING: usize = 4_096;

/// Where a backup goes. Its name is there from the beginning, since its maker may not change names there later.
#[derive(Debug)]
pub struct Target {
    path: PathBuf,
    file: File,
    key: Option<File>,
}

impl Target {
    /// Makes the file `path`, and that of its key where it is wanted. An empty one, as a failure leaves it, will do. Others who
    /// may write to its directory lead it nowhere.
    ///
    /// # Errors
    /// `Exists`; `Linked`; when the disk refuses.
    pub fn create(path: &Path, with_key: bool) -> Result<Target, StoreError> {
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let directory = open_directory(parent.unwrap_or(Path::new(".")))?;
        let key = with_key
            .then(|| create_empty(&directory, &key_beside(path)))
            .transpose()?;
        let file = create_empty(&directory, path)?;
        let synced = directory.sync_all();
        synced.map_err(|source| StoreError::file("sync the directory of", path, source))?;
        Ok(Target {
            path: path.to_owned(),
            file,
            key,
        })
    }

    /// Writes the database in `copy`, and the text of its key where that was wanted.
    pub(super) fn fill(&self, copy: &Path, key: Option<&Key>) -> Result<(), StoreError> {
        if let Some(mut file) = self.key.as_ref() {
            let key = key.ok_or(StoreError::NoKey)?;
            file.write_all(key.text().as_bytes())
                .and_then(|()| file.sync_all())
                .map_err(|source| StoreError::file("write", &key_beside(&self.path), source))?;
        }
        let from = open_own("read", copy, OFlag::O_RDONLY)?;
        let write = || {
            let (mut from, mut to) = (&from, &self.file);
            let mut beginning = [0; BEGINNING];
            from.read_exact(&mut beginning)?;
            to.seek(SeekFrom::Start(BEGINNING as u64))?;
            io::copy(&mut from, &mut to)?;
            to.sync_all()?;
            to.rewind()?;
            to.write_all(&beginning)?;
            to.sync_all()
        };
        write().map_err(|source| StoreError::file("write", &self.path, source))
    }

    /// Takes back what was written; why it is of no use is told by the caller.
    pub(super) fn empty(&self) {
        for file in self.key.iter().chain([&self.file]) {
            if let Err(error) = file.set_len(0) {
                log::warn!("an unfinished copy is left error={:?}", error.to_string());
            }
        }
    }
}

fn create_empty(directory: &File, path: &Path) -> Result<File, StoreError> {
    let failed = |source| StoreError::file("create", path, source);
    let name = Path::new(
        path.file_name()
            .ok_or_else(|| failed(io::ErrorKind::IsADirectory.into()))?,
    );
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT;
    let file = open_own_in(directory, name, "create", path, flags)?;
    let look = file.metadata().map_err(failed)?;
    // In a directory of everybody's it could be anybody's, or a second name of an empty file of root's.
    if look.len() > 0 || look.nlink() > 1 || look.uid() != geteuid().as_raw() {
        return Err(StoreError::Exists(path.to_owned()));
    }
    file.set_permissions(Permissions::from_mode(COPY_MODE))
        .map_err(failed)?;
    Ok(file)
}

/// A copy that may be restored, opened.
#[derive(Debug)]
pub struct Source {
    pub(super) path: PathBuf,
    pub(super) connection: Connection,
    /// The key beside it, where something is there.
    pub(super) beside: Option<Result<Key, StoreError>>,
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
    pub(super) fn fitting_key(&mut self, in_use: Option<&Key>) -> Result<Option<Key>, StoreError> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipe_in_the_place_of_the_copy_is_not_waited_for() {
        let home = tempfile::tempdir().unwrap();
        let pipe = home.path().join("deltapost.db.copy");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let target = Target::create(&home.path().join("copy.db"), false).unwrap();
        let error = target.fill(&pipe, None).unwrap_err();
        assert!(matches!(error, StoreError::Linked(_)), "{error:?}");
    }
}
