//! Schedules that have been read, and the zones they go by: what it takes to ask when a resource is due. A zone is looked
//! up again when its file has changed.

use std::collections::HashMap;
use std::time::Duration;

use jiff::tz::TimeZone;

use crate::core::plan::Cadence;
use crate::core::schedule::{Schedule, Trigger};
use crate::zones::{Stamp, Zones};

/// How often what has an unreadable schedule is polled: at another hour is better than never.
const FALLBACK: Duration = Duration::from_secs(15 * 60);

/// How many schedules are kept: few are different, and reading one again takes microseconds.
const KEPT_SCHEDULES: usize = 256;

/// What has been looked up so far.
#[derive(Debug)]
pub(super) struct Calendar {
    databases: Zones,
    zones: HashMap<String, Zone>,
    schedules: HashMap<String, Option<Schedule>>,
}

#[derive(Clone, Debug)]
struct Zone {
    zone: TimeZone,
    /// Of its file, from before it was read.
    stamp: Option<Stamp>,
}

/// Zones as they were before their files changed, by name.
pub(super) type Changed = HashMap<String, TimeZone>;

impl Calendar {
    pub(super) fn new() -> Calendar {
        Calendar {
            databases: Zones::of_system(),
            zones: HashMap::new(),
            schedules: HashMap::new(),
        }
    }

    /// Forgets schedules when they have become many.
    pub(super) fn keep_few(&mut self) {
        if self.schedules.len() >= KEPT_SCHEDULES {
            self.schedules.clear();
        }
    }

    /// Makes sure that `cadence` can be asked for by `trigger`.
    pub(super) fn learn(&mut self, cadence: &Cadence) {
        let Cadence::Cron { schedule, timezone } = cadence else {
            return;
        };
        if !self.zones.contains_key(timezone) {
            let zone = self.look_up(timezone);
            self.zones.insert(timezone.clone(), zone);
        }
        if !self.schedules.contains_key(schedule) {
            let read = Schedule::parse(schedule);
            let read = read.inspect_err(|error| {
                log::error!(
                    "schedule unusable, every 15 minutes in its place schedule={schedule:?} error={:?}",
                    error.to_string()
                )
            });
            self.schedules.insert(schedule.clone(), read.ok());
        }
    }

    /// What makes a resource of `cadence` be polled, each run later by `offset`. A schedule that cannot be
    /// read, and was learnt, is that of a poll every quarter of an hour.
    pub(super) fn trigger<'a>(&'a self, cadence: &Cadence, offset: Duration) -> Trigger<'a> {
        match cadence {
            Cadence::Never => Trigger::Never,
            Cadence::Every(interval) => Trigger::Every(*interval),
            Cadence::Cron { schedule, timezone } => {
                let schedule = self.schedules.get(schedule).and_then(Option::as_ref);
                match (schedule, self.zones.get(timezone)) {
                    (Some(schedule), Some(Zone { zone, .. })) => Trigger::Cron {
                        schedule,
                        zone,
                        offset,
                    },
                    _ => Trigger::Every(FALLBACK),
                }
            }
        }
    }

    /// The same as it was before the zones in `changed` did.
    pub(super) fn trigger_before<'a>(
        &'a self,
        cadence: &Cadence,
        offset: Duration,
        changed: &'a Changed,
    ) -> Trigger<'a> {
        match (cadence, self.trigger(cadence, offset)) {
            (
                Cadence::Cron { timezone, .. },
                Trigger::Cron {
                    schedule,
                    zone,
                    offset,
                },
            ) => Trigger::Cron {
                schedule,
                zone: changed.get(timezone).unwrap_or(zone),
                offset,
            },
            (_, trigger) => trigger,
        }
    }

    /// Looks up again the zones whose files have changed. Returns them as they were.
    pub(super) fn refresh(&mut self) -> Changed {
        let outdated = |(name, zone): (&String, &Zone)| {
            (self.databases.stamp(name) != zone.stamp).then(|| (name.clone(), zone.zone.clone()))
        };
        let changed: Changed = self.zones.iter().filter_map(outdated).collect();
        for name in changed.keys() {
            log::info!("time zone changed timezone={name:?}");
            let zone = self.look_up(name);
            self.zones.insert(name.clone(), zone);
        }
        changed
    }

    /// Forgets the zones that `is_used` does not know.
    pub(super) fn keep_zones(&mut self, is_used: impl Fn(&str) -> bool) {
        self.zones.retain(|name, _| is_used(name));
    }

    /// A zone that there was when it was configured, and is none any more, becomes UTC: polls at another hour are better
    /// than none.
    fn look_up(&self, name: &str) -> Zone {
        let stamp = self.databases.stamp(name);
        let zone = self.databases.find(name).unwrap_or_else(|error| {
            log::error!(
                "time zone unknown, UTC in its place error={:?}",
                error.to_string()
            );
            TimeZone::UTC
        });
        Zone { zone, stamp }
    }
}
