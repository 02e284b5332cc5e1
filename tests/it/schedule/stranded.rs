//! Resources of one instance that end their polls beside each other: none of them is ever left without a next poll.

use deltapost::sim::onedrive::{Account, Endpoint, Fault};
use serde_json::{Value, json};

use crate::support::{Site, eventually};

/// Resources that are neither polled now nor planned.
const STRANDED: &str =
    "SELECT count(*) FROM resource WHERE NOT unfinished AND coalesce(next_poll_at <= last_poll_at, 1)";

/// A site with one instance of so many resources, all of the same drive.
fn site(resources: usize) -> Site {
    let sections = "[schedule]\njitter = \"0s\"\n\n[[poll]]\ninstance = \"*\"\ncron = \"0 3 * * *\"\n";
    let site = Site::configured(Account::business(), sections);
    let feeds: serde_json::Map<String, Value> = (0..resources)
        .map(|number| (format!("r{number}"), json!({"url": "/hubs/documents/events"})))
        .collect();
    site.create_instance("Docs", json!({"event.poller.configuration": feeds}));
    site
}

/// Waits until each resource has been polled at least so often and is planned again.
#[track_caller]
fn settled(site: &Site, polls: usize) {
    let seldom = format!(
        "SELECT count(*) FROM resource r
          WHERE (SELECT count(*) FROM poll p WHERE p.resource_id = r.id AND p.outcome = 'done') < {polls}"
    );
    eventually(&format!("{polls} polls of each resource"), || {
        site.cell(&seldom) == "0"
    });
    eventually("each resource is planned again", || site.cell(STRANDED) == "0");
}

#[test]
fn an_agent_that_starts_with_many_resources_due_polls_all_of_them_and_plans_them_again() {
    let site = site(8);
    let agent = site.spawn_run();
    settled(&site, 1);
    assert_eq!(agent.stop(), Some(0));
}

#[test]
fn polls_on_request_strand_no_resource_beside_them() {
    let site = site(3);
    let agent = site.spawn_run();
    settled(&site, 1);
    for round in 2..6 {
        site.poll("Docs", &[]).code(0);
        settled(&site, round);
    }
    assert_eq!(agent.stop(), Some(0));
}

#[test]
fn after_many_answers_of_429_every_resource_is_polled() {
    let site = site(12);
    for _ in 0..24 {
        site.cloud.fail_next(Endpoint::Delta, Fault::throttle(1));
    }
    let agent = site.spawn_run();
    settled(&site, 1);
    assert_eq!(agent.stop(), Some(0));
}
