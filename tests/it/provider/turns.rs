//! A poll that reads for long while others wait for a thread.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use deltapost::clock::{Clock, SystemClock, since};
use deltapost::core::poll::Poll;
use deltapost::grants::Grants;
use deltapost::places::Places;
use deltapost::poll::{PollError, Poller};
use deltapost::sim::onedrive::{Account, Endpoint, Fault};
use deltapost::store::Depth;
use deltapost::wire::Timeouts;
use serde_json::json;

use crate::provider::bench::{Bench, GO_ON};
use crate::support::eventually;

const PATIENCE: Duration = Duration::from_millis(1_000);

/// Polls as an agent's thread does.
fn poll(
    bench: &Bench,
    pages: &Places,
    crowded: Option<&AtomicBool>,
    progress: &mut dyn FnMut(&Poll),
) -> Result<Poll, PollError> {
    let grants = Grants::new(&bench.store, &bench.client, &*bench.clock);
    let poller = Poller {
        store: &bench.store,
        client: &bench.client,
        grants: &grants,
        clock: &*bench.clock,
        batch: 10,
        max_events: 1_000_000,
        pages,
        stop: &GO_ON,
        crowded,
    };
    poller.poll(1, Depth::Changes, progress)
}

#[test]
fn a_long_poll_makes_room_between_two_pages_once_for_each_who_waits_and_loses_nothing() {
    let bench = Bench::new(Account::business());
    bench.drive().bulk_create(0, 1_500);
    bench.create("Docs", json!({}));
    let (pages, crowded) = (Places::new(1), AtomicBool::new(true));
    let poll_slowly = |crowded| {
        let mut page = |_: &_| bench.clock.advance(Duration::from_secs(6));
        poll(&bench, &pages, crowded, &mut page).unwrap()
    };
    let first = poll_slowly(Some(&crowded));
    assert!(first.stopped && first.pages == 2, "{first:?}");
    assert!(!crowded.load(Ordering::Relaxed), "another would make room, too");
    let unfinished = bench.cell("SELECT unfinished FROM resource");
    assert_eq!(unfinished, "1", "it is made again as soon as there is room");
    let second = poll_slowly(Some(&crowded));
    assert!(!second.stopped, "{second:?}");
    assert_eq!(first.items + second.items, 1_501);
    crowded.store(true, Ordering::Relaxed);
    let asked_for = poll_slowly(None);
    assert!(!asked_for.stopped && crowded.load(Ordering::Relaxed));
}

/// A bench whose provider has a page of 3 MiB, and may be silent for no longer than `PATIENCE`.
fn with_a_large_page() -> Bench {
    let bench = Bench::patient(Account::business(), Timeouts::within(PATIENCE));
    bench.create("Docs", json!({}));
    bench.poll(1).unwrap();
    let link = format!("{}/me/drive/root/delta?token=x", bench.cloud.graph_base());
    let filler = "x".repeat(3 << 20);
    let page = json!({"value": [], "filler": filler, "@odata.deltaLink": link});
    let page = Fault::Body(page.to_string().into_bytes());
    bench.cloud.fail_always(Endpoint::Delta, page);
    bench
}

#[test]
fn the_wait_for_another_large_page_is_not_taken_for_the_providers_silence() {
    let bench = with_a_large_page();
    let pages = Places::new(1);
    let others = bench.client.places(1, || false);
    let begun = SystemClock.uptime();
    let record = thread::scope(|scope| {
        let polled = scope.spawn(|| poll(&bench, &pages, None, &mut |_| {}));
        eventually("it waits for longer than the provider may be silent", || {
            since(begun, &SystemClock) > 2 * PATIENCE
        });
        drop(others);
        polled.join().unwrap()
    });
    assert_eq!(record.unwrap().pages, 1);
}

#[test]
fn a_large_page_without_a_place_is_read_later_and_is_no_failure() {
    let bench = with_a_large_page();
    let (pages, crowded) = (Places::new(1), AtomicBool::new(true));
    let others = bench.client.places(1, || false);
    thread::scope(|scope| {
        let polled = scope.spawn(|| poll(&bench, &pages, Some(&crowded), &mut |_| {}));
        eventually("it has its turn, and others wait", || {
            bench.clock.advance(Duration::from_secs(1));
            polled.is_finished()
        });
        let record = polled.join().unwrap().unwrap();
        assert!(record.stopped && record.pages == 0, "{record:?}");
    });
    assert_eq!(
        bench.cell("SELECT failures || ' ' || unfinished FROM resource"),
        "0 1"
    );
    drop(others);
    assert_eq!(
        poll(&bench, &pages, Some(&crowded), &mut |_| {}).unwrap().pages,
        1
    );
}
