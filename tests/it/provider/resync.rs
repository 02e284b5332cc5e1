//! Stale tokens: whatever was missed is announced, and nothing else, wherever and however often the provider sends the
//! reading back to its start; what cannot be believed waits for a person.

use deltapost::commands::Done;
use deltapost::core::model::EventType;
use deltapost::poll::PollError;
use deltapost::sim::onedrive::{Account, Endpoint, Fault, Gone, Kind};
use deltapost::store::{Depth, Hold};
use serde_json::json;

use crate::provider::bench::Bench;
use crate::support::ledger::check_replay;
use crate::support::storm::{Seed, Storm};
use crate::support::{PATIENCE, Site, eventually};

fn small_pages(account: Account, seed: u64) -> Account {
    let account = Account {
        page_size: 5,
        ..account
    };
    account.awkward(seed)
}

fn gone(location: bool) -> Fault {
    Fault::Gone(Gone {
        location,
        ..Gone::default()
    })
}

/// What goes wrong in one round, from the `page`-th request for a page on, and then at later ones.
fn faults(page: usize, variant: usize) -> Vec<(usize, Fault)> {
    let later = page / 2;
    match variant {
        0 => vec![(page, gone(true))],
        1 => vec![(page, gone(false))],
        2 => vec![(page, gone(true)), (later, gone(true))],
        3 => vec![(page, gone(false)), (later, gone(true)), (0, gone(false))],
        // The `Location` itself fails, and the reading begins without it.
        4 => vec![(page, gone(true)), (0, Fault::status(500))],
        5 => vec![
            (page, gone(true)),
            (0, Fault::status(404)),
            (later, Fault::status(500)),
        ],
        6 => vec![(page, gone(true)), (0, Fault::Html), (later, Fault::Truncate)],
        _ => vec![
            (page, Fault::status(500)),
            (later, gone(true)),
            (later, Fault::Close),
        ],
    }
}

/// Polls until a poll comes to its end; the provider recovers in time.
#[track_caller]
fn poll_to_the_end(bench: &Bench) {
    for _ in 0..8 {
        match bench.poll(1) {
            Ok(_) => return,
            Err(PollError::Graph(_) | PollError::Page(_) | PollError::Restarted | PollError::Cycle) => {}
            Err(error) => panic!("{error}"),
        }
    }
    panic!("no poll came to its end");
}

#[track_caller]
fn check_rounds(account: Account, seed: u64) {
    let _seed = Seed(seed);
    let bench = Bench::new(small_pages(account, seed));
    let drive = bench.drive();
    let storm = Storm::new(seed);
    (0..25).for_each(|_| storm.step(&drive));
    bench.create("Docs", json!({}));
    bench.poll(1).unwrap();
    assert_eq!(bench.events(), []);
    let start = drive.tree();
    for round in 0..32 {
        (0..12).for_each(|_| storm.step(&drive));
        for (after, fault) in faults(round % 9, round % 8) {
            bench.cloud.fail_after(Endpoint::Delta, after, fault);
        }
        if round % 5 == 4 {
            drive.expire_delta_tokens(Gone::default());
        }
        poll_to_the_end(&bench);
        bench.cloud.heal(Endpoint::Delta);
        poll_to_the_end(&bench);
        check_replay(&start, &bench.events(), &drive.tree());
    }
    assert_eq!(bench.cell("SELECT count(*) FROM staged_deletion"), "0");
}

#[test]
fn a_410_at_every_page_gives_exactly_the_missed_changes() {
    for seed in [11, 12] {
        check_rounds(Account::business(), seed);
        check_rounds(Account::consumer(), seed);
    }
}

#[test]
fn a_link_that_repeats_for_ever_is_left_and_costs_nothing() {
    for page in 0..4 {
        let bench = Bench::new(small_pages(Account::business(), 5));
        let drive = bench.drive();
        let storm = Storm::new(5);
        bench.create("Docs", json!({}));
        bench.poll(1).unwrap();
        let start = drive.tree();
        (0..40).for_each(|_| storm.step(&drive));
        for _ in 0..page {
            bench.cloud.fail_after(Endpoint::Delta, 0, Fault::UsedUp(0));
        }
        bench.cloud.fail_always(Endpoint::Delta, Fault::SamePageAgain);
        let before = bench.requests().0;
        assert!(matches!(bench.poll(1), Err(PollError::Cycle)));
        assert!(bench.requests().0 - before < 16, "it went round and round");
        bench.cloud.heal(Endpoint::Delta);
        bench.poll(1).unwrap();
        check_replay(&start, &bench.events(), &drive.tree());
    }
}

