//! Pages of up to 16 MiB that are made to need much more: the agent's memory stays bounded whatever they hold.

use deltapost::sim::onedrive::{Account, Endpoint, Fault};
use deltapost::sim::receiver::Answer;

use crate::adverse::{hurried, polled_as};
use crate::support::{Site, eventually};

/// The most memory that the agent may ever have resident.
const MOST_KIB: u64 = 96 << 10;

/// The largest body that is read.
const PAGE_BYTES: usize = 16 << 20;

/// A page with so many of `objects` as 16 MiB have room for.
fn page(site: &Site, objects: impl Iterator<Item = String>) -> Vec<u8> {
    let end = format!("],\"@odata.deltaLink\":\"{}/x\"}}", site.cloud.graph_base());
    let mut page = "{\"value\":[".to_owned();
    for object in objects {
        if page.len() + object.len() + end.len() >= PAGE_BYTES {
            break;
        }
        page += &object;
        page.push(',');
    }
    page.pop();
    (page + &end).into_bytes()
}

/// Serves `objects` as the first page to an instance, and has the agent announce them until the outbox is full.
#[track_caller]
fn check(name: &str, objects: impl Iterator<Item = String>, max_events: usize, announced: usize) {
    check_at_once(name, 1, objects, max_events, announced);
}

/// The same with so many `instances` that are polled at the same time.
#[track_caller]
fn check_at_once(
    name: &str,
    instances: usize,
    objects: impl Iterator<Item = String>,
    max_events: usize,
    announced: usize,
) {
    let (_, sections) = hurried();
    let sections = format!("{sections}[outbox]\nmax_events = {max_events}\n");
    let site = Site::configured(Account::business(), &sections);
    let body = page(&site, objects);
    site.cloud.fail_always(Endpoint::Delta, Fault::Body(body));
    (0..instances).for_each(|number| polled_as(&site, &format!("Docs {number}")));
    // What is delivered makes room for more.
    site.receiver.answer_always(Answer::Status(503));
    let agent = site.spawn_run();
    eventually(name, || {
        let written = "SELECT coalesce(sum(event_count), 0) FROM outbox";
        site.cell(written).parse::<usize>().unwrap() >= instances * announced
    });
    let status = std::fs::read_to_string(format!("/proc/{}/status", agent.pid())).unwrap();
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap();
    let peak: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    eprintln!("{name}: {peak} KiB");
    assert!(peak <= MOST_KIB, "{name}: {peak} KiB");
    let longest = "SELECT max(coalesce(length(name), 0), coalesce(max(length(path)), 0)) FROM item, event";
    assert!(site.cell(longest).parse::<usize>().unwrap() <= 4_096, "{name}");
}

#[test]
fn no_page_takes_more_than_bounded_memory() {
    let nested = (0..).map(|n| {
        let (name, parent) = ("n".repeat(15_000), format!("f{}", n - 1));
        let place = if n == 0 {
            "\"root\":{}".to_owned()
        } else {
            format!("\"parentReference\":{{\"id\":\"{parent}\"}}")
        };
        format!("{{\"id\":\"f{n}\",\"name\":\"{name}\",\"folder\":{{}},{place}}}")
    });
    check("nested folders with long names", nested, 1_000_000, 1_000);
    let tiny = (0..).map(|n| format!("{{\"id\":\"{n:x}\"}}"));
    check("a million tiny items", tiny, 5_000, 5_000);
    let largest = std::iter::once(format!(
        "{{\"id\":\"1\",\"x\":\"{}\"}}",
        "x".repeat(PAGE_BYTES - 200)
    ));
    check("one item that fills the page", largest, 1_000, 1);
    let properties: String = (0..1_200_000).map(|n| format!(",\"{n:x}\":0")).collect();
    let many = std::iter::once(format!("{{\"id\":\"1\"{properties}}}"));
    check("an item of a million properties", many, 1_000, 1);
}

#[test]
fn large_pages_of_many_drives_at_once_take_no_more_than_one() {
    let tiny = (0..).map(|n| format!("{{\"id\":\"{n:x}\"}}"));
    check_at_once("six pages of tiny items", 6, tiny, 1_000, 1_000);
}
