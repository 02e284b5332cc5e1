//! The outbox as the API lists and counts it: what a filter finds is what the status says, pages neither lose nor repeat
//! a row however they are cut, and counts fall into the minutes in which rows were written.

use deltapost::core::history::{DeliveryStatus, EventStatus};
use deltapost::core::model::{Notification, time_from_text};
use deltapost::core::outbox::Entry;
use deltapost::store::{Listing, Page, Store, Wanted};
use rusqlite::Connection;

use crate::rooms::fixture::{add_instance, next, notification, step, store};

/// A store whose outbox holds `count` notifications of instance 1 and as many of instance 2, by turns, a minute apart.
fn filled(directory: &std::path::Path, count: usize) -> Store {
    let store = store(directory);
    add_instance(&store, "Other", "https://example.com/other");
    for number in 0..count {
        for resource in [1, 2] {
            let new: [Notification; 1] = [notification(&format!("{resource}-{number:05}"))];
            let resource = store.resource(resource).unwrap();
            store.commit_page(&resource, &step(&[], &new, &next())).unwrap();
        }
    }
    write(
        &store,
        "UPDATE outbox SET created_at = strftime('%Y-%m-%dT%H:%M:%fZ', '2026-03-01', '+' || id || ' minutes')",
    );
    store
}

fn write(store: &Store, statement: &str) {
    Connection::open(store.path())
        .unwrap()
        .execute_batch(statement)
        .unwrap();
}

fn ids(page: &Page) -> Vec<i64> {
    page.entries.iter().map(|entry| entry.id).collect()
}

/// Every page of what is asked for, `most` at a time.
fn all(store: &Store, asked: &Listing, most: usize) -> Vec<Entry> {
    let mut asked = Listing {
        most,
        ..asked.clone()
    };
    let mut found = Vec::new();
    loop {
        let page = store.listed(&asked).unwrap();
        assert!(page.entries.len() <= most);
        found.extend(page.entries);
        match page.next {
            Some(next) => asked.before = Some(next),
            None => return found,
        }
    }
}

#[test]
fn pages_hold_every_row_once_and_newest_first_however_they_are_cut() {
    let directory = tempfile::tempdir().unwrap();
    let store = filled(directory.path(), 12);
    // Gaps, larger than what one step looks at, as purging and many rows leave them.
    write(
        &store,
        "DELETE FROM outbox WHERE id IN (3, 4, 5);
         PRAGMA foreign_keys = OFF;
         UPDATE outbox SET id = id + 20000 WHERE id > 15;
         UPDATE event SET outbox_id = outbox_id + 20000 WHERE outbox_id > 15",
    );
    let expect = store.list_outbox(None, None, 100).unwrap();
    let expect: Vec<i64> = expect.iter().map(|row| row.id).collect();
    assert_eq!(expect.len(), 21);
    for most in [1, 2, 7, 20, 21, 22] {
        let found = all(&store, &Listing::default(), most);
        assert_eq!(
            found.iter().map(|entry| entry.id).collect::<Vec<_>>(),
            expect,
            "{most}"
        );
    }
    for instance_id in [1, 2] {
        let found = all(
            &store,
            &Listing {
                instance_id: Some(instance_id),
                ..Listing::default()
            },
            2,
        );
        assert!(found.iter().all(|entry| entry.instance_id == instance_id));
        assert_eq!(found.len(), if instance_id == 1 { 10 } else { 11 });
    }
}

#[test]
fn a_page_is_the_last_only_when_nothing_is_behind_it() {
    let directory = tempfile::tempdir().unwrap();
    let store = filled(directory.path(), 2);
    let page = |most| {
        store
            .listed(&Listing {
                most,
                ..Listing::default()
            })
            .unwrap()
    };
    assert_eq!((ids(&page(3)), page(3).next), (vec![4, 3, 2], Some(2)));
    assert_eq!((ids(&page(4)), page(4).next), (vec![4, 3, 2, 1], None));
}

#[test]
fn a_page_ends_early_when_its_bodies_are_large() {
    let directory = tempfile::tempdir().unwrap();
    let store = filled(directory.path(), 3);
    write(&store, "UPDATE outbox SET body = zeroblob(40000) WHERE id > 2");
    let asked = Listing {
        most: 100,
        with_bodies: true,
        ..Listing::default()
    };
    let page = store.listed(&asked).unwrap();
    assert_eq!((ids(&page), page.next), (vec![6, 5], Some(5)));
    assert_eq!(all(&store, &asked, 100).len(), 6);
    let without = Listing {
        with_bodies: false,
        ..asked
    };
    assert_eq!(store.listed(&without).unwrap().entries.len(), 6);
}

