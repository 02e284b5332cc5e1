//! Pages that no documentation allows: whatever comes in place of a page, nothing of it is kept or announced, and what it
//! stood in for comes with the next good one.

use deltapost::sim::onedrive::{Account, Endpoint, Fault};
use serde_json::{Value, json};

use crate::provider::bench::Bench;
use crate::support::ledger::check_replay;
use crate::support::storm::{Dice, Seed, Storm};

/// Everything that a page may change.
const STATE: &str = "SELECT
    (SELECT group_concat(object_id || quote(name) || quote(parent_id) || kind || hex(content) || hex(metadata)
                         || generation || doomed) FROM item)
    || (SELECT count(*) || coalesce(max(id), 0) FROM outbox)
    || (SELECT count(*) FROM staged_deletion)
    || (SELECT phase || silent || generation || cursor_seq || hex(cursor) || quote(held) FROM resource)";

/// A bench that follows a drive, with a change that has not been read yet.
fn bench() -> Bench {
    let bench = Bench::new(Account::business());
    let drive = bench.drive();
    let storm = Storm::new(3);
    (0..20).for_each(|_| storm.step(&drive));
    bench.create("Docs", json!({}));
    bench.poll(1).unwrap();
    drive.create_file(&drive.root_id(), "missed", 1);
    bench
}

/// A page of the service as it is.
fn page(bench: &Bench) -> Vec<u8> {
    let token = bench.cloud.issue_access_token();
    ureq::get(format!("{}/me/drive/root/delta", bench.cloud.graph_base()))
        .header("Authorization", format!("Bearer {token}"))
        .call()
        .unwrap()
        .body_mut()
        .read_to_vec()
        .unwrap()
}

/// Serves `page` once and asserts that nothing comes of it.
#[track_caller]
fn check(bench: &Bench, name: &str, page: Vec<u8>) {
    let before = bench.cell(STATE);
    bench.cloud.fail_next(Endpoint::Delta, Fault::Body(page));
    let refused = bench.poll(1);
    assert!(refused.is_err(), "{name} was read as a page");
    assert_eq!(bench.cell(STATE), before, "{name}");
    let told = bench.last_error("Docs");
    assert!(
        told.len() < 600 && !told.contains(char::is_control),
        "{name}: {told}"
    );
}

/// A page with this as its only item, and a link where `linked`.
fn with_item(item: &str, linked: bool, bench: &Bench) -> Vec<u8> {
    let link = match linked {
        true => format!(
            ",\"@odata.deltaLink\":\"{}/me/drive/root/delta?token=x\"",
            bench.cloud.graph_base()
        ),
        false => String::new(),
    };
    format!("{{\"value\":[{item}]{link}}}").into_bytes()
}

fn deep(depth: usize) -> String {
    format!("{}1{}", "[".repeat(depth), "]".repeat(depth))
}

#[test]
fn a_hostile_page_changes_nothing() {
    let bench = bench();
    let start = {
        let mut tree = bench.drive().tree();
        tree.retain(|_, entry| entry.name != "missed");
        tree
    };
    let good = page(&bench);
    check_shapes(&bench);
    check_types(&bench);
    check_broken_bytes(&bench, &good);
    bench.poll(1).unwrap();
    check_replay(&start, &bench.events(), &bench.drive().tree());
}

fn check_shapes(bench: &Bench) {
    let base = bench.cloud.graph_base();
    for (name, page) in [
        ("nothing", String::new()),
        ("null", "null".to_owned()),
        ("a list", "[]".to_owned()),
        ("a byte order mark", "\u{feff}".to_owned()),
        (
            "a login page",
            "<!doctype html><title>Guest network</title>".to_owned(),
        ),
        ("no value", format!("{{\"@odata.deltaLink\":\"{base}/x\"}}")),
        ("no link", "{\"value\":[]}".to_owned()),
        (
            "both links",
            format!("{{\"value\":[],\"@odata.deltaLink\":\"{base}/x\",\"@odata.nextLink\":\"{base}/y\"}}"),
        ),
        (
            "a link elsewhere",
            "{\"value\":[],\"@odata.nextLink\":\"https://evil.example/v1.0/x\"}".to_owned(),
        ),
        (
            "a link that is a number",
            "{\"value\":[],\"@odata.nextLink\":5}".to_owned(),
        ),
        (
            "a value that is an object",
            format!("{{\"value\":{{}},\"@odata.deltaLink\":\"{base}/x\"}}"),
        ),
        (
            "a value given twice",
            format!("{{\"value\":[],\"value\":[],\"@odata.deltaLink\":\"{base}/x\"}}"),
        ),
        ("endless depth", "[".repeat(2_000_000)),
        ("endless depth in an object", "{\"value\":".repeat(500_000)),
        (
            "two documents",
            format!("{{\"value\":[],\"@odata.deltaLink\":\"{base}/x\"}}{{}}"),
        ),
    ] {
        check(bench, name, page.into_bytes());
    }
    let facets: Vec<String> = (0..1_000_000).map(|n| format!("\"f{n}\":{{}}")).collect();
    let facets = facets.join(",");
    let anonymous = format!("{{{facets}}}");
    assert!(anonymous.len() < 16 << 20);
    check(
        bench,
        "a million facets and no id",
        with_item(&anonymous, true, bench),
    );
    check(
        bench,
        "an item deep in lists",
        with_item(&deep(1_000_000), true, bench),
    );
    let deep_facet = format!("{{\"id\":\"A\",\"file\":{}}}", deep(1_000_000));
    check(
        bench,
        "a facet deep in lists",
        with_item(&deep_facet, true, bench),
    );
    // What is only unknown may be as large and deep as it likes, but the page still has to end.
    let facets = format!("{{\"id\":\"A\",\"x\":{},{facets}}}", deep(100_000));
    check(
        bench,
        "a million facets and no link",
        with_item(&facets, false, bench),
    );
    let long = format!("{{\"id\":\"{}\"}}", "A".repeat(17 << 20));
    check(bench, "more than a page", with_item(&long, true, bench));
}

