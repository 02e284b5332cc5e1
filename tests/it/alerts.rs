//! Alerts, through the binary: each change of state told once, by POST or to a command, over restarts, slow receivers and
//! full disks, and never at the cost of polling and delivery.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use deltapost::sim::onedrive::{Account, Endpoint, Fault};
use deltapost::sim::receiver::{Answer, Receiver};
use serde_json::{Value, json};

use crate::support::ledger::check_deliveries;
use crate::support::skipped::without_root;
use crate::support::{PATIENCE, Site, eventually};

/// Whoever is told.
struct Pager(Receiver);

impl Pager {
    fn start() -> Pager {
        let receiver = Receiver::start(None).unwrap();
        receiver.answer_always(Answer::Status(204));
        Pager(receiver)
    }

    /// `[alerts]`, and retries that come soon; a failing callback is disabled at once.
    fn sections(&self) -> String {
        format!(
            "[delivery]\nretry = {:?}\non_failure = \"queue\"\n[alerts]\nurl = \"{}?token=pager-0123\"\n",
            ["1s"; 32],
            self.0.url()
        )
    }

    /// What was told of one kind of alert: state and subject, in order, repetitions too.
    fn told(&self, alert: &str) -> Vec<(String, String)> {
        let bodies = self.bodies();
        let of_kind = bodies.iter().filter(|body| body["alert"] == alert);
        of_kind
            .map(|body| (text(&body["state"]), text(&body["subject"])))
            .collect()
    }

    fn bodies(&self) -> Vec<Value> {
        let read = |body: &[u8]| serde_json::from_slice(body).unwrap();
        self.0.deliveries().iter().map(|one| read(&one.body)).collect()
    }

