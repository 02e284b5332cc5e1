//! Draining the outbox: due notifications out, recorded verdicts back. It knows nothing of feeds and cursors.
//!
//! A worker takes one instance at a time and sends its due notifications in their order, so that no two requests of an
//! instance are ever under way together. It stops at the first that is not accepted: what stands behind waits.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::callback::{Answer, Sender};
use crate::claims::Claims;
use crate::clock::{self, Clock};
use crate::core::model::{Instance, Secret, Settings, shown_url};
use crate::core::retry::{self, Outcome, Verdict};
use crate::core::{elements, sign};
use crate::killpoint;
use crate::store::{Attempt, Due, Store, StoreError};

/// How long answers may wait to be recorded together: one sync to the disk for many of them.
const GROUP: SignedDuration = SignedDuration::from_millis(50);

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

/// What delivery is given to work with.
#[derive(Clone, Copy, Debug)]
pub struct Deliverer<'a> {
    pub store: &'a Store,
    pub sender: &'a Sender,
    pub clock: &'a dyn Clock,
    /// `[delivery] retry`.
    pub waits: &'a [Duration],
    pub graph_base: &'a str,
    /// Which instances are in hand, for all workers.
    pub claims: &'a Claims,
    /// Set when the agent is asked to stop: a worker ends after the request it has under way.
    pub stop: &'a AtomicBool,
}

/// Where an instance's notifications go, and what goes with them.
struct Target {
    url: Secret,
    keys: Vec<Secret>,
    headers: Vec<(String, Secret)>,
}

impl Deliverer<'_> {
    /// Delivers until the agent is asked to stop. One of several workers that share `claims`.
    pub fn work(&self) {
        while !self.stopping() {
            let heard = self.claims.rings();
            match self.deliver_next() {
                Ok(Some(_)) => {}
                Ok(None) => self.claims.wait(heard, LOOK),
                Err(error) => {
                    log::error!("delivery stalled error={:?}", error.to_string());
                    self.claims.wait(heard, LOOK);
                }
            }
        }
    }

    /// Delivers until nothing is due that is not in another worker's hand. One of several workers.
    ///
    /// # Errors
    /// When the outbox cannot be read or written.
    pub fn drain(&self) -> Result<Tally, StoreError> {
        let mut total = Tally::default();
        while !self.stopping()
            && let Some(tally) = self.deliver_next()?
        {
            total.delivered += tally.delivered;
            total.failed += tally.failed;
        }
        Ok(total)
    }

    /// Takes the instance whose oldest notification has been due the longest, and delivers what is due of it. `None`
    /// where nothing is.
    fn deliver_next(&self) -> Result<Option<Tally>, StoreError> {
        let now = self.clock.now();
        let claim = self
            .claims
            .claim(|in_hand| self.store.due_notifications(now, |id| in_hand.contains(&id)))?;
        let Some((instance_id, run)) = claim.as_ref().map(|claim| (claim.key(), &claim.work)) else {
            return Ok(None);
        };
        let instance = self.store.instance(instance_id)?;
        let attempts = match target(&instance, self.graph_base) {
            Ok(target) => self.send_in_order(&instance, &target, run),
            Err(reason) => run
                .iter()
                .take(1)
                .map(|due| self.postponed(due, &reason))
                .collect(),
        };
        self.store.record_attempts(&attempts)?;
        killpoint::reached("recorded");
        let delivered = attempts
            .iter()
            .filter(|attempt| attempt.verdict == Verdict::Delivered)
            .count() as u64;
        Ok(Some(Tally {
            delivered,
            failed: attempts.len() as u64 - delivered,
        }))
    }

    /// Sends `run` one by one until one is not accepted, or the answers so far have waited long enough.
    fn send_in_order(&self, instance: &Instance, target: &Target, run: &[Due]) -> Vec<Attempt> {
        let began = self.clock.now();
        let mut attempts = Vec::with_capacity(run.len());
        for due in run {
            let attempt = self.send(instance, target, due);
            let go_on = attempt.verdict == Verdict::Delivered
                && self.clock.now().duration_since(began) < GROUP
                && !self.stopping();
            attempts.push(attempt);
            if !go_on {
                break;
            }
        }
        attempts
    }

    fn send(&self, instance: &Instance, target: &Target, due: &Due) -> Attempt {
        let at = self.clock.now();
        let answer = target.post(self.sender, self.clock, &due.event_id, at, &due.body);
        killpoint::reached("sent");
        let attempt = self.judged(due, at, &answer);
        log_attempt(instance, target, due, &attempt);
        attempt
    }

    fn judged(&self, due: &Due, at: Timestamp, answer: &Answer) -> Attempt {
        let now = self.clock.now();
        let outcome = Outcome {
            status: answer.status(),
            retry_after: answer.retry_after(),
        };
        let verdict = retry::decide(&outcome, due.attempts + 1, self.waits, now, clock::draw());
        Attempt {
            outbox_id: due.id,
            at,
            duration_ms: now.duration_since(at).as_millis().try_into().unwrap_or(i64::MAX),
            status: answer.status(),
            error: (verdict != Verdict::Delivered).then(|| answer.to_string()),
            verdict,
        }
    }

    /// An attempt that could not be made, since nothing may be sent.
    fn postponed(&self, due: &Due, reason: &str) -> Attempt {
        let now = self.clock.now();
        let verdict = retry::decide(
            &Outcome::default(),
            due.attempts + 1,
            self.waits,
            now,
            clock::draw(),
        );
        log::warn!("notification waits id={} error={reason:?}", due.id);
        Attempt {
            outbox_id: due.id,
            at: now,
            duration_ms: 0,
            status: None,
            error: Some(reason.to_owned()),
            verdict,
        }
    }

    fn stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// Sends `body` to the instance's endpoint once, signed as a notification with that id, and returns the answer.
