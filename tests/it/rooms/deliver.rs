//! Delivery against a real receiver, with the clock turned by hand through days of waiting.

use std::sync::atomic::{self, AtomicBool};
use std::time::Duration;

use deltapost::callback::Sender;
use deltapost::clock::{Clock, FakeClock};
use deltapost::config::{Config, Delivery, OnFailure, Ordering};
use deltapost::deliver::{Deliverer, Tally, Turns};
use deltapost::sim::receiver::{Answer, Receiver};
use deltapost::store::{Key, Look, Sharing, Store};
use jiff::Timestamp;

use crate::rooms::fixture::GRAPH;
use crate::rooms::fixture::{add_instance, delta, notification, now, step, store_with_callback};

const KEY: &str = "signing-0123";

/// A store, its receivers and a clock turned by hand.
struct Bench {
    directory: tempfile::TempDir,
    store: Store,
    clock: FakeClock,
    settings: Delivery,
}

impl Bench {
    /// Instance 1, whose notifications go to `receiver`.
    fn new(receiver: &Receiver) -> Bench {
        let directory = tempfile::tempdir().unwrap();
        let store = store_with_callback(directory.path(), &receiver.url());
        Bench {
            directory,
            store,
            clock: FakeClock::at(now()),
            settings: Config::default().delivery,
        }
    }

    /// Writes notifications of instance 1, named so.
    fn write(&self, resource_id: i64, ids: &[&str]) {
        let notifications: Vec<_> = ids.iter().map(|id| notification(id)).collect();
        let resource = self.store.resource(resource_id).unwrap();
        self.store
            .commit_page(&resource, &step(&[], &notifications, &delta()))
            .unwrap();
    }

    /// Delivers what is due now, as one worker does.
    fn drain(&self) -> Tally {
        self.drain_by(self.clock.now())
    }

    fn drain_by(&self, by: Timestamp) -> Tally {
        let sender = Sender::new(Duration::from_secs(10), None, None, &[]).unwrap();
        let turns = Turns::default();
        let deliverer = Deliverer {
            store: &self.store,
            sender: &sender,
            clock: &self.clock,
            settings: &self.settings,
            turns: &turns,
            stop: &AtomicBool::new(false),
        };
        deliverer.drain(by, &turns.seat(false), None).unwrap()
    }

    /// Goes on to the time when something is due, and returns how long that was.
    fn go_on(&self) -> Duration {
        let due = self
            .store
            .next_due()
            .unwrap()
            .expect("something is due some time");
        let wait = due
            .duration_since(self.clock.now())
            .try_into()
            .unwrap_or(Duration::ZERO);
        self.clock.advance(wait);
        wait
    }

    fn state_of(&self, id: &str) -> String {
        let found = self.store.outbox_notification(id, 0).unwrap();
        found.unwrap().0.state.to_string()
    }

    fn sql(&self, query: &str) -> String {
        let file = self.directory.path().join("deltapost.db");
        let connection = rusqlite::Connection::open(file).unwrap();
        connection
            .query_row(query, [], |row| {
                Ok(row.get::<_, Option<String>>(0)?.unwrap_or_default())
            })
            .unwrap()
    }
}

/// The ids that `receiver` has accepted, in order.
fn accepted(receiver: &Receiver) -> Vec<String> {
    let deliveries = receiver.deliveries().into_iter();
    let good = |answer: &Answer| matches!(answer, Answer::Status(200..=299));
    deliveries
        .filter(|delivery| good(&delivery.answer))
        .map(|delivery| delivery.id)
        .collect()
}

#[test]
fn what_fails_waits_although_the_clock_has_been_set_back_since_the_drain_began() {
    let receiver = Receiver::start(Some(KEY.to_owned())).unwrap();
    receiver.answer_always(Answer::Status(503));
    let bench = Bench::new(&receiver);
    bench.write(1, &["one"]);
    let began = bench.clock.now() + Duration::from_secs(3_600);
    let once = Tally {
        delivered: 0,
        failed: 1,
    };
    assert_eq!(bench.drain_by(began), once);
}

