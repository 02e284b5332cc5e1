//! The threads that deliver: the configured workers, and those that are hired while requests wait for their answers.

use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{self, Sender};
use std::thread::{self, Scope};

use jiff::Timestamp;

use super::floor::Floor;
use crate::commands::House;
use crate::config::Delivery;
use crate::deliver::{Deliverer, Seat, Tally};
use crate::store::StoreError;

/// The name of hired threads.
const HIRED: &str = "deliver";

/// Delivers what is due, with the configured number of workers.
///
/// # Errors
/// When the outbox cannot be read or written.
pub fn drain(house: &House, stop: &AtomicBool) -> Result<Tally, StoreError> {
    let floor = Floor::new(house, stop);
    let (by, (tell, tallies)) = (house.clock.now(), mpsc::channel());
    thread::scope(|scope| {
        for _ in 0..house.config.delivery.workers {
            scope.spawn(|| floor.drain(scope, by, false, &tell));
        }
    });
    drop(tell);
    tallies.into_iter().sum()
}

impl Floor<'_> {
    /// One delivering thread, with the settings that hold, until the agent is asked to stop.
    pub(super) fn deliver_until_stopped<'s>(&'s self, scope: &'s Scope<'s, '_>) {
        self.deliver_in(&self.turns.seat(false), scope);
    }

    /// Delivers until the agent is asked to stop, or the thread in `seat` is not needed any more.
    fn deliver_in<'s>(&'s self, seat: &Seat<'_>, scope: &'s Scope<'s, '_>) {
        let help = || {
            // It keeps its seat when it panics: it may have been the only one that looked for work.
            let seat = self.turns.seat(true);
            self.outliving_panics(|| self.deliver_in(&seat, scope));
        };
        let hire = || self.hire_to_deliver(scope, help);
        let mut needed = true;
        while needed && !self.stopping() {
            let config = self.house.live.current();
            needed = self
                .deliverer(&config.delivery)
                .work(seat, &|| !self.house.live.holds(&config), &hire);
        }
    }

    /// One thread of those that deliver what is due now.
    fn drain<'s>(
        &'s self,
        scope: &'s Scope<'s, '_>,
        by: Timestamp,
        hired: bool,
        tell: &'s Sender<Result<Tally, StoreError>>,
    ) {
        let seat = self.turns.seat(hired);
        let hire = || self.hire_to_deliver(scope, move || self.drain(scope, by, true, tell));
        let drained = self
            .deliverer(&self.house.config.delivery)
            .drain(by, &seat, Some(&hire));
        tell.send(drained).ok();
    }

    /// Starts a thread that helps to deliver. Where none can be started, those that there are go on alone.
    fn hire_to_deliver<'s>(&'s self, scope: &'s Scope<'s, '_>, work: impl FnOnce() + Send + 's) {
        let thread = thread::Builder::new().name(HIRED.to_owned());
        if let Err(error) = thread.spawn_scoped(scope, work) {
            drop(self.turns.seat(true));
            log::warn!(
                "could not start a thread to deliver error={:?}",
                error.to_string()
            );
        }
    }

    fn deliverer<'d>(&'d self, settings: &'d Delivery) -> Deliverer<'d> {
        Deliverer {
            store: &self.house.store,
            sender: &self.house.sender,
            clock: &*self.house.clock,
            settings,
            turns: &self.turns,
            stop: self.stop,
        }
    }
}
