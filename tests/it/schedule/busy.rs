//! Feeds that are read for long, or do not answer, beside one that changes: nobody waits for them.

use std::sync::atomic::{AtomicUsize, Ordering};

use deltapost::clock::{Clock, SystemClock};
use deltapost::httpd::{Reply, Then};
use deltapost::sim::onedrive::Account;
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::support::{Site, eventually};

/// A change must be told so soon; the schedule here is each second.
const SOON: SignedDuration = SignedDuration::from_secs(8);

/// A page of the feed at `path` that names a next one, and brings `items`.
fn page(site_base: &str, path: &str, number: usize, items: &[String]) -> Reply {
    let items: Vec<Value> = items
        .iter()
        .map(|id| json!({"id": id, "subject": format!("of {id}")}))
        .collect();
    let next = format!("{site_base}{path}?$skiptoken={number}");
    let body = json!({"value": items, "@odata.nextLink": next}).to_string();
    Reply::json(200, body)
}

/// Serves a feed at `path` whose pages never end; the n-th brings what `items` says.
fn endless(site: &Site, path: &'static str, items: impl Fn(usize) -> Vec<String> + Send + Sync + 'static) {
    let (base, number) = (site.cloud.graph_base(), AtomicUsize::new(0));
    site.cloud.route(&format!("/v1.0{path}"), move |_| {
        let number = number.fetch_add(1, Ordering::Relaxed) + 1;
        page(&base, path, number, &items(number))
    });
}

fn resources(paths: &[&str]) -> Value {
    let named = paths.iter().enumerate();
    named
        .map(|(number, path)| (format!("r{number}"), json!({"url": path})))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

/// A site that follows a drive, polled each second, as the instance `Docs`.
fn following() -> Site {
    let poll = "[[poll]]\ninstance = \"Docs\"\ncron = \"* * * * * *\"\n";
    let site = Site::configured(
        Account::business(),
        &format!("[schedule]\njitter = \"0s\"\nworkers = 4\n\n{poll}"),
    );
    site.create_instance("Docs", json!({}));
    site.once().code(0);
    site
}

/// A change to the drive of `Docs` is delivered soon, again and again.
#[track_caller]
fn changes_are_told_soon(site: &Site) {
    let drive = site.drive();
    for number in 0..3 {
        let before = site.receiver.events().len();
        drive.create_file(&drive.root_id(), &format!("file {number}"), 1);
        let changed = SystemClock.now();
        eventually("the change is told", || site.receiver.events().len() > before);
        let took = SystemClock.now().duration_since(changed);
        assert!(took < SOON, "it took {took:?}");
    }
}

#[test]
fn a_change_is_told_soon_while_endless_feeds_are_read() {
    let site = following();
    let paths = [
        "/me/a/delta",
        "/me/b/delta",
        "/me/c/delta",
        "/me/d/delta",
        "/me/e/delta",
    ];
    for path in paths {
        endless(&site, path, |page| {
            (0..50).map(|item| format!("{page}-{item}")).collect()
        });
    }
    let agent = site.spawn_run();
    site.create_instance("Busy", json!({"event.poller.configuration": resources(&paths)}));
    eventually("they are read", || {
        site.cell("SELECT count(DISTINCT resource_id) FROM item") == "6"
    });
    changes_are_told_soon(&site);
    assert_eq!(agent.stop(), Some(0));
}

#[test]
fn a_change_is_told_soon_while_answers_hang_before_their_heads_and_within_long_bodies() {
    let site = following();
    let silent = ["/me/a/delta", "/me/b/delta", "/me/c/delta", "/me/d/delta"];
    let broken = [
        "/me/e/delta",
        "/me/f/delta",
        "/me/g/delta",
        "/me/h/delta",
        "/me/i/delta",
    ];
    for path in silent {
        site.cloud.route(&format!("/v1.0{path}"), |_| {
            Reply::verbatim(Vec::new(), Then::Hang)
        });
    }
    for path in broken {
        site.cloud.route(&format!("/v1.0{path}"), |_| {
            let body = " ".repeat(300 * 1024);
            Reply::verbatim(
                format!("HTTP/1.1 200 OK\r\nContent-Length: 400000\r\n\r\n{body}"),
                Then::Hang,
            )
        });
    }
    let agent = site.spawn_run();
    site.create_instance(
        "Silent",
        json!({"event.poller.configuration": resources(&silent)}),
    );
    site.create_instance(
        "Broken",
        json!({"event.poller.configuration": resources(&broken)}),
    );
    eventually("they are waited for", || {
        site.cell("SELECT count(*) >= 9 FROM resource WHERE unfinished") == "1"
    });
    changes_are_told_soon(&site);
    agent.kill();
}

#[test]
fn a_feed_that_goes_on_and_on_without_news_ends_its_poll() {
    let site = Site::new(Account::business());
    endless(&site, "/me/empty/delta", |_| Vec::new());
    endless(&site, "/me/again/delta", |page| vec![format!("{}", page % 7)]);
    endless(&site, "/me/messages", |_| Vec::new());
    let mut feeds = resources(&["/me/empty/delta", "/me/again/delta"]);
    feeds["window"] = json!({"url": "/me/messages", "datesConfiguration": {
        "updatedDateField": "lastModifiedDateTime", "updatedDateFormat": "yyyy-MM-dd'T'HH:mm:ss'Z'",
        "updatedDateTimezone": "GMT"}});
    site.create_instance("Docs", json!({"event.poller.configuration": feeds}));
    let polled = site.once().code(1);
    assert!(polled.stderr.contains("the feed goes on and on"), "{polled:?}");
    let polls = site
        .sql("SELECT outcome, pages, error LIKE 'the feed goes on and on%' FROM poll ORDER BY resource_id");
    let ended = |pages: &'static str| ["failed", pages, "1"];
    assert_eq!(polls, [ended("1000"), ended("2000"), ended("1000")]);
}
