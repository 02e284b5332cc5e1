//! `schedule`: when resources are polled next, by whose word, and what daylight saving does to it. Looks only.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::json;

use super::args::{Args, ScheduleArgs};
use super::failure::Failure;
use super::house;
use super::reply::Reply;
use super::table::table;
use crate::clock::{Clock, SystemClock};
use crate::commands::{PlannedRun, runs_after};
use crate::core::model::time_text;
use crate::core::plan::{Cadence, Plan};
use crate::core::schedule::{History, Schedule, Trigger, spread};
use crate::core::shown::shown;
use crate::store::{Look, Planned, Rows};
use crate::zones::Zones;

/// A time that was given without an offset is one on the clocks of each schedule's zone.
#[derive(Clone, Copy, Debug)]
enum From {
    Instant(Timestamp),
    Face(DateTime),
}

/// A schedule and its next runs, as they are told.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    #[serde(flatten)]
    resource: Option<Resource>,
    cron: Option<String>,
    timezone: Option<String>,
    interval_minutes: Option<u64>,
    runs: Vec<PlannedRun>,
}

/// Whose it is.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Resource {
    instance_id: i64,
    instance: String,
    resource: String,
    /// Who says when.
    source: String,
    timezone_source: Option<String>,
    /// Why it is not polled by its schedule, if it is not.
    not_polled: Option<String>,
    /// How much later than its runs it is polled, its share of the jitter.
    delay_seconds: f64,
    /// What the agent has planned.
    next_poll_at: Option<String>,
}

/// Tells the next runs.
pub(super) fn schedule(args: &Args, wanted: &ScheduleArgs) -> Result<Reply, Failure> {
    let now = SystemClock.now();
    let from = wanted.from.as_deref().map(from_text).transpose()?;
    let from = from.unwrap_or(From::Instant(now));
    let (told, notes) = match &wanted.cron {
        Some(expression) => {
            let zone = wanted.timezone.as_deref().unwrap_or("UTC");
            (vec![preview(expression, zone, from, wanted.count)?], Vec::new())
        }
        None => configured(args, from, wanted.count, now)?,
    };
    let reply = match (args.json, told.is_empty()) {
        (true, _) => Reply::json(&json!({"schedules": told})),
        (false, true) => Reply::text("no instances yet; `deltapost instance create FILE` makes one\n"),
        (false, false) => Reply::text(told.iter().map(Told::words).collect::<Vec<_>>().join("\n")),
    };
    Ok(reply.noting(notes))
}

fn from_text(text: &str) -> Result<From, Failure> {
    let instant = text.parse().map(From::Instant);
    instant
        .or_else(|_| text.parse().map(From::Face))
        .map_err(|_: jiff::Error| {
            let hint =
                "give a date, a time such as `2026-03-29T01:30`, or one with its offset: `2026-03-29T01:30Z`";
            Failure::wrong(
                format!("expected a time for `--from`, got `{}`", shown(text)),
                Some(hint.to_owned()),
            )
        })
}

/// A schedule that is not configured yet.
fn preview(expression: &str, zone: &str, from: From, count: usize) -> Result<Told, Failure> {
    let schedule = Schedule::parse(expression)
        .map_err(|error| Failure::wrong(format!("`--cron`: {error}"), error.hint()))?;
    let found = Zones::of_system().find(zone);
    let found = found.map_err(|error| Failure::wrong(format!("`--timezone`: {error}"), error.hint()))?;
    Ok(Told {
        resource: None,
        runs: runs_after(&schedule, &found, from.instant(&found), count),
        cron: Some(schedule.to_string()),
        timezone: Some(zone.to_owned()),
        interval_minutes: None,
    })
}

/// Those of all resources, and notes on what the file says in vain.
fn configured(
    args: &Args,
    from: From,
    count: usize,
    now: Timestamp,
) -> Result<(Vec<Told>, Vec<String>), Failure> {
    let opened = house::open(args, Look::Brief)?;
    let rules = &opened.config.polling;
    let mut rows = Vec::new();
    opened.store.planned(Rows::All, |row| rows.push(row))?;
    let idle = rules
        .polls
        .iter()
        .filter(|rule| !rows.iter().any(|row| rule.is_about(&row.subject)));
    let notes = idle.map(|rule| format!("the `[[poll]]` at line {} fits no resource", rule.line));
    let told = rows.iter().map(|row| {
        let plan = rules.plan(&row.subject);
        let delay = match plan.cadence {
            Cadence::Cron { .. } => spread(&row.id.to_string(), rules.jitter).as_secs_f64(),
            _ => 0.0,
        };
        forecast(row, &plan, delay, from, count, now)
    });
    Ok((told.collect(), notes.collect()))
}

