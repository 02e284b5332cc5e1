//! A poll that reads for long while others wait for a thread.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use deltapost::grants::Grants;
use deltapost::places::Places;
use deltapost::poll::Poller;
use deltapost::sim::onedrive::Account;
use deltapost::store::Depth;
use serde_json::json;

use crate::provider::bench::{Bench, GO_ON};

#[test]
fn a_long_poll_makes_room_between_two_pages_once_for_each_who_waits_and_loses_nothing() {
    let bench = Bench::new(Account::business());
    bench.drive().bulk_create(0, 1_500);
    bench.create("Docs", json!({}));
    let grants = Grants::new(&bench.store, &bench.client, &bench.clock);
    let (pages, crowded) = (Places::new(1), AtomicBool::new(true));
    let poller = |crowded| Poller {
        store: &bench.store,
        client: &bench.client,
        grants: &grants,
        clock: &bench.clock,
        batch: 10,
        max_events: 1_000_000,
        pages: &pages,
        stop: &GO_ON,
        crowded,
    };
    let poll = |crowded| {
        let mut page = |_: &_| bench.clock.advance(Duration::from_secs(6));
        poller(crowded).poll(1, Depth::Changes, &mut page).unwrap()
    };
    let first = poll(Some(&crowded));
    assert!(first.stopped && first.pages == 2, "{first:?}");
    assert!(!crowded.load(Ordering::Relaxed), "another would make room, too");
    let unfinished = bench.cell("SELECT unfinished FROM resource");
    assert_eq!(unfinished, "1", "it is made again as soon as there is room");
    let second = poll(Some(&crowded));
    assert!(!second.stopped, "{second:?}");
    assert_eq!(first.items + second.items, 1_501);
    crowded.store(true, Ordering::Relaxed);
    let asked_for = poll(None);
    assert!(!asked_for.stopped && crowded.load(Ordering::Relaxed));
}