///
/// # Errors
/// The reason why nothing may be sent.
pub fn send_once(
    sender: &Sender,
    clock: &dyn Clock,
    instance: &Instance,
    graph_base: &str,
    event_id: &str,
    body: &[u8],
) -> Result<Answer, String> {
    Ok(target(instance, graph_base)?.post(sender, clock, event_id, clock.now(), body))
}

impl Target {
    /// Posts `body`, signed for `now`, which is this attempt's time.
    fn post(
        &self,
        sender: &Sender,
        clock: &dyn Clock,
        event_id: &str,
        now: Timestamp,
        body: &[u8],
    ) -> Answer {
        let keys: Vec<&Secret> = self.keys.iter().collect();
        let signed = sign::headers(&keys, event_id, now, body);
        let own = [("Content-Type", "application/json")];
        let headers: Vec<(&str, &str)> = own
            .into_iter()
            .chain(signed.iter().map(|(name, value)| (*name, value.as_str())))
            .chain(
                self.headers
                    .iter()
                    .map(|(name, value)| (name.as_str(), value.expose())),
            )
            .collect();
        sender.post(&self.url, &headers, body, clock)
    }
}

/// Reads where the instance's notifications go. It is read for each run, so that a changed URL or key applies to
/// what waits.
fn target(instance: &Instance, graph_base: &str) -> Result<Target, String> {
    let settings = elements::settings(instance.element, &instance.configuration, graph_base)
        .map_err(|problems| problems.first().map_or_else(String::new, ToString::to_string))?;
    // Nothing that should be signed goes out unsigned.
    if let Some(key) = elements::withheld(&instance.configuration).first() {
        return Err(format!(
            "`{key}` cannot be opened: secret.key is missing or is another one"
        ));
    }
    let Settings {
        callback_url,
        signature_key,
        signature_key_previous,
        headers,
        ..
    } = settings;
    let url = callback_url.ok_or("the instance has no `event.notification.callback.url`")?;
    let keys = signature_key.into_iter().chain(signature_key_previous).collect();
    Ok(Target { url, keys, headers })
}

fn log_attempt(instance: &Instance, target: &Target, due: &Due, attempt: &Attempt) {
    let (instance, endpoint) = (&instance.name, shown_url(target.url.expose()));
    let Due { id, event_count, .. } = due;
    match attempt.verdict {
        Verdict::Delivered => log::debug!(
            "delivered id={id} instance={instance:?} events={event_count} duration_ms={}",
            attempt.duration_ms
        ),
        Verdict::Retry { at } => log::warn!(
            "not delivered id={id} instance={instance:?} endpoint={endpoint:?} attempt={} again={at:.3} error={:?}",
            due.attempts + 1,
            attempt.error.as_deref().unwrap_or_default()
        ),
    }
}
