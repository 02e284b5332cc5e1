//! Copies of the database as one file each: made while others write, checked before they bear their name. Where a command of
//! root's copies it out of the data directory, the file is opened before its process becomes the directory's owner, who may not
//! reach it. What takes a copy back into use is `restore`.

use std::fs::{self, File, Permissions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use nix::unistd::geteuid;
use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::files::{
    COPY_MODE, clear_away, create_private, key_beside, open_directory, open_own, open_own_in,
    refuse_existing, sync_directory_of, with_suffix, write_private,
};
use super::migrate::{self, BEFORE_UPGRADE};
use super::rows::Queries;
use super::{BUSY, Key, Store, StoreError, connect, remove_if_there};

/// How much of a database is written last: without its beginning it is none.
const BEGINNING: usize = 4_096;

/// What a copy holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Contents {
    pub bytes: u64,
    /// The version of its schema.
    pub schema_version: i64,
    pub instances: i64,
    /// Notifications that were not delivered.
    pub pending: i64,
}

impl Store {
    /// Copies the database as it is at one instant into the new file `file`, readable by its owner only, and durably.
    /// Nobody who writes waits for it; only the WAL keeps what is written meanwhile. The file appears when it is whole.
    /// `with_key` puts a copy of the key beside it, as `key_beside` names it: both are made, or none.
    ///
    /// # Errors
    /// `Exists`; `NoKey`; when the disk refuses, or the copy is not sound.
    pub fn back_up(&self, file: &Path, with_key: bool) -> Result<Contents, StoreError> {
        refuse_existing(file)?;
        // A connection of its own: this process may poll and deliver meanwhile, too.
        let source = connect(&self.path)?;
        if !with_key {
            return publish(&source, file);
        }
        let beside = key_beside(file);
        refuse_existing(&beside)?;
        // The key comes first: a database that waits for its key is more easily mended than taken for complete.
        write_private(&beside, self.key()?.text().as_bytes())?;
        publish(&source, file).inspect_err(|_| clear_away(&beside))
    }

    /// The same into `target`, which was opened by somebody else than this process is by now. It becomes a database with its
    /// first page, which is written last.
    ///
    /// # Errors
    /// As `back_up`; then `target` is empty again.
    pub fn back_up_into(&self, target: &Target) -> Result<Contents, StoreError> {
        let copy = with_suffix(&self.path, ".copy");
        let made = publish(&connect(&self.path)?, &copy).and_then(|contents| {
            target.fill(&copy, self.key.as_ref())?;
            Ok(contents)
        });
        clear_away(&copy);
        made.inspect_err(|_| target.empty())
    }
}

/// Keeps what the database at `path` is before its schema is brought up to date, in place of what an earlier upgrade kept.
pub(super) fn keep_before_upgrade(path: &Path) -> Result<PathBuf, StoreError> {
    let kept = path.with_file_name(BEFORE_UPGRADE);
    publish(&connect(path)?, &kept)?;
    Ok(kept)
}

/// Copies what `source` has open and gives the copy its name when it is whole and durable.
fn publish(source: &Connection, file: &Path) -> Result<Contents, StoreError> {
    let unfinished = with_suffix(file, ".new");
    let finish = || {
        copy(source, &unfinished, COPY_MODE)?;
        let contents = verify(&unfinished)?;
        fs::rename(&unfinished, file).map_err(|source| StoreError::file("create", file, source))?;
        sync_directory_of(file)?;
        Ok(contents)
    };
    finish().inspect_err(|_| clear_away(&unfinished))
}

/// Copies one state of the database that `source` has open into the file `target`, made anew with `mode`, and durably.
pub(super) fn copy(source: &Connection, target: &Path, mode: u32) -> Result<(), StoreError> {
    let failed = |source| StoreError::file("write", target, source);
    // The backup is written by SQLite, which tells of a full disk and not of which one.
    let refused = |source: rusqlite::Error| match source.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => failed(io::ErrorKind::StorageFull.into()),
        _ => StoreError::opening(target, source),
    };
    remove_if_there(target)?;
    create_private(target, mode).map_err(failed)?;
    let mut copied = Connection::open_with_flags(target, flags(OpenFlags::SQLITE_OPEN_READ_WRITE))?;
    // Until it bears its name nobody needs it after a crash; it is made durable once, at the end.
    copied.pragma_update(None, "synchronous", "OFF")?;
    copied.pragma_update_and_check(None, "journal_mode", "OFF", |_| Ok(()))?;
    // All pages in one step are one state: between two steps, a write would have it begin again.
    let step = Backup::new(source, &mut copied)
        .and_then(|backup| backup.step(-1))
        .map_err(refused)?;
    if step != StepResult::Done {
        return Err(StoreError::Busy);
    }
    // One file that stands for itself, and that can be read where nothing can be written.
    copied
        .pragma_update_and_check(None, "journal_mode", "DELETE", |_| Ok(()))
        .map_err(refused)?;
    copied.close().map_err(|(_, source)| refused(source))?;
    let copied = open_own("write", target, OFlag::O_RDONLY)?;
    copied.sync_all().map_err(failed)
}

/// Looks at everything in the database `file`, which nobody else has open.
pub(super) fn verify(file: &Path) -> Result<Contents, StoreError> {
    let connection = open_read_only(file)?;
    migrate::pending_steps(&connection, file)?;
    migrate::whole_check(&connection, file)?;
    Ok(Contents {
        bytes: fs::metadata(file)
            .map_err(|source| StoreError::file("look at", file, source))?
            .len(),
        schema_version: connection.value("PRAGMA user_version", [])?,
        instances: connection.value("SELECT count(*) FROM instance", [])?,
        pending: connection.value("SELECT count(*) FROM outbox WHERE state = 'pending'", [])?,
    })
}

/// Opens the database `file` to read from it.
pub(super) fn open_read_only(file: &Path) -> Result<Connection, StoreError> {
    let unread = |source| StoreError::file("read", file, source);
    // SQLite would say the same of all that is wrong with a name, and wait for ever at a pipe.
    let mut options = fs::OpenOptions::new();
    let opened = options
        .read(true)
        .custom_flags(OFlag::O_NONBLOCK.bits())
        .open(file);
    if !opened.and_then(|file| file.metadata()).map_err(unread)?.is_file() {
        return Err(StoreError::NotADatabase(file.to_owned()));
    }
    let connection = Connection::open_with_flags(file, flags(OpenFlags::SQLITE_OPEN_READ_ONLY))
        .map_err(|source| StoreError::opening(file, source))?;
    connection.busy_timeout(BUSY)?;
    connection.set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    Ok(connection)
}

fn flags(access: OpenFlags) -> OpenFlags {
    access | OpenFlags::SQLITE_OPEN_NO_MUTEX
}

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
