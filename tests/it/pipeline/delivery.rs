//! The way from the outbox to the callback: order, failures, restarts, signatures.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use deltapost::sim::onedrive::Account;
use deltapost::sim::receiver::{Answer, Delivery, Receiver};
use serde_json::json;

use crate::support::ledger::check_deliveries;
use crate::support::{KEY, PATIENCE, Site, eventually, openssl};

/// Retries come soon, and each event is a notification of its own.
const HASTY: &str =
    "[delivery]\nretry = [\"1s\", \"1s\", \"1s\", \"1s\", \"1s\", \"1s\", \"1s\", \"1s\"]\nbatch = 1\n";

/// A box with one instance that has learnt an empty drive.
fn site(sections: &str) -> Site {
    let site = Site::configured(Account::business(), sections);
    site.create_instance("Docs", json!({}));
    site.once().code(0);
    site
}

fn create_files(site: &Site, count: usize) {
    let drive = site.drive();
    for number in 0..count {
        drive.create_file(&drive.root_id(), &format!("{number}.txt"), 1);
    }
}

fn ids(deliveries: &[Delivery]) -> Vec<String> {
    deliveries.iter().map(|delivery| delivery.id.clone()).collect()
}

fn all_delivered(site: &Site) -> bool {
    site.cell("SELECT count(*) FROM outbox WHERE state <> 'delivered'") == "0"
}

#[test]
fn a_failing_endpoint_gets_everything_in_order_when_it_is_back() {
    let site = site(HASTY);
    create_files(&site, 5);
    for (count, answer) in [
        (1, Answer::Status(500)),
        (1, Answer::Redirect(format!("{}/elsewhere", site.receiver.url()))),
        // A reused connection that dies before any byte of the answer is tried again once, at once, uncounted.
        (2, Answer::Close),
    ] {
        site.receiver.answer_next(count, answer);
    }
    // The second notification fails, too.
    site.receiver.answer_next(1, Answer::Status(204));
    site.receiver.answer_next(1, Answer::Status(503));
    let agent = site.spawn_run();
    site.poll("Docs", &[]).code(0);
    eventually("all is delivered", || all_delivered(&site));
    assert_eq!(agent.stop(), Some(0));
    check_deliveries(&site);
    let written: Vec<String> = site.sql("SELECT event_id FROM outbox ORDER BY id").concat();
    let deliveries = site.receiver.deliveries();
    let of = |id: &String| ids(&deliveries).iter().filter(|have| *have == id).count();
    assert!((4..=5).contains(&of(&written[0])), "{:?}", ids(&deliveries));
    let attempts: Vec<String> = site.sql("SELECT attempts FROM outbox ORDER BY id").concat();
    assert_eq!(attempts, ["4", "2", "1", "1", "1"]);
    let statuses =
        site.sql("SELECT number, status FROM attempt WHERE outbox_id = (SELECT min(id) FROM outbox)");
    assert_eq!(statuses, [["1", "500"], ["2", "302"], ["3", ""], ["4", "204"]]);
    assert!(
        deliveries.iter().all(|delivery| delivery.target == "/callback"),
        "no redirect is followed"
    );
}

#[test]
fn nothing_of_an_instance_is_sent_while_an_earlier_one_waits() {
    let site = site("[delivery]\nretry = [\"30d\"]\nbatch = 1\n");
    create_files(&site, 3);
    site.receiver.answer_always(Answer::Status(500));
    site.once()
        .code(1)
        .says(&["1 notification could not be delivered"]);
    site.once().code(0);
    assert_eq!(site.receiver.deliveries().len(), 1);
    assert_eq!(site.cell("SELECT count(*) FROM outbox_pending"), "3");
    assert_eq!(
        site.cell("SELECT group_concat(attempts) FROM outbox_pending"),
        "1,0,0"
    );
}

