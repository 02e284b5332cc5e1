//! The files of a data directory: each is opened as itself, never through a link, a second name or a device, since whoever may
//! write to the directory could otherwise lead a command of another user to any file of the box; and each is written whole or
//! not at all, and durably. Two of them are locks: one agent at a time works with the directory, and while whole files are
//! exchanged nobody else at all. Only the owner can open them: whoever may only read the database can keep nobody from his work.

use std::ffi::OsString;
use std::fs::{self, File, Metadata, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Component, Path, PathBuf, absolute};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, openat, readlinkat};
use nix::sys::stat::Mode;
use nix::unistd::geteuid;

use super::{StoreError, remove_if_there};
use crate::clock::{Clock, SystemClock};

/// More than any of the small files holds.
const MAX_BYTES: u64 = 64 * 1024;

/// More links than this on the way to a directory are a circle.
const MAX_LINKS: usize = 40;

/// Opens the file `path` of a data directory, if it is a file of its own. A pipe or device is not waited for.
///
/// # Errors
/// `Linked`; a file error, as what is done fails with it.
pub(super) fn open_own(doing: &'static str, path: &Path, flags: OFlag) -> Result<File, StoreError> {
    open_own_in(AT_FDCWD, path, doing, path, flags)
}

/// The same by its `name` in the open directory `directory`; errors call it `path`.
pub(super) fn open_own_in(
    directory: impl AsFd,
    name: &Path,
    doing: &'static str,
    path: &Path,
    flags: OFlag,
) -> Result<File, StoreError> {
    let flags = flags | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let file = match openat(directory, name, flags, Mode::S_IRUSR | Mode::S_IWUSR) {
        Ok(opened) => File::from(opened),
        Err(Errno::ELOOP) => return Err(StoreError::Linked(path.to_owned())),
        Err(error) => return Err(StoreError::file(doing, path, error.into())),
    };
    let look = file
        .metadata()
        .map_err(|source| StoreError::file("look at", path, source))?;
    match is_own(&look) {
        true => Ok(file),
        false => Err(StoreError::Linked(path.to_owned())),
    }
}

/// Opens the directory `path` step by step, for root: a link on the way is followed only in a directory that nobody else can
/// change.
///
/// # Errors
/// A file error, also where a link is not followed.
pub fn open_directory(path: &Path) -> Result<File, StoreError> {
    walk(path).map_err(|source| StoreError::file("open", path, source))
}

fn walk(path: &Path) -> io::Result<File> {
    let root = File::open("/")?;
    let trusted = [0, root.metadata()?.uid()];
    let mut at = root.try_clone()?;
    let mut left = steps(&absolute(path)?);
    let mut links = 0;
    while let Some(step) = left.pop() {
        let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let next = File::from(openat(&at, step.as_os_str(), flags, Mode::empty())?);
        if !next.metadata()?.is_symlink() {
            at = next;
            continue;
        }
        links += 1;
        if links > MAX_LINKS || is_open_to_others(&at.metadata()?, &trusted) {
            return Err(io::Error::other("a link of other users could lead elsewhere"));
        }
        let target = readlinkat(&next, "")?;
        if Path::new(&target).is_absolute() {
            at = root.try_clone()?;
        }
        left.extend(steps(Path::new(&target)));
    }
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    Ok(File::from(openat(&at, ".", flags, Mode::empty())?))
}

/// The components of `path` below the root, the last one first.
fn steps(path: &Path) -> Vec<OsString> {
    let below = path.components().rev();
    below
        .filter(|step| *step != Component::RootDir)
        .map(|step| step.as_os_str().to_owned())
        .collect()
}

/// Whether others than `trusted` can put a name into the directory `look`.
fn is_open_to_others(look: &Metadata, trusted: &[u32]) -> bool {
    !trusted.contains(&look.uid()) || look.mode() & 0o002 != 0 || look.mode() & 0o020 != 0 && look.gid() != 0
}

/// Opens the file `path` of a data directory to look at it or to change its mode and owner.
///
/// # Errors
/// As `read_own`; `None` where there is none.
pub fn look_at_own(path: &Path) -> Result<Option<File>, StoreError> {
    look_at_own_in(AT_FDCWD, path, path)
}

