//! Runs the operator's command for an alert, with the alert on its standard input and a limit to its time.

use std::io::{ErrorKind, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::clock::Clock;

/// How long it may run.
const LIMIT: Duration = Duration::from_secs(30);

/// How long it may still run when the agent is asked to stop.
const LIMIT_AT_STOP: Duration = Duration::from_secs(5);

/// How often it is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// Runs `command` by `/bin/sh -c`, `input` on its standard input, and logs how it ended. Its standard error is the
/// agent's. After its time, it and what it has started in its process group are killed.
///
/// # Errors
/// Why it did not run, or did not end well.
pub(super) fn run(command: &str, input: &str, clock: &dyn Clock, stop: &AtomicBool) -> Result<(), String> {
    let ended = start(command, input).and_then(|mut child| wait(&mut child, clock, stop));
    let status = ended.map_err(|error| format!("the command could not be run: {error}"))?;
    match status {
        Some(status) if status.success() => {
            log::info!("alert command ended code=0");
            Ok(())
        }
        Some(status) => Err(format!("the command ended with {status}")),
        None => Err("the command took too long and was killed".to_owned()),
    }
}

fn start(command: &str, input: &str) -> std::io::Result<Child> {
    let mut child = Command::new("/bin/sh")
        .args(["-c", command])
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // It fits into the pipe, so that this waits for nobody; a command that does not read it may be gone already.
        match stdin.write_all(input.as_bytes()) {
            Err(error) if error.kind() != ErrorKind::BrokenPipe => {
                end(&mut child)?;
                return Err(error);
            }
            _ => {}
        }
    }
    Ok(child)
}

/// How it ended; `None` where its time was over.
fn wait(child: &mut Child, clock: &dyn Clock, stop: &AtomicBool) -> std::io::Result<Option<ExitStatus>> {
    // Counted, since the clock may be set meanwhile.
    let (mut left, mut told_to_stop) = (LIMIT, false);
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if stop.load(Ordering::Relaxed) && !told_to_stop {
            told_to_stop = true;
            left = left.min(LIMIT_AT_STOP);
        }
        if left.is_zero() {
            end(child)?;
            return Ok(None);
        }
        clock.sleep(LOOK);
        left = left.saturating_sub(LOOK);
    }
}

fn end(child: &mut Child) -> std::io::Result<()> {
    let group = i32::try_from(child.id()).map(Pid::from_raw);
    match group.map(|group| killpg(group, Signal::SIGKILL)) {
        // It ended in the meantime.
        Ok(Ok(()) | Err(Errno::ESRCH)) => {}
        Ok(Err(errno)) => return Err(errno.into()),
        Err(_) => child.kill()?,
    }
    child.wait()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;

    use crate::clock::FakeClock;

    #[track_caller]
    fn check(command: &str, expect: Result<(), &str>) {
        let clock = FakeClock::at(Timestamp::UNIX_EPOCH);
        let ended = run(command, "{}", &clock, &AtomicBool::new(false));
        assert_eq!(ended, expect.map_err(str::to_owned), "{command}");
    }

    #[test]
    fn a_command_has_thirty_seconds() {
        // They are over at once on this clock.
        check("sleep 1000", Err("the command took too long and was killed"));
        check(
            "trap '' TERM; sleep 1000 & wait",
            Err("the command took too long and was killed"),
        );
    }
}
