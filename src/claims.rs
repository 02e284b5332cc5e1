//! Workers that share work: each claims a key that no other has in hand. The way in which `poll`'s and `deliver`'s
//! workers find their next resource or instance. Keys belong to groups, so that a worker can see how many others work
//! for the same account or endpoint.

use std::collections::HashMap;
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
    in_hand: InHand,
    /// How often the bell has rung: a worker that has looked in vain waits only if it has not rung since.
    rings: u64,
}

/// The keys that workers have in hand, each with its group.
#[derive(Debug, Default)]
pub struct InHand(HashMap<i64, i64>);

impl InHand {
    /// Whether a worker has `key`.
    pub fn holds(&self, key: i64) -> bool {
        self.0.contains_key(&key)
    }

    /// How many keys of `group` are in hand.
    pub fn of_group(&self, group: i64) -> usize {
        self.0.values().filter(|other| **other == group).count()
    }
}

/// What a worker found to do.
#[derive(Debug)]
pub struct Found<T> {
    pub key: i64,
    pub group: i64,
    pub work: T,
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
        find: impl FnOnce(&InHand) -> Result<Option<Found<T>>, E>,
    ) -> Result<Option<Claim<'_, T>>, E> {
        let mut state = self.lock();
        Ok(find(&state.in_hand)?.map(|Found { key, group, work }| {
            state.in_hand.0.insert(key, group);
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
        self.claims.lock().in_hand.0.remove(&self.key);
    }
}
