//! The only reading of the time, the only sleeping, and the only dice. Everything that decides takes their results.

use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use jiff::Timestamp;
use nix::time::{ClockId, clock_gettime};
use ring::rand::{SecureRandom, SystemRandom};
use uuid::Uuid;

use crate::core::waits::SLACK;

/// Tells the time and passes it. Two implementations: the machine's, and the one that tests turn by hand.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// The present instant.
    fn now(&self) -> Timestamp;

    /// How long the machine has run, sleep included. Nobody can set it; it is what lengths of time are measured by.
    fn uptime(&self) -> Duration {
        reading(ClockId::CLOCK_BOOTTIME)
    }

    /// Returns after `wait` has passed on this clock.
    fn sleep(&self, wait: Duration);
}

/// The machine's clock.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that reads the time"
    )]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    #[expect(clippy::disallowed_methods, reason = "this is the one place that sleeps")]
    fn sleep(&self, wait: Duration) {
        std::thread::sleep(wait);
    }
}

/// A clock that stands still until it is told otherwise; sleeping on it moves it.
#[derive(Debug)]
pub struct FakeClock(Mutex<(Timestamp, Duration)>);

impl FakeClock {
    /// A clock that shows `start`.
    pub fn at(start: Timestamp) -> FakeClock {
        FakeClock(Mutex::new((start, Duration::ZERO)))
    }

    /// Sets the clock, also back. No time passes by that.
    pub fn set(&self, time: Timestamp) {
        self.lock().0 = time;
    }

    /// Has `step` pass.
    pub fn advance(&self, step: Duration) {
        let (now, uptime) = &mut *self.lock();
        *now = now.saturating_add(step).unwrap_or(Timestamp::MAX);
        *uptime += step;
    }

    fn lock(&self) -> MutexGuard<'_, (Timestamp, Duration)> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Clock for FakeClock {
    fn now(&self) -> Timestamp {
        self.lock().0
    }

    fn uptime(&self) -> Duration {
        self.lock().1
    }

    fn sleep(&self, wait: Duration) {
        self.advance(wait);
    }
}

/// Notices when a clock is set ahead: then it moves by more than the machine's uptime does. A machine that sleeps is no such
/// case, since its uptime includes the sleep.
#[derive(Clone, Copy, Debug)]
pub struct Leaps {
    /// The clock as it was set when it was last looked at: what it showed when the machine started.
    started: Timestamp,
}

impl Leaps {
    pub fn new(clock: &dyn Clock) -> Leaps {
        Leaps {
            started: started(clock),
        }
    }

    /// What `clock` would show had it not been set ahead since the last look; `None` where it was not.
    pub fn look(&mut self, clock: &dyn Clock) -> Option<Timestamp> {
        let started = started(clock);
        let by = started.duration_since(self.started);
        if by.abs() > SLACK {
            self.started = started;
        }
        (by > SLACK).then(|| clock.now().saturating_sub(by).unwrap_or(Timestamp::MIN))
    }
}

fn started(clock: &dyn Clock) -> Timestamp {
    let (now, uptime) = (clock.now(), clock.uptime());
    now.saturating_sub(uptime).unwrap_or(Timestamp::MIN)
}

/// The time since `began`, an uptime of `clock`.
pub fn since(began: Duration, clock: &dyn Clock) -> Duration {
    clock.uptime().saturating_sub(began)
}

/// Microseconds since the machine's start, by the clock that nobody can set; for messages that want exactly that.
///
/// # Panics
/// When the operating system has no such clock; Linux has.
pub fn monotonic_usec() -> u64 {
    u64::try_from(reading(ClockId::CLOCK_MONOTONIC).as_micros()).unwrap_or(u64::MAX)
}

fn reading(clock: ClockId) -> Duration {
    clock_gettime(clock)
        .expect("Linux has clocks that nobody can set")
        .into()
}

/// `N` bytes from the operating system's generator.
///
/// # Panics
/// When the operating system cannot give any; nothing that needs secrets can go on then.
pub fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0u8; N];
    SystemRandom::new()
        .fill(&mut bytes)
        .expect("the operating system gives random bytes");
    bytes
}

/// An even draw from 0 up to, not including, 1.
pub fn draw() -> f64 {
    (u64::from_le_bytes(random_bytes()) >> 11) as f64 / (1u64 << 53) as f64
}

/// A new UUID of version 7 for `now`, lower case: unique, and in the order of time to the millisecond.
pub fn new_event_id(now: Timestamp) -> String {
    let millis = u64::try_from(now.as_millisecond()).unwrap_or(0);
    uuid::Builder::from_unix_timestamp_millis(millis, &random_bytes())
        .into_uuid()
        .to_string()
}

/// A new random token of 256 bits, in hexadecimal, for what must not be guessed.
pub fn new_token() -> String {
    let (high, low) = (Uuid::from_bytes(random_bytes()), Uuid::from_bytes(random_bytes()));
    format!("{}{}", high.simple(), low.simple())
}
