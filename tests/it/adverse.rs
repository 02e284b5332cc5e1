//! A box that is not as it should be: each is brought about for real, must be told clearly, may lose nothing, and is over by
//! itself once its cause is gone. What needs root, or a library that is not there, says that it is skipped;
//! what needs root fails where `.ci/run` runs as root.

mod clock;
mod disk;
mod memory;

mod owner;
mod place;

use deltapost::sim::onedrive::{Account, Tree};
use serde_json::json;

use crate::support::{Site, ledger};

/// A site whose instance announces what exists and is polled every second.
fn polled(site: &Site) {
    polled_as(site, "Docs");
}

fn polled_as(site: &Site, name: &str) {
    let resources = json!({"events": {"url": "/hubs/documents/events", "baseline": "emit"}});
    let wanted = json!({
        "event.poller.configuration": resources,
        "event.poller.refresh_interval": null,
        "event.poller.schedule": "* * * * * *",
    });
    site.create_instance(name, wanted);
}

/// The account, and settings with which nothing is waited for long.
fn hurried() -> (Account, &'static str) {
    let sections = "[schedule]\njitter = \"0s\"\n[delivery]\nretry = [\"1s\", \"1s\", \"1s\", \"1s\", \"1s\", \"1s\", \"1s\", \"1s\"]\n";
    (Account::business(), sections)
}

/// What was announced is what is on the drive, all of it and in order.
#[track_caller]
fn nothing_is_lost(site: &Site) {
    let counts = site.receiver.counts();
    assert_eq!((counts.changed, counts.unverified), (0, 0), "{counts:?}");
    ledger::check_replay(&Tree::new(), &site.receiver.events(), &site.drive().tree());
    assert_eq!(site.cell("PRAGMA integrity_check"), "ok");
}