    #[track_caller]
    fn wait_for(&self, alert: &str, expect: &[(&str, &str)]) {
        let expect: Vec<_> = expect
            .iter()
            .map(|(state, subject)| ((*state).to_owned(), (*subject).to_owned()))
            .collect();
        eventually(&format!("{alert} {expect:?}"), || self.told(alert) == expect);
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

fn create_file(site: &Site, name: &str) {
    let drive = site.drive();
    drive.create_file(&drive.root_id(), name, 1);
}

/// From now on the account has to sign in again.
fn revoke(site: &Site) {
    site.cloud.revoke_grants();
    site.cloud.revoke_access_tokens();
}

/// Nothing is left to be told.
fn settled(site: &Site) -> bool {
    site.cell("SELECT count(*) FROM alert WHERE next_attempt_at IS NOT NULL") == "0"
}

#[test]
fn a_disabled_endpoint_is_told_once_over_restarts_and_cleared_once() {
    let pager = Pager::start();
    let site = Site::configured(Account::business(), &pager.sections());
    let callback = format!("{}?key=query-0123", site.receiver.url());
    site.create_instance("Docs", json!({"event.notification.callback.url": callback}));
    site.once().code(0);
    site.receiver.answer_always(Answer::Full {
        status: 500,
        headers: vec![],
        body: "answer-0123".to_owned(),
    });
    create_file(&site, "one");
    let raised = ("raised", site.receiver.url());
    let raised = (raised.0, raised.1.as_str());
    let mut log = String::new();
    for _ in 0..2 {
        let agent = site.spawn_run();
        site.poll("Docs", &[]).code(0);
        pager.wait_for("endpoint_disabled", &[raised]);
        eventually("it is told", || settled(&site));
        log += &agent.log();
        assert_eq!(agent.stop(), Some(0));
    }
    site.receiver.answer_always(Answer::Status(200));
    site.write_sql("UPDATE endpoint SET next_probe_at = state_since");
    let agent = site.spawn_run();
    pager.wait_for("endpoint_disabled", &[raised, ("cleared", raised.1)]);
    eventually("it is told", || settled(&site));
    log += &agent.log();
    assert_eq!(agent.stop(), Some(0));
    site.once().code(0);
    assert_eq!(pager.told("endpoint_disabled").len(), 2);
    check_deliveries_after_failures(&site);

    let alerts = format!("{:?} {:?}", pager.bodies(), site.sql("SELECT * FROM alert"));
    for secret in ["query-0123", "answer-0123", "pager-0123"] {
        assert!(!alerts.contains(secret), "{secret} in {alerts}");
    }
    assert!(
        !log.contains("pager-0123") && !log.contains("query-0123"),
        "{log}"
    );
    let body = &pager.bodies()[0];
    let keys: Vec<_> = body.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["alert", "state", "subject", "message", "since", "host"]);
    assert_eq!(
        text(&body["since"]),
        site.cell("SELECT since FROM alert ORDER BY id LIMIT 1")
    );
    let delivery = &pager.0.deliveries()[0];
    assert_eq!(delivery.header("content-type"), Some("application/json"));
    assert_eq!(delivery.header("webhook-signature"), None);
}

#[track_caller]
fn check_deliveries_after_failures(site: &Site) {
    assert_eq!(
        site.cell("SELECT count(*) FROM outbox WHERE state <> 'delivered'"),
        "0"
    );
    assert_eq!(site.receiver.counts().changed, 0);
}

#[test]
fn a_pager_that_fails_is_told_again_and_each_alert_is_accepted_once_and_in_order() {
    let pager = Pager::start();
    let site = Site::configured(Account::business(), &pager.sections());
    site.create_instance("Docs", json!({}));
    site.once().code(0);
    pager.0.answer_next(2, Answer::Status(503));
    revoke(&site);
    let agent = site.spawn_run();
    site.poll("Docs", &[]).code(1);
    pager.wait_for("login_required", &[("raised", "Docs"); 3]);
    eventually("it is told", || settled(&site));
    assert_eq!(
        site.sql("SELECT state, attempts, posted FROM alert"),
        [["raised", "3", "1"]]
    );

    // It cannot be told of while it hangs, and nobody else waits with it.
    pager.0.answer_always(Answer::Hang);
    site.cli_fed(
        &["instance", "apply", "-"],
        &site.document("Docs", json!({})).to_string(),
    )
    .code(0);
    pager.wait_for(
        "login_required",
        &[
            ("raised", "Docs"),
            ("raised", "Docs"),
            ("raised", "Docs"),
            ("cleared", "Docs"),
        ],
    );
    create_file(&site, "one");
    site.poll("Docs", &[]).code(0);
    site.receiver.wait_for(1, PATIENCE).unwrap();
    agent.kill();
    // The hanging one was not accepted: it goes again.
    pager.0.answer_always(Answer::Status(204));
    let agent = site.spawn_run();
    eventually("it is told", || settled(&site));
    assert_eq!(pager.told("login_required").len(), 5);
    assert_eq!(agent.stop(), Some(0));
}

#[test]
fn a_resource_that_has_failed_for_an_hour_is_told_until_it_succeeds() {
    let pager = Pager::start();
    let site = Site::configured(Account::business(), &pager.sections());
    site.create_instance("Docs", json!({}));
    site.once().code(0);
    site.cloud.fail_always(Endpoint::Delta, Fault::status(404));
    for _ in 0..2 {
        site.once().code(1);
    }
    assert_eq!(pager.told("resource_failing"), [], "not at the first failure");
    site.write_sql(
        "UPDATE poll SET started_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-61 minutes')
          WHERE id = (SELECT min(id) FROM poll WHERE outcome = 'failed')",
    );
    for _ in 0..2 {
        site.once().code(1);
    }
    let raised = ("raised", "Docs / events");
    pager.wait_for("resource_failing", &[raised]);
    assert!(
        text(&pager.bodies()[0]["message"]).contains("404"),
        "{:?}",
        pager.bodies()
    );
    site.cloud.heal(Endpoint::Delta);
    for _ in 0..2 {
        site.once().code(0);
    }
    pager.wait_for("resource_failing", &[raised, ("cleared", "Docs / events")]);
}

/// A box whose instance has to sign in, and whose alerts go to `command`.
fn site_with(command: &str) -> Site {
    let site = Site::configured(
        Account::business(),
        &format!("[delivery]\nretry = [\"1s\"]\n[alerts]\ncommand = '''{command}'''\n"),
    );
    site.create_instance("Docs", json!({}));
    site.once().code(0);
    revoke(&site);
    site
}

#[test]
fn a_command_gets_the_alert_on_its_standard_input_and_runs_again_until_it_ends_well() {
    let directory = tempfile::tempdir().unwrap();
    let told = directory.path().join("told");
    let site = site_with(&format!(
        "cat >> {told:?}; echo >> {told:?}; test $(wc -l < {told:?}) -ge 2"
    ));
    let agent = site.spawn_run();
    site.poll("Docs", &[]).code(1);
    eventually("it has run twice", || {
        site.sql("SELECT ran FROM alert") == [["1"]]
    });
    let log = agent.log();
    assert_eq!(agent.stop(), Some(0));
    let told = fs::read_to_string(&told).unwrap();
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!((lines.len(), lines[0]), (2, lines[1]));
    let alert: Value = serde_json::from_str(lines[0]).unwrap();
    assert_eq!(
        (&alert["alert"], &alert["subject"]),
        (&json!("login_required"), &json!("Docs"))
    );
    assert!(log.contains("exit status: 1") && log.contains("code=0"), "{log}");
}

#[test]
fn a_command_that_hangs_holds_up_nobody_and_dies_with_all_that_it_started() {
    let directory = tempfile::tempdir().unwrap();
    let pid = directory.path().join("pid");
    let site = site_with(&format!("sleep 1000 & echo $! > {pid:?}; wait"));
    let agent = site.spawn_run();
    site.poll("Docs", &[]).code(1);
    eventually("it hangs", || {
        fs::read_to_string(&pid).is_ok_and(|pid| pid.ends_with('\n'))
    });
    site.cli_fed(
        &["instance", "apply", "-"],
        &site.document("Docs", json!({})).to_string(),
    )
    .code(0);
    create_file(&site, "one");
    site.poll("Docs", &[]).code(0);
    site.receiver.wait_for(1, PATIENCE).unwrap();
    check_deliveries(&site);
    assert_eq!(agent.stop(), Some(0));
    let sleeper = Path::new("/proc")
        .join(fs::read_to_string(&pid).unwrap().trim())
        .join("stat");
    eventually("what it started is gone", || {
        fs::read_to_string(&sleeper).map_or(true, |stat| stat.contains(") Z "))
    });
    assert_eq!(
        site.cell("SELECT ran FROM alert WHERE state = 'raised'"),
        "0",
        "it is told again"
    );
}

#[test]
fn an_alert_that_waits_by_a_clock_ahead_is_told_after_the_wait_that_was_meant() {
    let pager = Pager::start();
    let site = Site::configured(Account::business(), &pager.sections());
    site.create_instance("Docs", json!({}));
    pager.0.answer_next(1, Answer::Status(503));
    revoke(&site);
    site.once().code(1);
    // As if all of that had been ten years ahead.
    site.write_sql(
        "UPDATE alert SET waits_since = strftime('%Y-%m-%dT%H:%M:%fZ', waits_since, '+10 years'),
                          next_attempt_at = strftime('%Y-%m-%dT%H:%M:%fZ', next_attempt_at, '+10 years')",
    );
    let agent = site.spawn_run();
    let raised = ("raised", "Docs");
    pager.wait_for("login_required", &[raised, raised]);
    eventually("it is told", || settled(&site));
    assert_eq!(agent.stop(), Some(0));
}

#[test]
fn with_nobody_to_tell_alerts_are_in_the_book_and_the_log() {
    let site = Site::new(Account::business());
    site.create_instance("Docs", json!({}));
    revoke(&site);
    for _ in 0..2 {
        site.once().code(1);
    }
    assert_eq!(
        site.sql("SELECT alert, subject_key, subject, state, attempts, next_attempt_at FROM alert"),
        [["login_required", "instance/1", "Docs", "raised", "0", ""]]
    );
}

/// A file system of its own, for as long as this lives.
struct Disk(PathBuf);

impl Disk {
    /// `None` where this process may not mount one.
    fn mount(path: PathBuf, size: &str) -> Option<Disk> {
        let options = format!("size={size},mode=0700");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "tmpfs"])
            .arg(&path)
            .status();
        mounted.is_ok_and(|status| status.success()).then_some(Disk(path))
    }

    /// Leaves no more than `left` bytes of it free.
    fn fill(&self, left: u64) {
        let space = nix::sys::statvfs::statvfs(&self.0).unwrap();
        let free = space.blocks_available() as u64 * space.fragment_size() as u64;
        let wanted = usize::try_from(free - left).unwrap();
        fs::write(self.0.join("filler"), vec![1; wanted]).unwrap();
    }

    fn empty(&self) {
        fs::remove_file(self.0.join("filler")).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("-l").arg(&self.0).status();
        if !unmounted.is_ok_and(|status| status.success()) {
            eprintln!("{} is still mounted", self.0.display());
        }
    }
}

