//! Dates of records, read by a `DateFormat`: as the JDK reads them where it reads them right. What it would misread, such as
//! a month 13, a two-digit year for `yyyy`, or text that is left over, is refused, so that a record in another format is told of
//! and not misdated.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};
use serde_json::Value;

use super::format::{DateFormat, Part};
use super::names::{ABBREVIATIONS, ERAS, HALVES, MONTHS, WEEKDAYS, named};
use super::zone_id::numeric_offset;

/// More digits than this are no number of a date. Milliseconds since the epoch have thirteen.
const MOST_DIGITS: usize = 18;

impl DateFormat {
    /// The instant that `value` means. A date that does not tell its zone is one of `zone`; `now` says which century a
    /// two-digit year is of (from 80 years before it to 20 after, as in the JDK). An hour that comes twice is the later one,
    /// and one that the clocks skip is that much after the gap.
    ///
    /// `None` where it is no date in this format.
    pub fn read(&self, value: &Value, zone: &TimeZone, now: Timestamp) -> Option<Timestamp> {
        let text = match value {
            Value::String(text) => text.trim().to_owned(),
            Value::Number(number) => number.to_string(),
            _ => return None,
        };
        match self {
            DateFormat::Milliseconds => epoch(&text, 1_000_000),
            DateFormat::Seconds => epoch(&text, 1_000_000_000),
            DateFormat::Pattern(parts) => read(parts, &text, zone, now),
        }
    }
}

/// A date without a format: RFC 3339, or the same without an offset in `zone`.
pub(super) fn iso(value: &Value, zone: &TimeZone) -> Option<Timestamp> {
    let text = value.as_str()?.trim();
    if let Ok(instant) = text.parse::<Timestamp>() {
        return Some(instant);
    }
    let civil = text.parse::<DateTime>().ok()?;
    zone.to_ambiguous_timestamp(civil).later().ok()
}

/// `text`, a number of units of `nanoseconds`, perhaps with a fraction, since the epoch.
fn epoch(text: &str, nanoseconds: i128) -> Option<Timestamp> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all = |text: &str| text.len() <= MOST_DIGITS && text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !all(whole) || !all(fraction) || digits.ends_with('.') {
        return None;
    }
    let mut sum = whole.parse::<i128>().ok()? * nanoseconds;
    if !fraction.is_empty() {
        let scale = 10_i128.pow(u32::try_from(fraction.len()).ok()?);
        sum += fraction.parse::<i128>().ok()? * nanoseconds / scale;
    }
    Timestamp::from_nanosecond(if negative { -sum } else { sum }).ok()
}

/// What has been read of a date so far.
#[derive(Default)]
struct Fields {
    before_christ: bool,
    year: Option<i16>,
    month: Option<i8>,
    day: Option<i8>,
    /// 0 to 23.
    hour: Option<i8>,
    /// 0 to 11.
    half_hour: Option<i8>,
    afternoon: bool,
    minute: i8,
    second: i8,
    nanosecond: i32,
    offset: Option<Zone>,
}

/// What a text says of its zone.
enum Zone {
    Offset(Offset),
    /// An abbreviation, in capitals.
    Abbreviation(String),
}

fn read(parts: &[Part], text: &str, zone: &TimeZone, now: Timestamp) -> Option<Timestamp> {
    let mut fields = Fields::default();
    let mut rest = text;
    for (position, part) in parts.iter().enumerate() {
        match part {
            Part::Literal(literal) => rest = rest.strip_prefix(literal.as_str())?,
            Part::Field(letter, count) => {
                // As the JDK does: blanks before a field are passed over, and a number that touches the next field ends
                // after as many digits as its letter stands times.
                rest = rest.trim_start_matches([' ', '\t']);
                let touches = matches!(parts.get(position + 1), Some(Part::Field(..)));
                let most = if touches { *count } else { MOST_DIGITS };
                rest = fields.take(*letter, *count, most, rest, now)?;
            }
        }
    }
    fields.take_remainder(rest, parts)?;
    fields.instant(zone)
}

