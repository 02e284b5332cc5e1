//! What becomes of a feed: baselines, deletions, filters.

use std::sync::atomic::{AtomicUsize, Ordering};

use deltapost::clock::{Clock, SystemClock};
use deltapost::core::model::EventType::{Created, Deleted, Updated};
use deltapost::sim::onedrive::{Account, Descendants, Gone, Habits};
use deltapost::sim::receiver::Received;
use serde_json::json;

use crate::pipeline::office::{id, news, office, site, told};
use crate::support::Site;
use crate::support::ledger::check_replay;
use crate::support::process::Ran;

#[test]
fn a_snapshot_is_silent_and_what_comes_after_it_is_told() {
    let site = site(Account::business(), "snapshot", 3);
    let drive = site.drive();
    let mut seen = 0;
    assert_eq!(told(&news(&site, &mut seen)), [""; 0]);
    drive.edit(&id(&drive, "/Finance/report.xlsx"));
    drive.rename(&id(&drive, "/Finance/2026"), "This year");
    drive.create_file(&id(&drive, "/Finance"), "new.docx", 1);
    drive.delete(&id(&drive, "/notes.txt"));
    let events = news(&site, &mut seen);
    assert_eq!(
        told(&events),
        [
            "UPDATED /Finance/report.xlsx content",
            "UPDATED /Finance/This year name",
            "CREATED /Finance/new.docx",
            "DELETED /notes.txt",
        ]
    );
    assert_eq!(told(&news(&site, &mut seen)), [""; 0]);
}

#[test]
fn emit_announces_what_exists_once() {
    let site = site(Account::consumer(), "emit", 3);
    let drive = site.drive();
    let mut seen = 0;
    let events = news(&site, &mut seen);
    assert!(events.iter().all(|event| event.event_type == Created));
    check_replay(&Default::default(), &events, &drive.tree());
    assert_eq!(told(&news(&site, &mut seen)), [""; 0]);
}

#[test]
fn latest_starts_now_and_tells_new_objects_from_old_ones() {
    let site = site(Account::business(), "latest", 3);
    let drive = site.drive();
    drive.advance_to(SystemClock.now());
    let mut seen = 0;
    assert_eq!(told(&news(&site, &mut seen)), [""; 0]);
    assert!(site.delta_requests()[0].target.contains("token=latest"));
    drive.edit(&id(&drive, "/Finance/report.xlsx"));
    drive.create_file(&drive.root_id(), "new.docx", 1);
    drive.delete(&id(&drive, "/notes.txt"));
    let mut events = news(&site, &mut seen);
    events.sort_by_key(|event| event.event_type);
    let types: Vec<_> = events.iter().map(|event| event.event_type).collect();
    assert_eq!(types, [Created, Updated, Deleted], "{events:?}");
    // A stale token starts at now again: what happened in the gap is not known.
    drive.create_file(&drive.root_id(), "in the gap.docx", 1);
    drive.expire_delta_tokens(Gone::default());
    assert_eq!(told(&news(&site, &mut seen)), [""; 0]);
    assert_eq!(
        site.delta_requests()
            .last()
            .map(|seen| seen.target.contains("token=latest")),
        Some(true)
    );
    drive.edit(&id(&drive, "/new.docx"));
    assert_eq!(news(&site, &mut seen)[0].event_type, Updated);
}

fn set_baseline(site: &Site, baseline: &str) -> Ran {
    let resources = json!({"events": {"url": "/hubs/documents/events", "baseline": baseline}});
    let set = format!("event.poller.configuration={resources}");
    site.cli(&["instance", "update", "Docs", "--set", &set]).code(0)
}

#[test]
fn a_baseline_can_be_changed_until_it_has_been_read() {
    let site = site(Account::business(), "snapshot", 3);
    let drive = site.drive();
    set_baseline(&site, "emit").says(&["another baseline"]);
    let mut seen = 0;
    let events = news(&site, &mut seen);
    check_replay(&Default::default(), &events, &drive.tree());
    // What exists has been told; another baseline changes nothing about that.
    let ran = set_baseline(&site, "snapshot");
    assert!(!ran.stderr.contains("anew"), "{ran:?}");
    drive.edit(&id(&drive, "/notes.txt"));
    assert_eq!(told(&news(&site, &mut seen)), ["UPDATED /notes.txt content"]);
}

