//! Log lines on standard error: what the rooms log as `key=value`, behind the time and the level, or behind the level in
//! journald's spelling where standard error is the journal, which knows the time itself.

use std::env;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::sync::{Mutex, MutexGuard, OnceLock};

use log::{Level, LevelFilter, Log, Metadata, Record};

use super::args::{Args, Command};
use super::progress;
use super::repeats::Repeats;
use super::reply::is_obeyed;
use crate::clock::{Clock, SystemClock};
use crate::core::model::time_text;

/// Begins to log what `args` ask for. Other crates' lines stay out: they may tell URLs with what is secret in them.
pub(super) fn start(args: &Args) {
    let level = match (&args.command, args.verbose, args.quiet) {
        (_, _, true) => LevelFilter::Error,
        (_, true, _) => LevelFilter::Debug,
        (Command::Run, ..) => LevelFilter::Info,
        // What fails there on purpose is told by the demonstration itself.
        (Command::Demo(_), ..) => LevelFilter::Error,
        _ => LevelFilter::Warn,
    };
    let lines = LINES.get_or_init(|| Lines {
        is_journal: is_journal(),
        repeats: Mutex::new(Repeats::new()),
    });
    log::set_logger(lines).expect("logging is started once");
    log::set_max_level(level);
}

/// Tells what was only counted so far: for the end of the process.
pub(super) fn end() {
    if let Some(lines) = LINES.get() {
        lines.tell_over(true);
    }
}

static LINES: OnceLock<Lines> = OnceLock::new();

/// Log lines on standard error.
#[derive(Debug)]
struct Lines {
    is_journal: bool,
    repeats: Mutex<Repeats>,
}

impl Log for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let crate_name = metadata.target().split("::").next();
        crate_name == Some(env!("CARGO_PKG_NAME")) && metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        self.tell_over(false);
        let (level, message) = (record.level(), record.args().to_string());
        // Who asks for everything gets everything.
        if level >= Level::Debug || self.repeats().is_told(level, &message, SystemClock.now()) {
            self.write(level, &message);
        }
    }

    fn flush(&self) {
        self.tell_over(false);
    }
}

impl Lines {
    fn tell_over(&self, end: bool) {
        let over = self.repeats().over(SystemClock.now(), end);
        for (level, message) in over {
            self.write(level, &message);
        }
    }

    fn write(&self, level: Level, message: &str) {
        let message: String = message.chars().map(on_one_line).collect();
        let line = match self.is_journal {
            true => format!("<{}>{message}\n", syslog_level(level)),
            false => format!("{} {level:<5} {message}\n", time_text(SystemClock.now())),
        };
        let mut stderr = io::stderr().lock();
        // Where standard error is gone, nobody is left to be told.
        progress::make_way(&mut stderr)
            .and_then(|()| stderr.write_all(line.as_bytes()))
            .ok();
    }

    fn repeats(&self) -> MutexGuard<'_, Repeats> {
        self.repeats
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// Values are escaped where they are logged; this is the last line of defence.
fn on_one_line(c: char) -> char {
    if is_obeyed(c) {
        char::REPLACEMENT_CHARACTER
    } else {
        c
    }
}

/// Whether standard error leads to the journal: systemd names the device and inode of what it has connected. The
/// variable alone proves nothing, since desktop sessions hand it on.
fn is_journal() -> bool {
    let stderr = fs::metadata("/proc/self/fd/2").map(|stderr| format!("{}:{}", stderr.dev(), stderr.ino()));
    env::var("JOURNAL_STREAM").is_ok_and(|stream| stderr.is_ok_and(|stderr| stderr == stream))
}

/// The priorities of syslog(3).
fn syslog_level(level: Level) -> u8 {
    match level {
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 6,
        Level::Debug | Level::Trace => 7,
    }
}
