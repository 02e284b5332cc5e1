//! Who sends what. The delivering threads share what is under way; here it is decided whose notifications go next, how
//! many requests there may be, and when another thread is needed. It knows nothing of what is sent and answered.
//!
//! `workers` requests may be new at a time. One that has had no answer for a moment gives its place away, so that a
//! callback that hangs keeps a thread and a little memory, and nobody waiting.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use crate::clock;
use crate::store::{Lane, Most, Reputation, Run, Waiting};

/// How long a request may be without an answer before it gives its place away. A hundred callbacks that hang have
/// given theirs away after a quarter of a second, with four workers.
const SILENCE: Duration = Duration::from_millis(10);

/// How long a thread that finds no place waits before it looks again.
pub(super) const PAUSE: Duration = Duration::from_millis(5);

/// Requests under way at a time, whatever they wait for. With their threads, buffers and bodies they take 32 MB.
const MOST: usize = 192;
/// Of these to endpoints that have accepted nothing since they last failed: the rest is for those that have.
const MOST_UNPROVEN: usize = 144;
/// Of these to endpoints that back off, and beyond the first to one that nobody knows yet: the rest is for first ones.
const MOST_PROBES: usize = 96;
/// To one host, and the same of one.
const MOST_OF_HOST: usize = 112;
const MOST_PROBES_OF_HOST: usize = 32;

/// Bodies in memory, in bytes. Each run takes a part of what is left, so that something is left for the next.
const BODIES: usize = 8 << 20;
/// Of these for endpoints that have accepted something.
const BODIES_FOR_PROVEN: usize = 2 << 20;
/// A body that always finds room.
const SMALL: usize = 16 << 10;

/// Notifications, and bytes of bodies, that a run takes at most.
const RUN: usize = 64;
const RUN_BYTES: usize = 1 << 20;

/// Milliseconds since some moment. Not to be set back, as clocks are.
fn monotonic() -> u64 {
    clock::monotonic_usec() / 1_000
}

/// What is under way, and the bell that says there may be more to do. One for all delivering threads.
#[derive(Debug, Default)]
pub struct Turns {
    state: Mutex<State>,
    bell: Condvar,
}

#[derive(Debug, Default)]
pub(super) struct State {
    under_way: HashMap<Lane, Held>,
    /// In which turn each endpoint, and each instance, was last served.
    endpoints: HashMap<i64, u64>,
    instances: HashMap<i64, u64>,
    turns: u64,
    /// Instances of which nothing may be sent, with the version of their settings that says so.
    withheld: HashMap<i64, String>,
    /// How often the bell has rung: a thread that has looked in vain waits only if it has not rung since.
    rings: u64,
    /// Threads that look for work or wait for it.
    free: usize,
    /// Threads beyond the configured workers.
    hired: usize,
}

/// A run that a thread has in hand.
#[derive(Debug)]
struct Held {
    group: i64,
    host: String,
    reputation: Reputation,
    bytes: usize,
    /// Whether its first body is larger than what was left for one.
    is_exception: bool,
    silent_since: Arc<AtomicU64>,
}

/// No answer is waited for.
const NOT_ASKED: u64 = u64::MAX;

/// Why a thread that looked for work found none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Vain {
    /// Nothing is due that nobody has in hand.
    Nothing,
    /// As many requests as there are workers are new.
    NoPlace,
}

/// A run in hand. It is free again when this is dropped, also by a panic.
pub(super) struct Claim<'a> {
    turns: &'a Turns,
    pub run: Run,
    /// Whether no thread is left that looks for work, and another is counted as hired now.
    pub hires: bool,
    silent_since: Arc<AtomicU64>,
}

/// A thread that delivers, counted for as long as it does.
#[derive(Debug)]
pub struct Seat<'a> {
    turns: &'a Turns,
    hired: bool,
}

