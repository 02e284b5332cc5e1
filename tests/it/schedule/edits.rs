//! The configuration file, edited while the agent runs.

use std::fs;

use deltapost::sim::onedrive::Account;
use serde_json::json;

use crate::schedule::{planned, polls, settled};
use crate::support::{Site, eventually};

/// A site whose resource is polled at the stroke of some hour, by the file.
fn daily() -> Site {
    let site = Site::configured(Account::business(), &entry("0 3 * * *"));
    site.create_instance("Docs", json!({}));
    site
}

/// The sections of a configuration file that has one `[[poll]]`, without jitter.
fn entry(cron: &str) -> String {
    format!("[schedule]\njitter = \"0s\"\n\n[[poll]]\ninstance = \"Docs\"\ncron = {cron:?}\n")
}

#[test]
fn an_edit_to_the_schedule_applies_without_a_restart() {
    let site = daily();
    let agent = site.spawn_run();
    settled(&site, 1);
    assert!(planned(&site).ends_with("T03:00:00.000Z"));
    site.configure(&entry("30 4 * * *"));
    eventually("the edit applies", || planned(&site).ends_with("T04:30:00.000Z"));
    // As editors do it: another file, renamed over the old one.
    let text = fs::read_to_string(site.config_file()).unwrap();
    let new = site.file("deltapost.toml.swp", &text.replace("30 4", "45 5"));
    fs::rename(new, site.config_file()).unwrap();
    eventually("the replaced file applies", || {
        planned(&site).ends_with("T05:45:00.000Z")
    });
    assert_eq!(polls(&site), 1, "an edit is no reason to poll: {}", agent.log());
    assert!(agent.log().contains("settings applied"), "{}", agent.log());
    assert_eq!(agent.stop(), Some(0));
}

#[test]
fn a_hangup_makes_the_agent_read_its_configuration_at_once() {
    let site = daily();
    let agent = site.spawn_run();
    settled(&site, 1);
    site.configure(&entry("* * * * * *"));
    agent.signal("HUP");
    eventually("polls come each second", || polls(&site) >= 3);
    let log = agent.log();
    assert!(log.contains("reading the configuration again"), "{log}");
    site.configure(&format!("{}enabled = false\n", entry("* * * * * *")));
    agent.signal("HUP");
    eventually("polls end", || planned(&site).is_empty());
    assert_eq!(agent.stop(), Some(0));
}

#[test]
fn a_broken_edit_leaves_the_old_schedule_running() {
    let site = daily();
    let agent = site.spawn_run();
    settled(&site, 1);
    let before = planned(&site);
    let good = fs::read_to_string(site.config_file()).unwrap();
    let error = || site.cell("SELECT settings_error FROM instance_health");
    for (broken, told) in [
        (entry("0 24 * * *"), "poll.cron: hour: expected 0 to 23, got `24`"),
        (
            format!("{}\n[schedul]\n", entry("5 5 * * *")),
            "unknown key, did you mean `schedule`?",
        ),
    ] {
        site.configure(&broken);
        agent.signal("HUP");
        eventually("the refusal is shown", || error().contains(told));
        // With its position.
        let path = site.config_file();
        assert!(
            error().starts_with(&format!("{}:1", path.display())),
            "{}",
            error()
        );
        assert!(agent.log().contains(told), "{}", agent.log());
        site.cli(&["check"]).code(2).says(&[told]);
    }
    fs::write(site.config_file(), "").unwrap();
    eventually("an emptied file is refused", || error().ends_with("is empty"));
    fs::remove_file(site.config_file()).unwrap();
    agent.signal("HUP");
    eventually("a missing file is refused", || error().ends_with("is gone"));
    assert_eq!((planned(&site), polls(&site)), (before, 1));
    fs::write(site.config_file(), good).unwrap();
    site.cli(&["check"]).code(1).says(&["is gone", "hint: "]);
    agent.signal("HUP");
    eventually("the good file is taken", || error().is_empty());
    site.cli(&["check"]).code(0);
    assert_eq!(agent.stop(), Some(0));
}

#[test]
fn what_needs_a_restart_is_told_and_the_rest_applies() {
    let site = daily();
    let agent = site.spawn_run();
    settled(&site, 1);
    let text = fs::read_to_string(site.config_file()).unwrap();
    let text = text
        .replace("data_dir = ", "data_dir = \"/nonexistent\" # ")
        .replace("0 3", "0 4");
    fs::write(
        site.config_file(),
        text.replace("[schedule]", "[schedule]\nworkers = 9"),
    )
    .unwrap();
    agent.signal("HUP");
    eventually("the schedule applies", || {
        planned(&site).ends_with("T04:00:00.000Z")
    });
    let told = "settings changed that need a restart";
    let log = agent.log();
    let line = log.lines().find(|line| line.contains(told)).unwrap();
    assert!(line.contains("[\"data_dir\", \"schedule.workers\"]"), "{line}");
    assert_eq!(agent.stop(), Some(0));
}
