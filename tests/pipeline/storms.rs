//! Random drives: every change is delivered once, in order, and all of them add up to the drive as it is.

use deltapost::core::model::EventType;
use deltapost::sim::onedrive::{Account, Gone, Habits, Repeats, Tree};
use serde_json::json;

use crate::support::Site;
use crate::support::ledger::{check_deliveries, check_replay};
use crate::support::storm::{Seed, Storm};

/// What a drive goes through in one of the random runs.
#[derive(Clone, Copy)]
struct Weather {
    seed: u64,
    steps: usize,
    /// One in this many steps is followed by a poll.
    polls: usize,
    /// One in this many steps makes all of the feed's tokens stale.
    stale: Option<usize>,
    /// Steps of the storm also happen while pages are being requested.
    meanwhile: bool,
    baseline: &'static str,
}

const FAIR: Weather = Weather {
    seed: 1,
    steps: 550,
    polls: 8,
    stale: None,
    meanwhile: false,
    baseline: "emit",
};

/// A drive of some size, an instance for it that has been polled once, and then everything at once.
#[track_caller]
fn check_storm(account: Account, weather: Weather) {
    let _seed = Seed(weather.seed);
    let site = Site::new(Account {
        seed: weather.seed,
        page_size: 7,
        ..account
    });
    let drive = site.drive();
    let storm = Storm::new(weather.seed);
    (0..60).for_each(|_| storm.step(&drive));
    site.create_instance(
        "Docs",
        json!({"event.poller.configuration": {"events": {
            "url": "/hubs/documents/events", "baseline": weather.baseline}}}),
    );
    site.once().code(0);
    let start = match weather.baseline {
        "emit" => Tree::new(),
        _ => drive.tree(),
    };
    if weather.meanwhile {
        let (storm, drive) = (storm.clone(), drive.clone());
        site.cloud.on_request(move |_| storm.step(&drive));
    }
    for _ in 0..weather.steps {
        storm.step(&drive);
        if weather.stale.is_some_and(|n| storm.one_in(n)) {
            let location = storm.one_in(2);
            drive.expire_delta_tokens(Gone {
                location,
                ..Gone::default()
            });
        }
        if storm.one_in(weather.polls) {
            site.once().code(0);
        }
    }
    site.cloud.on_request(|_| {});
    site.once().code(0);
    let events = site.receiver.events();
    for event_type in EventType::ALL {
        let count = events
            .iter()
            .filter(|event| event.event_type == *event_type)
            .count();
        assert!(count > 40, "the drive was too calm: {count} {event_type}");
    }
    check_deliveries(&site);
    check_replay(&start, &events, &drive.tree());
}

#[test]
fn every_change_of_a_random_drive_is_delivered_once() {
    for seed in [1, 2] {
        check_storm(Account::business().awkward(seed), Weather { seed, ..FAIR });
        check_storm(Account::consumer().awkward(seed), Weather { seed, ..FAIR });
    }
}

#[test]
fn every_change_after_a_silent_baseline_is_delivered_once() {
    for (seed, account) in [(3, Account::business()), (4, Account::consumer())] {
        let weather = Weather {
            seed,
            baseline: "snapshot",
            ..FAIR
        };
        check_storm(account.awkward(seed), weather);
    }
}

#[test]
fn stale_tokens_in_a_random_drive_cost_nothing() {
    for (seed, account) in [(5, Account::business()), (6, Account::consumer())] {
        let weather = Weather {
            seed,
            stale: Some(25),
            ..FAIR
        };
        check_storm(account.awkward(seed), weather);
    }
}

#[test]
fn of_an_item_that_a_set_shows_in_two_states_the_last_one_counts() {
    let habits = Habits {
        repeats: Repeats::OlderFirst,
        ..Habits::AWKWARD
    };
    let account = Account {
        habits,
        ..Account::business()
    };
    check_storm(account, Weather { seed: 7, ..FAIR });
}

#[test]
fn a_drive_that_changes_while_it_is_read_loses_nothing() {
    for (seed, account) in [(106, Account::business()), (101, Account::consumer())] {
        let weather = Weather {
            seed,
            meanwhile: true,
            ..FAIR
        };
        check_storm(account.awkward(seed), weather);
    }
}
