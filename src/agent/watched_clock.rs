//! The agent's clock. When it is set ahead while waits run in the database, it puts them off before it shows the new time, so
//! that nobody takes work whose wait the clock has leapt over.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use crate::clock::{Clock, Leaps, since};
use crate::store::Store;

/// How long after it has failed it is tried again to put waits off.
const AGAIN: Duration = Duration::from_secs(1);

/// Another clock, watched. Nobody may read it in a transaction: it may write to the database.
#[derive(Debug)]
pub(super) struct WatchedClock {
    clock: Arc<dyn Clock>,
    store: Arc<Store>,
    seen: Mutex<Seen>,
}

/// What was seen of the clock.
#[derive(Debug)]
struct Seen {
    leaps: Leaps,
    /// The uptime at which waits could not be put off; they are to be, still.
    failed: Option<Duration>,
}

impl WatchedClock {
    pub(super) fn new(clock: Arc<dyn Clock>, store: Arc<Store>) -> WatchedClock {
        let seen = Mutex::new(Seen {
            leaps: Leaps::new(&*clock),
            failed: None,
        });
        WatchedClock { clock, store, seen }
    }

    /// Looks whether the clock was set ahead, and puts off what waits. What fails is tried again, as if the clock had been set
    /// only then.
    fn look(&self, seen: &mut Seen) {
        let before = seen.leaps;
        seen.failed = None;
        let Some(from) = seen.leaps.look(&*self.clock) else {
            return;
        };
        let now = self.clock.now();
        match self.store.put_waits_off(from, now) {
            Ok(()) => log::warn!(
                "the clock was set ahead from={from:.3} to={now:.3}: waits that were running go on from there"
            ),
            Err(error) => {
                (seen.leaps, seen.failed) = (before, Some(self.clock.uptime()));
                log::error!(
                    "waits end early, could not put them off, trying again error={:?}",
                    error.to_string()
                );
            }
        }
    }
}

impl Clock for WatchedClock {
    fn now(&self) -> Timestamp {
        // Whoever else asks meanwhile waits until all is put off.
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.failed.is_none_or(|at| since(at, &*self.clock) >= AGAIN) {
            self.look(&mut seen);
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::agent::scheduler::tests::Site;
    use crate::core::model::Secret;

    const HOUR: Duration = Duration::from_secs(60 * 60);

    #[test]
    fn waits_that_could_not_be_put_off_are_put_off_later() {
        let site = Site::new("2026-03-02T10:00:00Z", "");
        site.add("Docs", json!({}));
        let (store, clock) = (&site.store, &site.clock);
        let watched = WatchedClock::new(clock.clone(), Arc::clone(store));
        let now = clock.now();
        store.note_app(1, &Secret::new("app")).unwrap();
        store.throttle(1, (now, now + HOUR), true).unwrap();
        let sql = |statement: &str| {
            let connection = rusqlite::Connection::open(store.path()).unwrap();
            connection.execute_batch(statement).unwrap();
        };
        sql("create trigger refused before update on throttle begin select raise(abort, 'refused'); end");
        clock.set(now + 10 * HOUR);
        let until = || store.throttling(1).unwrap().until.unwrap();
        assert_eq!((watched.now(), until()), (now + 10 * HOUR, now + HOUR));
        sql("drop trigger refused");
        clock.advance(AGAIN);
        assert_eq!(
            (watched.now(), until()),
            (now + 10 * HOUR + AGAIN, now + 11 * HOUR)
        );
        // Once is enough.
        clock.advance(AGAIN);
        watched.now();
        assert_eq!(until(), now + 11 * HOUR);
    }
}