#[test]
fn an_endpoint_down_for_days_is_disabled_probed_daily_and_gets_everything_in_order_when_it_is_back() {
    let receiver = Receiver::start(Some(KEY.to_owned())).unwrap();
    receiver.answer_always(Answer::Status(503));
    let bench = Bench::new(&receiver);
    let ids: Vec<String> = (0..100)
        .map(|number| format!("notification-{number:03}"))
        .collect();
    bench.write(1, &ids.iter().map(String::as_str).collect::<Vec<_>>());

    // Its waits are 4^x s apart, each drawn from its upper half; then a probe a day.
    assert_eq!(
        bench.drain(),
        Tally {
            delivered: 0,
            failed: 1
        },
        "only the oldest is tried"
    );
    for longest in bench.settings.retry.clone() {
        let wait = bench.go_on();
        assert!(
            wait >= longest / 2 && wait <= longest + Duration::from_millis(1),
            "{longest:?}: {wait:?}"
        );
        assert_eq!(
            bench.drain(),
            Tally {
                delivered: 0,
                failed: 1
            },
            "one probe at a time"
        );
    }
    assert_eq!(bench.sql("SELECT state FROM endpoint"), "disabled");
    for _ in 0..7 {
        assert_eq!(bench.go_on(), Duration::from_secs(24 * 60 * 60));
        assert_eq!(
            bench.drain(),
            Tally {
                delivered: 0,
                failed: 1
            }
        );
    }

    receiver.answer_always(Answer::Status(204));
    bench.go_on();
    assert_eq!(
        bench.drain(),
        Tally {
            delivered: 100,
            failed: 0
        }
    );
    assert_eq!(accepted(&receiver), ids);
    assert_eq!(bench.store.next_due().unwrap(), None);
    assert_eq!(bench.sql("SELECT state FROM endpoint"), "active");
}

#[test]
fn a_refused_notification_holds_its_instance_for_three_retries_and_then_those_behind_it_go_on() {
    let receiver = Receiver::start(Some(KEY.to_owned())).unwrap();
    receiver.answer_next(4, Answer::Status(422));
    let bench = Bench::new(&receiver);
    bench.write(1, &["poison", "next"]);
    for wait in [0, 4, 12, 48] {
        assert!(bench.go_on() <= Duration::from_secs(wait) + Duration::from_millis(1));
        assert_eq!(bench.state_of("poison"), "pending");
        assert!(accepted(&receiver).is_empty());
        bench.drain();
    }
    assert_eq!(
        (bench.state_of("poison").as_str(), bench.state_of("next").as_str()),
        ("dead", "delivered")
    );
    assert_eq!(accepted(&receiver), ["next"]);
}

#[test]
fn a_receiver_that_refuses_everything_kills_three_and_then_backs_off() {
    let receiver = Receiver::start(Some(KEY.to_owned())).unwrap();
    receiver.answer_always(Answer::Status(400));
    let bench = Bench::new(&receiver);
    bench.write(1, &["one", "two", "three", "four", "five"]);
    for _ in 0..40 {
        bench.go_on();
        bench.drain();
    }
    let states: Vec<String> = ["one", "two", "three", "four"]
        .iter()
        .map(|id| bench.state_of(id))
        .collect();
    assert_eq!(states, ["dead", "dead", "dead", "pending"]);
    receiver.answer_always(Answer::Status(200));
    bench.go_on();
    bench.drain();
    assert_eq!(accepted(&receiver), ["four", "five"]);
}

#[test]
fn gone_disables_at_once_and_with_queue_any_failure_does() {
    #[track_caller]
    fn check(status: u16, on_failure: OnFailure, state: &str) {
        let receiver = Receiver::start(Some(KEY.to_owned())).unwrap();
        receiver.answer_always(Answer::Status(status));
        let mut bench = Bench::new(&receiver);
        bench.settings.on_failure = on_failure;
        bench.write(1, &["one"]);
        bench.drain();
        assert_eq!(bench.sql("SELECT state FROM endpoint"), state, "{status}");
        assert_eq!(bench.state_of("one"), "pending", "nothing is lost");
    }
    check(410, OnFailure::Retry, "disabled");
    check(500, OnFailure::Retry, "backing_off");
    check(500, OnFailure::Queue, "disabled");
}

