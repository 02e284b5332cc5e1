//! Delivery against a real receiver, with the clock turned by hand through days of waiting.

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use deltapost::callback::Sender;
use deltapost::claims::Claims;
use deltapost::clock::{Clock, FakeClock};
use deltapost::config::Config;
use deltapost::deliver::{Deliverer, Tally};
use deltapost::sim::receiver::{Answer, Receiver};
use deltapost::store::Store;

use crate::fixture::{delta, notification, now, step, store_with_callback};

const KEY: &str = "signing-0123";

/// Delivers what is due on `clock`, as one worker does.
fn drain(store: &Store, clock: &FakeClock) -> Tally {
    let sender = Sender::new(Duration::from_secs(10), None, None, &[]).unwrap();
    let deliverer = Deliverer {
        store,
        sender: &sender,
        clock,
        waits: &Config::default().delivery.retry,
        graph_base: "https://graph.microsoft.com/v1.0",
        claims: &Claims::default(),
        stop: &AtomicBool::new(false),
    };
    deliverer.drain().unwrap()
}

#[test]
fn an_endpoint_down_for_days_gets_everything_in_order_when_it_is_back() {
    let receiver = Receiver::start(Some(KEY.to_owned())).unwrap();
    receiver.answer_always(Answer::Status(503));
    let directory = tempfile::tempdir().unwrap();
    let store = store_with_callback(directory.path(), &receiver.url());
    let ids: Vec<String> = (0..100)
        .map(|number| format!("notification-{number:03}"))
        .collect();
    let notifications: Vec<_> = ids.iter().map(|id| notification(id)).collect();
    store
        .commit_page(&store.resource(1).unwrap(), &step(&[], &notifications, &delta()))
        .unwrap();

    let clock = FakeClock::at(now());
    let mut attempts_at = Vec::new();
    while clock.now().duration_since(now()).as_hours() < 24 * 9 {
        let due = store.next_due().unwrap().unwrap();
        let wait = due.duration_since(clock.now());
        clock.advance(wait.try_into().unwrap_or(Duration::ZERO));
        attempts_at.push(clock.now());
        assert_eq!(
            drain(&store, &clock),
            Tally {
                delivered: 0,
                failed: 1
            },
            "only the oldest is tried"
        );
    }
    // The first nine waits are 4^x s apart, each drawn from its upper half; then the last one stays.
    let waits = &Config::default().delivery.retry;
    for (number, pair) in attempts_at.windows(2).enumerate() {
        let wait: Duration = pair[1].duration_since(pair[0]).try_into().unwrap();
        let longest = waits[number.min(waits.len() - 1)];
        assert!(
            wait >= longest / 2 && wait <= longest + Duration::from_millis(1),
            "{number}: {wait:?}"
        );
    }
    assert!(
        attempts_at.len() > waits.len(),
        "it is not given up after the last wait"
    );

    receiver.answer_always(Answer::Status(204));
    clock.advance(*waits.last().unwrap());
    assert_eq!(
        drain(&store, &clock),
        Tally {
            delivered: 100,
            failed: 0
        }
    );
    let accepted: Vec<String> = receiver
        .deliveries()
        .into_iter()
        .filter(|delivery| delivery.answer == Answer::Status(204))
        .map(|delivery| delivery.id)
        .collect();
    assert_eq!(accepted, ids);
    assert_eq!(store.next_due().unwrap(), None);
}

#[test]
fn an_answer_is_recorded_with_its_attempt() {
    let receiver = Receiver::start(Some(KEY.to_owned())).unwrap();
    receiver.answer_next(1, Answer::Status(500));
    let directory = tempfile::tempdir().unwrap();
    let store = store_with_callback(directory.path(), &receiver.url());
    store
        .commit_page(
            &store.resource(1).unwrap(),
            &step(&[], &[notification("one")], &delta()),
        )
        .unwrap();
    let clock = FakeClock::at(now());
    drain(&store, &clock);
    clock.advance(Duration::from_secs(4));
    drain(&store, &clock);
    let (row, body, _, attempts) = store.outbox_notification("one").unwrap().unwrap();
    assert_eq!(
        (row.state.as_str(), row.attempts, row.last_status),
        ("delivered", 2, Some(200))
    );
    assert_eq!(row.last_error, None);
    assert_eq!(
        attempts.iter().map(|attempt| attempt.status).collect::<Vec<_>>(),
        [Some(500), Some(200)]
    );
    assert_eq!(receiver.deliveries()[1].body, body);
}

#[test]
fn nothing_is_sent_while_the_key_that_signs_it_cannot_be_opened() {
    let receiver = Receiver::start(Some(KEY.to_owned())).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let store = store_with_callback(directory.path(), &receiver.url());
    store
        .commit_page(
            &store.resource(1).unwrap(),
            &step(&[], &[notification("one")], &delta()),
        )
        .unwrap();
    drop(store);
    use deltapost::store::{Look, Sharing};
    let store = Store::open(directory.path(), Sharing::Owner, None, Look::Brief).unwrap();
    assert_eq!(
        drain(&store, &FakeClock::at(now())),
        Tally {
            delivered: 0,
            failed: 1
        }
    );
    assert!(receiver.deliveries().is_empty());
    assert_eq!(store.list_outbox(Some("pending"), None, 10).unwrap().len(), 1);
}
