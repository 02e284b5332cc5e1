//! `outbox retry`: dead notifications start over, waiting ones need not wait.

use deltapost::sim::receiver::Answer;
use serde_json::json;

use crate::outbox::{
    PATIENT, all_delivered, check_verified, create_files, kill, kill_the_first_of, other, poll_in_turn, site,
    states,
};

#[test]
fn a_dead_notification_goes_out_again_as_it_was_and_out_of_order() {
    let site = site(PATIENT);
    kill_the_first_of(&site, 3);
    let refused = site.receiver.deliveries()[0].clone();
    let id = site.cell("SELECT id FROM outbox_dead");
    let ran = site.cli(&["outbox", "retry", &id]).code(0);
    assert_eq!(ran.stdout, format!("notification {id} is pending again\n"));
    let ran = ran.says(&["note: dead notifications go out of order: later ones of their instance"]);
    assert_eq!(ran.stderr.lines().count(), 1, "{ran:#?}");
    assert_eq!(
        site.sql(
            "SELECT state, attempts, refusals, failures, last_failed_at FROM outbox ORDER BY id LIMIT 1"
        ),
        [["pending", "4", "0", "0", ""]]
    );
    site.once().code(0);
    assert!(all_delivered(&site));
    let last = site.receiver.deliveries().pop().unwrap();
    assert_eq!((&last.id, &last.body), (&refused.id, &refused.body));
    let numbers = site.sql(&format!(
        "SELECT number, status FROM attempt WHERE outbox_id = {id} ORDER BY number"
    ));
    assert_eq!(
        numbers,
        [
            ["1", "422"],
            ["2", "422"],
            ["3", "422"],
            ["4", "422"],
            ["5", "200"]
        ]
    );
    check_verified(&site.receiver);
}

#[test]
fn a_revived_notification_is_refused_as_often_as_a_new_one_before_it_is_dead() {
    let site = site(PATIENT);
    kill_the_first_of(&site, 2);
    site.cli(&["outbox", "retry", "--all"]).code(0);
    site.receiver.answer_next(3, Answer::Status(422));
    for refusals in ["1", "2", "3"] {
        site.once().code(1);
        assert_eq!(
            site.sql("SELECT state, refusals FROM outbox LIMIT 1"),
            [["pending", refusals]]
        );
        crate::outbox::pass_time(&site);
    }
    site.once().code(0);
    assert!(all_delivered(&site));
}

#[test]
fn dead_ones_are_chosen_by_instance_endpoint_and_time() {
    let site = site(PATIENT);
    let (receiver, drive) = other(&site, json!({}));
    create_files(&site, 2);
    drive.create_file(&drive.root_id(), "a.txt", 1);
    poll_in_turn(&site);
    site.once().code(0);
    site.write_sql("UPDATE outbox SET created_at = '2020-01-01T00:00:00.000Z' WHERE id = 1");
    let whose: Vec<String> = site.sql("SELECT instance_id FROM outbox ORDER BY id").concat();
    assert_eq!(whose, ["1", "1", "2"]);
    let other_id = site.cell("SELECT endpoint_id FROM instance WHERE name = 'Other'");
    for (choice, expect) in [
        (&["--all"][..], "pending pending pending"),
        (&["--instance", "Docs"], "pending pending dead"),
        (&["--instance", "2"], "dead dead pending"),
        (&["--endpoint", &receiver.url()], "dead dead pending"),
        (&["--endpoint", &other_id], "dead dead pending"),
        (&["--since", "2020-01-02"], "dead pending pending"),
        (&["--until", "2020-01-02"], "pending dead dead"),
        (
            &[
                "--since",
                "2020-01-01T01:00:00+01:00",
                "--until",
                "2020-01-01T00:00:00.001Z",
            ],
            "pending dead dead",
        ),
        (
            &["--since", "2019-01-01", "--until", "2020-01-01"],
            "dead dead dead",
        ),
        (
            &["--instance", "Docs", "--since", "2020-01-02"],
            "dead pending dead",
        ),
        (
            &["--instance", "Docs", "--endpoint", &receiver.url()],
            "dead dead dead",
        ),
        (&["2"], "dead pending dead"),
    ] {
        kill(&site, "true");
        let ran = site
            .cli(&[&["--json", "outbox", "retry"], choice].concat())
            .code(0);
        assert_eq!(states(&site), expect, "{choice:?}");
        let revived = expect.matches("pending").count();
        assert_eq!(
            ran.json()["revived"],
            json!({"notifications": revived, "events": revived})
        );
    }
}

