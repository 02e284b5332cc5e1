//! What becomes of a feed: baselines, deletions, stale tokens, polls that read everything again, filters.

use deltapost::clock::{Clock, SystemClock};
use deltapost::core::model::EventType::{Created, Deleted, Updated};
use deltapost::sim::onedrive::{Account, Descendants, Drive, Endpoint, Fault, Gone, Habits};
use deltapost::sim::receiver::Received;
use serde_json::json;

use crate::support::Site;
use crate::support::ledger::{check_deliveries, check_replay};

/// A box with an instance `Docs` for the account's drive, not polled yet, with this `baseline` and page size.
fn site(account: Account, baseline: &str, page_size: usize) -> Site {
    let site = Site::new(account);
    site.create_instance(
        "Docs",
        json!({"event.poller.configuration": {"events": {
            "url": "/hubs/documents/events", "baseline": baseline, "pageSize": page_size}}}),
    );
    site
}

/// Polls and delivers, and returns the events that are new since the last call, each as `TYPE name-of-the-object`.
#[track_caller]
fn news(site: &Site, seen: &mut usize) -> Vec<Received> {
    site.once().code(0);
    check_deliveries(site);
    let mut events = site.receiver.events();
    let news = events.split_off(*seen);
    *seen += news.len();
    news
}

/// The type and path of each event.
fn told(events: &[Received]) -> Vec<String> {
    let line = |event: &Received| {
        let path = event.path.as_deref().unwrap_or("null");
        format!("{} {path} {}", event.event_type, event.changes.join("+"))
            .trim_end()
            .to_owned()
    };
    events.iter().map(line).collect()
}

/// `/Finance` with `report.xlsx`, `/Finance/2026` with `jan.xlsx` and `feb.xlsx`, `/notes.txt`.
fn office(drive: &Drive) {
    let root = drive.root_id();
    let finance = drive.create_folder(&root, "Finance");
    drive.create_file(&finance, "report.xlsx", 100);
    let year = drive.create_folder(&finance, "2026");
    drive.create_file(&year, "jan.xlsx", 10);
    drive.create_file(&year, "feb.xlsx", 20);
    drive.create_file(&root, "notes.txt", 5);
}

fn id(drive: &Drive, path: &str) -> String {
    drive.find(path).unwrap()
}