#[test]
fn a_resource_that_started_at_now_learns_what_exists_before_it_compares() {
    let site = site(Account::business(), "latest", 3);
    let mut seen = 0;
    assert_eq!(told(&news(&site, &mut seen)), [""; 0]);
    set_baseline(&site, "snapshot").says(&["another baseline"]);
    assert_eq!(told(&news(&site, &mut seen)), [""; 0]);
    site.poll("Docs", &["--resync"]).code(0);
    assert_eq!(told(&news(&site, &mut seen)), [""; 0], "nothing is invented");
}

#[test]
fn a_resync_of_a_resource_that_started_at_now_loses_nothing() {
    let site = site(Account::business(), "latest", 3);
    let mut seen = 0;
    assert_eq!(told(&news(&site, &mut seen)), [""; 0]);
    let drive = site.drive();
    drive.create_file(&drive.root_id(), "since.txt", 1);
    site.poll("Docs", &["--resync"]).code(0);
    let events = news(&site, &mut seen);
    assert_eq!(
        events.len(),
        1,
        "what came since the cursor is told: {:?}",
        told(&events)
    );
}

#[test]
fn what_a_killed_command_asked_for_is_not_done_by_a_later_agent() {
    let site = site(Account::business(), "snapshot", 3);
    site.once().code(0);
    site.write_sql(
        "INSERT INTO request (resource_id, depth, created_at)
         VALUES (1, 'rebaseline', strftime('%Y-%m-%dT%H:%M:%S.000Z', 'now', '-20 seconds'))",
    );
    let agent = site.spawn_run();
    // An answer of now, to be sure that the agent has looked.
    site.poll("Docs", &[]).code(0);
    assert_eq!(agent.stop(), Some(0));
    assert_eq!(site.cell("SELECT generation FROM resource"), "1");
}

#[test]
fn what_lies_at_another_url_is_not_announced_as_deleted() {
    let site = Site::new(Account::business());
    let drives = [
        site.drive(),
        site.cloud.add_account(Account {
            seed: 2,
            ..Account::business()
        }),
    ];
    drives.iter().for_each(office);
    let resources = drives.each_ref().map(|drive| {
        let url = format!("/drives/{}/root/delta", drive.id());
        json!({"events": {"url": url, "baseline": "emit"}})
    });
    let mut document = site.document(
        "Docs",
        json!({"oauth.grant": "client_credentials", "oauth.tenant": "contoso",
               "event.poller.configuration": &resources[0]}),
    );
    document.as_object_mut().unwrap().remove("providerData");
    site.try_create(&document).code(0);
    let mut seen = 0;
    check_replay(&Default::default(), &news(&site, &mut seen), &drives[0].tree());
    let set = format!("event.poller.configuration={}", resources[1]);
    site.cli(&["instance", "update", "Docs", "--set", &set])
        .code(0)
        .says(&["another url"]);
    check_replay(&Default::default(), &news(&site, &mut seen), &drives[1].tree());
}

#[test]
fn folders_are_left_out_of_changes_and_asked_for_in_an_enumeration() {
    let site = site(Account::business(), "snapshot", 2);
    let drive = site.drive();
    site.once().code(0);
    // Around the reading, of four pages, is what changes from the creation on.
    let first = site.delta_requests();
    let excluded: Vec<bool> = first.iter().map(|request| request.exclude_parents).collect();
    assert_eq!(excluded, [true, false, false, false, false, true]);
    drive.edit(&id(&drive, "/Finance/2026/jan.xlsx"));
    site.once().code(0);
    let changes = site.delta_requests().split_off(6);
    assert!(
        !changes.is_empty() && changes.iter().all(|request| request.exclude_parents),
        "{changes:?}"
    );
    drive.expire_delta_tokens(Gone::default());
    site.once().code(0);
    let stale = site.delta_requests().split_off(6 + changes.len());
    assert!(stale[0].exclude_parents, "the stale link is asked as it was");
    assert!(
        stale.len() > 1 && stale[1..].iter().all(|request| !request.exclude_parents),
        "{stale:?}"
    );
}

