//! Grants: kept before they are used, renewed by one at a time, and where the provider takes them no more, a person is
//! told once and nothing is tried again.

use std::thread;
use std::time::Duration;

use deltapost::clock::Clock;
use deltapost::commands::Done;
use deltapost::grants::{GrantError, Grants};
use deltapost::poll::PollError;
use deltapost::sim::onedrive::{Account, Endpoint, Fault, Rules};
use deltapost::store::RENEWAL_RIGHT;
use jiff::SignedDuration;
use serde_json::json;
use std::sync::Arc;

use crate::provider::bench::{Bench, GO_ON};
use crate::support::ledger::{check_deliveries, check_replay};
use crate::support::{PATIENCE, Site};

/// Every poll renews: the access tokens live for a minute.
fn short_lived(once: bool) -> Rules {
    Rules {
        expires_in: 60,
        old_refresh_tokens_die: once,
        ..Rules::default()
    }
}

/// A box whose instance has learnt its drive, which has changed since.
fn site(once: bool) -> Site {
    let site = Site::new(Account::business());
    site.cloud.set_rules(short_lived(once));
    site.create_instance("Docs", json!({}));
    site.once().code(0);
    site.drive().create_file(&site.drive().root_id(), "missed", 1);
    site
}

#[test]
fn a_rotated_grant_survives_a_kill_at_any_point() {
    // Whatever takes each refresh token once: before the request, and from the moment that the new one is kept.
    for point in ["renewing", "grant kept", "fetched", "committed"] {
        let site = site(true);
        assert_eq!(
            site.spawn(&["once"], &[("DELTAPOST_KILL_AT", point)]).wait(),
            None,
            "{point}"
        );
        site.once().code(0);
        check_deliveries(&site);
        check_replay(&Default::default(), &site.receiver.events(), &site.drive().tree());
    }
    // In between, the provider has the last word. One that lets old tokens be, as Microsoft's does for an app with a
    // secret, loses nothing.
    let kept = site(false);
    assert_eq!(
        kept.spawn(&["once"], &[("DELTAPOST_KILL_AT", "renewed")]).wait(),
        None
    );
    kept.once().code(0);
    check_deliveries(&kept);
    // With one that does not, the only copy of the new token died with the process, or on its way: a person signs in
    // again, and still no change is lost.
    for lost in ["by a kill", "on its way"] {
        let site = site(true);
        if lost == "by a kill" {
            assert_eq!(
                site.spawn(&["once"], &[("DELTAPOST_KILL_AT", "renewed")]).wait(),
                None
            );
        } else {
            site.cloud.fail_next(Endpoint::Token, Fault::LostAnswer);
            site.once().code(1);
        }
        site.once()
            .code(1)
            .says(&["a new sign-in is needed", "invalid_grant"]);
        assert_eq!(
            site.cell("SELECT health FROM instance_health"),
            "login required",
            "{lost}"
        );
        let code = site.file("code", &site.cloud.issue_code());
        let code = format!("providerData.code=@{}", code.display());
        site.cli(&["instance", "update", "Docs", "--set", &code]).code(0);
        site.once().code(0);
        check_replay(&Default::default(), &site.receiver.events(), &site.drive().tree());
    }
}

/// A bench whose instance has learnt its drive and must renew its token now.
fn must_renew() -> Bench {
    let bench = Bench::new(Account::business());
    bench.create("Docs", json!({}));
    bench.poll(1).unwrap();
    bench.cloud.revoke_access_tokens();
    bench
}

#[track_caller]
fn check_lost(error: &str, number: u32, hint: &str) {
    let bench = must_renew();
    bench
        .cloud
        .fail_always(Endpoint::Token, Fault::oauth(error, number));
    let refused = bench.poll(1).unwrap_err();
    assert!(refused.to_string().contains(error), "{refused}");
    assert!(refused.hint().unwrap().contains(hint), "{refused}");
    assert_eq!(bench.health("Docs"), "login required");
    let told = bench.last_error("Docs");
    assert!(
        told.contains(&format!("AADSTS{number}")) && told.contains(hint),
        "{told}"
    );

    // Nothing is tried again, however long it lasts and whoever asks.
    let before = bench.requests();
    bench.pass(30 * 24 * 3600);
    assert!(bench.due().is_empty());
    assert!(matches!(
        bench.poll(1),
        Err(PollError::Grant(GrantError::LoginRequired(_)))
    ));
    bench
        .house()
        .store
        .enable_instance(1, false, bench.clock.now())
        .unwrap();
    Grants::new(&bench.store, &bench.client, &*bench.clock)
        .renew_idle(&GO_ON)
        .unwrap();
    assert_eq!(bench.requests(), before);
}

#[test]
fn a_lost_grant_is_told_once_and_never_tried_again() {
    check_lost("invalid_grant", 700_082, "deltapost login");
    check_lost("interaction_required", 50_076, "deltapost login");
    check_lost("consent_required", 65_001, "deltapost login");
    check_lost("invalid_client", 7_000_215, "oauth.api.secret");
}

#[test]
fn a_corrected_app_secret_is_tried_at_once_and_nothing_is_lost() {
    let bench = must_renew();
    let start = bench.drive().tree();
    bench.drive().create_file(&bench.drive().root_id(), "missed", 1);
    bench
        .cloud
        .fail_next(Endpoint::Token, Fault::oauth("invalid_client", 7_000_222));
    assert!(bench.poll(1).is_err());
    bench
        .update("Docs", "oauth.api.secret", "another-secret")
        .unwrap();
    bench.pass(1);
    assert_eq!(bench.due(), [1]);
    bench.poll(1).unwrap();
    check_replay(&start, &bench.events(), &bench.drive().tree());
}

