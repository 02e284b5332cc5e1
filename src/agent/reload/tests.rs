//! When the configuration file is read again, and what becomes of it.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use super::{ConfigFile, Reloader};
use crate::agent::scheduler::tests::open;
use crate::clock::FakeClock;
use crate::config::Config;
use crate::config::Live;
use crate::core::schedule::Schedule;

/// Steps of a file's life, each followed by a look half a second later; at the end the agent polls by `expect`.
#[track_caller]
fn check(steps: &[Option<&str>], expect: &str) {
    let dir = tempfile::tempdir().unwrap();
    let (path, data_dir) = (dir.path().join("deltapost.toml"), dir.path().join("data"));
    let clock = FakeClock::at("2026-03-01T12:00:00Z".parse().unwrap());
    let store = open(&data_dir, "2026-03-01T12:00:00Z".parse().unwrap());
    let text = |cron: &str| format!("schedule.cron = \"{cron} * * * *\"\n");
    fs::write(&path, text("1")).unwrap();
    let live = Live::new(&Config::load(&path, true).unwrap());
    let file = ConfigFile {
        path: path.clone(),
        wanted: Arc::new(AtomicBool::new(false)),
    };
    let mut reloader = Reloader::new(file, &live, &store, &clock);
    reloader.look().unwrap();
    for step in steps {
        if let Some(cron) = step {
            fs::write(&path, text(cron)).unwrap();
        }
        clock.advance(Duration::from_millis(500));
        reloader.look().unwrap();
    }
    let expect = Schedule::parse(&format!("{expect} * * * *")).unwrap();
    assert_eq!(live.current().polling.cron, expect, "{steps:?}");
}

const REST: Option<&str> = None;

#[test]
fn a_changed_file_is_read_when_it_has_been_at_rest() {
    // The looks at the file are two seconds apart, every fourth of these.
    check(&[Some("2"), REST, REST, REST], "1");
    check(&[Some("2"), REST, REST, REST, REST, REST, REST], "1");
    check(&[Some("2"), REST, REST, REST, REST, REST, REST, REST], "2");
}

#[test]
fn a_file_that_is_still_being_written_is_not_read() {
    let writing = [Some("2"), REST, REST, Some("60"), Some("3"), REST, REST, REST];
    check(&writing, "1");
    check(&[&writing[..], &[REST; 4]].concat(), "3");
}

#[test]
fn a_bad_file_is_read_once_and_a_good_one_after_it() {
    let rest = [REST; 8];
    let bad: Vec<_> = [&[Some("60")][..], &rest].concat();
    check(&bad, "1");
    check(&[&bad[..], &[Some("5")], &rest].concat(), "5");
}