#[test]
fn a_410_during_the_baseline_begins_it_anew_and_tells_what_was_deleted_since_the_creation() {
    for page in 0..6 {
        let bench = Bench::new(small_pages(Account::consumer(), page));
        let drive = bench.drive();
        drive.bulk_create(6, 30);
        let last = drive.create_file(&drive.root_id(), "gone before the end", 1);
        bench.create("Docs", json!({}));
        bench
            .cloud
            .fail_after(Endpoint::Delta, page as usize, gone(page % 2 == 0));
        let (watched, deleted) = (drive.clone(), last.clone());
        let mut left = Some(last);
        let left = std::sync::Mutex::new(left.take());
        let at = page;
        bench.cloud.on_request(move |seen| {
            if seen.endpoint == Endpoint::Delta
                && seen.number >= at
                && let Some(id) = left.lock().unwrap().take()
            {
                watched.delete(&id);
            }
        });
        bench.poll(1).unwrap();
        let events = bench.events();
        let told: Vec<_> = events
            .iter()
            .map(|event| (event.event_type, event.object_id.as_str()))
            .collect();
        assert_eq!(told, [(EventType::Deleted, deleted.as_str())], "page {page}");
        assert_eq!(
            bench.cell("SELECT count(*) FROM item WHERE kind <> 'root'"),
            drive.tree().len().to_string()
        );
    }
}

#[test]
fn a_410_during_an_announced_baseline_repeats_nothing() {
    for page in 0..6 {
        let bench = Bench::new(small_pages(Account::business(), page));
        let drive = bench.drive();
        drive.bulk_create(6, 30);
        let resources = json!({"events": {"url": "/hubs/documents/events", "baseline": "emit"}});
        bench.create("Docs", json!({"event.poller.configuration": resources}));
        bench
            .cloud
            .fail_after(Endpoint::Delta, page as usize + 1, Fault::status(500));
        assert!(bench.poll(1).is_err());
        // What was announced in vain is taken back, what was not is announced.
        drive.delete(drive.tree().keys().next().unwrap());
        drive.create_file(&drive.root_id(), "new", 1);
        drive.expire_delta_tokens(Gone::default());
        bench.cloud.heal(Endpoint::Delta);
        bench.poll(1).unwrap();
        check_replay(&Default::default(), &bench.events(), &drive.tree());
    }
}

#[test]
fn a_page_with_a_resync_in_its_error_is_a_stale_token_whatever_its_status() {
    let nested = r#"{"error":{"code":"badRequest","innerError":{"code":"x","innererror":{"code":"resyncApplyDifferences"}}}}"#;
    for code in [200, 400, 404, 500] {
        let bench = Bench::new(Account::business());
        let drive = bench.drive();
        bench.create("Docs", json!({}));
        bench.poll(1).unwrap();
        let start = drive.tree();
        drive.create_file(&drive.root_id(), "missed", 1);
        let fault = Fault::Status {
            code,
            headers: Vec::new(),
            body: nested.to_owned(),
        };
        bench.cloud.fail_next(Endpoint::Delta, fault);
        let record = bench.poll(1).unwrap();
        assert!(record.note.unwrap().contains("stale"), "{code}");
        check_replay(&start, &bench.events(), &drive.tree());
    }
}

#[test]
fn a_location_that_is_of_no_use_is_asked_once() {
    let bench = Bench::new(Account::business());
    bench.create("Docs", json!({}));
    bench.poll(1).unwrap();
    bench.cloud.fail_next(Endpoint::Delta, gone(true));
    bench.cloud.fail_next(Endpoint::Delta, Fault::status(500));
    bench.poll(1).unwrap();
    let asked: Vec<bool> = bench
        .cloud
        .requests()
        .iter()
        .filter(|seen| seen.endpoint == Endpoint::Delta)
        .map(|seen| seen.target.contains("token="))
        .collect();
    // The creation; the first reading and what comes behind it; the stale token; its `Location`; the start without it.
    assert_eq!(asked, [true, false, true, true, true, false]);
}