impl Fields {
    /// Takes what `letter` means from the beginning of `text`, and returns what follows it.
    fn take<'t>(
        &mut self,
        letter: char,
        count: usize,
        most: usize,
        text: &'t str,
        now: Timestamp,
    ) -> Option<&'t str> {
        let name = |names: &[&str], short: usize| {
            let (position, length) = named(text, names, short)?;
            Some((position, text.get(length..)?))
        };
        let number = |range: std::ops::RangeInclusive<i64>| {
            let (value, _, rest) = digits(text, most)?;
            range
                .contains(&value)
                .then_some((i8::try_from(value).ok()?, rest))
        };
        let rest = match letter {
            'G' => {
                let (era, rest) = name(&ERAS, 2)?;
                self.before_christ = era == 0;
                rest
            }
            'y' => {
                let (value, length, rest) = digits(text, most)?;
                self.year = Some(year(value, length, count, now)?);
                rest
            }
            'M' if count >= 3 => {
                let (month, rest) = name(&MONTHS, 3)?;
                self.month = i8::try_from(month + 1).ok();
                rest
            }
            // The day of the week follows from the date; the JDK does not hold the one against the other either.
            'E' => name(&WEEKDAYS, 3)?.1,
            'a' => {
                let (half, rest) = name(&HALVES, 2)?;
                self.afternoon = half == 1;
                rest
            }
            'M' => keep(number(1..=12)?, |month| self.month = Some(month)),
            'd' => keep(number(1..=31)?, |day| self.day = Some(day)),
            'H' => keep(number(0..=23)?, |hour| self.hour = Some(hour)),
            'k' => keep(number(1..=24)?, |hour| self.hour = Some(hour % 24)),
            'K' => keep(number(0..=11)?, |hour| self.half_hour = Some(hour)),
            'h' => keep(number(1..=12)?, |hour| self.half_hour = Some(hour % 12)),
            'm' => keep(number(0..=59)?, |minute| self.minute = minute),
            's' => keep(number(0..=59)?, |second| self.second = second),
            'S' => self.take_fraction(text, count, most)?,
            _ => self.take_zone(text)?,
        };
        Some(rest)
    }

    /// Milliseconds. From three letters or digits on they are a fraction: a format with three letters writes no fewer
    /// digits, and one with more is meant so (see `format`).
    fn take_fraction<'t>(&mut self, text: &'t str, count: usize, most: usize) -> Option<&'t str> {
        let (value, length, rest) = digits(text, most)?;
        self.nanosecond = if count >= 3 || length >= 3 {
            nanoseconds(&text[..length])?
        } else {
            i32::try_from(value).ok()? * 1_000_000
        };
        Some(rest)
    }

    /// An offset or a zone's name, in whatever spelling: each of them says one thing only, whichever letter asks.
    fn take_zone<'t>(&mut self, text: &'t str) -> Option<&'t str> {
        let mut long = ABBREVIATIONS.iter();
        if let Some((minutes, rest)) = long.find_map(|(_, minutes, name)| {
            named(text, &[name], name.len()).and_then(|(_, length)| Some((minutes, text.get(length..)?)))
        }) {
            self.offset = Some(Zone::Offset(Offset::from_seconds(minutes * 60).ok()?));
            return Some(rest);
        }
        let length = text.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (word, rest) = text.split_at(length);
        let offset = numeric_offset(rest);
        let (zone, rest) = match (word.to_ascii_uppercase().as_str(), offset) {
            ("" | "GMT" | "UTC", Some((offset, rest))) => (Zone::Offset(offset), rest),
            ("", None) => return None,
            ("Z" | "GMT" | "UTC" | "UT", None) => (Zone::Offset(Offset::UTC), rest),
            (name, _) => (Zone::Abbreviation(name.to_owned()), rest),
        };
        self.offset = Some(zone);
        Some(rest)
    }

    /// What the JDK would pass over in silence: here a fraction of the last second and an offset are understood, and anything
    /// else means another format.
    fn take_remainder(&mut self, rest: &str, parts: &[Part]) -> Option<()> {
        if rest.is_empty() {
            return Some(());
        }
        if !matches!(parts.last(), Some(Part::Field('s' | 'S', _))) || self.offset.is_some() {
            return None;
        }
        let mut rest = rest;
        if let Some(fraction) = rest.strip_prefix('.') {
            let (_, length, after) = digits(fraction, MOST_DIGITS)?;
            self.nanosecond = nanoseconds(&fraction[..length])?;
            rest = after;
        }
        if !rest.is_empty() {
            rest = self.take_zone(rest)?;
        }
        rest.is_empty().then_some(())
    }

    fn instant(&self, zone: &TimeZone) -> Option<Timestamp> {
        let half = self
            .half_hour
            .map(|hour| hour + if self.afternoon { 12 } else { 0 });
        let year = self.year.unwrap_or(1970);
        let civil = DateTime::new(
            if self.before_christ { 1 - year } else { year },
            self.month.unwrap_or(1),
            self.day.unwrap_or(1),
            self.hour.or(half).unwrap_or(0),
            self.minute,
            self.second,
            self.nanosecond,
        )
        .ok()?;
        match &self.offset {
            None => zone.to_ambiguous_timestamp(civil).later().ok(),
            Some(Zone::Offset(offset)) => offset.to_timestamp(civil).ok(),
            Some(Zone::Abbreviation(name)) => abbreviated(name, zone, civil)?.to_timestamp(civil).ok(),
        }
    }
}

