//! `restore`: what it refuses, what it keeps, and where it may be cut off.

use std::fs;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};

use deltapost::sim::onedrive::Account;
use serde_json::json;

use crate::backup::{OtherBox, number};
use crate::support::Site;

/// A box with one instance that has announced one file, and a copy of it with its key.
fn site_with_copy() -> (Site, PathBuf) {
    let site = Site::new(Account::business());
    let drive = site.drive();
    drive.create_file(&drive.root_id(), "report.xlsx", 1_200);
    let resources = json!({"events": {"url": "/hubs/documents/events", "baseline": "emit"}});
    site.create_instance("Docs", json!({"event.poller.configuration": resources}));
    site.once().code(0);
    let copy = site.data_dir().with_file_name("copy.db");
    site.cli(&["backup", copy.to_str().unwrap(), "--with-key"])
        .code(0);
    (site, copy)
}

#[track_caller]
fn restore(site: &Site, copy: &Path) -> crate::support::process::Ran {
    site.cli(&["restore", copy.to_str().unwrap()])
}

/// The names in a data directory that are neither the agent's own nor SQLite's.
fn kept(data_dir: &Path) -> Vec<String> {
    let names = fs::read_dir(data_dir).unwrap();
    let mut names: Vec<String> = names
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.contains(".replaced-") || name.contains(".new") || name.contains(".before-"))
        .collect();
    names.sort();
    names
}

#[test]
fn a_copy_is_its_owners_stands_alone_and_is_never_overwritten() {
    let (site, copy) = site_with_copy();
    for file in [copy.clone(), copy.with_file_name("copy.db.key")] {
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    }
    assert_eq!(number(&copy, "SELECT count(*) FROM outbox"), 1);
    assert!(!copy.with_file_name("copy.db-wal").exists());
    let before = fs::read(&copy).unwrap();
    site.cli(&["backup", copy.to_str().unwrap()]).code(1).says(&[
        "copy.db` exists already",
        "hint: name another file, or remove this one",
    ]);
    assert_eq!(fs::read(&copy).unwrap(), before);
    // A key without its database would be taken for that of another.
    let lone = copy.with_file_name("copy.db.key");
    fs::remove_file(&lone).unwrap();
    site.cli(&["backup", copy.to_str().unwrap(), "--with-key"])
        .code(1);
    assert!(!lone.exists());
    let nowhere = copy.with_file_name("nowhere").join("copy.db");
    site.cli(&["backup", nowhere.to_str().unwrap()]).code(1).says(&[
        "could not write `",
        "nowhere/copy.db.new`: No such file or directory",
    ]);
}

#[test]
fn without_the_key_a_copy_gives_no_secret_away_and_is_not_restored() {
    let (site, copy) = site_with_copy();
    let bytes = fs::read(&copy).unwrap();
    for secret in ["app-secret", crate::support::KEY] {
        let found = bytes
            .windows(secret.len())
            .any(|window| window == secret.as_bytes());
        // The signature key is short enough to be there by chance.
        assert!(!found || secret.len() < 8, "{secret:?} stands in the copy");
    }
    fs::remove_file(copy.with_file_name("copy.db.key")).unwrap();
    let other = OtherBox::beside(&site);
    other.restore(&copy).code(1).says(&[
        "error: none of the keys at hand opens what is sealed in `",
        "hint: put the secret.key that belongs to the copy beside it, as `",
        "copy.db.key`",
    ]);
    assert!(!other.path("data/deltapost.db").exists());
    assert_eq!(kept(&other.path("data")), Vec::<String>::new());
}

#[test]
fn a_new_box_needs_nothing_but_the_copy_and_its_key() {
    let (site, copy) = site_with_copy();
    let other = OtherBox::beside(&site);
    let told = other
        .cli(&["--json", "restore", copy.to_str().unwrap()])
        .code(0)
        .json();
    assert_eq!(told["contents"]["instances"], 1);
    assert_eq!(told["replaced"], json!({"database": null, "key": null}));
    other.cli(&["check"]).code(0);
    let drive = site.drive();
    drive.create_file(&drive.root_id(), "second.xlsx", 1_200);
    other.cli(&["once"]).code(0);
    let files = site.receiver.events();
    assert_eq!(
        files.len(),
        2,
        "the one that was announced before the copy is not announced again"
    );
}

#[test]
fn what_is_replaced_is_kept_and_can_be_restored_itself() {
    let (site, copy) = site_with_copy();
    let drive = site.drive();
    drive.create_file(&drive.root_id(), "later.xlsx", 1_200);
    site.once().code(0);
    restore(&site, &copy).code(0);
    assert_eq!(site.cell("SELECT count(*) FROM outbox"), "1");
    let names = kept(&site.data_dir());
    assert_eq!(names.len(), 1, "{names:?}");
    restore(&site, &site.data_dir().join(&names[0])).code(0);
    assert_eq!(site.cell("SELECT count(*) FROM outbox"), "2");
    site.once().code(0);
    assert_eq!(site.receiver.events().len(), 2, "nothing is announced twice");
}