/// A drive of 1,100 files that has been learnt, and of which all but `left` are gone when the token is stale.
fn depleted(left: usize) -> Bench {
    let bench = Bench::new(Account::business());
    let drive = bench.drive();
    let (_, files) = drive.bulk_create(0, 1_100);
    bench.create("Docs", json!({}));
    bench.poll(1).unwrap();
    for file in &files[left..] {
        drive.delete(file);
    }
    drive.expire_delta_tokens(Gone::default());
    bench
}

#[test]
fn a_comparison_that_would_delete_most_of_a_drive_waits_for_a_person() {
    let bench = depleted(400);
    let refused = bench.poll(1).unwrap_err();
    assert!(
        matches!(
            refused,
            PollError::Drastic {
                doomed: 700,
                known: 1_101
            }
        ),
        "{refused}"
    );
    assert!(refused.hint().unwrap().contains("--resync --accept"));
    assert_eq!(bench.health("Docs"), "held");
    assert!(bench.last_error("Docs").contains("700 of 1101"));
    // Nothing goes on by itself, and nothing by an ordinary poll.
    bench.pass(24 * 3600);
    assert!(bench.due().is_empty());
    let before = bench.requests();
    assert!(matches!(bench.poll(1), Err(PollError::Held(Hold::Deletions))));
    assert_eq!(bench.requests(), before);
    // To compare again is not to accept.
    let again = bench.poll_at(1, Depth::Resync);
    assert!(matches!(again, Err(PollError::Drastic { doomed: 700, .. })));
    assert_eq!(bench.events(), []);
    let accepted = bench.poll_at(1, Depth::AcceptedResync).unwrap();
    assert_eq!(accepted.events, 700);
    assert_eq!(bench.events().len(), 700);
    assert_eq!(bench.health("Docs"), "ok");
}

#[test]
fn what_comes_back_before_anybody_accepts_was_never_gone() {
    let bench = depleted(400);
    assert!(matches!(bench.poll(1), Err(PollError::Drastic { .. })));
    let drive = bench.drive();
    let gone = bench.cell("SELECT group_concat(object_id) FROM item WHERE doomed > 0");
    gone.split(',').for_each(|id| drive.restore(id));
    bench.poll_at(1, Depth::Resync).unwrap();
    assert!(
        bench
            .events()
            .iter()
            .all(|event| event.event_type.as_str() == "UPDATED")
    );
    assert_eq!(bench.health("Docs"), "ok");
}

#[test]
fn half_of_a_drive_may_be_deleted_without_anybody_being_asked() {
    let bench = depleted(551);
    assert_eq!(bench.poll(1).unwrap().events, 549);
}

#[test]
fn an_accepted_comparison_stays_accepted_when_the_token_is_stale_again() {
    let bench = depleted(400);
    assert!(bench.poll(1).is_err());
    bench.cloud.fail_after(Endpoint::Delta, 1, gone(true));
    assert_eq!(bench.poll_at(1, Depth::AcceptedResync).unwrap().events, 700);
}

