//! `outbox replay`: delivered again, under a new id, naming the earlier one.

use deltapost::sim::receiver::{Answer, Delivery};
use serde_json::{Value, json};

use crate::outbox::{
    PATIENT, all_delivered, check_verified, create_files, ids, kill_the_first_of, other, poll_in_turn, site,
};
use crate::support::eventually;

fn replay_of(delivery: &Delivery) -> String {
    let body: Value = serde_json::from_slice(&delivery.body).unwrap();
    body["message"]["replayOf"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

/// Each of `again` says what one of `first` says, in order, under an id of its own, and names it.
#[track_caller]
fn check_again(first: &[Delivery], again: &[Delivery]) {
    assert_eq!(again.iter().map(replay_of).collect::<Vec<_>>(), ids(first));
    for (one, other) in first.iter().zip(again) {
        assert_ne!(one.id, other.id);
        assert_eq!(
            one.events, other.events,
            "with the provider's objects, byte for byte"
        );
    }
}

#[test]
fn a_receiver_that_lost_everything_gets_it_again_in_order() {
    let site = site(PATIENT);
    create_files(&site, 5);
    site.once().code(0);
    let first = site.receiver.deliveries();
    let ran = site.cli(&["outbox", "replay", "--since", "2020-01-01"]).code(0);
    assert_eq!(
        (&*ran.stdout, &*ran.stderr),
        ("replaying 5 notifications with 5 events\n", "")
    );
    site.once().code(0);
    assert!(all_delivered(&site));
    let again = site.receiver.deliveries().split_off(5);
    check_again(&first, &again);
    assert_eq!(
        site.receiver.counts().duplicates,
        0,
        "a receiver that dedupes sees them"
    );
    check_verified(&site.receiver);
    let rows = site
        .sql("SELECT replay_of FROM outbox WHERE id > 5 ORDER BY id")
        .concat();
    assert_eq!(rows, ids(&first));
    let rows =
        "SELECT group_concat(path || coalesce(raw, '-'), char(10)) FROM (SELECT path, raw FROM recent_events
                 WHERE outbox_id";
    assert_eq!(
        site.cell(&format!("{rows} > 5)")),
        site.cell(&format!("{rows} <= 5)"))
    );
    let shown = site.cli(&["--json", "outbox", "show", "6"]).code(0).json();
    assert_eq!(shown["replayOf"], json!(first[0].id));
}

#[test]
fn a_replay_is_not_replayed_and_what_waits_to_be_is_not_repeated() {
    let site = site(PATIENT);
    create_files(&site, 2);
    site.once().code(0);
    let replay = || {
        site.cli(&["--json", "outbox", "replay", "--since", "2020-01-01"])
            .code(0)
            .json()
    };
    let two = json!({"notifications": 2, "events": 2});
    let none = json!({"notifications": 0, "events": 0});
    assert_eq!(replay(), json!({"replayed": two, "waiting": 0}));
    assert_eq!(replay(), json!({"replayed": none, "waiting": 2}));
    site.cli(&["outbox", "replay", "1"])
        .code(0)
        .says(&["note: 1 notification left out: a replay is pending already"]);
    site.once().code(0);
    assert_eq!(
        replay(),
        json!({"replayed": two, "waiting": 0}),
        "the first two, and not their replays"
    );
    let first = site.cell("SELECT event_id FROM outbox WHERE id = 1");
    site.cli(&["outbox", "replay", "3"])
        .code(2)
        .one_error_with_a_hint()
        .says(&[
            "notification 3 is a replay itself",
            &format!("deltapost outbox replay {first}"),
        ]);
}

#[test]
fn what_is_replayed_is_chosen_by_id_instance_endpoint_and_time_of_delivery() {
    let site = site(PATIENT);
    let (receiver, drive) = other(&site, json!({}));
    create_files(&site, 3);
    drive.create_file(&drive.root_id(), "a.txt", 1);
    poll_in_turn(&site);
    site.once().code(0);
    for (id, day) in [(1, "01"), (2, "02"), (3, "03"), (4, "02")] {
        site.write_sql(&format!(
            "UPDATE outbox SET delivered_at = '2020-01-{day}T00:00:00.000Z' WHERE id = {id}"
        ));
    }
    let event_id = site.cell("SELECT event_id FROM outbox WHERE id = 3");
    for (choice, expect) in [
        (&["--since", "2020-01-02"][..], "2,3,4"),
        (&["--since", "2020-01-01", "--until", "2020-01-02"], "1"),
        (&["--since", "2020-01-02", "--instance", "Docs"], "2,3"),
        (&["--since", "2020-01-01", "--endpoint", &receiver.url()], "4"),
        (&["--since", "2020-01-02", "--until", "2020-01-03"], "2,4"),
        (&["--since", "2020-01-04"], ""),
        (&["2"], "2"),
        (&[&event_id], "3"),
    ] {
        site.write_sql("DELETE FROM outbox WHERE replay_of IS NOT NULL");
        site.cli(&[&["outbox", "replay"], choice].concat()).code(0);
        let chosen = "SELECT group_concat(id) FROM (SELECT o.id FROM outbox o JOIN outbox r ON r.replay_of = o.event_id
                       ORDER BY r.id)";
        assert_eq!(site.cell(chosen), expect, "{choice:?}");
    }
}

#[test]
fn a_cloud_event_names_what_it_repeats_too() {
    for format in ["cloudevents", "cloudevents-batch"] {
        let site = site(PATIENT);
        let (receiver, drive) = other(&site, json!({"event.notification.format": format}));
        drive.create_file(&drive.root_id(), "a.txt", 1);
        site.once().code(0);
        site.cli(&["outbox", "replay", "--since", "2020-01-01", "--instance", "Other"])
            .code(0);
        site.once().code(0);
        let (first, again) = (&receiver.deliveries()[0], &receiver.deliveries()[1]);
        let event = |delivery: &Delivery| -> Value {
            let body: Value = serde_json::from_slice(&delivery.body).unwrap();
            body.get(0).unwrap_or(&body).clone()
        };
        assert_eq!(event(again)["replayof"], event(first)["id"], "{format}");
        assert_ne!(event(again)["id"], event(first)["id"], "{format}");
        assert_eq!(first.events, again.events, "{format}");
        check_verified(&receiver);
    }
}

#[test]
fn what_was_not_delivered_is_not_replayed() {
    let site = site(PATIENT);
    kill_the_first_of(&site, 2);
    site.receiver.answer_always(Answer::Status(500));
    create_files(&site, 1);
    site.once().code(1);
    let ran = site.cli(&["outbox", "replay", "--since", "2020-01-01"]).code(0);
    assert_eq!(ran.stdout, "replaying 1 notification with 1 event\n");
    for (id, state, hint) in [
        ("1", "dead", "outbox retry 1"),
        ("3", "pending", "goes out by itself"),
    ] {
        site.cli(&["outbox", "replay", id])
            .code(2)
            .one_error_with_a_hint()
            .says(&[
                &format!("notification {id} is {state}; only delivered ones can be replayed"),
                hint,
            ]);
    }
    site.cli(&["outbox", "replay", "--instance", "Docs"]).code(2);
    site.cli(&["outbox", "replay"]).code(2);
    site.cli(&["outbox", "replay", "1", "--since", "2020-01-01"])
        .code(2);
}

#[test]
fn more_than_one_transaction_takes_is_revived_and_replayed_in_order() {
    let site = site(PATIENT);
    let many = 1_100;
    create_files(&site, many);
    site.poll("Docs", &[]).code(0);
    site.write_sql("UPDATE outbox SET state = 'dead', next_attempt_at = NULL");
    let agent = site.spawn_run();
    let ran = site.cli(&["outbox", "retry", "--all"]).code(0);
    assert!(
        ran.stdout.starts_with(&format!("pending again: {many} dead")),
        "{ran:#?}"
    );
    eventually("all is delivered", || all_delivered(&site));
    let first = site.receiver.deliveries();
    let written: Vec<String> = site.sql("SELECT event_id FROM outbox ORDER BY id").concat();
    assert_eq!(ids(&first), written);
    let ran = site.cli(&["outbox", "replay", "--since", "2020-01-01"]).code(0);
    assert_eq!(
        ran.stdout,
        format!("replaying {many} notifications with {many} events\n")
    );
    eventually("the replays are delivered", || {
        site.receiver.deliveries().len() == 2 * many && all_delivered(&site)
    });
    check_again(&first, &site.receiver.deliveries()[many..]);
    assert_eq!(agent.stop(), Some(0));
    check_verified(&site.receiver);
}
