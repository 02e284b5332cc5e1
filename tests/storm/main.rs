//! A storm over the whole agent, written from its contract alone: a model of several drives, receivers and a provider at
//! their worst, kills, a clock that is set, and commands beside the agent. In the end nothing may be lost, invented, late
//! or stuck, and no secret may have come out.
//!
//! It is a program of its own beside `tests/it`, since it takes options instead of the names of tests:
//! `cargo test --test storm -- [--seed N] [--seconds N] [--hanging N] [--without CLASS,…] [--with CLASS]` drives `$DELTAPOST_BIN`, else
//! the binary that cargo has built. Classes that can be left out: `kills`, `clock`, `commands`, `late`, `throttle`, `secrets`,
//! `health`; `creation` (drives stand still until an instance's first reading has ended) and `timetable` (in the end
//! everything is polled by hand).

#![expect(clippy::unwrap_used, reason = "a storm that fails should fail at once")]

mod agent;
mod calm;
mod dice;
mod drive;
mod http;
mod judge;
mod posts;
mod provider;
mod receivers;
mod replay;
mod weather;
mod world;

use std::process::ExitCode;
use std::sync::Arc;

use world::World;

struct Options {
    seed: u64,
    seconds: f64,
    hanging: usize,
    without: Vec<String>,
}

/// `None` when other tests are meant than this.
fn options() -> Option<Options> {
    let mut options = Options {
        seed: 1,
        seconds: 10.0,
        hanging: 24,
        // Health says nothing yet of a receiver that fails.
        without: vec!["failing-receivers".to_owned()],
    };
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let mut value = || args.next().unwrap_or_else(|| panic!("{arg} wants a value"));
        match arg.as_str() {
            "--seed" => options.seed = value().parse().expect("--seed is a number"),
            "--seconds" => options.seconds = value().parse().expect("--seconds is a number"),
            "--hanging" => options.hanging = value().parse().expect("--hanging is a number"),
            "--without" => options.without.extend(value().split(',').map(str::to_owned)),
            "--with" => {
                let with = value();
                options.without.retain(|class| *class != with);
            }
            "--list" => return None,
            // Words filter tests by name, and other options are the usual harness's.
            word if !word.starts_with('-') && !"storm".contains(word) => return None,
            _ => {}
        }
    }
    Some(options)
}

fn main() -> ExitCode {
    let Some(options) = options() else {
        return ExitCode::SUCCESS;
    };
    println!("storm: --seed {} --seconds {}", options.seed, options.seconds);
    // It is kept where the storm breaks off, too.
    let dir = tempfile::Builder::new()
        .prefix("storm-")
        .tempdir()
        .unwrap()
        .keep();
    let world = Arc::new(World::new(options.seed, options.without, dir.clone()));
    let broken = storm(&world, options.seconds, options.hanging);
    println!("storm: {}", calm::figures(&world));
    if broken.is_empty() {
        world.home.kill();
        std::fs::remove_dir_all(&dir).unwrap();
        return ExitCode::SUCCESS;
    }
    let diary = world.diary.lock().unwrap().join("\n");
    let all: Vec<String> = broken.iter().map(ToString::to_string).collect();
    std::fs::write(dir.join("diary.txt"), diary).unwrap();
    std::fs::write(dir.join("broken.txt"), all.join("\n")).unwrap();
    let mut promises: Vec<&str> = broken.iter().map(|broken| broken.promise).collect();
    promises.sort_unstable();
    promises.dedup();
    for promise in promises {
        let mine = broken.iter().filter(|broken| broken.promise == promise);
        println!("\n{} times:", mine.clone().count());
        mine.take(3).for_each(|broken| println!("    {broken}"));
    }
    println!(
        "\nstorm: --seed {} broke {} promises; everything is kept in {}",
        options.seed,
        broken.len(),
        dir.display()
    );
    ExitCode::FAILURE
}

fn storm(world: &Arc<World>, seconds: f64, hanging: usize) -> Vec<judge::Broken> {
    assert_eq!(world.home.cli(&["init"], "").code, 0);
    world.home.start().unwrap();
    for (plan, temper) in world::plans(hanging) {
        world.receivers.set(&plan.receiver, temper);
        assert!(
            world.create(&plan, false),
            "{} is not created: {}",
            plan.name,
            world.home.dir().display()
        );
    }
    weather::blow(world, dice::now() + seconds);
    calm::judge(world)
}
