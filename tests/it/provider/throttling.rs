//! Throttling: while the provider wants to be left alone nothing is asked for that app, whatever happens on this box;
//! other apps go on.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use deltapost::agent;
use deltapost::clock::{Clock, SystemClock};
use deltapost::commands::House;
use deltapost::poll::PollError;
use deltapost::sim::onedrive::{Account, DeviceAnswer, Endpoint, Fault};
use jiff::Timestamp;
use serde_json::json;

use crate::provider::bench::{Bench, GO_ON};
use crate::support::{Site, eventually};

fn answer(code: u16, headers: Vec<(&'static str, String)>) -> Fault {
    match Fault::status(code) {
        Fault::Status { code, body, .. } => Fault::Status { code, headers, body },
        other => other,
    }
}

fn http_date(time: Timestamp) -> String {
    time.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// Two accounts of two apps, the first with two resources (1 and 2), the second with one (3); all have been polled once.
fn two_accounts() -> Bench {
    let bench = Bench::new(Account::business());
    let other = bench.cloud.add_account(Account {
        seed: 2,
        ..Account::business()
    });
    let own = format!("/drives/{}/root/delta", bench.drive().id());
    let resources = json!({"events": {"url": "/hubs/documents/events"}, "again": {"url": own}});
    bench.create("Mine", json!({"event.poller.configuration": resources}));
    bench.create_of(&other, "Other", json!({"oauth.api.key": "another-app-0123"}));
    (1..=3).for_each(|resource| drop(bench.poll(resource).unwrap()));
    bench
}

#[test]
fn nothing_is_requested_during_a_retry_after() {
    let now = SystemClock.now();
    for (fault, endpoint) in [
        (
            answer(429, vec![("Retry-After", "120".to_owned())]),
            Endpoint::Delta,
        ),
        (
            answer(503, vec![("Retry-After", "120".to_owned())]),
            Endpoint::Delta,
        ),
        (
            answer(504, vec![("Retry-After", "120".to_owned())]),
            Endpoint::Delta,
        ),
        (
            answer(509, vec![("Retry-After", "120".to_owned())]),
            Endpoint::Delta,
        ),
        (
            answer(429, vec![("Retry-After", "120".to_owned())]),
            Endpoint::Token,
        ),
        (Fault::UsedUp(120), Endpoint::Delta),
        (
            answer(
                429,
                vec![
                    ("Date", http_date(now)),
                    ("Retry-After", http_date(now + Duration::from_secs(120))),
                ],
            ),
            Endpoint::Delta,
        ),
    ] {
        let bench = two_accounts();
        if endpoint == Endpoint::Token {
            bench.cloud.revoke_access_tokens();
        }
        let used_up = matches!(fault, Fault::UsedUp(_));
        bench.cloud.fail_next(endpoint, fault);
        assert_eq!(bench.poll(1).is_ok(), used_up);
        let (delta, token) = bench.requests();

        // By hand, by the scheduler, by a new process: none of them asks anything for this app.
        assert!(matches!(bench.poll(2), Err(PollError::Throttled { .. })));
        assert!(matches!(bench.poll(1), Err(PollError::Throttled { .. })));
        bench.pass(119);
        let restarted = bench.opened_again();
        let house = House {
            store: restarted,
            ..bench.house()
        };
        let report = agent::once(&house, &GO_ON, &|_| {}).unwrap();
        let failed = report.polls.iter().filter(|poll| poll.error.is_some());
        assert!(failed.clone().all(|poll| poll.instance == "Mine"));
        assert_eq!(failed.count(), 2);
        let renewed = u64::from(endpoint == Endpoint::Token);
        // One page, and where its token was revoked, one token, for the other account.
        let refused = renewed;
        assert_eq!(bench.requests(), (delta + 1 + refused, token + renewed));
        if !used_up {
            assert_eq!(bench.health("Mine"), "throttled");
        }

        // The poll that was turned away is made up for when the pause is over.
        assert!(!bench.due().contains(&1));
        bench.pass(2);
        if !used_up {
            assert!(bench.due().contains(&1));
        }
        bench.poll(1).unwrap();
        bench.poll(2).unwrap();
    }
}

#[test]
fn without_a_time_the_pause_grows_and_one_answer_ends_it() {
    let bench = two_accounts();
    bench.cloud.fail_always(Endpoint::Delta, answer(429, vec![]));
    let mut waits = Vec::new();
    for _ in 0..5 {
        assert!(bench.poll(1).is_err());
        let until: Timestamp = bench.cell("SELECT until FROM throttle").parse().unwrap();
        let wait = until.duration_since(bench.clock.now()).as_secs_f64();
        waits.push(wait);
        bench.pass(wait as u64 + 1);
    }
    let whole = [10.0, 20.0, 40.0, 80.0, 160.0];
    for (wait, whole) in waits.iter().zip(whole) {
        assert!((whole * 0.5 - 0.1..=whole).contains(wait), "{waits:?}");
    }
    bench.cloud.heal(Endpoint::Delta);
    bench.poll(1).unwrap();
    assert_eq!(bench.cell("SELECT throttles FROM throttle"), "0");
}

#[test]
fn a_poll_that_is_throttled_in_the_middle_goes_on_there() {
    let bench = Bench::new(Account {
        page_size: 5,
        ..Account::business()
    });
    bench.drive().bulk_create(2, 18);
    bench.create("Docs", json!({}));
    bench.cloud.fail_after(Endpoint::Delta, 2, Fault::throttle(60));
    assert!(bench.poll(1).is_err());
    assert_eq!(bench.cell("SELECT pages FROM poll"), "2");
    bench.pass(61);
    // Two of the five pages are read already; behind them comes what changed since the creation.
    assert_eq!(bench.poll(1).unwrap().pages, 4);
    assert_eq!(bench.cell("SELECT count(*) FROM item"), "21");
}

#[test]
fn a_resync_by_hand_does_not_give_its_place_up_during_a_pause() {
    let bench = two_accounts();
    bench.cloud.fail_next(Endpoint::Delta, Fault::throttle(60));
    assert!(bench.poll(1).is_err());
    let place = "SELECT phase || cursor_seq FROM resource WHERE id = 1";
    let before = bench.cell(place);
    let refused = bench.poll_at(1, deltapost::store::Depth::Resync);
    assert!(matches!(refused, Err(PollError::Throttled { .. })));
    assert_eq!(bench.cell(place), before);
}

#[test]
fn every_request_says_who_asks() {
    let bench = two_accounts();
    let expect = format!("NONISV|Contoso|deltapost/{}", env!("CARGO_PKG_VERSION"));
    for request in bench.cloud.requests() {
        assert_eq!(
            request.user_agent.as_deref(),
            Some(expect.as_str()),
            "{request:?}"
        );
    }
}

#[test]
fn a_pause_outlives_the_agent() {
    let site = Site::new(Account::business());
    site.create_instance("Docs", json!({}));
    let asked: Arc<Mutex<Vec<Timestamp>>> = Arc::default();
    let times = Arc::clone(&asked);
    site.cloud.on_request(move |seen| {
        if seen.endpoint == Endpoint::Delta {
            times.lock().unwrap().push(SystemClock.now());
        }
    });
    site.cloud.fail_next(Endpoint::Delta, Fault::throttle(3));
    let agent = site.spawn_run();
    eventually("the pause is kept", || {
        site.cell("SELECT count(*) FROM poll WHERE outcome = 'failed'") == "1"
    });
    agent.kill();
    let agent = site.spawn_run();
    eventually("it is asked again", || asked.lock().unwrap().len() >= 2);
    let asked = asked.lock().unwrap().clone();
    let waited = asked[1].duration_since(asked[0]).as_secs_f64();
    assert!((3.0..10.0).contains(&waited), "{waited} s");
    assert_eq!(agent.stop(), Some(0));
}

#[test]
fn a_pause_that_a_creation_is_told_of_holds_for_the_app() {
    let bench = Bench::new(Account::business());
    bench.create("One", json!({}));
    bench.cloud.fail_next(Endpoint::Delta, Fault::throttle(120));
    bench.create("Two", json!({}));
    let asked = bench.requests();
    assert!(matches!(bench.poll(1), Err(PollError::Throttled { .. })));
    assert!(matches!(bench.poll(2), Err(PollError::Throttled { .. })));
    assert_eq!(bench.requests(), asked);
}

#[test]
fn a_pause_holds_for_all_instances_of_the_app_in_the_tenant() {
    let bench = Bench::new(Account::business());
    let other = bench.cloud.add_account(Account {
        seed: 2,
        ..Account::business()
    });
    bench.create("One", json!({}));
    bench.create_of(&other, "Two", json!({}));
    bench.create_of(&other, "Elsewhere", json!({"oauth.tenant": "contoso.example"}));
    (1..=3).for_each(|resource| drop(bench.poll(resource).unwrap()));
    bench.cloud.fail_next(Endpoint::Delta, Fault::throttle(120));
    assert!(bench.poll(1).is_err());
    let asked = bench.requests();

    // By hand, by a new process, by the timetable, and for a token of its own: nothing of the app is asked for.
    bench.cloud.revoke_access_tokens();
    assert!(matches!(bench.poll(2), Err(PollError::Throttled { .. })));
    assert_eq!(bench.health("Two"), "throttled");
    bench.clock.advance(Duration::from_secs(60));
    bench.write_sql("UPDATE secret SET updated_at = '2026-01-01T00:00:00.000Z'");
    let restarted = bench.opened_again();
    let house = House {
        store: restarted,
        ..bench.house()
    };
    let report = agent::once(&house, &GO_ON, &|_| {}).unwrap();
    let went_on = report.polls.iter().filter(|poll| poll.error.is_none());
    assert_eq!(
        went_on.map(|poll| &*poll.instance).collect::<Vec<_>>(),
        ["Elsewhere"]
    );
    // Its page, refused with the revoked token and then with the new one.
    assert_eq!(bench.requests(), (asked.0 + 2, asked.1 + 1));
    assert!(!bench.due().contains(&1) && !bench.due().contains(&2));

    bench.pass(61);
    assert!(bench.due().contains(&1) && bench.due().contains(&2));
    bench.poll(2).unwrap();
    bench.poll(1).unwrap();
}

#[test]
fn a_pause_that_begins_while_a_token_is_renewed_holds_for_the_page_behind_it() {
    let bench = Bench::new(Account::business());
    bench.create("One", json!({}));
    bench.poll(1).unwrap();
    bench.cloud.revoke_access_tokens();
    let (store, now) = (bench.opened_again(), bench.clock.now());
    bench.cloud.on_request(move |seen| {
        if seen.endpoint == Endpoint::Token {
            let pause = (now, now + Duration::from_secs(120));
            store.throttle(1, pause, true).unwrap();
        }
    });
    let asked = bench.requests();
    assert!(matches!(bench.poll(1), Err(PollError::Throttled { .. })));
    assert_eq!(bench.requests(), (asked.0 + 1, asked.1 + 1));
}

#[test]
fn an_instance_that_has_another_app_keeps_the_pause_of_that_one() {
    let bench = two_accounts();
    bench.cloud.fail_next(Endpoint::Delta, Fault::throttle(120));
    assert!(bench.poll(1).is_err());
    bench.update("Mine", "oauth.api.key", "a-third-app-0123").unwrap();
    bench.poll(1).unwrap();
    bench.update("Other", "oauth.api.key", "app-id-0123").unwrap();
    assert!(matches!(bench.poll(3), Err(PollError::Throttled { .. })));
}

#[test]
fn a_sign_in_lifts_the_pause_of_the_app_that_it_signs_in_with_and_of_no_other() {
    for by_code in [true, false] {
        let bench = two_accounts();
        for resource in [1, 3] {
            bench.cloud.fail_next(Endpoint::Delta, Fault::throttle(120));
            assert!(bench.poll(resource).is_err());
        }
        let app = ("oauth.api.key".to_owned(), "another-app-0123".to_owned());
        let mut assignments = vec![app];
        if by_code {
            bench.write_sql("UPDATE instance SET grant_state = 'login_required' WHERE id = 1");
            let code = bench.cloud.issue_code_of(&bench.drive());
            assignments.push(("providerData.code".to_owned(), code));
        }
        bench.house().update_instance("Mine", &assignments).unwrap();
        if !by_code {
            assert!(matches!(bench.poll(3), Err(PollError::Throttled { .. })));
            bench
                .house()
                .login("Mine", &GO_ON, &mut |_, _| {
                    bench.cloud.answer_device_codes(DeviceAnswer::Approve);
                })
                .unwrap();
        }
        bench.poll(1).unwrap();
        bench.poll(3).unwrap();
        bench.update("Other", "oauth.api.key", "app-id-0123").unwrap();
        let refused = bench.poll(3);
        assert!(matches!(refused, Err(PollError::Throttled { .. })), "{by_code}");
    }
}

#[test]
fn a_person_can_lift_a_pause_beside_the_agent() {
    let site = Site::new(Account::business());
    site.create_instance("Docs", json!({}));
    let agent = site.spawn_run();
    eventually("it is polled", || site.cloud.count(Endpoint::Delta) > 0);
    site.cloud.fail_next(Endpoint::Delta, Fault::throttle(3600));
    site.poll("Docs", &[]).code(1);
    site.poll("Docs", &[]).code(1).says(&["wait until", "--force"]);
    site.poll("Docs", &["--force"]).code(0);
    site.poll("Docs", &[]).code(0);
    assert_eq!(agent.stop(), Some(0));
}

#[test]
fn a_pause_is_forgotten_a_day_after_its_end() {
    let bench = two_accounts();
    bench.cloud.fail_next(Endpoint::Delta, Fault::throttle(120));
    assert!(bench.poll(1).is_err());
    let known = || {
        agent::once(&bench.house(), &GO_ON, &|_| {}).unwrap();
        bench.cell("SELECT count(*) FROM throttle")
    };
    assert_eq!(known(), "1");
    bench.pass(120 + 24 * 60 * 60);
    assert_eq!(known(), "1");
    bench.pass(1);
    assert_eq!(known(), "0");
}
