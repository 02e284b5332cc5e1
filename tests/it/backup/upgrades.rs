//! Databases as each version of the schema left them, kept in `tests/fixtures/schema` from when that version was the
//! newest. Each is a copy with its key, as `backup --with-key` makes it: one instance, and three notifications that wait.

use std::fs;
use std::path::{Path, PathBuf};

use deltapost::sim::onedrive::Account;
use serde_json::json;

use crate::backup::OtherBox;
use crate::support::Site;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/schema")
}

/// The fixtures, oldest first.
fn kept() -> Vec<PathBuf> {
    let entries = fs::read_dir(fixtures()).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "db"));
    files.sort();
    files
}

/// How many versions of the schema there are.
fn newest() -> usize {
    let schema = Path::new(env!("CARGO_MANIFEST_DIR")).join("schema");
    let names = fs::read_dir(schema).unwrap().map(|entry| entry.unwrap().path());
    names
        .filter(|name| name.extension().is_some_and(|extension| extension == "sql"))
        .count()
}

/// Puts the fixture into a data directory as it is, as an upgraded package finds it, its callback being this site's.
fn moved_in(fixture: &Path, site: &Site) -> OtherBox {
    let other = OtherBox::beside(site);
    other.cli(&["init"]).code(0);
    fs::copy(fixture, other.path("data/deltapost.db")).unwrap();
    let key = fixture.with_extension("db.key");
    fs::copy(key, other.path("data/secret.key")).unwrap();
    for name in ["data/deltapost.db", "data/secret.key"] {
        let owner_only = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        fs::set_permissions(other.path(name), owner_only).unwrap();
    }
    other
}

/// Delivers what waits in the fixture to this site, and returns the ids that it had.
#[track_caller]
fn deliver(other: &OtherBox, site: &Site) -> Vec<String> {
    // Their provider is no more: they are not polled.
    other.cli(&["instance", "disable", "Docs"]).code(0);
    let callback = format!("event.notification.callback.url={}", site.receiver.url());
    other
        .cli(&["instance", "update", "Docs", "--set", &callback])
        .code(0);
    let waiting = other
        .cli(&["--json", "outbox", "list", "--state", "pending"])
        .code(0)
        .json();
    let rows = waiting["notifications"]
        .as_array()
        .unwrap_or_else(|| panic!("{waiting}"));
    let mut ids: Vec<String> = rows
        .iter()
        .map(|row| row["eventId"].as_str().unwrap().to_owned())
        .collect();
    ids.sort();
    other.cli(&["once"]).code(0);
    ids
}

#[test]
fn every_version_has_its_fixture() {
    let kept = kept();
    let versions: Vec<i64> = kept
        .iter()
        .map(|file| crate::backup::number(file, "SELECT user_version FROM pragma_user_version"))
        .collect();
    let all: Vec<i64> = (1..=newest() as i64).collect();
    assert_eq!(
        versions, all,
        "make the missing one: cargo test --test it make_the_fixture -- --ignored"
    );
}

#[test]
fn a_database_of_every_version_opens_keeps_what_waits_and_delivers_it() {
    for fixture in kept() {
        let site = Site::new(Account::business());
        let other = moved_in(&fixture, &site);
        let ids = deliver(&other, &site);
        assert_eq!(ids.len(), 3, "{fixture:?}");
        let deliveries = site.receiver.deliveries();
        let mut arrived: Vec<String> = deliveries.iter().map(|delivery| delivery.id.clone()).collect();
        arrived.sort();
        assert_eq!(arrived, ids, "{fixture:?}");
        // Their bodies are what they were, and their key opens what they are signed with.
        assert_eq!(site.receiver.counts().unverified, 0, "{fixture:?}");
        other.cli(&["check"]).code(0);
        let version = crate::backup::number(&fixture, "SELECT user_version FROM pragma_user_version");
        let former = other.path("data/deltapost.db.before-upgrade");
        assert_eq!(former.exists(), version < newest() as i64, "{fixture:?}");
    }
}

#[test]
fn a_copy_of_every_version_can_be_restored() {
    for fixture in kept() {
        let site = Site::new(Account::business());
        let other = OtherBox::beside(&site);
        other.restore(&fixture).code(0);
        assert_eq!(deliver(&other, &site).len(), 3, "{fixture:?}");
        assert_eq!(site.receiver.counts().unverified, 0, "{fixture:?}");
    }
}

#[test]
fn an_upgrade_that_is_killed_has_not_begun_and_the_next_start_makes_it() {
    for fixture in kept() {
        let version = crate::backup::number(&fixture, "SELECT user_version FROM pragma_user_version");
        if version == newest() as i64 {
            continue;
        }
        let site = Site::new(Account::business());
        let other = moved_in(&fixture, &site);
        let config = other.path("deltapost.toml");
        let point = [("DELTAPOST_KILL_AT", "migrate.before_commit")];
        let dying =
            crate::support::process::Agent::spawn(&config, &["instance", "list"], &point, other.path("log"));
        assert_eq!(dying.wait(), None, "{fixture:?}");
        assert_eq!(
            other.number("SELECT user_version FROM pragma_user_version"),
            version
        );
        assert_eq!(deliver(&other, &site).len(), 3, "{fixture:?}");
    }
}

#[test]
fn a_newer_database_is_refused_and_the_copy_from_before_leads_back() {
    let site = Site::new(Account::business());
    let other = moved_in(kept().last().unwrap(), &site);
    // What a newer version would have done: kept a copy of this one, and gone on.
    let former = other.path("data/deltapost.db.before-upgrade");
    other.cli(&["outbox"]).code(0);
    if former.exists() {
        fs::remove_file(&former).unwrap();
    }
    other.cli(&["backup", former.to_str().unwrap()]).code(0);
    let connection = rusqlite::Connection::open(other.path("data/deltapost.db")).unwrap();
    connection.pragma_update(None, "user_version", 999).unwrap();
    drop(connection);
    let way_back = format!(
        "go back to before the upgrade: `deltapost restore {}`",
        former.display()
    );
    other
        .cli(&["run"])
        .code(1)
        .says(&["has schema version 999", &way_back]);
    other.restore(&former).code(0);
    assert_eq!(deliver(&other, &site).len(), 3);
}

/// Makes the fixture of the present version. To be run once for each, when its schema is final.
#[test]
#[ignore = "writes into tests/fixtures/schema"]
fn make_the_fixture() {
    let site = Site::configured(Account::business(), "[delivery]\nretry = [\"1s\"]\nbatch = 2\n");
    let drive = site.drive();
    let folder = drive.create_folder(&drive.root_id(), "Finance");
    for number in 0..4 {
        drive.create_file(&folder, &format!("Müller & Söhne {number}.csv"), 1_200);
    }
    let settings = json!({
        "event.poller.configuration": {"events": {"url": "/hubs/documents/events", "baseline": "emit"}},
        "event.notification.callback.url": "http://127.0.0.1:9/nobody?key=in-the-query",
        "event.notification.headers": {"Authorization": "Bearer of news"},
    });
    site.create_instance("Docs", settings);
    site.once().code(1);
    assert_eq!(
        site.cell("SELECT count(*) FROM outbox WHERE state = 'pending'"),
        "3"
    );
    let file = fixtures().join(format!("{:04}.db", newest()));
    site.cli(&["backup", file.to_str().unwrap(), "--with-key"])
        .code(0);
}
