//! Brute force: every minute (or second) around changes of the clocks in zones with odd rules, looked at one after the
//! other with the face that the zone's clock shows, against the runs that the schedule names. The oracle has its own
//! reading of an expression, and asks the zone for nothing but its offset at an instant.

use std::sync::OnceLock;

use jiff::tz::TimeZone;
use jiff::{Timestamp, civil};
use proptest::prelude::*;

use super::zone;
use crate::core::schedule::{Field, Schedule, ScheduleError};

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// Zones and the years of theirs that are looked at.
const ZONES: &[(&str, i16, i16)] = &[
    ("Australia/Lord_Howe", 2024, 2027),
    ("Africa/Cairo", 2010, 2015),
    ("Africa/Cairo", 2023, 2026),
    ("America/Santiago", 2021, 2026),
    ("Pacific/Apia", 2010, 2013),
    ("Africa/Casablanca", 2018, 2027),
    ("Europe/Dublin", 2024, 2027),
    ("Asia/Kathmandu", 1985, 1987),
    ("America/St_Johns", 2009, 2012),
    ("America/New_York", 2024, 2040),
    ("Europe/Berlin", 2024, 2027),
    ("Europe/Berlin", 2040, 2042),
    ("Pacific/Kwajalein", 1993, 1994),
    ("Antarctica/Casey", 2009, 2013),
    ("Antarctica/Troll", 2024, 2026),
    ("Asia/Pyongyang", 2015, 2019),
    ("America/Caracas", 2007, 2017),
    ("Africa/Monrovia", 1971, 1973),
    ("UTC", 2026, 2027),
];

/// One part of a list.
#[derive(Clone, Debug)]
pub(super) enum Item {
    All,
    Step(u32),
    Value(u32),
    Range(u32, u32),
    RangeStep(u32, u32, u32),
}

/// A made-up expression: seconds, minute, hour, day of month, month, day of week.
#[derive(Clone, Debug)]
pub(super) struct Expression {
    fields: [Vec<Item>; 6],
    six: bool,
}

impl Expression {
    pub(super) fn text(&self) -> String {
        let fields = if self.six {
            &self.fields[..]
        } else {
            &self.fields[1..]
        };
        let fields: Vec<String> = fields
            .iter()
            .map(|items| {
                let items: Vec<String> = items
                    .iter()
                    .map(|item| match item {
                        Item::All => "*".to_owned(),
                        Item::Step(step) => format!("*/{step}"),
                        Item::Value(value) => value.to_string(),
                        Item::Range(start, end) => format!("{start}-{end}"),
                        Item::RangeStep(start, end, step) => format!("{start}-{end}/{step}"),
                    })
                    .collect();
                items.join(",")
            })
            .collect();
        fields.join(" ")
    }

    fn star(&self, field: usize) -> bool {
        matches!(self.fields[field][0], Item::All | Item::Step(_))
    }

    /// Whether `value` is one of a field whose first value is `first`.
    fn has(&self, field: usize, value: u32, first: u32) -> bool {
        self.fields[field].iter().any(|item| match *item {
            Item::All => true,
            Item::Step(step) => (value - first).is_multiple_of(step),
            Item::Value(one) => one == value,
            Item::Range(start, end) => (start..=end).contains(&value),
            Item::RangeStep(start, end, step) => {
                (start..=end).contains(&value) && (value - start).is_multiple_of(step)
            }
        })
    }
}

/// What the oracle knows of an expression: a table for each field.
struct Tables {
    has: [[bool; 60]; 6],
    either: bool,
    fixed: bool,
}

impl Tables {
    fn new(expression: &Expression) -> Tables {
        let mut has = [[false; 60]; 6];
        for (field, first) in [0, 0, 0, 1, 1, 0].into_iter().enumerate() {
            for value in first..60 {
                has[field][value as usize] = expression.has(field, value, first);
            }
        }
        has[5][0] |= has[5][7];
        if !expression.six {
            has[0] = [false; 60];
            has[0][0] = true;
        }
        Tables {
            has,
            either: !expression.star(3) && !expression.star(5),
            fixed: !expression.star(1) && !expression.star(2),
        }
    }

    fn fit_day(&self, date: civil::Date) -> bool {
        let (day, weekday) = (
            self.has[3][date.day() as usize],
            self.has[5][date.weekday().to_sunday_zero_offset() as usize],
        );
        self.has[4][date.month() as usize]
            && if self.either {
                day || weekday
            } else {
                day && weekday
            }
    }

