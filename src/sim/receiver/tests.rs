//! The receiver over HTTP: what it finds, counts and answers.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;

use super::*;
use crate::core::model::EventType;

const LONG: Duration = Duration::from_secs(30);
const KEY: &str = "a key";

fn body(id: &str, objects: &[&str]) -> String {
    let event = r#"{"eventType":"CREATED","objectId":"x","objectType":"file","elementKey":"onedrivev2","hubKey":"documents","date":"d","pollDate":"d","path":null}"#;
    let events = vec![event; objects.len()].join(",");
    let raw = format!(r#"{{"objectType":"events","objects":[{}]}}"#, objects.join(","));
    format!(r#"{{"message":{{"eventId":"{id}","instanceId":3,"events":[{events}],"raw":{raw}}}}}"#)
}

fn sign(text: &str) -> String {
    STANDARD.encode(hmac::sign(
        &hmac::Key::new(hmac::HMAC_SHA256, KEY.as_bytes()),
        text.as_bytes(),
    ))
}

fn post(receiver: &Receiver, id: &str, content_type: &str, body: &str) -> Result<u16, ureq::Error> {
    let config = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .proxy(None);
    let request = ureq::Agent::from(config.build()).post(receiver.url());
    let request = request.header("Content-Type", content_type);
    let request = request.header("webhook-id", id).header("Elements-Webhook-Id", id);
    let request = request.header("Elements-Webhook-Signature", format!("sha256={}", sign(body)));
    let request = request.header("webhook-timestamp", "7");
    let request = request.header(
        "webhook-signature",
        format!("v1,{}", sign(&format!("{id}.7.{body}"))),
    );
    request.send(body).map(|response| response.status().as_u16())
}

fn send(receiver: &Receiver, id: &str, objects: &[&str]) -> u16 {
    post(receiver, id, "application/json", &body(id, objects)).unwrap()
}

#[test]
fn events_are_kept_in_order_with_their_objects_as_sent() {
    let receiver = Receiver::start(Some(KEY.into())).unwrap();
    let odd = r#"{ "z":1, "a": 12345678901234567890, "z":"\ud83d" }"#;
    assert_eq!(send(&receiver, "1", &[odd, "null"]), 200);
    assert_eq!(send(&receiver, "2", &["{}"]), 200);
    let events = receiver.wait_for(3, LONG).unwrap();
    let raws: Vec<_> = events.iter().map(|event| event.raw.as_deref()).collect();
    assert_eq!(raws, [Some(odd), None, Some("{}")]);
    assert_eq!(
        (events[0].event_type, events[0].instance),
        (EventType::Created, 3)
    );
    assert!(
        receiver
            .deliveries()
            .iter()
            .all(|delivery| delivery.verdict.is_ok())
    );
}

#[test]
fn what_is_not_as_documented_is_found() {
    let receiver = Receiver::start(Some(KEY.into())).unwrap();
    let good = body("1", &["{}"]);
    for (id, content_type, body) in [
        ("2", "application/json", good.clone()),
        ("1", "text/plain", good.clone()),
        ("1", "application/json", good.replace("[{}]", "[]")),
        ("1", "application/json", good.replace("CREATED", "MADE")),
        ("1", "application/json", "[]".into()),
    ] {
        post(&receiver, id, content_type, &body).unwrap();
        let delivery = receiver.deliveries().pop().unwrap();
        assert!(delivery.verdict.is_err(), "{id} {content_type} {body}");
    }
    receiver.set_key(Some("another".into()));
    send(&receiver, "3", &["{}"]);
    assert_eq!(receiver.counts().unverified, 6);
}

#[test]
fn repetitions_are_told_apart() {
    let receiver = Receiver::start(Some(KEY.into())).unwrap();
    receiver.answer_next(1, Answer::Status(500));
    receiver.answer_next(1, Answer::Redirect("http://localhost/".into()));
    let statuses = [0; 4].map(|_| send(&receiver, "1", &["{}"]));
    assert_eq!(statuses, [500, 302, 200, 200]);
    assert_eq!(send(&receiver, "1", &["{ }"]), 200);
    let counts = receiver.counts();
    let expect = Counts {
        requests: 5,
        notifications: 1,
        events: 1,
        duplicates: 2,
        changed: 1,
        ..counts
    };
    assert_eq!(counts, expect);
    assert_eq!(receiver.events().len(), 1);
    assert_eq!(receiver.wait_for(2, Duration::from_millis(1)), Err(counts));
}

#[test]
fn a_delivery_can_be_left_without_an_answer() {
    let receiver = Receiver::start(None).unwrap();
    receiver.answer_next(1, Answer::Close);
    receiver.answer_next(1, Answer::Hang);
    assert!(post(&receiver, "1", "application/json", "{}").is_err());
    let url = receiver.url();
    std::thread::scope(|scope| {
        let hanging = scope.spawn(|| ureq::post(url).send("{}").map(|_| ()));
        receiver.wait_requests(2, LONG).unwrap();
        receiver.stop();
        assert!(hanging.join().unwrap().is_err());
    });
}

#[test]
fn cloud_events_are_read_too() {
    let receiver = Receiver::start(Some(KEY.into())).unwrap();
    let event = r#"{"specversion":"1.0","id":"a","source":"/s","type":"com.microsoft.onedrive.file.deleted","subject":"x","time":"t","instanceid":"3","data":null}"#;
    post(&receiver, "1", "application/cloudevents+json", event).unwrap();
    post(
        &receiver,
        "2",
        "application/cloudevents-batch+json; charset=utf-8",
        &format!("[{event},{event}]"),
    )
    .unwrap();
    let events = receiver.wait_for(3, LONG).unwrap();
    let facts = |event: &Received| {
        (
            event.event_type,
            event.object_type.clone(),
            event.instance,
            event.raw.clone(),
        )
    };
    assert!(
        events
            .iter()
            .all(|event| facts(event) == (EventType::Deleted, "file".into(), 3, None))
    );
    assert_eq!(receiver.counts().unverified, 0);
}

#[test]
fn a_counting_receiver_counts() {
    let receiver = Receiver::counting().unwrap();
    send(&receiver, "1", &["{}"; 7]);
    let counts = receiver.counts();
    assert_eq!(
        (counts.requests, counts.events, receiver.deliveries().len()),
        (1, 7, 0)
    );
}
