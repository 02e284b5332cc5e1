//! Asking the running agent for polls, through the database, and waiting for its answers.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::failure::Failure;
use crate::clock::Clock;
use crate::commands::House;
use crate::core::poll::Poll;
use crate::store::{Depth, StoreError};

/// How often the database is asked for an answer.
const LOOK: Duration = Duration::from_millis(100);

/// How many looks go by before it is made sure that the agent still runs.
const LOOKS_TO_AGENT: u32 = 10;

/// How long deliveries are waited for: those that are due are under way by then.
const DELIVERY: Duration = Duration::from_secs(60);

/// The agent that holds the lock, as a command sees it.
#[derive(Debug)]
pub(super) struct Agent<'a> {
    pub(super) opened: &'a House,
    pub(super) stop: &'a AtomicBool,
}

impl Agent<'_> {
    /// Has the agent poll `resources` at `depth`, and returns its answers in their order.
    ///
    /// # Errors
    /// When the agent ends meanwhile or this command is asked to stop. Requests without an answer are withdrawn.
    pub(super) fn poll(&self, resources: &[i64], depth: Depth) -> Result<Vec<Poll>, Failure> {
        let House { store, clock, .. } = self.opened;
        let mut requests = Vec::new();
        for resource in resources {
            requests.push((store.ask_for_poll(*resource, depth, clock.now())?, *resource));
        }
        let answers = requests
            .iter()
            .map(|(request, resource)| self.answer(*request, *resource));
        let answers: Result<Vec<Poll>, Failure> = answers.collect();
        for (request, _) in requests {
            store.withdraw_request(request)?;
        }
        answers
    }

    fn answer(&self, request: i64, resource: i64) -> Result<Poll, Failure> {
        let House { store, clock, .. } = self.opened;
        let mut looks = 0;
        loop {
            if let Some(answer) = store.answer_to(request)? {
                return Ok(answer);
            }
            // A request goes with its resource, and would be waited for in vain.
            store
                .resource_names(resource)
                .map_err(|_| Failure::failed("the resource was removed while it was waited for", None))?;
            self.pause(&mut looks, &**clock)?;
        }
    }

    /// Waits until nothing is due for delivery any more, for a minute at most.
    ///
    /// # Errors
    /// When the agent ends meanwhile or this command is asked to stop.
    pub(super) fn wait_for_deliveries(&self) -> Result<(), Failure> {
        let House { store, clock, .. } = self.opened;
        let deadline = clock.uptime() + DELIVERY;
        let mut looks = 0;
        while clock.uptime() < deadline && store.next_due()?.is_some_and(|due| due <= clock.now()) {
            self.pause(&mut looks, &**clock)?;
        }
        Ok(())
    }

    fn pause(&self, looks: &mut u32, clock: &dyn Clock) -> Result<(), Failure> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(Failure::failed(
                "stopped by a signal; the agent may poll all the same",
                None,
            ));
        }
        *looks += 1;
        // Taking the lock is the proof that no agent holds it; it is let go of at once.
        if looks.is_multiple_of(LOOKS_TO_AGENT) {
            match self.opened.take_lock() {
                Err(StoreError::Locked { .. }) => {}
                Err(error) => return Err(error.into()),
                Ok(_) => {
                    let hint = "run it again: without an agent the command polls by itself".to_owned();
                    return Err(Failure::failed(
                        "the agent ended before it had answered",
                        Some(hint),
                    ));
                }
            }
        }
        clock.sleep(LOOK);
        Ok(())
    }
}
