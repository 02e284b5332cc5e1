//! Log lines on standard error: what the rooms log as `key=value`, behind the time and the level, or behind the level in
//! journald's spelling where standard error is the journal, which knows the time itself.

use std::env;
use std::fs;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::sync::{Mutex, MutexGuard, OnceLock};

use log::{Level, LevelFilter, Log, Metadata, Record};

use super::args::{Args, Command};
use super::progress;
use super::repeats::Repeats;
use crate::clock::{Clock, SystemClock};
use crate::core::model::time_text;
use crate::core::shown::is_hidden;

/// Whose lines are told. Other crates' stay out: they may tell URLs with what is secret in them.
const OURS: &str = env!("CARGO_PKG_NAME");

/// Begins to log what `args` ask for.
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
        told: logger_at(level),
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

/// What of the lines of `level` goes to standard error, and how it looks there.
fn logger_at(level: LevelFilter) -> env_logger::Logger {
    let journal = is_journal();
    env_logger::Builder::new()
        .filter_module(OURS, level)
        .format(move |line, record| {
            progress::make_way(line)?;
            let level = record.level();
            let message: String = record.args().to_string().chars().map(on_one_line).collect();
            match journal {
                true => writeln!(line, "<{}>{message}", syslog_level(level)),
                false => writeln!(line, "{} {level:<5} {message}", time_text(SystemClock.now())),
            }
        })
        .build()
}

/// The lines that are told, and those that are only counted.
#[derive(Debug)]
struct Lines {
    told: env_logger::Logger,
    repeats: Mutex<Repeats>,
}

impl Log for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.told.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if !self.told.matches(record) {
            return;
        }
        self.tell_over(false);
        let (level, message) = (record.level(), record.args().to_string());
        // Who asks for everything gets everything.
        if level >= Level::Debug || self.repeats().is_told(level, &message, SystemClock.now()) {
            self.told.log(record);
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
            let mut line = Record::builder();
            line.level(level).target(OURS);
            self.told.log(&line.args(format_args!("{message}")).build());
        }
    }

    fn repeats(&self) -> MutexGuard<'_, Repeats> {
        self.repeats
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// Values are escaped where they are logged; this is the last line of defence.
fn on_one_line(c: char) -> char {
    if is_hidden(c) {
        char::REPLACEMENT_CHARACTER
    } else {
        c
    }
}

/// What a line of `level` that is none of the log's begins with: its priority, where standard error is the journal.
pub(super) fn priority(level: Level) -> String {
    match is_journal() {
        true => format!("<{}>", syslog_level(level)),
        false => String::new(),
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
