//! What the agent tells systemd, as sd_notify(3) has it: one datagram of `KEY=VALUE` lines to the socket that
//! `NOTIFY_SOCKET` names, and nothing where none is named. When there is something to tell is decided by its callers; here is
//! how it is worded, and whether the agent still lives.

use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::clock;
use crate::store::{Overview, Store};

/// How many looks go by before the status is asked for again: about ten seconds.
const STATUS_LOOKS: u32 = 20;

/// The agent polls and delivers.
pub(super) fn ready() {
    tell("READY=1");
}

/// The configuration is being read again; `ready` ends it.
pub(super) fn reloading() {
    tell(&format!(
        "RELOADING=1\nMONOTONIC_USEC={}",
        clock::monotonic_usec()
    ));
}

/// The agent was asked to stop, and does.
pub(super) fn stopping() {
    tell("STOPPING=1\nSTATUS=stopping: requests under way are let end");
}

fn tell(message: &str) {
    let Some(socket) = env::var_os("NOTIFY_SOCKET") else {
        return;
    };
    let sent = send(socket.as_bytes(), message);
    // Told once, and not with each beat.
    if let (Err(error), false) = (&sent, FAILS.swap(sent.is_err(), Ordering::Relaxed)) {
        log::warn!("could not notify systemd error={:?}", error.to_string());
    }
}

/// Whether the last message did not reach systemd.
static FAILS: AtomicBool = AtomicBool::new(false);

/// A socket with a path, or one of the abstract namespace, which systemd writes with an `@` for its first byte.
fn send(socket: &[u8], message: &str) -> io::Result<()> {
    let address = match socket.strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(OsStr::from_bytes(socket))?,
    };
    UnixDatagram::unbound()?
        .send_to_addr(message.as_bytes(), &address)
        .map(drop)
}

/// Tells systemd's watchdog that the agent lives, and people how it stands.
#[derive(Debug, Default)]
pub(super) struct Pulse {
    beats: Option<u64>,
    looks: u32,
    status: String,
}

impl Pulse {
    /// One look of the main loop. `beats` are those of the timetable's thread so far, and `all_work` says whether no worker
    /// is missing. A thread that hangs leaves the watchdog unfed, and systemd starts the agent again.
    pub(super) fn look(&mut self, store: &Store, beats: u64, all_work: bool) {
        if self.lives(beats, all_work) {
            tell("WATCHDOG=1");
        }
        if self.looks.is_multiple_of(STATUS_LOOKS)
            // Why the database cannot be read is told by those who need it.
            && let Ok(standing) = store.standing()
        {
            let status = words(&standing);
            if status != self.status {
                tell(&format!("STATUS={status}"));
                self.status = status;
            }
        }
        self.looks = self.looks.wrapping_add(1);
    }

    fn lives(&mut self, beats: u64, all_work: bool) -> bool {
        all_work && self.beats.replace(beats) != Some(beats)
    }
}

/// How the agent stands, on one line.
fn words(standing: &Overview) -> String {
    let parts = [
        (standing.instances, "instance", "instances"),
        (
            standing.undelivered,
            "event not delivered",
            "events not delivered",
        ),
        (standing.logins, "sign-in required", "sign-ins required"),
        (standing.failing, "endpoint failing", "endpoints failing"),
    ];
    let told = parts.iter().enumerate();
    let told = told.filter(|(at, (count, ..))| *at == 0 || *count > 0);
    let told =
        told.map(|(_, (count, one, many))| format!("{count} {}", if *count == 1 { one } else { many }));
    told.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_watchdog_is_fed_only_while_the_timetable_moves_and_all_work() {
        let mut pulse = Pulse::default();
        assert!(pulse.lives(1, true));
        assert!(!pulse.lives(1, true), "the timetable's thread hangs");
        assert!(pulse.lives(2, true));
        assert!(!pulse.lives(3, false), "a worker is gone");
    }

    #[test]
    fn the_status_tells_what_is_wrong_and_leaves_out_what_is_not() {
        let mut standing = Overview {
            instances: 1,
            ..Overview::default()
        };
        assert_eq!(words(&standing), "1 instance");
        standing.undelivered = 12;
        standing.logins = 1;
        standing.failing = 2;
        let expect = "1 instance; 12 events not delivered; 1 sign-in required; 2 endpoints failing";
        assert_eq!(words(&standing), expect);
    }
}