#[test]
fn a_refusal_during_a_renewal_stops_the_other_resources_too() {
    let bench = Bench::new(Account::business());
    let own = format!("/drives/{}/root/delta", bench.drive().id());
    let resources = json!({"a": {"url": "/hubs/documents/events"}, "b": {"url": own}});
    bench.create("Docs", json!({"event.poller.configuration": resources}));
    bench.cloud.revoke_access_tokens();
    bench
        .cloud
        .fail_always(Endpoint::Token, Fault::oauth("invalid_grant", 50_173));
    let tokens = bench.requests().1;
    let gate = bench.cloud.hold(Endpoint::Token);
    let instance = bench.store.instance(1).unwrap();
    let grants = Grants::new(&bench.store, &bench.client, &*bench.clock);
    let stale = bench.store.grant(1).unwrap().access_token;
    thread::scope(|scope| {
        let renew = || grants.access_token(&instance, stale.as_ref());
        let polls = [scope.spawn(renew), scope.spawn(renew), scope.spawn(renew)];
        assert!(gate.wait_arrived(PATIENCE));
        gate.release();
        for poll in polls {
            assert!(poll.join().unwrap().is_err());
        }
    });
    assert_eq!(bench.requests().1, tokens + 1);
}

#[test]
fn a_command_waits_for_the_agents_renewal_and_has_the_last_word() {
    let bench = must_renew();
    let other = bench.opened_again();
    let instance = bench.store.instance(1).unwrap();
    let stale = bench.store.grant(1).unwrap().access_token;
    let gate = bench.cloud.hold(Endpoint::Token);
    let new = bench.cloud.issue_refresh_token();
    let clock = deltapost::clock::SystemClock;
    thread::scope(|scope| {
        let grants = Grants::new(&bench.store, &bench.client, &clock);
        let (instance, stale) = (&instance, &stale);
        let agent = scope.spawn(move || grants.access_token(instance, stale.as_ref()).unwrap());
        assert!(gate.wait_arrived(PATIENCE));
        let house = deltapost::commands::House {
            store: other,
            clock: Arc::new(clock),
            ..bench.house()
        };
        let assignment = [("oauth.user.refresh_token".to_owned(), new)];
        let command = scope.spawn(move || house.update_instance("Docs", &assignment).unwrap());
        // The command's own request does not arrive while the agent's is under way.
        let tokens = bench.requests().1;
        assert!(
            !bench
                .cloud
                .wait_count(Endpoint::Token, tokens + 1, Duration::from_millis(300))
        );
        gate.release();
        let renewed = agent.join().unwrap();
        assert_eq!(command.join().unwrap().done, Done::Changed);
        let kept = bench.store.grant(1).unwrap().access_token.unwrap();
        assert_ne!(kept, renewed, "the agent's renewal was kept over the new grant");
    });
    bench.poll(1).unwrap();
}

#[test]
fn a_right_that_a_dead_process_has_left_ends_by_itself() {
    let bench = must_renew();
    let now = bench.clock.now();
    let until = now + RENEWAL_RIGHT;
    assert!(bench.store.take_renewal(1, "a command that died", now).unwrap());
    bench.poll(1).unwrap();
    assert!(bench.clock.now() >= until, "it did not wait");
    // What an agent has left, its successor takes up at once.
    bench.cloud.revoke_access_tokens();
    let now = bench.clock.now();
    let until = now + RENEWAL_RIGHT;
    assert!(bench.store.take_renewal(1, "agent", now).unwrap());
    bench.poll(1).unwrap();
    assert!(bench.clock.now() < until);
}

#[test]
fn the_grant_of_a_paused_instance_is_renewed_weekly() {
    let bench = Bench::new(Account::business());
    bench.cloud.set_rules(Rules {
        old_refresh_tokens_die: true,
        ..Rules::default()
    });
    bench.create("Docs", json!({}));
    bench.poll(1).unwrap();
    bench.store.enable_instance(1, false, bench.clock.now()).unwrap();
    let grants = Grants::new(&bench.store, &bench.client, &*bench.clock);
    let mut tokens = bench.requests().1;
    for _ in 0..20 {
        bench.pass(6 * 24 * 3600);
        grants.renew_idle(&GO_ON).unwrap();
        assert_eq!(bench.requests().1, tokens, "too early");
        bench.pass(24 * 3600 + 1);
        grants.renew_idle(&GO_ON).unwrap();
        grants.renew_idle(&GO_ON).unwrap();
        tokens += 1;
        assert_eq!(bench.requests().1, tokens);
    }
    // Twenty weeks later it can still be polled.
    bench.store.enable_instance(1, true, bench.clock.now()).unwrap();
    bench.poll(1).unwrap();
}

#[test]
fn clocks_that_differ_are_named() {
    let bench = Bench::new(Account::business());
    bench.create("Docs", json!({}));
    let skew = "SELECT clock_skew_minutes FROM instance_health";
    for (seconds, expect) in [
        (0, ""),
        (90, ""),
        (600 + 10, "-10"),
        (-7_200 - 30, "120"),
        (0, ""),
    ] {
        bench.cloud.set_clock_ahead(SignedDuration::from_secs(seconds));
        bench.poll(1).unwrap();
        assert_eq!(bench.cell(skew), expect, "{seconds}");
    }
}
