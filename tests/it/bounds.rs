//! The outbox's bounds, through the binary: whose polling waits and goes on by itself, what is removed to make room, and
//! that nothing is lost by it.

use deltapost::core::model::EventType;
use deltapost::sim::onedrive::{Account, Drive};
use deltapost::sim::receiver::{Answer, Receiver};
use serde_json::{Value, json};

use crate::support::ledger::check_deliveries;
use crate::support::{KEY, PATIENCE, Site, eventually};

/// Small pages, so that there is much between them.
fn pages_of(page_size: usize) -> Value {
    json!({
        "event.poller.configuration": {"events": {"url": "/hubs/documents/events", "pageSize": page_size}},
    })
}

/// `[delivery]` with a retry every second that goes on for longer than any test, and `more`.
fn patient(more: &str) -> String {
    format!("[delivery]\nretry = {:?}\n{more}", ["1s"; 32])
}

fn create_files(drive: &Drive, count: usize) -> String {
    let folder = drive.create_folder(&drive.root_id(), &format!("{count} files"));
    for number in 0..count {
        drive.create_file(&folder, &format!("{number}.txt"), 1);
    }
    folder
}

/// Adds another account's instance, whose notifications go to a receiver of their own.
fn another(site: &Site, name: &str) -> (Drive, Receiver) {
    let drive = site.cloud.add_account(Account {
        seed: 2,
        ..Account::consumer()
    });
    let receiver = Receiver::start(Some(KEY.to_owned())).unwrap();
    let callback = json!({"event.notification.callback.url": receiver.url()});
    site.create_instance_of(&drive, name, callback);
    (drive, receiver)
}

fn health(site: &Site, instance: &str) -> String {
    site.cell(&format!(
        "SELECT health FROM instance_health WHERE instance = '{instance}'"
    ))
}

/// The counters that polling asks are what counting the rows gives.
#[track_caller]
fn check_backlogs(site: &Site) {
    let wrong = site.sql(
        "SELECT i.name, i.backlog_events, i.backlog_bytes, total(o.event_count), total(length(o.body))
           FROM instance i LEFT JOIN outbox o ON o.instance_id = i.id AND o.state <> 'delivered'
          GROUP BY i.id
         HAVING i.backlog_events <> total(o.event_count) OR i.backlog_bytes <> total(length(o.body))",
    );
    assert!(wrong.is_empty(), "{wrong:?}");
}

/// Notifications of `instance` that come from nowhere, with bodies of 64 KiB.
fn stuff(site: &Site, instance: &str, state: &str, count: usize) {
    let (due, delivered) = match state {
        "delivered" => (
            "NULL",
            "strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-1 hour', n || ' seconds')",
        ),
        _ => ("'2099-01-01T00:00:00.000Z'", "NULL"),
    };
    site.write_sql(&format!(
        "WITH RECURSIVE n(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM n WHERE n < {count})
         INSERT INTO outbox (event_id, instance_id, resource, state, created_at, event_count, next_attempt_at,
                             delivered_at, body)
         SELECT '{instance}-{state}-' || n, i.id, 'events', '{state}', '2026-01-01T00:00:00.000Z', 1, {due},
                {delivered}, zeroblob(65536)
           FROM n, instance i WHERE i.name = '{instance}'"
    ));
}

#[test]
fn an_instance_with_max_events_pauses_alone_between_two_pages_and_goes_on_by_itself() {
    let site = Site::configured(
        Account::business(),
        &patient("batch = 1\n[outbox]\nmax_events = 20\n"),
    );
    site.create_instance("Docs", pages_of(10));
    let (other, other_receiver) = another(&site, "Other");
    site.once().code(0);
    site.receiver.answer_always(Answer::Status(500));
    create_files(&site.drive(), 99);
    create_files(&other, 15);
    let agent = site.spawn_run();
    let paused = site.poll("Docs", &[]).code(0).json();
    let poll = &paused["polls"][0];
    assert_eq!(
        (&poll["pages"], &poll["events"], &poll["paused"]),
        (&json!(2), &json!(20), &json!(true))
    );
    assert_eq!(health(&site, "Docs"), "paused");
    assert_eq!(
        site.cell("SELECT outcome FROM poll ORDER BY id DESC LIMIT 1"),
        "paused"
    );
    assert_eq!(
        site.cell("SELECT paused_by FROM instance WHERE name = 'Docs'"),
        "max_events"
    );
    // Asking does not help, and the other goes on.
    assert_eq!(site.poll("Docs", &[]).code(0).json()["polls"][0]["pages"], 0);
    site.poll("Other", &[]).code(0);
    other_receiver.wait_for(16, PATIENCE).unwrap();
    assert_eq!(health(&site, "Other"), "ok");
    check_backlogs(&site);
    assert_eq!(agent.log().matches("poll paused").count(), 2, "{}", agent.log());

    // Nobody polls by hand from here on, and the schedule would not for a quarter of an hour.
    site.receiver.answer_always(Answer::Status(200));
    site.receiver.wait_for(100, PATIENCE).unwrap();
    eventually("all is well again", || health(&site, "Docs") == "ok");
    assert_eq!(agent.stop(), Some(0));
    check_backlogs(&site);
    let events = site.receiver.events();
    assert_eq!(events.len(), 100, "each once");
    assert!(events.iter().all(|event| event.event_type == EventType::Created));
}

