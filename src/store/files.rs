//! The files of a data directory: each is opened as itself, never through a link, a second name or a device. Whoever may
//! write to the directory could otherwise lead a command of another user to any file of the box.

use std::ffi::OsString;
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Component, Path, absolute};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, openat, readlinkat};
use nix::sys::stat::Mode;
use nix::unistd::geteuid;

use super::{StoreError, whole};

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
        let path = whole::with_suffix(database, suffix);
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
