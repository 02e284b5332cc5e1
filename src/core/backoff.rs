//! How long a provider that turns requests away is left alone. Pure: it is handed what was said and the die.

use std::time::Duration;

/// The pause after the first answer that names no time; it doubles with each one after it.
const FIRST: Duration = Duration::from_secs(10);

/// The longest pause that we take by ourselves.
const LONGEST: Duration = Duration::from_secs(60 * 60);

/// The longest pause that the provider is believed to want.
const BELIEVED: Duration = Duration::from_secs(24 * 60 * 60);

/// The pause after an answer that asks for one, the `throttles`-th in a row after this many others, from 0.
///
/// What the provider asks for is kept to the second, up to a day. Where it names no time, or one that is over, the pause
/// is 10 s, doubled with each such answer in a row up to an hour, and `draw`, from 0 up to 1, takes up to half of it away,
/// so that those who were turned away together do not come back together.
pub fn pause(asked: Option<Duration>, throttles: u32, draw: f64) -> Duration {
    match asked {
        Some(asked) if !asked.is_zero() => asked.min(BELIEVED),
        _ => {
            let doubled = 1u32.checked_shl(throttles).and_then(|n| FIRST.checked_mul(n));
            let whole = doubled.map_or(LONGEST, |wait| wait.min(LONGEST));
            whole - (whole / 2).mul_f64(draw.clamp(0.0, 1.0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(asked: Option<u64>, throttles: u32, draw: f64, expect: u64) {
        let asked = asked.map(Duration::from_secs);
        assert_eq!(pause(asked, throttles, draw), Duration::from_secs(expect));
    }

    #[test]
    fn what_the_provider_asks_for_is_kept_up_to_a_day() {
        check(Some(7), 0, 0.9, 7);
        check(Some(7), 9, 0.0, 7);
        check(Some(u64::MAX), 0, 0.5, 86_400);
    }

    #[test]
    fn without_a_time_the_pause_doubles_up_to_an_hour_and_is_drawn_from_its_upper_half() {
        for (throttles, longest) in [(0, 10), (1, 20), (5, 320), (8, 2_560), (9, 3_600), (40, 3_600)] {
            check(None, throttles, 0.0, longest);
            check(None, throttles, 1.0, longest / 2);
            check(Some(0), throttles, 0.0, longest);
        }
    }
}
