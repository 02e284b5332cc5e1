//! The whole way from a drive to a callback, through the binary: every change of a random drive is delivered once, in
//! order, and adds up to the drive as it is.

mod support;

use std::sync::{Arc, Mutex};

use deltapost::sim::onedrive::{Account, Gone, Habits, Repeats, Tree};
use serde_json::json;

use support::Site;
use support::ledger::{check_deliveries, check_replay};
use support::storm::{Seed, Storm};

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
    let storm = Arc::new(Mutex::new(Storm::new(weather.seed)));
    let step = || storm.lock().unwrap().step(&drive);
    (0..60).for_each(|_| step());
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
    let one_in = |n| storm.lock().unwrap().dice.one_in(n);
    if weather.meanwhile {
        let (storm, drive) = (storm.clone(), drive.clone());
        site.cloud.on_request(move |_| storm.lock().unwrap().step(&drive));
    }
    for _ in 0..weather.steps {
        step();
        if weather.stale.is_some_and(one_in) {
            drive.expire_delta_tokens(Gone::default());
        }
        if one_in(weather.polls) {
            site.once().code(0);
        }
    }
    site.cloud.on_request(|_| {});
    site.once().code(0);
    check_deliveries(&site);
    check_replay(&start, &site.receiver.events(), &drive.tree());
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
    for (seed, account) in [(8, Account::business()), (9, Account::consumer())] {
        let weather = Weather {
            seed,
            meanwhile: true,
            ..FAIR
        };
        check_storm(account.awkward(seed), weather);
    }
}
