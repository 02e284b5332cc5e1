//! From what came of an attempt to what happens next, to the notification and to its endpoint (spec, section 7). One
//! match decides; it knows neither the outbox nor the wire, and is handed the time, the waits and the die.
//!
//! There are two levels. An endpoint that fails backs off as a whole, one probe at a time, until it accepts something
//! or is disabled. A notification that is refused, or that fails while the endpoint accepts others, backs off alone,
//! and is dead after its last wait.

use std::time::Duration;

use jiff::Timestamp;

use super::model::EndpointState;

/// No `Retry-After` postpones anything by more than this.
pub const RETRY_AFTER_CAP: Duration = Duration::from_secs(24 * 60 * 60);

/// How often a refused notification is tried again before it is dead.
const REFUSALS: u32 = 3;

/// How many notifications in a row a receiver may refuse to death: then it is broken, and not they.
const DEATHS: u32 = 3;

/// What the answer to an attempt says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Any 2xx.
    Accepted,
    /// The receiver takes notifications, but not this one: 400, 413, 415, 422.
    Refused,
    /// 410: the receiver wants no more.
    Gone,
    /// Anything else, and no answer at all.
    Failed,
}

impl Class {
    /// What an answer with that status says; `None` where there was no whole answer.
    pub fn of(status: Option<u16>) -> Class {
        match status {
            Some(200..=299) => Class::Accepted,
            Some(400 | 413 | 415 | 422) => Class::Refused,
            Some(410) => Class::Gone,
            _ => Class::Failed,
        }
    }
}

/// One attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trial {
    pub class: Class,
    /// The answer's `Retry-After`, as a wait from its end.
    pub retry_after: Option<Duration>,
    pub began_at: Timestamp,
}

/// What is known of a notification's attempts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trials {
    /// How often it was refused.
    pub refusals: u32,
    /// How often it failed while its endpoint accepted others.
    pub failures: u32,
    /// When it last failed, for whatever reason.
    pub last_failed_at: Option<Timestamp>,
}

/// What is known of an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoint {
    pub state: EndpointState,
    /// Failures in a row: which of the waits it is in.
    pub failures: u32,
    /// Notifications that died in a row.
    pub deaths: u32,
    pub last_accepted_at: Option<Timestamp>,
    pub last_failed_at: Option<Timestamp>,
    /// When one notification may try it, unless it is active. `None`: only by hand.
    pub next_probe_at: Option<Timestamp>,
    /// Whether it asked for the wait itself, by `Retry-After`: then nothing tries it before.
    pub asked_to_wait: bool,
}

impl Default for Endpoint {
    fn default() -> Endpoint {
        Endpoint {
            state: EndpointState::Active,
            failures: 0,
            deaths: 0,
            last_accepted_at: None,
            last_failed_at: None,
            next_probe_at: None,
            asked_to_wait: false,
        }
    }
}

/// `[delivery]`, as far as it decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy<'a> {
    /// `retry`.
    pub waits: &'a [Duration],
    /// `on_failure = "queue"`: the first failure disables.
    pub queue: bool,
    /// `probe_disabled`; `None`: only by hand.
    pub probe_disabled: Option<Duration>,
}

/// What happens to a notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The receiver has it.
    Delivered,
    /// It is tried again: not before `at`, and when its endpoint may be tried.
    Pending { at: Timestamp, trials: Trials },
    /// It is not tried again by itself.
    Dead { trials: Trials },
}

