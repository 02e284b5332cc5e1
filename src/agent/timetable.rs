//! When each resource is polled next: a heap of times, kept up with what happens. It has no thread, no clock and no
//! database; who has these asks it, and tells it.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::calendar::{Calendar, Changed};
use crate::core::plan::{Cadence, Rules};
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
    /// It is polled by its cadence at all.
    scheduled: bool,
    /// A worker has it.
    in_hand: bool,
    /// `due` belongs to what stands above.
    settled: bool,
    due: Option<Timestamp>,
    shown: Option<Timestamp>,
    reading: u64,
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
        rules: &Rules,
        now: Timestamp,
        read: impl FnOnce(&mut dyn FnMut(Planned)) -> Result<(), E>,
    ) -> Result<(), E> {
        self.reading += 1;
        read(&mut |row| self.put(&row, rules, now))?;
        let reading = self.reading;
        self.entries
            .retain(|_, entry| entry.reading == reading || entry.in_hand);
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
    pub(super) fn put(&mut self, row: &Planned, rules: &Rules, now: Timestamp) {
        let plan = rules.plan(&row.subject);
        let cadence = self.shared(plan.cadence);
        self.calendar.keep_few();
        self.calendar.learn(&cadence);
        let offset = spread(&row.id.to_string(), rules.jitter);
        let history = history(row);
        let waits = !row.signed_in || row.held || row.paused;
        let scheduled = row.polled && !waits && plan.disabled_by.is_none();
        let entry = self.entries.entry(row.id).or_insert_with(|| Entry {
            cadence: Arc::clone(&cadence),
            offset,
            history,
            scheduled,
            in_hand: false,
            settled: false,
            due: None,
            shown: None,
            reading: 0,
        });
        let (same_cadence, same_rest) = (
            entry.cadence == cadence && entry.offset == offset,
            entry.history == history && entry.scheduled == scheduled && entry.settled,
        );
        let due = match (same_cadence, same_rest) {
            _ if entry.in_hand || !scheduled => None,
            (true, true) => entry.due,
            (false, true) => {
                self.calendar.learn(&entry.cadence);
                let before = self.calendar.trigger(&entry.cadence, entry.offset);
                let after = self.calendar.trigger(&cadence, offset);
                after.due_after_edit(&before, &history, now)
            }
            (_, false) => self.calendar.trigger(&cadence, offset).next_due(&history, now),
        };
        entry.cadence = cadence;
        (entry.offset, entry.history, entry.scheduled) = (offset, history, scheduled);
        (entry.settled, entry.reading) = (true, self.reading);
        entry.shown = row.next_poll_at;
        self.set_due(row.id, due);
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
            _ => entry.due,
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

    /// Hands out a resource, so that it is due no more until it is put back. Returns false when it is not due at `now`.
    pub(super) fn hand_out(&mut self, id: i64, now: Timestamp) -> bool {
        let due = self.entries.get(&id).and_then(|entry| entry.due);
        let is_due = due.is_some_and(|due| due <= now);
        if is_due {
            self.hold(id);
        }
        is_due
    }

    /// Hands out a resource whether it is due or not.
    pub(super) fn hold(&mut self, id: i64) {
        if let Some(entry) = self.entries.get_mut(&id) {
            (entry.in_hand, entry.settled, entry.due) = (true, false, None);
            self.moved.remove(&id);
        }
    }

    /// Takes back a resource that was handed out; when it is due next is found when it is put in.
    pub(super) fn take_back(&mut self, id: i64) {
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.in_hand = false;
        }
    }

    /// What is planned now and shown otherwise.
    pub(super) fn moved(&self) -> Vec<(i64, Option<Timestamp>)> {
        let due = |id: &i64| self.entries.get(id).and_then(|entry| entry.due);
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

    fn set_due(&mut self, id: i64, due: Option<Timestamp>) {
        let Some(entry) = self.entries.get_mut(&id) else {
            return;
        };
        if let Some(due) = due.filter(|_| entry.due != due) {
            self.heap.push(Reverse((due, id)));
        }
        entry.due = due;
        // What is shown is of whole milliseconds.
        let millis = |time: Option<Timestamp>| time.map(Timestamp::as_millisecond);
        match millis(entry.due) == millis(entry.shown) || entry.in_hand {
            true => self.moved.remove(&id),
            false => self.moved.insert(id),
        };
    }

    /// Sets what is due of each resource that is scheduled and not in hand to what `find` finds.
    fn find_anew(&mut self, find: impl Fn(&Calendar, &Entry) -> Option<Timestamp>) {
        let mut found = Vec::new();
        for (id, entry) in &self.entries {
            if entry.scheduled && !entry.in_hand {
                self.calendar.keep_few();
                self.calendar.learn(&entry.cadence);
                found.push((*id, find(&self.calendar, entry)));
            }
        }
        found.into_iter().for_each(|(id, due)| self.set_due(id, due));
    }

    fn first(&mut self) -> Option<(Timestamp, i64)> {
        while let Some(Reverse((due, id))) = self.heap.peek().copied() {
            if self.entries.get(&id).is_some_and(|entry| entry.due == Some(due)) {
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
            .filter_map(|(id, entry)| Some(Reverse((entry.due?, *id))));
        self.heap = due.collect();
    }
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
