//! What the provider wrote reaches the subscriber and the database byte for byte, however odd its JSON is.

use deltapost::sim::onedrive::Account;
use serde_json::json;

use crate::support::Site;
use crate::support::ledger::check_deliveries;

/// JSON that a round trip through a parsed value would change; `ID` and `ROOT` stand for the item's and its parent's id.
const ODD: &[&str] = &[
    // Keys in another order than anybody writes them, and white space of all kinds.
    "{ \"zebra\" : 1,\t\"file\":{ } ,\r\n  \"name\":\"order.txt\", \"parentReference\":{\"id\":\"ROOT\"}, \"id\" :\"ID\"}",
    // Duplicate keys: the last of them counts, and all of them are passed on.
    r#"{"id":"ID","name":"first.txt","x":1,"name":"last.txt","x":2,"x":2,"file":{},"parentReference":{"id":"ROOT"}}"#,
    // Numbers that no machine type holds, and others that can be written in several ways.
    r#"{"id":"ID","name":"numbers.txt","size":98765432109876543210,"file":{},"parentReference":{"id":"ROOT"},
        "n":[12345678901234567890123456789012345678901234567890,-0,-0.0,1.0,1.10,1e2,1E+2,1e400,0.1e-400,0.30000000000000004]}"#,
    // Escapes that need not be, and some that must.
    r#"{"\u0069d":"ID","name":"\u0065sc\u0061pes\u002etxt","file":{},"parentReference":{"id":"ROOT"},
        "e":"\/\b\f\n\r\t\"\\\u0000\u001f\u007F\u00e9\u2028\u2029"}"#,
    // Surrogate pairs in both cases, characters beyond the first plane as they are, a pair torn apart.
    r#"{"id":"ID","name":"\ud83d\ude00 \uD83D\uDE00 😀.txt","file":{},"parentReference":{"id":"ROOT"},
        "torn":"\ud83d","turned":"\ude00\ud83d","\ud800":"é e\u0301 \u200f \uffff ￿"}"#,
    r#"{"id":"ID","name":"torn \ud83d.txt","file":{},"parentReference":{"id":"ROOT"}}"#,
    // What looks like the page's own, and depth.
    r#"{"id":"ID","name":"deep.txt","file":{},"parentReference":{"id":"ROOT"},"value":[],"@odata.nextLink":"https://evil.example/",
        "raw":{"objects":[null]},"":{"":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[{"message":{}}]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]}}"#,
];

#[test]
fn bytes_of_the_provider_survive() {
    for batch in [1, 10] {
        let site = Site::configured(Account::business(), &format!("[delivery]\nbatch = {batch}\n"));
        let drive = site.drive();
        site.create_instance("Docs", json!({}));
        site.once().code(0);
        let mut expect = Vec::new();
        for odd in ODD {
            let id = drive.create_file(&drive.root_id(), "x.txt", 1);
            let raw = odd.replace("ID", &id).replace("ROOT", &drive.root_id());
            drive.set_raw(&id, &raw);
            expect.push((id, raw));
        }
        site.once().code(0);
        check_deliveries(&site);

        let events = site.receiver.events();
        assert_eq!(events.len(), expect.len());
        let bodies: Vec<u8> = site
            .receiver
            .deliveries()
            .into_iter()
            .flat_map(|delivery| delivery.body)
            .collect();
        for (event, (id, raw)) in events.iter().zip(&expect) {
            assert_eq!((&event.object_id, event.raw.as_ref()), (id, Some(raw)));
            let times = bodies
                .windows(raw.len())
                .filter(|window| *window == raw.as_bytes())
                .count();
            assert_eq!(times, 1, "in the delivered bodies: {raw}");
        }
        let stored = site.sql("SELECT object_id, raw FROM recent_events ORDER BY outbox_id, position");
        let expect: Vec<Vec<String>> = expect.into_iter().map(|(id, raw)| vec![id, raw]).collect();
        assert_eq!(stored, expect);
    }
}

#[test]
fn names_are_read_from_the_odd_bytes_as_json_means_them() {
    let site = Site::new(Account::consumer());
    let drive = site.drive();
    site.create_instance("Docs", json!({}));
    site.once().code(0);
    for odd in ODD {
        let id = drive.create_file(&drive.root_id(), "x.txt", 1);
        drive.set_raw(&id, &odd.replace("ID", &id).replace("ROOT", &drive.root_id()));
    }
    site.once().code(0);
    let paths: Vec<_> = site
        .receiver
        .events()
        .into_iter()
        .map(|event| event.path.unwrap())
        .collect();
    assert_eq!(
        paths,
        [
            "/order.txt",
            "/last.txt",
            "/numbers.txt",
            "/escapes.txt",
            "/😀 😀 😀.txt",
            "/torn \u{fffd}\u{fffd}\u{fffd}.txt",
            "/deep.txt"
        ]
    );
}

#[test]
fn a_deletion_carries_the_object_that_the_feed_listed() {
    let site = Site::new(Account::business());
    let drive = site.drive();
    let id = drive.create_file(&drive.root_id(), "x.txt", 1);
    site.create_instance("Docs", json!({}));
    site.once().code(0);
    drive.delete(&id);
    site.once().code(0);
    let events = site.receiver.events();
    let raw = events[0].raw.as_deref().unwrap();
    assert!(
        raw.starts_with(&format!("{{\"id\":\"{id}\","))
            && raw.contains("\"deleted\":{\"state\":\"deleted\"}"),
        "{raw}"
    );
    assert_eq!(site.cell("SELECT raw FROM recent_events"), raw);
}
