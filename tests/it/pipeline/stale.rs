//! What becomes of tokens that have gone stale, and of polls that are told to read everything again.

use std::sync::atomic::{AtomicUsize, Ordering};

use deltapost::sim::onedrive::{Account, Drive, Endpoint, Fault, Gone};
use serde_json::json;

use crate::pipeline::office::{id, news, site, told};
use crate::support::ledger::{check_deliveries, check_replay};

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
fn a_changed_url_learns_anew_also_in_the_middle_of_a_sweep() {
    let site = site(Account::business(), "snapshot", 2);
    let drive = site.drive();
    let mut seen = 0;
    news(&site, &mut seen);
    let finance = id(&drive, "/Finance");
    drive.delete(&finance);
    let agent = site.spawn(&["once"], &[("DELTAPOST_KILL_AT", "marked")]);
    assert_eq!(agent.wait(), None, "it dies with the folder marked as gone");
    drive.restore(&finance);
    let url = format!("/drives/{}/root/delta", drive.id());
    let settings = json!({"events": {"url": url, "pageSize": 2}});
    let set = format!("event.poller.configuration={settings}");
    site.cli(&["instance", "update", "Docs", "--set", &set])
        .code(0)
        .says(&["learns what exists there anew"]);
    assert_eq!(told(&news(&site, &mut seen)), [""; 0]);
    let known = drive.tree().len() + 1;
    assert_eq!(site.cell("SELECT count(*) FROM item"), known.to_string());
    drive.edit(&id(&drive, "/Finance/report.xlsx"));
    assert_eq!(
        told(&news(&site, &mut seen)),
        ["UPDATED /Finance/report.xlsx content"]
    );
}

#[test]
fn a_baseline_that_becomes_latest_in_the_middle_of_a_comparison_sweeps_nothing() {
    let site = site(Account::business(), "snapshot", 2);
    let drive = site.drive();
    let mut seen = 0;
    news(&site, &mut seen);
    drive.expire_delta_tokens(Gone {
        location: false,
        ..Gone::default()
    });
    site.cloud.fail_after(Endpoint::Delta, 2, Fault::Html);
    site.once().code(1);
    assert_eq!(site.cell("SELECT phase FROM resource"), "enumerating");
    let settings = json!({"events": {"url": "/hubs/documents/events", "pageSize": 2, "baseline": "latest"}});
    let set = format!("event.poller.configuration={settings}");
    site.cli(&["instance", "update", "Docs", "--set", &set]).code(0);
    drive.expire_delta_tokens(Gone::default());
    assert_eq!(told(&news(&site, &mut seen)), [""; 0]);
    drive.rename(&id(&drive, "/notes.txt"), "Notes.txt");
    drive.delete(&id(&drive, "/Finance"));
    let mut told = told(&news(&site, &mut seen));
    told.sort();
    assert_eq!(
        told,
        [
            "DELETED /Finance",
            "DELETED /Finance/2026",
            "DELETED /Finance/2026/feb.xlsx",
            "DELETED /Finance/2026/jan.xlsx",
            "DELETED /Finance/report.xlsx",
            "UPDATED /Notes.txt name",
        ]
    );
}

#[test]
fn a_first_reading_that_becomes_latest_without_a_cursor_sweeps_nothing() {
    for baseline in ["emit", "snapshot"] {
        let site = site(Account::business(), baseline, 2);
        let drive = site.drive();
        site.cloud.fail_after(Endpoint::Delta, 2, Fault::Html);
        site.once().code(1);
        assert_eq!(site.cell("SELECT phase FROM resource"), "baseline");
        assert_ne!(site.cell("SELECT count(*) FROM item"), "0");
        site.cloud.fail_next(Endpoint::Delta, Fault::status(500));
        let settings =
            json!({"events": {"url": "/hubs/documents/events", "pageSize": 2, "baseline": "latest"}});
        let set = format!("event.poller.configuration={settings}");
        site.cli(&["instance", "update", "Docs", "--set", &set]).code(0);
        let none = "SELECT anchor IS NULL AND cursor IS NULL FROM resource";
        assert_eq!(site.cell(none), "1");
        site.once().code(0);
        assert_eq!(site.cell("SELECT phase FROM resource"), "following");
        let deleted = "SELECT count(*) FROM event WHERE event_type = 'DELETED'";
        assert_eq!(site.cell(deleted), "0", "{baseline}");
        drive.create_file(&drive.root_id(), "new.txt", 1);
        site.once().code(0);
        let last = "SELECT count(*) FROM event WHERE event_type = 'CREATED' AND path = '/new.txt'";
        assert_eq!(site.cell(last), "1");
    }
}

#[test]
fn what_leaves_a_folder_that_vanishes_during_a_silent_reading_is_not_new() {
    for page in 2..=7 {
        let site = site(Account::business(), "snapshot", 1);
        let drive = site.drive();
        // The reading shows what lies in it before the folder, which is the youngest.
        let late = drive.create_folder(&drive.root_id(), "Late");
        let jan = id(&drive, "/Finance/2026/jan.xlsx");
        drive.move_to(&jan, &late);
        let mut seen = 0;
        news(&site, &mut seen);
        let (office, count) = (drive.clone(), AtomicUsize::new(0));
        site.cloud.on_request(move |_| {
            if count.fetch_add(1, Ordering::SeqCst) + 1 == page {
                office.move_to(&jan, &office.root_id());
                office.delete(&late);
            }
        });
        site.poll("Docs", &["--rebaseline"]).code(0);
        site.cloud.on_request(|_| {});
        let told = told(&news(&site, &mut seen));
        assert!(
            told.iter().all(|line| !line.starts_with("CREATED")),
            "page {page}: {told:?}"
        );
        drive.edit(&id(&drive, "/jan.xlsx"));
        let told = self::told(&news(&site, &mut seen));
        assert_eq!(told, ["UPDATED /jan.xlsx content"], "page {page}");
    }
}
