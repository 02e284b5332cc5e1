//! Copies made while the agent polls and delivers as fast as it can.

use std::collections::BTreeSet;
use std::path::PathBuf;

use deltapost::sim::onedrive::Account;
use serde_json::json;

use crate::backup::{OtherBox, number};
use crate::support::{Site, eventually};

/// Items on each drive: as many as keep the agent busy for some copies.
const ITEMS: usize = 3_000;

/// What is known and what was announced of it are one thing, also in a copy.
const TORN: &str = "SELECT (SELECT count(*) FROM item WHERE object_id NOT IN (SELECT root_id FROM resource WHERE root_id IS NOT NULL))
                         - (SELECT count(*) FROM event)";

/// The objects that were announced of each drive, each counted once.
const ANNOUNCED: &str = "SELECT count(*)
                           FROM (SELECT DISTINCT instance_id, object_id FROM event JOIN outbox ON id = outbox_id)";

/// A box with two drives full of files, of which nothing is known yet and everything is to be announced: one to the
/// receiver, and one to a callback where nobody answers.
fn busy_site() -> Site {
    let account = || Account {
        page_size: 20,
        ..Account::business()
    };
    let site = Site::configured(account(), "[delivery]\nretry = [\"1h\"]\nbatch = 5\n");
    let other = site.cloud.add_account(account());
    for drive in [&site.drive(), &other] {
        let root = drive.root_id();
        for number in 0..ITEMS {
            drive.create_file(&root, &format!("report {number}.xlsx"), 1_200);
        }
    }
    let resources = json!({"events": {"url": "/hubs/documents/events", "baseline": "emit"}});
    let wanted = |callback: String| json!({"event.poller.configuration": resources, "event.notification.callback.url": callback});
    site.create_instance("heard", wanted(site.receiver.url()));
    site.create_instance_of(&other, "unheard", wanted("http://127.0.0.1:9/nobody".to_owned()));
    site
}

#[test]
fn a_copy_made_at_full_speed_is_one_state_and_goes_on_without_loss() {
    let site = busy_site();
    let agent = site.spawn_run();
    let mut copies: Vec<PathBuf> = Vec::new();
    eventually("all is read", || {
        let file = site.data_dir().with_file_name(format!("{}.db", copies.len()));
        site.cli(&["backup", file.to_str().unwrap(), "--with-key"])
            .code(0);
        copies.push(file);
        site.cell("SELECT count(*) FROM resource WHERE phase = 'baseline'") == "0"
    });
    assert_eq!(agent.stop(), Some(0));

    let live = site.database();
    for copy in &copies {
        assert_eq!(number(copy, TORN), 0, "{copy:?}");
        let differing = "SELECT count(*) FROM copy.outbox c LEFT JOIN outbox o USING (id)
              WHERE o.event_id IS NOT c.event_id OR o.body IS NOT c.body";
        let connection = rusqlite::Connection::open(&live).unwrap();
        connection
            .execute("ATTACH ?1 AS copy", [copy.to_str().unwrap()])
            .unwrap();
        let differing: i64 = connection.query_row(differing, [], |row| row.get(0)).unwrap();
        assert_eq!(differing, 0, "{copy:?}");
    }
    let known = |copy: &PathBuf| number(copy, "SELECT count(*) FROM item");
    let amidst = copies
        .iter()
        .find(|copy| known(copy) > 0 && known(copy) < 2 * ITEMS as i64);
    let amidst = amidst.expect("a copy was made while the drives were read");
    assert!(copies.len() >= 3, "{} copies", copies.len());

    let before = site.receiver.deliveries().len();
    let other = OtherBox::beside(&site);
    other.restore(amidst).code(0);
    // It says that nobody answers at the other callback, unless the agent had found out before the copy.
    let once = other.cli(&["once"]);
    assert!(once.code.is_some_and(|code| code < 2), "{once:?}");
    assert_eq!(other.number(TORN), 0);
    assert_eq!(other.number(ANNOUNCED), 2 * ITEMS as i64);
    assert_eq!(
        other.number("SELECT count(*) FROM outbox WHERE instance_id = 1 AND state <> 'delivered'"),
        0
    );
    // What the copy held as pending has its id and its bytes still.
    let counts = site.receiver.counts();
    assert_eq!((counts.changed, counts.unverified), (0, 0), "{counts:?}");
    let deliveries = site.receiver.deliveries();
    let ids: BTreeSet<&str> = deliveries[before..]
        .iter()
        .map(|delivery| delivery.id.as_str())
        .collect();
    assert_eq!(ids.len(), deliveries.len() - before, "each once from this box");
}
