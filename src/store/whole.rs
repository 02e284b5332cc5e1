//! Files that are written whole or not at all, and durably; and the names that stand beside a copy's.

use std::fs;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::{StoreError, remove_if_there};

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
        io::Write::write_all(&mut written, bytes)?;
        written.sync_all()?;
        fs::rename(&unfinished, file)
    };
    write().map_err(|source| {
        clear_away(&unfinished);
        StoreError::file(doing, file, source)
    })?;
    sync_directory_of(file)
}

pub(super) fn create_private(path: &Path, mode: u32) -> io::Result<fs::File> {
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
    fs::File::open(directory)
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