impl Turns {
    /// Counts a thread that delivers. One that is `hired` was counted when a claim said so.
    pub fn seat(&self, hired: bool) -> Seat<'_> {
        if !hired {
            self.lock().free += 1;
        }
        Seat { turns: self, hired }
    }

    /// How many threads are at work beyond the configured ones.
    pub fn hired(&self) -> usize {
        self.lock().hired
    }

    /// Whether nobody has anything in hand.
    pub(super) fn is_idle(&self) -> bool {
        self.lock().under_way.is_empty()
    }

    /// Claims the run that `find` finds, while no other thread looks.
    ///
    /// # Errors
    /// Those of `find`.
    pub(super) fn claim<E>(
        &self,
        workers: usize,
        may_hire: bool,
        find: impl FnOnce(&State) -> Result<Option<Run>, E>,
    ) -> Result<Result<Claim<'_>, Vain>, E> {
        let mut state = self.lock();
        if state.new_requests() >= workers {
            return Ok(Err(Vain::NoPlace));
        }
        let Some(run) = find(&state)? else {
            return Ok(Err(Vain::Nothing));
        };
        let silent_since = Arc::new(AtomicU64::new(NOT_ASKED));
        let bodies: Vec<usize> = run.notifications.iter().map(|due| due.body.len()).collect();
        state.take(run.lane, &run.waiting, &bodies, Arc::clone(&silent_since));
        state.free = state.free.saturating_sub(1);
        let hires = may_hire && state.free == 0 && workers + state.hired < MOST;
        if hires {
            state.hired += 1;
            state.free += 1;
        }
        Ok(Ok(Claim {
            turns: self,
            run,
            hires,
            silent_since,
        }))
    }

    /// Notes that nothing of an instance may be sent as long as its settings are of that version.
    pub(super) fn withhold(&self, instance_id: i64, version: &str) {
        self.lock().withheld.insert(instance_id, version.to_owned());
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

impl State {
    /// Whether a thread has a run of that lane.
    pub(super) fn holds(&self, lane: Lane) -> bool {
        self.under_way.contains_key(&lane)
    }

    /// Those for whose requests there is room, with how much of each may be taken. Active endpoints go before those
    /// that back off; then whose endpoint was served the longest ago, and of one endpoint the instance that was.
    pub(super) fn in_turn(&self, waiting: Vec<Waiting>, per_endpoint: usize) -> Vec<(Waiting, Most)> {
        let last = |turns: &HashMap<i64, u64>, id: i64| turns.get(&id).copied().unwrap_or(0);
        let mut order: Vec<Waiting> = waiting
            .into_iter()
            .filter(|one| self.withheld.get(&one.instance_id) != Some(&one.version))
            .collect();
        order.sort_by_cached_key(|one| {
            (
                Reverse(one.reputation.is_active()),
                last(&self.endpoints, one.group()),
                !one.reputation.is_active() && one.tried,
                last(&self.instances, one.instance_id),
            )
        });
        order
            .into_iter()
            .filter_map(|one| self.room_for(&one, per_endpoint).map(|most| (one, most)))
            .collect()
    }

    /// How much may be taken for it; `None` where too much is under way.
    fn room_for(&self, one: &Waiting, per_endpoint: usize) -> Option<Most> {
        let count = |of: &dyn Fn(&Held) -> bool| self.under_way.values().filter(|held| of(held)).count();
        let unproven = count(&|held| held.reputation != Reputation::Proven);
        let of_group = count(&|held| held.group == one.group());
        let (of_endpoint, of_host, room) = match one.reputation {
            Reputation::Proven if of_group == 0 => (1, MOST_OF_HOST, unproven + 1),
            // A further request to one only where there is plenty of room: the endpoints of many instances may hang together.
            Reputation::Proven if self.under_way.len() < MOST / 3 => {
                (per_endpoint, MOST_OF_HOST / 3, unproven + 1)
            }
            Reputation::Proven => return None,
            Reputation::Unknown if of_group == 0 => (1, MOST_OF_HOST, MOST_UNPROVEN),
            Reputation::Unknown => (per_endpoint, MOST_PROBES_OF_HOST, MOST_PROBES),
            Reputation::BackingOff => (1, MOST_PROBES_OF_HOST, MOST_PROBES),
        };
        let is_room = self.under_way.len() < MOST
            && of_group < of_endpoint
            && unproven < room
            && count(&|held| held.host == one.host()) < of_host;
        is_room.then(|| self.most(one.reputation))
    }

    /// How much of the bodies in memory a run may take.
    fn most(&self, reputation: Reputation) -> Most {
        let left = self.left_for(reputation);
        // A body that is larger than what is left for one goes where no other such does.
        let exception = !self.under_way.values().any(|held| held.is_exception);
        Most {
            notifications: if reputation == Reputation::Proven { RUN } else { 1 },
            bytes: RUN_BYTES.min(left / 8),
            largest: if exception {
                usize::MAX
            } else {
                SMALL.max(left / 2)
            },
        }
    }

    /// The largest body that finds room beside what is under way.
    fn largest(&self, reputation: Reputation) -> usize {
        SMALL.max(self.left_for(reputation) / 2)
    }

    /// Bytes of bodies that may still be taken into memory.
    fn left_for(&self, reputation: Reputation) -> usize {
        let used: usize = self.under_way.values().map(|held| held.bytes).sum();
        let kept = if reputation == Reputation::Proven {
            0
        } else {
            BODIES_FOR_PROVEN
        };
        BODIES.saturating_sub(used + kept)
    }

    /// How many requests are new, or not yet made.
    fn new_requests(&self) -> usize {
        let now = monotonic();
        let silence = SILENCE.as_millis() as u64;
        let is_new = |held: &&Held| {
            let since = held.silent_since.load(Ordering::Relaxed);
            since == NOT_ASKED || now.saturating_sub(since) < silence
        };
        self.under_way.values().filter(is_new).count()
    }

    fn take(&mut self, lane: Lane, waiting: &Waiting, bodies: &[usize], silent_since: Arc<AtomicU64>) {
        self.turns += 1;
        self.endpoints.insert(waiting.group(), self.turns);
        self.instances.insert(waiting.instance_id, self.turns);
        self.withheld.remove(&waiting.instance_id);
        let first = bodies.first().copied().unwrap_or_default();
        let held = Held {
            group: waiting.group(),
            host: waiting.host().to_owned(),
            reputation: waiting.reputation,
            bytes: bodies.iter().sum(),
            is_exception: first > self.largest(waiting.reputation),
            silent_since,
        };
        self.under_way.insert(lane, held);
    }
}

impl Claim<'_> {
    /// Says that a request goes out now.
    pub(super) fn asked(&self) {
        self.silent_since.store(monotonic(), Ordering::Relaxed);
    }

    /// Says that no answer is waited for any more.
    pub(super) fn answered(&self) {
        self.silent_since.store(NOT_ASKED, Ordering::Relaxed);
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        let mut state = self.turns.lock();
        state.under_way.remove(&self.run.lane);
        state.free += 1;
        // Its endpoint may take more than one at a time now.
        if self.run.waiting.reputation != Reputation::Proven {
            state.rings += 1;
            self.turns.bell.notify_all();
        }
    }
}

