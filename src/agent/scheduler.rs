//! The scheduler: what the workers poll next, by the timetable or since somebody asked. It keeps the timetable up with the
//! database, the settings, the zones and the clock; when to look is its thread's.

use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::timetable::Timetable;
use crate::clock::Clock;
use crate::config::{Config, Live};
use crate::store::{Planned, Request, Rows, Store, StoreError};

/// How often it is looked for what nobody told of: requests, changes by commands, a clock that was set, a machine that
/// slept. Costs a few microseconds each time.
const LOOK: Duration = Duration::from_millis(500);

/// How often it is looked whether zones have changed.
const ZONES_LOOK: SignedDuration = SignedDuration::from_secs(2);

/// What to poll.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Job {
    pub(super) resource_id: i64,
    /// Who waits for it, if somebody does.
    pub(super) request: Option<Request>,
}

/// Hands out what is to be polled.
#[derive(Debug)]
pub(super) struct Scheduler<'a> {
    store: &'a Store,
    clock: &'a dyn Clock,
    live: &'a Live,
    state: Mutex<State>,
    bell: Condvar,
}

#[derive(Debug)]
struct State {
    timetable: Timetable,
    /// Requests that wait, oldest first.
    requests: Vec<Request>,
    /// The settings that the timetable was made by.
    config: Arc<Config>,
    /// Of the database as it was last looked at; `None` when it must be read again.
    data_version: Option<i64>,
    plan_version: Option<i64>,
    zones_looked_at: Timestamp,
    /// Until when the thread means to wait.
    wakes_at: Timestamp,
    rung: bool,
}

