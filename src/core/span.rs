//! A span of time cut into equal pieces, for counts over time: its checks, its pieces, and which of them an instant
//! lies in. All of it in UTC; a week begins on Monday.

use jiff::{SignedDuration, Timestamp};

use super::model::{spelled, time_from_text, time_text};

/// Reads a time: RFC 3339 with its offset, or a date, which is its midnight in UTC.
pub fn instant(text: &str) -> Option<Timestamp> {
    match text.len() {
        10 => time_from_text(&format!("{text}T00:00:00Z")),
        _ => time_from_text(text),
    }
}

spelled! {
    /// How long a piece is.
    Interval { Minute = "minute", Hour = "hour", Day = "day", Week = "week" }
}

/// Pieces of one span, at most: a day of minutes, two months of hours.
pub const MOST_PIECES: usize = 1_500;

const DAY: i64 = 86_400;

/// The first Monday is three days before the epoch, a Thursday.
const MONDAY: i64 = -3 * DAY;

impl Interval {
    /// Its length in seconds.
    fn seconds(self) -> i64 {
        match self {
            Interval::Minute => 60,
            Interval::Hour => 3_600,
            Interval::Day => DAY,
            Interval::Week => 7 * DAY,
        }
    }

    /// How far back a span begins that does not say: an hour of minutes, a day of hours, thirty days, twelve weeks.
    fn usual(self) -> i64 {
        match self {
            Interval::Minute => 3_600,
            Interval::Hour => DAY,
            Interval::Day => 30 * DAY,
            Interval::Week => 12 * 7 * DAY,
        }
    }

    /// The second since the epoch at which the piece begins that `time` lies in.
    fn floor(self, time: Timestamp) -> i64 {
        let origin = if self == Interval::Week { MONDAY } else { 0 };
        let seconds = time.as_millisecond().div_euclid(1_000) - origin;
        origin + seconds - seconds.rem_euclid(self.seconds())
    }
}

/// From `from` on, and before `to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub from: Timestamp,
    pub to: Timestamp,
    interval: Interval,
}

/// Why there is no such span.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpanError {
    #[error("`from` is {}, which is not before `to`, {}", time_text(*from), time_text(*to))]
    Reversed { from: Timestamp, to: Timestamp },
    #[error(
        "{pieces} times {interval} are in that span, more than {MOST_PIECES}; take a longer interval or a shorter span"
    )]
    TooLong { pieces: i64, interval: Interval },
}

impl Span {
    /// From `from` to `to`, or the usual span that ends at `now`.
    ///
    /// # Errors
    /// When it ends before it begins, or has more than `MOST_PIECES` pieces.
    pub fn new(
        from: Option<Timestamp>,
        to: Option<Timestamp>,
        interval: Interval,
        now: Timestamp,
    ) -> Result<Span, SpanError> {
        let to = to.unwrap_or(now);
        let usual = SignedDuration::from_secs(interval.usual());
        let from = from.unwrap_or_else(|| to.saturating_sub(usual).unwrap_or(Timestamp::MIN));
        if from >= to {
            return Err(SpanError::Reversed { from, to });
        }
        let span = Span { from, to, interval };
        let pieces = span.count();
        if pieces > MOST_PIECES as i64 {
            return Err(SpanError::TooLong { pieces, interval });
        }
        Ok(span)
    }

    /// The beginning of each piece, in their order: the first may lie before the span, and the last is the one that `to`
    /// lies in.
    pub fn pieces(&self) -> impl Iterator<Item = Timestamp> + use<> {
        let (first, step) = (self.interval.floor(self.from), self.interval.seconds());
        (0..self.count()).map(move |n| Timestamp::from_second(first + n * step).unwrap_or(Timestamp::MIN))
    }

    /// Which piece `time` lies in; `None` when it is outside of the span.
    pub fn piece_of(&self, time: Timestamp) -> Option<usize> {
        let inside = self.from <= time && time < self.to;
        let seconds = self.interval.floor(time) - self.interval.floor(self.from);
        usize::try_from(seconds / self.interval.seconds())
            .ok()
            .filter(|_| inside)
    }

    fn count(&self) -> i64 {
        (self.interval.floor(self.to) - self.interval.floor(self.from)) / self.interval.seconds() + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        time_from_text(text).unwrap()
    }

    fn span(from: &str, to: &str, interval: Interval) -> Result<Span, SpanError> {
        let given = |text: &str| (!text.is_empty()).then(|| at(text));
        Span::new(given(from), given(to), interval, at("2026-03-01T12:00:30Z"))
    }

    #[track_caller]
    fn check(from: &str, to: &str, interval: Interval, count: usize, first: &str, last: &str) {
        let pieces: Vec<Timestamp> = span(from, to, interval).unwrap().pieces().collect();
        assert_eq!(pieces.len(), count);
        assert_eq!((pieces[0], pieces[count - 1]), (at(first), at(last)));
    }

    #[test]
    fn a_span_has_every_piece_from_its_beginning_to_its_end() {
        use Interval::{Day, Hour, Minute, Week};
        check("", "", Minute, 61, "2026-03-01T11:00:00Z", "2026-03-01T12:00:00Z");
        check("", "", Hour, 25, "2026-02-28T12:00:00Z", "2026-03-01T12:00:00Z");
        check("", "", Day, 31, "2026-01-30T00:00:00Z", "2026-03-01T00:00:00Z");
        check("", "", Week, 13, "2025-12-01T00:00:00Z", "2026-02-23T00:00:00Z");
        let (monday, sunday) = ("2026-03-02T00:00:00Z", "2026-03-08T23:59:59.999Z");
        check(monday, sunday, Week, 1, monday, monday);
        check(
            "1969-12-31T23:59:59.999Z",
            "1970-01-01T00:00:00Z",
            Minute,
            2,
            "1969-12-31T23:59:00Z",
            "1970-01-01T00:00:00Z",
        );
    }

    #[test]
    fn an_instant_lies_in_the_piece_that_begins_last_before_it() {
        let span = span("2026-03-01T00:30:00Z", "2026-03-01T02:30:00Z", Interval::Hour).unwrap();
        for (time, expect) in [
            ("2026-03-01T00:29:59.999Z", None),
            ("2026-03-01T00:30:00Z", Some(0)),
            ("2026-03-01T00:59:59.999Z", Some(0)),
            ("2026-03-01T01:00:00Z", Some(1)),
            ("2026-03-01T02:29:59.999Z", Some(2)),
            ("2026-03-01T02:30:00Z", None),
        ] {
            assert_eq!(span.piece_of(at(time)), expect, "{time}");
        }
    }

    #[test]
    fn a_span_that_is_reversed_or_too_long_is_refused() {
        let (early, late) = ("2026-01-01T00:00:00Z", "2026-03-01T00:00:00Z");
        let reversed = SpanError::Reversed {
            from: at(late),
            to: at(early),
        };
        assert_eq!(span(late, early, Interval::Day), Err(reversed));
        assert!(matches!(
            span(late, late, Interval::Day),
            Err(SpanError::Reversed { .. })
        ));
        let pieces = 59 * 1_440 + 1;
        let interval = Interval::Minute;
        assert_eq!(
            span(early, late, interval),
            Err(SpanError::TooLong { pieces, interval })
        );
        let all = Span::new(
            Some(Timestamp::MIN),
            Some(Timestamp::MAX),
            Interval::Week,
            at(late),
        );
        assert!(matches!(all, Err(SpanError::TooLong { .. })), "{all:?}");
    }
}
