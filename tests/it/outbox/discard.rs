//! `outbox discard`: given up for good, and only on purpose.

use deltapost::sim::receiver::Answer;
use serde_json::json;

use crate::outbox::{PATIENT, create_files, kill, other, poll_in_turn, site, states};

#[test]
fn nothing_is_discarded_without_yes() {
    let site = site(PATIENT);
    create_files(&site, 2);
    site.receiver.answer_always(Answer::Status(500));
    site.once().code(1);
    site.cli(&["outbox", "discard", "1"])
        .code(2)
        .one_error_with_a_hint()
        .says(&[
            "error: 1 notification with 1 event would never be delivered",
            "--yes",
        ]);
    assert_eq!(states(&site), "pending pending");
}

#[test]
fn a_discarded_notification_leaves_nothing_and_those_behind_it_go_on() {
    let site = site(PATIENT);
    create_files(&site, 2);
    site.receiver.answer_next(1, Answer::Status(400));
    site.once().code(1);
    let first = site.cell("SELECT event_id FROM outbox WHERE id = 1");
    let ran = site.cli(&["outbox", "discard", &first, "--yes"]).code(0);
    assert_eq!(ran.stdout, "discarded 1 notification with 1 event\n");
    for table in [
        "outbox WHERE id",
        "event WHERE outbox_id",
        "attempt WHERE outbox_id",
    ] {
        assert_eq!(
            site.cell(&format!("SELECT count(*) FROM {table} = 1")),
            "0",
            "{table}"
        );
    }
    site.once().code(0);
    assert_eq!(states(&site), "delivered");
    assert_eq!(site.receiver.counts().notifications, 1);
}

#[test]
fn dead_ones_are_discarded_by_instance_endpoint_and_time_and_pending_ones_when_it_is_said() {
    let site = site(PATIENT);
    let (receiver, drive) = other(&site, json!({}));
    site.receiver.answer_always(Answer::Status(500));
    receiver.answer_always(Answer::Status(500));
    create_files(&site, 4);
    for name in ["a", "b"] {
        drive.create_file(&drive.root_id(), name, 1);
    }
    poll_in_turn(&site);
    site.once().code(1);
    kill(&site, "id IN (1, 2, 5)");
    site.write_sql("UPDATE outbox SET created_at = '2020-01-01T00:00:00.000Z' WHERE id IN (1, 3)");
    assert_eq!(states(&site), "dead dead pending pending dead pending");
    for (choice, left) in [
        (&["--instance", "Docs", "--until", "2021-01-01"][..], "2,3,4,5,6"),
        (&["--endpoint", &receiver.url()], "2,3,4,6"),
        (&["--until", "2021-01-01", "--state", "pending"], "2,4,6"),
        (&["--since", "2021-01-01"], "4,6"),
        (&["--endpoint", &receiver.url(), "--state", "pending"], "4"),
    ] {
        site.cli(&[&["outbox", "discard", "--yes"], choice].concat())
            .code(0);
        let ids = site.cell("SELECT group_concat(id) FROM (SELECT id FROM outbox ORDER BY id)");
        assert_eq!(ids, left, "{choice:?}");
    }
    let ran = site
        .cli(&["--json", "outbox", "discard", "--yes", "--instance", "Docs"])
        .code(0);
    assert_eq!(
        ran.json(),
        json!({"discarded": {"notifications": 0, "events": 0}})
    );
}

#[test]
fn what_is_delivered_is_not_discarded() {
    let site = site(PATIENT);
    create_files(&site, 1);
    site.once().code(0);
    site.cli(&["outbox", "discard", "1", "--yes"])
        .code(2)
        .one_error_with_a_hint()
        .says(&["notification 1 is delivered; only pending or dead ones can be discarded"]);
    site.cli(&["outbox", "discard", "--all", "--yes"]).code(2);
    site.cli(&["outbox", "discard", "--yes"]).code(2);
    assert_eq!(states(&site), "delivered");
}
