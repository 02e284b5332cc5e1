//! How long a wait lasts whose clock is set while it runs, back or ahead. Pure.

use jiff::{SignedDuration, Timestamp};

/// Two readings of a clock that is right differ by less.
pub const SLACK: SignedDuration = SignedDuration::from_secs(1);

/// When a wait from `since` to `until` ends that begins at `now` instead: it lasts as long as was meant. `None` where `since`
/// has been, and the wait stays as it is.
pub fn resumed(since: Timestamp, until: Timestamp, now: Timestamp) -> Option<Timestamp> {
    let meant = until.duration_since(since).max(SignedDuration::ZERO);
    is_ahead(since, now).then(|| now.saturating_add(meant).unwrap_or(Timestamp::MAX))
}

/// When a wait from `since` to `until` ends that is running when the clock is set ahead from `from` to `now`: what is left of
/// it begins at `now`. `None` where it had not begun or was over.
pub fn put_off(since: Timestamp, until: Timestamp, from: Timestamp, now: Timestamp) -> Option<Timestamp> {
    let left = until.duration_since(from);
    (since <= from && left > SignedDuration::ZERO).then(|| now.saturating_add(left).unwrap_or(Timestamp::MAX))
}

/// Whether `time`, at which something has happened, is still to come.
pub fn is_ahead(time: Timestamp, now: Timestamp) -> bool {
    time.duration_since(now) > SLACK
}

/// What passes unseen of the time that something is kept for: nobody knows whether it is downtime, or a clock that is wrong.
/// Longer than between two looks.
pub fn believed(keep: SignedDuration) -> SignedDuration {
    (keep / 7).max(SignedDuration::from_mins(1))
}

/// Since when that is kept which is kept for `keep`. `jumps`, from and to, oldest first, are when more passed than is
/// `believed`, and as much as that counts of each.
pub fn kept_since(now: Timestamp, keep: SignedDuration, jumps: &[(Timestamp, Timestamp)]) -> Timestamp {
    let (mut end, mut left) = (now, keep);
    for (from, to) in jumps.iter().rev() {
        let since = end.duration_since(*to);
        if since >= left {
            break;
        }
        end = *from;
        left = (left - since - believed(keep)).max(SignedDuration::ZERO);
    }
    end.saturating_sub(left).unwrap_or(Timestamp::MIN)
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

    #[test]
    fn a_wait_that_the_clock_leaps_over_lasts_for_what_was_left_of_it() {
        let at = |seconds: i64| Timestamp::from_second(1_800_000_000 + seconds).unwrap();
        let put_off = |since, until| put_off(at(since), at(until), at(0), at(1_000));
        assert_eq!(put_off(-1, 4), Some(at(1_004)));
        assert_eq!(put_off(0, 86_400), Some(at(87_400)));
        // It was over, or has begun since; so has one that was put off already.
        assert_eq!(put_off(-9, 0), None);
        assert_eq!(put_off(1_000, 1_004), None);
    }

    #[test]
    fn what_was_delivered_before_a_jump_is_not_older_by_it() {
        let at = |day: i64| Timestamp::from_second(1_800_000_000 + day * 86_400).unwrap();
        let (week, years) = (SignedDuration::from_hours(168), 3_653);
        let check = |now: i64, jumps: &[(i64, i64)], expect: i64| {
            let jumps: Vec<_> = jumps.iter().map(|(from, to)| (at(*from), at(*to))).collect();
            assert_eq!(kept_since(at(now), week, &jumps), at(expect), "{now} {jumps:?}");
        };
        check(0, &[], -7);
        // A day of it is believed. Later than a week after it, it plays no part.
        check(years, &[(0, years)], -6);
        check(years + 3, &[(0, years)], -3);
        check(years + 6, &[(0, years)], 0);
        check(years + 7, &[(0, years)], years);
        check(years + 9, &[(0, years)], years + 2);
        // Two weekends at which the box was off.
        check(17, &[(5, 8), (12, 15)], 8);
        check(16, &[(5, 8), (12, 15)], 5);
    }
}
