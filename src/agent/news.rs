//! Whether there can be anything new to those who look around again and again, so that looking costs nothing while nothing
//! happens.

use std::sync::Arc;

use crate::config::{Config, Live};
use crate::store::{Store, StoreError};

/// How many looks without news go by before there is held to be some all the same: the hour and the disk tell nobody.
const QUIET_LOOKS: u32 = 10;

/// What one who looks around has seen.
#[derive(Debug)]
pub(super) struct News<'a> {
    store: &'a Store,
    live: &'a Live,
    seen: Option<Seen>,
    quiet_looks: u32,
}

#[derive(Debug)]
struct Seen {
    data_version: i64,
    refused_space: bool,
    config: Arc<Config>,
}

impl<'a> News<'a> {
    pub(super) fn new(store: &'a Store, live: &'a Live) -> News<'a> {
        News {
            store,
            live,
            seen: None,
            quiet_looks: 0,
        }
    }

    /// Whether the database or the settings are others than at the last look, or the last look that found something was long
    /// ago.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub(super) fn look(&mut self) -> Result<bool, StoreError> {
        let data_version = self.store.data_version()?;
        let refused_space = self.store.was_refused_space();
        let is_same = self.seen.as_ref().is_some_and(|seen| {
            seen.data_version == data_version
                && seen.refused_space == refused_space
                && self.live.holds(&seen.config)
        });
        if is_same && self.quiet_looks < QUIET_LOOKS {
            self.quiet_looks += 1;
            return Ok(false);
        }
        self.quiet_looks = 0;
        self.seen = Some(Seen {
            data_version,
            refused_space,
            config: self.live.current(),
        });
        Ok(true)
    }

    /// Forgets what was seen: what was to be done about it has failed, and is to be done at the next look.
    pub(super) fn forget(&mut self) {
        self.seen = None;
    }
}
