//! The agent: workers that poll, workers that deliver, one that tells alerts, and the main loop that keeps house between
//! them. It is asked to stop through a flag, and stops between two requests.

mod alerts;
mod command;
mod housekeeping;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use self::alerts::Alerter;
use self::housekeeping::Housekeeper;
use crate::claims::{Claims, Found};
use crate::commands::House;
use crate::deliver::{Deliverer, Tally};
use crate::grants::Grants;
use crate::poll::{PollError, Poller};
use crate::store::{Depth, PollRecord, Request, StoreError};

/// How often the house is kept, and how often a worker looks for work that nobody told it of.
const LOOK: Duration = Duration::from_millis(500);

/// A request older than this at the agent's start was meant for an earlier agent.
const ASKED_BEFORE: SignedDuration = SignedDuration::from_secs(10);

/// How long requests that are under way at a stop may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often it is looked whether a grant dies of idleness.
const IDLE_GRANTS: Duration = Duration::from_secs(60 * 60);

/// What `once` came to.
#[derive(Debug, Default)]
pub struct OnceReport {
    pub polls: Vec<OncePoll>,
    pub delivery: Tally,
}

/// One of its polls.
#[derive(Debug)]
pub struct OncePoll {
    pub instance: String,
    pub resource: String,
    /// What it came to, or why it stopped short.
    pub outcome: Result<PollRecord, PollError>,
}

/// What the workers share.
struct Floor<'a> {
    house: &'a House<'a>,
    grants: Grants<'a>,
    polls: Claims,
    deliveries: Claims,
    stop: &'a AtomicBool,
    working: AtomicUsize,
}

/// Runs until `stop` is set. Requests that are under way then have ten seconds to end; what is cut off is as safe as in a
/// crash.
///
/// # Errors
/// When the database cannot be used at all; a failing poll or delivery is no error of the agent.
pub fn run(house: &House<'_>, stop: &AtomicBool) -> Result<(), StoreError> {
    house.store.note_missing_key()?;
    let now = house.clock.now();
    house.store.resume_interrupted_polls(now)?;
    // A command that was killed waits no more, and what it asked for is nobody's wish by now.
    house
        .store
        .purge_requests(now.saturating_sub(ASKED_BEFORE).unwrap_or(Timestamp::MIN))?;
    let floor = Floor::new(house, stop);
    let mut alerter = Alerter::new(house, stop)?;
    thread::scope(|scope| {
        for _ in 0..house.config.schedule.workers {
            scope.spawn(|| floor.employed(|| floor.poll_until_stopped()));
        }
        for _ in 0..house.config.delivery.workers {
            scope.spawn(|| floor.employed(|| floor.deliverer().work()));
        }
        scope.spawn(|| floor.employed(|| floor.keep_grants()));
        scope.spawn(|| floor.employed(|| alerter.work()));
        floor.keep_house();
        floor.polls.ring();
        floor.deliveries.ring();
        floor.see_out();
    });
    Ok(())
}

/// Polls every resource that is polled at all once, then delivers what is due. Stops early when `stop` is set.
///
/// # Errors
/// When the database cannot be used.
pub fn once(
    house: &House<'_>,
    stop: &AtomicBool,
    progress: &(dyn Fn(&str, &PollRecord) + Sync),
) -> Result<OnceReport, StoreError> {
    let floor = Floor::new(house, stop);
    let mut housekeeper = Housekeeper::new(house, stop);
    housekeeper.look();
    let queue = std::sync::Mutex::new(house.store.polled_resources()?.into_iter());
    let polls = std::sync::Mutex::new(Vec::new());
    let next = || {
        queue
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
            .next()
    };
    thread::scope(|scope| {
        for _ in 0..house.config.schedule.workers {
            scope.spawn(|| {
                while let Some(resource_id) = next().filter(|_| !stop.load(Ordering::Relaxed)) {
                    let poll = floor.poll_for_report(resource_id, progress);
                    polls
                        .lock()
                        .unwrap_or_else(|poisoned| poisoned.into_inner())
                        .push(poll);
                }
            });
        }
    });
    let mut report = OnceReport::default();
    for poll in polls
        .into_inner()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
    {
        report.polls.push(poll?);
    }
    report.delivery = drain(house, stop)?;
    floor.grants.renew_idle(stop)?;
    housekeeper.look();
    Alerter::new(house, stop)?.round();
    Ok(report)
}

/// Delivers what is due, with the configured number of workers.
///
/// # Errors
/// When the outbox cannot be read or written.
pub fn drain(house: &House<'_>, stop: &AtomicBool) -> Result<Tally, StoreError> {
    let floor = Floor::new(house, stop);
    let deliverer = floor.deliverer();
    thread::scope(|scope| {
        let workers: Vec<_> = (0..house.config.delivery.workers)
            .map(|_| scope.spawn(|| deliverer.drain()))
            .collect();
        let mut total = Tally::default();
        for worker in workers {
            let tally = worker
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
            total.delivered += tally.delivered;
            total.failed += tally.failed;
        }
        Ok(total)
    })
}

/// Polls one resource in this process: for a command, when no agent runs.
///
/// # Errors
/// Those of the poll.
pub fn poll(
    house: &House<'_>,
    stop: &AtomicBool,
    resource_id: i64,
    depth: Depth,
    progress: &mut dyn FnMut(&PollRecord),
) -> Result<PollRecord, PollError> {
    Floor::new(house, stop)
        .poller()
        .poll(resource_id, depth, progress)
}

