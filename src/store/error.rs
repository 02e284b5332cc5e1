//! What can go wrong with the database, told apart as far as a caller or an operator can act on it.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;

use super::DATABASE;

/// A failure of the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file could not be made, read or changed.
    #[error("could not {doing} `{}`: {source}", path.display())]
    File {
        doing: &'static str,
        path: PathBuf,
        source: std::io::Error,
    },
    /// There is no database yet.
    #[error("there is no database at `{}`", .0.display())]
    Missing(PathBuf),
    /// Others than the owner, or the group where it may, can read the file.
    #[error("`{}` has mode {mode:04o}, so others can read it; expected at most {widest:04o}", path.display())]
    Exposed { path: PathBuf, mode: u32, widest: u32 },
    /// What bears the name of a file of the data directory leads to another one.
    #[error("`{}` is a link, a second name of another file, or no file at all", .0.display())]
    Linked(PathBuf),
    /// The file, or the disk, cannot be written.
    #[error("the database `{}` is read-only", .0.display())]
    ReadOnly(PathBuf),
    /// The file is something else.
    #[error("`{}` is not a deltapost database", .0.display())]
    NotADatabase(PathBuf),
    /// SQLite's check found damage.
    #[error("the database `{}` is damaged: {detail}", path.display())]
    Damaged { path: PathBuf, detail: String },
    /// A later deltapost wrote it.
    #[error(
        "the database `{}` has schema version {found}; this deltapost knows versions up to {known}",
        path.display()
    )]
    Newer {
        path: PathBuf,
        found: i64,
        known: i64,
        /// What the last upgrade has kept.
        kept: Option<PathBuf>,
    },
    /// Another agent works with this data directory.
    #[error("another agent{} runs on `{}`", holder(*pid), path.display())]
    Locked { path: PathBuf, pid: Option<u32> },
    /// Other commands work with this data directory.
    #[error("another program works with `{}`", .0.display())]
    InUse(PathBuf),
    /// The database that is open is not, or no longer, the file of that name.
    #[error("the database `{}` was removed or replaced while it was in use", .0.display())]
    Gone(PathBuf),
    /// A file of that name is there, and is nobody's to overwrite.
    #[error("`{}` exists already", .0.display())]
    Exists(PathBuf),
    /// The copy to be restored belongs to another key.
    #[error("none of the keys at hand opens what is sealed in `{}`", copy.display())]
    ForeignKey { copy: PathBuf, key: PathBuf },
    /// Another process wrote for longer than this one waited.
    #[error("the database is busy: another process has been writing to it for more than 5 seconds")]
    Busy,
    /// The disk has no room for what was to be written; nothing of it was.
    #[error("the database could not be written: there is no space left on its disk")]
    DiskFull,
    /// The sealing key is missing, or is another one.
    #[error("what is sealed in the database cannot be opened: its key is missing or is another one")]
    NoKey,
    /// The key file is not a key.
    #[error("`{}` does not hold a key of 32 bytes in base64", .0.display())]
    BadKey(PathBuf),
    /// An instance of that name exists.
    #[error("an instance named `{0}` exists already")]
    NameTaken(String),
    /// No instance has that id or name.
    #[error("there is no instance `{0}`")]
    NoSuchInstance(String),
    /// Somebody else moved the cursor or deleted the instance in the meantime; nothing was written.
    #[error("the resource was changed, polled or deleted by somebody else in the meantime")]
    Superseded,
    /// A row holds what this version cannot read.
    #[error("the database holds `{value}` as {what}, which this deltapost does not know")]
    Unreadable { what: String, value: String },
    /// Anything else that SQLite said.
    #[error("the database refused: {0}")]
    Sqlite(rusqlite::Error),
}

impl StoreError {
    pub(super) fn file(doing: &'static str, path: &Path, source: std::io::Error) -> StoreError {
        StoreError::File {
            doing,
            path: path.to_owned(),
            source,
        }
    }

