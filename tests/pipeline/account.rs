//! What becomes of an account's tokens, and of polls that the provider holds up.

use std::time::Duration;

use deltapost::clock::{Clock, SystemClock};
use deltapost::sim::onedrive::{Account, Endpoint, Fault, Rules, Seen};
use serde_json::json;

use crate::support::ledger::check_deliveries;
use crate::support::{PATIENCE, Site, eventually};

/// A box with an instance that has been polled, whose grants follow these rules from its creation on.
fn site(rules: Rules) -> Site {
    let site = Site::new(Account::business());
    site.cloud.set_rules(rules);
    site.create_instance("Docs", json!({}));
    site
}

/// The endpoints of the requests after the first `seen`, in order.
fn endpoints(site: &Site, seen: usize) -> Vec<Endpoint> {
    let requests = site.cloud.requests().split_off(seen);
    requests.iter().map(|request| request.endpoint).collect()
}

fn form<'r>(request: &'r Seen, key: &str) -> Option<&'r str> {
    let pairs = request.body.split('&').filter_map(|pair| pair.split_once('='));
    pairs
        .filter(|(name, _)| *name == key)
        .map(|(_, value)| value)
        .next()
}

#[test]
fn an_access_token_is_renewed_before_it_ends_and_not_sooner() {
    // It is renewed five minutes early.
    for (expires_in, expect) in [
        (290, vec![Endpoint::Token, Endpoint::Delta]),
        (400, vec![Endpoint::Delta]),
    ] {
        let site = site(Rules {
            expires_in,
            ..Rules::default()
        });
        site.cloud.set_rules(Rules::default());
        let seen = site.cloud.requests().len();
        site.once().code(0);
        assert_eq!(endpoints(&site, seen), expect, "expires in {expires_in} s");
        let seen = site.cloud.requests().len();
        site.once().code(0);
        assert_eq!(
            endpoints(&site, seen),
            [Endpoint::Delta],
            "the renewed one is kept"
        );
    }
}

#[test]
fn a_401_renews_the_token_once() {
    let site = site(Rules::default());
    site.once().code(0);
    site.cloud.revoke_access_tokens();
    let seen = site.cloud.requests().len();
    site.once().code(0);
    assert_eq!(
        endpoints(&site, seen),
        [Endpoint::Delta, Endpoint::Token, Endpoint::Delta]
    );
    // One that is refused, too, is not renewed for ever.
    site.cloud.fail_always(Endpoint::Delta, Fault::status(401));
    let seen = site.cloud.requests().len();
    site.poll("Docs", &[])
        .code(1)
        .one_error_with_a_hint()
        .says(&["401"]);
    assert_eq!(
        endpoints(&site, seen),
        [Endpoint::Delta, Endpoint::Token, Endpoint::Delta]
    );
    site.cloud.heal(Endpoint::Delta);
    site.once().code(0);
}

#[test]
fn each_rotated_refresh_token_is_kept() {
    let rules = Rules {
        expires_in: 60,
        old_refresh_tokens_die: true,
        ..Rules::default()
    };
    let site = site(rules);
    for number in 0..4 {
        let drive = site.drive();
        drive.create_file(&drive.root_id(), &format!("{number}.txt"), 1);
        site.once().code(0);
    }
    let agent = site.spawn_run();
    site.poll("Docs", &[]).code(0);
    assert_eq!(agent.stop(), Some(0));
    site.once().code(0);
    let requests = site.cloud.requests();
    let mut used: Vec<_> = requests
        .iter()
        .filter_map(|request| form(request, "refresh_token"))
        .collect();
    let count = used.len();
    used.sort();
    used.dedup();
    assert!(
        count >= 6 && used.len() == count,
        "{count} renewals with {} tokens",
        used.len()
    );
    check_deliveries(&site);
}