#[test]
fn poison_on_a_shared_url_delays_no_other_instance_however_long_it_has_failed() {
    let receiver = Receiver::start(Some(KEY.to_owned())).unwrap();
    let bench = Bench::new(&receiver);
    add_instance(&bench.store, "Other", &receiver.url());
    bench.write(1, &["poison"]);
    receiver.answer_always(Answer::Status(500));
    for _ in 0..5 {
        bench.go_on();
        bench.drain();
    }
    assert_eq!(bench.sql("SELECT state FROM endpoint"), "backing_off");
    bench.clock.advance(Duration::from_secs(1));
    bench.write(2, &["good-1", "good-2", "good-3"]);
    // Whatever else the receiver is sent, it chokes on the poison only.
    receiver.answer_next(1, Answer::Status(200));
    receiver.answer_next(1, Answer::Status(500));
    receiver.answer_always(Answer::Status(200));
    bench.drain();
    assert_eq!(accepted(&receiver), ["good-1", "good-2", "good-3"]);
    assert_eq!(
        bench.sql("SELECT state FROM endpoint"),
        "active",
        "only the poison backs off"
    );
    assert_eq!(
        bench.sql("SELECT CAST(failures AS TEXT) FROM outbox WHERE event_id = 'poison'"),
        "1"
    );
}

#[test]
fn an_endpoint_that_is_down_gets_one_early_try_of_each_instance_and_keeps_its_wait() {
    let receiver = Receiver::start(Some(KEY.to_owned())).unwrap();
    receiver.answer_always(Answer::Status(500));
    let bench = Bench::new(&receiver);
    add_instance(&bench.store, "Other", &receiver.url());
    bench.write(1, &["one"]);
    bench.drain();
    let probe = bench.sql("SELECT failures || ' ' || next_probe_at FROM endpoint");
    bench.write(2, &["two", "three"]);
    for failed in [1, 0, 0] {
        let expect = Tally { delivered: 0, failed };
        assert_eq!(bench.drain(), expect);
        let after = bench.sql("SELECT failures || ' ' || next_probe_at FROM endpoint");
        assert_eq!(after, probe, "its wait goes on");
    }
}

#[test]
fn without_order_one_that_backs_off_holds_no_other_of_its_instance() {
    let receiver = Receiver::start(Some(KEY.to_owned())).unwrap();
    receiver.answer_next(1, Answer::Status(422));
    let mut bench = Bench::new(&receiver);
    bench.settings.ordering = Ordering::None;
    bench.write(1, &["poison", "one", "two", "three"]);
    bench.drain();
    let mut got = accepted(&receiver);
    got.sort();
    assert_eq!(got.len(), 3);
    assert_eq!(
        bench.sql("SELECT CAST(count(*) AS TEXT) FROM outbox WHERE state = 'pending'"),
        "1"
    );
}

#[test]
fn retry_after_holds_the_whole_endpoint() {
    let receiver = Receiver::start(Some(KEY.to_owned())).unwrap();
    let headers = vec![("Retry-After", "600".to_owned())];
    receiver.answer_next(
        1,
        Answer::Full {
            status: 429,
            headers,
            body: String::new(),
        },
    );
    let bench = Bench::new(&receiver);
    add_instance(&bench.store, "Other", &receiver.url());
    bench.write(1, &["one", "two"]);
    bench.drain();
    bench.write(2, &["three"]);
    bench.drain();
    assert_eq!(
        receiver.deliveries().len(),
        1,
        "no other instance tries it earlier"
    );
    assert_eq!(bench.go_on(), Duration::from_secs(600));
    bench.drain();
    let mut got = accepted(&receiver);
    got.sort();
    assert_eq!(got, ["one", "three", "two"]);
}

