//! `run`, its signals and its log, and the commands that are handed to a running agent.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::process::Stdio;

use deltapost::sim::onedrive::Endpoint;
use serde_json::json;

use crate::cli_commands::run::{Background, Home, PATIENCE};
use crate::cli_commands::world::World;

#[track_caller]
fn agent(home: &Home) -> Background {
    let agent = home.run(["run"]).start();
    agent.wait_for_line("started");
    agent
}

#[test]
fn an_agent_says_what_it_runs_and_ends_with_0_at_a_signal() {
    for signal in ["TERM", "INT"] {
        let home = Home::initialised("");
        let mut agent = home.run(["run"]).start();
        let line = agent.wait_for_line("started");
        let expect = format!(
            "INFO  deltapost {} started data_dir={:?} instances=0 pid={}",
            env!("CARGO_PKG_VERSION"),
            home.path("data"),
            agent.pid()
        );
        let (time, line) = line.split_at("2026-03-01T09:30:00.000Z ".len());
        assert_eq!(line, expect);
        assert!(time.trim_end().parse::<jiff::Timestamp>().is_ok(), "{time:?}");
        agent.signal(signal);
        assert_eq!(agent.wait().code(), Some(0));
        agent.wait_for_line("stopped");
    }
}

#[test]
fn a_hangup_does_not_end_an_agent() {
    let home = Home::initialised("");
    let mut agent = agent(&home);
    agent.signal("HUP");
    agent.wait_for_line("reading the configuration again");
    agent.signal("TERM");
    assert_eq!(agent.wait().code(), Some(0));
}

#[test]
fn a_second_agent_is_refused_with_the_pid_of_the_first() {
    let home = Home::initialised("");
    let first = agent(&home);
    home.run(["--quiet", "run"])
        .stdout("")
        .stderr(&format!(
            "error: another agent (pid {}) runs on `DIR/data`\nhint: stop it first, or use another data_dir\n",
            first.pid()
        ))
        .code(1);
}

/// The first line that `deltapost run` says where its standard error is the journal, or another file.
fn first_line_of_run(home: &Home, is_journal: bool) -> String {
    let path = home.path(if is_journal { "journal" } else { "another" });
    let stderr = File::create(&path).unwrap();
    let metadata = stderr.metadata().unwrap();
    let inode = if is_journal { metadata.ino() } else { 1 };
    let mut run = home
        .run(["run"])
        .env("JOURNAL_STREAM", &format!("{}:{inode}", metadata.dev()));
    let mut child = run
        .command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(stderr)
        .spawn()
        .unwrap();
    let line = Background::first_line(&path);
    // It may have ended by itself.
    child.kill().unwrap();
    child.wait().unwrap();
    line
}

#[test]
fn the_journal_gets_priorities_and_no_times() {
    let home = Home::initialised("");
    for (is_journal, begins) in [(true, "<6>deltapost "), (false, "20")] {
        let line = first_line_of_run(&home, is_journal);
        assert!(line.starts_with(begins), "{line:?}");
    }
}

#[test]
fn the_journal_is_told_with_the_priority_of_an_error_why_an_agent_does_not_start() {
    let home = Home::initialised("");
    std::fs::remove_file(home.path("data/deltapost.db")).unwrap();
    for (is_journal, begins) in [
        (true, "<3>error: there is no database"),
        (false, "error: there is no database"),
    ] {
        let line = first_line_of_run(&home, is_journal);
        assert!(line.starts_with(begins), "{line:?}");
    }
}

#[test]
fn polls_are_handed_to_the_agent_and_its_answer_is_told() {
    let world = World::with_instance();
    let _agent = agent(&world.home);
    let first = world
        .run(["poll", "Docs", "--rebaseline", "--json"])
        .stderr("")
        .code(0)
        .json();
    assert_eq!(first["polls"][0]["events"], json!(0));
    let drive = world.cloud.drive();
    drive.create_file(&drive.root_id(), "more.txt", 5);
    let said = world
        .run(["poll", "1", "--resource", "events"])
        .stderr("")
        .code(0);
    assert!(said.stdout.starts_with("Docs / events: 1 page, "), "{said:?}");
    assert!(said.stdout.contains(" 1 event "), "{said:?}");
    world.cloud.revoke_access_tokens();
    world.cloud.revoke_grants();
    let said = world.run(["poll", "1"]).stdout("").code(1);
    assert!(
        said.stderr
            .starts_with("error: could not poll `events` of `Docs`: "),
        "{said:?}"
    );
    assert!(said.stderr.contains("\nhint: "), "{said:?}");
}

#[test]
fn once_is_handed_to_the_agent_and_waits_for_deliveries() {
    let world = World::with_instance();
    let _agent = agent(&world.home);
    let said = world.run(["once", "--json"]).stderr("").code(0).json();
    assert_eq!(said["polls"][0]["instance"], json!("Docs"));
    assert_eq!(said["delivery"]["failed"], json!(0));
    assert_eq!(world.receiver.counts().events, 2);
}

#[test]
fn a_command_does_not_wait_for_an_agent_that_has_died() {
    let world = World::with_instance();
    let mut agent = agent(&world.home);
    world.run(["once"]).code(0);
    let gate = world.cloud.hold(Endpoint::Delta);
    let poll = world.run(["poll", "1"]).start();
    assert!(gate.wait_arrived(PATIENCE));
    agent.signal("KILL");
    agent.wait();
    poll.wait_for_line("error: the agent ended before it had answered");
    gate.release();
    // What it had asked for is withdrawn, so that the next agent does not poll for nobody.
    let mut poll = poll;
    assert_eq!(poll.wait().code(), Some(1));
    let database = rusqlite::Connection::open(world.home.path("data/deltapost.db")).unwrap();
    let requests: i64 = database
        .query_row("SELECT count(*) FROM request", [], |row| row.get(0))
        .unwrap();
    assert_eq!(requests, 0);
}

#[test]
fn an_interrupted_poll_stops_between_two_pages_and_goes_on_from_there() {
    let world = World::with_instance();
    let drive = world.cloud.drive();
    drive.bulk_create(10, 500);
    let gate = world.cloud.hold(Endpoint::Delta);
    let mut poll = world.run(["poll", "1"]).start();
    assert!(gate.wait_arrived(PATIENCE));
    poll.signal("INT");
    gate.release();
    poll.wait_for_line("error: the poll of `events` of `Docs` was stopped");
    poll.wait_for_line("hint: the next poll goes on from there");
    assert_eq!(poll.wait().code(), Some(1));
    let said = world.run(["poll", "1", "--json"]).code(0).json();
    assert_eq!(said["polls"][0]["pages"], json!(2), "{said}");
}

#[test]
fn an_answer_that_cannot_be_written_is_a_failure() {
    let home = Home::initialised("");
    let mut run = home.run(["instance", "list"]);
    let full = File::options().write(true).open("/dev/full").unwrap();
    let output = run.command.stdin(Stdio::null()).stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.starts_with("error: could not write to standard output: No space left"),
        "{said}"
    );
}

#[test]
fn an_answer_that_nobody_reads_to_its_end_is_no_failure() {
    let home = Home::initialised("");
    let mut run = home.run(["instance", "list", "--json"]);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let status = run
        .command
        .stdin(Stdio::null())
        .stdout(writer)
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(0));
}
