//! What the demonstration stands on: a temporary directory, the simulated drive and receiver, an opened house with an
//! instance between them.

use std::env;
use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use serde_json::json;

use super::super::failure::Failure;
use super::super::house;
use super::teller::Teller;
use crate::clock::{self, Clock, SystemClock};
use crate::commands::House;
use crate::config::Config;
use crate::core::model::OutboxState;
use crate::sim::onedrive::{Account, Drive, OneDrive};
use crate::sim::receiver::Receiver;
use crate::sim::script::Script;
use crate::store::{Key, Look, Sharing, Store, StoreError};

/// Items in a page: few, so that there are pages.
const PAGE: usize = 10;

/// The wait after a failed delivery.
const RETRY: Duration = Duration::from_secs(1);

/// How long a receiver may take to answer: less than the agent waits at its end.
const TIMEOUT: Duration = Duration::from_secs(5);

/// How often it is tried to remove a directory in which files are still made.
const REMOVALS: u32 = 10;

/// More notifications than are delivered between two looks.
const LOOK: u32 = 1_000;

/// The stage. Its parts are dropped in this order.
pub(super) struct Stage {
    pub(super) drive: Drive,
    /// `None` where the user names a callback.
    pub(super) receiver: Option<Receiver>,
    pub(super) opened: House,
    /// The polled resource's id.
    pub(super) resource: i64,
    /// The last notification that was told of.
    told: Mutex<i64>,
    _cloud: OneDrive,
    _scratch: Scratch,
}

impl Stage {
    /// Sets it up: a drive furnished by `script`, an instance that is signed in, and nothing polled yet.
    ///
    /// # Errors
    /// When there is no port for it, or `callback` is no URL to deliver to.
    pub(super) fn set(
        scratch: Scratch,
        callback: Option<&str>,
        script: &mut Script,
        teller: &Arc<Teller>,
    ) -> Result<Stage, Failure> {
        let cloud = OneDrive::start(Account {
            page_size: PAGE,
            ..Account::business()
        })
        .map_err(no_port)?;
        let drive = cloud.drive();
        script.furnish(&drive);
        drive.advance_to(SystemClock.now());
        let key = clock::new_token();
        let receiver = match callback {
            Some(_) => None,
            None => Some(Receiver::start(Some(key.clone())).map_err(no_port)?),
        };
        if let Some(receiver) = &receiver {
            let teller = Arc::clone(teller);
            receiver.on_delivery(move |delivery| teller.delivery(delivery));
        }
        let url = receiver
            .as_ref()
            .map_or_else(|| callback.unwrap_or_default().to_owned(), Receiver::url);
        let opened = open(&scratch.0, &cloud)?;
        let document = document(&cloud, &url, &key);
        let created = opened.create_instance(&document)?;
        let resources = opened.store.resources_of(created.instance.id)?;
        let resource = resources.first().map(|(id, _)| *id).unwrap_or_default();
        teller.begins(callback.is_some().then_some(&key));
        Ok(Stage {
            drive,
            receiver,
            opened,
            resource,
            told: Mutex::new(0),
            _cloud: cloud,
            _scratch: scratch,
        })
    }

    /// How many notifications were delivered, and how many events in them.
    pub(super) fn delivered(&self) -> Result<(u64, u64), StoreError> {
        self.counts(OutboxState::Delivered)
    }

    /// How many notifications wait, and why.
    pub(super) fn pending(&self) -> Result<(u64, Option<String>), StoreError> {
        let (count, _) = self.counts(OutboxState::Pending)?;
        let waiting = self
            .opened
            .store
            .list_outbox(Some(OutboxState::Pending), None, LOOK)?;
        Ok((count, waiting.into_iter().find_map(|row| row.last_error)))
    }

    fn counts(&self, state: OutboxState) -> Result<(u64, u64), StoreError> {
        let counts = self.opened.store.outbox_counts()?;
        let counts = counts.iter().filter(|count| count.state == state);
        Ok(counts.fold((0, 0), |(notifications, events), count| {
            (
                notifications + count.tally.notifications,
                events + count.tally.events,
            )
        }))
    }

    /// Tells of what was delivered to the user's own callback since this was last asked; our own tells by itself.
    pub(super) fn tell_delivered(&self, teller: &Teller) -> Result<(), StoreError> {
        if self.receiver.is_some() {
            return Ok(());
        }
        let mut told = self.told.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let newest = self
            .opened
            .store
            .list_outbox(Some(OutboxState::Delivered), None, LOOK)?;
        for row in newest.iter().rev().filter(|row| row.id > *told) {
            if let Some((_, _, events, _)) = self.opened.store.outbox_notification(&row.id.to_string(), 0)? {
                teller.sent(&events);
            }
        }
        *told = newest.first().map_or(*told, |row| row.id.max(*told));
        Ok(())
    }
}

fn no_port(error: io::Error) -> Failure {
    Failure::failed(format!("could not listen on 127.0.0.1: {error}"), None)
}

/// Creates and opens the house of a new agent whose provider is `cloud`.
fn open(data_dir: &Path, cloud: &OneDrive) -> Result<House, Failure> {
    let (key, _) = Key::create(data_dir)?;
    Store::create(data_dir, Sharing::Owner, &key, SystemClock.now())?;
    let mut config = Config {
        data_dir: data_dir.to_owned(),
        ..Config::default()
    };
    config.delivery.retry = vec![RETRY];
    config.delivery.timeout = TIMEOUT;
    config.microsoft.graph = cloud.graph_base();
    config.microsoft.authority = cloud.authority();
    house::open_for(config, Look::Brief)
}

/// The instance, as Cloud Elements documents it. Its interval is so long that it is polled on request only.
fn document(cloud: &OneDrive, callback: &str, key: &str) -> String {
    json!({
        "element": {"key": "onedrivebusiness"},
        "providerData": {"code": cloud.issue_code()},
        "configuration": {
            "oauth.api.key": "demo", "oauth.api.secret": clock::new_token(),
            "oauth.callback.url": "https://localhost/callback",
            "event.notification.enabled": "true",
            "event.notification.callback.url": callback,
            "event.notification.signature.key": key,
            "event.poller.refresh_interval": "44641",
        },
        "tags": ["demo"], "name": "Demo",
    })
    .to_string()
}

/// A directory of our own that goes with this.
#[derive(Debug)]
pub(super) struct Scratch(pub(super) PathBuf);

impl Scratch {
    /// Makes it.
    ///
    /// # Errors
    /// When there is no place for it.
    pub(super) fn new() -> Result<Scratch, Failure> {
        let token = clock::new_token();
        let path = env::temp_dir().join(format!("deltapost-demo-{}", &token[..16]));
        let made = fs::DirBuilder::new().mode(0o700).create(&path);
        // In its real place: what is a link now could be another one later.
        made.and_then(|()| path.canonicalize())
            .map(Scratch)
            .map_err(|error| {
                let hint = "name a directory that can be written in TMPDIR".to_owned();
                Failure::failed(
                    format!("could not create a temporary directory: {error}"),
                    Some(hint),
                )
            })
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        remove(&self.0);
    }
}

/// Removes `directory`, also while the agent still makes files in it.
pub(super) fn remove(directory: &Path) {
    for left in (0..REMOVALS).rev() {
        match fs::remove_dir_all(directory) {
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty && left > 0 => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(error) => {
                return log::error!(
                    "could not remove path={directory:?} error={:?}",
                    error.to_string()
                );
            }
            Ok(()) => return,
        }
    }
}
