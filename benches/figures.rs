//! The agent's figures: the release binary as a child process, against the simulated provider and the counting receiver
//! on loopback, each beside what the same client does without a database. It is no test: nothing here has to hold.
//!
//! `cargo bench --bench figures` prints the table; README.md beside this file tells what each line means.

#![expect(clippy::unwrap_used, reason = "figures of a run that fails are none")]

#[path = "../tests/it/support/mod.rs"]
#[expect(dead_code, reason = "the figures need a part of it")]
mod support;

use std::fs;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::thread;
use std::time::Duration;

use deltapost::callback::Sender;
use deltapost::clock::{Clock, SystemClock};
use deltapost::core::feed::Feed;
use deltapost::core::model::{PageEnd, Secret};
use deltapost::core::sign;
use deltapost::graph::client::{Client, GraphConfig, TIMEOUTS, Wishes};
use deltapost::graph::page;
use deltapost::sim::onedrive::{Account, Drive, Kind};
use deltapost::sim::receiver::{Answer, Receiver};
use jiff::Timestamp;
use serde_json::json;
use support::hanging::{Hanging, add_instances};
use support::process::Agent;
use support::{KEY, Site, eventually};

const PATIENCE: Duration = Duration::from_secs(60);

/// Items of the large drive, and of a page of its feed.
const ITEMS: usize = 100_000;
const PAGE: usize = 200;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    // `cargo test --benches` runs this, too, and has no use for it.
    if !args.iter().any(|arg| arg == "--bench") {
        return;
    }
    let chosen: Vec<&String> = args.iter().filter(|arg| !arg.starts_with('-')).collect();
    let cores = thread::available_parallelism().unwrap();
    println!("deltapost {}, {cores} cores\n", env!("CARGO_PKG_VERSION"));
    for (name, measure) in FIGURES {
        if chosen.is_empty() || chosen.iter().any(|choice| name.contains(choice.as_str())) {
            measure();
        }
    }
}

/// What can be chosen, by a part of its name.
const FIGURES: &[(&str, fn())] = &[
    ("size", || {
        figure(
            "binary",
            mib(fs::metadata(env!("CARGO_BIN_EXE_deltapost")).unwrap().size()),
        )
    }),
    ("sync", || {
        figure(
            "sync of a 4 KiB append to the disk, median",
            format!("{:.2} ms", 1e3 * sync_seconds()),
        )
    }),
    ("idle", || {
        figure("resident, idle, one instance that follows", mib(idle_bytes()))
    }),
    ("fetch", || {
        figure(
            "fetch and parse, no database",
            format!("{:.0} items/s", items_a_second(fetched_and_parsed())),
        )
    }),
    ("snapshot", || enumerate("snapshot")),
    ("emit", || enumerate("emit")),
    ("one, tens", || deliver(1, 10, 60_000, "instance")),
    ("ten, tens", || deliver(10, 10, 60_000, "instance")),
    ("hundred, tens", || deliver(100, 10, 60_000, "instance")),
    ("one, singles", || deliver(1, 1, 20_000, "instance")),
    ("ten, singles", || deliver(10, 1, 20_000, "instance")),
    ("hundred, singles", || deliver(100, 1, 20_000, "instance")),
    ("one, tens, unordered", || deliver(1, 10, 60_000, "none")),
    ("one, singles, unordered", || deliver(1, 1, 20_000, "none")),
    ("isolation", isolation),
    ("hanging", hanging),
    ("million", million),
];

fn figure(what: &str, value: impl std::fmt::Display) {
    println!("{what:<58} {value}");
}

fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / (1 << 20) as f64)
}

fn items_a_second(seconds: f64) -> f64 {
    ITEMS as f64 / seconds
}

fn seconds_since(began: Timestamp) -> f64 {
    SystemClock.now().duration_since(began).as_secs_f64()
}

/// A box with a receiver that only counts, `instances` accounts that announce all that is in them, and `items` items in
/// each.
fn site(delivery: &str, instances: usize, items: usize, baseline: &str) -> Site {
    let account = |seed| Account {
        kind: Kind::Business,
        seed,
        page_size: PAGE,
        ..Account::business()
    };
    let mut site = Site::configured(account(1), &format!("[delivery]\n{delivery}\n"));
    site.receiver = Receiver::counting().unwrap();
    let mut drives = vec![site.drive()];
    drives.extend((2..=instances as u64).map(|seed| site.cloud.add_account(account(seed))));
    for (number, drive) in drives.iter().enumerate() {
        fill(drive, items);
        let resource = json!({"url": "/me/drive/root/delta", "baseline": baseline, "pageSize": PAGE});
        let extra = json!({"event.poller.configuration": {"events": resource}});
        site.create_instance_of(drive, &format!("account {number}"), extra);
    }
    site
}

