//! One line on the terminal that says how far a poll is, redrawn in place and gone at the end.

use std::io::{self, IsTerminal, Write};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::Timestamp;

use super::table::counted;
use crate::clock::Clock;
use crate::core::poll::Poll;
use crate::core::shown::shown;

/// How long a line stands at least before it is redrawn.
const REDRAW: Duration = Duration::from_millis(200);

/// To the line's beginning, and the line away.
const CLEAR: &str = "\r\x1b[2K";

/// Whether the line stands on the terminal now.
static STANDS: AtomicBool = AtomicBool::new(false);

/// The line. Its end takes it away.
#[derive(Debug)]
pub(super) struct Progress<'a> {
    clock: &'a dyn Clock,
    started: Timestamp,
    /// When it may be drawn next; `None` where nobody looks at it.
    next: Mutex<Option<Timestamp>>,
}

impl<'a> Progress<'a> {
    /// A line for a poll that begins now, drawn only when standard error is a terminal.
    pub(super) fn new(clock: &'a dyn Clock) -> Progress<'a> {
        let started = clock.now();
        let next = io::stderr().is_terminal().then_some(started);
        Progress {
            clock,
            started,
            next: Mutex::new(next),
        }
    }

    /// Shows how far `poll` is.
    pub(super) fn show(&self, poll: &Poll) {
        let mut next = self.next.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let now = self.clock.now();
        if next.is_none_or(|next| now < next) {
            return;
        }
        *next = now.saturating_add(REDRAW).ok();
        let seconds = now.duration_since(self.started).as_secs_f64().max(0.001);
        let Poll {
            resource,
            pages,
            items,
            ..
        } = poll;
        let line = format!(
            "{}: {}, {}, {:.0} items/s",
            shown(resource),
            counted(*pages, "page"),
            counted(*items, "item"),
            *items as f64 / seconds
        );
        STANDS.store(true, Ordering::Relaxed);
        if write!(io::stderr(), "{CLEAR}{line}").is_err() {
            *next = None;
        }
    }
}

impl Drop for Progress<'_> {
    fn drop(&mut self) {
        // When even this fails there is no terminal any more to leave the line on.
        make_way(&mut io::stderr()).ok();
    }
}

/// Takes the line away before something else is written to standard error.
pub(super) fn make_way(stderr: &mut impl Write) -> io::Result<()> {
    match STANDS.swap(false, Ordering::Relaxed) {
        true => write!(stderr, "{CLEAR}"),
        false => Ok(()),
    }
}
