//! What this process has recorded since it started: attempts and polls, by what they came to and how long they took.
//! Rows are purged in their time, so counting them would give numbers that fall; these only rise.

use std::sync::atomic::{AtomicU64, Ordering};

use super::deliveries::{Attempt, Recorded};
use crate::core::histogram::{Histogram, Reading};
use crate::core::poll::{Ending, Poll};
use crate::core::retry::{Class, Fate};

/// What attempts come to, as the counters name it. The last: nothing could be sent.
pub const CLASSES: [&str; 5] = ["accepted", "refused", "gone", "failed", "withheld"];

/// The running counts. One for each open store.
#[derive(Debug, Default)]
pub struct Counters {
    attempts: [AtomicU64; CLASSES.len()],
    attempt_times: Histogram,
    deaths: AtomicU64,
    polls: [AtomicU64; Ending::ALL.len()],
    poll_times: Histogram,
    events: AtomicU64,
    items: AtomicU64,
}

/// The counts at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Attempts, by `CLASSES`.
    pub attempts: [u64; CLASSES.len()],
    pub attempt_times: Reading,
    /// Notifications that became dead.
    pub deaths: u64,
    /// Polls, by `Ending`.
    pub polls: [u64; Ending::ALL.len()],
    pub poll_times: Reading,
    /// Events that polls have written.
    pub events: u64,
    /// Items that polls have read.
    pub items: u64,
}

impl Counters {
    /// The counts now.
    pub fn read(&self) -> Counts {
        let all = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Counts {
            attempts: self.attempts.each_ref().map(all),
            attempt_times: self.attempt_times.read(),
            deaths: all(&self.deaths),
            polls: self.polls.each_ref().map(all),
            poll_times: self.poll_times.read(),
            events: all(&self.events),
            items: all(&self.items),
        }
    }

    /// Counts attempts that have been committed, with what they came to.
    pub(super) fn count_attempts(&self, attempts: &[Attempt], recorded: &[Recorded]) {
        let dead = recorded
            .iter()
            .filter(|recorded| matches!(recorded.fate, Fate::Dead { .. }));
        self.deaths.fetch_add(dead.count() as u64, Ordering::Relaxed);
        for attempt in attempts {
            let class = match attempt.outcome.map(|outcome| outcome.class) {
                Some(Class::Accepted) => 0,
                Some(Class::Refused) => 1,
                Some(Class::Gone) => 2,
                Some(Class::Failed) => 3,
                None => 4,
            };
            self.attempts[class].fetch_add(1, Ordering::Relaxed);
            if attempt.outcome.is_some() {
                let took = attempt.ended_at.duration_since(attempt.began_at).as_millis();
                self.attempt_times.count(u64::try_from(took).unwrap_or(0));
            }
        }
    }

    /// Counts a poll that has been committed.
    pub(super) fn count_poll(&self, poll: &Poll) {
        self.polls[poll.ending() as usize].fetch_add(1, Ordering::Relaxed);
        self.poll_times
            .count(u64::try_from(poll.duration_ms).unwrap_or(0));
        self.events.fetch_add(poll.events, Ordering::Relaxed);
        self.items.fetch_add(poll.items, Ordering::Relaxed);
    }
}