/// The same by its `name` in the open directory `directory`; errors call it `path`.
///
/// # Errors
/// As `look_at_own`.
pub fn look_at_own_in(directory: impl AsFd, name: &Path, path: &Path) -> Result<Option<File>, StoreError> {
    match open_own_in(directory, name, "open", path, OFlag::O_RDONLY) {
        Ok(file) => Ok(Some(file)),
        Err(StoreError::File { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Reads the small file `path` of a data directory.
///
/// # Errors
/// `Linked` where it is no file of its own; a file error.
pub fn read_own(path: &Path) -> Result<String, StoreError> {
    let file = open_own("read", path, OFlag::O_RDONLY)?;
    let mut text = String::new();
    file.take(MAX_BYTES)
        .read_to_string(&mut text)
        .map_err(|source| StoreError::file("read", path, source))?;
    Ok(text)
}

/// Makes sure that SQLite, which opens by name, finds files of their own at `database` and beside it.
///
/// # Errors
/// `Linked`; a file error.
pub(super) fn refuse_linked(database: &Path) -> Result<(), StoreError> {
    for suffix in ["", "-wal", "-shm", "-journal"] {
        let path = with_suffix(database, suffix);
        match path.symlink_metadata() {
            Ok(look) if !is_own(&look) => return Err(StoreError::Linked(path)),
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(StoreError::file("look at", &path, error));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Whether what bears a name is a file, and that of nobody else. `restore` gives our own a second name for a moment.
fn is_own(look: &Metadata) -> bool {
    look.is_file() && (look.nlink() == 1 || look.uid() == geteuid().as_raw())
}

/// Refuses what is open to more users than `widest` lets in.
pub(super) fn refuse_exposed(path: &Path, widest: u32) -> Result<(), StoreError> {
    let look = path
        .metadata()
        .map_err(|source| StoreError::file("look at", path, source))?;
    let mode = look.permissions().mode() & 0o777;
    if mode & !widest & 0o077 != 0 {
        return Err(StoreError::Exposed {
            path: path.to_owned(),
            mode,
            widest,
        });
    }
    Ok(())
}

/// A copy is for its owner, whoever may read the database.
pub(super) const COPY_MODE: u32 = 0o600;

/// The name of the key that belongs to the copy `file`, where it lies beside it.
pub fn key_beside(file: &Path) -> PathBuf {
    with_suffix(file, ".key")
}

/// Writes the new file `file`, whole or not at all.
pub(super) fn write_private(file: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    write_whole("create", file, COPY_MODE, bytes)
}

/// Writes `file` durably, whole or not at all, in the place of one that may be there.
///
/// # Errors
/// What `doing` it has failed; what was there is there still.
pub fn write_whole(doing: &'static str, file: &Path, mode: u32, bytes: &[u8]) -> Result<(), StoreError> {
    let unfinished = with_suffix(file, ".new");
    remove_if_there(&unfinished)?;
    let write = || {
        let mut written = create_private(&unfinished, mode)?;
        written.write_all(bytes)?;
        written.sync_all()?;
        fs::rename(&unfinished, file)
    };
    write().map_err(|source| {
        clear_away(&unfinished);
        StoreError::file(doing, file, source)
    })?;
    sync_directory_of(file)
}

pub(super) fn create_private(path: &Path, mode: u32) -> io::Result<File> {
    fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)
}

/// Makes the name `file` durable; the file's own sync does not.
pub(super) fn sync_directory_of(file: &Path) -> Result<(), StoreError> {
    let directory = match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    File::open(directory)
        .and_then(|directory| directory.sync_all())
        .map_err(|source| StoreError::file("sync", directory, source))
}

/// `path` with `suffix` behind its whole name.
pub(super) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

pub(super) fn refuse_existing(file: &Path) -> Result<(), StoreError> {
    match file.symlink_metadata() {
        Ok(_) => Err(StoreError::Exists(file.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(StoreError::file("look at", file, source)),
    }
}

/// Removes what is of no use without a copy that failed; why it failed is told by its caller.
pub(super) fn clear_away(file: &Path) {
    if let Err(error) = remove_if_there(file) {
        log::warn!("an unfinished copy is left error={:?}", error.to_string());
    }
}

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
