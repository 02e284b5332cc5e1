//! `init`: the data directory with key, database and API token, and the configuration file. What is there already
//! stays; only modes and owners are brought to what the configuration says.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, chown, fchown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use super::args::Args;
use super::failure::Failure;
use super::house;
use super::owner::{self, file};
use super::reply::Reply;
use super::table::pairs;
use crate::clock::{self, Clock, SystemClock};
use crate::config;
use crate::store::{
    self, AGENT_LOCK, DATABASE, DATABASE_LOCK, DirectoryLock, KEY_FILE, Key, Look, Sharing, Store,
    StoreError, TOKEN_FILE,
};

/// What may stand in a directory that becomes a data directory, beside our own files: a file system has it at its root.
const NOT_OURS: &str = "lost+found";

/// How often and how long apart it is looked whether another `init` has done.
const TRIES: u32 = 50;
const APART: Duration = Duration::from_millis(100);

/// What there is now, and whether it is new.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Made {
    data_dir: PathBuf,
    created: Vec<PathBuf>,
    existing: Vec<PathBuf>,
}

impl Made {
    fn note(&mut self, path: impl Into<PathBuf>, is_new: bool) {
        match is_new {
            true => self.created.push(path.into()),
            false => self.existing.push(path.into()),
        }
    }

    fn words(&self) -> String {
        let line = |word: &'static str| move |path: &PathBuf| (word, path.display().to_string());
        let created = self.created.iter().map(line("created"));
        pairs(created.chain(self.existing.iter().map(line("exists"))))
    }
}

/// Makes what is missing. The configuration file comes first: where the data directory cannot be made, it is the place
/// to name another one. The key comes before the database, durably: a database without its key is closed for ever.
pub(super) fn init(args: &Args) -> Result<Reply, Failure> {
    let (config_path, _) = house::config_path(args);
    owner::refuse_foreign(&config_path)?;
    let mut made = Made::default();
    let is_new = write_config(&config_path)?;
    let config = house::read_config(args)?;
    made.note(&config_path, is_new);
    made.data_dir.clone_from(&config.data_dir);
    let group = house::group_id(&config)?;
    let (credential, ()) = house::enter_after(&config, |owner| match owner {
        Some(owner) => {
            owner.let_read(&config_path)?;
            Ok(owner.give_back(&config.data_dir)?)
        }
        None => Ok(()),
    })?;

    let data_dir = &config.data_dir;
    let sharing = house::sharing(&config);
    let is_new = make_directory(data_dir, sharing).map_err(|failure| name_another(failure, &config_path))?;
    made.note(data_dir, is_new);
    // Where there is a database already, others may have it open and nothing is made that two could make at once.
    let new = match data_dir.join(DATABASE).exists() {
        true => None,
        false => Some(alone(data_dir)?),
    };
    let key = make_key(data_dir, credential, &mut made)?;
    // The database comes last: an `init` that sees it has nothing left to make, and needs not be alone.
    let is_new = make_token(data_dir)?;
    made.note(data_dir.join(TOKEN_FILE), is_new);
    let is_new = Store::create(data_dir, sharing, &key, SystemClock.now())?;
    made.note(data_dir.join(DATABASE), is_new);
    sync_directory(data_dir)?;
    drop(new);
    settle(data_dir, sharing, group)?;
    // Opened once, so that what does not fit is told now and not at the agent's first start.
    house::open_store(&config, Some(key), Look::Brief)?.key()?;

    let next = "next: describe an instance in a file and run `deltapost instance create FILE`\n";
    Ok(Reply::either(args, &made, || made.words() + next))
}

/// Makes the API token where there is none. Returns whether it is new.
pub(super) fn make_token(data_dir: &Path) -> Result<bool, StoreError> {
    let path = data_dir.join(TOKEN_FILE);
    if store::look_at_own(&path)?.is_some() {
        return Ok(false);
    }
    let text = format!("{}\n", clock::new_token());
    store::write_whole("create", &path, 0o600, text.as_bytes())?;
    Ok(true)
}

fn write_config(path: &Path) -> Result<bool, Failure> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let write = || {
        if path.try_exists().map_err(file("look at", path))? {
            return Ok(false);
        }
        fs::create_dir_all(directory).map_err(file("create", directory))?;
        // Another `init` may do the same; the first one's stays.
        let mut mine = path.as_os_str().to_owned();
        mine.push(format!(".{}", std::process::id()));
        let mine = Path::new(&mine);
        store::write_whole("create", mine, 0o640, config::TEMPLATE.as_bytes())?;
        let named = fs::hard_link(mine, path);
        fs::remove_file(mine).map_err(file("remove", mine))?;
        match named {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
            named => named.map(|()| true).map_err(file("create", path)),
        }
    };
    write().map_err(|error| {
        let hint = "run as root, or name a file of your own: `deltapost --config ./deltapost.toml init`";
        Failure::failed(error.to_string(), Some(hint.to_owned()))
    })
}

