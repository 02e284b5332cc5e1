//! Opens the house: from the configuration file to everything that commands work with. It creates nothing but the
//! agent's lock file.

use std::env;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::unistd::Group;

use super::args::{Args, DEFAULT_CONFIG};
use super::failure::Failure;
use super::owner::{self, Owner};
use crate::callback::Sender;
use crate::clock::SystemClock;
use crate::commands::House;
use crate::config::Config;
use crate::config::Live;
use crate::graph::client::{Client, GraphConfig, TIMEOUTS};
use crate::store::{DATABASE, KEY_FILE, Key, Look, Sharing, Store, StoreError};

/// The configuration file that `args` name, and whether they do.
pub(super) fn config_path(args: &Args) -> (PathBuf, bool) {
    match &args.config {
        Some(path) => (path.clone(), true),
        None => (PathBuf::from(DEFAULT_CONFIG), false),
    }
}

/// The configuration that `args` name, which root takes from nobody else.
///
/// # Errors
/// When others can change it; all that is wrong with it.
pub(super) fn read_config(args: &Args) -> Result<Config, Failure> {
    let (path, explicit) = config_path(args);
    owner::refuse_foreign(&path)?;
    Ok(Config::load(&path, explicit)?)
}

/// Who may read the data directory.
pub(super) fn sharing(config: &Config) -> Sharing {
    match config.group {
        Some(_) => Sharing::Group,
        None => Sharing::Owner,
    }
}

/// The id of the group that `config` names.
///
/// # Errors
/// When there is no such group.
pub(super) fn group_id(config: &Config) -> Result<Option<u32>, Failure> {
    let Some(name) = &config.group else {
        return Ok(None);
    };
    let hint = || Some("correct `group` in the configuration file, or create the group".to_owned());
    match Group::from_name(name) {
        Ok(Some(group)) => Ok(Some(group.gid.as_raw())),
        Ok(None) => Err(Failure::wrong(format!("there is no group `{name}`"), hint())),
        Err(error) => Err(Failure::failed(
            format!("could not look up the group `{name}`: {error}"),
            hint(),
        )),
    }
}

/// Opens the database that `config` names.
///
/// # Errors
/// As `Store::open`.
pub(super) fn open_store(config: &Config, key: Option<Key>, look: Look) -> Result<Store, StoreError> {
    Store::open(
        &config.data_dir,
        sharing(config),
        key,
        look,
        &config.microsoft.graph,
    )
}

/// Reads what only root may be able to read, and has root's process become the data directory's owner: nothing in the
/// directory is touched before. Returns the key among systemd's credentials, where there is one.
///
/// # Errors
/// When that is no key; when the directory is not safe to work in.
pub(super) fn enter(config: &Config) -> Result<Option<Key>, Failure> {
    enter_after(config, |_| Ok(())).map(|(credential, ())| credential)
}

/// The same, once `outside` is done, which may need root's rights; it is told whom the process will become.
///
/// # Errors
/// As `enter` and `outside`.
pub(super) fn enter_after<T>(
    config: &Config,
    outside: impl FnOnce(Option<&Owner>) -> Result<T, Failure>,
) -> Result<(Option<Key>, T), Failure> {
    let credentials = env::var_os("CREDENTIALS_DIRECTORY").map(|path| PathBuf::from(path).join(KEY_FILE));
    let credential = credentials.filter(|path| path.exists());
    let credential = credential.map(|path| Key::read(&path)).transpose()?;
    let owner = Owner::of(&config.data_dir)?;
    let done = outside(owner.as_ref())?;
    if let Some(owner) = owner {
        // A group that there is not is told by who needs it.
        owner.become_it(group_id(config).ok().flatten())?;
        refuse_out_of_reach(&config.data_dir)?;
    }
    Ok((credential, done))
}

fn refuse_out_of_reach(data_dir: &Path) -> Result<(), Failure> {
    match fs::metadata(data_dir) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            let message = format!("its owner cannot reach `{}`: {error}", data_dir.display());
            let hint = "let this user pass through the directories above it".to_owned();
            Err(Failure::failed(message, Some(hint)))
        }
        _ => Ok(()),
    }
}

/// The ways out: to the provider and to callbacks.
///
/// # Errors
/// When the configuration names URLs or roots that cannot be used.
pub(super) fn ways_out(config: &Config) -> Result<(Client, Sender), Failure> {
    let roots = match &config.network.ca_file {
        Some(path) => Some(fs::read(path).map_err(|error| {
            let hint = "correct `ca_file` under `[network]`".to_owned();
            Failure::wrong(
                format!("could not read the roots in `{}`: {error}", path.display()),
                Some(hint),
            )
        })?),
        None => None,
    };
    let client = Client::new(&GraphConfig {
        base: &config.microsoft.graph,
        authority: &config.microsoft.authority,
        company: config.microsoft.company.as_deref().unwrap_or_default(),
        proxy: config.network.proxy.as_deref(),
        extra_roots: roots.as_deref(),
        timeouts: TIMEOUTS,
    })?;
    let delivery = &config.delivery;
    let sender = Sender::new(
        delivery.timeout,
        delivery.proxy.as_deref(),
        roots.as_deref(),
        &delivery.deny,
    )?;
    Ok((client, sender))
}

/// Opens what `args` and the configuration name.
///
/// # Errors
/// The first thing that is not as it should be.
pub(super) fn open(args: &Args, look: Look) -> Result<House, Failure> {
    open_for(read_config(args)?, look)
}

/// Opens what `config` names.
///
/// # Errors
/// As `open`.
pub(super) fn open_for(config: Config, look: Look) -> Result<House, Failure> {
    let ways = ways_out(&config)?;
    let credential = enter(&config)?;
    open_inside(config, ways, credential, look)
}

/// Opens the data directory that `config` names, after `enter`.
///
/// # Errors
/// As `open`.
pub(super) fn open_inside(
    config: Config,
    (client, sender): (Client, Sender),
    credential: Option<Key>,
    look: Look,
) -> Result<House, Failure> {
    refuse_foreign(&config.data_dir)?;
    let key = Key::load(&config.data_dir, credential)?;
    let store = open_store(&config, key, look)?;
    Ok(House {
        live: Arc::new(Live::new(&config)),
        config: Arc::new(config),
        store: Arc::new(store),
        client: Arc::new(client),
        sender: Arc::new(sender),
        clock: Arc::new(SystemClock),
    })
}

/// Tells a database that may not be looked at from one that is missing.
pub(super) fn refuse_foreign(data_dir: &Path) -> Result<(), Failure> {
    let path = data_dir.join(DATABASE);
    match fs::metadata(&path) {
        Err(source) if source.kind() == ErrorKind::PermissionDenied => {
            let error = StoreError::File {
                doing: "open",
                path,
                source,
            };
            Err(Failure::failed(
                error.to_string(),
                Some("run as the user who owns the data directory".to_owned()),
            ))
        }
        _ => Ok(()),
    }
}