/// Judges an attempt that has just ended. `draw`, from 0 up to 1, spreads each wait w evenly over w/2 to w.
pub fn decide(
    outcome: &Trial,
    trials: Trials,
    endpoint: Endpoint,
    policy: &Policy<'_>,
    now: Timestamp,
    draw: f64,
) -> (Fate, Endpoint) {
    let after = |wait: Duration| {
        later(
            now,
            wait.max(outcome.retry_after.unwrap_or_default().min(RETRY_AFTER_CAP)),
        )
    };
    let failed = Trials {
        last_failed_at: Some(now),
        ..trials
    };
    // In the turn of its endpoint, behind the others that wait for it.
    let in_turn = Fate::Pending {
        at: now,
        trials: failed,
    };
    let down = Endpoint {
        last_failed_at: Some(now),
        ..endpoint
    };
    // It did not wait for the endpoint's probe.
    let is_early = endpoint
        .next_probe_at
        .is_some_and(|probe| outcome.began_at < probe);
    match outcome.class {
        Class::Accepted => {
            let up = Endpoint {
                last_accepted_at: Some(now),
                last_failed_at: endpoint.last_failed_at,
                ..Endpoint::default()
            };
            (Fate::Delivered, up)
        }
        Class::Refused if endpoint.deaths < DEATHS => {
            let trials = Trials {
                refusals: trials.refusals + 1,
                ..failed
            };
            // A refusal by an endpoint on probation opens it for nobody: another notification is its next probe.
            let probed = match endpoint.state {
                EndpointState::Disabled => disabled(endpoint, policy, now),
                EndpointState::BackingOff if !is_early => Endpoint {
                    next_probe_at: Some(after(drawn(policy.wait(endpoint.failures), draw))),
                    ..endpoint
                },
                EndpointState::BackingOff | EndpointState::Active => endpoint,
            };
            if trials.refusals > REFUSALS {
                (
                    Fate::Dead { trials },
                    Endpoint {
                        deaths: endpoint.deaths + 1,
                        ..probed
                    },
                )
            } else {
                (
                    Fate::Pending {
                        at: after(drawn(policy.wait(trials.refusals), draw)),
                        trials,
                    },
                    probed,
                )
            }
        }
        Class::Gone => (in_turn, disabled(down, policy, now)),
        Class::Refused | Class::Failed => match endpoint.state {
            EndpointState::Active if accepts_others(&trials, &endpoint) => {
                let trials = Trials {
                    failures: trials.failures + 1,
                    ..failed
                };
                if trials.failures > policy.last() {
                    (
                        Fate::Dead { trials },
                        Endpoint {
                            deaths: endpoint.deaths + 1,
                            ..endpoint
                        },
                    )
                } else {
                    (
                        Fate::Pending {
                            at: after(drawn(policy.wait(trials.failures), draw)),
                            trials,
                        },
                        endpoint,
                    )
                }
            }
            // It had begun before the endpoint's failure was known: the same failure, told twice.
            EndpointState::BackingOff | EndpointState::Disabled
                if endpoint
                    .last_failed_at
                    .is_some_and(|failed_at| (outcome.began_at..=now).contains(&failed_at)) =>
            {
                (in_turn, endpoint)
            }
            // The early try of another instance failed, too. The wait goes on, unless the receiver asks for a longer one.
            EndpointState::BackingOff if is_early => {
                let longer = outcome.retry_after.map(|_| after(Duration::ZERO));
                let next_probe_at = endpoint.next_probe_at.max(longer);
                let asked_to_wait = longer.is_some();
                (
                    in_turn,
                    Endpoint {
                        next_probe_at,
                        asked_to_wait,
                        ..endpoint
                    },
                )
            }
            EndpointState::Disabled => (in_turn, disabled(down, policy, now)),
            EndpointState::Active | EndpointState::BackingOff => {
                let failures = endpoint.failures + 1;
                if policy.queue || failures > policy.last() {
                    return (in_turn, disabled(Endpoint { failures, ..down }, policy, now));
                }
                let next_probe_at = Some(after(drawn(policy.wait(failures), draw)));
                (
                    in_turn,
                    Endpoint {
                        state: EndpointState::BackingOff,
                        failures,
                        next_probe_at,
                        asked_to_wait: outcome.retry_after.is_some(),
                        ..down
                    },
                )
            }
        },
    }
}

impl Policy<'_> {
    /// The number of waits.
    fn last(&self) -> u32 {
        u32::try_from(self.waits.len()).unwrap_or(u32::MAX)
    }

    /// The wait after the `failure`th failure in a row, counted from 1; the last one stays.
    fn wait(&self, failure: u32) -> Duration {
        let index = failure.saturating_sub(1) as usize;
        self.waits
            .get(index)
            .or(self.waits.last())
            .copied()
            .unwrap_or(RETRY_AFTER_CAP)
    }
}

/// When a notification that could not even be tried, since its instance lacks what sending needs, is looked at again.
pub fn postponed(attempts_made: u32, policy: &Policy<'_>, now: Timestamp, draw: f64) -> Timestamp {
    later(now, drawn(policy.wait(attempts_made), draw))
}

/// Whether the endpoint has accepted another notification since this one last failed.
fn accepts_others(trials: &Trials, endpoint: &Endpoint) -> bool {
    match (trials.last_failed_at, endpoint.last_accepted_at) {
        (Some(failed_at), Some(accepted_at)) => accepted_at > failed_at,
        _ => false,
    }
}

fn disabled(endpoint: Endpoint, policy: &Policy<'_>, now: Timestamp) -> Endpoint {
    let next_probe_at = policy.probe_disabled.map(|wait| later(now, wait));
    Endpoint {
        state: EndpointState::Disabled,
        next_probe_at,
        ..endpoint
    }
}

fn later(now: Timestamp, wait: Duration) -> Timestamp {
    now.saturating_add(wait).unwrap_or(Timestamp::MAX)
}

/// Between half of `wait` and all of it.
fn drawn(wait: Duration, draw: f64) -> Duration {
    let half = wait / 2;
    half + (wait - half).mul_f64(draw.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests;
