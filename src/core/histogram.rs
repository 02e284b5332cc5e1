//! Durations counted by how long they are, as Prometheus wants them. Counting is one addition to two numbers, from any
//! thread; how they are written is not known here.

use std::sync::atomic::{AtomicU64, Ordering};

/// The upper bounds of the classes, in milliseconds; one more class has none. From a receiver on the same machine to a
/// provider that takes minutes for a page.
const BOUNDS_MS: [u64; 11] = [5, 10, 25, 50, 100, 250, 1_000, 2_500, 10_000, 30_000, 120_000];

/// How many durations there were of each class, and their sum.
#[derive(Debug, Default)]
pub struct Histogram {
    classes: [AtomicU64; BOUNDS_MS.len() + 1],
    sum_ms: AtomicU64,
}

/// A histogram at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// For each bound in milliseconds how many durations were not longer.
    pub not_longer: Vec<(u64, u64)>,
    /// All of them.
    pub count: u64,
    pub sum_ms: u64,
}

impl Histogram {
    /// Counts a duration.
    pub fn count(&self, milliseconds: u64) {
        let class = BOUNDS_MS.partition_point(|bound| *bound < milliseconds);
        self.classes[class].fetch_add(1, Ordering::Relaxed);
        self.sum_ms.fetch_add(milliseconds, Ordering::Relaxed);
    }

    /// What has been counted so far.
    pub fn read(&self) -> Reading {
        let mut count = 0;
        let mut upto = |class: &AtomicU64| {
            count += class.load(Ordering::Relaxed);
            count
        };
        let not_longer = BOUNDS_MS
            .iter()
            .zip(&self.classes)
            .map(|(bound, class)| (*bound, upto(class)))
            .collect();
        let last = &self.classes[BOUNDS_MS.len()];
        let all = upto(last);
        Reading {
            not_longer,
            count: all,
            sum_ms: self.sum_ms.load(Ordering::Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_counts_for_each_bound_that_it_does_not_pass() {
        let histogram = Histogram::default();
        for milliseconds in [0, 5, 6, 120_000, 120_001] {
            histogram.count(milliseconds);
        }
        let Reading {
            not_longer,
            count,
            sum_ms,
        } = histogram.read();
        assert_eq!((count, sum_ms), (5, 240_012));
        let counts: Vec<u64> = not_longer.iter().map(|(_, count)| *count).collect();
        assert_eq!(counts, [2, 3, 3, 3, 3, 3, 3, 3, 3, 3, 4]);
        assert_eq!(not_longer[0].0, 5);
    }
}