impl Seat<'_> {
    /// Whether it may go: it was hired, and others wait for work.
    pub(super) fn is_spare(&self, workers: usize) -> bool {
        self.hired && self.turns.lock().free > workers
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        let mut state = self.turns.lock();
        state.free = state.free.saturating_sub(1);
        if self.hired {
            state.hired = state.hired.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(id: i64, host: &str, reputation: Reputation) -> Waiting {
        Waiting {
            instance_id: id,
            endpoint_id: Some(id),
            url: format!("http://{host}/{id}"),
            reputation,
            tried: false,
            version: String::new(),
        }
    }

    fn lane(instance_id: i64) -> Lane {
        Lane {
            instance_id,
            number: 0,
        }
    }

    fn in_turn(state: &State, waiting: &[Waiting]) -> Vec<i64> {
        let order = state.in_turn(waiting.to_vec(), 2);
        order.iter().map(|(one, _)| one.instance_id).collect()
    }

    #[test]
    fn who_was_served_the_longest_ago_is_next_and_probes_are_last() {
        let mut state = State::default();
        let one = |id, reputation| waiting(id, &format!("host-{id}"), reputation);
        let all = [
            one(1, Reputation::BackingOff),
            one(2, Reputation::Proven),
            one(3, Reputation::Proven),
            one(4, Reputation::Unknown),
        ];
        for (served, expect) in [(2, [3, 4, 2, 1]), (3, [4, 2, 3, 1]), (4, [2, 3, 4, 1])] {
            state.take(lane(served), &all[served as usize - 1], &[1], Arc::default());
            state.under_way.clear();
            assert_eq!(in_turn(&state, &all), expect);
        }
    }

    #[test]
    fn however_many_hang_there_is_room_for_who_has_accepted_and_for_another_host() {
        let mut state = State::default();
        for (id, reputation) in (1..).zip([Reputation::BackingOff, Reputation::Unknown].repeat(500)) {
            let one = waiting(id, if id % 3 == 0 { "down" } else { "dead" }, reputation);
            if state.room_for(&one, 2).is_some() {
                state.take(lane(id), &one, &[1_000], Arc::default());
            }
        }
        assert_eq!(state.under_way.len(), MOST_UNPROVEN);
        let well = waiting(2_000, "well", Reputation::Proven);
        assert_eq!(
            in_turn(&state, &[waiting(2_001, "new", Reputation::Unknown), well]),
            [2_000]
        );
    }

    #[test]
    fn however_large_the_bodies_under_way_they_are_bounded_and_a_small_one_finds_room() {
        let mut state = State::default();
        for id in 1..1_000 {
            let one = waiting(id, &format!("host-{}", id % 9), Reputation::Proven);
            let Some(most) = state.room_for(&one, 2) else {
                continue;
            };
            let body = [20 << 20, 300_000, 150_000, 5_000][id as usize % 4];
            if body <= most.largest {
                state.take(lane(id), &one, &[body], Arc::default());
            }
        }
        let bytes: usize = state.under_way.values().map(|held| held.bytes).sum();
        assert!(bytes < (20 << 20) + BODIES + MOST * SMALL, "{bytes}");
        state.under_way.retain(|lane, _| lane.instance_id % 7 != 0);
        let small = state.room_for(&waiting(2_000, "well", Reputation::Unknown), 2);
        assert!(small.is_some_and(|most| most.largest >= SMALL));
    }
}
