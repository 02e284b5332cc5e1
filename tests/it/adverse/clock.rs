//! A box without a battery for its clock: it starts in 1970, and the time comes later, over the network.

use std::fs;
use std::path::{Path, PathBuf};

use deltapost::clock::{Clock, SystemClock};

use crate::adverse::{hurried, nothing_is_lost, polled};
use crate::support::{Site, eventually};

/// The library that shows a program another time, where it is installed.
fn library() -> Option<PathBuf> {
    let places = ["x86_64-linux-gnu", "aarch64-linux-gnu"];
    let found = places
        .iter()
        .map(|place| {
            Path::new("/usr/lib")
                .join(place)
                .join("faketime/libfaketimeMT.so.1")
        })
        .find(|path| path.exists());
    if found.is_none() {
        eprintln!("skipped: Debian's package `libfaketime` is not installed");
    }
    found
}

#[test]
fn an_agent_that_starts_in_1970_catches_up_when_the_clock_is_set() {
    let Some(library) = library() else { return };
    let (account, sections) = hurried();
    let site = Site::configured(account, sections);
    polled(&site);
    let drive = site.drive();
    drive.create_file(&drive.root_id(), "of today.xlsx", 1_200);
    site.once().code(0);
    assert_eq!(site.receiver.events().len(), 1);

    // One that waits for a receiver which is out of order, by today's clock.
    site.receiver
        .answer_always(deltapost::sim::receiver::Answer::Status(503));
    drive.create_file(&drive.root_id(), "waiting.xlsx", 1_200);
    site.once().code(1);
    site.receiver
        .answer_always(deltapost::sim::receiver::Answer::Status(200));

    let clock = site.file("clock", "-56y\n");
    let environment = [
        ("LD_PRELOAD", library.to_str().unwrap()),
        ("FAKETIME_TIMESTAMP_FILE", clock.to_str().unwrap()),
        ("FAKETIME_NO_CACHE", "1"),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
    ];
    let mut agent = site.spawn_agent(&environment);
    eventually("it runs in the past", || agent.log().starts_with("1970-"));
    site.cli_in(&environment, &["outbox"]).code(0);
    drive.create_file(&drive.root_id(), "of 1970.xlsx", 1_200);
    assert!(agent.runs(), "{}", agent.log());

    let set_at = SystemClock.now();
    fs::write(&clock, "+0\n").unwrap();
    eventually("all has come", || site.receiver.events().len() >= 3);
    nothing_is_lost(&site);
    // What was missed is one poll, not fifty-six years of them.
    let polls: u64 = site.cell("SELECT count(*) FROM poll").parse().unwrap();
    let seconds = SystemClock.now().duration_since(set_at).as_secs().unsigned_abs();
    assert!(polls < 20 + 2 * seconds, "{polls} polls in {seconds} s");
    assert_eq!(agent.stop(), Some(0));
}
