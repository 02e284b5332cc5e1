//! The fields of an expression: their names, their ranges, and the set of values that one of them stands for.

use std::fmt;

/// The months, as crontab names them, from 1.
pub(super) const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// The days of the week, as crontab names them, from 0.
pub(super) const DAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];

/// A field of an expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    Second,
    Minute,
    Hour,
    DayOfMonth,
    Month,
    DayOfWeek,
}

impl Field {
    /// The six fields in the order in which they are written.
    pub(super) const ALL: [Field; 6] = [
        Field::Second,
        Field::Minute,
        Field::Hour,
        Field::DayOfMonth,
        Field::Month,
        Field::DayOfWeek,
    ];

    /// The first and the last of its values, `*` being all of them. Of the two numbers of Sunday this is the first.
    pub(super) fn range(self) -> (u32, u32) {
        match self {
            Field::Second | Field::Minute => (0, 59),
            Field::Hour => (0, 23),
            Field::DayOfMonth => (1, 31),
            Field::Month => (1, 12),
            Field::DayOfWeek => (0, 6),
        }
    }

    /// The names of its values, from the first on.
    pub(super) fn names(self) -> &'static [&'static str] {
        match self {
            Field::Month => &MONTHS,
            Field::DayOfWeek => &DAYS,
            _ => &[],
        }
    }

    /// The values that may be written, in words.
    pub(super) fn allowed(self) -> &'static str {
        match self {
            Field::Second | Field::Minute => "0 to 59",
            Field::Hour => "0 to 23",
            Field::DayOfMonth => "1 to 31",
            Field::Month => "1 to 12 or Jan to Dec",
            Field::DayOfWeek => "0 to 7 (0 and 7 are Sunday) or Sun to Sat",
        }
    }

    /// `value` in the one spelling that `Display` uses.
    pub(super) fn spelled(self, value: u32) -> String {
        let names = self.names();
        match names.is_empty() {
            true => value.to_string(),
            false => names[((value - self.range().0) as usize) % names.len()].to_owned(),
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Field::Second => "second",
            Field::Minute => "minute",
            Field::Hour => "hour",
            Field::DayOfMonth => "day of month",
            Field::Month => "month",
            Field::DayOfWeek => "day of week",
        })
    }
}

/// The values that one field of an expression stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Values {
    pub(super) field: Field,
    /// The n-th bit is the value n.
    pub(super) bits: u64,
    /// It begins with `*`. More than the values, this decides how days combine and what daylight saving does.
    pub(super) star: bool,
    /// How it is written.
    pub(super) text: String,
}

impl Values {
    pub(super) fn iter(&self) -> impl Iterator<Item = u32> {
        let (first, last) = self.field.range();
        (first..=last).filter(|value| self.bits & (1 << value) != 0)
    }

    /// Whether no value is missing.
    pub(super) fn is_full(&self) -> bool {
        let (first, last) = self.field.range();
        (first..=last).all(|value| self.bits & (1 << value) != 0)
    }
}
