//! A clock that was ahead and is set right: what waits by it waits as long as was meant.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use deltapost::agent;
use deltapost::clock::{Clock, SystemClock};
use deltapost::commands::House;
use deltapost::config::{Config, Live};
use deltapost::poll::PollError;
use deltapost::sim::onedrive::{Account, Endpoint, Fault};
use deltapost::sim::receiver::Answer;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::provider::bench::{Bench, GO_ON};
use crate::support::eventually;

const TEN_YEARS: SignedDuration = SignedDuration::from_hours(10 * 8_766);

/// The machine's clock, so much ahead.
#[derive(Debug)]
struct Ahead(Mutex<SignedDuration>);

impl Clock for Ahead {
    fn now(&self) -> Timestamp {
        SystemClock.now() + *self.0.lock().unwrap()
    }

    fn sleep(&self, wait: Duration) {
        SystemClock.sleep(wait);
    }
}

/// Has the agent stop, also when the test fails.
pub(crate) struct Stopped<'a>(pub(crate) &'a AtomicBool);

impl Drop for Stopped<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Polls and delivers as `once` does; how many notifications were delivered, and how many were not.
fn once(bench: &Bench) -> (u64, u64) {
    let report = agent::once(&bench.house(), &GO_ON, &|_| {}).unwrap();
    (report.delivery.delivered, report.delivery.failed)
}

fn add_file(bench: &Bench, name: &str) {
    bench.drive().create_file(&bench.drive().root_id(), name, 1);
}

#[test]
fn a_receiver_that_failed_by_a_clock_ahead_is_tried_after_the_wait_that_was_meant() {
    let bench = Bench::new(Account::business());
    bench.create("Docs", json!({}));
    let right = bench.clock.now();
    once(&bench);
    bench.clock.set(right + TEN_YEARS);
    bench.receiver.answer_always(Answer::Status(503));
    add_file(&bench, "of 2036.txt");
    assert_eq!(once(&bench), (0, 1));

    // Set right: neither at once nor in ten years, nor again and again without a wait.
    bench.clock.set(right);
    assert_eq!(once(&bench), (0, 0));
    bench.pass(4);
    assert_eq!(once(&bench), (0, 1));
    assert_eq!(once(&bench), (0, 0));
    bench.receiver.answer_always(Answer::Status(200));
    bench.pass(16);
    assert_eq!(once(&bench), (1, 0));
    // What is written by the right clock goes out by it.
    add_file(&bench, "of today.txt");
    assert_eq!(once(&bench), (1, 0));
    assert_eq!(bench.receiver.counts().duplicates, 0);
}

#[test]
fn a_notification_that_was_written_by_a_clock_ahead_is_due_at_once() {
    let bench = Bench::new(Account::business());
    bench.create("Docs", json!({}));
    let right = bench.clock.now();
    bench.poll(1).unwrap();
    bench.clock.set(right + TEN_YEARS);
    add_file(&bench, "of 2036.txt");
    bench.poll(1).unwrap();
    bench.clock.set(right);
    assert_eq!(once(&bench), (1, 0));
}

#[test]
fn a_pause_by_a_clock_ahead_lasts_as_long_as_was_asked_for() {
    let bench = Bench::new(Account::business());
    bench.create("Docs", json!({"event.poller.schedule": "* * * * *"}));
    let right = bench.clock.now();
    bench.poll(1).unwrap();
    bench.clock.set(right + TEN_YEARS);
    bench.cloud.fail_next(Endpoint::Delta, Fault::throttle(120));
    assert!(bench.poll(1).is_err());
    bench.clock.set(right);
    once(&bench);
    bench.pass(119);
    assert!(matches!(bench.poll(1), Err(PollError::Throttled { .. })));
    assert!(!bench.due().contains(&1));
    bench.pass(1);
    assert!(bench.due().contains(&1));
    bench.poll(1).unwrap();
}