#[test]
fn dead_events_count_until_they_are_gone() {
    let site = Site::configured(Account::business(), "[outbox]\nmax_events = 5\n");
    site.create_instance("Docs", pages_of(10));
    site.once().code(0);
    stuff(&site, "Docs", "pending", 5);
    site.write_sql("UPDATE outbox SET state = 'dead', next_attempt_at = NULL");
    check_backlogs(&site);
    let polls = site.cli(&["--json", "once"]).code(0).json();
    assert_eq!(polls["polls"][0]["paused"], true);
    site.write_sql("DELETE FROM outbox");
    check_backlogs(&site);
    create_files(&site.drive(), 1);
    site.once().code(0);
    assert_eq!(health(&site, "Docs"), "ok");
    assert_eq!(site.receiver.counts().events, 2);
}

#[test]
fn a_sweep_pauses_between_its_transactions_and_loses_no_deletion() {
    let site = Site::configured(
        Account::business(),
        &patient("batch = 50\n[outbox]\nmax_events = 300\n"),
    );
    let folder = create_files(&site.drive(), 800);
    site.create_instance("Docs", json!({}));
    site.once().code(0);
    site.receiver.answer_always(Answer::Status(500));
    site.drive().delete(&folder);
    let agent = site.spawn_run();
    let poll = site.poll("Docs", &[]).code(0).json()["polls"][0].clone();
    assert_eq!((&poll["events"], &poll["paused"]), (&json!(500), &json!(true)));
    assert_eq!(site.cell("SELECT phase FROM resource"), "sweeping");
    site.receiver.answer_always(Answer::Status(200));
    site.receiver.wait_for(801, PATIENCE).unwrap();
    eventually("the set is done", || {
        site.cell("SELECT phase FROM resource") == "following"
    });
    agent.stop();
    let deleted = site.receiver.events();
    assert_eq!(deleted.len(), 801);
    assert_eq!(deleted[800].object_id, folder, "the folder goes last");
}

#[test]
fn a_full_database_loses_what_is_delivered_first_and_pauses_nobody_for_it() {
    let site = Site::configured(Account::business(), "[outbox]\nmax_bytes = \"16MiB\"\n");
    site.create_instance("Docs", json!({}));
    stuff(&site, "Docs", "delivered", 400);
    let size = || std::fs::metadata(site.database()).unwrap().len() >> 20;
    assert!(size() >= 25, "{}", size());
    site.once().code(0);
    let left = site.sql("SELECT id FROM outbox ORDER BY id").concat();
    assert!((150..=230).contains(&left.len()), "{} are left", left.len());
    assert_eq!(left.last().unwrap(), "400", "the oldest went");
    assert_eq!(health(&site, "Docs"), "ok");
    assert!(size() <= 18, "the disk has got {} MiB back", 25 - size());
    assert_eq!(
        site.cell("SELECT count(*) FROM alert WHERE alert = 'outbox_full'"),
        "0"
    );
}

#[test]
fn nothing_is_removed_while_a_reader_keeps_a_full_database_from_shrinking() {
    let site = Site::configured(Account::business(), "[outbox]\nmax_bytes = \"16MiB\"\n");
    site.create_instance("Docs", json!({}));
    let reader = rusqlite::Connection::open(site.database()).unwrap();
    let view = reader.unchecked_transaction().unwrap();
    let seen: i64 = view
        .query_row("SELECT count(*) FROM outbox", [], |row| row.get(0))
        .unwrap();
    assert_eq!(seen, 0);
    stuff(&site, "Docs", "delivered", 400);
    let agent = site.spawn_run();
    eventually("the reader is named", || {
        let log = agent.log();
        log.contains("a reader's open transaction")
            && log.contains(&format!("(process {})", std::process::id()))
    });
    assert_eq!(site.cell("SELECT count(*) FROM outbox"), "400");
    view.commit().unwrap();
    eventually("room is made once it is gone", || {
        site.cell("SELECT count(*) < 300 FROM outbox") == "1"
    });
    assert_eq!(agent.stop(), Some(0));
}

