//! Waits that a clock began which was ahead, and how long they last once it is right. Pure.

use jiff::{SignedDuration, Timestamp};

/// Two readings of a clock that is right differ by less.
pub const SLACK: SignedDuration = SignedDuration::from_secs(1);

/// When a wait from `since` to `until` ends that begins at `now` instead: it lasts as long as was meant. `None` where `since`
/// has been, and the wait stays as it is.
pub fn resumed(since: Timestamp, until: Timestamp, now: Timestamp) -> Option<Timestamp> {
    let meant = until.duration_since(since).max(SignedDuration::ZERO);
    is_ahead(since, now).then(|| now.saturating_add(meant).unwrap_or(Timestamp::MAX))
}

/// Whether `time`, at which something has happened, is still to come.
pub fn is_ahead(time: Timestamp, now: Timestamp) -> bool {
    time.duration_since(now) > SLACK
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_that_began_in_the_future_lasts_as_long_as_was_meant_and_another_stays() {
        let at = |seconds: i64| Timestamp::from_second(1_800_000_000 + seconds).unwrap();
        let ten_years = 315_360_000;
        assert_eq!(resumed(at(ten_years), at(ten_years + 4), at(0)), Some(at(4)));
        assert_eq!(resumed(at(3_600), at(90_000), at(0)), Some(at(86_400)));
        // What was due at once is due at once.
        assert_eq!(resumed(at(60), at(60), at(0)), Some(at(0)));
        assert_eq!(resumed(at(60), at(-60), at(0)), Some(at(0)));
        for since in [-4, 0, 1] {
            assert_eq!(resumed(at(since), at(90_000), at(0)), None);
        }
        assert_eq!(
            resumed(at(60), Timestamp::MAX, at(0)).map(|until| until > at(60)),
            Some(true)
        );
    }
}