#[test]
fn a_waiting_notification_and_its_endpoint_are_tried_now() {
    let site = site(PATIENT);
    create_files(&site, 3);
    site.receiver.answer_next(1, Answer::Status(503));
    site.once().code(1);
    site.once().code(0);
    assert_eq!(
        site.receiver.deliveries().len(),
        1,
        "the endpoint backs off for an hour"
    );
    let ran = site
        .cli(&["outbox", "retry", "2"])
        .code(0)
        .says(&["note: it goes out after notification 1 of its instance, which is pending"]);
    let url = site.receiver.url();
    assert_eq!(
        ran.stdout,
        format!("notification 2 is due now\nendpoint 1 `{url}` is tried now\n")
    );
    site.once().code(0);
    assert!(all_delivered(&site));
    check_verified(&site.receiver);
}

#[test]
fn a_refused_notification_need_not_wait_either() {
    let site = site(PATIENT);
    create_files(&site, 2);
    site.receiver.answer_next(1, Answer::Status(400));
    site.once().code(1);
    site.once().code(0);
    assert_eq!(states(&site), "pending pending");
    let ran = site.cli(&["outbox", "retry", "--instance", "Docs"]).code(0);
    assert_eq!(
        ran.stdout,
        "pending again: 0 dead notifications; due now: 1 pending notification\n"
    );
    assert_eq!(
        site.cell("SELECT refusals FROM outbox LIMIT 1"),
        "1",
        "a pending one keeps its counts"
    );
    site.once().code(0);
    assert!(all_delivered(&site));
}

#[test]
fn a_disabled_endpoint_is_not_tried_by_a_retry_and_it_says_so() {
    let site = site(PATIENT);
    create_files(&site, 1);
    site.receiver.answer_next(1, Answer::Status(410));
    site.once().code(1);
    let probe = site.cell("SELECT next_probe_at FROM endpoint");
    let ran = site.cli(&["outbox", "retry", "1"]).code(0);
    ran.says(&[&format!(
        "note: endpoint 1 `{}` is disabled: they wait for `deltapost outbox resume 1` or its probe at {probe}",
        site.receiver.url()
    )]);
    site.once().code(0);
    assert_eq!(site.receiver.deliveries().len(), 1);
}

#[test]
fn what_cannot_be_retried_is_wrong_usage_and_says_what_to_do() {
    let site = site(PATIENT);
    create_files(&site, 1);
    site.once().code(0);
    let url = site.receiver.url();
    for (choice, says) in [
        (
            &["1"][..],
            &[
                "notification 1 is delivered; only pending or dead ones can be retried",
                "outbox replay 1",
            ][..],
        ),
        (&["7"], &["there is no notification `7`"]),
        (&["--instance", "Nobody"], &["there is no instance `Nobody`"]),
        (
            &["--endpoint", &url.replace("callback", "calback")],
            &["there is no endpoint `", &url],
        ),
        (&["--endpoint", "9"], &["there is no endpoint `9`", "hint: "]),
        (
            &["--since", "2026-03-02", "--until", "2026-03-01"],
            &["nothing is between", "before `--until`"],
        ),
    ] {
        let ran = site.cli(&[&["outbox", "retry"], choice].concat()).code(2);
        assert_eq!(ran.stdout, "");
        ran.one_error_with_a_hint().says(says);
    }
    for choice in [
        &[][..],
        &["1", "--all"],
        &["1", "--instance", "Docs"],
        &["--all", "--since", "2026-03-01"],
    ] {
        site.cli(&[&["outbox", "retry"], choice].concat()).code(2);
    }
    for vague in ["2h", "2026-03-01T09:30:00", "yesterday", "2026-02-30"] {
        site.cli(&["outbox", "retry", "--since", vague])
            .code(2)
            .says(&[vague, "expected a time such as 2026-03-01T09:30:00Z, or a date"]);
    }
}
