//! Whose polling pauses when the outbox is full, and whose goes on when there is room again (spec, section 4). It
//! knows sizes only; where they come from and who acts on the verdicts is elsewhere.

use std::time::Duration;

use super::model::spelled;

spelled! {
    /// The bound of `[outbox]` at which an instance's polling waits.
    PausedBy {
        /// Its own pending and dead events.
        MaxEvents = "max_events",
        /// The size of the database: its backlog was the largest.
        MaxBytes = "max_bytes",
    }
}

/// `[outbox]`: its bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutboxLimits {
    /// Pending and dead events of one instance, at which its polling pauses; 1 to 1,000,000,000.
    pub max_events: u64,
    /// Database and WAL in bytes, at which delivered rows go and then the largest backlog's polling pauses; 16 MiB and
    /// more.
    pub max_bytes: u64,
    /// How long a notification is kept from its delivery on, up to 3,650 d.
    pub keep_delivered: Duration,
}

/// What of one instance is not delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backlog {
    pub instance_id: i64,
    pub instance: String,
    pub events: u64,
    /// Of the bodies.
    pub bytes: u64,
    pub paused_by: Option<PausedBy>,
}

/// What becomes of one instance's polling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Pause(i64, PausedBy),
    Resume(i64),
}

impl OutboxLimits {
    /// Whether a database of `used_bytes` is at its bound.
    pub fn is_full(&self, used_bytes: u64) -> bool {
        used_bytes >= self.max_bytes
    }

    /// Whether it is below 90 % of it.
    pub fn is_roomy(&self, used_bytes: u64) -> bool {
        is_below_nine_tenths(used_bytes, self.max_bytes)
    }

    /// Whether what waits takes a part of the database that is worth waiting for. Where the known items alone fill
    /// it, no pause would ever end, and pausing would be no help.
    pub fn is_mostly_backlog(&self, backlogs: &[Backlog]) -> bool {
        backlog_bytes(backlogs) >= self.max_bytes / 10
    }
}

/// Judges every instance's backlog and the database's size, `used_bytes` without its free pages. `paused_at` is that
/// size when the last instance was paused for it: while it grows no further, nobody else is.
pub fn judge(
    backlogs: &[Backlog],
    used_bytes: u64,
    paused_at: Option<u64>,
    limits: &OutboxLimits,
) -> Vec<Verdict> {
    let relieved = limits.is_roomy(used_bytes) || backlog_bytes(backlogs) < limits.max_bytes / 20;
    let mut verdicts: Vec<Verdict> = backlogs
        .iter()
        .filter_map(|backlog| {
            let id = backlog.instance_id;
            let below = is_below_nine_tenths(backlog.events, limits.max_events);
            match backlog.paused_by {
                None if backlog.events >= limits.max_events => Some(Verdict::Pause(id, PausedBy::MaxEvents)),
                Some(PausedBy::MaxEvents) if below => Some(Verdict::Resume(id)),
                Some(PausedBy::MaxBytes) if below && (relieved || backlog.events == 0) => {
                    Some(Verdict::Resume(id))
                }
                _ => None,
            }
        })
        .collect();
    let grown = paused_at.is_none_or(|at| used_bytes >= at.saturating_add(limits.max_bytes / 64));
    if limits.is_full(used_bytes) && grown && limits.is_mostly_backlog(backlogs) {
        let largest = backlogs
            .iter()
            .filter(|backlog| backlog.paused_by.is_none() && backlog.events < limits.max_events)
            .max_by_key(|backlog| backlog.bytes)
            .filter(|largest| largest.bytes > 0);
        verdicts.extend(largest.map(|largest| Verdict::Pause(largest.instance_id, PausedBy::MaxBytes)));
    }
    verdicts
}

fn backlog_bytes(backlogs: &[Backlog]) -> u64 {
    backlogs.iter().map(|backlog| backlog.bytes).sum()
}