#[test]
fn an_answer_is_recorded_with_its_attempt() {
    let receiver = Receiver::start(Some(KEY.to_owned())).unwrap();
    receiver.answer_next(1, Answer::Status(500));
    let bench = Bench::new(&receiver);
    bench.write(1, &["one"]);
    bench.drain();
    bench.go_on();
    bench.drain();
    let (row, body, _, attempts) = bench
        .store
        .outbox_notification("one", usize::MAX)
        .unwrap()
        .unwrap();
    assert_eq!(
        (row.state.as_str(), row.attempts, row.last_status),
        ("delivered", 2, Some(200))
    );
    assert_eq!(row.last_error, None);
    let statuses: Vec<_> = attempts.iter().map(|attempt| attempt.status).collect();
    assert_eq!(statuses, [Some(500), Some(200)]);
    assert_eq!(receiver.deliveries()[1].body, body);
}

#[test]
fn the_attempts_that_are_kept_are_bounded() {
    let receiver = Receiver::start(Some(KEY.to_owned())).unwrap();
    receiver.answer_always(Answer::Status(503));
    let bench = Bench::new(&receiver);
    bench.write(1, &["one"]);
    for _ in 0..30 {
        bench.go_on();
        bench.drain();
    }
    let (row, _, _, attempts) = bench.store.outbox_notification("one", 0).unwrap().unwrap();
    assert_eq!((row.attempts, attempts.len(), attempts[0].number), (30, 20, 11));
}

#[test]
fn nothing_is_sent_while_the_key_that_signs_it_cannot_be_opened_and_all_at_once_when_it_is_back() {
    let receiver = Receiver::start(Some(KEY.to_owned())).unwrap();
    let mut bench = Bench::new(&receiver);
    bench.write(1, &["one"]);
    let key = Key::load(bench.directory.path(), None).unwrap();
    bench.store = Store::open(bench.directory.path(), Sharing::Owner, None, Look::Brief, GRAPH).unwrap();
    // Each is as good as a restart of the agent; within one it is tried once.
    for _ in 0..12 {
        assert_eq!(
            bench.drain(),
            Tally {
                delivered: 0,
                failed: 1
            }
        );
        bench.clock.advance(Duration::from_secs(2 * 60 * 60));
    }
    assert!(receiver.deliveries().is_empty());
    assert_eq!(bench.state_of("one"), "pending");
    // The key is back: it goes out at once.
    bench.store = Store::open(bench.directory.path(), Sharing::Owner, key, Look::Brief, GRAPH).unwrap();
    bench.drain();
    assert_eq!(accepted(&receiver), ["one"]);
}

#[test]
fn what_cannot_be_recorded_yet_is_not_sent_again_meanwhile() {
    let receiver = Receiver::start(Some(KEY.to_owned())).unwrap();
    let bench = Bench::new(&receiver);
    bench.write(1, &["one"]);
    // Somebody writes for longer than the store waits.
    let other = rusqlite::Connection::open(bench.directory.path().join("deltapost.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let sender = Sender::new(Duration::from_secs(10), None, None, &[]).unwrap();
    let stop = AtomicBool::new(false);
    let turns = Turns::default();
    let deliverer = Deliverer {
        store: &bench.store,
        sender: &sender,
        clock: &bench.clock,
        settings: &bench.settings,
        turns: &turns,
        stop: &stop,
    };
    std::thread::scope(|scope| {
        scope.spawn(|| deliverer.work(&turns.seat(false), &|| false, &|| ()));
        receiver.wait_requests(1, Duration::from_secs(10)).unwrap();
        let again = receiver.wait_requests(2, Duration::from_secs(8));
        other.execute_batch("ROLLBACK").unwrap();
        stop.store(true, atomic::Ordering::Relaxed);
        turns.ring();
        assert!(again.is_err(), "it came again");
    });
    assert_eq!(
        bench.state_of("one"),
        "delivered",
        "the last try to record it counts"
    );
}
