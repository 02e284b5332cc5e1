//! After the storm: everything heals, what waits is given the time that the contract gives it, and then the judge is asked.

use std::collections::HashSet;

use super::dice::{now, pause};
use super::judge::{self, Broken, Record, plain};
use super::posts;
use super::receivers::Temper;
use super::weather::set_clock;
use super::world::World;

/// From the end of all faults until everything has arrived: requests under way and a provider's pause (10 s), a poll or
/// two of each resource and their deliveries. A minute more after the clock was set.
const PATIENCE: f64 = 30.0;

/// The most memory that the agent may use.
const MEMORY_MIB: u64 = 96;

pub(crate) fn judge(world: &World) -> Vec<Broken> {
    let mut broken = Vec::new();
    heal(world, &mut broken);
    let deadline = settled_by(world);
    let mut record = Record::read(world);
    while now() < deadline && !judge::changes(world, &record, false).is_empty() {
        world.revive();
        world.resume();
        if !world.checks("timetable") {
            world.home.cli(&["once"], "");
        }
        pause(0.5);
        world.note_outbox();
        record = Record::read(world);
    }
    world.home.note_memory();
    if world.checks("health") {
        health(world, &mut broken);
    }
    record = Record::read(world);
    broken.extend(judge::changes(world, &record, world.checks("late")));
    broken.extend(posts::deliveries(world, &record));
    if world.checks("late") {
        broken.extend(posts::promptness(world, &record));
    }
    stuck(world, &mut broken);
    deletions(world, &record, &mut broken);
    limits(world, &mut broken);
    if world.checks("secrets") {
        broken.extend(secrets(world));
    }
    broken
}

fn heal(world: &World, broken: &mut Vec<Broken>) {
    world.note("calm");
    set_clock(world, 0);
    world.provider.heal();
    world.receivers.heal();
    world.home.configure("*/2 * * * * *", "");
    if !world.home.runs() {
        broken.push(plain("alive", "the agent ended by itself".to_owned()));
        world.home.start().unwrap();
    }
    world.home.hang_up();
    for row in world
        .home
        .sql("SELECT name FROM instance WHERE enabled = 0 AND deleting_since IS NULL")
    {
        world.home.cli(&["instance", "enable", &row[0]], "");
    }
    world.note_outbox();
}

fn settled_by(world: &World) -> f64 {
    let excuses = world.excuses.lock().unwrap();
    let last = excuses.iter().map(|excuse| excuse.1).fold(now(), f64::max);
    last + PATIENCE
}

/// Nothing waits any more, and everything is still polled.
fn stuck(world: &World, broken: &mut Vec<Broken>) {
    let waiting = "SELECT o.id, i.name, o.state, o.attempts, coalesce(o.next_attempt_at, ''), coalesce(o.last_error, '')
         FROM outbox o JOIN instance i ON i.id = o.instance_id WHERE o.state <> 'delivered'";
    for row in world.home.sql(waiting) {
        broken.push(plain("stuck", format!("notification {}", row.join(", "))));
    }
    for observer in world
        .observers
        .lock()
        .unwrap()
        .iter()
        .filter(|observer| !observer.deleted)
    {
        let asked = world.provider.last_asked(&observer.plan.name, observer.drive);
        let ago = now() - asked.unwrap_or(0.0);
        let interval = observer.plan.every.max(3) as f64;
        if ago > 2.0 * interval + 3.0 {
            let what = format!(
                "{}, {}: polled every {interval} s at most, and last {ago:.1} s ago; {:?}",
                observer.plan.name,
                observer.resource,
                health_of(world, &observer.plan.name)
            );
            broken.push(plain("stuck", what));
        }
    }
}

/// What was deleted is gone, and what was pending of it was delivered first.
fn deletions(world: &World, record: &Record, broken: &mut Vec<Broken>) {
    let left = world.home.sql("SELECT id, name FROM instance");
    let accepted: HashSet<&str> = record
        .accepted
        .iter()
        .map(|arrival| arrival.id.as_str())
        .collect();
    let outbox = world.outbox.lock().unwrap();
    for observer in world
        .observers
        .lock()
        .unwrap()
        .iter()
        .filter(|observer| observer.deleted)
    {
        if left.iter().any(|row| row[0] == observer.instance.to_string()) {
            broken.push(plain(
                "stuck",
                format!("{} was deleted, and is there", observer.plan.name),
            ));
        }
        let mine = outbox
            .iter()
            .filter(|(_, row)| row.instance == observer.instance && !observer.discarded);
        for (id, row) in mine.filter(|(id, _)| !accepted.contains(id.as_str())) {
            let what = format!(
                "{} was deleted before its notification {} ({id}) was delivered",
                observer.plan.name, row.id
            );
            broken.push(plain("lost", what));
        }
    }
}

fn health_of(world: &World, instance: &str) -> Vec<Vec<String>> {
    let query = "SELECT health, resource, next_poll_at, coalesce(last_error, '') FROM instance_health WHERE instance = ";
    world.home.sql(&format!("{query}'{instance}'"))
}

