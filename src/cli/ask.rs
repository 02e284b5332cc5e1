//! Asking the running agent for polls, through the database, and waiting for its answers.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde::Deserialize;

use super::failure::Failure;
use super::house::Opened;
use crate::clock::Clock;
use crate::commands::House;
use crate::store::{Depth, PollRecord, StoreError};

/// How often the database is asked for an answer.
const LOOK: Duration = Duration::from_millis(100);

/// How many looks go by before it is made sure that the agent still runs.
const LOOKS_TO_AGENT: u32 = 10;

/// How long deliveries are waited for: those that are due are under way by then.
const DELIVERY: Duration = Duration::from_secs(60);

/// What the agent writes as the answer to a request.
#[derive(Debug, Deserialize)]
pub(super) struct Answer {
    /// What the poll came to, when it came to its end.
    pub(super) record: Option<PollRecord>,
    pub(super) error: Option<String>,
    pub(super) hint: Option<String>,
}

/// The agent that holds the lock, as a command sees it.
#[derive(Debug)]
pub(super) struct Agent<'a> {
    pub(super) opened: &'a Opened,
    pub(super) stop: &'a AtomicBool,
}

impl Agent<'_> {
    /// Has the agent poll `resources` at `depth`, and returns its answers in their order.
    ///
    /// # Errors
    /// When the agent ends meanwhile or this command is asked to stop. Requests without an answer are withdrawn.
    pub(super) fn poll(&self, resources: &[i64], depth: Depth) -> Result<Vec<Answer>, Failure> {
        let House { store, clock, .. } = self.opened.house();
        let mut requests = Vec::new();
        let mut answers = Vec::new();
        let answered = self.ask_and_wait(resources, depth, &mut requests, &mut answers, clock);
        for id in requests {
            store.withdraw_request(id)?;
        }
        answered.map(|()| answers)
    }

    fn ask_and_wait(
        &self,
        resources: &[i64],
        depth: Depth,
        requests: &mut Vec<i64>,
        answers: &mut Vec<Answer>,
        clock: &dyn Clock,
    ) -> Result<(), Failure> {
        let store = &self.opened.store;
        for resource in resources {
            requests.push(store.ask_for_poll(*resource, depth, clock.now())?);
        }
        for id in requests.iter() {
            let mut looks = 0;
            let answer = loop {
                if let Some(answer) = store.answer_to(*id)? {
                    break answer;
                }
                self.pause(&mut looks, clock)?;
            };
            answers.push(serde_json::from_str(&answer).map_err(|error| {
                Failure::failed(
                    format!("could not read the agent's answer: {error}"),
                    same_version(),
                )
            })?);
        }
        Ok(())
    }

    /// Waits until nothing is due for delivery any more. Returns whether that came in time.
    ///
    /// # Errors
    /// When the agent ends meanwhile or this command is asked to stop.
    pub(super) fn wait_for_deliveries(&self) -> Result<bool, Failure> {
        let House { store, clock, .. } = self.opened.house();
        let deadline = clock
            .now()
            .saturating_add(DELIVERY)
            .unwrap_or(jiff::Timestamp::MAX);
        let mut looks = 0;
        while store.next_due()?.is_some_and(|due| due <= clock.now()) {
            if clock.now() >= deadline {
                return Ok(false);
            }
            self.pause(&mut looks, clock)?;
        }
        Ok(true)
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

fn same_version() -> Option<String> {
    Some("the agent may be of another version: restart it".to_owned())
}
