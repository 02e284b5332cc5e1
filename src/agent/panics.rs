//! What a worker's panic comes to: a line in the log, and the next piece of work. Who works on what is not known here.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Does a worker's work, and returns whether it ended by a panic: then it is taken up again, since what one resource or
/// endpoint brings about must not take a worker from the others.
pub(super) fn panicked(work: impl FnMut()) -> bool {
    let panicked = catch_unwind(AssertUnwindSafe(work)).is_err();
    if panicked {
        log::error!("a worker panicked, and goes on with other work; please report this");
    }
    panicked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_outlives_a_panic_in_its_work() {
        assert!(panicked(|| panic!("a page that nobody thought of")));
        assert!(!panicked(|| {}));
    }
}
