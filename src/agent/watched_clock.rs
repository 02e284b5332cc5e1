//! The agent's clock. When it is set ahead while waits run in the database, it puts them off before it shows the new time, so
//! that nobody takes work whose wait the clock has leapt over.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use crate::clock::{Clock, Leaps};
use crate::store::{Store, StoreError};

/// Another clock, watched. Nobody may read it in a transaction: it may write to the database.
#[derive(Debug)]
pub(super) struct WatchedClock<'a> {
    clock: &'a dyn Clock,
    store: &'a Store,
    leaps: Mutex<Leaps>,
}

impl<'a> WatchedClock<'a> {
    pub(super) fn new(clock: &'a dyn Clock, store: &'a Store) -> WatchedClock<'a> {
        WatchedClock {
            clock,
            store,
            leaps: Mutex::new(Leaps::new(clock)),
        }
    }

    fn put_off(&self, from: Timestamp) -> Result<(), StoreError> {
        let now = self.clock.now();
        log::warn!(
            "the clock was set ahead from={from:.3} to={now:.3}: waits that were running go on from there"
        );
        self.store.put_waits_off(from, now)
    }
}

impl Clock for WatchedClock<'_> {
    fn now(&self) -> Timestamp {
        // Whoever else asks meanwhile waits until all is put off.
        let mut leaps = self.leaps.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(from) = leaps.look(self.clock)
            && let Err(error) = self.put_off(from)
        {
            log::error!(
                "waits end early, could not put them off error={:?}",
                error.to_string()
            );
        }
        self.clock.now()
    }

    fn uptime(&self) -> Duration {
        self.clock.uptime()
    }

    fn sleep(&self, wait: Duration) {
        self.clock.sleep(wait);
    }
}
