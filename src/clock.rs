//! The only reading of the time, the only sleeping, and the only dice. Everything that decides takes their results.

use std::sync::Mutex;
use std::time::Duration;

use jiff::Timestamp;
use nix::time::{ClockId, clock_gettime};
use ring::rand::{SecureRandom, SystemRandom};
use uuid::Uuid;

/// Tells the time and passes it. Two implementations: the machine's, and the one that tests turn by hand.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// The present instant.
    fn now(&self) -> Timestamp;

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
pub struct FakeClock(Mutex<Timestamp>);

impl FakeClock {
    /// A clock that shows `start`.
    pub fn at(start: Timestamp) -> FakeClock {
        FakeClock(Mutex::new(start))
    }

    /// Sets the clock, also back.
    pub fn set(&self, time: Timestamp) {
        *self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = time;
    }

    /// Moves the clock by `step`, forward.
    pub fn advance(&self, step: Duration) {
        let mut now = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        *now = now.saturating_add(step).unwrap_or(Timestamp::MAX);
    }
}

impl Clock for FakeClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn sleep(&self, wait: Duration) {
        self.advance(wait);
    }
}

/// The time since `started`; none where the clock was put back.
pub fn since(started: Timestamp, clock: &dyn Clock) -> Duration {
    let elapsed = clock.now().duration_since(started);
    elapsed.try_into().unwrap_or(Duration::ZERO)
}

/// Microseconds since the machine's start, by the clock that nobody can set; for messages that want exactly that.
///
/// # Panics
/// When the operating system has no such clock; Linux has.
pub fn monotonic_usec() -> u64 {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("Linux has a monotonic clock");
    let whole = u64::try_from(now.tv_sec()).unwrap_or(0) * 1_000_000;
    whole + u64::try_from(now.tv_nsec()).unwrap_or(0) / 1_000
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
