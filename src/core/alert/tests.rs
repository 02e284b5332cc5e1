//! Which facts raise which alert, and that each change is told once.

use super::*;

fn now() -> Timestamp {
    "2026-03-01T09:30:00Z".parse().unwrap()
}

fn ago(minutes: i64) -> Timestamp {
    now() - SignedDuration::from_mins(minutes)
}

fn failing_since(since: Timestamp) -> Facts {
    Facts {
        failing: vec![FailingResource {
            resource_id: 2,
            instance: "Docs".to_owned(),
            resource: "events".to_owned(),
            since,
            error: Some("no route to host".to_owned()),
        }],
        ..Facts::default()
    }
}

fn disk(free: u64, total: u64, refused: bool) -> Facts {
    Facts {
        disk: Disk {
            path: "/data".to_owned(),
            space: Some((free, total)),
            refused,
        },
        ..Facts::default()
    }
}

fn database(is_full_of_items: bool, is_tight: bool) -> Facts {
    Facts {
        database: DatabaseSize {
            is_full_of_items,
            is_tight,
        },
        ..Facts::default()
    }
}

/// What `facts` raise where nothing stood (first) and where everything did.
#[track_caller]
fn check(facts: &Facts, raised: &[(AlertKind, &str)], kept: &[(AlertKind, &str)]) {
    for (stood, expect) in [(false, raised), (true, kept)] {
        let standing = standing(facts, |_, _| stood, now());
        let found: Vec<_> = standing.iter().map(|one| (one.kind, one.key.as_str())).collect();
        assert_eq!(found, expect, "stood: {stood}");
    }
}

#[test]
fn a_resource_is_an_alert_when_it_has_failed_for_an_hour() {
    let alert = [(AlertKind::ResourceFailing, "resource/2")];
    check(&failing_since(ago(59)), &[], &[]);
    check(&failing_since(ago(60)), &alert, &alert);
}

#[test]
fn an_overdue_resource_is_an_alert_when_that_is_sure_and_until_it_is_polled() {
    let late = |is_sure| Facts {
        overdue: vec![OverdueResource {
            resource_id: 2,
            instance: "Docs".to_owned(),
            resource: "events".to_owned(),
            last_poll_at: Some(ago(60)),
            since: ago(30),
            is_sure,
        }],
        ..Facts::default()
    };
    let alert = [(AlertKind::ResourceOverdue, "resource/2")];
    check(&late(false), &[], &alert);
    check(&late(true), &alert, &alert);
}

#[test]
fn the_disk_is_an_alert_below_64_mib_or_a_hundredth_and_again_well_only_a_quarter_above() {
    let (mib, alert) = (1 << 20, [(AlertKind::Disk, "disk")]);
    let roomy = 1_000 * mib;
    check(&disk(64 * mib - 1, roomy, false), &alert, &alert);
    check(&disk(64 * mib, roomy, false), &[], &alert);
    check(&disk(80 * mib, roomy, false), &[], &[]);
    check(&disk(99 * mib, 10_000 * mib, false), &alert, &alert);
    check(&disk(100 * mib, 10_000 * mib, false), &[], &alert);
    check(&disk(500 * mib, roomy, true), &alert, &alert);
    let unknown = Disk {
        space: None,
        ..Disk::default()
    };
    let facts = Facts {
        disk: unknown,
        ..Facts::default()
    };
    check(&facts, &[], &[]);
}

#[test]
fn who_else_has_a_full_database_open_is_named() {
    let facts = Facts {
        users: vec!["sqlite3 (process 12)".to_owned()],
        ..database(true, true)
    };
    let standing = standing(&facts, |_, _| false, now());
    assert!(standing[0].message.ends_with("open in sqlite3 (process 12)"));
}

#[test]
fn a_database_full_of_items_is_an_alert_until_it_is_below_nine_tenths() {
    let alert = [(AlertKind::OutboxFull, "database")];
    check(&database(true, true), &alert, &alert);
    check(&database(false, true), &[], &alert);
    check(&database(false, false), &[], &[]);
}

#[test]
fn each_alert_says_what_it_is_about_and_what_to_do() {
    let facts = Facts {
        disabled: vec![DisabledEndpoint {
            id: 3,
            url: "https://example.com/in".to_owned(),
            since: ago(5),
            waiting_events: 1,
        }],
        logins: vec![LostLogin {
            instance_id: 1,
            instance: "Docs".to_owned(),
            error: Some("the grant was revoked".to_owned()),
        }],
        paused: vec![PausedInstance {
            instance_id: 1,
            instance: "Docs".to_owned(),
            by: PausedBy::MaxBytes,
            since: ago(6),
            waiting_events: 12,
        }],
        held: vec![HeldResource {
            resource_id: 2,
            instance: "Docs".to_owned(),
            resource: "events".to_owned(),
            error: Some("it is held: 700 of 1101 known items would be deleted".to_owned()),
        }],
        ..Facts::default()
    };
    let standing = standing(&facts, |_, _| false, now());
    let said: Vec<_> = standing
        .iter()
        .map(|one| (one.subject.as_str(), one.since, one.message.as_str()))
        .collect();
    let expect = [
        (
            "https://example.com/in",
            ago(5),
            "nothing is delivered to this URL until it accepts a probe, or `deltapost outbox resume`; 1 event waits there",
        ),
        (
            "Docs",
            now(),
            "nothing is polled until somebody signs in, with `deltapost login`: the grant was revoked",
        ),
        (
            "Docs",
            ago(6),
            "polling waits until the outbox is below 90 % of `[outbox] max_bytes`; 12 events wait for delivery",
        ),
        (
            "Docs / events",
            now(),
            "it waits for a person, and `deltapost poll` says what to do: it is held: 700 of 1101 known items would be \
             deleted",
        ),
    ];
    assert_eq!(said, expect);
}

#[test]
fn each_change_of_state_is_one_alert() {
    let facts = failing_since(ago(90));
    let bad = standing(&facts, |_, _| false, now());
    let raised = changes([].iter(), &bad, 7, now());
    assert_eq!(raised.len(), 1);
    assert_eq!(
        (raised[0].id, raised[0].state, raised[0].since),
        (7, AlertState::Raised, ago(90))
    );
    assert!(changes(raised.iter(), &bad, 8, now()).is_empty(), "it stands");
    let cleared = changes(raised.iter(), &[], 8, now());
    assert_eq!(
        (cleared[0].id, cleared[0].state, cleared[0].since),
        (8, AlertState::Cleared, now())
    );
    assert_eq!(
        (&cleared[0].key, &cleared[0].subject),
        (&raised[0].key, &raised[0].subject)
    );
    assert_eq!(cleared.len(), 1);
    assert!(changes([].iter(), &[], 9, now()).is_empty());
}

#[test]
fn an_alert_is_json_of_six_fields() {
    let alert = &changes(
        [].iter(),
        &standing(&failing_since(ago(61)), |_, _| false, now()),
        1,
        now(),
    )[0];
    assert_eq!(
        alert.json(Some("box")),
        "{\"alert\":\"resource_failing\",\"state\":\"raised\",\"subject\":\"Docs / events\",\
         \"message\":\"every poll has failed for an hour or more: no route to host\",\
         \"since\":\"2026-03-01T08:29:00.000Z\",\"host\":\"box\"}"
    );
    assert!(!alert.json(None).contains("\"host\""));
}
