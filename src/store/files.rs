//! The files of a data directory: each is opened as itself, never through a link, a second name or a device. Whoever may
//! write to the directory could otherwise lead a command of another user to any file of the box.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use nix::fcntl::OFlag;
use nix::unistd::geteuid;

use super::{StoreError, backup};

/// More than any of the small files holds.
const MAX_BYTES: u64 = 64 * 1024;

/// Opens the file `path` of a data directory with `options`, if it is a file of its own. A pipe or device is not waited for.
///
/// # Errors
/// `Linked`; a file error, as what is done fails with it.
pub(super) fn open_own(
    doing: &'static str,
    path: &Path,
    options: &mut OpenOptions,
    flags: OFlag,
) -> Result<File, StoreError> {
    let flags = flags | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    let opened = options.custom_flags(flags.bits()).mode(0o600).open(path);
    let file = opened.map_err(|source| match path.is_symlink() {
        true => StoreError::Linked(path.to_owned()),
        false => StoreError::file(doing, path, source),
    })?;
    let look = file
        .metadata()
        .map_err(|source| StoreError::file("look at", path, source))?;
    match is_own(&look) {
        true => Ok(file),
        false => Err(StoreError::Linked(path.to_owned())),
    }
}

/// Opens the file `path` of a data directory to look at it or to change its mode and owner.
///
/// # Errors
/// As `read_own`; `None` where there is none.
pub fn look_at_own(path: &Path) -> Result<Option<File>, StoreError> {
    match open_own("open", path, OpenOptions::new().read(true), OFlag::empty()) {
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
    let file = open_own("read", path, OpenOptions::new().read(true), OFlag::empty())?;
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
        let path = backup::with_suffix(database, suffix);
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
