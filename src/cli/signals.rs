//! Signals as flags. The first SIGINT or SIGTERM asks for an orderly end; a second one ends the process at once.

use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;
use signal_hook::iterator::Signals;

use super::failure::Failure;

/// The exit code of a process that was not let end in order.
const CUT_OFF: i32 = 1;

/// A flag that makes SIGINT and SIGTERM end the process at once, as a success, until it is cleared.
///
/// # Errors
/// When the system refuses.
pub(super) fn end_at_once() -> Result<Arc<AtomicBool>, Failure> {
    let at_once = Arc::new(AtomicBool::new(true));
    for signal in [SIGINT, SIGTERM] {
        flag::register_conditional_shutdown(signal, 0, Arc::clone(&at_once)).map_err(refused)?;
    }
    Ok(at_once)
}

/// A flag that SIGINT and SIGTERM set.
///
/// # Errors
/// When the system refuses.
pub(super) fn stop_flag() -> Result<Arc<AtomicBool>, Failure> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // In this order: the first signal finds the flag unset, and sets it.
        flag::register_conditional_shutdown(signal, CUT_OFF, Arc::clone(&stop)).map_err(refused)?;
        flag::register(signal, Arc::clone(&stop)).map_err(refused)?;
    }
    Ok(stop)
}

/// A flag that SIGINT and SIGTERM set; at a second one `clear_away` is done before the process ends.
///
/// # Errors
/// When the system refuses.
pub(super) fn stop_flag_over(clear_away: impl FnOnce() + Send + 'static) -> Result<Arc<AtomicBool>, Failure> {
    let stop = Arc::new(AtomicBool::new(false));
    let mut signals = Signals::new([SIGINT, SIGTERM]).map_err(refused)?;
    let set = Arc::clone(&stop);
    thread::spawn(move || {
        let mut heard = signals.forever();
        heard.next();
        set.store(true, Ordering::Relaxed);
        heard.next();
        clear_away();
        process::exit(CUT_OFF);
    });
    Ok(stop)
}

/// A flag that SIGHUP sets, each time.
///
/// # Errors
/// When the system refuses.
pub(super) fn hangup_flag() -> Result<Arc<AtomicBool>, Failure> {
    let hangup = Arc::new(AtomicBool::new(false));
    flag::register(SIGHUP, Arc::clone(&hangup)).map_err(refused)?;
    Ok(hangup)
}

fn refused(error: std::io::Error) -> Failure {
    Failure::failed(format!("could not wait for signals: {error}"), None)
}
