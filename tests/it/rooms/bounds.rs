//! The outbox's counters and its removal, on real files.

use deltapost::core::bounds::PausedBy;
use deltapost::core::model::{Event, Notification};
use deltapost::core::poll::Poll;
use deltapost::store::{Rows, Store};
use jiff::Timestamp;

use crate::rooms::fixture::{delta, notification, now, step, store};

const STATES: [&str; 3] = ["pending", "delivered", "dead"];

fn columns(state: &str) -> String {
    let due = if state == "pending" {
        "'2026-01-01'"
    } else {
        "NULL"
    };
    let delivered = if state == "delivered" {
        "'2026-01-01'"
    } else {
        "NULL"
    };
    format!("state = '{state}', next_attempt_at = {due}, delivered_at = {delivered}")
}

fn backlog(store: &Store) -> (u64, u64) {
    let backlog = &store.backlogs().unwrap()[0];
    (backlog.events, backlog.bytes)
}

#[test]
fn what_is_not_delivered_is_counted_through_every_change_of_state() {
    let directory = tempfile::tempdir().unwrap();
    let store = store(directory.path());
    let raw = rusqlite::Connection::open(store.path()).unwrap();
    for from in STATES {
        for to in STATES {
            let counts = |state: &str| if state == "delivered" { (0, 0) } else { (7, 100) };
            raw.execute_batch(&format!(
                "INSERT INTO outbox (event_id, instance_id, resource, created_at, event_count, next_attempt_at, body)
                 VALUES ('one', 1, 'events', 'now', 7, 'now', zeroblob(100));
                 UPDATE outbox SET {}",
                columns(from)
            ))
            .unwrap();
            assert_eq!(backlog(&store), counts(from), "{from}");
            raw.execute_batch(&format!("UPDATE outbox SET {}", columns(to)))
                .unwrap();
            assert_eq!(backlog(&store), counts(to), "{from} to {to}");
            raw.execute_batch("DELETE FROM outbox").unwrap();
            assert_eq!(backlog(&store), (0, 0), "{to} deleted");
        }
    }
}

/// `count` delivered notifications of a hundred events each.
fn deliver(store: &Store, count: usize) {
    let notifications: Vec<Notification> = (0..count)
        .map(|number| {
            let one = notification(&format!("notification-{number}"));
            let events: Vec<Event> = std::iter::repeat_n(one.events[0].clone(), 100).collect();
            Notification { events, ..one }
        })
        .collect();
    store
        .commit_page(&store.resource(1).unwrap(), &step(&[], &notifications, &delta()))
        .unwrap();
    let raw = rusqlite::Connection::open(store.path()).unwrap();
    raw.execute_batch(
        "UPDATE outbox SET state = 'delivered', next_attempt_at = NULL, delivered_at = created_at",
    )
    .unwrap();
}

#[test]
fn removal_goes_in_transactions_of_a_thousand_rows() {
    let directory = tempfile::tempdir().unwrap();
    let store = store(directory.path());
    deliver(&store, 25);
    assert_eq!(
        store.purge_delivered(now()).unwrap(),
        0,
        "not before, but at that time"
    );
    let mut removed = Vec::new();
    loop {
        match store.purge_delivered(Timestamp::MAX).unwrap() {
            0 => break,
            count => removed.push(count),
        }
    }
    assert_eq!(removed, [9, 9, 7], "with their events");
    assert!(store.list_outbox(None, None, 1).unwrap().is_empty());
}

/// The resources that a poll is owed to whatever their schedules say.
fn due(store: &Store) -> Vec<i64> {
    let mut due = Vec::new();
    let planned = store.planned(Rows::All, |row| {
        let waits = !row.signed_in || row.held || row.paused;
        if row.polled && !waits && (row.unfinished || row.last_poll_at.is_none()) {
            due.push(row.id);
        }
    });
    planned.unwrap();
    due
}

#[test]
fn a_paused_instance_is_not_due_and_what_its_pause_cut_off_is_due_at_its_end() {
    let directory = tempfile::tempdir().unwrap();
    let store = store(directory.path());
    let later = now() + jiff::SignedDuration::from_hours(1);
    assert_eq!(due(&store), [1]);
    assert!(!store.pause_if_full(1, 1, now()).unwrap());
    assert!(store.pause(1, PausedBy::MaxBytes, now()).unwrap());
    assert!(
        !store.pause(1, PausedBy::MaxEvents, later).unwrap(),
        "it is paused already"
    );
    assert!(store.pause_if_full(1, 1, now()).unwrap());
    assert!(due(&store).is_empty());
    store.resume(1).unwrap();
    assert_eq!(due(&store), [1]);

    // A poll that came to its end is not due again for the pause's sake; one that was cut off is.
    for (outcome, expect) in [("done", vec![]), ("paused", vec![1])] {
        store.begin_poll(1, now()).unwrap();
        let poll = Poll {
            paused: outcome == "paused",
            ..Poll::begun(now())
        };
        store.end_poll(1, &poll).unwrap();
        store.pause(1, PausedBy::MaxEvents, now()).unwrap();
        store.resume(1).unwrap();
        assert_eq!(due(&store), expect, "{outcome}");
    }
}
