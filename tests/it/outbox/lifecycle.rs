//! What becomes of an instance's notifications when it is disabled, deleted or changed.

use deltapost::sim::receiver::{Answer, Receiver};
use serde_json::json;

use crate::outbox::{
    PATIENT, all_delivered, check_verified, create_files, ids, kill, other, pass_time, site, states,
};
use crate::support::{KEY, PATIENCE, eventually, process};

#[test]
fn a_disabled_instance_is_polled_no_more_and_what_is_pending_is_delivered() {
    let site = site(PATIENT);
    create_files(&site, 2);
    site.receiver.answer_next(1, Answer::Status(503));
    site.once().code(1);
    site.cli(&["instance", "disable", "Docs"]).code(0);
    create_files(&site, 2);
    let polls = site.delta_requests().len();
    pass_time(&site);
    site.once().code(0);
    assert_eq!(states(&site), "delivered delivered");
    assert_eq!(site.delta_requests().len(), polls);
    site.cli(&["instance", "enable", "Docs"]).code(0);
    site.once().code(0);
    assert_eq!(states(&site), "delivered delivered delivered delivered");
    check_verified(&site.receiver);
}

#[test]
fn a_deleted_instance_goes_when_what_is_pending_is_delivered() {
    let site = site(PATIENT);
    create_files(&site, 3);
    site.receiver.answer_next(1, Answer::Status(503));
    site.once().code(1);
    kill(&site, "id = 3");
    let ran = site.cli(&["--json", "instance", "delete", "Docs"]).code(0).json();
    assert_eq!((&ran["state"], &ran["pending"]), (&json!("draining"), &json!(2)));
    create_files(&site, 2);
    let polls = site.delta_requests().len();
    site.once().code(0);
    assert_eq!(site.cell("SELECT health FROM instance_health"), "deleting");
    let agent = site.spawn_run();
    site.cli(&["outbox", "retry", "1"]).code(0);
    eventually("the instance is gone", || {
        site.cell("SELECT count(*) FROM instance") == "0"
    });
    assert_eq!(agent.stop(), Some(0));
    assert_eq!(
        site.receiver.counts().notifications,
        2,
        "the dead one goes with its instance"
    );
    assert_eq!(site.delta_requests().len(), polls, "it is polled no more");
    for table in [
        "outbox", "event", "attempt", "endpoint", "secret", "resource", "item",
    ] {
        assert_eq!(
            site.cell(&format!("SELECT count(*) FROM {table}")),
            "0",
            "{table}"
        );
    }
    check_verified(&site.receiver);
}

#[test]
fn a_deleted_instance_does_not_wait_for_what_is_discarded() {
    let site = site(PATIENT);
    let (receiver, drive) = other(&site, json!({}));
    create_files(&site, 2);
    drive.create_file(&drive.root_id(), "a.txt", 1);
    site.receiver.answer_always(Answer::Status(410));
    receiver.answer_always(Answer::Status(503));
    site.once().code(1);
    // A disabled endpoint would be waited for forever.
    site.cli(&["instance", "delete", "Docs"]).code(0);
    let ran = site.cli(&["instance", "delete", "Docs", "--discard"]).code(0);
    assert_eq!(ran.stdout, "removed instance 1 `Docs` (onedrivev2)\n");
    assert_eq!(site.cell("SELECT group_concat(name) FROM instance"), "Other");
    assert_eq!(
        site.cell("SELECT group_concat(instance_id) FROM outbox"),
        "2",
        "another's are not touched"
    );
}

#[test]
fn nothing_is_replayed_for_an_instance_that_is_being_deleted() {
    let site = site(PATIENT);
    create_files(&site, 2);
    site.receiver.answer_next(1, Answer::Status(200));
    site.receiver.answer_next(1, Answer::Status(503));
    site.once().code(1);
    site.cli(&["instance", "delete", "Docs"]).code(0);
    site.cli(&["outbox", "replay", "1"])
        .code(2)
        .says(&["instance `Docs` is being deleted"]);
    let ran = site.cli(&["outbox", "replay", "--since", "2020-01-01"]).code(0);
    assert_eq!(ran.stdout, "replaying 0 notifications with 0 events\n");
}

#[test]
fn what_the_former_callback_answers_after_the_change_counts_for_nothing() {
    let site = site(PATIENT);
    create_files(&site, 2);
    let new = Receiver::start(Some(KEY.to_owned())).unwrap();
    let (config, set) = (
        site.config_file(),
        format!("event.notification.callback.url={}", new.url()),
    );
    // While the request is under way the callback is changed; then it is refused.
    site.receiver.on_delivery(move |_| {
        process::run(&config, &["instance", "update", "Docs", "--set", &set], &[], "").code(0);
    });
    site.receiver.answer_always(Answer::Status(422));
    site.once().code(1);
    // What the change made due again came after this run had begun.
    site.once().code(0);
    assert!(all_delivered(&site));
    assert_eq!(site.receiver.deliveries().len(), 1);
    assert_eq!(new.deliveries().len(), 2);
    assert_eq!(
        site.sql("SELECT state, failures, deaths FROM endpoint"),
        [["active", "0", "0"]]
    );
}

