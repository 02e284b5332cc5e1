//! What the agent's threads share, who is at work, and how the last of them are seen out.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use super::panics::panicked;
use crate::clock;
use crate::commands::House;
use crate::deliver::Turns;
use crate::grants::Grants;
use crate::places::Places;

/// How often the house is kept, and how long a worker waits after the database has failed it.
pub(super) const LOOK: Duration = Duration::from_millis(500);

/// How long requests that are under way at a stop may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the workers share.
pub(super) struct Floor<'a> {
    pub(super) house: &'a House,
    pub(super) grants: Grants<'a>,
    /// For the work on pages.
    pub(super) pages: Places,
    /// Threads that poll.
    pub(super) polling: AtomicUsize,
    /// There are as many of them as there may be, and something is due.
    pub(super) crowded: AtomicBool,
    pub(super) turns: Turns,
    pub(super) stop: &'a AtomicBool,
    pub(super) working: AtomicUsize,
    /// How often the timetable's thread has looked around.
    pub(super) beats: AtomicU64,
}

impl<'a> Floor<'a> {
    pub(super) fn new(house: &'a House, stop: &'a AtomicBool) -> Floor<'a> {
        Floor {
            house,
            grants: Grants::new(&house.store, &house.client, &*house.clock),
            pages: Places::new(house.config.schedule.workers),
            polling: AtomicUsize::new(0),
            crowded: AtomicBool::new(false),
            turns: Turns::default(),
            stop,
            working: AtomicUsize::new(0),
            beats: AtomicU64::new(0),
        }
    }

    /// Counts a worker for as long as it works.
    pub(super) fn employed(&self, work: impl FnMut()) {
        self.working.fetch_add(1, Ordering::SeqCst);
        self.outliving_panics(work);
        self.working.fetch_sub(1, Ordering::SeqCst);
        self.turns.ring();
    }

    /// Takes work up again when it ends by a panic.
    pub(super) fn outliving_panics(&self, mut work: impl FnMut()) {
        while panicked(&mut work) && !self.stopping() {
            // What it had in hand is free again: somebody has to look.
            self.turns.ring();
            self.house.clock.sleep(LOOK);
        }
    }

    /// Waits for the workers' last requests, but not for ever.
    pub(super) fn see_out(&self) {
        let began = clock::monotonic_usec();
        let busy = || {
            let polling = self.polling.load(Ordering::SeqCst);
            self.working.load(Ordering::SeqCst) + polling + self.turns.hired() > 0
        };
        while busy() {
            if Duration::from_micros(clock::monotonic_usec() - began) >= PATIENCE {
                log::warn!("stopping with requests under way; they are made again at the next start");
                std::process::exit(0);
            }
            let heard = self.turns.rings();
            if busy() {
                self.turns.wait(heard, Duration::from_millis(20));
            }
        }
    }

    pub(super) fn stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}
