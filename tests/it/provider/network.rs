//! Networks between this box and the provider that answer in its place, stall, pack, or are not there.

use std::net::Ipv6Addr;
use std::time::Duration;

use deltapost::grants::GrantError;
use deltapost::graph::auth::AuthError;
use deltapost::graph::client::{Client, GraphConfig, Stage, Wishes};
use deltapost::graph::error::GraphError;
use deltapost::poll::PollError;
use deltapost::sim::onedrive::{Account, Endpoint, Fault, OneDrive};
use deltapost::wire::{Failure, Timeouts};
use serde_json::json;

use crate::provider::bench::Bench;
use crate::support::ledger::check_replay;
use crate::support::{Site, storm::Storm};

fn redirect(code: u16) -> Fault {
    Fault::Status {
        code,
        headers: vec![("Location", "https://portal.example/sign-in".to_owned())],
        body: "<html>Sign in</html>".to_owned(),
    }
}

#[test]
fn a_captive_portal_is_named_and_its_page_is_no_page() {
    for fault in [Fault::Html, redirect(302), redirect(307), redirect(511)] {
        let bench = Bench::new(Account::business());
        let drive = bench.drive();
        bench.create("Docs", json!({}));
        bench.poll(1).unwrap();
        let start = drive.tree();
        drive.create_file(&drive.root_id(), "missed", 1);
        bench.cloud.fail_next(Endpoint::Delta, fault.clone());
        let refused = bench.poll(1).unwrap_err();
        assert!(refused.hint().unwrap().contains("portal"), "{refused}");

        // Nor is it a lost grant when it stands before the token endpoint.
        bench.cloud.revoke_access_tokens();
        bench.cloud.fail_next(Endpoint::Token, fault);
        let refused = bench.poll(1).unwrap_err();
        let not_oauth = matches!(
            refused,
            PollError::Grant(GrantError::Auth(AuthError::NotOAuth { .. }))
        );
        assert!(not_oauth, "{refused}");
        assert_eq!(bench.health("Docs"), "failing");
        bench.poll(1).unwrap();
        check_replay(&start, &bench.events(), &drive.tree());
    }
}

#[test]
fn a_page_that_stalls_in_the_middle_is_asked_for_again() {
    let bench = Bench::patient(
        Account {
            page_size: 5,
            ..Account::business()
        },
        Timeouts::within(Duration::from_millis(300)),
    );
    let drive = bench.drive();
    bench.create("Docs", json!({}));
    bench.poll(1).unwrap();
    let start = drive.tree();
    drive.bulk_create(2, 18);
    bench.cloud.fail_after(Endpoint::Delta, 2, Fault::Stall);
    let PollError::Graph(GraphError::Unreachable(no_answer)) = bench.poll(1).unwrap_err() else {
        panic!("a stalled page was read")
    };
    assert_eq!(no_answer.reason, Failure::Timeout(Stage::Reading));
    assert_eq!(bench.poll(1).unwrap().pages, 2, "it did not go on where it was");
    check_replay(&start, &bench.events(), &drive.tree());
}

#[test]
fn packed_answers_mean_the_same() {
    let bench = Bench::new(Account {
        page_size: 9,
        ..Account::consumer().awkward(4)
    });
    bench.cloud.pack_answers();
    let drive = bench.drive();
    let storm = Storm::new(4);
    bench.create("Docs", json!({}));
    bench.poll(1).unwrap();
    let start = drive.tree();
    for _ in 0..5 {
        (0..10).for_each(|_| storm.step(&drive));
        bench.poll(1).unwrap();
    }
    check_replay(&start, &bench.events(), &drive.tree());
    // Refusals are packed, too.
    bench.cloud.fail_next(Endpoint::Delta, Fault::throttle(7));
    assert!(bench.poll(1).unwrap_err().to_string().contains("429"));
}

#[test]
fn a_service_with_an_ipv6_address_is_like_any_other() {
    let Ok(cloud) = OneDrive::start_on((Ipv6Addr::LOCALHOST, 0).into(), Account::business()) else {
        eprintln!("skipped: this machine has no IPv6");
        return;
    };
    assert!(cloud.graph_base().starts_with("http://[::1]:"));
    let mut site = Site::new(Account::business());
    site.cloud = cloud;
    site.configure("");
    site.create_instance("Docs", json!({}));
    site.once().code(0);
    site.drive().create_file(&site.drive().root_id(), "new", 1);
    site.once().code(0);
    assert_eq!(site.receiver.events().len(), 1);
}

#[test]
fn a_name_that_is_not_known_is_told_with_what_to_look_at() {
    let client = Client::new(&GraphConfig {
        base: "https://graph.invalid/v1.0",
        authority: "https://login.invalid/common",
        company: "",
        proxy: None,
        extra_roots: None,
        timeouts: Timeouts::within(Duration::from_secs(20)),
    })
    .unwrap();
    let link = deltapost::core::model::Secret::new("https://graph.invalid/v1.0/me/drive/root/delta");
    let token = deltapost::core::model::Secret::new("token-0123456");
    let clock = deltapost::clock::SystemClock;
    let GraphError::Unreachable(no_answer) = client
        .fetch(&link, &token, Wishes::default(), &clock)
        .unwrap_err()
    else {
        panic!("something answered")
    };
    assert_eq!(no_answer.reason, Failure::Dns);
    assert!(no_answer.reason.hint().contains("name servers"));
}