#[test]
fn another_accounts_drive_is_never_compared() {
    for kind in [Kind::Business, Kind::Consumer] {
        let account = |seed| Account {
            kind,
            seed,
            ..Account::business()
        };
        let bench = Bench::new(account(1));
        let (mine, other) = (bench.drive(), bench.cloud.add_account(account(2)));
        mine.bulk_create(3, 20);
        other.bulk_create(3, 20);
        bench.create("Docs", json!({}));
        bench.poll(1).unwrap();
        let start = mine.tree();
        mine.create_file(&mine.root_id(), "missed", 1);

        let token = "oauth.user.refresh_token";
        let grant_of = |drive| bench.cloud.issue_refresh_token_of(drive);
        bench.update("Docs", token, &grant_of(&other)).unwrap();
        let refused = bench.poll(1).unwrap_err();
        assert!(matches!(refused, PollError::AnotherDrive { .. }), "{refused}");
        assert_eq!(bench.health("Docs"), "held");
        assert_eq!(bench.events(), []);
        assert!(matches!(bench.poll(1), Err(PollError::Held(Hold::Drive))));
        // A resync changes nothing about that.
        assert!(matches!(
            bench.poll_at(1, Depth::AcceptedResync),
            Err(PollError::AnotherDrive { .. })
        ));

        // The right account again, by a code though the instance is signed in: nothing was lost.
        let code = bench.cloud.issue_code_of(&mine);
        assert_eq!(
            bench.update("Docs", "providerData.code", &code).unwrap().done,
            Done::Changed
        );
        bench.poll(1).unwrap();
        check_replay(&start, &bench.events(), &mine.tree());

        // Or the other drive on purpose: learnt silently, and followed.
        bench.update("Docs", token, &grant_of(&other)).unwrap();
        assert!(bench.poll(1).is_err());
        let announced = bench.events().len();
        bench.poll_at(1, Depth::Rebaseline).unwrap();
        // And learnt once more: what is known already is not forgotten by that.
        bench.poll_at(1, Depth::Rebaseline).unwrap();
        let known = bench.cell("SELECT count(*) FROM item WHERE kind <> 'root'");
        assert_eq!(known, other.tree().len().to_string());
        other.create_file(&other.root_id(), "new", 1);
        bench.poll(1).unwrap();
        assert_eq!(bench.events().len(), announced + 1);
    }
}

#[test]
fn a_hold_during_the_baseline_ends_with_the_right_account() {
    let bench = Bench::new(small_pages(Account::business(), 1));
    let (mine, other) = (
        bench.drive(),
        bench.cloud.add_account(small_pages(Account::business(), 2)),
    );
    mine.bulk_create(3, 20);
    bench.create("Docs", json!({}));
    bench.cloud.fail_after(Endpoint::Delta, 1, Fault::status(500));
    assert!(bench.poll(1).is_err());
    let token = "oauth.user.refresh_token";
    let grant_of = |drive| bench.cloud.issue_refresh_token_of(drive);
    bench.update("Docs", token, &grant_of(&other)).unwrap();
    assert!(matches!(bench.poll(1), Err(PollError::AnotherDrive { .. })));
    // By hand, once the account is the right one without anybody having signed in here.
    bench.write_sql("UPDATE resource SET held = NULL");
    bench.update("Docs", token, &grant_of(&mine)).unwrap();
    bench.write_sql("UPDATE resource SET held = 'drive'");
    bench.poll_at(1, Depth::Resync).unwrap();
    assert_eq!(bench.health("Docs"), "ok");
    assert_eq!(bench.events(), []);
    let known = bench.cell("SELECT count(*) FROM item WHERE kind <> 'root'");
    assert_eq!(known, mine.tree().len().to_string());
}

#[test]
fn what_is_held_is_told_by_every_command_with_the_next_thing_to_do() {
    let site = Site::new(Account::business());
    let drive = site.drive();
    let (_, files) = drive.bulk_create(0, 1_100);
    site.create_instance("Docs", json!({}));
    site.once().code(0);
    files[400..].iter().for_each(|file| drive.delete(file));
    drive.expire_delta_tokens(Gone::default());
    site.once().code(1).says(&["700 of 1101", "--resync --accept"]);
    site.cli(&["check"])
        .code(1)
        .says(&["waits for a person", "700 of 1101"]);
    let alerts = "SELECT alert || ' ' || state FROM alert WHERE alert <> 'disk' ORDER BY id";
    assert_eq!(site.sql(alerts), [["resource_held raised"]]);
    site.cli(&["poll", "Docs"])
        .code(1)
        .one_error_with_a_hint()
        .says(&["it is held", "--resync --accept"]);
    assert_eq!(site.cell("SELECT health FROM instance_health"), "held");
    site.cli(&["poll", "Docs", "--accept"]).code(2);
    // Through the agent, which hands the acceptance on.
    let agent = site.spawn_run();
    site.poll("Docs", &["--resync", "--accept"]).code(0);
    site.receiver.wait_for(700, PATIENCE).unwrap();
    eventually("the alert is over", || site.sql(alerts).len() == 2);
    assert_eq!(agent.stop(), Some(0));
}