impl<'a> Scheduler<'a> {
    pub(super) fn new(store: &'a Store, clock: &'a dyn Clock, live: &'a Live) -> Scheduler<'a> {
        let now = clock.now();
        Scheduler {
            store,
            clock,
            live,
            state: Mutex::new(State {
                timetable: Timetable::new(now),
                requests: Vec::new(),
                config: live.current(),
                data_version: None,
                plan_version: None,
                zones_looked_at: now,
                wakes_at: now,
                rung: false,
            }),
            bell: Condvar::new(),
        }
    }

    /// Looks at everything that can have changed. Returns whether there is something to poll.
    ///
    /// # Errors
    /// When the database cannot be read, or what is planned cannot be shown.
    pub(super) fn look(&self) -> Result<bool, StoreError> {
        let mut state = self.lock();
        let now = self.clock.now();
        state.timetable.tell_time(now);
        if now.duration_since(state.zones_looked_at).abs() >= ZONES_LOOK {
            state.zones_looked_at = now;
            state.timetable.refresh_zones(now);
        }
        let other_settings = !self.live.holds(&state.config);
        let version = self.store.data_version()?;
        if state.data_version != Some(version) {
            state.requests = self.store.waiting_requests()?;
        }
        if state.data_version != Some(version) || other_settings {
            self.keep_up(&mut state, now, other_settings)?;
            state.data_version = Some(version);
        }
        self.show(&mut state)?;
        let due = state.timetable.first_due_by(now).is_some();
        Ok(due || !state.requests.is_empty())
    }

    /// Reads all resources again when something of them has changed that decides when they are polled.
    fn keep_up(&self, state: &mut State, now: Timestamp, other_settings: bool) -> Result<(), StoreError> {
        let version = self.store.plan_version()?;
        if state.plan_version == Some(version) && !other_settings {
            return Ok(());
        }
        let config = self.live.current();
        state
            .timetable
            .take_in(&config.polling, now, |put| self.store.planned(Rows::All, put))?;
        (state.config, state.plan_version) = (config, Some(version));
        Ok(())
    }

    fn show(&self, state: &mut State) -> Result<(), StoreError> {
        let moved = state.timetable.moved();
        if !moved.is_empty() {
            self.store.show_next_polls(&moved)?;
            state.timetable.tell_shown(&moved);
        }
        Ok(())
    }

    /// Waits until something is due that is not yet, or it is time to look.
    pub(super) fn wait(&self) {
        let mut state = self.lock();
        let now = self.clock.now();
        let look_at = now.saturating_add(LOOK).unwrap_or(Timestamp::MAX);
        // What is due already was told of: whoever is free takes it.
        let due = state.timetable.first_due().filter(|due| *due > now);
        state.wakes_at = due.map_or(look_at, |due| due.min(look_at));
        let wait = Duration::try_from(state.wakes_at.duration_since(now)).unwrap_or(LOOK);
        let waited = self.bell.wait_timeout_while(state, wait, |state| !state.rung);
        let (mut state, _) = waited.unwrap_or_else(|poisoned| poisoned.into_inner());
        state.rung = false;
    }

    /// Ends a wait.
    pub(super) fn ring(&self) {
        self.lock().rung = true;
        self.bell.notify_all();
    }

    /// Takes what is to be polled next: what was asked for first, then what has been due for the longest. What is in hand
    /// is not polled twice at a time. Whoever takes a job ends it by `done`.
    ///
    /// # Errors
    /// When the database cannot be read; nothing is taken then.
    pub(super) fn next(&self) -> Result<Option<Job>, StoreError> {
        let mut state = self.lock();
        let (now, config) = (self.clock.now(), Arc::clone(&state.config));
        let free = |request: &&Request| !state.timetable.is_in_hand(request.resource_id);
        if let Some(request) = state.requests.iter().find(free).copied() {
            // The timetable may not have taken it in yet.
            if let Some(row) = self.row(request.resource_id)? {
                state.timetable.put(&row, &config.polling, now);
            }
            state.requests.retain(|other| other.id != request.id);
            state.timetable.hold(request.resource_id);
            return Ok(Some(Job {
                resource_id: request.resource_id,
                request: Some(request),
            }));
        }
        while let Some(id) = state.timetable.first_due_by(now) {
            // What the database says may be newer than the last look.
            match self.row(id)? {
                Some(row) => state.timetable.put(&row, &config.polling, now),
                None => state.timetable.forget(id),
            }
            if state.timetable.hand_out(id, now) {
                return Ok(Some(Job {
                    resource_id: id,
                    request: None,
                }));
            }
        }
        self.ring_if_early(&mut state);
        Ok(None)
    }

    fn row(&self, id: i64) -> Result<Option<Planned>, StoreError> {
        let mut found = None;
        self.store.planned(Rows::One(id), |row| found = Some(row))?;
        Ok(found)
    }

    /// Takes back what was polled, and finds when it is due next; its poll may have postponed those of its instance, too.
    ///
    /// # Errors
    /// When the database cannot be read; it is read again at the next look, and the resource is due soon whatever comes.
    pub(super) fn done(&self, job: Job) -> Result<(), StoreError> {
        let mut state = self.lock();
        let state = &mut *state;
        if let Some(request) = job.request {
            state.requests.retain(|other| other.id != request.id);
        }
        let (now, config) = (self.clock.now(), Arc::clone(&state.config));
        let mut found = false;
        let read = self.store.planned(Rows::Beside(job.resource_id), |row| {
            match row.id == job.resource_id {
                true => state.timetable.give_back(&row, &config.polling, now),
                false => state.timetable.put(&row, &config.polling, now),
            }
            found |= row.id == job.resource_id;
        });
        match read {
            Ok(()) if !found => state.timetable.forget(job.resource_id),
            Ok(()) => {}
            Err(_) => {
                state.timetable.give_back_unread(job.resource_id, now);
                (state.data_version, state.plan_version) = (None, None);
            }
        }
        self.ring_if_early(state);
        read
    }

    /// Takes back what could not be polled for a reason of this box's. It is due again in a second, and who waits for it
    /// waits on.
    pub(super) fn put_off(&self, job: Job) {
        let mut state = self.lock();
        state
            .timetable
            .give_back_unread(job.resource_id, self.clock.now());
        (state.data_version, state.plan_version) = (None, None);
    }

    /// Ends the thread's wait when something is due before its end.
    fn ring_if_early(&self, state: &mut State) {
        if state
            .timetable
            .first_due()
            .is_some_and(|due| due < state.wakes_at)
        {
            state.rung = true;
            self.bell.notify_all();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

#[cfg(test)]
pub(super) mod tests;
