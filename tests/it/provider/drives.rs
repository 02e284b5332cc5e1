//! Drives beyond the signed-in user's own, folders, and several of them in one instance: each stands on its own feet.

use deltapost::poll::PollError;
use deltapost::sim::onedrive::{Account, Drive, Kind};
use serde_json::{Value, json};

use crate::provider::bench::Bench;
use crate::support::ledger::check_replay;

fn account(kind: Kind, seed: u64) -> Account {
    Account {
        kind,
        seed,
        page_size: 7,
        ..Account::business()
    }
}

/// A bench with a second account's drive, shared with the first, and both drives filled.
fn two_drives(kind: Kind) -> (Bench, Drive) {
    let bench = Bench::new(account(kind, 1));
    let other = bench.cloud.add_account(account(kind, 2));
    bench.cloud.share(&other, true);
    bench.drive().bulk_create(3, 20);
    other.bulk_create(3, 20);
    (bench, other)
}

fn resources(urls: &[(&str, String)]) -> Value {
    let mut resources = json!({});
    for (name, url) in urls {
        resources[*name] = json!({"url": url});
    }
    json!({"event.poller.configuration": resources})
}

fn change(drive: &Drive) {
    let folder = drive.create_folder(&drive.root_id(), "New");
    drive.create_file(&folder, "new.txt", 1);
}

#[test]
fn every_way_to_name_a_drive_leads_to_its_changes() {
    for kind in [Kind::Business, Kind::Consumer] {
        let (bench, other) = two_drives(kind);
        let (id, owner) = (other.id(), other.owner_id());
        for (n, url) in [
            format!("/drives/{id}/root/delta"),
            format!("/users/{owner}/drive/root/delta"),
            format!("/groups/{owner}/drive/root/delta"),
            format!("/sites/{owner}/drive/root/delta"),
        ]
        .into_iter()
        .enumerate()
        {
            let instance = bench.create(&format!("Docs {n}"), resources(&[("events", url.clone())]));
            let resource = bench.store.resources_of(instance).unwrap()[0].0;
            bench.poll(resource).unwrap();
            let start = other.tree();
            change(&other);
            assert_eq!(bench.poll(resource).unwrap().events, 2, "{url}");
            let events = bench.events();
            let own: Vec<_> = events
                .into_iter()
                .filter(|event| event.instance == instance)
                .collect();
            check_replay(&start, &own, &other.tree());
        }
    }
}

#[test]
fn several_drives_in_one_instance_do_not_mix() {
    let (bench, other) = two_drives(Kind::Business);
    let mine = bench.drive();
    let theirs = format!("/drives/{}/root/delta", other.id());
    let both = resources(&[("mine", "/me/drive/root/delta".to_owned()), ("theirs", theirs)]);
    bench.create("Docs", both);
    (1..=2).for_each(|resource| drop(bench.poll(resource).unwrap()));
    change(&mine);
    change(&other);
    change(&other);
    assert_eq!(bench.poll(1).unwrap().events, 2);
    assert_eq!(bench.poll(2).unwrap().events, 4);
    let drives = bench.cell("SELECT count(DISTINCT drive_id) || count(DISTINCT root_id) FROM resource");
    assert_eq!(drives, "22");
}

#[test]
fn a_drive_that_is_lost_is_no_other_resources_trouble() {
    for (lost, status) in [("access", "403"), ("drive", "404")] {
        let (bench, other) = two_drives(Kind::Business);
        let mine = bench.drive();
        let theirs = format!("/drives/{}/root/delta", other.id());
        let both = resources(&[("mine", "/me/drive/root/delta".to_owned()), ("theirs", theirs)]);
        bench.create("Docs", both);
        (1..=2).for_each(|resource| drop(bench.poll(resource).unwrap()));
        change(&mine);
        change(&other);
        match lost {
            "access" => bench.cloud.share(&other, false),
            _ => bench.cloud.remove(&other),
        }
        let refused = bench.poll(2).unwrap_err();
        assert!(refused.to_string().contains(status), "{refused}");
        assert!(!refused.hint().unwrap().is_empty());
        assert_eq!(bench.poll(1).unwrap().events, 2);
        let health: Vec<String> = bench
            .store
            .health("Docs")
            .unwrap()
            .into_iter()
            .map(|row| row.health)
            .collect();
        assert_eq!(health, ["ok", "failing"], "{lost}");
        // Nothing was taken for deleted, and with the access come the changes.
        if lost == "access" {
            bench.cloud.share(&other, true);
            assert_eq!(bench.poll(2).unwrap().events, 2);
        }
    }
}

#[test]
fn a_folder_is_followed_where_the_account_allows_it() {
    let bench = Bench::new(account(Kind::Consumer, 1));
    let drive = bench.drive();
    let finance = drive.create_folder(&drive.root_id(), "Finance & Co");
    let deeper = drive.create_folder(&finance, "2026");
    drive.create_file(&deeper, "known.txt", 1);
    let by_item = format!("/drives/{}/items/{finance}/delta", drive.id());
    let both = resources(&[
        ("path", "/me/drive/root:/Finance & Co/2026:/delta".to_owned()),
        ("item", by_item),
    ]);
    bench.create("Docs", both);
    (1..=2).for_each(|resource| drop(bench.poll(resource).unwrap()));
    drive.create_file(&drive.root_id(), "elsewhere", 1);
    drive.create_file(&finance, "one.txt", 1);
    drive.create_file(&deeper, "two.txt", 1);
    assert_eq!(bench.poll(1).unwrap().events, 1);
    assert_eq!(bench.poll(2).unwrap().events, 2);
}

#[test]
fn a_folder_of_a_work_account_is_refused_with_the_reason() {
    let bench = Bench::new(account(Kind::Business, 1));
    let drive = bench.drive();
    let finance = drive.create_folder(&drive.root_id(), "Finance");
    let by_item = format!("/drives/{}/items/{finance}/delta", drive.id());
    let both = resources(&[
        ("path", "/me/drive/root:/Finance:/delta".to_owned()),
        ("item", by_item),
    ]);
    bench.create("Docs", both);
    for resource in 1..=2 {
        let refused = bench.poll(resource).unwrap_err();
        assert!(matches!(refused, PollError::NoFolderFeed(_)), "{refused}");
        assert!(
            refused.hint().unwrap().contains("a drive's root only"),
            "{refused}"
        );
        assert!(refused.hint().unwrap().contains("event.filter.paths"));
    }
}

#[test]
fn the_history_of_polls_is_bounded() {
    let bench = Bench::new(account(Kind::Business, 1));
    bench.create("Docs", json!({}));
    for _ in 0..3 {
        bench.poll(1).unwrap();
    }
    // A thousand and more, as if time had passed.
    let connection = rusqlite::Connection::open(bench.store.path()).unwrap();
    connection
        .execute_batch(
            "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 1200)
             INSERT INTO poll (resource_id, started_at, duration_ms, outcome, pages, items, events, unchanged, filtered)
             SELECT 1, '2026-03-01T00:00:00.000Z', 1, 'done', 1, 0, 0, 0, 0 FROM n",
        )
        .unwrap();
    let newest = bench.poll(1).unwrap();
    assert_eq!(bench.cell("SELECT count(*) FROM poll"), "1000");
    let kept = bench.cell("SELECT duration_ms FROM poll ORDER BY id DESC LIMIT 1");
    assert_eq!(kept, newest.duration_ms.to_string());
}
