//! Times on the face of a clock that fit an expression, without a zone. The crate `cron` does the matching; it is shown
//! faces dressed as UTC only, since in zones of its own it skips what falls into a gap and goes back in a fold.

use std::fmt::Write;

use chrono::{DateTime, Utc};

use super::field::{DAYS, Field, Values};
use super::parse::Fields;

/// What the faces that fit an expression look like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Faces {
    fitting: cron::Schedule,
    /// The other half where crontab means OR by its two day fields; the crate means AND.
    or_fitting: Option<cron::Schedule>,
}

impl Faces {
    pub(super) fn new(fields: &Fields) -> Faces {
        let any = |values: &Values| Values {
            bits: u64::MAX,
            ..values.clone()
        };
        if fields.either_day() {
            return Faces {
                fitting: matcher(fields, &fields.day, &any(&fields.weekday)),
                or_fitting: Some(matcher(fields, &any(&fields.day), &fields.weekday)),
            };
        }
        Faces {
            fitting: matcher(fields, &fields.day, &fields.weekday),
            or_fitting: None,
        }
    }

    /// The first face that fits strictly after the face `after`, both in seconds since a clock showed the beginning of
    /// 1970; `None` after 2100, where the crate's years end.
    pub(super) fn next(&self, after: i64) -> Option<i64> {
        let after = DateTime::<Utc>::from_timestamp(after, 0)?;
        let next = |schedule: &cron::Schedule| schedule.after(&after).next();
        let found = [next(&self.fitting), self.or_fitting.as_ref().and_then(next)];
        found.into_iter().flatten().min().map(|face| face.timestamp())
    }
}

/// The crate's schedule for the fields of which the days are given apart.
fn matcher(fields: &Fields, day: &Values, weekday: &Values) -> cron::Schedule {
    let mut text = String::new();
    for values in [
        &fields.second,
        &fields.minute,
        &fields.hour,
        day,
        &fields.month,
        weekday,
    ] {
        push_list(&mut text, values);
    }
    text.parse()
        .expect("lists of values in their ranges are in the crate's language")
}

/// Appends `values` in the crate's language. Days of the week go by name, since it counts them from 1.
fn push_list(text: &mut String, values: &Values) {
    let mut between = if text.is_empty() { "" } else { " " };
    if values.is_full() {
        text.push_str(between);
        text.push('*');
        return;
    }
    for value in values.iter() {
        text.push_str(between);
        between = ",";
        match values.field {
            Field::DayOfWeek => text.push_str(DAYS[value as usize]),
            _ => write!(text, "{value}").expect("a string takes what is written to it"),
        }
    }
}
