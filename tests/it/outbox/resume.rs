//! `outbox resume`: an endpoint that was given up is tried again, and what waited goes out in order.

use deltapost::sim::receiver::Answer;
use serde_json::json;

use crate::outbox::{
    PATIENT, all_delivered, check_verified, create_files, kill, other, poll_in_turn, site, states,
};
use crate::support::eventually;
use crate::support::ledger::check_deliveries;

const QUEUE: &str =
    "[delivery]\nretry = [\"1h\"]\nbatch = 1\non_failure = \"queue\"\nprobe_disabled = \"off\"\n";

#[test]
fn what_was_queued_for_a_disabled_endpoint_goes_out_in_order() {
    for (sections, answer) in [(PATIENT, 410), (QUEUE, 503)] {
        let site = site(sections);
        create_files(&site, 3);
        site.receiver.answer_next(1, Answer::Status(answer));
        site.once().code(1);
        create_files(&site, 2);
        site.once().code(0);
        assert_eq!(site.receiver.deliveries().len(), 1);
        let url = site.receiver.url();
        let ran = site.cli(&["outbox", "resume", &url]).code(0);
        let expect = format!("endpoint 1 `{url}` is active again; 5 notifications to go out\n");
        assert_eq!((ran.stdout, ran.stderr), (expect, String::new()));
        assert_eq!(
            site.sql("SELECT state, failures, next_probe_at, last_error FROM endpoint"),
            [["active", "0", "", ""]]
        );
        site.once().code(0);
        check_deliveries(&site);
        let ran = site.cli(&["outbox", "resume", "1"]).code(0);
        assert_eq!(
            ran.stdout,
            format!("endpoint 1 `{url}` was active already; 0 notifications to go out\n")
        );
    }
}

#[test]
fn a_resumed_endpoint_that_fails_again_backs_off_from_the_start() {
    let site = site("[delivery]\nretry = [\"1h\", \"2h\", \"4h\"]\nbatch = 1\n");
    create_files(&site, 1);
    site.receiver.answer_always(Answer::Status(503));
    site.once().code(1);
    crate::outbox::pass_time(&site);
    site.once().code(1);
    assert_eq!(
        site.sql("SELECT state, failures FROM endpoint"),
        [["backing_off", "2"]]
    );
    site.cli(&["outbox", "resume", "1"]).code(0);
    site.once().code(1);
    assert_eq!(
        site.sql("SELECT state, failures FROM endpoint"),
        [["backing_off", "1"]]
    );
}

#[test]
fn endpoints_are_named_by_what_is_shown_of_them_and_all_that_match_are_resumed() {
    let site = site(PATIENT);
    let (receiver, drive) = other(&site, json!({}));
    let shown = receiver.url();
    for (name, query) in [("Docs", "?key=one-0123"), ("Other", "?key=two-0123")] {
        let set = format!("event.notification.callback.url={shown}{query}");
        site.cli(&["instance", "update", name, "--set", &set]).code(0);
    }
    create_files(&site, 2);
    drive.create_file(&drive.root_id(), "a.txt", 1);
    receiver.answer_next(2, Answer::Status(410));
    poll_in_turn(&site);
    site.once().code(1);
    assert_eq!(
        site.cell("SELECT count(*) FROM endpoint WHERE state = 'disabled'"),
        "2"
    );
    let ids = site.sql("SELECT id FROM endpoint ORDER BY id").concat();
    let ran = site.cli(&["outbox"]).code(0);
    assert!(ran.stdout.contains("next probe"), "{ran:#?}");
    assert!(!ran.stdout.contains("0123"), "no query is shown: {ran:#?}");
    let outbox = site.cli(&["--json", "outbox"]).code(0).json();
    assert_eq!(outbox["endpoints"][0]["state"], json!("disabled"));
    assert_eq!(
        outbox["endpoints"][0]["nextProbeAt"],
        json!(site.cell("SELECT next_probe_at FROM endpoint LIMIT 1"))
    );
    assert_eq!(outbox["endpoints"][0]["lastError"], json!("answered 410"));
    assert_eq!(outbox["endpoints"][0]["pending"], json!(2));

    let ran = site.cli(&["--json", "outbox", "resume", &ids[1]]).code(0);
    assert_eq!(
        ran.json()["endpoints"],
        json!([{"id": ids[1].parse::<i64>().unwrap(), "url": shown, "was": "disabled", "pending": 1, "dead": 0}])
    );
    site.once().code(0);
    assert_eq!(states(&site), "pending pending delivered");
    // A whole URL names one, and its query is not repeated.
    let whole = format!("{shown}?key=one-0123");
    for (url, named) in [(&whole, 1), (&shown, 2)] {
        let ran = site.cli(&["outbox", "resume", url]).code(0);
        assert_eq!(ran.stdout.lines().count(), named, "{ran:#?}");
        assert!(!ran.stdout.contains("0123"), "{ran:#?}");
    }
    site.once().code(0);
    assert!(all_delivered(&site));
    check_verified(&receiver);
    let ran = site
        .cli(&["outbox", "resume", "http://127.0.0.1:1/nowhere?key=one-0123"])
        .code(2);
    assert!(!ran.stderr.contains("0123"), "{ran:#?}");
    ran.one_error_with_a_hint()
        .says(&["there is no endpoint `http://127.0.0.1:1/nowhere`"]);
}

#[test]
fn the_dead_stay_dead_and_it_says_so() {
    let site = site(PATIENT);
    create_files(&site, 2);
    site.receiver.answer_next(1, Answer::Status(410));
    site.once().code(1);
    kill(&site, "id = 1");
    site.cli(&["outbox", "resume", "1"])
        .code(0)
        .says(&["note: 1 notification stays dead: `deltapost outbox retry --endpoint 1`"]);
    site.once().code(0);
    assert_eq!(states(&site), "dead delivered");
}

#[test]
fn a_running_agent_sees_what_was_resumed_retried_and_replayed() {
    let site = site(QUEUE);
    create_files(&site, 3);
    site.receiver.answer_next(1, Answer::Status(503));
    let agent = site.spawn_run();
    site.poll("Docs", &[]).code(0);
    eventually("the endpoint is disabled", || {
        site.cell("SELECT state FROM endpoint") == "disabled"
    });
    site.cli(&["outbox", "resume", &site.receiver.url()]).code(0);
    eventually("all is delivered", || all_delivered(&site));
    kill(&site, "id = 2");
    site.cli(&["outbox", "retry", "2"]).code(0);
    eventually("the dead one is delivered", || all_delivered(&site));
    site.cli(&["outbox", "replay", "--since", "2020-01-01"]).code(0);
    eventually("the replays are delivered", || {
        all_delivered(&site) && site.cell("SELECT count(*) FROM outbox") == "6"
    });
    assert_eq!(agent.stop(), Some(0));
    check_verified(&site.receiver);
}