#[test]
fn a_running_agent_goes_on_by_itself_when_its_clock_is_set_right() {
    let bench = Bench::new(Account::business());
    bench.create("Docs", json!({"event.poller.refresh_interval": 1}));
    bench.create_of(
        &bench.drive(),
        "Other app",
        json!({"oauth.api.key": "another-app-0123"}),
    );
    let clock = Arc::new(Ahead(Mutex::new(TEN_YEARS)));
    let house = House {
        clock: clock.clone(),
        ..bench.house()
    };
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _ends = Stopped(&stop);
        scope.spawn(|| agent::run(&house, None, &stop).unwrap());
        eventually("both are known", || {
            bench.cell("SELECT count(*) FROM resource WHERE phase = 'following'") == "2"
        });
        bench.receiver.answer_next(1, Answer::Status(503));
        bench.cloud.fail_next(Endpoint::Delta, Fault::throttle(2));
        add_file(&bench, "of 2036.txt");
        for instance in ["Docs", "Other app"] {
            let instance = house.store.find_instance(instance).unwrap();
            house
                .ask_for_polls(&instance, None, deltapost::store::Depth::Changes)
                .unwrap();
        }
        eventually("the receiver has failed, and the provider", || {
            bench.cell("SELECT count(*) FROM endpoint WHERE failures > 0") == "1"
                && bench.cell("SELECT count(*) FROM throttle WHERE throttles > 0") == "1"
        });
        *clock.0.lock().unwrap() = SignedDuration::ZERO;
        eventually("all has come", || bench.receiver.counts().events == 2);
    });
}

#[test]
fn a_clock_that_is_set_ahead_ends_no_wait_of_a_running_agent() {
    leaps_over_no_wait(503, "SELECT max(next_probe_at) FROM endpoint");
    leaps_over_no_wait(400, "SELECT max(next_attempt_at) FROM outbox");
}

#[test]
fn a_clock_that_is_set_ahead_during_once_ends_no_wait() {
    let bench = Bench::new(Account::business());
    bench.create("Docs", json!({}));
    once(&bench);
    bench.receiver.answer_always(Answer::Status(503));
    add_file(&bench, "refused.txt");
    assert_eq!(once(&bench), (0, 1));
    let ahead = bench.clock.now() + TEN_YEARS;
    let report = agent::once(&bench.house(), &GO_ON, &|_| bench.clock.set(ahead)).unwrap();
    assert_eq!(bench.clock.now(), ahead);
    assert_eq!((report.delivery.delivered, report.delivery.failed), (0, 0));
}

#[test]
fn the_right_to_renew_a_grant_lasts_as_long_as_was_meant_when_the_clock_is_set_ahead() {
    for by in [60, 10 * 365 * 24 * 60 * 60].map(SignedDuration::from_secs) {
        let bench = Bench::new(Account::business());
        bench.create("Docs", json!({}));
        let begin = bench.clock.now();
        let may_renew = |who, now| bench.store.take_renewal(1, who, now).unwrap();
        assert!(may_renew("one", begin));
        let from = begin + Duration::from_secs(90);
        bench.store.put_waits_off(from, from + by).unwrap();
        // Half a minute of it is left.
        assert!(!may_renew("another", from + by + Duration::from_secs(29)));
        assert!(may_renew("another", from + by + Duration::from_secs(31)));
        // One that was given by the new time stays.
        bench.store.put_waits_off(from, from + by).unwrap();
        assert!(may_renew("third", from + by + Duration::from_secs(31 + 121)));
    }
}

