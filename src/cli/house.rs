//! Opens the house: from the configuration file to everything that commands work with. It creates nothing but the
//! agent's lock file.

use std::env;
use std::fs;
use std::io::{self, ErrorKind};
use std::ops::Deref;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::unistd::geteuid;

use super::args::{Args, DEFAULT_CONFIG};
use super::failure::Failure;
use crate::callback::Sender;
use crate::clock::SystemClock;
use crate::commands::Premises;
use crate::config::Config;
use crate::config::Live;
use crate::graph::client::{Client, GraphConfig, TIMEOUTS};
use crate::store::{AgentLock, DATABASE, Key, Look, Sharing, Store, StoreError};

/// The configuration file that `args` name, and whether they do.
pub(super) fn config_path(args: &Args) -> (PathBuf, bool) {
    match &args.config {
        Some(path) => (path.clone(), true),
        None => (PathBuf::from(DEFAULT_CONFIG), false),
    }
}

/// Who may read the data directory.
pub(super) fn sharing(config: &Config) -> Sharing {
    match config.group {
        Some(_) => Sharing::Group,
        None => Sharing::Owner,
    }
}

/// The data directory's key, from systemd's credentials before the directory itself.
///
/// # Errors
/// As `Key::load`.
pub(super) fn load_key(data_dir: &Path) -> Result<Option<Key>, StoreError> {
    Key::load(data_dir, credentials().as_deref())
}

/// The file that `load_key` reads, where there is one.
pub(super) fn key_file(data_dir: &Path) -> Option<PathBuf> {
    Key::file(data_dir, credentials().as_deref())
}

fn credentials() -> Option<PathBuf> {
    env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from)
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

/// Everything that commands work with, opened.
#[derive(Clone, Debug)]
pub(super) struct Opened(pub(super) Arc<Premises>);

impl Deref for Opened {
    type Target = Premises;

    fn deref(&self) -> &Premises {
        &self.0
    }
}

impl Opened {
    /// Opens what `args` and the configuration name.
    ///
    /// # Errors
    /// The first thing that is not as it should be.
    pub(super) fn open(args: &Args, look: Look) -> Result<Opened, Failure> {
        let (path, explicit) = config_path(args);
        Opened::with(Config::load(&path, explicit)?, look)
    }

    /// Opens what `config` names.
    ///
    /// # Errors
    /// As `open`.
    pub(super) fn with(config: Config, look: Look) -> Result<Opened, Failure> {
        refuse_foreign(&config.data_dir)?;
        let key = load_key(&config.data_dir)?;
        let store = Store::open(&config.data_dir, sharing(&config), key, look)?;
        let (client, sender) = ways_out(&config)?;
        Ok(Opened(Arc::new(Premises {
            live: Live::new(&config),
            config,
            store,
            client,
            sender,
            clock: SystemClock,
        })))
    }

    /// Takes the agent's lock. Its file, when root makes it, goes to the directory's owner, who would be locked out.
    ///
    /// # Errors
    /// `Locked` when an agent runs; a file error.
    pub(super) fn take_lock(&self) -> Result<AgentLock, StoreError> {
        let lock = AgentLock::take(&self.config.data_dir)?;
        let path = self.config.data_dir.join("agent.lock");
        hand_over(&path, &self.config.data_dir).map_err(|source| StoreError::File {
            doing: "hand over",
            path,
            source,
        })?;
        Ok(lock)
    }
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

/// Gives `path` to the owner of `data_dir` when root has made it for somebody else.
///
/// # Errors
/// When the system refuses.
pub(super) fn hand_over(path: &Path, data_dir: &Path) -> io::Result<()> {
    let owner = fs::metadata(data_dir)?.uid();
    if geteuid().is_root() && fs::metadata(path)?.uid() != owner {
        chown(path, Some(owner), None)?;
    }
    Ok(())
}
