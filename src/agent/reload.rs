//! The configuration file, read again: when it has changed and come to rest, and on request. A bad one is refused, and a
//! good one replaces the settings as far as they can be replaced while the agent runs. What follows from that is others'.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use jiff::{SignedDuration, Timestamp};

use super::systemd;
use crate::clock::Clock;
use crate::config::{Config, ConfigError, Live};
use crate::store::{Store, StoreError};

/// How long a changed file must have been at rest: an editor may not be done with it.
const REST: SignedDuration = SignedDuration::from_secs(2);

/// How much is kept of why a file is refused.
const KEPT_CHARS: usize = 2_000;

/// The file that the settings come from.
#[derive(Clone, Debug)]
pub struct ConfigFile {
    pub path: PathBuf,
    /// Set by whoever wants it read again at once.
    pub wanted: Arc<AtomicBool>,
}

/// What tells one state of a file from another; `None` where there is none.
type Stamp = Option<(u64, u64, i64, i64)>;

/// Looks after the file.
#[derive(Debug)]
pub(super) struct Reloader<'a> {
    file: ConfigFile,
    live: &'a Live,
    store: &'a Store,
    clock: &'a dyn Clock,
    /// The file as it was read last. `None` at first: it may have changed since the agent's start.
    read: Option<Stamp>,
    /// The file as it was when it was looked at last, and when that was.
    seen: Option<(Stamp, Timestamp)>,
}

impl<'a> Reloader<'a> {
    pub(super) fn new(
        file: ConfigFile,
        live: &'a Live,
        store: &'a Store,
        clock: &'a dyn Clock,
    ) -> Reloader<'a> {
        Reloader {
            file,
            live,
            store,
            clock,
            read: None,
            seen: None,
        }
    }

    /// Looks at the file when it is time to, and reads it when it has changed and come to rest.
    ///
    /// # Errors
    /// When it cannot be kept that the file was refused.
    pub(super) fn look(&mut self) -> Result<(), StoreError> {
        let now = self.clock.now();
        if self.file.wanted.swap(false, Ordering::Relaxed) {
            systemd::reloading();
            log::info!("reading the configuration again path={:?}", self.file.path);
            let read = self.read_again(stamp(&self.file.path), now);
            systemd::ready();
            return read;
        }
        let is_early = |at: Timestamp| now.duration_since(at).abs() < REST;
        if self.seen.is_some_and(|(_, at)| is_early(at)) {
            return Ok(());
        }
        let stamp = stamp(&self.file.path);
        let before = self.seen.replace((stamp, now));
        let at_rest = before.is_some_and(|(before, _)| before == stamp);
        match at_rest && self.read != Some(stamp) {
            true => self.read_again(stamp, now),
            false => Ok(()),
        }
    }

    fn read_again(&mut self, stamp: Stamp, now: Timestamp) -> Result<(), StoreError> {
        self.read = Some(stamp);
        let running = self.live.current();
        let error = match running.load_again(&self.file.path) {
            Ok(config) => {
                self.apply(&running, config);
                None
            }
            Err(error) => Some(self.refused(&error)),
        };
        if error.is_some() || self.store.settings_error()?.is_some() {
            self.store.note_settings_error(error.as_deref(), now)?;
        }
        Ok(())
    }

    fn apply(&self, running: &Config, wanted: Config) {
        let (config, fixed) = within_a_run(running, wanted);
        let path = &self.file.path;
        if !fixed.is_empty() {
            log::warn!("settings changed that need a restart path={path:?} keys={fixed:?}");
        }
        let changed = changes(running, &config);
        if !changed.is_empty() {
            log::info!("settings applied path={path:?} changed={changed:?}");
            self.live.replace(config);
        }
    }

    /// Tells why the file is refused. Returns what is kept of it.
    fn refused(&self, error: &ConfigError) -> String {
        let error = error.to_string();
        for problem in error.lines() {
            log::error!("configuration refused, the settings stay problem={problem:?}");
        }
        error.chars().take(KEPT_CHARS).collect()
    }
}

/// `wanted` with what cannot change while the agent runs as it is in `running`, and the names of what would have changed.
fn within_a_run(running: &Config, mut wanted: Config) -> (Config, Vec<&'static str>) {
    let mut fixed = Vec::new();
    macro_rules! keep {
        ($($name:literal: $($field:ident).+;)+) => {$(
            if wanted.$($field).+ != running.$($field).+ {
                fixed.push($name);
                wanted.$($field).+.clone_from(&running.$($field).+);
            }
        )+};
    }
    keep! {
        "data_dir": data_dir;
        "group": group;
        "listen": listen;
        "schedule.workers": schedule.workers;
        "delivery.workers": delivery.workers;
        "delivery.timeout": delivery.timeout;
        "delivery.deny": delivery.deny;
        "delivery.proxy": delivery.proxy;
        "microsoft": microsoft;
        "network": network;
    }
    (wanted, fixed)
}

/// What is different in `after`. That a `[[poll]]` stands on another line changes nothing, but is told.
fn changes(before: &Config, after: &Config) -> Vec<&'static str> {
    let (old, new) = (&before.polling, &after.polling);
    let changes = [
        ("schedule.cron", old.cron != new.cron),
        ("schedule.timezone", old.timezone != new.timezone),
        ("schedule.jitter", old.jitter != new.jitter),
        ("poll", old.polls != new.polls),
        ("delivery", before.delivery != after.delivery),
        ("outbox", before.outbox != after.outbox),
        ("alerts", before.alerts != after.alerts),
    ];
    let changed = changes.into_iter().filter(|(_, changed)| *changed);
    changed.map(|(name, _)| name).collect()
}

fn stamp(path: &Path) -> Stamp {
    let metadata = fs::metadata(path).ok()?;
    Some((
        metadata.ino(),
        metadata.size(),
        metadata.ctime(),
        metadata.ctime_nsec(),
    ))
}

#[cfg(test)]
mod tests;