#[test]
fn a_deleted_folder_takes_each_descendant_once_children_first() {
    for (descendants, account) in [
        (Descendants::Listed, Account::business()),
        (Descendants::Implied, Account::business()),
        (Descendants::Listed, Account::consumer()),
        (Descendants::Implied, Account::consumer()),
    ] {
        let habits = Habits {
            deleted_descendants: descendants,
            ..Habits::CALM
        };
        let site = site(Account { habits, ..account }, "snapshot", 2);
        let drive = site.drive();
        let mut seen = 0;
        news(&site, &mut seen);
        let before = drive.tree();
        let finance = id(&drive, "/Finance");
        let listed = |event: &Received| descendants == Descendants::Listed || event.object_id == finance;
        drive.delete(&finance);
        let events = news(&site, &mut seen);
        check_replay(&before, &events, &drive.tree());
        assert_eq!(events.len(), 5, "{descendants:?}: {:?}", told(&events));
        for event in &events {
            assert_eq!(event.raw.is_some(), listed(event), "{descendants:?}: {event:?}");
            let (previous, known) = (event.previous.as_ref().unwrap(), &before[&event.object_id]);
            assert_eq!(previous["name"], known.name);
            assert_eq!(previous["parentId"], known.parent);
            assert_eq!(previous["path"].as_str(), event.path.as_deref());
        }
        let paths: Vec<_> = events
            .iter()
            .map(|event| event.path.as_deref().unwrap())
            .collect();
        let place = |path| paths.iter().position(|have| *have == path).unwrap();
        assert!(place("/Finance/2026/jan.xlsx") < place("/Finance/2026"));
        assert!(place("/Finance/2026") < place("/Finance"));
    }
}

#[test]
fn a_child_moved_out_of_a_folder_that_is_listed_as_deleted_first_is_not_lost() {
    for descendants in [Descendants::Listed, Descendants::Implied] {
        let habits = Habits {
            deleted_descendants: descendants,
            ..Habits::CALM
        };
        let site = site(
            Account {
                habits,
                ..Account::business()
            },
            "snapshot",
            1,
        );
        let drive = site.drive();
        let mut seen = 0;
        news(&site, &mut seen);
        let before = drive.tree();
        let (finance, year) = (id(&drive, "/Finance"), id(&drive, "/Finance/2026"));
        drive.move_to(&year, &drive.root_id());
        drive.delete(&finance);
        // So that the feed names the folder first, pages before what was moved out of it.
        drive.touch(&year);
        let events = news(&site, &mut seen);
        check_replay(&before, &events, &drive.tree());
        let mut told = told(&events);
        told.sort();
        assert_eq!(
            told,
            [
                "DELETED /Finance",
                "DELETED /Finance/report.xlsx",
                "UPDATED /2026 parent",
            ]
        );
    }
}

#[test]
fn a_folder_deleted_and_restored_between_two_polls_loses_nothing() {
    let site = site(Account::consumer(), "snapshot", 1);
    let drive = site.drive();
    let mut seen = 0;
    news(&site, &mut seen);
    let before = drive.tree();
    drive.delete(&id(&drive, "/Finance"));
    // The first page lists the folder as deleted, and the drive has it back before the second.
    let finance = before
        .iter()
        .find(|(_, entry)| entry.name == "Finance")
        .unwrap()
        .0
        .clone();
    let page = AtomicUsize::new(0);
    let again = drive.clone();
    site.cloud.on_request(move |_| {
        if page.fetch_add(1, Ordering::SeqCst) == 1 {
            again.restore(&finance);
        }
    });
    let mut events = news(&site, &mut seen);
    events.extend(news(&site, &mut seen));
    check_replay(&before, &events, &drive.tree());
    assert_eq!(drive.tree().len(), before.len());
}

