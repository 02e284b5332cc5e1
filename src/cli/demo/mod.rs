//! `demo`: the real agent between a simulated OneDrive where things happen and a receiver that checks what it is sent.
//! Everything is on loopback and in a temporary directory, and nothing of it is left.

mod stage;
mod teller;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::args::{Args, DemoArgs};
use super::ask::Agent;
use super::failure::Failure;
use super::reply::Reply;
use super::signals;
use crate::agent;
use crate::clock;
use crate::core::poll::Poll;
use crate::sim::onedrive::Tree;
use crate::sim::receiver::Answer;
use crate::sim::replay::replay;
use crate::sim::script::Script;
use crate::store::{Depth, StoreError};
use stage::Scratch;
use stage::Stage;
use teller::{Summary, Teller};

/// How often something happens on the drive.
const STEP: Duration = Duration::from_millis(400);

/// How long passes between two polls.
const BETWEEN_POLLS: Duration = Duration::from_secs(1);

/// How long deliveries may take after the last change.
const LAST_DELIVERIES: SignedDuration = SignedDuration::from_secs(5);

/// Runs the demonstration, and tells what it came to. It fails when anything was lost, doubled or not signed well.
pub(super) fn demo(args: &Args, wanted: &DemoArgs) -> Result<Reply, Failure> {
    let scratch = Scratch::new()?;
    let place = scratch.0.clone();
    let stop = signals::stop_flag_over(move || stage::remove(&place))?;
    let teller = Arc::new(Teller::new(!args.json, Arc::clone(&stop)));
    let mut script = Script::new(u64::from_le_bytes(clock::random_bytes()));
    let stage = Stage::set(scratch, wanted.callback.as_deref(), &mut script, &teller)?;
    let play = Play {
        stage: &stage,
        teller: &teller,
        stop: &stop,
        polls: Mutex::default(),
    };
    let summary = play.perform(script, wanted.seconds)?;
    Ok(Reply::either(args, &summary, || summary.words()).failing(summary.failure()))
}

/// What polls came to together.
#[derive(Debug, Default)]
struct Polls {
    count: u64,
    error: Option<String>,
}

/// One demonstration under way.
struct Play<'a> {
    stage: &'a Stage,
    teller: &'a Teller,
    stop: &'a AtomicBool,
    polls: Mutex<Polls>,
}

/// Sets its flag at its end, also by a panic: the agent's threads would else be waited for in vain.
struct SetAtEnd<'a>(&'a AtomicBool);

impl Drop for SetAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Play<'_> {
    fn perform(&self, script: Script, seconds: u64) -> Result<Summary, Failure> {
        // Held by this process, so that it counts as the running agent.
        let _lock = self.stage.opened.take_lock()?;
        let end_agent = AtomicBool::new(false);
        thread::scope(|scope| {
            let agent = scope.spawn(|| agent::run(&self.stage.opened, None, &end_agent));
            let performed = {
                let _end = SetAtEnd(&end_agent);
                self.acts(script, seconds)
            };
            agent
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
            performed
        })
    }

    /// The baseline; changes, polls and deliveries; the last poll and its deliveries; and what became of it all.
    fn acts(&self, script: Script, seconds: u64) -> Result<Summary, Failure> {
        let started = self.now();
        let learnt = self.poll()?;
        self.teller.learnt(&learnt);
        let before = self.stage.drive.tree();
        let changes = self.changes(script, started, SignedDuration::from_secs(seconds.cast_signed()))?;
        self.poll()?;
        let (pending, last_error) = self.last_deliveries()?;
        let polls = self.polls.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let (delivered, events) = self.stage.delivered()?;
        Ok(Summary {
            seconds: (self.now().duration_since(started).as_secs_f64() * 10.0).round() / 10.0,
            polls: polls.count,
            failed_poll: polls.error.clone(),
            changes,
            notifications: delivered,
            events,
            pending,
            last_error,
            received: self
                .stage
                .receiver
                .as_ref()
                .map(|receiver| receiver.counts().into()),
            contradictions: self.contradictions(&before),
        })
    }

    /// Lets things happen on the drive, polling beside, for `length` from `started` or until the user has seen enough.
    /// Returns how many things happened.
    fn changes(
        &self,
        mut script: Script,
        started: Timestamp,
        length: SignedDuration,
    ) -> Result<u64, Failure> {
        let enough = AtomicBool::new(false);
        thread::scope(|scope| {
            let polls = scope.spawn(|| self.poll_until(&enough));
            let _end = SetAtEnd(&enough);
            let (mut changes, mut refused) = (0, false);
            while !self.stop.load(Ordering::Relaxed) {
                let past = self.now().duration_since(started);
                if past >= length {
                    break;
                }
                if past >= length / 2 && !std::mem::replace(&mut refused, true) {
                    self.refuse_one();
                }
                self.stage.drive.advance_to(self.now());
                self.teller.changed(&script.step(&self.stage.drive));
                changes += 1;
                self.stage.opened.clock.sleep(STEP);
                self.stage.tell_delivered(self.teller)?;
            }
            enough.store(true, Ordering::Relaxed);
            polls
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
            Ok(changes)
        })
    }

    /// The receiver fails once: what it was sent must come again.
    fn refuse_one(&self) {
        if let Some(receiver) = &self.stage.receiver {
            receiver.answer_next(1, Answer::Status(500));
        }
    }

    fn poll_until(&self, enough: &AtomicBool) -> Result<(), Failure> {
        while !enough.load(Ordering::Relaxed) {
            self.poll()?;
            self.stage.opened.clock.sleep(BETWEEN_POLLS);
        }
        Ok(())
    }

    /// Has the agent poll the drive. A failed poll is kept for the end.
    fn poll(&self) -> Result<Poll, Failure> {
        let never = AtomicBool::new(false);
        let agent = Agent {
            opened: &self.stage.opened,
            stop: &never,
        };
        let answers = agent.poll(&[self.stage.resource], Depth::Changes)?;
        let mut polls = self.polls.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let mut last = Poll::default();
        for poll in answers {
            polls.count += 1;
            polls.error = polls.error.take().or_else(|| poll.error.clone());
            last = poll;
        }
        Ok(last)
    }

    /// Waits for what is pending. Returns how many notifications still are when the time is over, and why.
    fn last_deliveries(&self) -> Result<(u64, Option<String>), StoreError> {
        let deadline = self
            .now()
            .saturating_add(LAST_DELIVERIES)
            .unwrap_or(Timestamp::MAX);
        while self.stage.opened.store.next_due()?.is_some() && self.now() < deadline {
            self.stage.opened.clock.sleep(Duration::from_millis(50));
        }
        self.stage.tell_delivered(self.teller)?;
        self.stage.pending()
    }

    /// What the events that arrived, told to somebody who knew the drive as it was `before`, get wrong about it.
    fn contradictions(&self, before: &Tree) -> Vec<String> {
        let Some(receiver) = &self.stage.receiver else {
            return Vec::new();
        };
        match replay(before, &receiver.events()) {
            Ok(tree) if tree == self.stage.drive.tree() => Vec::new(),
            Ok(_) => vec!["the drive that the events describe is another one".to_owned()],
            Err(contradictions) => contradictions,
        }
    }

    fn now(&self) -> Timestamp {
        self.stage.opened.clock.now()
    }
}
