//! What an agent that was killed while it read does when it is back: it goes on where it was. Kills at each point
//! between reading and recording are in `kill.rs`.

use std::collections::BTreeMap;

use deltapost::sim::onedrive::{Account, Endpoint, Fault, Tree};
use serde_json::json;

use crate::support::ledger::{check_deliveries_after_kills, check_replay};
use crate::support::{PATIENCE, Site, eventually};

#[test]
fn an_interrupted_enumeration_resumes_at_its_next_page() {
    // How many pages each life of the agent reads before it is killed, the next one in flight.
    for (command, lives) in [("once", &[0, 3, 0, 5][..]), ("run", &[1, 6][..])] {
        let site = Site::new(Account {
            page_size: 5,
            ..Account::business()
        });
        let drive = site.drive();
        drive.bulk_create(10, 40);
        site.create_instance(
            "Docs",
            json!({"event.poller.configuration": {"events": {
                "url": "/hubs/documents/events", "baseline": "emit"}}}),
        );
        let mut hung = Vec::new();
        for healthy in lives {
            let arrived = site.cloud.count(Endpoint::Delta);
            site.cloud.fail_after(Endpoint::Delta, *healthy, Fault::Hang);
            let agent = site.spawn(&[command], &[]);
            assert!(
                site.cloud
                    .wait_count(Endpoint::Delta, arrived + *healthy as u64 + 1, PATIENCE)
            );
            agent.kill();
            hung.push(site.delta_requests().last().unwrap().target.clone());
            assert_eq!(
                site.cell("SELECT count(*) FROM resource WHERE phase = 'baseline'"),
                "1"
            );
        }
        site.once().code(0);
        let mut times: BTreeMap<String, usize> = BTreeMap::new();
        for request in site.delta_requests() {
            *times.entry(request.target).or_default() += 1;
        }
        assert!(times.len() > 10, "{times:?}");
        for (target, times) in times {
            let expect = 1 + hung.iter().filter(|hung| **hung == target).count();
            assert_eq!(times, expect, "requests for {target}; in flight were {hung:?}");
        }
        check_deliveries_after_kills(&site);
        check_replay(&Tree::new(), &site.receiver.events(), &drive.tree());
    }
}

#[test]
fn an_agent_that_is_stopped_while_it_reads_goes_on_at_its_next_page() {
    let site = Site::new(Account {
        page_size: 5,
        ..Account::business()
    });
    site.drive().bulk_create(10, 40);
    site.create_instance("Docs", json!({}));
    let gate = site.cloud.hold(Endpoint::Delta);
    let agent = site.spawn_run();
    assert!(gate.wait_arrived(PATIENCE));
    agent.ask_to_stop();
    // The page in flight is read and kept before it ends.
    gate.release();
    assert_eq!(agent.wait(), Some(0));
    site.once().code(0);
    let mut targets: Vec<String> = site
        .delta_requests()
        .into_iter()
        .map(|seen| seen.target)
        .collect();
    let count = targets.len();
    targets.sort();
    targets.dedup();
    assert_eq!(targets.len(), count, "no page is asked for twice");
}

#[test]
fn a_resource_or_an_instance_that_is_removed_during_its_poll_ends_it_quietly() {
    for whole in [false, true] {
        let site = Site::new(Account::business());
        let resources = |name: &str| json!({name: {"url": "/hubs/documents/events", "baseline": "emit"}});
        site.create_instance("Docs", json!({"event.poller.configuration": resources("events")}));
        let gate = site.cloud.hold(Endpoint::Delta);
        let agent = site.spawn_run();
        assert!(gate.wait_arrived(PATIENCE));
        if whole {
            let args = ["instance", "delete", "Docs", "--discard"];
            site.cli(&args).code(0);
            eventually("it is removed", || {
                site.cell("SELECT count(*) FROM instance") == "0"
            });
        } else {
            let set = format!("event.poller.configuration={}", resources("other"));
            site.cli(&["instance", "update", "Docs", "--set", &set]).code(0);
        }
        gate.release();
        eventually("the poll ends", || {
            agent
                .log()
                .contains("poll ended, the resource was changed or removed")
        });
        let log = agent.log();
        assert!(!log.contains("ERROR") && !log.contains("FOREIGN KEY"), "{log}");
        assert_eq!(agent.stop(), Some(0));
    }
}
