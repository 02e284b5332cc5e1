//! The watchdog over a real database in which nothing is polled but what a test polls: the agent's timetable has no part in
//! it, so that whatever becomes of that is noticed.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use jiff::SignedDuration;
use serde_json::json;

use super::super::alerts::Alerter;
use super::*;
use crate::agent::scheduler::tests::Site;
use crate::callback::Sender;
use crate::clock::Clock;
use crate::commands::House;
use crate::config::{Config, Live};
use crate::core::bounds::PausedBy;
use crate::core::model::Secret;
use crate::core::poll::Poll;
use crate::graph::client::{Client, GraphConfig, TIMEOUTS};
use crate::store::{Hold, Restart};

const LOOK: Duration = Duration::from_secs(30);

fn settings() -> Config {
    Config::parse("schedule.jitter = \"0s\"\n").unwrap()
}

fn poll(here: &Site, id: i64) {
    let now = here.clock.now();
    here.store.begin_poll(id, now).unwrap();
    here.store.end_poll(id, &Poll::begun(now)).unwrap();
}

/// Looks so often, and returns after how many looks something was sure to be overdue.
fn looks(here: &Site, dog: &mut Watchdog, count: u32, mut between: impl FnMut()) -> Option<u32> {
    let rules = settings().polling;
    let mut sure = None;
    for look in 1..=count {
        here.clock.advance(LOOK);
        between();
        let overdue = dog.look(&here.store, &rules, here.clock.now()).unwrap();
        sure = sure.or(overdue.iter().any(|late| late.is_sure).then_some(look));
    }
    sure
}

#[test]
fn what_is_not_polled_for_two_runs_is_an_alert_and_the_health_says_so_until_it_is_polled() {
    let here = Site::new("2026-03-01T12:00:00Z", "");
    let ids = [
        here.add("interval", json!({"event.poller.refresh_interval": 15})),
        here.add("cron", json!({"event.poller.schedule": "*/15 * * * *"})),
    ];
    let (config, stop) = (settings(), AtomicBool::new(false));
    let client = Client::new(&GraphConfig {
        base: "http://127.0.0.1:1",
        authority: "http://127.0.0.1:1",
        company: "",
        proxy: None,
        extra_roots: None,
        timeouts: TIMEOUTS,
    });
    let house = House {
        live: Arc::new(Live::new(&config)),
        store: Arc::clone(&here.store),
        client: Arc::new(client.unwrap()),
        sender: Arc::new(Sender::new(Duration::from_secs(1), None, None, &[]).unwrap()),
        clock: here.clock.clone(),
        config: Arc::new(config),
    };
    ids.iter().for_each(|id| poll(&here, *id));
    let mut alerter = Alerter::new(&house, &stop).unwrap();
    let mut minutes = |count: u32| {
        for _ in 0..count * 120 {
            alerter.round();
            here.clock.advance(Duration::from_millis(500));
        }
    };
    let health = |name: &str| here.store.health(name).unwrap()[0].health.clone();
    minutes(29);
    assert_eq!(here.store.standing_alerts().unwrap().len(), 0);
    minutes(4);
    let standing = here.store.standing_alerts().unwrap();
    let told: Vec<_> = standing
        .iter()
        .map(|one| (one.kind.as_str(), &*one.key))
        .collect();
    assert_eq!(
        told,
        [
            ("resource_overdue", "resource/1"),
            ("resource_overdue", "resource/2")
        ]
    );
    assert_eq!([health("interval"), health("cron")], ["overdue", "overdue"]);
    poll(&here, ids[0]);
    minutes(1);
    assert_eq!([health("interval"), health("cron")], ["ok", "overdue"]);
}

type Act<'a> = &'a dyn Fn();

#[test]
fn what_waits_for_a_reason_is_not_overdue_and_has_a_minute_to_catch_up() {
    let here = Site::new("2026-03-01T12:00:00Z", "");
    let id = here.add("a", json!({"event.poller.schedule": "*/5 * * * *"}));
    let (store, mut dog) = (&here.store, Watchdog::default());
    let now = || here.clock.now();
    let held = || store.resource(id).unwrap();
    let waits: [(Act<'_>, Act<'_>); 4] = [
        (
            &|| {
                let until = now() + SignedDuration::from_secs(59 * 60 + 10);
                store.note_app(1, &Secret::new("app")).unwrap();
                store.throttle(1, (now(), until), true).unwrap();
            },
            &|| {},
        ),
        (
            &|| assert!(store.pause(1, PausedBy::MaxEvents, now()).unwrap()),
            &|| store.resume(1).unwrap(),
        ),
        (&|| store.hold(&held(), Hold::Deletions).unwrap(), &|| {
            store.start_over(&held(), Restart::Rebaseline).unwrap();
        }),
        (
            &|| {
                store.enable_instance(1, false, now()).unwrap();
            },
            &|| {
                store.enable_instance(1, true, now()).unwrap();
            },
        ),
    ];
    for (number, (wait, go_on)) in waits.into_iter().enumerate() {
        poll(&here, id);
        wait();
        assert_eq!(looks(&here, &mut dog, 118, || {}), None, "wait {number}");
        go_on();
        assert_eq!(
            looks(&here, &mut dog, 10, || {}),
            Some(LATE_LOOKS),
            "wait {number}"
        );
    }
}

#[test]
fn a_long_poll_is_overdue_only_when_it_stands_still() {
    let here = Site::new("2026-03-01T12:00:00Z", "");
    let id = here.add("a", json!({"event.poller.refresh_interval": 1}));
    let mut dog = Watchdog::default();
    here.store.begin_poll(id, here.clock.now()).unwrap();
    let page = || {
        let resource = here.store.resource(id).unwrap();
        here.store.start_over(&resource, Restart::Rebaseline).unwrap();
    };
    assert_eq!(looks(&here, &mut dog, 60, page), None);
    assert_eq!(looks(&here, &mut dog, 20, || {}), Some(STALLED_LOOKS - 1));
}

#[test]
fn a_poll_of_the_future_hides_nothing() {
    let here = Site::new("2036-03-01T12:00:00Z", "");
    let id = here.add("a", json!({"event.poller.refresh_interval": 15}));
    poll(&here, id);
    here.clock.set("2026-03-01T12:00:00Z".parse().unwrap());
    let mut dog = Watchdog::default();
    assert_eq!(looks(&here, &mut dog, 59, || {}), None);
    assert!(looks(&here, &mut dog, 10, || {}).is_some());
}
