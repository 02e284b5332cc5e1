//! The agent killed, at every point that it has a name for and at random ones: no event is lost, none is invented, none
//! is written twice, and a repetition has the same id and the same bytes. The points exist in debug builds only.

#![cfg(debug_assertions)]
mod scene;

use std::time::Duration;

use deltapost::clock::{Clock, SystemClock};
use deltapost::httpd::Reply;
use deltapost::sim::onedrive::{Account, Drive, Endpoint, Fault, Gone};
use serde_json::json;

use crate::support::Site;
use crate::support::storm::{Dice, Seed, Storm};
use scene::{Scene, Standing, within};

/// `count` files in a new folder at the top.
fn fill(drive: &Drive, count: usize) -> String {
    let folder = drive.create_folder(&drive.root_id(), &format!("Archive of {count}"));
    for n in 0..count {
        drive.create_file(&folder, &format!("{n}.pdf"), 100);
    }
    folder
}

/// An agent that follows a drive with a folder of `files` files, all of which are announced.
fn following(files: usize) -> (Scene, String) {
    let scene = Scene::new(Account::business(), 5);
    let folder = fill(&scene.site.drive(), files);
    scene.site.once().code(0);
    assert_eq!(scene.standing().phase, "following");
    (scene, folder)
}

#[track_caller]
fn check_end(scene: &Scene) {
    scene.settle();
    scene.check(&[scene.site.drive()]);
}

#[test]
fn a_death_between_fetch_and_commit_leaves_nothing_behind() {
    let (mut scene, folder) = following(3);
    scene.site.drive().create_file(&folder, "late.pdf", 1);
    let before = scene.standing();
    scene.die_at("fetched", &["once"]);
    assert_eq!(scene.standing(), before);
    check_end(&scene);
}

#[test]
fn an_agent_that_dies_after_each_page_reads_each_page_once() {
    let mut scene = Scene::new(Account::business(), 5);
    fill(&scene.site.drive(), 38);
    // The root, the folder and its files: eight pages, and in another process each.
    for page in 1..=8 {
        assert!(scene.dies_at("committed"), "there is no page {page}");
        let Standing {
            cursor_seq, items, ..
        } = scene.standing();
        assert_eq!((cursor_seq, items), (page, page * 5));
        assert_eq!(scene.site.cloud.count(Endpoint::Delta), page);
    }
    check_end(&scene);
}

#[test]
fn a_sweep_that_dies_in_every_transaction_announces_each_deletion_once() {
    let (mut scene, folder) = following(620);
    scene.site.drive().delete(&folder);
    let known = scene.standing().items;
    scene.die_at("marked", &["once"]);
    let marked = scene.standing();
    assert_eq!(
        (marked.phase.as_str(), marked.items, marked.doomed),
        ("sweeping", known, 620),
        "all but the folder, which waits for the next set"
    );
    // 250 a transaction.
    for left in [370, 120, 0] {
        scene.die_at("swept", &["once"]);
        let swept = scene.standing();
        assert_eq!((swept.items, swept.doomed), (2 + left, left));
        assert_eq!(swept.phase == "following", left == 0);
    }
    check_end(&scene);
    let deleted = scene
        .site
        .cell("SELECT count(*) FROM event WHERE event_type = 'DELETED'");
    assert_eq!(deleted, "621");
}

#[test]
fn a_death_before_an_answer_is_recorded_sends_the_same_again() {
    let (mut scene, folder) = following(3);
    for n in 0..20 {
        scene.site.drive().create_file(&folder, &format!("late {n}"), 1);
    }
    let before = (scene.standing(), scene.site.receiver.counts());
    scene.die_at("sent:3", &["once"]);
    let after = (scene.standing(), scene.site.receiver.counts());
    assert_eq!(after.1.requests, before.1.requests + 3);
    assert_eq!(
        (after.0.delivered, after.0.attempts),
        (before.0.delivered, before.0.attempts)
    );
    check_end(&scene);
    let counts = scene.site.receiver.counts();
    assert_eq!((counts.duplicates, counts.changed), (3, 0));
}

