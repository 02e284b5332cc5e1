//! Draining the outbox: due notifications out, recorded verdicts back. It knows nothing of feeds and cursors.
//!
//! A worker takes one instance at a time and sends its due notifications in their order, so that no two requests of an
//! instance are ever under way together. It stops at the first that is not accepted: what stands behind waits.

mod turns;

use std::iter::Sum;
use std::sync::atomic::{self, AtomicBool};
use std::time::Duration;

use jiff::Timestamp;

pub use self::turns::{Seat, Turns};

use self::turns::{Claim, PAUSE, Vain};
use crate::callback::{Answer, Sender};
use crate::clock::{self, Clock};
use crate::config::{Delivery, OnFailure, Ordering};
use crate::core::model::{Format, Instance, Notification, Secret};
use crate::core::retry::{Class, Fate, Policy, Trial};
use crate::core::{elements, sign};
use crate::killpoint;
use crate::store::{Attempt, Due, Recorded, Run, Store, StoreError, Turned};

/// How long answers may wait to be recorded together: one sync to the disk for many of them.
const GROUP: Duration = Duration::from_millis(50);

/// How often a worker looks for work that nobody told it of.
const LOOK: Duration = Duration::from_secs(1);

/// What a drain came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Notifications accepted.
    pub delivered: u64,
    /// Attempts that were not.
    pub failed: u64,
}

impl Sum for Tally {
    fn sum<I: Iterator<Item = Tally>>(tallies: I) -> Tally {
        tallies.fold(Tally::default(), |sum, tally| Tally {
            delivered: sum.delivered + tally.delivered,
            failed: sum.failed + tally.failed,
        })
    }
}

/// What a worker does while the disk refuses to record what was sent.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Refused {
    /// It keeps the run in hand: let go, it would be sent again and again.
    TryAgain,
    GiveUp,
}

/// What delivery is given to work with.
#[derive(Clone, Copy, Debug)]
pub struct Deliverer<'a> {
    pub store: &'a Store,
    pub sender: &'a Sender,
    pub clock: &'a dyn Clock,
    pub settings: &'a Delivery,
    /// What is under way, for all threads.
    pub turns: &'a Turns,
    /// Set when the agent is asked to stop: a worker ends after the request it has under way.
    pub stop: &'a AtomicBool,
}

/// Where an instance's notifications go, and what goes with them.
struct Target<'a> {
    url: &'a Secret,
    keys: Vec<&'a Secret>,
    headers: &'a [(String, Secret)],
}

