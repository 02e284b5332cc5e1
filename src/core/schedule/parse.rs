//! The language of crontab(5): an expression in, the values of its six fields out, or what is wrong with it. What was
//! probably meant by a wrong one is `mistake`'s matter.

use std::fmt;

use super::error::ScheduleError;
use super::field::{Field, Values};
use super::mistake;
use crate::core::shown::shown;

/// The macros, and the five fields that each stands for.
pub(super) const MACROS: [(&str, &str); 7] = [
    ("@hourly", "0 * * * *"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@weekly", "0 0 * * 0"),
    ("@monthly", "0 0 1 * *"),
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
];

/// The fields of an expression.
#[derive(Clone, Debug)]
pub(super) struct Fields {
    pub(super) second: Values,
    pub(super) minute: Values,
    pub(super) hour: Values,
    pub(super) day: Values,
    pub(super) month: Values,
    pub(super) weekday: Values,
}

/// Reads `expression`.
///
/// # Errors
/// The first thing that is wrong with it.
pub(super) fn fields(expression: &str) -> Result<Fields, ScheduleError> {
    let words: Vec<&str> = expression.split_whitespace().collect();
    let five;
    let words = match words[..] {
        [name, ..] if name.starts_with('@') => {
            five = written_out(&words)?;
            five.split(' ').collect()
        }
        _ => words,
    };
    let [second, minute, hour, day, month, weekday] = match words[..] {
        [minute, hour, day, month, weekday] => ["0", minute, hour, day, month, weekday],
        [second, minute, hour, day, month, weekday] => [second, minute, hour, day, month, weekday],
        _ => {
            return Err(ScheduleError::Fields {
                count: words.len(),
                found: shown(expression.trim()),
                hint: mistake::of_fields(&words),
            });
        }
    };
    let read = |field, text| values(field, text, &words);
    let fields = Fields {
        second: read(Field::Second, second)?,
        minute: read(Field::Minute, minute)?,
        hour: read(Field::Hour, hour)?,
        day: read(Field::DayOfMonth, day)?,
        month: read(Field::Month, month)?,
        weekday: read(Field::DayOfWeek, weekday)?,
    };
    fields.must_fire()?;
    Ok(fields)
}

/// The five fields of a macro.
fn written_out(words: &[&str]) -> Result<&'static str, ScheduleError> {
    let found = MACROS.iter().find(|(name, _)| words == [*name]);
    found.map(|(_, five)| *five).ok_or_else(|| {
        let names: Vec<&str> = MACROS.iter().map(|(name, _)| *name).collect();
        ScheduleError::Macro {
            allowed: format!("one of {}", names.join(", ")),
            found: shown(&words.join(" ")),
            hint: mistake::of_macro(words),
        }
    })
}

/// Reads one field, a list of items. `words` are all fields, for the hint.
fn values(field: Field, text: &str, words: &[&str]) -> Result<Values, ScheduleError> {
    let mut bits = 0;
    let mut texts = Vec::new();
    for item in text.split(',') {
        let read = item_values(field, item).map_err(|allowed| ScheduleError::Field {
            field,
            allowed,
            found: shown(if item.is_empty() { text } else { item }),
            hint: mistake::of_item(field, item, words),
        })?;
        bits |= read.bits;
        texts.push(read.text);
    }
    Ok(Values {
        field,
        bits,
        star: text.starts_with('*'),
        text: texts.join(","),
    })
}

