//! A small drive that every test of a feed knows by its paths, and what is told of it from one poll to the next.

use deltapost::sim::onedrive::{Account, Drive};
use deltapost::sim::receiver::Received;
use serde_json::json;

use crate::support::Site;
use crate::support::ledger::check_deliveries;

/// A box with an instance `Docs` for the account's drive, not polled yet, with this `baseline` and page size. The
/// drive is an `office`.
pub(crate) fn site(account: Account, baseline: &str, page_size: usize) -> Site {
    let site = Site::new(account);
    office(&site.drive());
    site.create_instance(
        "Docs",
        json!({"event.poller.configuration": {"events": {
            "url": "/hubs/documents/events", "baseline": baseline, "pageSize": page_size}}}),
    );
    site
}

/// Polls and delivers, and returns the events that are new since the last call, each as `TYPE name-of-the-object`.
#[track_caller]
pub(crate) fn news(site: &Site, seen: &mut usize) -> Vec<Received> {
    site.once().code(0);
    check_deliveries(site);
    let mut events = site.receiver.events();
    let news = events.split_off(*seen);
    *seen += news.len();
    news
}

/// The type and path of each event.
pub(crate) fn told(events: &[Received]) -> Vec<String> {
    let line = |event: &Received| {
        let path = event.path.as_deref().unwrap_or("null");
        format!("{} {path} {}", event.event_type, event.changes.join("+"))
            .trim_end()
            .to_owned()
    };
    events.iter().map(line).collect()
}

/// `/Finance` with `report.xlsx`, `/Finance/2026` with `jan.xlsx` and `feb.xlsx`, `/notes.txt`.
pub(crate) fn office(drive: &Drive) {
    let root = drive.root_id();
    let finance = drive.create_folder(&root, "Finance");
    drive.create_file(&finance, "report.xlsx", 100);
    let year = drive.create_folder(&finance, "2026");
    drive.create_file(&year, "jan.xlsx", 10);
    drive.create_file(&year, "feb.xlsx", 20);
    drive.create_file(&root, "notes.txt", 5);
}

pub(crate) fn id(drive: &Drive, path: &str) -> String {
    drive.find(path).unwrap()
}