impl<'a> Floor<'a> {
    fn new(house: &'a House<'a>, stop: &'a AtomicBool) -> Floor<'a> {
        Floor {
            house,
            grants: Grants::new(house.store, house.client, house.clock),
            polls: Claims::default(),
            deliveries: Claims::default(),
            stop,
            working: AtomicUsize::new(0),
        }
    }

    fn poller(&self) -> Poller<'_> {
        Poller {
            store: self.house.store,
            client: self.house.client,
            grants: &self.grants,
            clock: self.house.clock,
            batch: self.house.config.delivery.batch,
            max_events: self.house.config.outbox.max_events,
            stop: self.stop,
        }
    }

    fn deliverer(&self) -> Deliverer<'_> {
        Deliverer {
            store: self.house.store,
            sender: self.house.sender,
            clock: self.house.clock,
            settings: &self.house.config.delivery,
            graph_base: self.house.client.base(),
            claims: &self.deliveries,
            stop: self.stop,
        }
    }

    /// Counts a worker for as long as it works.
    fn employed(&self, mut work: impl FnMut()) {
        self.working.fetch_add(1, Ordering::SeqCst);
        while outlives(&mut work) && !self.stopping() {
            self.house.clock.sleep(LOOK);
        }
        self.working.fetch_sub(1, Ordering::SeqCst);
        self.polls.ring();
    }

    /// One polling worker: takes the next resource that somebody waits for, or that is due.
    fn poll_until_stopped(&self) {
        while !self.stopping() {
            let heard = self.polls.rings();
            match self.poll_next() {
                Ok(true) => {}
                Ok(false) => self.polls.wait(heard, LOOK),
                Err(error) => {
                    // The poll may not even have begun: it would be due again at once.
                    log::error!("polling stalled error={:?}", error.to_string());
                    self.polls.wait(heard, LOOK);
                }
            }
        }
    }

    /// Polls the next resource; returns whether there was one.
    fn poll_next(&self) -> Result<bool, StoreError> {
        let now = self.house.clock.now();
        let claim = self
            .polls
            .claim(|in_hand| self.next_poll(now, |id| in_hand.holds(id)))?;
        let Some(claim) = claim else { return Ok(false) };
        let depth = claim.work.map_or(Depth::Changes, |request| request.depth);
        let polled = self
            .poller()
            .poll(claim.key(), depth, &mut |_| self.deliveries.ring());
        if let Some(request) = claim.work {
            let answer = match &polled {
                Ok(record) => json!({"record": record}),
                Err(error) => json!({"error": error.to_string(), "hint": error.hint()}),
            };
            self.house.store.answer_request(request.id, &answer.to_string())?;
        }
        match polled {
            Err(PollError::Store(error)) => Err(error),
            _ => Ok(true),
        }
    }

    fn next_poll(
        &self,
        now: Timestamp,
        in_hand: impl Fn(i64) -> bool,
    ) -> Result<Option<Found<Option<Request>>>, StoreError> {
        let asked = self
            .house
            .store
            .waiting_requests()?
            .into_iter()
            .find(|ask| !in_hand(ask.resource_id));
        if let Some(request) = asked {
            return Ok(Some(Found {
                key: request.resource_id,
                group: 0,
                work: Some(request),
            }));
        }
        let due = self
            .house
            .store
            .due_resources(now)?
            .into_iter()
            .find(|id| !in_hand(*id));
        Ok(due.map(|key| Found {
            key,
            group: 0,
            work: None,
        }))
    }

    fn poll_for_report(
        &self,
        resource_id: i64,
        progress: &(dyn Fn(&str, &PollRecord) + Sync),
    ) -> Result<OncePoll, StoreError> {
        let (instance, resource) = self.house.store.resource_names(resource_id)?;
        let outcome = self.poller().poll(resource_id, Depth::Changes, &mut |record| {
            progress(&resource, record)
        });
        Ok(OncePoll {
            instance,
            resource,
            outcome,
        })
    }

    /// Keeps house until the agent is asked to stop.
    fn keep_house(&self) {
        let mut housekeeper = Housekeeper::new(self.house, self.stop);
        while !self.stopping() {
            self.house.clock.sleep(LOOK);
            if housekeeper.look() {
                self.polls.ring();
            }
        }
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

    /// Waits for the workers' last requests, but not for ever.
    fn see_out(&self) {
        let deadline = self
            .house
            .clock
            .now()
            .saturating_add(PATIENCE)
            .unwrap_or(Timestamp::MAX);
        while self.working.load(Ordering::SeqCst) > 0 {
            if self.house.clock.now() >= deadline {
                log::warn!("stopping with requests under way; they are made again at the next start");
                std::process::exit(0);
            }
            let heard = self.polls.rings();
            if self.working.load(Ordering::SeqCst) > 0 {
                self.polls.wait(heard, Duration::from_millis(100));
            }
        }
    }

    fn stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// Does a worker's work, and returns whether it ended by a panic: then it is taken up again, since what one resource or
/// endpoint brings about must not take a worker from the others. What was in hand is free again by then.
fn outlives(work: impl FnMut()) -> bool {
    let panicked = catch_unwind(AssertUnwindSafe(work)).is_err();
    if panicked {
        log::error!("a worker panicked, and goes on with other work; please report this");
    }
    panicked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_outlives_a_panic_in_its_work() {
        assert!(outlives(|| panic!("a page that nobody thought of")));
        assert!(!outlives(|| {}));
    }
}