fn forecast(
    row: &Planned,
    plan: &Plan,
    delay_seconds: f64,
    from: From,
    count: usize,
    now: Timestamp,
) -> Told {
    let not_polled = match plan.disabled_by {
        _ if !row.polled => {
            Some("its instance is disabled, has its events off, or is being deleted".to_owned())
        }
        Some(source) => Some(format!("disabled by {source}")),
        None if !row.signed_in => Some("its instance must sign in again".to_owned()),
        None if row.held => {
            Some("it is held until a person decides: `deltapost instance show` tells why".to_owned())
        }
        None if row.paused => Some("the outbox is full; it goes on by itself when there is room".to_owned()),
        None => None,
    };
    let mut told = Told {
        cron: None,
        timezone: None,
        interval_minutes: None,
        runs: Vec::new(),
        resource: None,
    };
    match &plan.cadence {
        Cadence::Never => {}
        Cadence::Every(interval) => {
            told.interval_minutes = Some(interval.as_secs() / 60);
            told.runs = laps(row, *interval, from, count, now);
        }
        Cadence::Cron { schedule, timezone } => {
            (told.cron, told.timezone) = (Some(schedule.clone()), Some(timezone.clone()));
            let zone = Zones::of_system().find(timezone).unwrap_or(TimeZone::UTC);
            let schedule = Schedule::parse(schedule).ok();
            told.runs = schedule.map_or_else(Vec::new, |schedule| {
                runs_after(&schedule, &zone, from.instant(&zone), count)
            });
        }
    }
    if not_polled.is_some() {
        told.runs.clear();
    }
    let is_cron = told.cron.is_some();
    told.resource = Some(Resource {
        instance_id: row.subject.instance_id,
        instance: row.subject.instance.clone(),
        resource: row.subject.resource.clone(),
        source: plan.source.to_string(),
        timezone_source: is_cron.then(|| plan.timezone_source.to_string()),
        not_polled,
        delay_seconds,
        next_poll_at: row.next_poll_at.map(time_text),
    });
    told
}

/// The polls of an interval, if each begins when it is due.
fn laps(
    row: &Planned,
    interval: std::time::Duration,
    from: From,
    count: usize,
    now: Timestamp,
) -> Vec<PlannedRun> {
    let history = History {
        last_start: row.last_poll_at,
        unfinished: row.unfinished,
        not_before: row.throttled_until,
    };
    let step = SignedDuration::try_from(interval).unwrap_or(SignedDuration::MAX);
    let first = Trigger::Every(interval)
        .next_due(&history, now)
        .map(|due| due.max(now));
    let from = from.instant(&TimeZone::UTC);
    // Whole laps are passed over at once: `from` may lie years ahead.
    let first = first.map(|first| {
        let behind = from.duration_since(first).as_secs().max(-1);
        let laps = (behind + 1).div_euclid(step.as_secs().max(1)) + i64::from(behind >= 0);
        let skipped = i32::try_from(laps).ok().and_then(|laps| step.checked_mul(laps));
        skipped
            .and_then(|skipped| first.checked_add(skipped).ok())
            .unwrap_or(first)
    });
    let times = std::iter::successors(first, |at| at.checked_add(step).ok());
    let told = |at: Timestamp| PlannedRun::new(at, &TimeZone::UTC, None);
    times.filter(|at| *at > from).take(count).map(told).collect()
}

impl From {
    fn instant(self, zone: &TimeZone) -> Timestamp {
        match self {
            From::Instant(instant) => instant,
            From::Face(face) => zone.to_timestamp(face).unwrap_or(Timestamp::MIN),
        }
    }
}

impl Told {
    fn words(&self) -> String {
        let when = match (&self.cron, &self.timezone, self.interval_minutes) {
            (Some(cron), Some(zone), _) => format!("{cron} in {zone}"),
            (_, _, Some(minutes)) => format!("every {minutes} min"),
            _ => "on request only".to_owned(),
        };
        let head = match &self.resource {
            None => format!("{when}\n"),
            Some(resource) => resource.words(&when),
        };
        match self.runs.is_empty() {
            true => head,
            false => {
                head + &table(
                    &self.runs,
                    [
                        ("local", &|run| run.words.clone()),
                        ("utc", &|run| run.utc.clone()),
                        ("note", &|run| run.note.clone().unwrap_or_default()),
                    ],
                )
            }
        }
    }
}

impl Resource {
    fn words(&self, when: &str) -> String {
        let zone = self.timezone_source.as_ref().filter(|zone| **zone != self.source);
        let zone = zone.map_or_else(String::new, |zone| format!(", time zone: {zone}"));
        let delay = match self.delay_seconds {
            0.0 => String::new(),
            delay => format!(", {delay:.1} s later each time"),
        };
        let not_polled = self.not_polled.as_ref();
        let not_polled = not_polled.map_or_else(String::new, |why| format!("not polled: {why}\n"));
        format!(
            "{} / {}: {when} ({}{zone}){delay}\n{not_polled}",
            shown(&self.instance),
            shown(&self.resource),
            self.source
        )
    }
}
