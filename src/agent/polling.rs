//! The polling workers: each takes a resource that somebody waits for, or that is due, and gives it back whatever its poll
//! came to.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;

use super::panics::panicked;
use super::scheduler::{Job, Scheduler};
use super::{Floor, LOOK, OncePoll};
use crate::poll::{PollError, Poller};
use crate::store::{Depth, PollRecord, StoreError};

/// How long a polling worker waits for the scheduler's word before it looks by itself.
const LONG_LOOK: Duration = Duration::from_secs(60);

impl Floor<'_> {
    pub(super) fn poller(&self) -> Poller<'_> {
        let config = self.live.current();
        Poller {
            store: self.house.store,
            client: self.house.client,
            grants: &self.grants,
            clock: self.house.clock,
            batch: config.delivery.batch,
            max_events: config.outbox.max_events,
            stop: self.stop,
        }
    }

    /// One polling worker: takes the next resource that somebody waits for, or that is due.
    pub(super) fn poll_until_stopped(&self, scheduler: &Scheduler<'_>) {
        while !self.stopping() {
            let heard = self.polls.rings();
            match self.poll_next(scheduler) {
                Ok(true) => {}
                Ok(false) => self.polls.wait(heard, LONG_LOOK),
                Err(error) => {
                    // The poll may not even have begun: it would be due again at once.
                    log::error!("polling stalled error={:?}", error.to_string());
                    self.polls.wait(heard, LOOK);
                }
            }
        }
    }

    /// Polls the next resource; returns whether there was one.
    fn poll_next(&self, scheduler: &Scheduler<'_>) -> Result<bool, StoreError> {
        let Some(job) = scheduler.next()? else {
            return Ok(false);
        };
        let started_at = self.house.clock.now();
        let mut polled = Ok(());
        if panicked(|| polled = self.poll_for(job)) {
            polled = self.note_panic(job, started_at);
        }
        // Taken back first: whatever failed, it must be found due again.
        scheduler.done(job)?;
        polled.map(|()| true)
    }

    /// Keeps a poll that broke off by a panic as one that failed, so that it is not made again before its next time.
    fn note_panic(&self, job: Job, started_at: Timestamp) -> Result<(), StoreError> {
        let (store, error) = (self.house.store, "the poll broke off by a fault in deltapost");
        let record = PollRecord {
            error: Some(error.to_owned()),
            ..PollRecord::default()
        };
        store.end_poll(job.resource_id, started_at, &record, false)?;
        if let Some(request) = job.request {
            let answer = json!({"error": error, "hint": "please report it, with the agent's log"});
            store.answer_request(request.id, &answer.to_string())?;
        }
        Ok(())
    }

    /// Polls what `job` says, and answers whoever waits for it.
    fn poll_for(&self, job: Job) -> Result<(), StoreError> {
        let depth = job.request.map_or(Depth::Changes, |request| request.depth);
        let polled = self
            .poller()
            .poll(job.resource_id, depth, &mut |_| self.deliveries.ring());
        if let Some(request) = job.request {
            let answer = match &polled {
                Ok(record) => json!({"record": record}),
                Err(error) => json!({"error": error.to_string(), "hint": error.hint()}),
            };
            self.house.store.answer_request(request.id, &answer.to_string())?;
        }
        match polled {
            Err(PollError::Store(error)) => Err(error),
            _ => Ok(()),
        }
    }

    pub(super) fn poll_for_report(
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
}