#[test]
fn what_happened_since_an_older_copy_is_announced_again_and_what_it_held_keeps_its_id() {
    let (site, copy) = site_with_copy();
    let drive = site.drive();
    drive.create_file(&drive.root_id(), "later.xlsx", 1_200);
    site.once().code(0);
    restore(&site, &copy).code(0);
    site.once().code(0);
    let events = site.receiver.events();
    assert_eq!(events.len(), 3, "{events:?}");
    assert_eq!(events[1].object_id, events[2].object_id);
    let deliveries = site.receiver.deliveries();
    assert_ne!(
        deliveries[1].id, deliveries[2].id,
        "a new poll writes a new notification"
    );
}

#[test]
fn a_restore_beside_an_agent_or_a_reader_is_refused() {
    let (site, copy) = site_with_copy();
    let before = site.cell("SELECT group_concat(event_id) FROM outbox");
    let agent = site.spawn_run();
    restore(&site, &copy)
        .code(1)
        .says(&["error: another agent (pid ", "hint: stop it first"]);
    assert_eq!(agent.stop(), Some(0));
    let reader = rusqlite::Connection::open(site.database()).unwrap();
    reader.execute_batch("BEGIN; SELECT * FROM outbox").unwrap();
    restore(&site, &copy).code(1).says(&[
        "error: another program works with `",
        "hint: try again when it has ended",
    ]);
    drop(reader);
    assert_eq!(site.cell("SELECT group_concat(event_id) FROM outbox"), before);
    assert_eq!(kept(&site.data_dir()), Vec::<String>::new());
}

#[test]
fn what_is_no_sound_copy_replaces_nothing() {
    let (site, copy) = site_with_copy();
    let damaged = site.file("damaged.db", "");
    fs::copy(&copy, &damaged).unwrap();
    let file = fs::OpenOptions::new().write(true).open(&damaged).unwrap();
    // Every page but the first loses its beginning, where its type stands.
    for page in 1..fs::metadata(&damaged).unwrap().len() / 4_096 {
        file.write_all_at(&[0xa5; 64], page * 4_096).unwrap();
    }
    let newer = site.file("newer.db", "");
    fs::copy(&copy, &newer).unwrap();
    let connection = rusqlite::Connection::open(&newer).unwrap();
    connection.pragma_update(None, "user_version", 999).unwrap();
    drop(connection);
    let text = site.file("letter.db", &"Dear all. ".repeat(1_000));
    let missing = text.with_file_name("missing.db");
    let folder = text.with_file_name("folder.db");
    fs::create_dir(&folder).unwrap();
    let cases: [(&Path, &str); 5] = [
        (&folder, "folder.db` is not a deltapost database"),
        (&damaged, "is damaged: "),
        (&newer, "has schema version 999; "),
        (&text, "letter.db` is not a deltapost database"),
        (&missing, "could not read `"),
    ];
    for (file, message) in cases {
        restore(&site, file).code(1).says(&[message]);
        assert_eq!(kept(&site.data_dir()), Vec::<String>::new(), "{message}");
    }
    site.cli(&["check"]).code(0);
}

#[test]
fn a_damaged_database_is_replaced_and_kept_as_it_is() {
    let (site, copy) = site_with_copy();
    let rubbish = "not a database, but long enough to be taken for one by its length alone".repeat(20);
    fs::write(site.database(), &rubbish).unwrap();
    restore(&site, &copy).code(0);
    site.cli(&["check"]).code(0);
    let names = kept(&site.data_dir());
    assert_eq!(names.len(), 1, "{names:?}");
    assert_eq!(
        fs::read_to_string(site.data_dir().join(&names[0])).unwrap(),
        rubbish
    );
}

#[test]
fn a_restore_that_dies_leaves_the_former_database_and_can_be_made_again() {
    let (site, copy) = site_with_copy();
    let drive = site.drive();
    drive.create_file(&drive.root_id(), "later.xlsx", 1_200);
    site.once().code(0);
    let args = ["restore", copy.to_str().unwrap()];
    let dying = site.spawn(&args, &[("DELTAPOST_KILL_AT", "restore.before_exchange")]);
    assert_eq!(dying.wait(), None);
    assert_eq!(site.cell("SELECT count(*) FROM outbox"), "2");
    site.cli(&["check"]).code(0);
    site.cli(&args).code(0);
    assert_eq!(site.cell("SELECT count(*) FROM outbox"), "1");
    site.cli(&["check"]).code(0);
}

#[test]
fn another_boxes_copy_brings_its_key_and_the_former_one_is_kept() {
    let (site, copy) = site_with_copy();
    let other = OtherBox::beside(&site);
    other.cli(&["init"]).code(0);
    let key = fs::read(other.path("data/secret.key")).unwrap();
    other.restore(&copy).code(0);
    other.cli(&["check"]).code(0);
    let names = kept(&other.path("data"));
    let [database, former] = &names[..] else {
        panic!("{names:?}")
    };
    assert!(database.starts_with("deltapost.db.replaced-"), "{names:?}");
    assert_eq!(fs::read(other.path("data").join(former)).unwrap(), key);
}
