//! Java's SimpleDateFormat, in English: a pattern is read once, then instants are written by it. How texts are read by it
//! stands in `reading`. The letters are `G y M d E a H k K h m s S z Z X`.
//!
//! It says what the JDK says, but for what would be misunderstood. `SSSS` and longer is a fraction, which documented formats
//! mean by it; the JDK writes a number of milliseconds with zeros before it. `X` tells the minutes of an offset that has
//! some, as `java.time` does, and a clock of 12 hours needs its `a`. Years before 1582 are Gregorian.

use std::fmt::Write as _;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};

use super::names::{ABBREVIATIONS, ERAS, HALVES, MONTHS, WEEKDAYS};

/// The letters that a pattern may have.
const LETTERS: &str = "GyMdEaHkKhmsSzZX";

/// The longest run of one letter.
const LONGEST_RUN: usize = 20;

/// How a date is written.
#[derive(Clone, Debug, PartialEq)]
pub enum DateFormat {
    /// `milliseconds` since the epoch.
    Milliseconds,
    /// `seconds` since the epoch.
    Seconds,
    /// By a SimpleDateFormat pattern.
    Pattern(Vec<Part>),
}

/// A piece of a pattern.
#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    Literal(String),
    /// A letter, and how often it stands.
    Field(char, usize),
}

impl DateFormat {
    /// The format that `pattern` describes.
    ///
    /// # Errors
    /// What is wrong with it, with the position of the character.
    pub fn new(pattern: &str) -> Result<DateFormat, String> {
        match pattern {
            "milliseconds" => return Ok(DateFormat::Milliseconds),
            "seconds" => return Ok(DateFormat::Seconds),
            _ => {}
        }
        let mut parts = Vec::new();
        let mut rest = pattern.char_indices().peekable();
        while let Some((position, letter)) = rest.next() {
            if letter == '\'' {
                literal(&mut parts, &quoted(pattern, position, &mut rest)?);
            } else if letter.is_ascii_alphabetic() {
                let mut count = 1;
                while rest.next_if(|(_, next)| *next == letter).is_some() {
                    count += 1;
                }
                parts.push(field(letter, count, column(pattern, position))?);
            } else {
                literal(&mut parts, letter.encode_utf8(&mut [0; 4]));
            }
        }
        if !parts.iter().any(|part| matches!(part, Part::Field(..))) {
            return Err("a date format needs at least one of the letters of a date".to_owned());
        }
        let format = DateFormat::Pattern(parts);
        // By the JDK `03:30` is half past three in the afternoon, too: as a request's date that is up to twelve hours late.
        match "hK".chars().find(|letter| format.has(*letter)) {
            Some(letter) if !format.has('a') && !format.has('H') && !format.has('k') => Err(format!(
                "`{letter}` counts hours to 12 and no `a` tells which half of the day they are of; write `H` for 0 to 23"
            )),
            _ => Ok(format),
        }
    }

    /// Whether its dates tell year, month and day. Without them the JDK takes those of 1970.
    pub fn tells_the_day(&self) -> bool {
        matches!(self, DateFormat::Milliseconds | DateFormat::Seconds)
            || "yMd".chars().all(|letter| self.has(letter))
    }

    fn has(&self, letter: char) -> bool {
        let DateFormat::Pattern(parts) = self else {
            return false;
        };
        parts
            .iter()
            .any(|part| matches!(part, Part::Field(found, _) if *found == letter))
    }

    /// `instant`, as it is written in `zone`.
    pub fn print(&self, instant: Timestamp, zone: &TimeZone) -> String {
        match self {
            DateFormat::Milliseconds => instant.as_millisecond().to_string(),
            DateFormat::Seconds => instant.as_second().to_string(),
            DateFormat::Pattern(parts) => {
                let moment = Moment::of(instant, zone);
                let mut text = String::new();
                for part in parts {
                    match part {
                        Part::Literal(literal) => text.push_str(literal),
                        Part::Field(letter, count) => moment.print(*letter, *count, &mut text),
                    }
                }
                text
            }
        }
    }
}

/// What stands from the quote at `start` to its end; `''` is one quote.
fn quoted(
    pattern: &str,
    start: usize,
    rest: &mut std::iter::Peekable<std::str::CharIndices<'_>>,
) -> Result<String, String> {
    if rest.next_if(|(_, next)| *next == '\'').is_some() {
        return Ok("'".to_owned());
    }
    let mut text = String::new();
    while let Some((_, letter)) = rest.next() {
        if letter != '\'' {
            text.push(letter);
        } else if rest.next_if(|(_, next)| *next == '\'').is_some() {
            text.push('\'');
        } else {
            return Ok(text);
        }
    }
    let column = column(pattern, start);
    Err(format!("the quote at character {column} has no end"))
}

/// Which character of `pattern` begins at the byte `position`, from 1 on.
fn column(pattern: &str, position: usize) -> usize {
    pattern[..position].chars().count() + 1
}