#[test]
fn a_revoked_grant_asks_for_a_new_sign_in_and_then_misses_nothing() {
    let site = site(Rules::default());
    site.once().code(0);
    let drive = site.drive();
    drive.create_file(&drive.root_id(), "meanwhile.txt", 1);
    site.cloud.revoke_grants();
    site.cloud.revoke_access_tokens();
    site.poll("Docs", &[])
        .code(1)
        .one_error_with_a_hint()
        .says(&["invalid_grant"]);
    assert_eq!(site.cell("SELECT grant_state FROM instance"), "login_required");
    // Nothing more is asked of the provider: retrying is useless.
    let seen = site.cloud.requests().len();
    site.poll("Docs", &[])
        .code(1)
        .one_error_with_a_hint()
        .says(&["must sign in again", "providerData.code"]);
    site.once()
        .code(1)
        .one_error_with_a_hint()
        .says(&["must sign in again", "providerData.code"]);
    assert_eq!(endpoints(&site, seen), []);
    let code = site.file("code", &site.cloud.issue_code());
    let set = format!("providerData.code=@{}", code.display());
    site.cli(&["instance", "update", "Docs", "--set", &set]).code(0);
    site.once().code(0);
    assert_eq!(
        site.cell("SELECT grant_state || ifnull(grant_error, '') FROM instance"),
        "ok"
    );
    assert_eq!(site.receiver.counts().events, 1);
}

#[test]
fn a_throttled_account_is_left_alone_for_as_long_as_it_asks() {
    let site = site(Rules::default());
    let drive = site.cloud.add_account(Account {
        seed: 2,
        ..Account::business()
    });
    site.create_instance_of(&drive, "Other", json!({}));
    site.once().code(0);
    site.cloud.fail_next(Endpoint::Delta, Fault::throttle(2));
    site.poll("Docs", &[])
        .code(1)
        .one_error_with_a_hint()
        .says(&["asks for a pause"]);
    let until = site.cell("SELECT throttled_until FROM instance WHERE name = 'Docs'");
    let seen = site.cloud.requests().len();
    site.poll("Docs", &[])
        .code(1)
        .one_error_with_a_hint()
        .says(&["wait until"]);
    assert_eq!(endpoints(&site, seen), []);
    site.once().code(1);
    assert_eq!(
        endpoints(&site, seen),
        [Endpoint::Delta],
        "the other account is not meant"
    );
    let until = until.parse().unwrap();
    eventually("the pause is over", || SystemClock.now() > until);
    site.once().code(0);
}

#[test]
fn a_pause_that_the_token_endpoint_asks_for_is_the_account_s() {
    let site = site(Rules {
        expires_in: 60,
        ..Rules::default()
    });
    site.cloud.fail_next(Endpoint::Token, Fault::throttle(3600));
    let seen = site.cloud.requests().len();
    site.poll("Docs", &[])
        .code(1)
        .one_error_with_a_hint()
        .says(&["the token endpoint asks for a pause"]);
    site.poll("Docs", &[]).code(1).says(&["wait until"]);
    assert_eq!(endpoints(&site, seen), [Endpoint::Token]);
    // As if the hour had passed.
    site.write_sql("UPDATE instance SET throttled_until = '2026-01-01T00:00:00.000Z'");
    site.once().code(0);
}

#[test]
fn a_poll_that_hangs_stalls_no_other_resource() {
    let site = Site::configured(Account::business(), "[schedule]\nworkers = 2\n");
    site.create_instance("Hung", json!({}));
    let drive = site.cloud.add_account(Account {
        seed: 2,
        ..Account::business()
    });
    site.create_instance_of(&drive, "Well", json!({}));
    site.once().code(0);
    let agent = site.spawn_run();
    site.cloud.fail_next(Endpoint::Delta, Fault::Hang);
    let before = site.cloud.count(Endpoint::Delta);
    let hung = site.spawn(&["poll", "Hung"], &[]);
    assert!(site.cloud.wait_count(Endpoint::Delta, before + 1, PATIENCE));
    for number in 1..=3 {
        drive.create_file(&drive.root_id(), &format!("{number}.txt"), 1);
        site.poll("Well", &[]).code(0);
        site.receiver.wait_for(number, PATIENCE).unwrap();
    }
    // It still hangs, and a stop does not wait for it for ever.
    assert_eq!(
        site.cell("SELECT count(*) FROM request WHERE state = 'waiting'"),
        "1"
    );
    let asked = SystemClock.now();
    assert_eq!(agent.stop(), Some(0));
    assert!(SystemClock.now().duration_since(asked).unsigned_abs() < Duration::from_secs(15));
    assert_eq!(
        hung.wait(),
        Some(1),
        "whoever asked is told that the agent has gone"
    );
    site.once().code(0);
}
