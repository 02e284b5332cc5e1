//! `demo`: the whole agent on loopback, and nothing of it left.

use std::fs;
use std::net::TcpListener;

use deltapost::sim::receiver::Receiver;
use serde_json::json;

use crate::cli_commands::run::{Home, Run};

/// `demo` with its temporary directory in `tmp`.
fn demo<'a>(home: &Home, args: impl IntoIterator<Item = &'a str>) -> Run {
    fs::create_dir_all(home.path("tmp")).unwrap();
    home.run_bare(["demo"].into_iter().chain(args))
        .env("TMPDIR", home.path("tmp").to_str().unwrap())
}

#[track_caller]
fn nothing_is_left(home: &Home) {
    let left: Vec<_> = fs::read_dir(home.path("tmp"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn what_happens_is_delivered_once_and_signed() {
    let home = Home::with("");
    let said = demo(&home, ["--seconds", "2", "--json"])
        .stderr("")
        .code(0)
        .json();
    for (name, expect) in [
        ("pending", json!(0)),
        ("failedPoll", json!(null)),
        ("contradictions", json!([])),
    ] {
        assert_eq!(said[name], expect, "{said:#}");
    }
    assert!(said["changes"].as_u64().unwrap() >= 4, "{said:#}");
    assert_eq!(said["received"]["unverified"], json!(0), "{said:#}");
    nothing_is_left(&home);
}

#[test]
fn each_event_is_a_line_and_the_end_is_counted() {
    let home = Home::with("");
    let said = demo(&home, ["--seconds", "2"]).stderr("").code(0).stdout;
    let last = "every signature is good, and the events describe the drive exactly\n";
    assert!(said.ends_with(last), "{said}");
    let events = |line: &&str| {
        ["CREATED", "UPDATED", "DELETED"]
            .iter()
            .any(|event| line.contains(event))
    };
    let told = said.lines().filter(events).count();
    let counted = said.lines().rev().nth(1).unwrap();
    assert!(
        counted.contains(&format!(" {told} event")),
        "{told} are told: {said}"
    );
    assert!(said.contains("fails on purpose with 500"), "{said}");
}

#[test]
fn an_interrupt_ends_it_early_and_leaves_nothing() {
    let home = Home::with("");
    let mut demo = demo(&home, ["--seconds", "3600", "-v"]).start();
    demo.wait_for_line("delivered id=");
    demo.signal("INT");
    assert_eq!(demo.wait().code(), Some(0));
    nothing_is_left(&home);
}

#[test]
fn a_second_interrupt_ends_it_at_once_and_leaves_nothing() {
    // Whoever accepts and does not answer has it wait for the last deliveries.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let callback = format!("http://{}/", silent.local_addr().unwrap());
    let home = Home::with("");
    let mut demo = demo(&home, ["--seconds", "3600", "-v", "--callback", &callback]).start();
    let _held = silent.accept().unwrap();
    demo.signal("INT");
    // Two signals that are sent at once are one.
    while demo.runs() {
        demo.signal("INT");
    }
    assert_eq!(demo.wait().code(), Some(1));
    nothing_is_left(&home);
}

#[test]
fn events_can_go_to_a_callback_of_ones_own() {
    let home = Home::with("");
    let receiver = Receiver::counting().unwrap();
    let said = demo(&home, ["--seconds", "2", "--json", "--callback", &receiver.url()])
        .stderr("")
        .code(0)
        .json();
    assert_eq!(said["notifications"], json!(receiver.counts().notifications));
    assert_eq!(said["received"], json!(null));
    drop(receiver);
    let said = demo(&home, ["--seconds", "1", "--callback", "http://127.0.0.1:9/"]).code(1);
    assert!(said.stderr.contains(" not delivered: "), "{said:?}");
    nothing_is_left(&home);
}
