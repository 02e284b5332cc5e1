//! When each resource is polled next: a heap of times, kept up with what happens. It has no thread, no clock and no
//! database; who has these asks it, and tells it.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::calendar::{Calendar, Changed};
use crate::core::plan::{Cadence, Polling};
use crate::core::schedule::{History, spread};
use crate::store::Planned;

/// How long after its start a poll that did not come to its end is made again at the earliest: what broke it off may
/// break it off again, at once and for ever.
const AGAIN: SignedDuration = SignedDuration::from_secs(1);

/// A step back that is smaller is a correction, and makes no difference.
const SLEW: SignedDuration = SignedDuration::from_secs(1);

/// The resources, and what is due when.
#[derive(Debug)]
pub(super) struct Timetable {
    entries: HashMap<i64, Entry>,
    /// Times with the resources that they are for. One that is no longer its resource's is passed over.
    heap: BinaryHeap<Reverse<(Timestamp, i64)>>,
    /// The cadences in use; resources share them.
    cadences: HashSet<Arc<Cadence>>,
    calendar: Calendar,
    /// The clock when it was last told.
    clock: Timestamp,
    /// Counts the readings of all resources; one that an entry was not seen in says that it is gone.
    reading: u64,
    /// The resources of which something else is planned than is shown.
    moved: BTreeSet<i64>,
}

#[derive(Debug)]
struct Entry {
    cadence: Arc<Cadence>,
    /// Its share of the jitter.
    offset: Duration,
    history: History,
    state: State,
    shown: Option<Timestamp>,
    reading: u64,
}

/// Where a resource is. One that is scheduled is in hand or due at a time: there is nothing else that it could be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// A worker has it, until it is given back.
    InHand,
    Due(Timestamp),
    /// It is polled on request only, or not at all for the time being.
    NotScheduled,
}

impl State {
    fn due(self) -> Option<Timestamp> {
        match self {
            State::Due(due) => Some(due),
            State::InHand | State::NotScheduled => None,
        }
    }
}

impl Timetable {
    pub(super) fn new(now: Timestamp) -> Timetable {
        Timetable {
            entries: HashMap::new(),
            heap: BinaryHeap::new(),
            cadences: HashSet::new(),
            calendar: Calendar::new(),
            clock: now,
            reading: 0,
            moved: BTreeSet::new(),
        }
    }

    /// Takes in all resources, as `read` hands them out, under `rules`; those that are not among them are gone.
    ///
    /// # Errors
    /// Those of `read`; the resources that it did not come to stay as they were.
    pub(super) fn take_in<E>(
        &mut self,
        rules: &Polling,
        now: Timestamp,
        read: impl FnOnce(&mut dyn FnMut(Planned)) -> Result<(), E>,
    ) -> Result<(), E> {
        self.reading += 1;
        read(&mut |row| self.put(&row, rules, now))?;
        let reading = self.reading;
        self.entries
            .retain(|_, entry| entry.reading == reading || entry.state == State::InHand);
        self.cadences.retain(|cadence| Arc::strong_count(cadence) > 1);
        let zone = |cadence: &Arc<Cadence>| match &**cadence {
            Cadence::Cron { timezone, .. } => Some(timezone.clone()),
            _ => None,
        };
        let used: HashSet<String> = self.cadences.iter().filter_map(zone).collect();
        self.calendar.keep_zones(|name| used.contains(name));
        self.rebuild_heap();
        Ok(())
    }

    /// Takes in one resource under `rules`. A time that was found for the same cadence and the same history stays.
    pub(super) fn put(&mut self, row: &Planned, rules: &Polling, now: Timestamp) {
        let plan = rules.plan(&row.subject);
        let cadence = self.shared(plan.cadence);
        let offset = spread(&row.id.to_string(), rules.jitter);
        let history = history(row);
        let waits = !row.signed_in || row.held || row.paused;
        let scheduled = row.polled && !waits && plan.disabled_by.is_none();
        self.calendar.keep_few();
        self.calendar.learn(&cadence);
        let after = self.calendar.trigger(&cadence, offset);
        let state = match self.entries.get(&row.id) {
            Some(entry) if entry.state == State::InHand => State::InHand,
            _ if !scheduled => State::NotScheduled,
            Some(entry)
                if entry.history == history
                    && (entry.state != State::NotScheduled || *entry.cadence == Cadence::Never) =>
            {
                match entry.cadence == cadence && entry.offset == offset {
                    true => entry.state,
                    false => {
                        self.calendar.learn(&entry.cadence);
                        let before = self.calendar.trigger(&entry.cadence, entry.offset);
                        let after = self.calendar.trigger(&cadence, offset);
                        due(after.due_after_edit(&before, &history, now))
                    }
                }
            }
            _ => due(after.next_due(&history, now)),
        };
        let entry = self.entries.entry(row.id).or_insert_with(|| Entry {
            cadence: Arc::clone(&cadence),
            offset,
            history,
            state: State::NotScheduled,
            shown: None,
            reading: 0,
        });
        (entry.cadence, entry.offset, entry.history) = (cadence, offset, history);
        (entry.shown, entry.reading) = (row.next_poll_at, self.reading);
        self.set_state(row.id, state);
    }

    /// Forgets a resource.
    pub(super) fn forget(&mut self, id: i64) {
        self.entries.remove(&id);
        self.moved.remove(&id);
    }

    /// Tells what the clock shows. When it was set back, what is due is found anew, so that nothing waits for a time that
    /// was only due by the clock as it went before.
    pub(super) fn tell_time(&mut self, now: Timestamp) {
        if self.clock.duration_since(now) > SLEW {
            log::warn!("the clock was set back from={:.3} to={now:.3}", self.clock);
            self.find_anew(|calendar, entry| {
                let trigger = calendar.trigger(&entry.cadence, entry.offset);
                trigger.next_due(&entry.history, now)
            });
        }
        self.clock = now;
    }

