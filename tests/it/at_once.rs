//! Commands that several people, or a person and a timer, give at the same moment: each is done, none undoes another.

use std::fs;
use std::sync::Barrier;
use std::thread;

use deltapost::sim::onedrive::Account;
use deltapost::store::{AgentLock, DirectoryLock};
use serde_json::{Value, json};

use crate::support::{Site, eventually};

#[test]
fn inits_at_once_make_one_house() {
    for _ in 0..5 {
        let site = Site::bare(Account::business(), "");
        let config = fs::read_to_string(site.config_file()).unwrap();
        let start = Barrier::new(6);
        let made: Vec<Value> = thread::scope(|scope| {
            let init = || {
                start.wait();
                site.cli(&["--json", "init"]).code(0).json()
            };
            let runs: Vec<_> = (0..6).map(|_| scope.spawn(init)).collect();
            runs.into_iter().map(|run| run.join().unwrap()).collect()
        });
        for name in ["deltapost.db", "secret.key", "api.token"] {
            let makers = made
                .iter()
                .filter(|made| made["created"].to_string().contains(name));
            assert_eq!(makers.count(), 1, "{name}: {made:#?}");
        }
        site.cli(&["check"]).code(0);
        assert_eq!(fs::read_to_string(site.config_file()).unwrap(), config);
    }
}

#[test]
fn updates_at_once_all_hold() {
    let site = Site::new(Account::business());
    site.create_instance("Docs", json!({}));
    for round in 0..3 {
        let values = [
            ("event.poller.refresh_interval", format!("{}", 5 + round)),
            (
                "event.filter.types",
                ["CREATED", "UPDATED", "DELETED"][round].to_owned(),
            ),
            (
                "event.filter.objects",
                ["file", "folder", "file,folder"][round].to_owned(),
            ),
            ("event.filter.paths", format!("/Finance/{round}/**")),
            (
                "event.notification.format",
                ["cloudevents", "elements", "cloudevents-batch"][round].to_owned(),
            ),
            (
                "oauth.scope",
                format!("Files.Read offline_access{}", " User.Read".repeat(round)),
            ),
        ];
        let before = shown(&site);
        let start = Barrier::new(values.len());
        thread::scope(|scope| {
            for (key, value) in &values {
                let (site, start) = (&site, &start);
                scope.spawn(move || {
                    start.wait();
                    let assignment = format!("{key}={value}");
                    site.cli(&["instance", "update", "Docs", "--set", &assignment])
                        .code(0);
                });
            }
        });
        let after = shown(&site);
        for (key, value) in &values {
            assert_ne!(
                after["configuration"][key], before["configuration"][key],
                "{key}={value}"
            );
        }
    }
}

fn shown(site: &Site) -> Value {
    site.cli(&["--json", "instance", "show", "Docs"]).code(0).json()
}

#[test]
fn an_agent_waits_for_a_command_that_is_about_to_end() {
    let site = Site::new(Account::business());
    let held = AgentLock::take(&site.data_dir()).unwrap();
    let mut agent = site.spawn(&["run"], &[]);
    eventually("it waits", || {
        agent.log().contains("waiting for the data directory")
    });
    drop(held);
    eventually("it has the lock", || {
        assert!(agent.runs(), "{}", agent.log());
        let holder = fs::read_to_string(site.data_dir().join("agent.lock")).unwrap();
        holder.trim() == agent.pid()
    });
    assert_eq!(agent.stop(), Some(0));
}

#[test]
fn a_lock_on_the_directory_hinders_nobody() {
    let site = Site::new(Account::business());
    // As any member of `group` can take it.
    let directory = fs::File::open(site.data_dir()).unwrap();
    directory.lock().unwrap();
    for args in [&["once"][..], &["check"], &["init"], &["outbox"]] {
        site.cli(args).code(0);
    }
    let agent = site.spawn_run();
    assert_eq!(agent.stop(), Some(0));
}

#[test]
fn whoever_waits_for_the_database_ends_in_time_and_at_a_signal() {
    let site = Site::new(Account::business());
    let held = DirectoryLock::alone(&site.data_dir()).unwrap();
    let mut agent = site.spawn(&["run"], &[]);
    eventually("it waits", || {
        agent.log().contains("waiting for a restore to end")
    });
    agent.ask_to_stop();
    eventually("the signal ends it", || !agent.runs());
    assert_eq!(agent.wait(), Some(0));
    site.once()
        .code(1)
        .says(&["error: another program works with `", "hint: try again"]);
    drop(held);
    site.once().code(0);
}
