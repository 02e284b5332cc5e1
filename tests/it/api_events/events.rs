//! Events: read by instance and by id, page by page, filtered, and counted over time.

use deltapost::sim::onedrive::Account;
use deltapost::sim::receiver::Answer;
use serde_json::{Value, json};

use crate::api_events::{Box, each};

#[test]
fn an_event_is_the_notification_that_was_sent() {
    let place = Box::new();
    place.deliver(&["a.txt"]);
    let sent = place.site.receiver.deliveries().pop().unwrap();
    let (events, next) = place.page("/instances/1/events");
    assert_eq!((events.len(), next), (1, None));
    let event = &events[0];
    assert_eq!(event["id"], sent.id.as_str());
    assert_eq!(event["status"], "NOTIFIED");
    assert_eq!(event["instanceId"], 1);
    assert_eq!(event["elementKey"], "onedrivev2");
    assert_eq!(event["topic"], "events");
    assert_eq!(event["count"], 1);
    assert_eq!(
        event["eventDate"],
        place.site.cell("SELECT created_at FROM outbox").as_str()
    );
    let notified = event["notifiedData"].as_array().unwrap();
    assert_eq!(notified, &[json!(String::from_utf8(sent.body.clone()).unwrap())]);
    let body: Value = serde_json::from_slice(&sent.body).unwrap();
    let provider: Value = serde_json::from_str(event["providerData"].as_str().unwrap()).unwrap();
    assert_eq!(provider, body["message"]["raw"]["objects"]);
    for path in ["/instances/events", "/instances/1/events"] {
        assert_eq!(
            &place.api.get(&format!("{path}/{}", sent.id)).status(200).json(),
            event
        );
    }
}

#[test]
fn a_deletion_that_the_provider_did_not_list_has_null_for_its_object() {
    let place = Box::new();
    let drive = place.site.drive();
    let folder = drive.create_folder(&drive.root_id(), "F");
    drive.create_file(&folder, "a.txt", 1);
    place.deliver(&[]);
    drive.delete(&folder);
    place.deliver(&[]);
    let (events, _) = place.page("/instances/events?pageSize=2");
    for event in &events {
        let provider: Value = serde_json::from_str(event["providerData"].as_str().unwrap()).unwrap();
        let body: Value = serde_json::from_str(event["notifiedData"][0].as_str().unwrap()).unwrap();
        assert_eq!(provider, body["message"]["raw"]["objects"]);
        assert_eq!(body["message"]["events"][0]["eventType"], "DELETED");
    }
}

#[test]
fn pages_lead_through_all_events_newest_first() {
    let place = Box::new();
    place.deliver(&["a", "b", "c", "d", "e"]);
    let mut newest_first = place
        .site
        .sql("SELECT event_id FROM outbox ORDER BY id DESC")
        .concat();
    let mut path = Some("/instances/events?pageSize=2".to_owned());
    let mut sizes = Vec::new();
    while let Some(at) = path {
        let (events, next) = place.page(&at);
        sizes.push(events.len());
        let rest = newest_first.split_off(events.len());
        assert_eq!(each(&events, "/id"), newest_first);
        (newest_first, path) = (rest, next);
    }
    assert_eq!(sizes, [2, 2, 1]);
}

#[test]
fn statuses_say_how_far_an_event_is() {
    let place = Box::new();
    place.deliver(&["accepted"]);
    place.site.receiver.answer_always(Answer::Status(500));
    place.make(&["tried", "not tried"]);
    place.eventually_none("attempts = 0 AND id = (SELECT id FROM outbox WHERE state = 'pending' LIMIT 1)");
    let by = |status: &str| place.page(&format!("/instances/events?status={status}")).0;
    let all = place.page("/instances/events").0;
    assert_eq!(each(&all, "/status"), ["NEW", "DISPATCHED", "NOTIFIED"]);
    for (at, status) in ["NEW", "DISPATCHED", "NOTIFIED"].into_iter().enumerate() {
        assert_eq!(by(status), [all[at].clone()], "{status}");
    }
    assert_eq!(by("NEW,notified"), [all[0].clone(), all[2].clone()]);
    assert_eq!(by("NEW&status=DISPATCHED"), [all[0].clone(), all[1].clone()]);
    assert_eq!(by("RECEIVED,CONSUMED"), Vec::<Value>::new());
    place.site.cli(&["outbox", "discard", "3", "--yes"]).code(0);
    place
        .site
        .write_sql("UPDATE outbox SET state = 'dead', next_attempt_at = NULL WHERE state = 'pending'");
    assert_eq!(
        each(&place.page("/instances/events").0, "/status"),
        ["DISPATCHED", "NOTIFIED"]
    );
}

