//! From times on the clock's face to instants: what a zone's changes of offset do to a schedule. Seconds since 1970 here
//! are of two kinds, an *instant* and a *face* (what the clock of a zone shows, read as if it were UTC); face = instant +
//! offset.

use std::fmt;

use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};
use jiff::{SignedDuration, Timestamp};

use super::civil::Faces;

/// A fixed time in a longer gap is not made up for: such a gap is a day that a country left out, not daylight saving.
const LONGEST_GAP: i64 = 3 * 60 * 60;

/// One run of a schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fire {
    /// When it runs.
    pub at: Timestamp,
    /// What the zone's clock shows then.
    pub civil: DateTime,
    /// How far the zone's clock is ahead of UTC then.
    pub offset: Offset,
    /// What a change of the clocks has to do with it.
    pub shift: Option<Shift>,
}

/// What a change of the clocks has to do with a run. `Display` says it in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shift {
    /// The clocks skip the time `asked` for: it runs at the first instant after the gap.
    Skipped { asked: DateTime },
    /// The clocks show this time twice, and this is the first.
    First,
    /// The clocks show this time twice, and this is the second.
    Second,
    /// The clocks have gone forward, or back when it is negative, since the instant that the run was asked for after.
    Moved { by: SignedDuration },
}

impl fmt::Display for Shift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Shift::Skipped { asked } => {
                write!(f, "instead of {}, which the clocks skip", asked.strftime("%F %T"))
            }
            Shift::First => f.write_str("the first of two, as the clocks go back"),
            Shift::Second => f.write_str("the second of two, as the clocks go back"),
            Shift::Moved { by } if by.is_negative() => {
                write!(f, "the clocks have gone back by {:#}", by.abs())
            }
            Shift::Moved { by } => write!(f, "the clocks have gone forward by {by:#}"),
        }
    }
}

/// The first instant strictly after `now` at which the clock of `zone` shows a face that fits.
pub(super) fn next_wildcard(faces: &Faces, zone: &TimeZone, now: Timestamp) -> Option<Fire> {
    let mut from = whole_second(now) + 1;
    loop {
        // Until the next change the offset is one, and faces go as instants do.
        let offset = offset_at(zone, from);
        let at = faces.next(from + offset - 1)? - offset;
        match next_change(zone, from) {
            Some(change) if change <= at => from = change,
            _ => return fire(zone, now, at, None),
        }
    }
}

/// The first instant strictly after `now` at which the clock of `zone` for the first time shows a face that fits, or
/// passes it by in a short gap.
pub(super) fn next_fixed(faces: &Faces, zone: &TimeZone, now: Timestamp) -> Option<Fire> {
    let now_second = whole_second(now);
    let mut after = now_second + offset_at(zone, now_second);
    loop {
        let face = faces.next(after)?;
        after = face;
        let asked = Offset::UTC.to_datetime(instant(face));
        let (at, shift) = match zone.to_ambiguous_timestamp(asked).offset() {
            AmbiguousOffset::Unambiguous { offset } | AmbiguousOffset::Fold { before: offset, .. } => {
                (face - seconds(offset), None)
            }
            AmbiguousOffset::Gap { before, after } => {
                if seconds(after) - seconds(before) > LONGEST_GAP {
                    continue;
                }
                let end = next_change(zone, face - seconds(after));
                let end = end.expect("a gap lies at a change of the offset");
                (end, Some(Shift::Skipped { asked }))
            }
        };
        // What the second pass through a fold shows has had its turn in the first.
        if at > now_second {
            return fire(zone, now, at, shift);
        }
    }
}

/// The run at the instant `at`. Without a `shift`, says what the face at that instant tells of one.
fn fire(zone: &TimeZone, now: Timestamp, at: i64, shift: Option<Shift>) -> Option<Fire> {
    let at = Timestamp::from_second(at).ok()?;
    let offset = zone.to_offset(at);
    let civil = offset.to_datetime(at);
    let by = seconds(offset) - seconds(zone.to_offset(now));
    let moved = || match zone.to_ambiguous_timestamp(civil).offset() {
        AmbiguousOffset::Fold { before, .. } if before == offset => Some(Shift::First),
        AmbiguousOffset::Fold { .. } => Some(Shift::Second),
        _ if by != 0 => Some(Shift::Moved {
            by: SignedDuration::from_secs(by),
        }),
        _ => None,
    };
    Some(Fire {
        at,
        civil,
        offset,
        shift: shift.or_else(moved),
    })
}

/// The last whole second that `now` has reached. It is kept from going much below 1970, where there are no runs, and
/// where the years of `cron` end.
fn whole_second(now: Timestamp) -> i64 {
    let second = now.as_nanosecond().div_euclid(1_000_000_000);
    i64::try_from(second).unwrap_or(i64::MAX).max(-2 * 24 * 60 * 60)
}

fn seconds(offset: Offset) -> i64 {
    i64::from(offset.seconds())
}

fn offset_at(zone: &TimeZone, second: i64) -> i64 {
    seconds(zone.to_offset(instant(second)))
}

/// The first instant after `second` at which the offset of `zone` changes. Not every transition of a zone changes it.
fn next_change(zone: &TimeZone, second: i64) -> Option<i64> {
    let from = instant(second);
    let offset = zone.to_offset(from);
    let change = zone
        .following(from)
        .find(|transition| transition.offset() != offset)?;
    Some(change.timestamp().as_second())
}

fn instant(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap_or(Timestamp::MAX)
}