#[test]
fn a_failing_endpoint_does_not_hold_another_instance() {
    let site = site(HASTY);
    let other = Receiver::start(Some(KEY.to_owned())).unwrap();
    let drive = site.cloud.add_account(Account {
        seed: 2,
        ..Account::consumer()
    });
    site.create_instance_of(
        &drive,
        "Other",
        json!({"event.notification.callback.url": other.url()}),
    );
    site.once().code(0);
    for answer in [Answer::Status(500), Answer::Hang] {
        let events = other.counts().events;
        site.receiver.answer_always(answer.clone());
        create_files(&site, 3);
        for number in 0..20 {
            drive.create_file(&drive.root_id(), &format!("{number}.txt"), 1);
        }
        let agent = site.spawn_run();
        site.poll("Docs", &[]).code(0);
        site.poll("Other", &[]).code(0);
        other.wait_for(events + 20, PATIENCE).unwrap();
        assert_eq!(site.receiver.counts().notifications, 0, "{answer:?}");
        agent.kill();
    }
    site.receiver.answer_always(Answer::Status(200));
    let agent = site.spawn_run();
    eventually("the first instance's are delivered", || all_delivered(&site));
    agent.stop();
    assert_eq!(site.receiver.counts().notifications, 6);
    assert_eq!(other.counts().unverified + site.receiver.counts().unverified, 0);
}

#[test]
fn eight_requests_that_hang_at_a_kill_go_again_within_two_seconds_of_the_restart() {
    let site = site("[delivery]\nordering = \"none\"\nworkers = 8\nper_endpoint = 8\nbatch = 1\n");
    create_files(&site, 16);
    site.receiver.answer_next(8, Answer::Hang);
    let agent = site.spawn_run();
    site.poll("Docs", &[]).code(0);
    site.receiver.wait_requests(8, PATIENCE).unwrap();
    agent.kill();
    let hung = ids(&site.receiver.deliveries());
    assert_eq!(hung.len(), 8);
    let agent = site.spawn_run();
    eventually("the agent is back", || {
        let holder = std::fs::read_to_string(site.data_dir().join("agent.lock")).unwrap();
        holder.trim() == agent.pid()
    });
    site.receiver.wait_requests(24, Duration::from_secs(2)).unwrap();
    let again = ids(&site.receiver.deliveries()[8..]);
    assert!(hung.iter().all(|id| again.contains(id)), "{hung:?} {again:?}");
    agent.stop();
    assert_eq!(site.receiver.counts().changed, 0);
}

#[test]
fn a_retry_keeps_its_wait_over_a_restart_and_then_delivers() {
    let site = site("[delivery]\nretry = [\"4s\"]\n");
    create_files(&site, 1);
    site.receiver.answer_next(1, Answer::Status(500));
    let agent = site.spawn_run();
    site.poll("Docs", &[]).code(0);
    site.receiver.wait_requests(1, PATIENCE).unwrap();
    eventually("the failure is recorded", || {
        site.cell("SELECT attempts FROM outbox") == "1"
    });
    assert_eq!(agent.stop(), Some(0));
    let due = site.cell("SELECT next_attempt_at FROM outbox");
    let agent = site.spawn_run();
    eventually("it is delivered", || all_delivered(&site));
    agent.stop();
    let at = site.cell("SELECT at FROM attempt WHERE number = 2");
    assert!(at >= due, "sent at {at}, though not due before {due}");
    check_deliveries(&site);
}

#[test]
fn retry_after_is_a_floor_under_the_wait() {
    let site = site(HASTY);
    create_files(&site, 1);
    site.receiver.answer_next(
        1,
        Answer::Full {
            status: 503,
            headers: vec![("Retry-After", "3600".to_owned())],
            body: "later".to_owned(),
        },
    );
    site.once().code(1);
    let wait = site.cell(
        "SELECT round((julianday(p.next_attempt_at) - julianday(a.at)) * 24 * 60)
           FROM outbox_pending p JOIN attempt a ON a.outbox_id = p.id",
    );
    assert_eq!(wait, "60");
    assert!(site.cell("SELECT last_error FROM outbox").contains("later"));
}

