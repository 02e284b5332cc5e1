//! What becomes of an account's tokens, and of polls that the provider holds up.

use std::time::Duration;

use deltapost::clock::{Clock, SystemClock};
use deltapost::sim::onedrive::{Account, App, Endpoint, Fault, Rules, Seen};
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
    // It is renewed five minutes early. The first reading has a page, and then comes what changed since the creation.
    for (expires_in, expect) in [
        (290, vec![Endpoint::Token, Endpoint::Delta, Endpoint::Delta]),
        (400, vec![Endpoint::Delta, Endpoint::Delta]),
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
fn a_corrected_app_secret_ends_what_its_refusal_began() {
    let app_only = json!({
        "oauth.grant": "client_credentials", "oauth.tenant": "contoso",
        "event.poller.configuration": {"events": {"url": "/drives/DRIVE/root/delta"}},
    });
    for extra in [json!({}), app_only] {
        let site = Site::new(Account::business());
        let extra = extra.to_string().replace("DRIVE", &site.drive().id());
        let mut document = site.document("Docs", serde_json::from_str(&extra).unwrap());
        if extra.contains("client_credentials") {
            document.as_object_mut().unwrap().remove("providerData");
        }
        site.try_create(&document).code(0);
        site.once().code(0);
        let app = App {
            client_id: "app-id".to_owned(),
            client_secret: Some("new-secret".to_owned()),
            redirect_uri: None,
        };
        site.cloud.set_rules(Rules {
            app: Some(app),
            ..Rules::default()
        });
        site.cloud.revoke_access_tokens();
        site.poll("Docs", &[]).code(1).says(&["invalid_client"]);
        site.poll("Docs", &[])
            .code(1)
            .one_error_with_a_hint()
            .says(&["oauth.api.secret"]);
        let secret = site.file("secret", "new-secret");
        let set = format!("oauth.api.secret=@{}", secret.display());
        site.cli(&["instance", "update", "Docs", "--set", &set]).code(0);
        site.once().code(0);
        assert_eq!(site.cell("SELECT grant_state FROM instance"), "ok");
    }
}

#[test]
fn a_poll_under_way_renews_with_the_app_as_it_is_by_then() {
    let site = site(Rules::default());
    site.once().code(0);
    let gate = site.cloud.hold(Endpoint::Delta);
    let polling = site.spawn(&["poll", "Docs"], &[]);
    assert!(gate.wait_arrived(PATIENCE));
    let app = App {
        client_id: "app-id".to_owned(),
        client_secret: Some("new-secret".to_owned()),
        redirect_uri: None,
    };
    let app = Some(app);
    site.cloud.set_rules(Rules {
        app,
        ..Rules::default()
    });
    let secret = site.file("secret", "new-secret");
    let set = format!("oauth.api.secret=@{}", secret.display());
    site.cli(&["instance", "update", "Docs", "--set", &set]).code(0);
    site.cloud.revoke_access_tokens();
    gate.release();
    assert_eq!(polling.wait(), Some(0), "it renews with the new secret");
    assert_eq!(site.cell("SELECT grant_state FROM instance"), "ok");
}

#[test]
fn a_pause_that_the_token_endpoint_asks_for_is_kept() {
    let site = site(Rules::default());
    site.once().code(0);
    site.cloud.revoke_access_tokens();
    site.cloud.fail_next(Endpoint::Token, Fault::throttle(600));
    site.poll("Docs", &[]).code(1);
    let seen = site.cloud.requests().len();
    site.poll("Docs", &[])
        .code(1)
        .one_error_with_a_hint()
        .says(&["wait until"]);
    assert_eq!(endpoints(&site, seen), []);
}

#[test]
fn a_throttled_app_is_left_alone_for_as_long_as_it_asks() {
    let site = site(Rules::default());
    let drive = site.cloud.add_account(Account {
        seed: 2,
        ..Account::business()
    });
    site.create_instance_of(&drive, "Other", json!({"oauth.api.key": "another-app-0123"}));
    site.once().code(0);
    site.cloud.fail_next(Endpoint::Delta, Fault::throttle(2));
    site.poll("Docs", &[])
        .code(1)
        .one_error_with_a_hint()
        .says(&["asks for a pause"]);
    let until = site.cell("SELECT until FROM throttle");
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
        "the other app is not meant"
    );
    let until = until.parse().unwrap();
    eventually("the pause is over", || SystemClock.now() > until);
    site.once().code(0);
}

#[test]
fn a_pause_that_the_token_endpoint_asks_for_is_the_app_s() {
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
    site.write_sql("DELETE FROM throttle");
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