    fn fit(&self, face: i64) -> bool {
        let (minutes, hours) = (face.div_euclid(MINUTE), face.div_euclid(HOUR));
        self.has[0][face.rem_euclid(60) as usize]
            && self.has[1][minutes.rem_euclid(60) as usize]
            && self.has[2][hours.rem_euclid(24) as usize]
            && self.fit_day(shown(face).date())
    }

    /// The runs within `window`, by looking at each of its instants.
    fn runs(&self, window: &Window) -> Vec<i64> {
        let mut runs = Vec::new();
        let mut high = window.high;
        for (at, face) in window.instants() {
            let passed = high + window.step..face;
            let short = face - (high + window.step) <= 3 * HOUR;
            let in_gap = || {
                short
                    && passed
                        .clone()
                        .step_by(window.step as usize)
                        .any(|face| self.fit(face))
            };
            let runs_now = match self.fixed {
                true => face > high && (self.fit(face) || in_gap()),
                false => self.fit(face),
            };
            if runs_now {
                runs.push(at);
            }
            high = high.max(face);
        }
        runs
    }
}

/// What a clock shows at `face`.
fn shown(face: i64) -> civil::DateTime {
    TimeZone::UTC.to_datetime(Timestamp::from_second(face).unwrap())
}

/// The inverse of `shown`.
fn second(face: civil::DateTime) -> i64 {
    TimeZone::UTC.to_timestamp(face).unwrap().as_second()
}

/// The instants around a change of the clocks, with what the clock shows at each.
struct Window {
    name: &'static str,
    zone: TimeZone,
    start: i64,
    step: i64,
    faces: Vec<i64>,
    /// The latest face before the window.
    high: i64,
}

impl Window {
    fn new(name: &'static str, change: i64, before: i64, after: i64, step: i64) -> Window {
        let zone = zone(name);
        let start = change - before;
        let face = |at: i64| at + offset(&zone, at);
        Window {
            start,
            step,
            faces: (start..change + after).step_by(step as usize).map(face).collect(),
            high: (start - 26 * HOUR..start)
                .step_by(step as usize)
                .map(face)
                .max()
                .unwrap(),
            name,
            zone,
        }
    }

    fn instants(&self) -> impl Iterator<Item = (i64, i64)> {
        let at = (self.start..).step_by(self.step as usize);
        at.zip(self.faces.iter().copied())
    }

    fn end(&self) -> i64 {
        self.start + self.step * self.faces.len() as i64
    }
}

fn offset(zone: &TimeZone, at: i64) -> i64 {
    i64::from(zone.to_offset(Timestamp::from_second(at).unwrap()).seconds())
}

/// Windows of `step` seconds around every change of the clocks in `ZONES`.
fn windows(before: i64, after: i64, step: i64) -> Vec<Window> {
    let mut windows = Vec::new();
    for (name, from, until) in ZONES {
        let zone = zone(name);
        let year = |year: i16| second(civil::date(year, 1, 1).at(0, 0, 0, 0));
        let mut changes = Vec::new();
        for hour in (year(*from)..year(*until)).step_by(HOUR as usize) {
            let (old, new) = (offset(&zone, hour), offset(&zone, hour + HOUR));
            if old != new {
                changes.extend((hour + 1..=hour + HOUR).find(|at| offset(&zone, *at) == new));
            }
        }
        if changes.is_empty() {
            changes.push(year(*from) + 40 * DAY);
        }
        // Offsets have not always been whole minutes.
        let odd = changes.iter().any(|at| offset(&zone, at - 1) % MINUTE != 0);
        let step = if odd { step.min(30) } else { step };
        windows.extend(
            changes
                .iter()
                .map(|change| Window::new(name, *change, before, after, step)),
        );
    }
    windows
}

fn wide() -> &'static [Window] {
    static WINDOWS: OnceLock<Vec<Window>> = OnceLock::new();
    WINDOWS.get_or_init(|| windows(40 * HOUR, 40 * HOUR, MINUTE))
}

fn narrow() -> &'static [Window] {
    static WINDOWS: OnceLock<Vec<Window>> = OnceLock::new();
    WINDOWS.get_or_init(|| windows(HOUR + 600, 4 * HOUR + 600, 1))
}