fn literal(parts: &mut Vec<Part>, text: &str) {
    match parts.last_mut() {
        Some(Part::Literal(before)) => before.push_str(text),
        _ => parts.push(Part::Literal(text.to_owned())),
    }
}

fn field(letter: char, count: usize, column: usize) -> Result<Part, String> {
    if !LETTERS.contains(letter) {
        return Err(format!(
            "the letter `{letter}` at character {column} means nothing here; the letters are {LETTERS}, and text stands in \
             single quotes"
        ));
    }
    let most = if letter == 'X' { 3 } else { LONGEST_RUN };
    if count > most {
        return Err(format!(
            "`{letter}` at character {column} stands {count} times; it may {most} times"
        ));
    }
    Ok(Part::Field(letter, count))
}

/// An instant as a calendar and a clock in one zone show it.
struct Moment {
    civil: DateTime,
    offset: Offset,
    abbreviation: String,
}

impl Moment {
    fn of(instant: Timestamp, zone: &TimeZone) -> Moment {
        let info = zone.to_offset_info(instant);
        Moment {
            civil: zone.to_datetime(instant),
            offset: info.offset(),
            abbreviation: info.abbreviation().to_owned(),
        }
    }

    fn print(&self, letter: char, count: usize, text: &mut String) {
        let civil = self.civil;
        let (year, hour) = (i64::from(civil.year()), i64::from(civil.hour()));
        // The JDK counts years before the first one from 1 again, in the other era.
        let (era, year) = if year > 0 { (1, year) } else { (0, 1 - year) };
        let month = MONTHS[usize::from(civil.month().unsigned_abs()) - 1];
        let weekday = WEEKDAYS[usize::from(civil.weekday().to_monday_zero_offset().unsigned_abs())];
        match letter {
            'G' => text.push_str(ERAS[era]),
            'y' if count == 2 => padded(text, year % 100, 2),
            'y' => padded(text, year, count),
            'M' if count >= 4 => text.push_str(month),
            'M' if count == 3 => text.push_str(&month[..3]),
            'M' => padded(text, civil.month().into(), count),
            'd' => padded(text, civil.day().into(), count),
            'E' if count >= 4 => text.push_str(weekday),
            'E' => text.push_str(&weekday[..3]),
            'a' => text.push_str(HALVES[usize::from(hour >= 12)]),
            'H' => padded(text, hour, count),
            'k' => padded(text, if hour == 0 { 24 } else { hour }, count),
            'K' => padded(text, hour % 12, count),
            'h' => padded(text, if hour % 12 == 0 { 12 } else { hour % 12 }, count),
            'm' => padded(text, civil.minute().into(), count),
            's' => padded(text, civil.second().into(), count),
            'S' => fraction(text, civil.millisecond().into(), count),
            'z' => self.zone_name(count, text),
            'Z' => offset(text, self.offset, ""),
            _ => self.iso_offset(count, text),
        }
    }

    fn iso_offset(&self, count: usize, text: &mut String) {
        match count {
            _ if self.offset.seconds() == 0 => text.push('Z'),
            1 => {
                offset(text, self.offset, "");
                if text.ends_with("00") {
                    text.truncate(text.len() - 2);
                }
            }
            2 => offset(text, self.offset, ""),
            _ => offset(text, self.offset, ":"),
        }
    }

    /// The zone's abbreviation or long name, where it has one that is known to mean it; else `GMT+05:30`, which the JDK
    /// reads, too.
    fn zone_name(&self, count: usize, text: &mut String) {
        let minutes = self.offset.seconds() / 60;
        let known = ABBREVIATIONS
            .iter()
            .find(|(name, offset, _)| *name == self.abbreviation && *offset == minutes);
        match known {
            Some((_, _, long)) if count >= 4 => text.push_str(long),
            _ if count < 4 && !self.abbreviation.is_empty() && is_name(&self.abbreviation) => {
                text.push_str(&self.abbreviation);
            }
            _ => {
                text.push_str("GMT");
                offset(text, self.offset, ":");
            }
        }
    }
}

/// Whether the zone's database has a name, and not only the offset again.
fn is_name(abbreviation: &str) -> bool {
    abbreviation.bytes().all(|byte| byte.is_ascii_alphabetic())
}

fn padded(text: &mut String, value: i64, width: usize) {
    write!(text, "{value:0width$}").expect("writing to a string does not fail");
}

fn fraction(text: &mut String, milliseconds: i64, width: usize) {
    padded(text, milliseconds, width.min(3));
    text.extend(std::iter::repeat_n('0', width.saturating_sub(3)));
}

fn offset(text: &mut String, offset: Offset, between: &str) {
    let minutes = offset.seconds() / 60;
    text.push(if minutes < 0 { '-' } else { '+' });
    padded(text, i64::from(minutes.abs() / 60), 2);
    text.push_str(between);
    padded(text, i64::from(minutes.abs() % 60), 2);
}
