//! Whether all that is scheduled is polled, whatever plans it: found in the database's rows and the settings alone, so that it
//! is noticed, too, when the timetable has lost a resource or its poll hangs.

use std::collections::HashMap;

use jiff::Timestamp;

use super::calendar::Calendar;
use crate::core::alert::OverdueResource;
use crate::core::plan::{Cadence, Polling};
use crate::core::schedule::spread;
use crate::store::{Planned, Rows, Store, StoreError};

/// In how many looks in a row a resource must be late before that is sure: over a minute. What was missed while the machine
/// slept, or no agent ran, is polled within that time.
const LATE_LOOKS: u32 = 3;

/// The same for one whose poll is under way, or is to be made again: five minutes without a page, which is longer than a
/// request may take.
const STALLED_LOOKS: u32 = 10;

/// Looks at the rows again and again. Time is counted in looks, since a clock may be set.
#[derive(Debug)]
pub(super) struct Watchdog {
    calendar: Calendar,
    watched: HashMap<i64, Watched>,
}

/// What was seen of a resource that nothing keeps from being polled.
#[derive(Clone, Copy, Debug)]
struct Watched {
    /// Its last poll's start and its cursor's step: either moves while it is polled.
    seen: (Option<Timestamp>, i64),
    /// Since when that has been so.
    since: Timestamp,
    late_looks: u32,
}

impl Default for Watchdog {
    fn default() -> Watchdog {
        Watchdog {
            calendar: Calendar::new(),
            watched: HashMap::new(),
        }
    }
}

impl Watchdog {
    /// Finds the resources whose second run after their last poll is over.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub(super) fn look(
        &mut self,
        store: &Store,
        rules: &Polling,
        now: Timestamp,
    ) -> Result<Vec<OverdueResource>, StoreError> {
        self.calendar.refresh();
        let mut overdue = Vec::new();
        let mut watched = HashMap::new();
        store.planned(Rows::All, |row| {
            if let Some(one) = self.watch(&row, rules, now, &mut overdue) {
                watched.insert(row.id, one);
            }
        })?;
        self.watched = watched;
        Ok(overdue)
    }

    /// Looks at one resource; `None` when it has a reason to wait, or is not scheduled.
    fn watch(
        &mut self,
        row: &Planned,
        rules: &Polling,
        now: Timestamp,
        overdue: &mut Vec<OverdueResource>,
    ) -> Option<Watched> {
        let plan = rules.plan(&row.subject);
        let throttled = row.throttled_until.is_some_and(|until| until > now);
        let waits = !row.polled || !row.signed_in || row.held || row.paused || throttled;
        if waits || plan.disabled_by.is_some() || plan.cadence == Cadence::Never {
            return None;
        }
        let seen = (row.last_poll_at, row.cursor_seq);
        let before = self.watched.get(&row.id).filter(|before| before.seen == seen);
        let since = before.map_or(now, |before| before.since.min(now));
        // A start that lies ahead was written by a clock that was wrong.
        let last = row.last_poll_at.unwrap_or(row.started_at).min(since);
        self.calendar.keep_few();
        self.calendar.learn(&plan.cadence);
        let offset = spread(&row.id.to_string(), rules.jitter);
        let second = self.calendar.trigger(&plan.cadence, offset).second_after(last);
        let Some(due) = second.filter(|second| *second <= now) else {
            return Some(Watched {
                seen,
                since,
                late_looks: 0,
            });
        };
        let late_looks = before.map_or(0, |before| before.late_looks).saturating_add(1);
        overdue.push(OverdueResource {
            resource_id: row.id,
            instance: row.subject.instance.clone(),
            resource: row.subject.resource.clone(),
            last_poll_at: row.last_poll_at,
            since: due,
            is_sure: late_looks >= if row.unfinished { STALLED_LOOKS } else { LATE_LOOKS },
        });
        Some(Watched {
            seen,
            since,
            late_looks,
        })
    }
}

#[cfg(test)]
mod tests;