#[test]
fn a_changed_callback_and_key_apply_at_the_next_attempt_and_bodies_stay() {
    let site = site(PATIENT);
    create_files(&site, 3);
    // The old endpoint wants no more: the new one is not held responsible for it.
    site.receiver.answer_always(Answer::Status(410));
    site.once().code(1);
    let bodies = site.sql("SELECT hex(body) FROM outbox ORDER BY id");
    let new = Receiver::start(Some("another key".to_owned())).unwrap();
    let key = site.file("key", "another key\n");
    site.cli(&[
        "instance",
        "update",
        "Docs",
        "--set",
        &format!("event.notification.callback.url={}?token=0123", new.url()),
        "--set",
        &format!("event.notification.signature.key=@{}", key.display()),
    ])
    .code(0);
    assert_eq!(
        site.sql("SELECT url, state FROM endpoint"),
        [[new.url(), "active".to_owned()]]
    );
    site.once().code(0);
    assert!(all_delivered(&site));
    assert_eq!(site.receiver.deliveries().len(), 1);
    assert_eq!(new.deliveries().len(), 3);
    assert_eq!(site.sql("SELECT hex(body) FROM outbox ORDER BY id"), bodies);
    assert_eq!(site.receiver.deliveries()[0].body, new.deliveries()[0].body);
    check_verified(&new);
}

#[test]
fn a_changed_key_signs_what_was_queued_before_the_change() {
    let site = site(PATIENT);
    create_files(&site, 2);
    site.receiver.answer_next(1, Answer::Status(401));
    site.once().code(1);
    let before = site.receiver.deliveries()[0].clone();
    site.receiver.set_key(Some("another key".to_owned()));
    let key = site.file("key", "another key");
    let set = format!("event.notification.signature.key=@{}", key.display());
    site.cli(&["instance", "update", "Docs", "--set", &set]).code(0);
    pass_time(&site);
    site.once().code(0);
    let after = &site.receiver.deliveries()[1];
    assert_eq!((&before.id, &before.body), (&after.id, &after.body));
    assert_ne!(
        before.header("webhook-signature"),
        after.header("webhook-signature")
    );
    assert_eq!(after.verdict, Ok(()));
    check_verified(&site.receiver);
}

#[test]
fn a_running_agent_turns_to_the_changed_callback_within_a_run() {
    let site = site(PATIENT);
    let new = Receiver::start(Some(KEY.to_owned())).unwrap();
    site.receiver.answer_next(1, Answer::Status(503));
    let agent = site.spawn_run();
    create_files(&site, 3);
    site.poll("Docs", &[]).code(0);
    site.receiver.wait_requests(1, PATIENCE).unwrap();
    let set = format!("event.notification.callback.url={}", new.url());
    site.cli(&["instance", "update", "Docs", "--set", &set]).code(0);
    new.wait_for(3, PATIENCE).unwrap();
    eventually("all is recorded", || all_delivered(&site));
    assert_eq!(agent.stop(), Some(0));
    let written: Vec<String> = site.sql("SELECT event_id FROM outbox ORDER BY id").concat();
    assert_eq!(ids(&new.deliveries()), written);
}

#[test]
fn a_pending_body_keeps_its_format() {
    let site = site(PATIENT);
    create_files(&site, 1);
    site.receiver.answer_next(1, Answer::Status(503));
    site.once().code(1);
    let set = "event.notification.format=cloudevents";
    site.cli(&["instance", "update", "Docs", "--set", set]).code(0);
    let drive = site.drive();
    drive.create_file(&drive.root_id(), "later.txt", 1);
    pass_time(&site);
    site.once().code(0);
    let types: Vec<String> = site
        .receiver
        .deliveries()
        .iter()
        .map(|delivery| delivery.header("content-type").unwrap().to_owned())
        .collect();
    assert_eq!(
        types,
        [
            "application/json",
            "application/json",
            "application/cloudevents+json"
        ]
    );
    check_verified(&site.receiver);
}

#[test]
fn what_is_delivered_waits_for_nothing() {
    let site = site(PATIENT);
    create_files(&site, 2);
    site.once().code(0);
    assert_eq!(states(&site), "delivered delivered");
    assert_eq!(site.cell("SELECT count(waits_since) FROM outbox"), "0");
}
