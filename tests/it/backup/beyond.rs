//! The recipe of `docs/beyond-one-box.md`: Litestream replicates while the agent writes, the box is lost, and another one
//! goes on. Needs the program that `DELTAPOST_LITESTREAM` names; `tests/real/litestream` installs it.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use deltapost::sim::onedrive::Account;
use serde_json::json;

use crate::backup::OtherBox;
use crate::support::{Site, eventually};

/// The process is killed when this is dropped.
struct Replication(Child);

impl Drop for Replication {
    fn drop(&mut self) {
        // It may have ended by itself; that is no matter here.
        if self.0.kill().is_ok() {
            drop(self.0.wait());
        }
    }
}

fn litestream() -> Option<PathBuf> {
    let named = env::var_os("DELTAPOST_LITESTREAM").map(PathBuf::from);
    if named.is_none() {
        eprintln!("skipped: DELTAPOST_LITESTREAM names no litestream");
    }
    named
}

fn replica(site: &Site) -> PathBuf {
    site.data_dir().with_file_name("replica")
}

fn replicate(litestream: &Path, site: &Site) -> Replication {
    let log = fs::File::create(site.data_dir().with_file_name("litestream.log")).unwrap();
    let url = format!("file://{}", replica(site).display());
    let child = Command::new(litestream)
        .arg("replicate")
        .arg(site.database())
        .arg(url)
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .stdin(Stdio::null())
        .spawn();
    Replication(child.unwrap())
}

fn announced(site: &Site) -> usize {
    let events = site.receiver.events();
    let ids: BTreeSet<String> = events.into_iter().map(|event| event.object_id).collect();
    ids.len()
}

#[test]
fn a_lost_box_is_replaced_from_its_replica_without_loss() {
    let Some(litestream) = litestream() else { return };
    let account = Account {
        page_size: 20,
        ..Account::business()
    };
    let site = Site::configured(
        account,
        "[schedule]\njitter = \"0s\"\n[delivery]\nbatch = 5\nretry = [\"1s\"]\n",
    );
    let drive = site.drive();
    let root = drive.root_id();
    for number in 0..1_000 {
        drive.create_file(&root, &format!("at first {number}.xlsx"), 1_200);
    }
    let settings = json!({
        "event.poller.configuration": {"events": {"url": "/hubs/documents/events", "baseline": "emit"}},
        "event.poller.refresh_interval": null,
        "event.poller.schedule": "* * * * * *",
    });
    site.create_instance("Docs", settings);
    let replication = replicate(&litestream, &site);
    let agent = site.spawn_run();
    eventually("the first are announced", || announced(&site) == 1_000);
    for round in 0..5 {
        for number in 0..200 {
            drive.create_file(&root, &format!("round {round} {number}.xlsx"), 1_200);
        }
        eventually("the round is announced", || {
            announced(&site) == 1_000 + 200 * (round + 1)
        });
    }
    // What is announced and not replicated yet: both die in the midst of it.
    for number in 0..200 {
        drive.create_file(&root, &format!("at last {number}.xlsx"), 1_200);
    }
    eventually("some of the last are announced", || announced(&site) > 2_000);
    agent.kill();
    drop(replication);

    let other = OtherBox::beside(&site);
    let copy = other.path("replicated.db");
    let url = format!("file://{}", replica(&site).display());
    let restored = Command::new(&litestream)
        .args(["restore", "-integrity-check", "full", "-o"])
        .arg(&copy)
        .arg(url)
        .output()
        .unwrap();
    assert!(restored.status.success(), "{restored:?}");
    fs::copy(
        site.data_dir().join("secret.key"),
        other.path("replicated.db.key"),
    )
    .unwrap();
    other.restore(&copy).code(0);
    other.cli(&["once"]).code(0);
    other.cli(&["once"]).code(0);

    assert_eq!(announced(&site), 2_200, "nothing is lost");
    assert_eq!(other.number("SELECT count(DISTINCT object_id) FROM event"), 2_200);
    assert_eq!(
        other.number("SELECT count(*) FROM outbox WHERE state <> 'delivered'"),
        0
    );
    let counts = site.receiver.counts();
    assert_eq!((counts.changed, counts.unverified), (0, 0), "{counts:?}");
}
