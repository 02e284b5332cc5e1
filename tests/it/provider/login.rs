//! Signing in by device code: what the person is shown, how often the provider is asked, and that polling goes on where
//! it stood.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use deltapost::clock::{Clock, FakeClock};
use deltapost::commands::{CommandError, House};
use deltapost::core::model::{GrantState, Instance};
use deltapost::graph::auth::AuthError;
use deltapost::sim::onedrive::{Account, DeviceAnswer, Endpoint, Fault, Rules};
use jiff::Timestamp;
use serde_json::json;

use crate::provider::bench::{Bench, GO_ON};
use crate::support::ledger::check_replay;
use crate::support::{Site, eventually};

/// A bench whose service does not count the seconds between two questions: they pass on another clock.
fn bench() -> Bench {
    let bench = Bench::new(Account::business());
    bench.cloud.set_rules(Rules {
        device_interval: 0,
        ..Rules::default()
    });
    bench
}

/// Signs in to `Docs`; the person does `answer`.
fn login(bench: &Bench, answer: Option<DeviceAnswer>) -> Result<Instance, CommandError> {
    bench.house().login("Docs", &GO_ON, &mut |_, code| {
        assert!(code.page.ends_with("/devicelogin") && !code.user_code.is_empty());
        if let Some(answer) = answer {
            bench.cloud.answer_device_codes(answer);
        }
    })
}

#[test]
fn a_sign_in_after_a_lost_grant_goes_on_where_polling_stood() {
    let bench = bench();
    bench.create("Docs", json!({}));
    bench.poll(1).unwrap();
    let start = bench.drive().tree();
    bench.drive().create_file(&bench.drive().root_id(), "missed", 1);
    bench.cloud.revoke_access_tokens();
    bench.cloud.revoke_grants();
    assert!(bench.poll(1).is_err());
    assert_eq!(bench.health("Docs"), "login required");
    let place = "SELECT phase || generation FROM resource";
    let before = bench.cell(place);
    let instance = login(&bench, Some(DeviceAnswer::Approve)).unwrap();
    assert_eq!(instance.grant_state, GrantState::Ok);
    bench.pass(1);
    assert_eq!(bench.due(), [1]);
    bench.poll(1).unwrap();
    assert_eq!(bench.cell(place), before);
    check_replay(&start, &bench.events(), &bench.drive().tree());
}

#[test]
fn questions_come_as_slowly_as_the_provider_wants_them() {
    let bench = bench();
    bench.create("Docs", json!({}));
    for error in ["authorization_pending", "slow_down", "authorization_pending"] {
        bench
            .cloud
            .fail_next(Endpoint::Token, Fault::oauth(error, 70_016));
    }
    bench.cloud.fail_next(Endpoint::Token, Fault::status(500));
    let begun = bench.clock.now();
    login(&bench, Some(DeviceAnswer::Approve)).unwrap();
    // 1 s, 1 s, then 5 s slower twice, then twice as slow after a failure.
    let waited = bench.clock.now().duration_since(begun).as_secs();
    assert_eq!(waited, 1 + 1 + 6 + 6 + 12);
}

#[test]
fn a_sign_in_that_comes_to_nothing_changes_nothing() {
    let bench = bench();
    bench.create("Docs", json!({}));
    let grant = bench.store.grant(1).unwrap();
    let declined = login(&bench, Some(DeviceAnswer::Decline)).unwrap_err();
    assert!(declined.to_string().contains("declined"), "{declined}");
    let expired = login(&bench, Some(DeviceAnswer::Expire)).unwrap_err();
    assert!(expired.to_string().contains("within the time"), "{expired}");
    assert!(expired.hint().unwrap().contains("deltapost login"));
    // Nobody does anything at all.
    let begun = bench.clock.now();
    let ignored = login(&bench, None).unwrap_err();
    assert!(matches!(
        ignored,
        CommandError::SignIn(AuthError::NotSignedIn { expired: true })
    ));
    assert!(bench.clock.now().duration_since(begun).as_secs() >= 900);
    let stopped = AtomicBool::new(true);
    let stopped = bench.house().login("Docs", &stopped, &mut |_, _| {});
    assert!(matches!(stopped, Err(CommandError::Stopped)));
    assert_eq!(bench.store.grant(1).unwrap(), grant);
}