fn is_below_nine_tenths(value: u64, bound: u64) -> bool {
    u128::from(value) * 10 < u128::from(bound) * 9
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: OutboxLimits = OutboxLimits {
        max_events: 100,
        max_bytes: 6_400,
        keep_delivered: Duration::ZERO,
    };

    /// `backlogs` are events, bytes and the bound that pauses; their ids count from 1.
    #[track_caller]
    fn check(
        backlogs: &[(u64, u64, Option<PausedBy>)],
        used: u64,
        paused_at: Option<u64>,
        expect: &[Verdict],
    ) {
        let backlogs: Vec<Backlog> = (1..)
            .zip(backlogs)
            .map(|(instance_id, (events, bytes, paused_by))| Backlog {
                instance_id,
                instance: format!("{instance_id}"),
                events: *events,
                bytes: *bytes,
                paused_by: *paused_by,
            })
            .collect();
        assert_eq!(judge(&backlogs, used, paused_at, &LIMITS), expect);
    }

    const EVENTS: Option<PausedBy> = Some(PausedBy::MaxEvents);
    const BYTES: Option<PausedBy> = Some(PausedBy::MaxBytes);

    #[test]
    fn an_instance_at_its_bound_pauses_alone_and_resumes_below_nine_tenths() {
        check(&[(99, 1, None), (0, 0, None)], 0, None, &[]);
        check(
            &[(100, 1, None), (99, 1, None)],
            0,
            None,
            &[Verdict::Pause(1, PausedBy::MaxEvents)],
        );
        check(&[(100, 1, EVENTS), (90, 1, EVENTS)], 0, None, &[]);
        check(&[(89, 1, EVENTS)], 0, None, &[Verdict::Resume(1)]);
        check(&[(89, 1, EVENTS)], 6_400, None, &[Verdict::Resume(1)]);
    }

    #[test]
    fn a_full_database_pauses_the_largest_backlog_and_no_other_while_it_grows_no_further() {
        let largest = [Verdict::Pause(2, PausedBy::MaxBytes)];
        check(&[(9, 700, None), (3, 900, None)], 6_399, None, &[]);
        check(&[(9, 700, None), (3, 900, None)], 6_400, None, &largest);
        let next = [Verdict::Pause(1, PausedBy::MaxBytes)];
        check(&[(9, 700, None), (3, 900, BYTES)], 6_499, Some(6_400), &[]);
        check(&[(9, 700, None), (3, 900, BYTES)], 6_500, Some(6_400), &next);
        check(&[(9, 700, BYTES), (3, 900, BYTES)], 9_000, Some(6_400), &[]);
        // One that pauses for its events is no help for the bytes.
        check(
            &[(9, 700, None), (100, 900, None)],
            6_400,
            None,
            &[Verdict::Pause(2, PausedBy::MaxEvents), next[0]],
        );
    }

    #[test]
    fn polling_goes_on_when_the_database_is_below_nine_tenths_or_nothing_waits() {
        check(&[(9, 900, BYTES)], 5_760, None, &[]);
        check(&[(9, 900, BYTES)], 5_759, None, &[Verdict::Resume(1)]);
        check(
            &[(0, 0, BYTES), (9, 900, BYTES)],
            6_000,
            None,
            &[Verdict::Resume(1)],
        );
        check(&[(95, 900, BYTES)], 0, None, &[]);
    }

    #[test]
    fn nobody_pauses_for_a_database_that_known_items_fill() {
        check(&[(9, 639, None)], 9_000, None, &[]);
        check(&[(9, 320, BYTES)], 9_000, None, &[]);
        check(&[(9, 319, BYTES)], 9_000, None, &[Verdict::Resume(1)]);
    }

    #[test]
    fn the_largest_bounds_do_not_overflow() {
        let limits = OutboxLimits {
            max_events: u64::MAX,
            max_bytes: u64::MAX,
            ..LIMITS
        };
        assert!(limits.is_roomy(u64::MAX / 10 * 8));
        assert!(!limits.is_roomy(u64::MAX));
    }
}