#[test]
fn a_death_after_an_answer_is_recorded_sends_nothing_again() {
    let (mut scene, folder) = following(3);
    scene.site.drive().create_file(&folder, "late.pdf", 1);
    scene.die_at("recorded", &["once"]);
    check_end(&scene);
    assert_eq!(scene.site.receiver.counts().duplicates, 0);
}

#[test]
fn a_death_in_a_renewal_keeps_the_account() {
    for (point, renewals) in [("renewed", 2), ("grant kept", 1)] {
        let (mut scene, folder) = following(3);
        scene.site.drive().create_file(&folder, "late.pdf", 1);
        scene.site.cloud.revoke_access_tokens();
        let before = (scene.standing(), scene.site.cloud.count(Endpoint::Token));
        scene.die_at(point, &["once"]);
        assert_eq!(scene.standing(), before.0);
        check_end(&scene);
        assert_eq!(
            scene.site.cloud.count(Endpoint::Token),
            before.1 + renewals,
            "{point}"
        );
    }
}

/// What the agents of the random test work on: two drives in bad weather.
struct Weather {
    drives: Vec<(Drive, Storm)>,
    dice: Dice,
    /// Large folders, to be deleted at some time.
    archives: Vec<(usize, String)>,
}

impl Weather {
    fn over(drives: &[Drive], seed: u64) -> Weather {
        let storms = (seed..).map(Storm::new);
        Weather {
            drives: drives.iter().cloned().zip(storms).collect(),
            dice: Dice::new(seed),
            archives: Vec::new(),
        }
    }

    fn step(&mut self) {
        for (drive, storm) in &mut self.drives {
            storm.step(drive);
        }
    }

    /// What happens now and then between two agents.
    fn turn(&mut self, scene: &Scene, number: usize) {
        let at = self.dice.below(self.drives.len());
        let drive = &self.drives[at].0;
        if number % 14 == 3 {
            self.archives.push((at, fill(drive, 620)));
        }
        if number % 14 == 10
            && let Some((at, archive)) = self.archives.pop()
            && self.drives[at].0.tree().contains_key(&archive)
        {
            self.drives[at].0.delete(&archive);
        }
        if self.dice.one_in(9) {
            drive.expire_delta_tokens(Gone::default());
        }
        if self.dice.one_in(6) {
            scene.site.cloud.revoke_access_tokens();
        }
    }
}

/// Lets an agent work until something has happened that `dice` chooses, while the drives change, and kills it.
/// Returns whether it was still there to be killed.
fn kill_at_random(scene: &mut Scene, weather: &mut Weather, args: &[&str]) -> bool {
    scene.ask_for_nothing();
    scene.ask_for_polls(if weather.dice.one_in(12) {
        "resync"
    } else {
        "changes"
    });
    let (pages, posts) = (
        scene.site.cloud.count(Endpoint::Delta),
        scene.site.receiver.counts().requests,
    );
    let mut agent = scene.site.spawn(args, &[]);
    let after = 1 + weather.dice.below(14) as u64;
    let by_pages = weather.dice.one_in(2);
    let mut looks = 0;
    let came = within(Duration::from_secs(20), || {
        looks += 1;
        if looks % 3 == 0 {
            weather.step();
        }
        if looks % 100 == 0 {
            scene.ask_for_polls("changes");
        }
        let so_far = if by_pages {
            scene.site.cloud.count(Endpoint::Delta) - pages
        } else {
            scene.site.receiver.counts().requests - posts
        };
        so_far >= after || !agent.runs()
    });
    assert!(came, "the agent does nothing: {}", agent.log());
    SystemClock.sleep(Duration::from_micros(weather.dice.below(6_000) as u64));
    let there = agent.runs();
    if there {
        scene.kill(agent);
    } else {
        assert_eq!(agent.wait(), Some(0));
    }
    there
}

