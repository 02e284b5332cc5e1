//! When to poll: crontab expressions, the instants at which they fire in a time zone, and when a poll is due after what
//! has happened. Pure: the time and the zone are passed in; who looks zones up, waits and polls stands elsewhere.
//!
//! `parse` reads an expression field by field and `mistake` knows what was probably meant; `civil` finds the next time
//! on the clock face that fits; `fire` maps it to an instant; `trigger` decides when a poll is due.

mod civil;
mod error;
mod field;
mod fire;
mod mistake;
mod parse;
#[cfg(test)]
mod tests;
mod trigger;
mod zone;

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use civil::Faces;
pub use error::ScheduleError;
pub use field::Field;
pub use fire::{Fire, Shift};
pub use trigger::{History, Trigger, spread};
pub use zone::{ZoneError, is_zone_name, zone_named};

/// A crontab expression that has been read. It fires from 1970 through 2100, in whole seconds.
///
/// `Display` writes it as it was given, in one spelling: single spaces, macros written out, months and days of the week
/// by their names. Schedules are equal when they are written alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    text: String,
    /// Neither minute nor hour begins with `*`: such a time runs once a day whatever the clocks do.
    fixed: bool,
    faces: Faces,
}

impl Schedule {
    /// Reads five fields (minute, hour, day of month, month, day of week), six with the seconds first, or a macro, as
    /// crontab(5) has them. When neither day field begins with `*`, a day that fits one of them is enough.
    ///
    /// # Errors
    /// What is not in the language, and what can never fire. [`ScheduleError::hint`] says what to write instead, when a
    /// common mistake tells what was meant.
    ///
    /// # Example
    /// ```
    /// use deltapost::core::schedule::Schedule;
    ///
    /// let schedule = Schedule::parse("*/5 7-19 * * 1-5").unwrap();
    /// assert_eq!(schedule.to_string(), "*/5 7-19 * * Mon-Fri");
    /// ```
    pub fn parse(expression: &str) -> Result<Schedule, ScheduleError> {
        let fields = parse::fields(expression)?;
        Ok(Schedule {
            text: fields.to_string(),
            fixed: fields.is_fixed(),
            faces: Faces::new(&fields),
        })
    }

    /// The first run strictly after `now`, with the clocks of `zone`; `None` when there is none until the end of 2100.
    ///
    /// A fixed time (neither minute nor hour begins with `*`) that the clocks skip runs once, at the first instant after
    /// the gap, unless the gap is longer than three hours; one that comes twice runs at its first. Other schedules run
    /// whenever the clock's face fits.
    pub fn next_after(&self, zone: &TimeZone, now: Timestamp) -> Option<Fire> {
        match self.fixed {
            true => fire::next_fixed(&self.faces, zone, now),
            false => fire::next_wildcard(&self.faces, zone, now),
        }
    }

    /// The runs strictly after `from`, in order. The shift of each is told from the one before it.
    pub fn runs<'a>(&'a self, zone: &'a TimeZone, from: Timestamp) -> impl Iterator<Item = Fire> + 'a {
        std::iter::successors(self.next_after(zone, from), |fire| self.next_after(zone, fire.at))
    }
}

impl FromStr for Schedule {
    type Err = ScheduleError;

    fn from_str(expression: &str) -> Result<Schedule, ScheduleError> {
        Schedule::parse(expression)
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
