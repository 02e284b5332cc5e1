//! Records created and updated at any time, found late, on pages of any size, by polls at any time that may fail, with a box
//! whose clock is wrong: what can be seen of each record is announced once.

use std::collections::{BTreeMap, BTreeSet};

use deltapost::clock::{Clock, SystemClock};
use deltapost::sim::onedrive::{Account, Collection, Endpoint, Fault, Shape};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::provider::bench::Bench;

/// The longest `pollDelay`, in seconds.
const DELAY: u64 = 300;

#[derive(Clone, Debug)]
enum Step {
    /// A record appears, and is found by queries so many seconds later, if `pollDelay` allows for that.
    Create { late: u64 },
    /// The record of that number, counted around, changes.
    Update { which: usize },
    /// Time passes.
    Pass { seconds: u64 },
    /// A poll, of which a request may fail.
    Poll { failure: Option<(usize, u16)> },
}

fn step() -> impl Strategy<Value = Step> {
    let failure = (0..4usize, prop::sample::select(vec![400, 404, 410, 500]));
    prop_oneof![
        3 => prop_oneof![Just(0), 1..=DELAY].prop_map(|late| Step::Create { late }),
        3 => any::<usize>().prop_map(|which| Step::Update { which }),
        3 => prop_oneof![Just(1), 2..900u64].prop_map(|seconds| Step::Pass { seconds }),
        3 => prop::option::weighted(0.3, failure).prop_map(|failure| Step::Poll { failure }),
    ]
}

/// How dates are written: to the millisecond, the second, the minute or the day.
#[derive(Clone, Copy, Debug)]
struct Dates {
    pattern: &'static str,
    written: &'static str,
}

const DATES: [Dates; 4] = [
    Dates {
        pattern: "yyyy-MM-dd'T'HH:mm:ss.SSSXXX",
        written: "%Y-%m-%dT%H:%M:%S%.3fZ",
    },
    Dates {
        pattern: "yyyy-MM-dd'T'HH:mm:ssXXX",
        written: "%Y-%m-%dT%H:%M:%SZ",
    },
    Dates {
        pattern: "yyyy-MM-dd'T'HH:mm':00'XXX",
        written: "%Y-%m-%dT%H:%M:00Z",
    },
    Dates {
        pattern: "yyyy-MM-dd'T00:00:00Z'",
        written: "%Y-%m-%dT00:00:00Z",
    },
];

struct World {
    bench: Bench,
    records: Collection,
    dates: Dates,
    delay: u64,
    /// How far the provider's clock is ahead of this machine's, and the box's clock of the provider's.
    ahead: SignedDuration,
    skew: SignedDuration,
    /// Versions that queries find, or will from that time on, each with its record.
    current: BTreeMap<String, (u64, Timestamp)>,
    versions: u64,
    told: BTreeSet<u64>,
}

impl World {
    fn new(dates: Dates, operator: &str, delay: u64, page_size: usize, skew: i64) -> World {
        let bench = Bench::new(Account::business());
        let records = bench.cloud.add_collection("/me/messages", Shape::Messages);
        let url = format!(
            "/me/messages?$filter=changed {operator} ${{gmtDate:{}}}",
            dates.pattern
        );
        bench.create(
            "Mail",
            json!({"event.poller.configuration": {"mail": {
            "url": url, "pageSize": page_size, "pollDelay": delay,
            "datesConfiguration": {"updatedDateField": "changed", "updatedDateFormat": dates.pattern,
                                   "createdDateField": "made", "createdDateFormat": dates.pattern}}}}),
        );
        World {
            bench,
            records,
            dates,
            delay,
            ahead: SignedDuration::ZERO,
            skew: SignedDuration::from_secs(skew),
            current: BTreeMap::new(),
            versions: 0,
            told: BTreeSet::new(),
        }
    }

    fn now(&self) -> Timestamp {
        SystemClock.now() + self.ahead
    }

    fn put(&mut self, id: &str, found_at: Timestamp) {
        self.put_dated(id, found_at, self.now());
    }

    /// A record that was there days before the creation.
    fn put_old(&mut self, id: &str) {
        let now = self.now();
        self.put_dated(id, now, now - SignedDuration::from_hours(72));
    }