/// `wait` is when what the receiver has answered with `status` is tried again.
fn leaps_over_no_wait(status: u16, wait: &str) {
    let bench = Bench::new(Account::business());
    bench.create("Docs", json!({"event.poller.refresh_interval": 1}));
    let mut config = Config::clone(&bench.house().config);
    config.delivery.retry = vec![Duration::from_secs(3_600)];
    config.alerts.url = Some(bench.receiver.url());
    let clock = Arc::new(Ahead(Mutex::new(SignedDuration::ZERO)));
    let house = House {
        live: Arc::new(Live::new(&config)),
        config: Arc::new(config),
        clock: clock.clone(),
        ..bench.house()
    };
    let stop = AtomicBool::new(false);
    let ask = || {
        let instance = house.store.find_instance("Docs").unwrap();
        house
            .ask_for_polls(&instance, None, deltapost::store::Depth::Changes)
            .unwrap();
    };
    let minutes_left = |query: &str| {
        let until: Timestamp = bench.cell(query).parse().unwrap();
        until.duration_since(clock.now()).as_mins()
    };
    std::thread::scope(|scope| {
        let _ends = Stopped(&stop);
        scope.spawn(|| agent::run(&house, None, &stop).unwrap());
        eventually("it is known", || {
            bench.cell("SELECT count(*) FROM resource WHERE phase = 'following'") == "1"
        });
        bench.receiver.answer_always(Answer::Status(status));
        add_file(&bench, "refused.txt");
        ask();
        eventually("the receiver has failed", || {
            bench.cell("SELECT count(*) FROM outbox WHERE last_failed_at IS NOT NULL") == "1"
        });
        bench.cloud.fail_next(Endpoint::Delta, Fault::throttle(3_600));
        ask();
        eventually("the provider has refused", || {
            bench.cell("SELECT count(*) FROM throttle WHERE throttles > 0") == "1"
        });
        bench.write_sql("UPDATE resource SET held = 'drive'");
        eventually("the alert was refused, too", || {
            bench.cell("SELECT count(*) FROM alert WHERE attempts > 0") == "1"
        });
        let (pages, _) = bench.requests();

        *clock.0.lock().unwrap() = TEN_YEARS;
        eventually("each wait is as long as was meant", || {
            [
                wait,
                "SELECT until FROM throttle",
                "SELECT next_attempt_at FROM alert",
            ]
            .into_iter()
            .all(|wait| (29..=60).contains(&minutes_left(wait)))
        });
        assert_eq!(bench.receiver.deliveries().len(), 2);
        assert_eq!(bench.requests().0, pages);
    });
}

#[test]
fn history_is_kept_for_its_time_although_the_clock_jumps_ahead() {
    let bench = Bench::new(Account::business());
    bench.create("Docs", json!({}));
    let delivered = || bench.cell("SELECT count(*) FROM outbox WHERE state = 'delivered'");
    let days = |days: u64| {
        (0..days).for_each(|_| {
            bench.pass(24 * 60 * 60);
            once(&bench);
        });
    };
    once(&bench);
    add_file(&bench, "one.txt");
    assert_eq!(once(&bench), (1, 0));
    bench.pass(60 * 60);
    once(&bench);

    // An hour later it is ten years later. A day of them may be downtime, the rest is not believed.
    let right = bench.clock.now();
    bench.clock.set(right + TEN_YEARS);
    once(&bench);
    days(5);
    add_file(&bench, "two.txt");
    assert_eq!(once(&bench), (1, 0));
    assert_eq!(delivered(), "2");
    days(2);
    assert_eq!(delivered(), "1");

    // Set right, what was delivered in 2036 goes with what was delivered after it, and its time stays as it was told.
    bench.clock.set(right);
    add_file(&bench, "three.txt");
    assert_eq!(once(&bench), (1, 0));
    days(6);
    assert_eq!(delivered(), "2");
    assert_eq!(
        bench.cell("SELECT count(*) FROM outbox WHERE delivered_at > '2036'"),
        "1"
    );
    days(2);
    assert_eq!(delivered(), "0");
}

#[test]
fn a_grant_that_was_renewed_by_a_clock_ahead_is_renewed_by_the_right_one_and_not_left_idle() {
    let bench = Bench::new(Account::business());
    bench.create("Docs", json!({}));
    let right = bench.clock.now();
    bench.poll(1).unwrap();
    bench.clock.set(right + TEN_YEARS);
    bench.poll(1).unwrap();
    let (_, tokens) = bench.requests();
    bench.clock.set(right);
    bench.poll(1).unwrap();
    assert_eq!(bench.requests().1, tokens + 1);
    bench.write_sql("UPDATE instance SET enabled = 0");
    bench.pass(7 * 24 * 60 * 60);
    once(&bench);
    assert_eq!(bench.requests().1, tokens + 2, "the idle one is renewed");
}