#[test]
fn times_are_a_filter_that_includes_the_first_and_not_the_last() {
    let directory = tempfile::tempdir().unwrap();
    let store = filled(directory.path(), 3);
    for (from, to, expect) in [
        ("2026-03-01T00:02:00Z", "2026-03-01T00:04:00Z", vec![3, 2]),
        ("2026-03-01T00:02:00.001Z", "2026-03-01T00:04:00.001Z", vec![4, 3]),
        ("2026-03-02T00:00:00Z", "2026-03-03T00:00:00Z", vec![]),
        ("2027-03-02T00:00:00Z", "2028-03-03T00:00:00Z", vec![]),
    ] {
        let (from, to) = (time_from_text(from), time_from_text(to));
        let page = store
            .listed(&Listing {
                from,
                to,
                most: 10,
                ..Listing::default()
            })
            .unwrap();
        assert_eq!((ids(&page), page.next), (expect, None));
    }
}

#[test]
fn a_filter_by_status_finds_exactly_those_that_have_it() {
    let directory = tempfile::tempdir().unwrap();
    let store = filled(directory.path(), 8);
    write(
        &store,
        "UPDATE outbox SET state = 'delivered', next_attempt_at = NULL, delivered_at = created_at WHERE id IN (1, 2);
         UPDATE outbox SET state = 'dead', next_attempt_at = NULL, attempts = 4 WHERE id IN (3, 4);
         UPDATE outbox SET attempts = 1 WHERE id IN (5, 6, 7);
         UPDATE endpoint SET state = 'disabled' WHERE id = 2",
    );
    let list = |status| {
        all(
            &store,
            &Listing {
                status,
                ..Listing::default()
            },
            3,
        )
    };
    let everything = list(Wanted::Any);
    for status in EventStatus::ALL {
        let of_status: Vec<_> = everything
            .iter()
            .filter(|entry| EventStatus::of(entry.state, entry.attempts) == *status)
            .cloned()
            .collect();
        assert_eq!(list(Wanted::Events(vec![*status])), of_status, "{status}");
        let is_used = !matches!(status, EventStatus::Received | EventStatus::Consumed);
        assert_eq!(!of_status.is_empty(), is_used, "{status}");
    }
    for status in DeliveryStatus::ALL {
        let has = |entry: &&Entry| {
            let endpoint = entry.endpoint.as_ref().unwrap().state;
            DeliveryStatus::of(entry.state, entry.attempts, endpoint) == *status
        };
        let of_status: Vec<_> = everything.iter().filter(has).cloned().collect();
        assert_eq!(list(Wanted::Deliveries(vec![*status])), of_status, "{status}");
        assert_eq!(
            !of_status.is_empty(),
            *status != DeliveryStatus::Notified,
            "{status}"
        );
    }
    assert_eq!(list(Wanted::Deliveries(DeliveryStatus::ALL.to_vec())).len(), 16);
    write(&store, "UPDATE instance SET endpoint_id = NULL WHERE id = 1");
    assert_eq!(list(Wanted::Deliveries(Vec::new())).len(), 8);
}

#[test]
fn one_is_found_by_its_number_and_by_its_event_id() {
    let directory = tempfile::tempdir().unwrap();
    let store = filled(directory.path(), 2);
    let asked = Listing {
        id: Some(2),
        most: 10,
        ..Listing::default()
    };
    assert_eq!(ids(&store.listed(&asked).unwrap()), [2]);
    let missing = Listing { id: Some(9), ..asked };
    assert_eq!(store.listed(&missing).unwrap(), Page::default());
    let found = store.listed_event("2-00000", Some(2)).unwrap().unwrap();
    let gone = Entry {
        id: 9,
        ..found.clone()
    };
    let found = store.read_bodies(vec![gone, found]).unwrap().remove(0);
    assert_eq!(
        (found.id, found.content.unwrap().objects().to_string().as_str()),
        (2, "[{}]")
    );
    assert_eq!(store.listed_event("2-00000", Some(1)).unwrap(), None);
    assert_eq!(store.listed_event("2", None).unwrap(), None);
}

#[test]
fn counts_are_of_the_minutes_in_which_rows_were_written() {
    let directory = tempfile::tempdir().unwrap();
    let store = filled(directory.path(), 3);
    write(
        &store,
        "UPDATE outbox SET created_at = '2026-03-01T00:04:59.999Z' WHERE id = 2",
    );
    let time = |text: &str| time_from_text(text).unwrap();
    let mut counts = Vec::new();
    let span = (time("2026-03-01T00:03:00Z"), time("2026-03-01T00:06:00Z"));
    store
        .count_by_minute(span, |count| {
            counts.push((count.at.to_string(), count.instance_id, count.notifications))
        })
        .unwrap();
    counts.sort();
    let expect = [
        ("2026-03-01T00:03:00Z", 1, 1),
        ("2026-03-01T00:04:00Z", 2, 2),
        ("2026-03-01T00:05:00Z", 1, 1),
    ];
    assert_eq!(
        counts,
        expect.map(|(at, instance, count)| (at.to_owned(), instance, count))
    );
}