/// Takes `directory` for this process, when another `init` has made there what it makes.
fn alone(directory: &Path) -> Result<DirectoryLock, StoreError> {
    for _ in 1..TRIES {
        match DirectoryLock::alone(directory) {
            Err(StoreError::InUse(_)) => SystemClock.sleep(APART),
            other => return other,
        }
    }
    DirectoryLock::alone(directory)
}

fn name_another(failure: Failure, config_path: &Path) -> Failure {
    let hint = format!("run as root, or set `data_dir` in `{}`", config_path.display());
    let problems = failure.problems.into_iter();
    let problems = problems.map(|mut problem| {
        problem.hint.get_or_insert_with(|| hint.clone());
        problem
    });
    Failure {
        code: failure.code,
        problems: problems.collect(),
    }
}

/// Makes the data directory, or makes sure that it is one: `init` narrows its mode, which would do harm to another.
pub(super) fn make_directory(data_dir: &Path, sharing: Sharing) -> Result<bool, Failure> {
    match is_ours(data_dir) {
        Ok(true) => Ok(false),
        Ok(false) => {
            let hint = "name a new or an empty directory as `data_dir`".to_owned();
            let message = format!(
                "`{}` holds other files and no database of deltapost",
                data_dir.display()
            );
            Err(Failure::wrong(message, Some(hint)))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let mode = sharing.directory_mode();
            let made = fs::DirBuilder::new().recursive(true).mode(mode).create(data_dir);
            made.map_err(file("create", data_dir))?;
            Ok(true)
        }
        Err(error) => Err(file("look into", data_dir)(error).into()),
    }
}

/// Whether `directory` is a data directory, or an empty one that may become one.
fn is_ours(directory: &Path) -> io::Result<bool> {
    let names = fs::read_dir(directory)?.map(|entry| Ok(entry?.file_name()));
    let names = names.collect::<io::Result<Vec<_>>>()?;
    let ours = |name: &str| names.iter().any(|entry| entry == name);
    // A lock is the first thing that `init` and `restore` make.
    let known = [KEY_FILE, DATABASE, AGENT_LOCK, DATABASE_LOCK];
    Ok(known.into_iter().any(ours) || names.iter().all(|name| name == NOT_OURS))
}

/// The key that is there, or a new one where there is no database that would need another.
fn make_key(data_dir: &Path, credential: Option<Key>, made: &mut Made) -> Result<Key, Failure> {
    if let Some(key) = Key::load(data_dir, credential)? {
        // One from systemd's credentials is none of our files.
        made.existing
            .extend(Some(data_dir.join(KEY_FILE)).filter(|path| path.exists()));
        return Ok(key);
    }
    if data_dir.join(DATABASE).exists() {
        return Err(StoreError::NoKey.into());
    }
    let (key, path) = Key::create(data_dir)?;
    made.note(path, true);
    Ok(key)
}

/// Makes the names in the directory durable; a file's own sync does not.
fn sync_directory(path: &Path) -> Result<(), StoreError> {
    fs::File::open(path)
        .and_then(|directory| directory.sync_all())
        .map_err(file("sync", path))
}

/// Brings modes and groups of what is in the data directory to what the configuration says.
pub(super) fn settle(data_dir: &Path, sharing: Sharing, group: Option<u32>) -> Result<(), StoreError> {
    for name in [DATABASE, "deltapost.db-wal", "deltapost.db-shm"] {
        let path = data_dir.join(name);
        let Some(opened) = store::look_at_own(&path)? else {
            continue;
        };
        let mode = fs::Permissions::from_mode(sharing.file_mode());
        opened.set_permissions(mode).map_err(file("change", &path))?;
        if group.is_some() {
            fchown(&opened, None, group).map_err(file("give to its group", &path))?;
        }
    }
    if group.is_some() {
        chown(data_dir, None, group).map_err(file("give to its group", data_dir))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commented_configuration_is_written_once_with_the_directories_above_it() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("etc/deltapost/deltapost.toml");
        assert_eq!(write_config(&path), Ok(true));
        assert_eq!(fs::read_to_string(&path).unwrap(), config::TEMPLATE);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        fs::write(&path, "group = \"mine\"\n").unwrap();
        assert_eq!(write_config(&path), Ok(false));
        assert_eq!(fs::read_to_string(&path).unwrap(), "group = \"mine\"\n");
    }

    #[test]
    fn a_place_that_cannot_be_written_is_told_with_what_to_do() {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join("etc"), "a file, where a directory should be").unwrap();
        let failure = write_config(&home.path().join("etc/deltapost.toml")).unwrap_err();
        assert_eq!(failure.code, 1);
        let hint = "run as root, or name a file of your own: `deltapost --config ./deltapost.toml init`";
        assert_eq!(failure.problems[0].hint.as_deref(), Some(hint));
    }
}
