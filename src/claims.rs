//! Workers that share work: each claims a key that no other has in hand. The way in which `poll`'s and `deliver`'s
//! workers find their next resource or instance.

use std::collections::HashSet;
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::Duration;

/// The keys in hand, and the bell that says there may be more to do.
#[derive(Debug, Default)]
pub struct Claims {
    state: Mutex<State>,
    bell: Condvar,
}

#[derive(Debug, Default)]
struct State {
    in_hand: HashSet<i64>,
    /// How often the bell has rung: a worker that has looked in vain waits only if it has not rung since.
    rings: u64,
}

/// Work in hand; its key is free again when this is dropped, also by a panic.
#[derive(Debug)]
pub struct Claim<'a, T> {
    claims: &'a Claims,
    key: i64,
    /// What was found under the key.
    pub work: T,
}

impl Claims {
    /// Claims what `find` finds. It is told which keys are in hand, and runs while no other worker looks.
    ///
    /// # Errors
    /// Those of `find`.
    pub fn claim<T, E>(
        &self,
        find: impl FnOnce(&HashSet<i64>) -> Result<Option<(i64, T)>, E>,
    ) -> Result<Option<Claim<'_, T>>, E> {
        let mut state = self.lock();
        Ok(find(&state.in_hand)?.map(|(key, work)| {
            state.in_hand.insert(key);
            Claim {
                claims: self,
                key,
                work,
            }
        }))
    }

    /// How often the bell has rung; to be read before looking for work.
    pub fn rings(&self) -> u64 {
        self.lock().rings
    }

    /// Says that there may be work. A hint: whoever waits looks again by itself in time.
    pub fn ring(&self) {
        self.lock().rings += 1;
        self.bell.notify_all();
    }

    /// Waits until the bell has rung more often than `heard`, or `at_most` has passed.
    pub fn wait(&self, heard: u64, at_most: Duration) {
        let waited = self
            .bell
            .wait_timeout_while(self.lock(), at_most, |state| state.rings == heard);
        drop(waited);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl<T> Claim<'_, T> {
    /// The key that is in hand.
    pub fn key(&self) -> i64 {
        self.key
    }
}

impl<T> Drop for Claim<'_, T> {
    fn drop(&mut self) {
        self.claims.lock().in_hand.remove(&self.key);
    }
}