#[test]
fn callback_and_key_are_read_at_each_attempt_and_bodies_never_change() {
    let site = site(HASTY);
    create_files(&site, 1);
    site.receiver.answer_always(Answer::Status(500));
    site.once().code(1);
    let other = Receiver::start(Some("another key".to_owned())).unwrap();
    let key = site.file("key", "another key\n");
    for set in [
        format!("event.notification.signature.key=@{}", key.display()),
        format!("event.notification.callback.url={}", other.url()),
    ] {
        site.cli(&["instance", "update", "Docs", "--set", &set]).code(0);
    }
    let agent = site.spawn_run();
    other.wait_for(1, PATIENCE).unwrap();
    agent.stop();
    let (first, last) = (&site.receiver.deliveries()[0], &other.deliveries()[0]);
    assert_eq!((&first.id, &first.body), (&last.id, &last.body));
    assert_eq!((&first.verdict, &last.verdict), (&Ok(()), &Ok(())));
}

#[test]
fn both_signatures_are_what_openssl_makes_of_the_body() {
    if !openssl::is_here() {
        return;
    }
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let decoded = STANDARD.decode(&secret["whsec_".len()..]).unwrap();
    for (key, standard_key) in [(KEY, KEY.as_bytes()), (secret, &decoded)] {
        let site = Site::new(Account::business());
        site.receiver.set_key(Some(key.to_owned()));
        site.create_instance("Docs", json!({"event.notification.signature.key": key}));
        site.once().code(0);
        create_files(&site, 1);
        site.once().code(0);
        check_deliveries(&site);
        let delivery = &site.receiver.deliveries()[0];
        let header = |name| delivery.header(name).unwrap();
        let elements = format!("sha256={}", openssl::hmac_sha256_by_text(key, &delivery.body));
        assert_eq!(header("Elements-Webhook-Signature"), elements);
        let standard = format!("v1,{}", openssl::hmac_sha256(standard_key, &signed(delivery)));
        assert_eq!(header("webhook-signature"), standard);
        assert_eq!(header("webhook-id"), header("Elements-Webhook-Id"));
    }
}

/// What Standard Webhooks signs.
fn signed(delivery: &Delivery) -> Vec<u8> {
    let head = format!(
        "{}.{}.",
        delivery.id,
        delivery.header("webhook-timestamp").unwrap()
    );
    [head.as_bytes(), &delivery.body].concat()
}

#[test]
fn during_a_rotation_receivers_with_either_key_are_served_and_extra_headers_go_along() {
    let site = Site::new(Account::business());
    site.receiver.set_key(Some("the new key".to_owned()));
    site.create_instance(
        "Docs",
        json!({
            "event.notification.signature.key": "the new key",
            "event.notification.signature.key.previous": KEY,
            "event.notification.headers": {"X-Tenant": "contoso", "Authorization": "Basic Y29udG9zbw=="},
        }),
    );
    site.once().code(0);
    create_files(&site, 1);
    site.once().code(0);
    check_deliveries(&site);
    let delivery = &site.receiver.deliveries()[0];
    assert_eq!(delivery.header("X-Tenant"), Some("contoso"));
    assert_eq!(delivery.header("authorization"), Some("Basic Y29udG9zbw=="));
    assert_eq!(delivery.header("content-type"), Some("application/json"));
    if openssl::is_here() {
        let both: Vec<String> = ["the new key", KEY]
            .map(|key| format!("v1,{}", openssl::hmac_sha256(key.as_bytes(), &signed(delivery))))
            .into();
        assert_eq!(
            delivery.header("webhook-signature"),
            Some(both.join(" ").as_str())
        );
    }
}

#[test]
fn without_a_key_nothing_is_signed() {
    let site = Site::new(Account::business());
    site.receiver.set_key(None);
    site.create_instance("Docs", json!({"event.notification.signature.key": null}));
    site.once().code(0);
    create_files(&site, 1);
    site.once().code(0);
    check_deliveries(&site);
    assert_eq!(site.receiver.counts().events, 1);
}
