//! Time that passes while nobody polls, time that goes back, and zones whose rules change.

use std::fs;
use std::path::Path;

use deltapost::sim::onedrive::Account;
use serde_json::json;

use crate::schedule::{planned, polls, settled};
use crate::support::{Site, eventually};

fn site(keys: serde_json::Value) -> Site {
    let site = Site::configured(Account::business(), "[schedule]\njitter = \"0s\"\n");
    site.create_instance("Docs", keys);
    site
}

#[test]
fn downtime_gives_one_catch_up_poll() {
    let site = site(json!({"event.poller.schedule": "*/5 * * * *", "event.poller.refresh_interval": null}));
    site.once().code(0);
    site.write_sql("UPDATE resource SET last_poll_at = '2026-01-01T00:00:00.000Z'");
    let agent = site.spawn_run();
    // Were there more than one to come, they would have come before the next is planned.
    settled(&site, 2);
    let minute = &planned(&site)[14..];
    assert!(
        minute.ends_with(":00.000Z") && matches!(&minute[1..2], "0" | "5"),
        "{minute}"
    );
    assert_eq!(agent.stop(), Some(0));
    assert!(polls(&site) <= 3, "one catch-up, and at most the next run");
}

#[test]
fn the_clock_going_back_repeats_nothing_and_stalls_nothing() {
    let site = site(json!({"event.poller.schedule": "* * * * *", "event.poller.refresh_interval": null}));
    site.once().code(0);
    // As when the clock was set back by five hours since the last poll.
    site.write_sql(
        "UPDATE resource SET last_poll_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '+5 hours'), next_poll_at = NULL",
    );
    let agent = site.spawn_run();
    eventually("the next poll is planned", || !planned(&site).is_empty());
    let soon = site.cell(
        "SELECT next_poll_at BETWEEN strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
                                 AND strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '+2 minutes') FROM resource",
    );
    assert_eq!((polls(&site), soon.as_str()), (1, "1"));
    assert_eq!(agent.stop(), Some(0));
}

/// A zone of which the clocks are always ahead by so many hours (RFC 8536, version 1: one type, no transitions).
fn write_zone(path: &Path, hours: i32) {
    let mut bytes = b"TZif\0".to_vec();
    bytes.extend([0; 15]);
    for count in [0u32, 0, 0, 0, 1, 4] {
        bytes.extend(count.to_be_bytes());
    }
    bytes.extend((hours * 3600).to_be_bytes());
    bytes.extend([0, 0]);
    bytes.extend(b"FIX\0");
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let new = path.with_extension("new");
    fs::write(&new, bytes).unwrap();
    fs::rename(new, path).unwrap();
}

#[test]
fn a_changed_tzdata_file_is_picked_up_by_a_running_agent() {
    let site = site(json!({
        "event.poller.schedule": "0 12 * * *", "event.poller.timezone": "Asia/Kathmandu",
        "event.poller.refresh_interval": null,
    }));
    let zones = site.file("version", "2020a").with_file_name("zoneinfo");
    let zone = zones.join("Asia/Kathmandu");
    write_zone(&zone, 3);
    let environment = [("TZDIR", zones.to_str().unwrap())];
    let agent = site.spawn_agent(&environment);
    settled(&site, 1);
    assert!(planned(&site).ends_with("T09:00:00.000Z"), "{}", planned(&site));
    write_zone(&zone, 7);
    eventually("the new rules hold", || {
        planned(&site).ends_with("T05:00:00.000Z")
    });
    fs::remove_file(zone).unwrap();
    eventually("the built-in rules hold", || {
        planned(&site).ends_with("T06:15:00.000Z")
    });
    assert_eq!(polls(&site), 1, "new rules are no reason to poll");
    assert_eq!(agent.stop(), Some(0));
}

#[test]
fn check_tells_which_time_zones_are_in_use_and_when_others_are_newer() {
    let site = site(json!({}));
    let zones = site.file("version", "").with_file_name("zoneinfo");
    let check = |version: &str| {
        fs::create_dir_all(&zones).unwrap();
        fs::write(zones.join("tzdata.zi"), format!("# version {version}\n")).unwrap();
        let ran = site
            .cli_in(&[("TZDIR", zones.to_str().unwrap())], &["check"])
            .code(0);
        ran.stdout.replace(zones.to_str().unwrap(), "DIR")
    };
    let told = check("1999a");
    assert!(
        told.contains("time zones: of this system, in `DIR`, version 1999a\nwarning: version 20"),
        "{told}"
    );
    let told = check("2999a");
    assert!(
        told.ends_with("time zones: of this system, in `DIR`, version 2999a\n"),
        "{told}"
    );
}
