//! Random drives: every change is delivered once, in order, and all of them add up to the drive as it is.

use deltapost::core::model::EventType;
use deltapost::sim::onedrive::{Account, Gone, Habits, Repeats, Tree};
use deltapost::sim::receiver::{Answer, Received};
use serde_json::json;

use crate::support::ledger::{check_deliveries, check_replay};
use crate::support::storm::{Seed, Storm};
use crate::support::{Site, eventually};

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
    polls: 14,
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
        site.cloud.on_request(move |_| {
            storm.step(&drive);
            if weather.stale.is_some_and(|n| storm.one_in(4 * n)) {
                drive.expire_delta_tokens(Gone::default());
            }
        });
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
            poll_in(weather, &site);
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

/// Where tokens go stale in the middle of sets, a poll may be sent back to the start too often, and leave the rest to
/// the next one.
#[track_caller]
fn poll_in(weather: Weather, site: &Site) {
    let ran = site.once();
    if ran.code == Some(1) && weather.meanwhile && weather.stale.is_some() {
        ran.says(&["the provider found the token stale 3 times in one poll"]);
    } else {
        ran.code(0);
    }
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
    for (seed, account, stale) in [
        (106, Account::business(), None),
        (101, Account::consumer(), None),
        (306, Account::business(), Some(20)),
    ] {
        let weather = Weather {
            seed,
            meanwhile: true,
            stale,
            ..FAIR
        };
        check_storm(account.awkward(seed), weather);
    }
}

#[test]
fn two_accounts_under_a_running_agent_and_a_receiver_that_fails_now_and_then() {
    let seed = 9;
    let _seed = Seed(seed);
    let site = Site::configured(
        Account::business().awkward(seed),
        &format!("[delivery]\nretry = [{}]\nbatch = 3\n", ["\"1s\""; 32].join(", ")),
    );
    let other = site.cloud.add_account(Account::consumer().awkward(seed + 1));
    let drives = [site.drive(), other];
    let storms = [Storm::new(seed), Storm::new(seed + 1)];
    let names = ["First", "Second"];
    for (drive, name) in drives.iter().zip(names) {
        site.create_instance_of(
            drive,
            name,
            json!({"event.poller.configuration": {"events": {"url": "/me/drive/root/delta", "baseline": "emit", "pageSize": 5}}}),
        );
    }
    let agent = site.spawn_run();
    for _ in 0..250 {
        let at = storms[0].below(2);
        storms[at].step(&drives[at]);
        if storms[0].one_in(20) {
            let answer = [
                Answer::Status(500),
                Answer::Close,
                Answer::Status(302),
                Answer::Status(429),
            ];
            site.receiver.answer_next(1, answer[storms[0].below(4)].clone());
        }
        if storms[0].one_in(8) {
            site.poll(names[at], &[]).code(0);
        }
    }
    for name in names {
        site.poll(name, &[]).code(0);
    }
    eventually("all is delivered", || {
        site.cell("SELECT count(*) FROM outbox WHERE state <> 'delivered'") == "0"
    });
    assert_eq!(agent.stop(), Some(0));
    check_deliveries(&site);
    let events = site.receiver.events();
    for (number, drive) in drives.iter().enumerate() {
        let of_instance = |event: &&Received| event.instance == number as i64 + 1;
        let events: Vec<Received> = events.iter().filter(of_instance).cloned().collect();
        check_replay(&Tree::new(), &events, &drive.tree());
    }
}
