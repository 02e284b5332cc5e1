//! The threads that poll: hired when something is due, each takes one resource after another, gives it back whatever its poll
//! came to, and leaves when nothing is due.

use std::sync::atomic::Ordering;
use std::thread::{self, Scope};

use jiff::Timestamp;

use super::floor::Floor;
use super::panics::panicked;
use super::scheduler::{Job, Scheduler};
use crate::core::poll::Poll;
use crate::poll::{PollError, Poller};
use crate::store::{Depth, StoreError};

/// How many resources may be polled at the same time. Most of such a time is spent waiting for the provider; how many pages are
/// worked on at a time is bounded by `[schedule] workers`.
const MOST_POLLS: usize = 64;

impl Floor<'_> {
    pub(super) fn poller(&self) -> Poller<'_> {
        let config = self.house.live.current();
        Poller {
            store: &self.house.store,
            client: &self.house.client,
            grants: &self.grants,
            clock: &*self.house.clock,
            batch: config.delivery.batch,
            max_events: config.outbox.max_events,
            pages: &self.pages,
            stop: self.stop,
            crowded: None,
        }
    }

    /// Hires a thread for each resource that somebody waits for, or that is due. It goes on with the next one, and leaves when
    /// there is none; so one that waits for the provider keeps nobody waiting. Where all that may be hired are, one of those
    /// that have polled for long is asked to make room.
    pub(super) fn hire_to_poll<'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        scheduler: &'scope Scheduler<'_>,
    ) -> Result<(), StoreError> {
        while !self.stopping() {
            if self.polling.load(Ordering::SeqCst) >= MOST_POLLS {
                self.crowded.store(true, Ordering::Relaxed);
                return Ok(());
            }
            self.crowded.store(false, Ordering::Relaxed);
            let Some(job) = scheduler.next()? else {
                return Ok(());
            };
            self.polling.fetch_add(1, Ordering::SeqCst);
            let hired = thread::Builder::new().spawn_scoped(scope, move || {
                self.poll_one_after_another(scheduler, job);
                self.polling.fetch_sub(1, Ordering::SeqCst);
            });
            if let Err(error) = hired {
                self.polling.fetch_sub(1, Ordering::SeqCst);
                scheduler.put_off(job);
                log::error!(
                    "could not start a thread that polls error={:?}",
                    error.to_string()
                );
                return Ok(());
            }
        }
        Ok(())
    }

    /// One polling thread: polls what it was hired for, and then whatever else is due.
    fn poll_one_after_another(&self, scheduler: &Scheduler<'_>, job: Job) {
        let mut next = Some(job);
        while let Some(job) = next {
            let polled = self.poll_next(scheduler, job);
            let found = polled.and_then(|()| match self.stopping() {
                true => Ok(None),
                false => scheduler.next(),
            });
            next = found.unwrap_or_else(|error| {
                log::error!("polling stalled error={:?}", error.to_string());
                None
            });
        }
    }

    fn poll_next(&self, scheduler: &Scheduler<'_>, job: Job) -> Result<(), StoreError> {
        let started_at = self.house.clock.now();
        let mut polled = Ok(());
        if panicked(|| polled = self.poll_for(job)) {
            polled = self.note_panic(job, started_at);
        }
        // Whatever failed, it must be found due again.
        match polled {
            Ok(()) => scheduler.done(job),
            Err(error) => {
                // The poll may not even have begun: it would be due again at once.
                scheduler.put_off(job);
                Err(error)
            }
        }
    }

    /// Keeps a poll that broke off by a panic as one that failed, so that it is not made again before its next time.
    fn note_panic(&self, job: Job, started_at: Timestamp) -> Result<(), StoreError> {
        let poll = Poll {
            error: Some("the poll broke off by a fault in deltapost".to_owned()),
            hint: Some("please report it, with the agent's log".to_owned()),
            ..Poll::begun(started_at)
        };
        self.house.store.end_poll(job.resource_id, &poll)?;
        match job.request {
            Some(request) => self.house.store.answer_request(request.id, &poll),
            None => Ok(()),
        }
    }

    /// Polls what `job` says, and answers whoever waits for it.
    fn poll_for(&self, job: Job) -> Result<(), StoreError> {
        let depth = job.request.map_or(Depth::Changes, |request| request.depth);
        let poller = Poller {
            crowded: job.request.is_none().then_some(&self.crowded),
            ..self.poller()
        };
        let polled = poller.poll(job.resource_id, depth, &mut |_| self.turns.ring());
        if let Some(request) = job.request {
            let answer = match &polled {
                Ok(poll) => poll.clone(),
                Err(error) => Poll::from(error),
            };
            self.house.store.answer_request(request.id, &answer)?;
        }
        match polled {
            Err(PollError::Store(error)) if !matches!(error, StoreError::Superseded) => Err(error),
            _ => Ok(()),
        }
    }

    /// Polls for `once`, and returns what came of it, by the names of instance and resource.
    pub(super) fn poll_for_report(
        &self,
        resource_id: i64,
        progress: &(dyn Fn(&Poll) + Sync),
    ) -> Result<Poll, StoreError> {
        let (instance, resource) = self.house.store.resource_names(resource_id)?;
        let polled = self
            .poller()
            .poll(resource_id, Depth::Changes, &mut |poll| progress(poll));
        Ok(Poll {
            instance,
            resource,
            ..polled.unwrap_or_else(|error| Poll::from(&error))
        })
    }
}
