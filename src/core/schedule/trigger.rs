//! When a poll is due, after what has happened: the timer's decision. It does not wait, and it does not remember; who
//! asks keeps the answer until something happens.

use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use ring::digest::{SHA256, digest};

use super::Schedule;

/// How far ahead of now a start or a postponement can lie that was written before the clock was set back. What lies
/// further ahead was written by a clock that was wrong, and to wait for it could mean for ever. A day, and an hour for
/// clocks that were a day ahead in local time.
const CREDIBLE: SignedDuration = SignedDuration::from_hours(25);

/// What makes a resource be polled.
#[derive(Clone, Copy, Debug)]
pub enum Trigger<'a> {
    /// A schedule on the clock of a zone, each run later by `offset`, the resource's share of the jitter.
    Cron {
        schedule: &'a Schedule,
        zone: &'a TimeZone,
        offset: Duration,
    },
    /// So long after the last poll's start.
    Every(Duration),
    /// A request only.
    Never,
}

/// What has happened to a resource so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// When its last poll began; `None` before the first.
    pub last_start: Option<Timestamp>,
    /// The last poll did not come to its end (the agent stopped, or the provider asked to come back) and is to be made
    /// again.
    pub unfinished: bool,
    /// The provider's `Retry-After`, or a back-off: no poll before this.
    pub not_before: Option<Timestamp>,
}

impl Trigger<'_> {
    /// When the next poll is due; at `now` or before, it is due at once. `None`: not until something happens.
    ///
    /// The first poll is due at once. Of runs that were missed, however many, one is made up for: the answer is the first
    /// of them, and the poll that then begins moves `last_start` past them all. A clock that was set back repeats nothing, and
    /// is not waited for: while the last start is still ahead, the wait after it lasts as long as was meant, and then to the
    /// next run. (A start more than 25 hours ahead was written by a clock that was wrong; runs count from now.)
    ///
    /// Keep the answer until the poll begins, the settings change or the clock steps: while the last start is ahead of
    /// `now`, that of an interval moves with `now`.
    pub fn next_due(&self, history: &History, now: Timestamp) -> Option<Timestamp> {
        let due = match (self, history.last_start) {
            (Trigger::Never, _) => return None,
            (_, Some(last)) if !history.unfinished => self.following(last, now)?,
            _ => now,
        };
        let latest = later(now, CREDIBLE);
        let floor = history.not_before.map_or(due, |floor| floor.min(latest));
        Some(due.max(floor))
    }

    /// When the next poll is due once this has taken the place of `before`, which was another. A poll that was due already
    /// is not lost; runs that only the new schedule would have had are not made up for.
    pub fn due_after_edit(
        &self,
        before: &Trigger<'_>,
        history: &History,
        now: Timestamp,
    ) -> Option<Timestamp> {
        // Runs are compared without their shares of the jitter, which may have changed as well.
        let unpostponed = History {
            not_before: None,
            ..*history
        };
        let run_by = later(now, before.offset());
        let owed = before
            .next_due(&unpostponed, now)
            .is_some_and(|due| due <= run_by);
        let last_start = match self {
            Trigger::Cron { .. } => history.last_start.map(|last| last.max(later(now, self.offset()))),
            _ => history.last_start,
        };
        let history = History {
            last_start,
            unfinished: history.unfinished || owed,
            ..*history
        };
        self.next_due(&history, now)
    }

    /// The second run after `last`, which two intervals have gone by at. `None`: there is none.
    pub fn second_after(&self, last: Timestamp) -> Option<Timestamp> {
        let first = self.following(last, last)?;
        self.following(first, first)
    }

    fn offset(&self) -> SignedDuration {
        match self {
            Trigger::Cron { offset, .. } => signed(*offset),
            _ => SignedDuration::ZERO,
        }
    }

    /// The first run after the poll that began at `last`.
    fn following(&self, last: Timestamp, now: Timestamp) -> Option<Timestamp> {
        match self {
            Trigger::Never => None,
            Trigger::Every(interval) => Some(later(last.min(now), signed(*interval))),
            Trigger::Cron { schedule, zone, .. } => {
                let last = if last > later(now, CREDIBLE) { now } else { last };
                // The runs themselves lie earlier by the offset.
                let last = later(last, -self.offset());
                let mut fire = schedule.next_after(zone, last)?;
                if last > now {
                    let meant = later(now, fire.at.duration_since(last));
                    fire = schedule.next_after(zone, later(meant, SignedDuration::from_millis(-1)))?;
                }
                Some(later(fire.at, self.offset()))
            }
        }
    }
}

/// A resource's share of `jitter`, in whole milliseconds from 0 up to, not including, `jitter`: always the same for the
/// same `identity`, and spread evenly over different ones.
pub fn spread(identity: &str, jitter: Duration) -> Duration {
    let hash = digest(&SHA256, identity.as_bytes());
    let share = hash.as_ref()[..8]
        .iter()
        .fold(0u128, |bits, byte| bits << 8 | u128::from(*byte));
    let millis = jitter.as_millis().min(u128::from(u32::MAX));
    Duration::from_millis(((share * millis) >> 64) as u64)
}

fn later(time: Timestamp, by: SignedDuration) -> Timestamp {
    let end = if by.is_negative() {
        Timestamp::MIN
    } else {
        Timestamp::MAX
    };
    time.checked_add(by).unwrap_or(end)
}

fn signed(duration: Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)
}