impl Deliverer<'_> {
    /// Delivers until the agent is asked to stop, its settings are `outdated`, or the thread in `seat` is not needed any
    /// more; then it returns false. `hire` starts another thread with a hired seat.
    pub fn work(&self, seat: &Seat<'_>, outdated: &dyn Fn() -> bool, hire: &dyn Fn()) -> bool {
        while !self.stopping() && !outdated() {
            let heard = self.turns.rings();
            let pause = match self.deliver_next(self.clock.now(), Refused::TryAgain, Some(hire)) {
                Ok(Ok(_)) => continue,
                Ok(Err(Vain::Nothing)) => LOOK,
                Ok(Err(Vain::NoPlace)) => PAUSE,
                Err(error) => {
                    log::error!("delivery stalled error={:?}", error.to_string());
                    LOOK
                }
            };
            if seat.is_spare(self.settings.workers) {
                return false;
            }
            self.turns.wait(heard, pause);
        }
        true
    }

    /// Delivers until nothing is left that was due at `by`, nor in another thread's hand, or the thread in `seat` is not
    /// needed any more. What fails is not tried again, however long others take and whatever becomes of the clock.
    ///
    /// # Errors
    /// When the outbox cannot be read or written.
    pub fn drain(
        &self,
        by: Timestamp,
        seat: &Seat<'_>,
        hire: Option<&dyn Fn()>,
    ) -> Result<Tally, StoreError> {
        let mut total = Tally::default();
        while !self.stopping() {
            let heard = self.turns.rings();
            match self.deliver_next(by.min(self.clock.now()), Refused::GiveUp, hire)? {
                Ok(tally) => {
                    total.delivered += tally.delivered;
                    total.failed += tally.failed;
                }
                Err(Vain::NoPlace) => self.turns.wait(heard, PAUSE),
                Err(Vain::Nothing) if self.turns.is_idle() || seat.is_spare(self.settings.workers) => break,
                Err(Vain::Nothing) => self.turns.wait(heard, 4 * PAUSE),
            }
        }
        Ok(total)
    }

    /// Takes the run whose turn it is among those that are due at `by`, and sends it until the first failure.
    fn deliver_next(
        &self,
        by: Timestamp,
        refused: Refused,
        hire: Option<&dyn Fn()>,
    ) -> Result<Result<Tally, Vain>, StoreError> {
        let settings = self.settings;
        let lanes = (settings.ordering == Ordering::None).then_some(settings.workers);
        let claimed = self.turns.claim(settings.workers, hire.is_some(), |state| {
            self.store.due_run(
                by,
                lanes,
                |lane| state.holds(lane),
                |waiting| state.in_turn(waiting, settings.per_endpoint),
            )
        })?;
        let claim = match claimed {
            Ok(claim) => claim,
            Err(vain) => return Ok(Err(vain)),
        };
        if let Some(hire) = hire.filter(|_| claim.hires) {
            hire();
        }
        let run = &claim.run;
        let attempts = match Target::of(&run.instance) {
            Ok(target) => self.send_in_order(&target, &claim),
            Err(reason) => {
                self.turns.withhold(run.instance.id, &run.waiting.version);
                let withheld = run.notifications.iter().take(1);
                withheld.map(|due| self.withheld(due, run, &reason)).collect()
            }
        };
        claim.answered();
        let recorded = self.record(&attempts, refused)?;
        killpoint::reached("recorded");
        log_recorded(run, &attempts, &recorded);
        let delivered = recorded
            .iter()
            .filter(|recorded| recorded.fate == Fate::Delivered)
            .count() as u64;
        Ok(Ok(Tally {
            delivered,
            failed: recorded.len() as u64 - delivered,
        }))
    }

    /// Records what was sent.
    ///
    /// # Errors
    /// The store's word; of a worker that tries again its last one, when the agent is asked to stop meanwhile.
    fn record(&self, attempts: &[Attempt], refused: Refused) -> Result<Vec<Recorded>, StoreError> {
        loop {
            match self.store.record_attempts(attempts, &self.policy()) {
                Err(error) if refused == Refused::TryAgain && !self.stopping() => {
                    log::error!(
                        "could not record deliveries, trying again error={:?}",
                        error.to_string()
                    );
                    let heard = self.turns.rings();
                    self.turns.wait(heard, LOOK);
                }
                recorded => return recorded,
            }
        }
    }

    /// Sends a run one by one until one is not accepted, or the answers so far have waited long enough.
    fn send_in_order(&self, target: &Target<'_>, claim: &Claim<'_>) -> Vec<Attempt> {
        let (began, run) = (self.clock.uptime(), &claim.run);
        let mut attempts = Vec::with_capacity(run.notifications.len());
        for due in &run.notifications {
            claim.asked();
            let attempt = self.send(target, run, due);
            let go_on = attempt
                .outcome
                .is_some_and(|outcome| outcome.class == Class::Accepted)
                && clock::since(began, self.clock) < GROUP
                && !self.stopping();
            attempts.push(attempt);
            if !go_on {
                break;
            }
        }
        attempts
    }

    fn send(&self, target: &Target<'_>, run: &Run, due: &Due) -> Attempt {
        let began_at = self.clock.now();
        let answer = target.post(
            self.sender,
            self.clock,
            &due.event_id,
            due.format,
            began_at,
            &due.body,
        );
        killpoint::reached("sent");
        let class = Class::of(answer.status());
        Attempt {
            outbox_id: due.id,
            endpoint_id: run.waiting.endpoint_id,
            began_at,
            ended_at: self.clock.now(),
            status: answer.status(),
            error: (class != Class::Accepted).then(|| answer.to_string()),
            outcome: Some(Trial {
                class,
                retry_after: answer.retry_after(),
                began_at,
            }),
            draw: clock::draw(),
        }
    }

    /// An attempt that could not be made, since nothing may be sent.
    fn withheld(&self, due: &Due, run: &Run, reason: &str) -> Attempt {
        let now = self.clock.now();
        Attempt {
            outbox_id: due.id,
            endpoint_id: run.waiting.endpoint_id,
            began_at: now,
            ended_at: now,
            status: None,
            error: Some(reason.to_owned()),
            outcome: None,
            draw: clock::draw(),
        }
    }

    fn policy(&self) -> Policy<'_> {
        Policy {
            waits: &self.settings.retry,
            queue: self.settings.on_failure == OnFailure::Queue,
            probe_disabled: self.settings.probe_disabled,
        }
    }

    fn stopping(&self) -> bool {
        self.stop.load(atomic::Ordering::Relaxed)
    }
}