#[test]
fn a_killed_agent_neither_loses_nor_invents_events() {
    const POINTS: [&str; 8] = [
        "fetched",
        "committed",
        "marked",
        "swept",
        "sent",
        "recorded",
        "renewed",
        "grant kept",
    ];
    let seed = Seed(20_261_124);
    let mut scene = Scene::new(Account::business().awkward(seed.0), 12);
    let second = scene.join(Account::consumer().awkward(seed.0 + 1), "second", 7);
    let drives = vec![scene.site.drive(), second];
    let mut weather = Weather::over(&drives, seed.0);
    for _ in 0..60 {
        weather.step();
    }
    let mut killed = 0;
    for number in 1.. {
        if killed == 50 {
            break;
        }
        weather.turn(&scene, number);
        killed += usize::from(kill_at_random(&mut scene, &mut weather, &["run"]));
        if number % 4 == 0 {
            kill_at_random(&mut scene, &mut weather, &["once"]);
        }
        if number % 3 == 0 {
            let point = POINTS[weather.dice.below(POINTS.len())];
            scene.dies_at(&format!("{point}:{}", 1 + weather.dice.below(9)));
        }
    }
    scene.settle();
    scene.check(&drives);
    let counts = scene.site.receiver.counts();
    assert!(
        counts.duplicates > 0,
        "no death left a delivery in doubt: {counts:?}"
    );
}

/// A page of more objects than one transaction takes, in which `dated` objects are messages.
fn large_page(base: &str, dated: bool) -> Vec<u8> {
    let now = SystemClock.now();
    let dates = format!(",\"createdDateTime\":\"{now:.3}\",\"lastModifiedDateTime\":\"{now:.3}\"");
    let dates = if dated { &dates } else { "" };
    let objects: Vec<String> = (0..2_500).map(|n| format!("{{\"id\":\"{n}\"{dates}}}")).collect();
    let link = if dated {
        String::new()
    } else {
        format!(",\"@odata.deltaLink\":\"{base}/x\"")
    };
    format!("{{\"value\":[{}]{link}}}", objects.join(",")).into_bytes()
}

#[track_caller]
fn check_large_page(settings: serde_json::Value) {
    let dated = settings["url"] == "/me/messages";
    let site = Site::configured(Account::business(), "[delivery]\nbatch = 100\n");
    let route = |page: Vec<u8>| {
        site.cloud
            .route("/v1.0/me/messages", move |_| Reply::json(200, page.clone()))
    };
    route(b"{\"value\":[]}".to_vec());
    site.create_instance(
        "first",
        json!({"event.poller.configuration": {"events": settings}}),
    );
    site.poll("first", &[]).code(0);
    let page = large_page(&site.cloud.graph_base(), dated);
    route(page.clone());
    site.cloud.fail_always(Endpoint::Delta, Fault::Body(page));
    for piece in 1..=2 {
        let agent = site.spawn(
            &["poll", "first"],
            &[("DELTAPOST_KILL_AT", &format!("committed:{piece}"))],
        );
        assert_eq!(agent.wait(), None, "it should have died");
        assert_eq!(
            site.cell("SELECT count(*) FROM event"),
            (1_000 * piece).to_string(),
            "{settings}"
        );
    }
    site.poll("first", &[]).code(0);
    let told = "SELECT count(*) || ' ' || count(DISTINCT object_id) || ' ' || group_concat(DISTINCT event_type) FROM event";
    assert_eq!(site.cell(told), "2500 2500 CREATED", "{settings}");
}

#[test]
fn a_page_that_dies_between_its_pieces_announces_each_object_once() {
    for baseline in ["emit", "latest"] {
        check_large_page(json!({"url": "/hubs/documents/events", "baseline": baseline}));
    }
    let format = "yyyy-MM-dd'T'HH:mm:ss.SSS'Z'";
    check_large_page(json!({
        "url": "/me/messages", "baseline": "emit", "mode": "window",
        "datesConfiguration": {"updatedDateField": "lastModifiedDateTime", "updatedDateFormat": format,
                               "createdDateField": "createdDateTime", "createdDateFormat": format}}));
}