/// Compares the runs in `window` with those of the schedule: the first after `now`, and those that follow it.
fn compare(expression: &Expression, window: &Window, now: f64) -> Result<(), TestCaseError> {
    let text = expression.text();
    let schedule = match Schedule::parse(&text) {
        Err(ScheduleError::Never { .. }) => return Ok(()),
        read => read.unwrap_or_else(|error| panic!("{text:?}: {error}")),
    };
    let now = window.start + (now * (window.end() - window.start) as f64) as i64;
    let tables = Tables::new(expression);
    let expect = tables
        .runs(window)
        .into_iter()
        .filter(|at| *at > now)
        .take(120)
        .collect::<Vec<_>>();
    let from = Timestamp::from_second(now).unwrap();
    let found = schedule.runs(&window.zone, from).map(|fire| fire.at.as_second());
    let found = found
        .take_while(|at| *at < window.end())
        .take(120)
        .collect::<Vec<_>>();
    let times = |runs: &[i64]| {
        runs.iter()
            .map(|at| Timestamp::from_second(*at).unwrap().to_string())
            .collect::<Vec<_>>()
    };
    prop_assert_eq!(
        times(&found),
        times(&expect),
        "{} in {} after {}",
        text,
        window.name,
        from
    );
    Ok(())
}

fn item(first: u32, last: u32, steps: u32) -> impl Strategy<Value = Item> {
    let range = (first..=last, first..=last).prop_map(|(a, b)| (a.min(b), a.max(b)));
    prop_oneof![
        3 => (first..=last).prop_map(Item::Value),
        2 => range.clone().prop_map(|(start, end)| Item::Range(start, end)),
        2 => (range, 1..=steps).prop_map(|((start, end), step)| Item::RangeStep(start, end, step)),
        1 => (1..=steps).prop_map(Item::Step),
        1 => Just(Item::All),
    ]
}

fn list(field: Field) -> BoxedStrategy<Vec<Item>> {
    let (first, last) = field.range();
    let (steps, top) = (last - first, if field == Field::DayOfWeek { 7 } else { last });
    let usual = match field {
        // Where clocks change.
        Field::Hour => item(0, 4, 4).boxed(),
        Field::Minute => item(0, 59, 30).boxed(),
        _ => Just(Item::All).boxed(),
    };
    prop_oneof![
        3 => proptest::collection::vec(usual, 1..=2),
        1 => proptest::collection::vec(item(first, top, steps), 1..=3),
    ]
    .boxed()
}

pub(super) fn expression() -> impl Strategy<Value = Expression> {
    (
        proptest::collection::vec(item(0, 59, 59), 1..=2),
        list(Field::Minute),
        list(Field::Hour),
        list(Field::DayOfMonth),
        list(Field::Month),
        list(Field::DayOfWeek),
        any::<bool>(),
    )
        .prop_map(|(second, minute, hour, day, month, weekday, six)| Expression {
            fields: [second, minute, hour, day, month, weekday],
            six,
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5_000))]
    #[test]
    fn every_minute_around_a_change_of_the_clocks_is_as_the_oracle_has_it(
        expression in expression(),
        window in any::<proptest::sample::Index>(),
        now in 0.0..1.0f64,
    ) {
        let five = Expression { six: false, ..expression };
        compare(&five, &wide()[window.index(wide().len())], now)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]
    #[test]
    fn every_second_around_a_change_of_the_clocks_is_as_the_oracle_has_it(
        expression in expression(),
        window in any::<proptest::sample::Index>(),
        now in 0.0..0.6f64,
    ) {
        let six = Expression { six: true, ..expression };
        compare(&six, &narrow()[window.index(narrow().len())], now)?;
    }

    /// Day by day until the end of 2100: which days fit, and that what is refused never would.
    #[test]
    fn the_next_day_is_as_the_oracle_has_it(expression in expression(), start in 0i64..40_000) {
        let mut expression = Expression { six: false, ..expression };
        expression.fields[1] = vec![Item::Value(7)];
        expression.fields[2] = vec![Item::Value(0)];
        let tables = Tables::new(&expression);
        let from = start * DAY + 8 * MINUTE;
        let last = second(civil::date(2100, 12, 31).at(0, 7, 0, 0));
        let expect = (start + 1..=last.div_euclid(DAY)).find(|day| tables.fit_day(shown(day * DAY).date()));
        let read = Schedule::parse(&expression.text());
        let found = read.ok().and_then(|schedule| {
            schedule.next_after(&TimeZone::UTC, Timestamp::from_second(from).unwrap())
        });
        let expect = expect.map(|day| Timestamp::from_second(day * DAY + 7 * MINUTE).unwrap());
        prop_assert_eq!(found.map(|fire| fire.at), expect, "{}", expression.text());
    }
}
