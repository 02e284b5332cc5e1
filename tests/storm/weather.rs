//! What happens during a storm: users work, the provider and the receivers fail, the agent is killed, the clock is set,
//! and people type commands beside it. Each has a thread and dice of its own.

use std::sync::Arc;
use std::thread;

use super::dice::{Dice, now, pause};
use super::provider::Fault;
use super::receivers::Temper;
use super::world::{HEALTHY_DRIVES, Plan, World};

/// Lets it storm until `until`.
pub(crate) fn blow(world: &Arc<World>, until: f64) {
    type Part = fn(&World, &mut Dice, f64);
    let mut parts: Vec<(u64, Part)> = vec![(1, users), (2, provider), (3, receivers), (4, readers)];
    let optional: [(&str, u64, Part); 4] = [
        ("kills", 5, killer),
        ("clock", 6, clock),
        ("commands", 7, operator),
        ("creation", 8, mayflies),
    ];
    for (class, number, part) in optional {
        if world.checks(class) {
            parts.push((number, part));
        }
    }
    let threads = parts.into_iter().map(|(number, part)| {
        let world = world.clone();
        thread::spawn(move || {
            let mut dice = Dice::new(world.seed ^ (number << 32));
            while now() < until {
                part(&world, &mut dice, until);
            }
        })
    });
    let threads: Vec<_> = threads.collect();
    while now() < until {
        world.home.note_memory();
        world.note_outbox();
        world.note_silence();
        pause(0.5);
    }
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

fn users(world: &World, dice: &mut Dice, _: f64) {
    pause(dice.between(0.05, 0.5));
    let quiet = world.quiet.lock().unwrap();
    let number = dice.below(world.provider.drive_count());
    world.provider.drive(number).step();
    drop(quiet);
}

fn provider(world: &World, dice: &mut Dice, _: f64) {
    pause(dice.between(0.3, 2.0));
    let drive = HEALTHY_DRIVES + dice.below(world.provider.drive_count() - HEALTHY_DRIVES);
    let seconds = 1 + dice.below(4) as u64;
    let fault = match dice.below(13) {
        0 | 1 => Fault::Throttle(seconds),
        2 => Fault::Unavailable(seconds),
        3 => Fault::Overload,
        4 => Fault::Gone(dice.one_in(2)),
        5 => Fault::Slow,
        6 => Fault::Truncated,
        7 => Fault::Closed,
        8 => Fault::NeverAnswered,
        9 => Fault::LoginPage,
        10 => Fault::Unauthorised,
        11 => Fault::Echo,
        _ => {
            world.provider.drive(drive).epoch += 1;
            world.note(&format!("drive {drive}: every token is stale"));
            return;
        }
    };
    let one_in = 1 + dice.below(4);
    world.note(&format!(
        "drive {drive}: {fault:?} for {seconds} s, one in {one_in}"
    ));
    world.provider.spoil(drive, fault, seconds as f64, one_in);
}

fn receivers(world: &World, dice: &mut Dice, _: f64) {
    pause(dice.between(0.5, 3.0));
    let receiver = ["moody-0", "moody-1", "moody-5"][dice.below(3)];
    let temper = match dice.below(12) {
        0..4 => Temper::Healthy,
        4 => Temper::Fails(500),
        5 => Temper::Fails(503),
        6 => Temper::Busy(2),
        7 => Temper::Redirects,
        8 => Temper::Cut,
        9 => Temper::Echoes,
        10 => Temper::Hangs,
        _ => Temper::Fails(410),
    };
    world.note(&format!("receiver {receiver}: {temper:?}"));
    world.receivers.set(receiver, temper);
}

/// Somebody looks at the database and takes his time.
fn readers(world: &World, dice: &mut Dice, _: f64) {
    pause(dice.between(0.5, 4.0));
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
    let connection = rusqlite::Connection::open_with_flags(world.home.database(), flags).unwrap();
    connection.execute_batch("BEGIN").unwrap();
    let count = connection.query_row("SELECT count(*) FROM recent_events", [], |row| {
        row.get::<_, i64>(0)
    });
    assert!(count.unwrap() >= 0);
    pause(dice.between(0.1, 3.0));
    connection.execute_batch("COMMIT").unwrap();
}

fn killer(world: &World, dice: &mut Dice, until: f64) {
    pause(dice.between(3.0, 18.0).min(until - now()));
    let from = now();
    if dice.one_in(3) {
        world.note("the agent is asked to stop");
        world.found.lock().unwrap().extend(world.home.stop());
    } else {
        world.note("the agent is killed");
        world.home.kill();
    }
    if dice.one_in(3) {
        pause(dice.between(0.2, 3.0));
    }
    world.home.start().unwrap();
    world.provider.forgive();
    world.excuse(from, now() + 2.0);
    world.note("the agent runs again");
}

/// The clock is set wrong, and right again. What waits may take a minute to notice.
fn clock(world: &World, dice: &mut Dice, until: f64) {
    pause(dice.between(2.0, 90.0).min(until - now()));
    if !world.home.can_move_clock() || until - now() < 2.0 {
        return;
    }
    let offset = *dice
        .pick(&[-3_600, 3_600, -86_400, 400 * 86_400, 90, -45])
        .unwrap();
    set_clock(world, offset);
    pause(dice.between(1.0, 10.0).min(until - now()));
    set_clock(world, 0);
}

/// Sets the box's clock; within a minute everything goes on as it was meant.
pub(crate) fn set_clock(world: &World, offset: i64) {
    if world.home.clock_offset() == offset {
        return;
    }
    world.home.set_clock(offset);
    world.note(&format!("the clock is {offset} s ahead"));
    world.provider.forgive();
    world.excuse(now(), now() + 60.0);
}

/// Instances that come, and go after a while.
fn mayflies(world: &World, dice: &mut Dice, until: f64) {
    pause(dice.between(1.0, 6.0).min(until - now()));
    let number = dice.below(1_000_000);
    let drive = dice.below(world.provider.drive_count());
    let plan = Plan {
        name: format!("mayfly-{number}"),
        app: "app-5",
        drives: vec![drive],
        receiver: "mayfly".to_owned(),
        host: 0,
        every: 1,
        emit: dice.one_in(4),
        healthy: false,
    };
    let by_api = dice.one_in(2);
    if !world.create(&plan, by_api) || dice.one_in(3) {
        return;
    }
    pause(dice.between(0.1, 4.0));
    let discards = dice.one_in(3);
    for observer in &mut *world.observers.lock().unwrap() {
        let mine = observer.plan.name == plan.name;
        observer.deleted |= mine;
        observer.discarded |= mine && discards;
    }
    let mut args = vec!["instance", "delete", "--yes", &plan.name];
    if discards {
        args.push("--discard");
    }
    let ran = world.home.cli(&args, "");
    world.note(&format!("{}: {}", args.join(" "), ran.code));
    if ran.code == 2 {
        // A version that does not know the flag yet.
        args.retain(|arg| *arg != "--yes");
        world.home.cli(&args, "");
    }
}

fn operator(world: &World, dice: &mut Dice, _: f64) {
    pause(dice.between(0.2, 1.5));
    let plans: Vec<Plan> = world
        .observers
        .lock()
        .unwrap()
        .iter()
        .map(|observer| observer.plan.clone())
        .collect();
    let Some(plan) = dice.pick(&plans).cloned() else {
        return;
    };
    let name = plan.name.as_str();
    let spoilt = !plan.healthy && !name.starts_with("mayfly");
    let home = &world.home;
    match dice.below(17) {
        0 | 1 => drop(home.cli(&["poll", name], "")),
        2 => drop(home.cli(&["poll", name, "--resync"], "")),
        3 => drop(home.cli(&["once"], "")),
        4 if spoilt => {
            home.cli(&["instance", "disable", name], "");
            pause(dice.between(0.1, 3.0));
            home.cli(&["instance", "enable", name], "");
        }
        5 if spoilt => {
            let schedule = format!("event.poller.schedule=*/{} * * * * *", 1 + dice.below(3));
            home.cli(&["instance", "update", name, "--set", &schedule], "");
        }
        6 if spoilt => {
            let document = world.document(&plan).to_string();
            home.cli(&["instance", "apply", "-"], &document);
        }
        7 => world.revive(),
        8 => world.resume(),
        9 => drop(home.cli(&["outbox", "list", "--limit", "50"], "")),
        10 => drop(home.cli(&["check"], "")),
        11 => {
            let copy = home.dir().join(format!("copy-{:.0}.db", now() * 1000.0));
            home.cli(&["backup", copy.to_str().unwrap()], "");
        }
        12 => drop(home.cli(&["instance", "show", name], "")),
        13 => {
            let cron = format!("*/{} * * * * *", 1 + dice.below(3));
            let sections = format!("[[poll]]\ninstance = \"slow\"\ncron = \"{cron}\"\n");
            home.configure(&cron, if dice.one_in(2) { &sections } else { "" });
            home.hang_up();
        }
        14 => {
            let since = world.instant(-3.0);
            home.cli(&["outbox", "replay", "--since", &since, "--instance", name], "");
        }
        15 => drop(home.cli(&["instance", "ping", name], "")),
        _ => drop(home.cli(&["status"], "")),
    }
}
