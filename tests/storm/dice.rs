//! Seeded chance, and the storm's own time in seconds. What is random in a storm comes from here, so that a seed gives
//! the same decisions again; the machine decides only how they interleave.

use std::time::Duration;

use deltapost::clock::{Clock, SystemClock};

/// A seeded sequence of numbers (SplitMix64).
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Dice {
        Dice(seed)
    }

    pub(crate) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(self.0)
    }

    /// From 0 up to, not including, `limit`.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        (self.roll() % limit as u64) as usize
    }

    pub(crate) fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub(crate) fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * (self.below(10_000) as f64 / 10_000.0)
    }

    pub(crate) fn pick<'c, T>(&mut self, choices: &'c [T]) -> Option<&'c T> {
        (!choices.is_empty()).then(|| &choices[self.below(choices.len())])
    }

    /// A text that occurs nowhere by chance: it must never be seen where secrets do not belong.
    pub(crate) fn canary(&mut self, what: &str) -> String {
        format!("CANARY{what}{:016x}", self.roll())
    }
}

/// Spreads a number over all bits.
pub(crate) fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    number ^ (number >> 31)
}

/// A number that follows from a text.
pub(crate) fn digest(text: &str) -> u64 {
    text.bytes().fold(7, |sum, byte| mix(sum ^ u64::from(byte)))
}

/// The machine's time in seconds since 1970.
pub(crate) fn now() -> f64 {
    SystemClock.now().as_microsecond() as f64 / 1e6
}

pub(crate) fn pause(seconds: f64) {
    SystemClock.sleep(Duration::from_secs_f64(seconds.max(0.0)));
}