fn check_types(bench: &Bench) {
    let item = json!({
        "id": "01ABC", "name": "a", "eTag": "t", "size": 1, "createdDateTime": "2026-03-02T08:00:00Z",
        "lastModifiedDateTime": "2026-03-02T08:00:00Z", "parentReference": {"id": "R", "driveId": "b!x"},
        "file": {"hashes": {"quickXorHash": "h"}},
    });
    let wrong = [
        json!(true),
        json!(5.5),
        json!("x"),
        json!([]),
        json!([{}]),
        json!({"a": {}}),
    ];
    let check_at = |pointer: &str, fits: &dyn Fn(&Value) -> bool| {
        for wrong in wrong.iter().filter(|wrong| !fits(wrong)) {
            let mut item = item.clone();
            *item.pointer_mut(pointer).unwrap() = wrong.clone();
            let name = format!("{pointer} = {wrong}");
            check(bench, &name, with_item(&item.to_string(), true, bench));
        }
    };
    for text in [
        "/id",
        "/name",
        "/eTag",
        "/parentReference/id",
        "/parentReference/driveId",
    ] {
        check_at(text, &Value::is_string);
    }
    check_at("/createdDateTime", &Value::is_string);
    check_at("/lastModifiedDateTime", &Value::is_string);
    check_at("/file/hashes/quickXorHash", &Value::is_string);
    check_at("/size", &Value::is_number);
    check_at("/parentReference", &Value::is_object);
    check_at("/file", &Value::is_object);
    check_at("/file/hashes", &Value::is_object);
    check_at("", &Value::is_object);
}

/// Bytes that are no UTF-8, or not all of the page.
fn check_broken_bytes(bench: &Bench, good: &[u8]) {
    let mut dice = Dice::new(9);
    for _ in 0..100 {
        let at = dice.below(good.len());
        check(bench, "a page cut short", good[..at].to_vec());
        let bad: &[u8] = [
            &b"\xff"[..],
            b"\xc3(",
            b"\xed\xa0\x80",
            b"\xf8\x88\x80\x80\x80",
            b"\x80",
        ][dice.below(5)];
        check(bench, "bad UTF-8", [&good[..at], bad, &good[at..]].concat());
    }
}

/// Pages with a few bytes changed: each is refused and changes nothing, or is a page.
#[test]
fn a_mutated_page_is_read_whole_or_not_at_all() {
    for seed in [1, 2] {
        let _seed = Seed(seed);
        let mut dice = Dice::new(seed);
        let mut bench = bench();
        let good = page(&bench);
        for _ in 0..250 {
            let mut page = good.clone();
            for _ in 0..=dice.below(3) {
                mutate(&mut page, &mut dice);
            }
            let before = bench.cell(STATE);
            bench.cloud.fail_next(Endpoint::Delta, Fault::Body(page));
            match bench.poll(1) {
                Err(_) => assert_eq!(bench.cell(STATE).replace("'drive'", "NULL"), before),
                Ok(_) => assert_ne!(bench.cell(STATE), before),
            }
            if bench.cell(STATE) != before {
                bench = self::bench();
            }
        }
    }
}

fn mutate(page: &mut Vec<u8>, dice: &mut Dice) {
    let tokens: [&[u8]; 12] = [
        b"{", b"}", b"[", b"]", b"\"", b",", b":", b"null", b"\\", b"\\ud800", b"-1e999", b"\0",
    ];
    let at = dice.below(page.len());
    match dice.below(4) {
        0 => page[at] = dice.roll() as u8,
        1 => drop(page.splice(at..at, tokens[dice.below(tokens.len())].iter().copied())),
        2 => {
            let end = (at + 1 + dice.below(40)).min(page.len());
            page.drain(at..end);
        }
        _ => {
            let end = (at + 1 + dice.below(200)).min(page.len());
            let copied = page[at..end].to_vec();
            page.splice(end..end, copied);
        }
    }
}
