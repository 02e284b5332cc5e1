//! A fault of the agent's own in one of its threads: nobody else waits for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use deltapost::agent;
use deltapost::clock::{Clock, SystemClock};
use deltapost::commands::House;
use deltapost::config::{Config, Live};
use deltapost::sim::onedrive::Account;
use deltapost::sim::receiver::Receiver;
use jiff::Timestamp;
use serde_json::json;

use crate::provider::bench::Bench;
use crate::provider::clock::Stopped;
use crate::support::eventually;
use crate::support::hanging::Hanging;

/// The machine's clock, at which a hired delivering thread panics once.
#[derive(Debug)]
struct Faulty(AtomicBool);

impl Clock for Faulty {
    fn now(&self) -> Timestamp {
        if std::thread::current().name() == Some("deliver") && !self.0.swap(true, Ordering::SeqCst) {
            panic!("a fault that nobody thought of");
        }
        SystemClock.now()
    }

    fn sleep(&self, wait: Duration) {
        SystemClock.sleep(wait);
    }
}

#[test]
fn a_panic_of_the_only_thread_that_looks_for_work_keeps_nothing_from_being_delivered() {
    let bench = Bench::new(Account::business());
    let hanging = Hanging::one_host(1);
    let well = Receiver::start(None).unwrap();
    for (name, url) in [("Hangs", &hanging.urls[0]), ("Well", &well.url())] {
        bench.create(name, json!({"event.notification.callback.url": url}));
    }
    for resource in [1, 2] {
        bench.poll(resource).unwrap();
    }
    bench
        .drive()
        .create_file(&bench.drive().root_id(), "first.txt", 1);
    bench.poll(1).unwrap();

    let mut config = Config::clone(&bench.house().config);
    config.delivery.workers = 1;
    let clock = Arc::new(Faulty(AtomicBool::new(false)));
    let house = House {
        live: Arc::new(Live::new(&config)),
        config: Arc::new(config),
        clock: clock.clone(),
        ..bench.house()
    };
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _ends = Stopped(&stop);
        // Let go of before the agent stops, which would wait for its request.
        let _hanging = hanging;
        scope.spawn(|| agent::run(&house, None, &stop).unwrap());
        eventually("a hired thread has panicked", || clock.0.load(Ordering::SeqCst));
        bench.poll(2).unwrap();
        let received = well.wait_for(1, Duration::from_secs(10));
        assert!(
            received.is_ok(),
            "the only worker waits for the callback that hangs"
        );
    });
}