#[test]
fn a_new_instance_is_refused_with_the_same_problems_whether_created_or_applied() {
    let bench = bench();
    let mut document = bench.document(
        &bench.drive(),
        "Docs",
        json!({"event.poller.refresh_interval": "often"}),
    );
    document["element"] = json!({});
    let document = document.to_string();
    let created = bench.house().create_instance(&document).unwrap_err().to_string();
    let applied = bench.house().apply_instance(&document).unwrap_err().to_string();
    for problem in ["element.key", "refresh_interval"] {
        assert!(created.contains(problem), "{created}");
    }
    assert_eq!(applied, created);
}

#[test]
fn an_instance_can_be_made_for_a_sign_in_later() {
    let bench = bench();
    let mut document = bench.document(&bench.drive(), "Docs", json!({}));
    document["providerData"] = json!({});
    let made = bench.house().create_instance(&document.to_string()).unwrap();
    assert!(
        made.notes.iter().any(|note| note.contains("deltapost login 1")),
        "{:?}",
        made.notes
    );
    assert_eq!(bench.health("Docs"), "login required");
    assert!(bench.last_error("Docs").contains("nobody has signed in yet"));
    let before = bench.requests();
    assert!(bench.poll(1).is_err());
    assert_eq!(bench.requests(), before);
    login(&bench, Some(DeviceAnswer::Approve)).unwrap();
    bench.poll(1).unwrap();
    assert_eq!(bench.health("Docs"), "ok");
}

#[test]
fn an_app_without_a_user_needs_no_sign_in() {
    let bench = bench();
    let resources = json!({"events": {"url": format!("/drives/{}/root/delta", bench.drive().id())}});
    let mut document = bench.document(
        &bench.drive(),
        "Docs",
        json!({"oauth.grant": "client_credentials", "oauth.tenant": "t.example", "event.poller.configuration": resources}),
    );
    document["providerData"] = json!({});
    bench.house().create_instance(&document.to_string()).unwrap();
    let refused = login(&bench, None).unwrap_err();
    assert!(matches!(refused, CommandError::NoSignIn { .. }), "{refused}");
    bench.poll(1).unwrap();
}

#[test]
fn the_command_shows_page_and_code_and_works_beside_the_agent() {
    let site = Site::new(Account::business());
    site.cloud.set_rules(Rules {
        device_interval: 1,
        ..Rules::default()
    });
    site.create_instance("Docs", json!({}));
    site.once().code(0);
    site.cloud.revoke_access_tokens();
    site.cloud.revoke_grants();
    site.once().code(1);
    site.drive().create_file(&site.drive().root_id(), "missed", 1);
    let agent = site.spawn_run();
    let command = site.spawn(&["login", "Docs"], &[]);
    eventually("the code is shown", || command.log().contains("enter the code"));
    assert!(command.log().contains("/devicelogin"), "{}", command.log());
    site.cloud.answer_device_codes(DeviceAnswer::Approve);
    assert_eq!(command.wait(), Some(0));
    // The agent goes on at once, without being told.
    site.receiver.wait_for(1, Duration::from_secs(60)).unwrap();
    assert_eq!(agent.stop(), Some(0));
    assert_eq!(site.cell("SELECT health FROM instance_health"), "ok");
}

/// A clock that is set back by an hour whenever somebody sleeps on it, and how long that was in all.
#[derive(Debug)]
struct SetBack(FakeClock, Mutex<Duration>);

impl Clock for SetBack {
    fn now(&self) -> Timestamp {
        self.0.now()
    }

    fn sleep(&self, wait: Duration) {
        self.0.set(self.0.now() - Duration::from_secs(3_600));
        *self.1.lock().unwrap() += wait;
        assert!(
            *self.1.lock().unwrap() < Duration::from_secs(120),
            "it waits and waits"
        );
    }
}

#[test]
fn a_clock_that_is_set_back_does_not_lengthen_a_sign_in() {
    let bench = bench();
    bench.create("Docs", json!({}));
    let clock = Arc::new(SetBack(FakeClock::at(bench.clock.now()), Mutex::default()));
    let house = House {
        clock: clock.clone(),
        ..bench.house()
    };
    let signed_in = house.login("Docs", &GO_ON, &mut |_, _| {
        bench.cloud.fail_next(Endpoint::Token, Fault::throttle(30));
        bench.cloud.answer_device_codes(DeviceAnswer::Approve);
    });
    assert_eq!(signed_in.unwrap().grant_state, GrantState::Ok);
    assert!(*clock.1.lock().unwrap() >= Duration::from_secs(30));
}