    /// `text` stands as `what`, and means nothing.
    pub(super) fn unreadable(what: impl Into<String>, text: &str) -> StoreError {
        StoreError::Unreadable {
            what: what.into(),
            value: text.chars().take(80).collect(),
        }
    }

    /// An error met while opening `path`, where SQLite's codes say what the file is.
    pub(super) fn opening(path: &Path, source: rusqlite::Error) -> StoreError {
        match source.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => StoreError::NotADatabase(path.to_owned()),
            Some(ErrorCode::DatabaseCorrupt) => StoreError::Damaged {
                path: path.to_owned(),
                detail: source.to_string(),
            },
            Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
                StoreError::ReadOnly(path.to_owned())
            }
            _ => StoreError::from(source),
        }
    }

    /// The next thing to do about it.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            StoreError::Missing(_) => "run `deltapost init` to create it".to_owned(),
            StoreError::Exposed { path, widest, .. } => {
                format!("as the owner of the data directory, run `chmod {widest:o} {}`", path.display())
            }
            StoreError::Linked(_) => {
                "find out who put it there and remove it; then put the file itself back, or run `deltapost init`"
                    .to_owned()
            }
            StoreError::ReadOnly(_) => {
                "run as the owner of the data directory, on a disk that can be written".to_owned()
            }
            StoreError::NotADatabase(path) | StoreError::Damaged { path, .. }
                if !path.ends_with(DATABASE) =>
            {
                "nothing was changed; name a copy that `deltapost backup` made".to_owned()
            }
            StoreError::NotADatabase(path) | StoreError::Damaged { path, .. } => {
                format!(
                    "nothing was changed; `deltapost restore FILE` puts a backup in place of `{}`",
                    path.display()
                )
            }
            StoreError::Newer { kept: Some(kept), .. } => format!(
                "install the newer deltapost again, or go back to before the upgrade: `deltapost restore {}`",
                kept.display()
            ),
            StoreError::Newer { kept: None, .. } => {
                "install the newer deltapost again, or restore a backup of before: `deltapost restore FILE`"
                    .to_owned()
            }
            StoreError::InUse(_) => "try again when it has ended".to_owned(),
            StoreError::Gone(_) => {
                "put it back, or restore a backup with `deltapost restore FILE`, and start again".to_owned()
            }
            StoreError::Exists(_) => "name another file, or remove this one".to_owned(),
            StoreError::ForeignKey { key, .. } => {
                format!(
                    "put the secret.key that belongs to the copy beside it, as `{}`",
                    key.display()
                )
            }
            StoreError::Locked { .. } => "stop it first, or use another data_dir".to_owned(),
            StoreError::Busy => {
                "try again; if it lasts, look for a process that keeps a transaction open".to_owned()
            }
            StoreError::DiskFull => {
                "make room on the disk of the data directory; nothing is lost, and it goes on by itself"
                    .to_owned()
            }
            StoreError::NoKey | StoreError::BadKey(_) => {
                "put the secret.key that belongs to this database back into the data directory".to_owned()
            }
            StoreError::NameTaken(_) => {
                "choose another name, or use `instance apply` to change it".to_owned()
            }
            StoreError::NoSuchInstance(_) => "`deltapost instance list` shows them".to_owned(),
            StoreError::File { source, .. } if source.kind() == ErrorKind::PermissionDenied => {
                "run as the user who owns the data directory; `deltapost init`, run by root, gives that user its files back"
                    .to_owned()
            }
            StoreError::File { path, source, .. } if source.kind() == ErrorKind::StorageFull => {
                format!("make room on the disk of `{}`, and try again", path.display())
            }
            StoreError::File { .. }
            | StoreError::Superseded
            | StoreError::Unreadable { .. }
            | StoreError::Sqlite(_) => return None,
        })
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(source: rusqlite::Error) -> StoreError {
        match source.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::Busy,
            Some(ErrorCode::DiskFull) => StoreError::DiskFull,
            _ => StoreError::Sqlite(source),
        }
    }
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or_else(String::new, |pid| format!(" (pid {pid})"))
}
