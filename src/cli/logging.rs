//! Log lines on standard error: what the rooms log as `key=value`, behind the time and the level, or behind the level in
//! journald's spelling where standard error is the journal, which knows the time itself.

use std::env;
use std::fs;
use std::io::Write;
use std::os::unix::fs::MetadataExt;

use log::{Level, LevelFilter};

use super::args::{Args, Command};
use super::progress;
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
    let journal = is_journal();
    let started = env_logger::Builder::new()
        .filter_module(env!("CARGO_PKG_NAME"), level)
        .format(move |line, record| {
            progress::make_way(line)?;
            let message = record.args();
            match journal {
                true => writeln!(line, "<{}>{message}", syslog_level(record.level())),
                false => writeln!(
                    line,
                    "{} {:<5} {message}",
                    time_text(SystemClock.now()),
                    record.level()
                ),
            }
        })
        .try_init();
    started.expect("logging is started once");
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
