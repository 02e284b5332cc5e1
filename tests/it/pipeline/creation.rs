//! What changes between the answer of a creation and the end of the first reading, whatever the provider answers
//! meanwhile: all of it is announced, and nothing else of what existed.

use deltapost::clock::{Clock, SystemClock};
use deltapost::core::model::EventType::{Created, Deleted, Updated};
use deltapost::sim::onedrive::{Account, Descendants, Drive, Endpoint, Fault, Gone, Habits, Tree};
use deltapost::sim::receiver::Received;
use serde_json::{Value, json};

use crate::pipeline::office::{id, office, site, told};
use crate::support::Site;
use crate::support::ledger::check_deliveries_after_kills;
use crate::support::storm::{Seed, Storm};

/// A drive on which nothing else happens, with an instance that was just created.
fn created(baseline: &str) -> (Site, Drive) {
    let site = site(Account::business(), baseline, 2);
    let drive = site.drive();
    (site, drive)
}

/// One change of each kind, and what is told of them; the service says no more of a deleted item than its id.
fn change_everything(drive: &Drive) -> [&'static str; 6] {
    drive.create_file(&id(drive, "/Finance"), "new.docx", 1);
    drive.edit(&id(drive, "/Finance/report.xlsx"));
    drive.rename(&id(drive, "/Finance/2026"), "This year");
    drive.move_to(&id(drive, "/Finance/This year/feb.xlsx"), &drive.root_id());
    drive.delete(&id(drive, "/notes.txt"));
    let folder = drive.create_folder(&drive.root_id(), "Projects");
    drive.delete(&drive.create_file(&folder, "in passing.tmp", 1));
    [
        "CREATED /Finance/new.docx",
        "CREATED /Projects",
        "DELETED null",
        "UPDATED /Finance/This year",
        "UPDATED /Finance/report.xlsx",
        "UPDATED /feb.xlsx",
    ]
}

/// What was told, without what moved: it is not known of what the reading shows in its new state.
fn outline(site: &Site) -> Vec<String> {
    check_deliveries_after_kills(site);
    let mut events = site.receiver.events();
    events.iter_mut().for_each(|event| event.changes.clear());
    let mut told = told(&events);
    told.sort();
    told
}

#[test]
fn what_changes_between_the_creation_and_the_first_poll_is_told() {
    type Weather = fn(&Site);
    let weathers: [(&str, Weather); 5] = [
        ("fair", |_| {}),
        ("503", |site| {
            site.cloud.fail_next(
                Endpoint::Delta,
                Fault::Status {
                    code: 503,
                    headers: vec![("Retry-After", "1".to_owned())],
                    body: "{}".to_owned(),
                },
            );
            site.once().code(1);
            site.write_sql("DELETE FROM throttle");
        }),
        ("an outage", |site| {
            site.cloud.fail_always(Endpoint::Delta, Fault::Close);
            site.once().code(1);
            site.once().code(1);
            site.cloud.heal(Endpoint::Delta);
        }),
        ("a 410 in the middle", |site| {
            site.cloud
                .fail_after(Endpoint::Delta, 2, Fault::Gone(Gone::default()));
        }),
        ("kills", |site| {
            for place in ["fetched", "committed", "committed"] {
                let agent = site.spawn(&["once"], &[("DELTAPOST_KILL_AT", place)]);
                assert_eq!(agent.wait(), None, "it dies at `{place}`");
            }
        }),
    ];
    for (name, weather) in weathers {
        let (site, drive) = created("snapshot");
        let expect = change_everything(&drive);
        weather(&site);
        site.once().code(0);
        assert_eq!(outline(&site), expect, "{name}");
        site.once().code(0);
        assert_eq!(site.receiver.events().len(), expect.len(), "{name}: told once");
    }
}

#[test]
fn what_changes_while_the_first_reading_is_under_way_is_told() {
    // The creation has asked for its cursor; the reading has four pages, and then comes what changed.
    for page in 1..=5 {
        let (site, drive) = created("snapshot");
        let changed = drive.clone();
        let count = std::sync::atomic::AtomicUsize::new(0);
        site.cloud.on_request(move |_| {
            if count.fetch_add(1, std::sync::atomic::Ordering::SeqCst) + 1 == page {
                change_everything(&changed);
            }
        });
        site.once().code(0);
        site.cloud.on_request(|_| {});
        site.once().code(0);
        let told = outline(&site);
        let deleted = |line: &&String| line.starts_with("DELETED");
        assert_eq!(told.iter().filter(deleted).count(), 1, "page {page}: {told:?}");
        let live: Vec<&String> = told.iter().filter(|line| !deleted(line)).collect();
        assert_eq!(
            live,
            [
                "CREATED /Finance/new.docx",
                "CREATED /Projects",
                "UPDATED /Finance/This year",
                "UPDATED /Finance/report.xlsx",
                "UPDATED /feb.xlsx"
            ],
            "page {page}"
        );
    }
}

#[test]
fn latest_begins_at_the_creation() {
    let (site, drive) = created("latest");
    change_everything(&drive);
    site.once().code(0);
    let told = outline(&site);
    let count = |event_type: &str| told.iter().filter(|line| line.starts_with(event_type)).count();
    // It never learnt what existed, and tells of each deletion.
    assert_eq!(
        (count("CREATED"), count("UPDATED"), count("DELETED")),
        (2, 3, 2),
        "{told:?}"
    );
}