/// It says that all is well, and says otherwise as soon as a receiver fails.
fn health(world: &World, broken: &mut Vec<Broken>) {
    for (who, ago) in &*world.silences.lock().unwrap() {
        broken.push(plain(
            "health",
            format!("{who} said ok, and had not been polled for {ago:.1} s"),
        ));
    }
    let well = |world: &World| world.home.health().is_some_and(|(status, _)| status == 200);
    if !eventually(15.0, || well(world)) {
        broken.push(plain(
            "health",
            format!("all is well, and /healthz says {:?}", world.home.health()),
        ));
    }
    let checked = world.home.cli(&["check"], "");
    if checked.code != 0 {
        broken.push(plain(
            "health",
            format!("all is well, and check says {}", checked.stdout),
        ));
    }
    let unwell = "SELECT instance, resource, health, coalesce(last_error, '') FROM instance_health WHERE health <> 'ok'";
    for row in world.home.sql(unwell) {
        broken.push(plain(
            "health",
            format!("all is well, and instance_health says {row:?}"),
        ));
    }
    if world.checks("failing-receivers") {
        a_failing_receiver(world, broken);
    }
}

/// A receiver that fails shows wherever health does, and no longer when it has recovered.
fn a_failing_receiver(world: &World, broken: &mut Vec<Broken>) {
    let well = |world: &World| world.home.health().is_some_and(|(status, _)| status == 200);
    world.receivers.set("gusty-4", Temper::Fails(500));
    for drive in [4, 5] {
        world.provider.drive(drive).create("unwelcome", 1);
    }
    let says = |query: &str| !world.home.sql(query).is_empty();
    let view = "SELECT 1 FROM instance_health WHERE instance = 'gusty-4' AND health <> 'ok'";
    if !eventually(12.0, || says(view)) {
        broken.push(plain(
            "health",
            "a receiver fails, and instance_health says ok".to_owned(),
        ));
    }
    if well(world) {
        broken.push(plain(
            "health",
            "a receiver fails, and /healthz says 200".to_owned(),
        ));
    }
    world.receivers.set("gusty-4", Temper::Healthy);
    let pending = "SELECT 1 FROM outbox WHERE state <> 'delivered'";
    let drained = eventually(20.0, || !says(pending));
    world.note_outbox();
    if !drained {
        broken.push(plain(
            "stuck",
            "a receiver is well again, and gets nothing".to_owned(),
        ));
    }
}

fn eventually(seconds: f64, mut is_so: impl FnMut() -> bool) -> bool {
    let deadline = now() + seconds;
    while now() < deadline {
        if is_so() {
            return true;
        }
        pause(0.1);
    }
    false
}

/// Bounded, patient, and never in a panic.
fn limits(world: &World, broken: &mut Vec<Broken>) {
    if world.home.peak_mib() > MEMORY_MIB {
        broken.push(plain(
            "bounded",
            format!("the agent used {} MiB", world.home.peak_mib()),
        ));
    }
    if world.checks("throttle") {
        let impatient = world.provider.impatience().into_iter();
        broken.extend(impatient.map(|what| plain("throttle", what)));
    }
    for what in &*world.found.lock().unwrap() {
        broken.push(plain("alive", what.clone()));
    }
    for command in &*world.home.endless.lock().unwrap() {
        broken.push(plain("alive", format!("`deltapost {command}` did not end")));
    }
    for entry in world.home.dir().read_dir().unwrap().flatten() {
        let text = std::fs::read_to_string(entry.path()).unwrap_or_default();
        if text.contains("panicked at") {
            broken.push(plain(
                "alive",
                format!("a panic is told in {}", entry.path().display()),
            ));
        }
    }
}

/// What the storm was, in one line.
pub(crate) fn figures(world: &World) -> String {
    let arrivals = world.receivers.arrivals();
    let accepted = arrivals.iter().filter(|arrival| arrival.accepted).count();
    let changes: usize = (0..world.provider.drive_count())
        .map(|drive| world.provider.drive(drive).journal_length())
        .sum();
    format!(
        "{changes} changes, {} requests at receivers, {accepted} accepted, {} starts of the agent, {} MiB at most",
        arrivals.len(),
        world.home.starts.load(std::sync::atomic::Ordering::Relaxed),
        world.home.peak_mib()
    )
}

/// Secrets that stand where they must not.
fn secrets(world: &World) -> Vec<Broken> {
    let mut broken = Vec::new();
    let secrets = world.secrets();
    for entry in world.home.dir().read_dir().unwrap().flatten() {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.ends_with(".log") || name.starts_with("copy-") {
            search(&path, &secrets, &mut broken);
        }
    }
    for name in ["deltapost.db", "deltapost.db-wal"] {
        search(&world.home.dir().join("data").join(name), &secrets, &mut broken);
    }
    broken
}

fn search(path: &std::path::Path, secrets: &[String], broken: &mut Vec<Broken>) {
    let bytes = std::fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    for (at, _) in text.match_indices("CANARY") {
        let rest = &text[at..];
        if let Some(secret) = secrets.iter().find(|secret| rest.starts_with(*secret)) {
            let around: String = text[..at]
                .chars()
                .rev()
                .take(100)
                .collect::<Vec<_>>()
                .into_iter()
                .rev()
                .collect();
            broken.push(plain(
                "secret",
                format!("{secret} stands in {}, behind {around:?}", path.display()),
            ));
            return;
        }
    }
}