#[test]
fn events_are_those_of_the_instance_that_is_named() {
    let place = Box::new();
    let other = place.site.cloud.add_account(Account {
        seed: 2,
        ..Account::consumer()
    });
    place.site.create_instance_of(&other, "Other", json!({}));
    place.site.poll("Other", &[]).code(0);
    other.create_file(&other.root_id(), "theirs", 1);
    place.site.poll("Other", &[]).code(0);
    place.deliver(&["ours"]);
    let instances = |path: &str| each(&place.page(path).0, "/instanceId");
    assert_eq!(instances("/instances/events"), ["1", "2"]);
    assert_eq!(instances("/instances/1/events"), ["1"]);
    assert_eq!(instances("/instances/2/events"), ["2"]);
    let theirs = place
        .site
        .cell("SELECT event_id FROM outbox WHERE instance_id = 2");
    place
        .api
        .get(&format!("/instances/2/events/{theirs}"))
        .status(200);
    place
        .api
        .get(&format!("/instances/1/events/{theirs}"))
        .refused(404, &[&theirs]);
    // With an instance's own token, its events alone.
    let token = place.api.get("/instances/2").status(200).json()["token"].clone();
    let as_other = place.api.as_instance(token.as_str().unwrap());
    let own = as_other.get("/instances/events").status(200).json();
    assert_eq!(each(own.as_array().unwrap(), "/instanceId"), ["2"]);
    let deliveries = as_other
        .get("/notifications/subscriptions/deliveries")
        .status(200)
        .json();
    assert_eq!(
        each(deliveries.as_array().unwrap(), "/notification/eventId"),
        [theirs.as_str()]
    );
    let analytics = place
        .api
        .get("/instances/events/analytics/instances")
        .status(200)
        .json();
    let last = analytics.as_array().unwrap().last().unwrap();
    let one = |instance: i64| json!({"instanceId": instance, "count": 1});
    assert_eq!(
        (&last["total"], &last["records"]),
        (&json!(2), &json!([one(1), one(2)]))
    );
    assert_eq!(analytics[0]["records"], json!([]));
    place.site.cli(&["instance", "disable", "Other"]).code(0);
    for path in [
        "/instances/events",
        "/instances/events/analytics",
        "/notifications/subscriptions/deliveries",
    ] {
        as_other.get(path).refused(403, &["disabled"]);
    }
}

#[test]
fn counts_have_every_piece_of_their_span() {
    let place = Box::new();
    place.deliver(&["a", "b", "c"]);
    place.site.write_sql(
        "UPDATE outbox SET created_at = '2026-03-01T10:30:59.999Z' WHERE id = 1;
         UPDATE outbox SET created_at = '2026-03-01T10:33:00.000Z' WHERE id = 2",
    );
    let get = |query: &str| place.api.get(&format!("/instances/events/analytics?{query}"));
    let counts = |query: &str| each(get(query).status(200).json().as_array().unwrap(), "/count").join(" ");
    assert_eq!(
        counts("from=2026-03-01T10:30:00Z&to=2026-03-01T10:34:00Z&interval=minute"),
        "1 0 0 1 0"
    );
    assert_eq!(
        counts("from=2026-03-01T12:30:30%2B02:00&to=2026-03-01T10:33:00Z&interval=minute"),
        "1 0 0 0"
    );
    // A `+` that nobody escaped.
    assert_eq!(
        counts("from=2026-03-01T12:30:30+02:00&to=2026-03-01T10:33:00Z&interval=minute"),
        "1 0 0 0"
    );
    assert_eq!(counts("from=2026-02-28&to=2026-03-02&interval=day"), "0 2 0");
    assert_eq!(counts("from=2026-03-01&to=2026-03-02&interval=week"), "2 0");
    let usual = get("").status(200).json();
    let usual = usual.as_array().unwrap();
    assert_eq!((usual.len(), &usual[24]["count"]), (25, &json!(1)));
    assert!(usual[0]["timestamp"].as_str().unwrap().ends_with(":00:00.000Z"));
}

#[test]
fn what_is_not_understood_is_refused_by_its_name() {
    let place = Box::new();
    let refused =
        |path: &str, parts: &[&str]| drop(place.api.get(&format!("/instances{path}")).refused(400, parts));
    refused("/events?pageSize=0", &["`pageSize`", "from 1 to 1000", "`0`"]);
    refused("/events?pageSize=1001", &["`pageSize`"]);
    refused("/events?pageSize=-1", &["`pageSize`"]);
    refused("/events?nextPage=AAAA", &["`nextPage`", "`AAAA`"]);
    refused("/events?nextPage=__________8", &["`nextPage`"]);
    refused(
        "/events?from=2026-03-02&to=2026-03-01",
        &["`from`", "`to`", "2026-03-02", "2026-03-01"],
    );
    refused("/events?from=yesterday", &["`from`", "`yesterday`"]);
    refused("/1/events?to=2026-02-30", &["`to`", "`2026-02-30`"]);
    refused("/events?status=SENT", &["`status`", "NOTIFIED", "`SENT`"]);
    for analytics in ["/events/analytics", "/events/analytics/instances"] {
        refused(
            &format!("{analytics}?interval=second"),
            &["`interval`", "minute, hour, day, week", "`second`"],
        );
        refused(
            &format!("{analytics}?from=2026-03-02&to=2026-03-01"),
            &["not before `to`"],
        );
        refused(
            &format!("{analytics}?from=2025-03-02&to=2026-03-01&interval=minute"),
            &["more than 1500"],
        );
        refused(&format!("{analytics}?from=nonsense"), &["`from`"]);
    }
    for missing in [
        "/9/events",
        "/Docs/events",
        "/events/nothing",
        "/1/events/nothing",
        "/9/events/nothing",
    ] {
        place
            .api
            .get(&format!("/instances{missing}"))
            .refused(404, &["there is no"]);
    }
    place
        .api
        .send("POST", "/instances/events", "")
        .refused(405, &["GET"]);
}
