//! How long the housekeeper keeps to one thing, by a clock that is turned by hand.

use jiff::Timestamp;
use serde_json::json;

use super::*;
use crate::agent::scheduler::tests::Site;
use crate::callback::Sender;
use crate::clock::FakeClock;
use crate::config::{Config, Live};
use crate::core::poll::Poll;
use crate::graph::client::{Client, GraphConfig, TIMEOUTS};
use std::sync::Arc;

#[test]
fn a_write_is_rested_from_as_long_as_it_took_and_not_for_the_years_that_the_clock_was_set() {
    let rest = |took: Duration, set_to: i64| {
        let clock = FakeClock::at(Timestamp::from_second(1_800_000_000).unwrap());
        giving_way(&clock, || {
            clock.advance(took);
            clock.set(Timestamp::from_second(set_to).unwrap());
            Ok(())
        })
        .unwrap();
        clock.uptime() - took
    };
    for set_to in [0, 1_800_000_000, 3_600_000_000] {
        assert_eq!(
            rest(Duration::from_millis(300), set_to),
            Duration::from_millis(300)
        );
        assert_eq!(rest(Duration::from_secs(60), set_to), LONGEST_REST);
    }
}

/// A clock on which each measurement takes a second: a disk on which everything takes long.
#[derive(Debug)]
struct Slow(FakeClock);

impl Clock for Slow {
    fn now(&self) -> Timestamp {
        self.0.now()
    }

    fn uptime(&self) -> Duration {
        self.0.advance(Duration::from_secs(1));
        self.0.uptime()
    }

    fn sleep(&self, wait: Duration) {
        self.0.sleep(wait);
    }
}

#[test]
fn what_takes_long_is_done_part_by_part_so_that_the_watchdog_is_fed_between() {
    let site = Site::new("2026-03-02T10:00:00Z", "");
    let resource = site.add("Docs", json!({}));
    let (store, now) = (&site.store, site.clock.now());
    store.begin_poll(resource, now).unwrap();
    store.end_poll(resource, &Poll::begun(now)).unwrap();
    store.begin_deletion(1, now).unwrap();
    let config = Config::parse("").unwrap();
    let client = Client::new(&GraphConfig {
        base: &config.microsoft.graph,
        authority: &config.microsoft.authority,
        company: "",
        proxy: None,
        extra_roots: None,
        timeouts: TIMEOUTS,
    });
    let house = House {
        live: Arc::new(Live::new(&config)),
        store: Arc::clone(store),
        client: Arc::new(client.unwrap()),
        sender: Arc::new(Sender::new(config.delivery.timeout, None, None, &[]).unwrap()),
        clock: Arc::new(Slow(FakeClock::at(now))),
        config: Arc::new(config),
    };
    let stop = AtomicBool::new(false);
    let mut housekeeper = Housekeeper::new(&house, &stop);
    housekeeper.look();
    assert_eq!(
        store.instance_count().unwrap(),
        1,
        "its polls were removed, and that took long"
    );
    housekeeper.look_to_the_end();
    assert_eq!(store.instance_count().unwrap(), 0);
}
