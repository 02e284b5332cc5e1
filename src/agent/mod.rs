//! The agent: a thread that keeps the timetable and hires who polls, workers that deliver, one that tells alerts, and the main
//! loop that keeps house between them. It is asked to stop through a flag, and stops between two requests.

mod alerts;
mod calendar;
mod command;
mod delivering;
mod floor;
mod housekeeping;
mod news;
mod panics;
mod polling;
mod reload;
mod scheduler;
mod systemd;
mod timetable;
mod watchdog;
mod watched_clock;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::{self, Scope};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

pub use self::delivering::drain;
pub use self::reload::ConfigFile;

use self::alerts::Alerter;
use self::floor::{Floor, LOOK};
use self::housekeeping::Housekeeper;
use self::reload::Reloader;
use self::scheduler::Scheduler;
use self::systemd::Pulse;
use self::timetable::Timetable;
use self::watched_clock::WatchedClock;
use crate::commands::House;
use crate::core::poll::Poll;
use crate::deliver::Tally;
use crate::poll::PollError;
use crate::store::{Depth, Rows, StoreError};

/// A request older than this at the agent's start was meant for an earlier agent.
const ASKED_BEFORE: SignedDuration = SignedDuration::from_secs(10);

/// How often it is looked whether a grant dies of idleness.
const IDLE_GRANTS: Duration = Duration::from_secs(60 * 60);

/// Who is employed beside those who poll and deliver: for the timetable, idle grants and alerts.
const OTHERS: usize = 3;

/// What `once` came to.
#[derive(Debug)]
pub struct OnceReport {
    pub polls: Vec<Poll>,
    pub delivery: Tally,
}

/// Runs until `stop` is set. Requests that are under way then have ten seconds to end; what is cut off is as safe as in a
/// crash. The settings are those in `house.live`, which become what `file` holds each time it is read again.
///
/// # Errors
/// When the database cannot be used at all, or is no longer where it was; a failing poll or delivery is no error of the agent.
pub fn run(house: &House, file: Option<ConfigFile>, stop: &AtomicBool) -> Result<(), StoreError> {
    let house = &watched(house);
    house.store.note_missing_key()?;
    house.store.note_settings_error(None, house.clock.now())?;
    house.store.resume_waits(house.clock.now(), true)?;
    // A command that was killed waits no more, and what it asked for is nobody's wish by now.
    let asked_before = house
        .clock
        .now()
        .saturating_sub(ASKED_BEFORE)
        .unwrap_or(Timestamp::MIN);
    house.store.purge_requests(asked_before)?;
    let floor = Floor::new(house, stop);
    let mut alerter = Alerter::new(house, stop)?;
    let scheduler = Scheduler::new(&house.store, &*house.clock, &house.live);
    let mut reloader = file.map(|file| Reloader::new(file, &house.live, &house.store, &*house.clock));
    thread::scope(|scope| {
        scope.spawn(|| floor.employed(|| floor.keep_time(scope, &scheduler, reloader.as_mut())));
        for _ in 0..house.config.delivery.workers {
            scope.spawn(|| floor.employed(|| floor.deliver_until_stopped(scope)));
        }
        scope.spawn(|| floor.employed(|| floor.keep_grants()));
        scope.spawn(|| floor.employed(|| alerter.work()));
        systemd::ready();
        let kept = floor.keep_house(&scheduler);
        stop.store(true, Ordering::Relaxed);
        systemd::stopping();
        scheduler.ring();
        floor.turns.ring();
        floor.see_out();
        kept
    })?;
    house.store.note_settings_error(None, house.clock.now())
}

