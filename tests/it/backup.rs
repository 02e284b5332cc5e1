//! `backup` and `restore`: what a copy holds that is made while everybody writes, what is refused, and that what is
//! replaced is never lost. Databases of earlier versions are in `upgrades`.

mod beyond;
mod full_speed;
mod restore;
mod upgrades;

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::Site;
use crate::support::process::{self, Ran};

/// Another data directory, on a box that reaches the same provider and the same receiver.
pub(crate) struct OtherBox {
    home: tempfile::TempDir,
}

impl OtherBox {
    pub(crate) fn beside(site: &Site) -> OtherBox {
        let home = tempfile::tempdir().unwrap();
        let text = fs::read_to_string(site.config_file()).unwrap().replace(
            site.data_dir().to_str().unwrap(),
            home.path().join("data").to_str().unwrap(),
        );
        fs::write(home.path().join("deltapost.toml"), text).unwrap();
        OtherBox { home }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    #[track_caller]
    pub(crate) fn cli(&self, args: &[&str]) -> Ran {
        process::run(&self.path("deltapost.toml"), args, &[], "")
    }

    #[track_caller]
    pub(crate) fn restore(&self, file: &Path) -> Ran {
        self.cli(&["restore", file.to_str().unwrap()])
    }

    /// The one cell that `query` finds in this box's database.
    pub(crate) fn number(&self, query: &str) -> i64 {
        number(&self.path("data/deltapost.db"), query)
    }
}

/// The number that `query` finds in the database `file`.
#[track_caller]
pub(crate) fn number(file: &Path, query: &str) -> i64 {
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
    let connection = rusqlite::Connection::open_with_flags(file, flags).unwrap();
    connection
        .query_row(query, [], |row| row.get(0))
        .unwrap_or_else(|error| panic!("{error}: {query}"))
}