    /// Looks whether zones have changed, and finds anew what is due by their clocks.
    pub(super) fn refresh_zones(&mut self, now: Timestamp) {
        let changed: Changed = self.calendar.refresh();
        if changed.is_empty() {
            return;
        }
        self.find_anew(|calendar, entry| match &*entry.cadence {
            Cadence::Cron { timezone, .. } if changed.contains_key(timezone) => {
                let before = calendar.trigger_before(&entry.cadence, entry.offset, &changed);
                let after = calendar.trigger(&entry.cadence, entry.offset);
                after.due_after_edit(&before, &entry.history, now)
            }
            _ => entry.state.due(),
        });
    }

    /// When the first resource is due, or has been.
    pub(super) fn first_due(&mut self) -> Option<Timestamp> {
        self.first().map(|(due, _)| due)
    }

    /// The resource that has been due at `now` for the longest.
    pub(super) fn first_due_by(&mut self, now: Timestamp) -> Option<i64> {
        self.first().filter(|(due, _)| *due <= now).map(|(_, id)| id)
    }

    /// Hands out a resource, so that it is due no more until it is given back. Returns false when it is not due at `now`.
    pub(super) fn hand_out(&mut self, id: i64, now: Timestamp) -> bool {
        let state = self.entries.get(&id).map(|entry| entry.state);
        let is_due = matches!(state, Some(State::Due(due)) if due <= now);
        if is_due {
            self.hold(id);
        }
        is_due
    }

    /// Hands out a resource whether it is due or not.
    pub(super) fn hold(&mut self, id: i64) {
        self.set_state(id, State::InHand);
    }

    /// Whether a worker has the resource.
    pub(super) fn is_in_hand(&self, id: i64) -> bool {
        self.entries
            .get(&id)
            .is_some_and(|entry| entry.state == State::InHand)
    }

    /// Takes back a resource that was handed out, with what the database says of it now.
    pub(super) fn give_back(&mut self, row: &Planned, rules: &Polling, now: Timestamp) {
        // When it is due next is found as if it had not been scheduled until now.
        self.set_state(row.id, State::NotScheduled);
        self.put(row, rules, now);
    }

    /// Takes back a resource of which nothing can be read now. It is due soon, and who hands it out then reads it first.
    pub(super) fn give_back_unread(&mut self, id: i64, now: Timestamp) {
        self.set_state(id, State::Due(now.saturating_add(AGAIN).unwrap_or(now)));
    }

    /// What is planned now and shown otherwise.
    pub(super) fn moved(&self) -> Vec<(i64, Option<Timestamp>)> {
        let due = |id: &i64| self.entries.get(id).and_then(|entry| entry.state.due());
        self.moved.iter().map(|id| (*id, due(id))).collect()
    }

    /// Tells that `shown` is shown.
    pub(super) fn tell_shown(&mut self, shown: &[(i64, Option<Timestamp>)]) {
        for (id, due) in shown {
            self.moved.remove(id);
            if let Some(entry) = self.entries.get_mut(id) {
                entry.shown = *due;
            }
        }
    }

    fn shared(&mut self, cadence: Cadence) -> Arc<Cadence> {
        if let Some(known) = self.cadences.get(&cadence) {
            return Arc::clone(known);
        }
        let cadence = Arc::new(cadence);
        self.cadences.insert(Arc::clone(&cadence));
        cadence
    }

    /// The one place where a state changes: what is due is in the heap.
    fn set_state(&mut self, id: i64, state: State) {
        let Some(entry) = self.entries.get_mut(&id) else {
            return;
        };
        if let State::Due(due) = state
            && entry.state != state
        {
            self.heap.push(Reverse((due, id)));
        }
        entry.state = state;
        // What is shown is of whole milliseconds.
        let millis = |time: Option<Timestamp>| time.map(Timestamp::as_millisecond);
        match millis(state.due()) == millis(entry.shown) || state == State::InHand {
            true => self.moved.remove(&id),
            false => self.moved.insert(id),
        };
    }

    /// Sets what is due of each resource that is due at some time to what `find` finds.
    fn find_anew(&mut self, find: impl Fn(&Calendar, &Entry) -> Option<Timestamp>) {
        let mut found = Vec::new();
        for (id, entry) in &self.entries {
            if entry.state.due().is_some() {
                self.calendar.keep_few();
                self.calendar.learn(&entry.cadence);
                found.push((*id, due(find(&self.calendar, entry))));
            }
        }
        found
            .into_iter()
            .for_each(|(id, state)| self.set_state(id, state));
    }

    fn first(&mut self) -> Option<(Timestamp, i64)> {
        while let Some(Reverse((due, id))) = self.heap.peek().copied() {
            if self
                .entries
                .get(&id)
                .is_some_and(|entry| entry.state == State::Due(due))
            {
                return Some((due, id));
            }
            self.heap.pop();
        }
        None
    }

    fn rebuild_heap(&mut self) {
        let due = self
            .entries
            .iter()
            .filter_map(|(id, entry)| Some(Reverse((entry.state.due()?, *id))));
        self.heap = due.collect();
    }
}

/// A cadence without another run is that of no schedule.
fn due(due: Option<Timestamp>) -> State {
    due.map_or(State::NotScheduled, State::Due)
}

fn history(row: &Planned) -> History {
    let again = row.last_poll_at.filter(|_| row.unfinished);
    let again = again.and_then(|last| last.checked_add(AGAIN).ok());
    History {
        last_start: row.last_poll_at,
        unfinished: row.unfinished,
        not_before: row.throttled_until.max(again),
    }
}

#[cfg(test)]
mod tests;
