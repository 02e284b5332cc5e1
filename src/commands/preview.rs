//! When a schedule would run, before anybody configures it.

use jiff::tz::TimeZone;
use jiff::{Timestamp, ZonedDateTime};

use super::House;
use crate::core::model::time_text;
use crate::core::schedule::{Fire, Schedule};
use crate::zones::Zones;

/// One run.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct PlannedRun {
    pub utc: String,
    /// On the clocks of the schedule's zone, with their offset (RFC 3339).
    pub local: String,
    /// What daylight saving does to it.
    pub note: Option<String>,
    /// `local` as it is told to people.
    #[serde(skip)]
    pub words: String,
}

impl PlannedRun {
    /// A run at `at`, on the clocks of `zone`.
    pub fn new(at: Timestamp, zone: &TimeZone, note: Option<String>) -> PlannedRun {
        let local = ZonedDateTime::new(at, zone.clone());
        PlannedRun {
            utc: time_text(at),
            local: local.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string(),
            note,
            words: words(at, zone),
        }
    }
}

/// The first `count` runs of `schedule` after `from`, with what daylight saving does to them.
pub fn runs_after(schedule: &Schedule, zone: &TimeZone, from: Timestamp, count: usize) -> Vec<PlannedRun> {
    let planned = |fire: Fire| PlannedRun::new(fire.at, zone, fire.shift.map(|shift| shift.to_string()));
    schedule.runs(zone, from).take(count).map(planned).collect()
}

impl House {
    /// The next runs of the crontab expression `cron` in the zone `timezone`, UTC where that is empty.
    ///
    /// # Errors
    /// What is wrong with either, with what to do about it.
    pub fn runs(&self, cron: &str, timezone: &str, count: usize) -> Result<Vec<PlannedRun>, String> {
        let problem_of = |error: String, hint: Option<String>| match hint {
            Some(hint) => format!("{error}; {hint}"),
            None => error,
        };
        let schedule = Schedule::parse(cron).map_err(|error| problem_of(error.to_string(), error.hint()))?;
        let timezone = if timezone.is_empty() { "UTC" } else { timezone };
        let found = Zones::of_system().find(timezone);
        let zone = found.map_err(|error| problem_of(error.to_string(), error.hint()))?;
        Ok(runs_after(&schedule, &zone, self.clock.now(), count))
    }

    /// `at` on the clocks of the zone `timezone`; `None` where there is no such zone.
    pub fn on_clocks_of(&self, at: Timestamp, timezone: &str) -> Option<String> {
        let zone = Zones::of_system().find(timezone).ok()?;
        Some(words(at, &zone))
    }
}

fn words(at: Timestamp, zone: &TimeZone) -> String {
    let local = ZonedDateTime::new(at, zone.clone());
    local.strftime("%a %Y-%m-%d %H:%M:%S %:z").to_string()
}
