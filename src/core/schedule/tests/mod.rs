//! What a schedule promises. `language` and `rejections` are about the expressions, `daylight` has the cases that people
//! ask about, one by one, `oracle` the many that nobody thinks of, `trigger` the timer's decisions.

mod daylight;
mod language;
mod oracle;
mod rejections;
mod trigger;
mod zone;

use jiff::Timestamp;
use jiff::tz::{TimeZone, TimeZoneDatabase};

use super::Schedule;

/// The zone called `name`, from the bundled database, so that every machine tests the same rules.
fn zone(name: &str) -> TimeZone {
    TimeZoneDatabase::bundled().get(name).unwrap()
}

fn time(text: &str) -> Timestamp {
    text.parse().unwrap_or_else(|_| panic!("{text:?} is a time"))
}

fn schedule(expression: &str) -> Schedule {
    Schedule::parse(expression).unwrap_or_else(|error| panic!("{error}"))
}

/// The first `count` runs after `from`, as the zone's clock shows them, with the offset.
fn runs(expression: &str, zone_name: &str, from: &str, count: usize) -> Vec<String> {
    let (schedule, zone) = (schedule(expression), zone(zone_name));
    let runs = schedule.runs(&zone, time(from)).take(count);
    runs.map(|fire| {
        assert_eq!(fire.civil, zone.to_datetime(fire.at));
        format!("{}{}", fire.civil.strftime("%F %H:%M:%S"), fire.offset)
    })
    .collect()
}