#[test]
fn bounds_and_receivers_of_alerts_that_are_edited_apply_without_a_restart() {
    let pager = Pager::start();
    let site = Site::configured(Account::business(), "");
    site.create_instance("Docs", json!({}));
    site.once().code(0);
    site.receiver.answer_always(Answer::Status(500));
    let agent = site.spawn_run();
    site.configure(&format!("{}[outbox]\nmax_events = 1\n", pager.sections()));
    agent.signal("HUP");
    eventually("the edit applies", || agent.log().contains("settings applied"));
    create_file(&site, "one");
    site.poll("Docs", &[]).code(0);
    pager.wait_for("outbox_full", &[("raised", "Docs")]);
    site.configure(&pager.sections());
    agent.signal("HUP");
    pager.wait_for("outbox_full", &[("raised", "Docs"), ("cleared", "Docs")]);
    assert_eq!(agent.stop(), Some(0));
}

#[test]
fn a_full_disk_is_told_while_it_is_full_and_afterwards_everything_goes_on() {
    let pager = Pager::start();
    let site = Site::configured(Account::business(), &pager.sections());
    let Some(disk) = Disk::mount(site.data_dir(), "96m") else {
        without_root("this user may not mount a small file system");
        return;
    };
    site.cli(&["init"]).code(0);
    site.create_instance("Docs", json!({}));
    site.once().code(0);
    assert_eq!(pager.told("disk"), []);
    let agent = site.spawn_run();
    let place = site.data_dir().display().to_string();
    let (raised, cleared) = (("raised", place.as_str()), ("cleared", place.as_str()));
    disk.fill(40 << 20);
    pager.wait_for("disk", &[raised]);
    disk.empty();
    pager.wait_for("disk", &[raised, cleared]);
    eventually("it is in the book", || settled(&site));

    // A poll is due when nothing more can be written.
    for number in 0..3_000 {
        create_file(&site, &format!("{number}.txt"));
    }
    site.write_sql(
        "UPDATE resource SET unfinished = 1, last_poll_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '+1 seconds');
         UPDATE meta SET plan_version = plan_version + 1;",
    );
    disk.fill(0);
    pager.wait_for("disk", &[raised, cleared, raised]);
    eventually("writing is refused", || agent.log().contains("no space left"));
    assert!(site.receiver.counts().events < 3_000);
    disk.empty();
    pager.wait_for("disk", &[raised, cleared, raised, cleared]);
    site.poll("Docs", &[]).code(0);
    site.receiver.wait_for(3_000, PATIENCE).unwrap();
    assert_eq!(agent.stop(), Some(0));
    check_deliveries_after_failures(&site);
    assert_eq!(site.receiver.counts().notifications, 300);
    assert_eq!(site.cell("SELECT count(*) FROM alert"), "4");
}
