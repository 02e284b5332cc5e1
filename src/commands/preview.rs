//! When a schedule would run, before anybody configures it.

use jiff::ZonedDateTime;

use super::House;
use crate::core::model::time_text;
use crate::core::schedule::Schedule;
use crate::zones::Zones;

/// One run.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Run {
    pub utc: String,
    /// On the clocks of the zone.
    pub local: String,
    /// What daylight saving does to it.
    pub note: Option<String>,
}

impl House<'_> {
    /// The next runs of the crontab expression `cron` in the zone `timezone`, UTC where that is empty.
    ///
    /// # Errors
    /// What is wrong with either, with what to do about it.
    pub fn runs(&self, cron: &str, timezone: &str, count: usize) -> Result<Vec<Run>, String> {
        let told = |error: String, hint: Option<String>| match hint {
            Some(hint) => format!("{error}; {hint}"),
            None => error,
        };
        let schedule = Schedule::parse(cron).map_err(|error| told(error.to_string(), error.hint()))?;
        let timezone = if timezone.is_empty() { "UTC" } else { timezone };
        let found = Zones::of_system().find(timezone);
        let zone = found.map_err(|error| told(error.to_string(), error.hint()))?;
        let runs = schedule.runs(&zone, self.clock.now()).take(count);
        let told = runs.map(|fire| Run {
            utc: time_text(fire.at),
            local: ZonedDateTime::new(fire.at, zone.clone())
                .strftime("%a %Y-%m-%d %H:%M:%S %:z")
                .to_string(),
            note: fire.shift.map(|shift| shift.to_string()),
        });
        Ok(told.collect())
    }
}
