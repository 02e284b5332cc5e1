//! From what came of an attempt to what happens next: delivered, or when to try again. It knows neither the outbox
//! nor the wire, and is handed the time, the waits and the die.

use std::time::Duration;

use jiff::Timestamp;

/// No `Retry-After` postpones a retry by more than this.
pub const RETRY_AFTER_CAP: Duration = Duration::from_secs(24 * 60 * 60);

/// What came of one attempt to deliver a notification.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// The status of the answer; `None` when there was no whole answer: no connection, TLS, timeout.
    pub status: Option<u16>,
    /// The answer's `Retry-After`, as a wait from now.
    pub retry_after: Option<Duration>,
}

/// What happens to a notification after an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The receiver has it.
    Delivered,
    /// It is tried again, not before `at`.
    Retry { at: Timestamp },
}

/// Judges the attempt that just ended with `outcome`, the `attempts_made`-th of its notification, itself included.
///
/// Every 2xx is delivered; everything else, redirects included, is tried again, without end: after the last of
/// `waits` that one is repeated, so that nothing is lost. A wait w is drawn evenly from w/2 up to w by `draw`, from 0
/// up to 1, so that notifications that failed together do not come back together. `Retry-After` is a floor under
/// it, up to [`RETRY_AFTER_CAP`], which also stands in when `waits` is empty.
pub fn decide(
    outcome: &Outcome,
    attempts_made: u32,
    waits: &[Duration],
    now: Timestamp,
    draw: f64,
) -> Verdict {
    if outcome.status.is_some_and(|status| (200..300).contains(&status)) {
        return Verdict::Delivered;
    }
    let wait = drawn(wait_after(attempts_made, waits), draw);
    let floor = outcome.retry_after.unwrap_or_default().min(RETRY_AFTER_CAP);
    let at = now.saturating_add(wait.max(floor)).unwrap_or(Timestamp::MAX);
    Verdict::Retry { at }
}

fn wait_after(attempts_made: u32, waits: &[Duration]) -> Duration {
    let index = attempts_made.saturating_sub(1) as usize;
    let wait = waits.get(index).or(waits.last());
    wait.copied().unwrap_or(RETRY_AFTER_CAP)
}

/// Between half of `wait` and all of it.
fn drawn(wait: Duration, draw: f64) -> Duration {
    let half = wait / 2;
    half + (wait - half).mul_f64(draw.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const WAITS: [Duration; 3] = [
        Duration::from_secs(4),
        Duration::from_secs(12),
        Duration::from_secs(48),
    ];

    fn now() -> Timestamp {
        "2026-03-01T09:30:00Z".parse().unwrap()
    }

    /// `status` and `retry_after` in seconds, the attempts made, the draw; the wait expected in milliseconds, `None`
    /// for delivered.
    type Row = (Option<u16>, Option<u64>, u32, f64, Option<u64>);

    #[track_caller]
    fn check((status, retry_after, attempts_made, draw, expect): Row) {
        let outcome = Outcome {
            status,
            retry_after: retry_after.map(Duration::from_secs),
        };
        let verdict = decide(&outcome, attempts_made, &WAITS, now(), draw);
        let expect = match expect {
            None => Verdict::Delivered,
            Some(millis) => Verdict::Retry {
                at: now() + Duration::from_millis(millis),
            },
        };
        assert_eq!(verdict, expect, "status {status:?}, attempt {attempts_made}");
    }

    #[test]
    fn every_2xx_is_delivered() {
        for status in [200, 202, 204, 299] {
            check((Some(status), None, 1, 0.5, None));
        }
        check((Some(200), Some(60), 7, 0.5, None));
    }

    #[test]
    fn everything_else_is_tried_again() {
        for status in [199, 300, 302, 400, 404, 410, 429, 500, 503] {
            check((Some(status), None, 1, 0.0, Some(2_000)));
        }
        check((None, None, 1, 0.0, Some(2_000)));
    }

    #[test]
    fn the_waits_follow_the_attempts_and_stay_at_the_last() {
        for (attempts_made, millis) in [
            (1, 2_000),
            (2, 6_000),
            (3, 24_000),
            (4, 24_000),
            (u32::MAX, 24_000),
        ] {
            check((Some(500), None, attempts_made, 0.0, Some(millis)));
        }
    }

    #[test]
    fn the_die_spreads_a_wait_over_its_second_half() {
        for (draw, millis) in [(0.0, 2_000), (0.5, 3_000), (0.75, 3_500)] {
            check((Some(500), None, 1, draw, Some(millis)));
        }
    }

    #[test]
    fn retry_after_is_a_floor_up_to_a_day() {
        for (retry_after, millis) in [
            (0, 3_000),
            (2, 3_000),
            (60, 60_000),
            (86_400, 86_400_000),
            (u64::MAX, 86_400_000),
        ] {
            check((Some(503), Some(retry_after), 1, 0.5, Some(millis)));
        }
    }

    #[test]
    fn without_waits_nothing_is_tried_again_at_once() {
        let verdict = decide(&Outcome::default(), 1, &[], now(), 0.0);
        assert_eq!(
            verdict,
            Verdict::Retry {
                at: now() + RETRY_AFTER_CAP / 2
            }
        );
    }

    #[test]
    fn the_end_of_time_is_not_passed() {
        let verdict = decide(&Outcome::default(), 1, &[SECOND], Timestamp::MAX, 0.0);
        assert_eq!(verdict, Verdict::Retry { at: Timestamp::MAX });
    }

    proptest! {
        #[test]
        fn a_retry_comes_neither_early_nor_late(
            status in proptest::option::of(prop_oneof![100u16..200, 300u16..600]),
            retry_after in proptest::option::of(any::<u64>()),
            attempts_made in any::<u32>(),
            waits in proptest::collection::vec(1u64..=30 * 86_400, 1..=32),
            draw in 0.0..1.0f64,
        ) {
            let waits: Vec<Duration> = waits.into_iter().map(Duration::from_secs).collect();
            let wait = waits[(attempts_made.max(1) as usize - 1).min(waits.len() - 1)];
            let outcome = Outcome { status, retry_after: retry_after.map(Duration::from_secs) };
            let Verdict::Retry { at } = decide(&outcome, attempts_made, &waits, now(), draw) else {
                panic!("delivered by {outcome:?}");
            };
            prop_assert!(at >= now() + wait / 2);
            prop_assert!(at <= now() + wait.max(RETRY_AFTER_CAP));
            prop_assert!(at >= now() + outcome.retry_after.unwrap_or_default().min(RETRY_AFTER_CAP));
        }
    }
}