#[test]
fn what_a_filter_keeps_back_is_counted_and_remembered() {
    let site = Site::new(Account::business());
    let drive = site.drive();
    office(&drive);
    site.create_instance(
        "Docs",
        json!({
            "event.filter.types": ["CREATED", "UPDATED"],
            "event.filter.objects": ["file"],
            "event.filter.paths": ["/Finance/**"],
        }),
    );
    site.once().code(0);
    let wanted = drive.create_file(&id(&drive, "/Finance"), "wanted.docx", 1);
    let elsewhere = drive.create_file(&drive.root_id(), "elsewhere.docx", 1);
    drive.create_folder(&id(&drive, "/Finance"), "Folder");
    drive.delete(&id(&drive, "/Finance/2026/jan.xlsx"));
    let polls = site.poll("Docs", &[]).code(0).json();
    assert_eq!(
        (&polls["polls"][0]["events"], &polls["polls"][0]["filtered"]),
        (&json!(1), &json!(3))
    );
    let mut seen = 0;
    assert_eq!(told(&news(&site, &mut seen)), ["CREATED /Finance/wanted.docx"]);
    // Without the filter, what was kept back is known: nothing is told twice, and nothing for the first time.
    for key in ["types", "objects", "paths"] {
        let set = format!("event.filter.{key}=");
        site.cli(&["instance", "update", "Docs", "--set", &set]).code(0);
    }
    assert_eq!(told(&news(&site, &mut seen)), [""; 0]);
    drive.edit(&elsewhere);
    drive.edit(&wanted);
    assert_eq!(
        told(&news(&site, &mut seen)),
        [
            "UPDATED /elsewhere.docx content",
            "UPDATED /Finance/wanted.docx content"
        ]
    );
}

#[test]
fn what_leaves_a_folder_while_the_set_is_read_that_says_the_folder_is_gone_is_not_lost() {
    for baseline in ["snapshot", "emit"] {
        let habits = Habits {
            deleted_descendants: Descendants::Implied,
            ..Habits::CALM
        };
        let site = site(
            Account {
                habits,
                ..Account::business()
            },
            baseline,
            1,
        );
        let drive = site.drive();
        let mut seen = 0;
        news(&site, &mut seen);
        let before = drive.tree();
        let (finance, year) = (id(&drive, "/Finance"), id(&drive, "/Finance/2026"));
        drive.edit(&id(&drive, "/notes.txt"));
        drive.rename(&finance, "Money");
        // Between the pages of a set that shows the one and the other.
        let (page, office) = (AtomicUsize::new(0), drive.clone());
        site.cloud.on_request(move |_| {
            if page.fetch_add(1, Ordering::SeqCst) == 1 {
                office.move_to(&year, &office.root_id());
                office.delete(&finance);
            }
        });
        let mut events = news(&site, &mut seen);
        events.extend(news(&site, &mut seen));
        check_replay(&before, &events, &drive.tree());
        let mut told = told(&events);
        told.sort();
        assert_eq!(
            told,
            [
                "DELETED /Finance",
                "DELETED /Finance/report.xlsx",
                "UPDATED /2026 parent",
                "UPDATED /notes.txt content",
            ],
            "{baseline}"
        );
    }
}

#[test]
fn a_deletion_is_told_though_each_set_lists_another_folder_as_deleted() {
    let site = site(Account::business(), "snapshot", 3);
    let drive = site.drive();
    let mut seen = 0;
    news(&site, &mut seen);
    let spare: Vec<String> = (0..40)
        .map(|number| {
            let folder = drive.create_folder(&drive.root_id(), &format!("Spare {number}"));
            drive.create_file(&folder, "kept.txt", 1);
            folder
        })
        .collect();
    news(&site, &mut seen);
    let (next, office) = (AtomicUsize::new(0), drive.clone());
    site.cloud.on_request(move |_| {
        if let Some(folder) = spare.get(next.fetch_add(1, Ordering::SeqCst)) {
            office.delete(folder);
        }
    });
    drive.delete(&id(&drive, "/notes.txt"));
    let told = told(&news(&site, &mut seen));
    assert!(told.contains(&"DELETED /notes.txt".to_owned()), "{told:?}");
}

#[test]
fn a_filter_of_paths_on_a_folder_says_that_it_lets_nothing_through() {
    let site = Site::new(Account::consumer());
    let drive = site.drive();
    office(&drive);
    let url = format!("/drives/{}/items/{}/delta", drive.id(), id(&drive, "/Finance"));
    let document = site.document(
        "Docs",
        json!({"event.filter.paths": ["/Finance/**"], "event.poller.configuration": {"events": {"url": url}}}),
    );
    let says = "`event.filter.paths` lets nothing through";
    site.try_create(&document).code(0).says(&[says]);
    drive.edit(&id(&drive, "/Finance/report.xlsx"));
    let polls = site.poll("Docs", &[]).code(0).json();
    let note = polls["polls"][0]["note"].as_str().unwrap_or_default();
    assert!(note.contains(says), "{polls:#}");
}