/// Folders of fifty, one after the other, as Graph lists them.
fn fill(drive: &Drive, items: usize) {
    let root = drive.root_id();
    for folder in 0..items / 50 {
        let id = drive.create_folder(&root, &format!("Folder {folder}"));
        for file in 1..50 {
            drive.create_file(&id, &format!("Document {folder}-{file}.docx"), 12_345);
        }
    }
}

fn sync_seconds() -> f64 {
    let mut file = tempfile::tempfile().unwrap();
    let mut times: Vec<f64> = (0..200)
        .map(|_| {
            let began = SystemClock.now();
            file.write_all(&[0; 4096]).unwrap();
            file.sync_data().unwrap();
            seconds_since(began)
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn idle_bytes() -> u64 {
    let site = site("batch = 10", 1, 50, "snapshot");
    let agent = site.spawn_run();
    await_following(&site);
    SystemClock.sleep(Duration::from_secs(1));
    memory(&agent, "VmRSS:")
}

fn await_following(site: &Site) {
    eventually("all instances follow", || {
        site.cell("SELECT count(*) FROM poll WHERE outcome = 'done'")
            == site.cell("SELECT count(*) FROM resource")
    });
}

/// Reads the large drive's feed as the agent does, and does nothing with it. Returns how long it took.
fn fetched_and_parsed() -> f64 {
    let site = site("batch = 10", 1, ITEMS, "snapshot");
    let client = Client::new(&GraphConfig {
        base: &site.cloud.graph_base(),
        authority: &site.cloud.authority(),
        company: "",
        proxy: None,
        extra_roots: None,
        timeouts: TIMEOUTS,
    })
    .unwrap();
    let token = Secret::new(site.cloud.issue_access_token());
    let mut link = Secret::new(format!("{}/me/drive/root/delta?$top={PAGE}", client.base()));
    let began = SystemClock.now();
    let mut items = 0;
    loop {
        let fetched = client
            .fetch(&link, &token, Wishes::default(), &SystemClock)
            .unwrap();
        let page = page::parse(&fetched.body, client.base(), &Feed::Drive).unwrap();
        items += page
            .pieces()
            .map(|piece| piece.unwrap().items.len())
            .sum::<usize>();
        match page.end {
            PageEnd::Next(next) => link = next,
            PageEnd::Delta(_) | PageEnd::More => break,
        }
    }
    assert_eq!(items, ITEMS + 1);
    seconds_since(began)
}

/// The large drive's first enumeration by the agent; with `emit` its events go out at the same time.
fn enumerate(baseline: &str) {
    let bare = items_a_second(fetched_and_parsed());
    let site = site("batch = 10", 1, ITEMS, baseline);
    let agent = site.spawn_run();
    await_following(&site);
    let seconds = site.cell("SELECT duration_ms FROM poll").parse::<f64>().unwrap() / 1e3;
    let rate = items_a_second(seconds);
    let busy = processor_seconds(&agent);
    figure(
        &format!("enumeration of {ITEMS} items, {baseline}"),
        format!(
            "{rate:.0} items/s, {:.0} % of no database ({bare:.0}/s), {busy:.2} s of processor",
            100.0 * rate / bare
        ),
    );
    if baseline == "emit" {
        let notifications = site.cell("SELECT count(*) FROM outbox").parse().unwrap();
        site.receiver.wait_requests(notifications, PATIENCE).unwrap();
    }
    figure(
        &format!("resident, peak of that, {baseline}"),
        mib(memory(&agent, "VmHWM:")),
    );
}

/// A backlog's way to the receiver, and the same requests by the same sender without a database.
fn deliver(instances: usize, batch: usize, events: usize, ordering: &str) {
    let delivery = format!("batch = {batch}\nordering = \"{ordering}\"\nper_endpoint = 4");
    let site = site(&delivery, instances, events / instances, "emit");
    for number in 0..instances {
        site.poll(&format!("account {number}"), &[]).code(0);
    }
    let written: u64 = site.cell("SELECT count(*) FROM outbox").parse().unwrap();
    let agent = site.spawn_run();
    site.receiver.wait_requests(1, PATIENCE).unwrap();
    let (began, busy) = (SystemClock.now(), processor_seconds(&agent));
    site.receiver.wait_requests(written, PATIENCE).unwrap();
    let seconds = seconds_since(began);
    let busy = processor_seconds(&agent) - busy;
    agent.kill();
    let bare = posted(&site, instances.min(4));
    let rate = written as f64 / seconds;
    figure(
        &format!("backlog, {instances} instance(s) by {batch}, ordering {ordering}"),
        format!(
            "{rate:.0} notifications/s, {:.0} events/s, {:.0} % of no database ({bare:.0}/s), {busy:.2} s of processor",
            events as f64 / seconds,
            100.0 * rate / bare,
        ),
    );
}

/// What nine callbacks get in a second, and what they get beside a tenth that hangs for the whole time-out each time.
fn isolation() {
    let alone = nine_callbacks(9);
    let beside = nine_callbacks(10);
    figure(
        "nine callbacks, beside a tenth that hangs",
        format!(
            "{beside:.0} notifications/s, {:.0} % of without it ({alone:.0}/s)",
            100.0 * beside / alone
        ),
    );
}

fn nine_callbacks(instances: usize) -> f64 {
    let waits = ["\"1s\""; 32].join(", ");
    let delivery = format!("batch = 1\ntimeout = \"1s\"\nretry = [{waits}]");
    let site = site(&delivery, instances, 3_000, "emit");
    let receivers: Vec<Receiver> = (0..9).map(|_| Receiver::counting().unwrap()).collect();
    let hanging = Receiver::start(Some(KEY.to_owned())).unwrap();
    hanging.answer_always(Answer::Hang);
    for number in 0..instances {
        let name = format!("account {number}");
        let receiver = receivers.get(number).unwrap_or(&hanging);
        let set = format!("event.notification.callback.url={}", receiver.url());
        site.cli(&["instance", "update", &name, "--set", &set]).code(0);
        site.poll(&name, &[]).code(0);
    }
    let agent = site.spawn_run();
    eventually("the nine have theirs", || {
        site.cell("SELECT count(*) FROM outbox WHERE instance_id <= 9 AND state = 'pending'") == "0"
    });
    let seconds = site.cell(
        "SELECT (julianday(max(o.delivered_at)) - julianday(min(a.at))) * 86400
           FROM outbox o JOIN attempt a ON a.outbox_id = o.id WHERE o.instance_id <= 9",
    );
    let written = site.cell("SELECT count(*) FROM outbox WHERE instance_id <= 9");
    let rate = written.parse::<f64>().unwrap() / seconds.parse::<f64>().unwrap();
    agent.kill();
    rate
}

/// How long an event takes from its detection to its receiver, beside callbacks that accept and never answer, and what
/// these cost in memory.
fn hanging() {
    let (alone, idle) = event_beside(&[], "NULL");
    for (what, hanging, accepted) in [
        ("100 hosts that hang", Hanging::hosts(100), "NULL"),
        (
            "100 callbacks of a host that hangs",
            Hanging::one_host(100),
            "NULL",
        ),
        // More than there is room for: the one that is well has accepted something before, and they have not.
        ("250 hosts that hang", Hanging::hosts(250), "state_since"),
    ] {
        let (beside, busy) = event_beside(&hanging.urls, accepted);
        let more = mib(busy.saturating_sub(idle));
        figure(
            &format!("an event beside {what}"),
            format!("{beside:.0} ms ({alone:.0} ms without), {more} more in memory"),
        );
    }
}

/// The longest of ten events of a callback that is well, in milliseconds, the first of them due when the agent starts, as
/// are those for `urls`; and the agent's peak in memory. `accepted` is when the callback last accepted something.
fn event_beside(urls: &[String], accepted: &str) -> (f64, u64) {
    let mut site = site("", 1, 0, "snapshot");
    site.receiver = Receiver::start(Some(KEY.to_owned())).unwrap();
    let set = format!("event.notification.callback.url={}", site.receiver.url());
    site.cli(&["instance", "update", "account 0", "--set", &set])
        .code(0);
    site.poll("account 0", &[]).code(0);
    let file = |number: usize| {
        drop(
            site.drive()
                .create_file(&site.drive().root_id(), &number.to_string(), 1),
        )
    };
    file(0);
    site.poll("account 0", &[]).code(0);
    add_instances(&site, urls, 64);
    let own = format!("UPDATE endpoint SET last_accepted_at = {accepted}");
    site.write_sql(&format!(
        "{own} WHERE id = (SELECT endpoint_id FROM instance WHERE id = 1)"
    ));
    let began = SystemClock.now();
    let agent = site.spawn_run();
    let started = seconds_since(began);
    site.receiver.wait_for(1, PATIENCE).unwrap();
    let mut longest = seconds_since(began) - started;
    for number in 1..10 {
        file(number);
        site.poll("account 0", &[]).code(0);
        site.receiver.wait_for(number as u64 + 1, PATIENCE).unwrap();
    }
    let late = site.cell(
        "SELECT max((julianday(a.at) - julianday(o.created_at)) * 86400) FROM outbox o JOIN attempt a ON a.outbox_id = o.id
          WHERE o.instance_id = 1 AND o.id > (SELECT min(id) FROM outbox)",
    );
    longest = longest.max(late.parse().unwrap());
    let peak = memory(&agent, "VmHWM:");
    agent.kill();
    (1e3 * longest, peak)
}

/// What the agent holds in memory while a million events wait for a callback that fails.
fn million() {
    let mut site = site("batch = 10", 1, 50, "emit");
    site.receiver = Receiver::start(Some(KEY.to_owned())).unwrap();
    site.receiver.answer_always(Answer::Status(503));
    let set = format!("event.notification.callback.url={}", site.receiver.url());
    site.cli(&["instance", "update", "account 0", "--set", &set])
        .code(0);
    site.poll("account 0", &[]).code(0);
    site.write_sql(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 99990)
         INSERT INTO outbox (event_id, instance_id, resource, created_at, event_count, next_attempt_at, body)
         SELECT 'copy-' || n.i, o.instance_id, o.resource, o.created_at, 10, o.created_at, o.body
           FROM n, (SELECT * FROM outbox ORDER BY id LIMIT 1) o",
    );
    let agent = site.spawn_run();
    eventually("it has tried", || site.receiver.counts().requests > 0);
    SystemClock.sleep(Duration::from_secs(1));
    figure(
        "resident, peak, 1,000,000 events pending",
        mib(memory(&agent, "VmHWM:")),
    );
    agent.kill();
}

/// Posts the outbox's notifications, signed, by as many threads as the agent's workers would. Returns how many went out
/// in a second.
fn posted(site: &Site, threads: usize) -> f64 {
    let connection = rusqlite::Connection::open(site.database()).unwrap();
    let mut statement = connection
        .prepare("SELECT event_id, body FROM outbox ORDER BY id LIMIT 20000")
        .unwrap();
    let outbox: Vec<(String, Vec<u8>)> = statement
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    let sender = Sender::new(PATIENCE, None, None, &[]).unwrap();
    let (url, key) = (Secret::new(site.receiver.url()), Secret::new(KEY));
    let post = &|(event_id, body): &(String, Vec<u8>)| {
        let signed = sign::headers(&[&key], event_id, SystemClock.now(), body);
        let mut headers = vec![("Content-Type", "application/json")];
        headers.extend(signed.iter().map(|(name, value)| (*name, value.as_str())));
        assert_eq!(
            sender.post(&url, &headers, body, &SystemClock).status(),
            Some(200)
        );
    };
    let began = SystemClock.now();
    thread::scope(|scope| {
        for part in outbox.chunks(outbox.len().div_ceil(threads)) {
            scope.spawn(move || part.iter().for_each(post));
        }
    });
    outbox.len() as f64 / seconds_since(began)
}

/// A line of `/proc/PID/status`, in bytes.
fn memory(agent: &Agent, line: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", agent.pid())).unwrap();
    let line = status.lines().find_map(|text| text.strip_prefix(line)).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

/// Processor time that the agent has used, of all its threads.
fn processor_seconds(agent: &Agent) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{}/stat", agent.pid())).unwrap();
    // Behind the name, which may hold anything: user time is the twelfth field, system time the next, in 1/100 s.
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}