/// Sends `notification` to the instance's endpoint once, and returns the answer.
///
/// # Errors
/// The reason why nothing may be sent.
pub fn send_once(
    sender: &Sender,
    clock: &dyn Clock,
    instance: &Instance,
    notification: &Notification,
) -> Result<Answer, String> {
    let Notification {
        event_id,
        format,
        body,
        ..
    } = notification;
    Ok(Target::of(instance)?.post(sender, clock, event_id, *format, clock.now(), body))
}

impl Target<'_> {
    /// Where the instance's notifications go. It is asked for each run, so that a changed URL or key applies to what waits.
    fn of(instance: &Instance) -> Result<Target<'_>, String> {
        let settings = match &instance.settings {
            Ok(settings) => settings,
            Err(problems) => return Err(problems.first().map_or_else(String::new, ToString::to_string)),
        };
        // Nothing that should be signed goes out unsigned.
        if let Some(key) = elements::withheld(&instance.configuration).first() {
            return Err(format!(
                "`{key}` cannot be opened: secret.key is missing or is another one"
            ));
        }
        let url = settings.callback_url.as_ref();
        Ok(Target {
            url: url.ok_or("the instance has no `event.notification.callback.url`")?,
            keys: settings
                .signature_key
                .iter()
                .chain(&settings.signature_key_previous)
                .collect(),
            headers: &settings.headers,
        })
    }

    /// Posts `body`, signed for `now`, which is this attempt's time.
    fn post(
        &self,
        sender: &Sender,
        clock: &dyn Clock,
        event_id: &str,
        format: Format,
        now: Timestamp,
        body: &[u8],
    ) -> Answer {
        let signed = sign::headers(&self.keys, event_id, now, body);
        let own = [("Content-Type", format.content_type())];
        let headers: Vec<(&str, &str)> = own
            .into_iter()
            .chain(signed.iter().map(|(name, value)| (*name, value.as_str())))
            .chain(
                self.headers
                    .iter()
                    .map(|(name, value)| (name.as_str(), value.expose())),
            )
            .collect();
        let values = self.headers.iter().map(|(_, value)| value);
        let hidden: Vec<&Secret> = values.chain(self.keys.iter().copied()).collect();
        sender.post_hiding(&hidden, self.url, &headers, body, clock)
    }
}

fn log_recorded(run: &Run, attempts: &[Attempt], recorded: &[Recorded]) {
    let instance = &run.instance.name;
    for Recorded {
        outbox_id: id,
        fate,
        turned,
    } in recorded
    {
        let due = run.notifications.iter().find(|due| due.id == *id);
        let (number, events) = due.map_or((0, 0), |due| (due.attempts + 1, due.event_count));
        let attempt = attempts.iter().find(|attempt| attempt.outbox_id == *id);
        let error = attempt
            .and_then(|attempt| attempt.error.as_deref())
            .unwrap_or_default();
        match fate {
            Fate::Delivered => log::debug!("delivered id={id} instance={instance:?} events={events}"),
            Fate::Pending { at, .. } => {
                log::warn!(
                    "not delivered id={id} instance={instance:?} attempt={number} again={at:.3} error={error:?}"
                );
            }
            Fate::Dead { .. } => {
                log::error!(
                    "notification dead id={id} instance={instance:?} attempt={number} error={error:?}"
                );
            }
        }
        if let Some(Turned {
            url,
            from,
            to,
            next_probe_at,
        }) = turned
        {
            let probe = next_probe_at.map_or_else(|| "none".to_owned(), |at| format!("{at:.3}"));
            log::warn!("endpoint {to} url={url:?} from={from} next_probe={probe} error={error:?}");
        }
    }
}
