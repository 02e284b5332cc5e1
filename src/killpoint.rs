//! Points at which a debug build can be told to die as if the power had gone, so that tests prove what a crash leaves
//! behind. In a release build nothing of this exists.

/// Dies here by SIGKILL when `DELTAPOST_KILL_AT` names `point`: `POINT`, or `POINT:N` for the Nth time it is reached.
#[inline]
pub fn reached(point: &'static str) {
    #[cfg(debug_assertions)]
    debug::reached(point);
    #[cfg(not(debug_assertions))]
    let _: &str = point;
}

#[cfg(debug_assertions)]
mod debug {
    use std::sync::atomic::{AtomicU64, Ordering};

    static REACHED: AtomicU64 = AtomicU64::new(0);

    pub(super) fn reached(point: &'static str) {
        let Ok(wanted) = std::env::var("DELTAPOST_KILL_AT") else {
            return;
        };
        let (name, count) = wanted.split_once(':').unwrap_or((&wanted, "1"));
        if name == point && REACHED.fetch_add(1, Ordering::SeqCst) + 1 == count.parse().unwrap_or(1) {
            // Nothing runs after this: no destructor, no flush, no commit.
            signal_hook::low_level::raise(signal_hook::consts::SIGKILL).expect("a process may kill itself");
        }
    }
}
