//! What operators do about notifications that were not delivered, or delivered in vain, and what becomes of an
//! instance's notifications when it changes: through the binary, against a receiver that checks everything.

mod discard;
mod lifecycle;
mod replay;
mod resume;
mod retry;

use deltapost::sim::onedrive::Account;
use deltapost::sim::receiver::{Answer, Delivery, Receiver};
use serde_json::{Value, json};

use crate::support::{KEY, Site};

/// Nothing is tried again by itself while a test runs, and each event is a notification of its own.
const PATIENT: &str = "[delivery]\nretry = [\"1h\"]\nbatch = 1\n";

/// A box with the instance `Docs`, which has learnt an empty drive.
fn site(sections: &str) -> Site {
    let site = Site::configured(Account::business(), sections);
    site.create_instance("Docs", json!({}));
    site.once().code(0);
    site
}

/// Adds the instance `Other`, of another account's empty drive, with a receiver of its own.
fn other(site: &Site, extra: Value) -> (Receiver, deltapost::sim::onedrive::Drive) {
    let receiver = Receiver::start(Some(KEY.to_owned())).unwrap();
    let drive = site.cloud.add_account(Account {
        seed: 2,
        ..Account::consumer()
    });
    let mut configuration = json!({"event.notification.callback.url": receiver.url()});
    for (key, value) in extra.as_object().unwrap() {
        configuration[key] = value.clone();
    }
    site.create_instance_of(&drive, "Other", configuration);
    site.once().code(0);
    (receiver, drive)
}

/// Makes `count` files, of which the next poll makes as many notifications, with batches of one.
fn create_files(site: &Site, count: usize) {
    let drive = site.drive();
    for number in 0..count {
        drive.create_file(&drive.root_id(), &format!("{number}.txt"), 1);
    }
}

/// Polls `Docs`, then `Other`: `once` polls both at the same time.
fn poll_in_turn(site: &Site) {
    for name in ["Docs", "Other"] {
        site.poll(name, &[]).code(0);
    }
}

/// Lets every wait be over.
fn pass_time(site: &Site) {
    site.write_sql(
        "UPDATE outbox SET next_attempt_at = '2000-01-01T00:00:00.000Z' WHERE state = 'pending';
         UPDATE endpoint SET next_probe_at = '2000-01-01T00:00:00.000Z' WHERE next_probe_at IS NOT NULL;",
    );
}

/// Makes `count` files, of whose notifications the receiver refuses the first to death and takes the others.
fn kill_the_first_of(site: &Site, count: usize) {
    create_files(site, count);
    site.receiver.answer_next(4, Answer::Status(422));
    for _ in 0..4 {
        site.once().code(1);
        pass_time(site);
    }
    let states: Vec<String> = site.sql("SELECT state FROM outbox ORDER BY id").concat();
    let mut expect = vec!["delivered"; count];
    expect[0] = "dead";
    assert_eq!(states, expect);
}

/// Gives notifications up as if their receiver had refused them.
fn kill(site: &Site, condition: &str) {
    site.write_sql(&format!(
        "UPDATE outbox SET state = 'dead', next_attempt_at = NULL, delivered_at = NULL WHERE {condition}"
    ));
}

fn states(site: &Site) -> String {
    site.cell("SELECT group_concat(state, ' ') FROM (SELECT state FROM outbox ORDER BY id)")
}

fn all_delivered(site: &Site) -> bool {
    site.cell("SELECT count(*) FROM outbox WHERE state <> 'delivered'") == "0"
}

fn ids(deliveries: &[Delivery]) -> Vec<String> {
    deliveries.iter().map(|delivery| delivery.id.clone()).collect()
}

#[track_caller]
fn check_verified(receiver: &Receiver) {
    let counts = receiver.counts();
    assert_eq!((counts.changed, counts.unverified), (0, 0));
}