    fn put_dated(&mut self, id: &str, found_at: Timestamp, date: Timestamp) {
        self.versions += 1;
        let now = self.now();
        let date = date.strftime(self.dates.written).to_string();
        let mut properties = json!({"changed": date, "version": self.versions});
        if !self.current.contains_key(id) {
            properties["made"] = Value::from(date);
        }
        self.records.put(id, properties);
        self.records.hide(id, found_at > now);
        self.current.insert(id.to_owned(), (self.versions, found_at));
    }

    fn pass(&mut self, seconds: u64) {
        self.ahead += SignedDuration::from_secs(seconds.cast_signed());
        self.bench.cloud.set_clock_ahead(self.ahead);
        let now = self.now();
        for (id, (_, found_at)) in &self.current {
            self.records.hide(id, *found_at > now);
        }
    }

    fn poll(&mut self, failure: Option<(usize, u16)>) {
        self.bench.clock.set(self.now() + self.skew);
        self.bench.cloud.heal(Endpoint::Other);
        if let Some((healthy, status)) = failure {
            self.bench
                .cloud
                .fail_after(Endpoint::Other, healthy, Fault::status(status));
        }
        let polled = self.bench.poll(1);
        self.bench.cloud.heal(Endpoint::Other);
        let events = self.bench.events();
        let mut told = BTreeSet::new();
        for event in &events {
            let raw: Value = serde_json::from_str(event.raw.as_ref().unwrap()).unwrap();
            let version = raw["version"].as_u64().unwrap();
            assert!(told.insert(version), "version {version} was told twice");
        }
        if polled.is_ok() {
            let now = self.now();
            let found = self.current.values().filter(|(_, found_at)| *found_at <= now);
            let missed: Vec<u64> = found
                .map(|(version, _)| *version)
                .filter(|v| !told.contains(v))
                .collect();
            let missed: Vec<&u64> = missed
                .iter()
                .filter(|version| !self.told.contains(version))
                .collect();
            assert!(missed.is_empty(), "versions {missed:?} were not told");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn every_change_that_can_be_seen_is_announced_once(
        steps in prop::collection::vec(step(), 1..40),
        dates in prop::sample::select(DATES.to_vec()),
        operator in prop::sample::select(vec!["ge", "gt"]),
        delay in prop::sample::select(vec![0, DELAY]),
        page_size in 1..6usize,
        skew in prop::sample::select(vec![0, 0, 75, -75]),
        existing in 0..4usize,
    ) {
        let mut world = World::new(dates, operator, delay, page_size, skew);
        for n in 0..existing {
            world.put_old(&format!("old {n}"));
        }
        world.poll_baseline();
        for step in steps {
            match step {
                Step::Create { late } => {
                    let found_at = world.now() + SignedDuration::from_secs(late.min(world.delay).cast_signed());
                    world.put(&format!("new {}", world.versions), found_at);
                }
                Step::Update { which } => {
                    let ids: Vec<String> = world.current.keys().cloned().collect();
                    if let Some(id) = ids.get(which % ids.len().max(1)) {
                        let found_at = world.current[id].1;
                        world.put(id, found_at);
                    }
                }
                Step::Pass { seconds } => world.pass(seconds),
                Step::Poll { failure } => world.poll(failure),
            }
        }
        world.pass(DELAY);
        world.poll(None);
        prop_assert!(world.bench.cell("SELECT count(*) FROM seen_record").parse::<usize>().unwrap() <= world.current.len());
    }
}

impl World {
    /// The first poll, which learns what exists.
    fn poll_baseline(&mut self) {
        self.told = self.current.values().map(|(version, _)| *version).collect();
        self.poll(None);
        assert!(self.bench.events().is_empty(), "a snapshot is silent");
    }
}

/// A box 75 s ahead learns of it from the first answer and asks again; with dates in whole days that is the same request.
#[test]
fn a_window_that_begins_again_may_go_by_the_same_links() {
    let mut world = World::new(DATES[3], "ge", 0, 1, 75);
    for id in ["A", "B"] {
        world.put_old(id);
    }
    world.poll_baseline();
    let now = world.now();
    world.put("C", now);
    world.poll(None);
}