#[test]
fn a_full_database_pauses_the_largest_backlog_says_so_once_and_goes_on_by_itself() {
    let site = Site::configured(Account::business(), &patient("[outbox]\nmax_bytes = \"16MiB\"\n"));
    site.create_instance("Docs", json!({}));
    let (drive, receiver) = another(&site, "Other");
    site.once().code(0);
    stuff(&site, "Other", "delivered", 10);
    stuff(&site, "Other", "pending", 60);
    stuff(&site, "Docs", "pending", 200);
    let agent = site.spawn_run();
    eventually("the largest backlog's polling pauses", || {
        health(&site, "Docs") == "paused"
    });
    let (docs, other) = (create_files(&site.drive(), 1), create_files(&drive, 1));
    site.poll("Docs", &[]).code(0);
    site.poll("Other", &[]).code(0);
    eventually("the alert is in the book", || {
        site.cell("SELECT group_concat(subject || ' ' || state) FROM alert WHERE alert = 'outbox_full'")
            == "Docs raised"
    });
    assert_eq!(health(&site, "Other"), "ok");
    assert_eq!(
        site.cell("SELECT count(*) FROM outbox WHERE state = 'delivered'"),
        "0",
        "these go first"
    );
    assert_eq!(
        site.cell("SELECT count(*) FROM outbox WHERE state = 'pending'"),
        "261"
    );
    let shown = site.cli(&["outbox"]).code(0);
    assert!(
        shown.stdout.contains("Docs") && shown.stdout.contains("max_bytes"),
        "{shown:?}"
    );
    assert_eq!(
        agent.log().matches("polling paused").count(),
        1,
        "{}",
        agent.log()
    );

    site.write_sql("UPDATE outbox SET next_attempt_at = created_at WHERE state = 'pending'");
    for receiver in [&site.receiver, &receiver] {
        receiver.answer_always(Answer::Status(200));
    }
    eventually("it goes on by itself", || health(&site, "Docs") == "ok");
    eventually("the alert is cleared", || {
        site.cell("SELECT state FROM alert WHERE alert = 'outbox_full' ORDER BY id DESC LIMIT 1") == "cleared"
    });
    site.poll("Docs", &[]).code(0);
    let of = |receiver: &Receiver, id: &str| {
        receiver
            .events()
            .iter()
            .filter(|event| event.object_id == id)
            .count()
    };
    eventually("both changes arrive", || {
        of(&site.receiver, &docs) == 1 && of(&receiver, &other) == 1
    });
    assert_eq!(agent.stop(), Some(0));
    check_backlogs(&site);
}

#[test]
fn what_is_delivered_is_kept_for_its_time_and_then_goes_whole() {
    let site = Site::configured(
        Account::business(),
        "[delivery]\nbatch = 1\n[outbox]\nkeep_delivered = \"1h\"\n",
    );
    site.create_instance("Docs", json!({}));
    site.once().code(0);
    create_files(&site.drive(), 99);
    site.once().code(0);
    check_deliveries(&site);
    assert_eq!(
        site.cell("SELECT count(*) FROM outbox"),
        "100",
        "its time has not come"
    );
    let past = "strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-61 minutes')";
    site.write_sql(&format!(
        "UPDATE outbox SET delivered_at = {past} WHERE id <= 60;
         INSERT INTO request (resource_id, depth, state, created_at) VALUES (1, 'changes', 'done', {past}),
                             (1, 'changes', 'done', strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-59 minutes'))"
    ));
    site.once().code(0);
    let left = |table: &str| site.cell(&format!("SELECT count(*) FROM {table}"));
    assert_eq!(
        ["outbox", "event", "attempt", "request"].map(left),
        ["40", "40", "40", "1"]
    );
    assert_eq!(site.cell("SELECT min(id) FROM outbox"), "61");
    // Ids are not used again.
    create_files(&site.drive(), 0);
    site.once().code(0);
    assert_eq!(site.cell("SELECT max(id) FROM outbox"), "101");
}

#[test]
fn kept_for_no_time_it_goes_at_the_next_look_and_the_file_shrinks() {
    let site = Site::configured(Account::business(), "[outbox]\nkeep_delivered = \"0s\"\n");
    site.create_instance("Docs", json!({}));
    stuff(&site, "Docs", "delivered", 800);
    let size = || std::fs::metadata(site.database()).unwrap().len() >> 20;
    assert!(size() >= 50, "{}", size());
    let agent = site.spawn_run();
    eventually("all is gone", || site.cell("SELECT count(*) FROM outbox") == "0");
    eventually("the disk has its space back", || size() <= 8);
    agent.stop();
}