/// Reads one item: `*`, a value or a range, the first and the last with a step where wanted. The error is what would be
/// allowed in its place.
pub(super) fn item_values(field: Field, item: &str) -> Result<Values, String> {
    let (range, step) = match item.split_once('/') {
        Some((range, step)) => (range, Some(step)),
        None => (item, None),
    };
    let (start, end) = bounds(field, range)?;
    // As crontab has it: a step may be as large as the field's largest number, also where only the first value is left.
    let largest = if field == Field::DayOfWeek {
        7
    } else {
        field.range().1
    };
    let step = match step {
        None => 1,
        Some(_) if range != "*" && !range.contains('-') => {
            return Err("a step to stand behind `*` or a range".to_owned());
        }
        Some(step) => number(step)
            .filter(|step| (1..=largest).contains(step))
            .ok_or_else(|| format!("a step from 1 to {largest}"))?,
    };
    let text = match range {
        "*" => "*".to_owned(),
        _ if start == end => field.spelled(start),
        _ => format!("{}-{}", field.spelled(start), field.spelled(end)),
    };
    let bit = |value| match field {
        Field::DayOfWeek => 1u64 << (value % 7),
        _ => 1u64 << value,
    };
    Ok(Values {
        field,
        bits: (start..=end)
            .step_by(step as usize)
            .fold(0, |bits, value| bits | bit(value)),
        star: range == "*",
        text: if step == 1 || start == end {
            text
        } else {
            format!("{text}/{step}")
        },
    })
}

/// The first and the last value of `*`, a value or a range.
fn bounds(field: Field, range: &str) -> Result<(u32, u32), String> {
    if range == "*" {
        return Ok(field.range());
    }
    let allowed = || field.allowed().to_owned();
    let Some((start, end)) = range.split_once('-') else {
        let value = value(field, range).ok_or_else(allowed)?;
        return Ok((value, value));
    };
    let start = value(field, start).ok_or_else(allowed)?;
    let mut end_value = value(field, end).ok_or_else(allowed)?;
    if field == Field::DayOfWeek {
        // Sunday ends a week that began on another day. All seven from Sunday on are written `Sun-Sat`.
        if end_value == 0 && start > 0 && number(end).is_none() {
            end_value = 7;
        }
        if (start, end_value) == (0, 7) {
            end_value = 6;
        }
    }
    if start > end_value {
        return Err(format!("a range that rises, within {}", field.allowed()));
    }
    Ok((start, end_value))
}

/// The value that a number or a name stands for. Sunday is 0 by its name, and 7 only when it is written so.
pub(super) fn value(field: Field, text: &str) -> Option<u32> {
    let (first, last) = field.range();
    let last = if field == Field::DayOfWeek { 7 } else { last };
    let named = || {
        let at = field
            .names()
            .iter()
            .position(|name| name.eq_ignore_ascii_case(text));
        at.map(|at| first + at as u32)
    };
    number(text)
        .filter(|number| (first..=last).contains(number))
        .or_else(named)
}

/// A number in ASCII digits, without a sign.
pub(super) fn number(text: &str) -> Option<u32> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

impl Fields {
    /// Whether it names times of the day rather than a rhythm, which decides what daylight saving does to it.
    pub(super) fn is_fixed(&self) -> bool {
        !self.minute.star && !self.hour.star
    }

    /// Whether a day that fits one of the two day fields is enough.
    pub(super) fn either_day(&self) -> bool {
        !self.day.star && !self.weekday.star
    }

    /// Refuses days that none of the months has. Every date that a leap year has falls on every day of the week in some
    /// year, so that nothing else can keep an expression from firing.
    fn must_fire(&self) -> Result<(), ScheduleError> {
        let days_in = |month| match month {
            2 => 29,
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        };
        let longest = self.month.iter().map(days_in).max().unwrap_or(0);
        if self.either_day() || self.day.iter().any(|day| day <= longest) {
            return Ok(());
        }
        Err(ScheduleError::Never {
            days: shown(&self.day.text),
            months: shown(&self.month.text),
            longest,
        })
    }
}

impl fmt::Display for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Fields {
            second,
            minute,
            hour,
            day,
            month,
            weekday,
        } = self;
        if second.text != "0" {
            write!(f, "{} ", second.text)?;
        }
        let [minute, hour, day, month, weekday] =
            [minute, hour, day, month, weekday].map(|values| values.text.as_str());
        write!(f, "{minute} {hour} {day} {month} {weekday}")
    }
}