#[test]
fn without_a_cursor_of_the_creation_dates_tell_what_changed() {
    for expired in [false, true] {
        let site = Site::new(Account::business());
        let drive = site.drive();
        office(&drive);
        if !expired {
            site.cloud.fail_next(Endpoint::Delta, Fault::Html);
        }
        site.create_instance("Docs", json!({}));
        drive.advance_to(SystemClock.now());
        drive.create_file(&id(&drive, "/Finance"), "new.docx", 1);
        drive.edit(&id(&drive, "/Finance/report.xlsx"));
        if expired {
            drive.expire_delta_tokens(Gone::default());
        }
        // The first poll comes an hour later.
        site.cloud.set_clock_ahead(jiff::SignedDuration::from_hours(1));
        site.once().code(0);
        let expect = ["CREATED /Finance/new.docx", "UPDATED /Finance/report.xlsx"];
        assert_eq!(outline(&site), expect, "expired: {expired}");
        // What comes after the cursor that the first poll took is told as ever.
        drive.edit(&id(&drive, "/Finance/new.docx"));
        drive.delete(&id(&drive, "/notes.txt"));
        site.once().code(0);
        assert_eq!(outline(&site).len(), 4, "{:?}", outline(&site));
    }
}

#[test]
fn another_url_announces_what_changes_from_the_answer_on() {
    let (site, drive) = created("snapshot");
    site.once().code(0);
    drive.edit(&id(&drive, "/Finance/report.xlsx"));
    let url = format!("/drives/{}/root/delta", drive.id());
    let settings = json!({"events": {"url": url}});
    let set = format!("event.poller.configuration={settings}");
    site.cli(&["instance", "update", "Docs", "--set", &set]).code(0);
    drive.edit(&id(&drive, "/notes.txt"));
    drive.delete(&id(&drive, "/Finance/2026/jan.xlsx"));
    site.once().code(0);
    assert_eq!(outline(&site), ["DELETED null", "UPDATED /notes.txt"]);
}

/// Whatever the storm does after the creation, the events lead from the drive as it was then to the drive as it is, and
/// each tells of something that changed since.
#[track_caller]
fn check_storm(seed: u64, stale: bool) {
    let _seed = Seed(seed);
    let habits = Habits {
        deleted_descendants: Descendants::Listed,
        ..Habits::AWKWARD
    };
    let site = Site::new(Account {
        seed,
        page_size: 7,
        habits,
        ..Account::business()
    });
    let drive = site.drive();
    let storm = Storm::new(seed);
    (0..80).for_each(|_| storm.step(&drive));
    site.create_instance("Docs", json!({}));
    let (start, began) = (drive.tree(), drive.now());
    (0..30).for_each(|_| storm.step(&drive));
    let (going, here) = (storm.clone(), drive.clone());
    site.cloud.on_request(move |_| going.step(&here));
    if stale {
        site.cloud
            .fail_after(Endpoint::Delta, 4, Fault::Gone(Gone::default()));
    }
    site.once().code(0);
    site.cloud.on_request(|_| {});
    site.once().code(0);
    check_deliveries_after_kills(&site);
    let events = site.receiver.events();
    for event in &events {
        let raw: Value = event
            .raw
            .as_deref()
            .map_or(Value::Null, |raw| serde_json::from_str(raw).unwrap());
        let modified = raw["lastModifiedDateTime"]
            .as_str()
            .map(|text| text.parse().unwrap());
        assert!(
            modified.is_none_or(|modified: jiff::Timestamp| modified >= began),
            "{event:?}"
        );
    }
    assert_eq!(
        followed(&start, &events, &began.to_string()),
        names(&drive.tree())
    );
    for event_type in [Created, Updated, Deleted] {
        assert!(
            events.iter().any(|event| event.event_type == event_type),
            "too calm"
        );
    }
}

/// Name and parent of each item, by what a subscriber makes of the events.
fn followed(start: &Tree, events: &[Received], began: &str) -> Vec<(String, String, String)> {
    let mut tree: std::collections::BTreeMap<String, (String, String)> = names(start)
        .into_iter()
        .map(|(id, name, parent)| (id, (name, parent)))
        .collect();
    for event in events {
        let known = tree.remove(&event.object_id);
        if event.event_type == Deleted {
            continue;
        }
        let raw: Value = serde_json::from_str(event.raw.as_deref().unwrap()).unwrap();
        // What is restored is older than the creation, and like what was there.
        let older = raw["createdDateTime"].as_str().unwrap() < began;
        let told_before = event.event_type == Created || known.is_some();
        assert!(told_before || older, "not known: {event:?}");
        let text = |pointer: &str| raw.pointer(pointer).unwrap().as_str().unwrap().to_owned();
        tree.insert(
            event.object_id.clone(),
            (text("/name"), text("/parentReference/id")),
        );
    }
    tree.into_iter()
        .map(|(id, (name, parent))| (id, name, parent))
        .collect()
}

fn names(tree: &Tree) -> Vec<(String, String, String)> {
    tree.iter()
        .map(|(id, entry)| (id.clone(), entry.name.clone(), entry.parent.clone()))
        .collect()
}

#[test]
fn a_storm_that_begins_with_the_creation_loses_nothing() {
    for seed in [11, 12, 13] {
        check_storm(seed, false);
        check_storm(seed, true);
    }
}