/// Polls every resource that is polled at all once, then delivers what is due. Stops early when `stop` is set.
///
/// # Errors
/// When the database cannot be used.
pub fn once(
    house: &House,
    stop: &AtomicBool,
    progress: &(dyn Fn(&Poll) + Sync),
) -> Result<OnceReport, StoreError> {
    let house = &watched(house);
    house.store.resume_waits(house.clock.now(), true)?;
    let floor = Floor::new(house, stop);
    let mut housekeeper = Housekeeper::new(house, stop);
    housekeeper.look_to_the_end();
    let (resources, next) = (house.polled_resources()?, AtomicUsize::new(0));
    let (tell, polls) = mpsc::channel();
    thread::scope(|scope| {
        for _ in 0..house.config.schedule.workers {
            scope.spawn(|| {
                while !floor.stopping()
                    && let Some(id) = resources.get(next.fetch_add(1, Ordering::SeqCst))
                {
                    tell.send(floor.poll_for_report(*id, progress)).ok();
                }
            });
        }
    });
    drop(tell);
    let polls = polls.into_iter().collect::<Result<Vec<Poll>, _>>()?;
    let delivery = drain(house, stop)?;
    floor.grants.renew_idle(stop)?;
    housekeeper.look_to_the_end();
    show_next_polls(house, Rows::All)?;
    Alerter::new(house, stop)?.round();
    Ok(OnceReport { polls, delivery })
}

/// The house with its clock watched.
fn watched(house: &House) -> House {
    let clock = WatchedClock::new(Arc::clone(&house.clock), Arc::clone(&house.store));
    House {
        clock: Arc::new(clock),
        ..house.clone()
    }
}

/// Polls one resource in this process: for a command, when no agent runs.
///
/// # Errors
/// Those of the poll.
pub fn poll(
    house: &House,
    stop: &AtomicBool,
    resource_id: i64,
    depth: Depth,
    progress: &mut dyn FnMut(&Poll),
) -> Result<Poll, PollError> {
    house.store.resume_waits(house.clock.now(), false)?;
    let polled = Floor::new(house, stop)
        .poller()
        .poll(resource_id, depth, progress);
    show_next_polls(house, Rows::Beside(resource_id))?;
    polled
}

/// Shows when resources will be polled next, in place of an agent.
///
/// # Errors
/// When the database cannot be read or written.
pub fn show_next_polls(house: &House, rows: Rows) -> Result<(), StoreError> {
    let now = house.clock.now();
    let mut timetable = Timetable::new(now);
    timetable.take_in(&house.config.polling, now, |put| house.store.planned(rows, put))?;
    house.store.show_next_polls(&timetable.moved())
}

impl Floor<'_> {
    /// The scheduler's thread: reads the configuration again, keeps the timetable, and hires who polls what is due.
    fn keep_time<'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        scheduler: &'scope Scheduler<'_>,
        mut reloader: Option<&mut Reloader<'_>>,
    ) {
        while !self.stopping() {
            let reloaded = reloader.as_mut().map_or(Ok(()), |reloader| reloader.look());
            let looked = reloaded.and_then(|()| scheduler.look());
            // Where it is not known whether something is due, what the timetable says is polled all the same.
            let hired = match looked {
                Ok(false) => Ok(()),
                _ => self.hire_to_poll(scope, scheduler),
            };
            if let Err(error) = looked.and(hired) {
                log::error!("could not keep the timetable error={:?}", error.to_string());
            }
            self.beats.fetch_add(1, Ordering::Relaxed);
            scheduler.wait();
        }
    }

    /// Keeps house until the agent is asked to stop, or has lost its database.
    fn keep_house(&self, scheduler: &Scheduler<'_>) -> Result<(), StoreError> {
        let mut housekeeper = Housekeeper::new(self.house, self.stop);
        let mut pulse = Pulse::default();
        let employed = self.house.config.delivery.workers + OTHERS;
        while !self.stopping() {
            self.house.clock.sleep(LOOK);
            // What is written to a file without a name is written for nobody.
            self.house.store.stands_in_place()?;
            if housekeeper.look() {
                scheduler.ring();
            }
            let all_work = self.working.load(Ordering::SeqCst) == employed;
            pulse.look(&self.house.store, self.beats.load(Ordering::Relaxed), all_work);
            // Lines that were held back as repeats are told in time.
            log::logger().flush();
        }
        Ok(())
    }

    /// Keeps grants alive that no poll uses, until the agent is asked to stop.
    fn keep_grants(&self) {
        while !self.stopping() {
            if let Err(error) = self.grants.renew_idle(self.stop) {
                log::error!("could not renew idle grants error={:?}", error.to_string());
            }
            let mut waited = Duration::ZERO;
            while waited < IDLE_GRANTS && !self.stopping() {
                self.house.clock.sleep(LOOK);
                waited += LOOK;
            }
        }
    }
}
