//! Deliveries: listed by what became of them, and sent again when they are queued.

use deltapost::sim::receiver::Answer;
use serde_json::{Value, json};

use crate::api_events::{Box, each, escaped};

const PATH: &str = "/notifications/subscriptions/deliveries";

impl Box {
    fn deliveries(&self, condition: &str) -> Vec<Value> {
        self.page(&format!("{PATH}?where={}", escaped(condition))).0
    }

    /// One delivered, then a dead one and a waiting one behind a disabled endpoint.
    fn queue_up(&self) {
        self.deliver(&["delivered"]);
        self.site.receiver.answer_always(Answer::Status(410));
        self.make(&["gone", "behind"]);
        self.eventually_none("state = 'pending' AND (SELECT state FROM endpoint) <> 'disabled'");
        self.site
            .write_sql("UPDATE outbox SET state = 'dead', next_attempt_at = NULL WHERE id = 2");
    }
}

#[test]
fn a_delivery_shows_its_notification_and_its_subscription() {
    let place = Box::new();
    place.deliver(&["a.txt"]);
    let sent = place.site.receiver.deliveries().pop().unwrap();
    let body: Value = serde_json::from_slice(&sent.body).unwrap();
    let deliveries = place.deliveries("");
    assert_eq!(deliveries.len(), 1);
    let delivery = &deliveries[0];
    assert_eq!(
        (&delivery["notificationId"], &delivery["subscriptionId"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(
        (&delivery["status"], &delivery["attempts"]),
        (&json!("delivered"), &json!(1))
    );
    assert_eq!(delivery["notification"]["eventId"], sent.id.as_str());
    assert_eq!(delivery["notification"]["message"], body["message"]);
    let subscription = json!({
        "id": 1,
        "channel": "webhook",
        "topics": ["instance-1-onedrivev2-events"],
        "config": {"url": place.site.receiver.url()},
        "active": true,
    });
    assert_eq!(delivery["subscription"], subscription);
    let (bare, _) = place.page(&format!("{PATH}?hydrate=false"));
    assert_eq!(
        (bare[0].get("notification"), bare[0].get("subscription")),
        (None, None)
    );
    assert_eq!(bare[0]["notificationId"], 1);
}

#[test]
fn conditions_choose_by_status_url_and_number() {
    let place = Box::new();
    place.queue_up();
    let url = place.site.receiver.url();
    let ids = |condition: &str| each(&place.deliveries(condition), "/notificationId").join(" ");
    assert_eq!(ids(""), "3 2 1");
    assert_eq!(ids("channel='webhook'"), "3 2 1");
    assert_eq!(ids("channel='email'"), "");
    assert_eq!(ids("channel='webhook' and status='queued'"), "3 2");
    assert_eq!(ids("status='delivered'"), "1");
    for none in ["created", "retry", "notified"] {
        assert_eq!(ids(&format!("status='{none}'")), "");
    }
    assert_eq!(ids(&format!("status='queued' and config.url= '{url}'")), "3 2");
    assert_eq!(ids(&format!("config.url='{url}?key=not-shown'")), "3 2 1");
    assert_eq!(ids("config.url='http://example.com/'"), "");
    assert_eq!(ids("notificationId=2"), "2");
    assert_eq!(ids("notificationId='9'"), "");
    assert_eq!(ids("subscriptionId=1 AND notificationId=3"), "3");
    assert_eq!(ids("subscriptionId=2"), "");
    let queued = &place.deliveries("status='queued'")[0];
    assert_eq!(queued["subscription"]["active"], false);
    assert!(place.deliveries("notificationId=2")[0]["lastStatus"] == 410);
    let (first, next) = place.page(&format!("{PATH}?pageSize=2&hydrate=false"));
    let (second, end) = place.page(&next.unwrap());
    assert_eq!(
        each(&[first, second].concat(), "/notificationId"),
        ["3", "2", "1"]
    );
    assert_eq!(end, None);
}

#[test]
fn what_is_queued_is_delivered_on_request() {
    let place = Box::new();
    place.queue_up();
    place.site.receiver.answer_always(Answer::Status(200));
    let put = |condition: &str| {
        place
            .api
            .send("PUT", &format!("{PATH}?where={}", escaped(condition)), "")
    };
    let nothing = json!({"notifications": 0, "events": 0});
    for elsewhere in [
        "channel='email'",
        "config.url='http://example.com/'",
        "subscriptionId=7",
    ] {
        assert_eq!(put(elsewhere).status(200).json(), nothing, "{elsewhere}");
    }
    assert_eq!(place.deliveries("status='queued'").len(), 2);
    // With the token of an instance that has nothing queued, or that is disabled, nobody else's is sent.
    place.site.create_instance(
        "Other",
        json!({"event.notification.callback.url": place.site.receiver.url()}),
    );
    let token = place.api.get("/instances/2").status(200).json()["token"].clone();
    let other = place.api.as_instance(token.as_str().unwrap());
    let all = &format!("{PATH}?where=");
    assert_eq!(other.send("PUT", all, "").status(200).json(), nothing);
    other.send("DELETE", "/instances/enabled", "").status(200);
    other.send("PUT", all, "").refused(403, &["disabled"]);
    assert_eq!(place.deliveries("status='queued'").len(), 2);
    let url = place.site.receiver.url();
    let answer = put(&format!(
        "channel='webhook' and status='queued' and config.url='{url}'"
    ))
    .status(200);
    assert_eq!(answer.json(), json!({"notifications": 2, "events": 2}));
    place.eventually_none("state <> 'delivered'");
    assert_eq!(place.site.receiver.counts().notifications, 3);
    assert_eq!(place.site.cell("SELECT state FROM endpoint"), "active");
    assert_eq!(put("").status(200).json(), nothing);
}

#[test]
fn conditions_that_are_not_understood_are_refused_by_their_name() {
    let place = Box::new();
    let refused = |method: &str, condition: &str, parts: &[&str]| {
        let path = format!("{PATH}?where={}", escaped(condition));
        place.api.send(method, &path, "").refused(400, parts);
    };
    for method in ["GET", "PUT"] {
        refused(method, "url='x'", &["`url`", "`config.url`"]);
        refused(method, "status='sent'", &["`status`", "queued", "`sent`"]);
        refused(method, "status like 'q'", &["expected `=`"]);
        refused(method, "status='queued' or 1=1", &["expected `and`"]);
        refused(
            method,
            "subscriptionId='x'",
            &["`subscriptionId`", "a whole number"],
        );
        refused(
            method,
            "notificationId=99999999999999999999",
            &["`notificationId`"],
        );
    }
    refused("PUT", "status='delivered'", &["only `queued`", "`delivered`"]);
    refused(
        "PUT",
        "notificationId=1",
        &["`notificationId`", "`deltapost outbox retry`"],
    );
    place
        .api
        .get(&format!("{PATH}?hydrate=perhaps"))
        .refused(400, &["`hydrate`", "`perhaps`"]);
}