fn keep((value, rest): (i8, &str), keep: impl FnOnce(i8)) -> &str {
    keep(value);
    rest
}

/// The number that `text` begins with, how many digits it has, and what follows it.
fn digits(text: &str, most: usize) -> Option<(i64, usize, &str)> {
    let length = text.bytes().take(most).take_while(u8::is_ascii_digit).count();
    let (number, rest) = text.split_at_checked(length)?;
    Some((number.parse().ok()?, length, rest))
}

/// `digits` behind a decimal point, in nanoseconds; what is finer is cut off.
fn nanoseconds(digits: &str) -> Option<i32> {
    let kept = &digits[..digits.len().min(9)];
    let scale = 10_i32.pow(u32::try_from(9 - kept.len()).ok()?);
    kept.parse::<i32>().ok()?.checked_mul(scale)
}

/// A year of `length` digits for `count` letters. Two digits are of the hundred years around `now` where the pattern has at most
/// two letters; otherwise they would be of the first century, which no record is.
fn year(value: i64, length: usize, count: usize, now: Timestamp) -> Option<i16> {
    if length >= 4 {
        return i16::try_from(value).ok();
    }
    if count > 2 || length != 2 {
        return None;
    }
    let first = i64::from(TimeZone::UTC.to_datetime(now).year()) - 80;
    let candidate = first - first.rem_euclid(100) + value;
    i16::try_from(if candidate < first {
        candidate + 100
    } else {
        candidate
    })
    .ok()
}

/// The offset that the abbreviation `name` stands for: in `zone` at that time of the year or half a year from it, else in
/// general.
fn abbreviated(name: &str, zone: &TimeZone, civil: DateTime) -> Option<Offset> {
    let about = Offset::UTC.to_timestamp(civil).ok()?;
    let half_a_year = jiff::SignedDuration::from_hours(24 * 182);
    let instants = [Some(about), about.checked_add(half_a_year).ok()];
    for instant in instants.into_iter().flatten() {
        let info = zone.to_offset_info(instant);
        if info.abbreviation().eq_ignore_ascii_case(name) {
            return Some(info.offset());
        }
    }
    let (_, minutes, _) = ABBREVIATIONS.iter().find(|(known, ..)| *known == name)?;
    Offset::from_seconds(minutes * 60).ok()
}