#[test]
fn a_snapshot_is_silent_and_what_comes_after_it_is_told() {
    let site = site(Account::business(), "snapshot", 3);
    let drive = site.drive();
    office(&drive);
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
    office(&drive);
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
    office(&drive);
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

#[test]
fn folders_are_left_out_of_changes_and_asked_for_in_an_enumeration() {
    let site = site(Account::business(), "snapshot", 2);
    let drive = site.drive();
    office(&drive);
    site.once().code(0);
    let enumerated = site.delta_requests();
    assert_eq!(enumerated.len(), 4);
    assert!(enumerated.iter().all(|request| !request.exclude_parents));
    drive.edit(&id(&drive, "/Finance/2026/jan.xlsx"));
    site.once().code(0);
    let changes = site.delta_requests().split_off(4);
    assert!(
        !changes.is_empty() && changes.iter().all(|request| request.exclude_parents),
        "{changes:?}"
    );
    drive.expire_delta_tokens(Gone::default());
    site.once().code(0);
    let stale = site.delta_requests().split_off(4 + changes.len());
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
        office(&drive);
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
        office(&drive);
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
    office(&drive);
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
    let page = std::sync::atomic::AtomicUsize::new(0);
    let again = drive.clone();
    site.cloud.on_request(move |_| {
        if page.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 1 {
            again.restore(&finance);
        }
    });
    let mut events = news(&site, &mut seen);
    events.extend(news(&site, &mut seen));
    check_replay(&before, &events, &drive.tree());
    assert_eq!(drive.tree().len(), before.len());
}

/// What happens while the token grows stale, and what exactly must be told of it.
fn change_everything(drive: &Drive) -> [&'static str; 7] {
    drive.create_file(&id(drive, "/Finance"), "missed.docx", 1);
    drive.edit(&id(drive, "/Finance/report.xlsx"));
    drive.rename(&id(drive, "/notes.txt"), "Notes.txt");
    drive.move_to(&id(drive, "/Finance/2026/feb.xlsx"), &drive.root_id());
    drive.delete(&id(drive, "/Finance/2026"));
    let gone = drive.create_file(&drive.root_id(), "never seen.tmp", 1);
    drive.delete(&gone);
    drive.create_folder(&drive.root_id(), "Projects");
    [
        "CREATED /Finance/missed.docx",
        "CREATED /Projects",
        "DELETED /Finance/2026",
        "DELETED /Finance/2026/jan.xlsx",
        "UPDATED /Finance/report.xlsx content",
        "UPDATED /Notes.txt name",
        "UPDATED /feb.xlsx parent",
    ]
}

#[test]
fn a_stale_token_gives_exactly_the_missed_changes() {
    for location in [true, false] {
        for code in [
            "resyncChangesApplyDifferences",
            "resyncApplyDifferences",
            "resyncChangesUploadDifferences",
        ] {
            let site = site(Account::business(), "snapshot", 2);
            let drive = site.drive();
            office(&drive);
            let mut seen = 0;
            news(&site, &mut seen);
            let before = drive.tree();
            let expect = change_everything(&drive);
            drive.expire_delta_tokens(Gone { code, location });
            let events = news(&site, &mut seen);
            check_replay(&before, &events, &drive.tree());
            let mut told = told(&events);
            told.sort();
            assert_eq!(told, expect, "{code}, location: {location}");
            assert_eq!(self::told(&news(&site, &mut seen)), [""; 0], "told once");
        }
    }
}

#[test]
fn a_token_that_goes_stale_in_the_middle_costs_nothing() {
    // At which request, and of which set: the baseline has 4 pages, the changes after it 4 or more.
    for baseline in ["emit", "snapshot"] {
        for request in [1, 3, 4, 5, 6] {
            let site = site(Account::business(), baseline, 2);
            let drive = site.drive();
            office(&drive);
            let before = drive.tree();
            site.cloud
                .fail_after(Endpoint::Delta, request, Fault::Gone(Gone::default()));
            site.once().code(0);
            let expect = change_everything(&drive);
            site.once().code(0);
            site.once().code(0);
            check_deliveries(&site);
            let events = site.receiver.events();
            let start = if baseline == "emit" {
                Default::default()
            } else {
                before
            };
            check_replay(&start, &events, &drive.tree());
            let expect = expect.len() + if baseline == "emit" { 6 } else { 0 };
            assert_eq!(
                events.len(),
                expect,
                "{baseline}, request {request}: {:?}",
                told(&events)
            );
        }
    }
}

#[test]
fn a_resync_finds_what_the_feed_never_said() {
    let site = site(Account::business(), "snapshot", 2);
    let drive = site.drive();
    office(&drive);
    let mut seen = 0;
    news(&site, &mut seen);
    let resync = |expect: u64| {
        let polls = site.poll("Docs", &["--resync"]).code(0).json();
        assert_eq!(polls["polls"][0]["events"], expect, "{polls:#}");
    };
    resync(0);
    // As if the feed had kept back a creation, an edit and a deletion.
    let (report, jan) = (
        id(&drive, "/Finance/report.xlsx"),
        id(&drive, "/Finance/2026/jan.xlsx"),
    );
    site.write_sql(&format!(
        "UPDATE item SET name = 'old name' WHERE object_id = '{report}';
         DELETE FROM item WHERE object_id = '{jan}';
         INSERT INTO item (resource_id, object_id, name, parent_id, kind, content, metadata, generation)
         SELECT resource_id, 'GONE', 'gone.txt', parent_id, kind, content, metadata, generation
           FROM item WHERE object_id = '{report}';"
    ));
    resync(3);
    let mut told = told(&news(&site, &mut seen));
    told.sort();
    assert_eq!(
        told,
        [
            "CREATED /Finance/2026/jan.xlsx",
            "DELETED /Finance/gone.txt",
            "UPDATED /Finance/report.xlsx name"
        ]
    );
    resync(0);
}

#[test]
fn a_rebaseline_learns_anew_in_silence_and_forgets_nothing_that_exists() {
    for baseline in ["emit", "snapshot"] {
        let site = site(Account::business(), baseline, 2);
        let drive = site.drive();
        office(&drive);
        drive.create_file(&drive.root_id(), "untouched.txt", 1);
        let mut seen = 0;
        news(&site, &mut seen);
        change_everything(&drive);
        let polls = site.poll("Docs", &["--rebaseline"]).code(0).json();
        assert_eq!(polls["polls"][0]["events"], 0, "{polls:#}");
        assert_eq!(told(&news(&site, &mut seen)), [""; 0]);
        // The root is known, too.
        let known = drive.tree().len() + 1;
        assert_eq!(
            site.cell("SELECT count(*) FROM item"),
            known.to_string(),
            "{baseline}"
        );
        drive.edit(&id(&drive, "/untouched.txt"));
        drive.edit(&id(&drive, "/Finance/missed.docx"));
        assert_eq!(
            told(&news(&site, &mut seen)),
            [
                "UPDATED /untouched.txt content",
                "UPDATED /Finance/missed.docx content"
            ],
            "{baseline}"
        );
    }
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
