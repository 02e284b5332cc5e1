//! The limited places of a server: who has one, and who loses it to a newcomer. A connection that waits for its client
//! can lose its place; a request that is being answered cannot.

use std::collections::HashMap;
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::{Handler, Limits, Refuse};

/// How long a newcomer waits for the end of an answer, where all places have one under way; and how long for the thread
/// of a connection that has lost its place.
const ANSWER_WAIT_MS: u64 = 100;
const THREAD_WAIT_MS: u64 = 2_000;
const STEP_MS: u64 = 20;

/// What the accepting thread and the connections' threads share.
pub(super) struct Shared {
    pub(super) limits: Limits,
    pub(super) refuse: Refuse,
    pub(super) handler: Handler,
    pub(super) state: Mutex<State>,
    /// Signalled when anything in `state` changes that someone waits for.
    pub(super) changed: Condvar,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) stopping: bool,
    pub(super) accepting: bool,
    /// Counts what happens at connections, so that it tells what came first.
    last_id: u64,
    pub(super) open: HashMap<u64, Open>,
}

/// A connection that has a place.
pub(super) struct Open {
    stream: Arc<TcpStream>,
    stage: Stage,
    /// `last_id` when the stage began, or when bytes last moved in it.
    since: u64,
    /// It has had an answer.
    served: bool,
    /// Its place goes to another: it must do nothing more.
    evicted: bool,
}

/// What a connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// It waits for a request, or for the rest of one.
    Reading,
    /// The handler has its request.
    Answering,
    /// It waits until the client has taken the answer, or has closed.
    Writing,
}

impl State {
    pub(super) fn accepting() -> State {
        State {
            accepting: true,
            ..State::default()
        }
    }

    fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    /// Lets the threads that wait for their clients see the end of the input.
    pub(super) fn end_reading(&self) {
        for open in self.open.values() {
            shut(&open.stream, Shutdown::Read);
        }
    }

    /// Closes the connection on which no byte has moved for the longest, and returns whether there is one. A new
    /// connection whose first request has arrived already stays: its thread has only not run yet.
    fn evict_idlest(&mut self) -> bool {
        let waiting: Vec<_> = self
            .open
            .values()
            .filter(|open| open.stage == Stage::Reading)
            .collect();
        let mut polled: Vec<_> = waiting
            .iter()
            .map(|open| PollFd::new(open.stream.as_fd(), PollFlags::POLLIN))
            .collect();
        // Where the system cannot say, nothing has arrived.
        if let Err(error) = poll(&mut polled, PollTimeout::ZERO) {
            log::debug!(
                "could not ask which connections are idle error={:?}",
                error.to_string()
            );
        }
        let arrived: Vec<u64> = waiting
            .iter()
            .zip(&polled)
            .filter(|(_, polled)| polled.any().unwrap_or(false))
            .map(|(open, _)| open.since)
            .collect();
        let idlest = self
            .open
            .values_mut()
            .filter(|open| open.stage != Stage::Answering)
            .map(|open| (arrived.contains(&open.since), open))
            .filter(|(arrived, open)| open.served || !arrived)
            .min_by_key(|(arrived, open)| (*arrived, open.since));
        let Some((_, open)) = idlest else {
            return false;
        };
        open.evicted = true;
        shut(&open.stream, Shutdown::Both);
        true
    }
}

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn wait<'s>(&self, state: MutexGuard<'s, State>, at_most: Duration) -> MutexGuard<'s, State> {
        self.changed
            .wait_timeout(state, at_most)
            .unwrap_or_else(PoisonError::into_inner)
            .0
    }

    pub(super) fn stopping(&self) -> bool {
        self.lock().stopping
    }

    /// Takes one of the limited places, that of the idlest connection where all are taken. Returns the stream where none
    /// comes free, or the server is stopping.
    pub(super) fn admit(self: &Arc<Shared>, stream: TcpStream) -> Result<Place, TcpStream> {
        let mut state = self.lock();
        let mut waited = 0;
        while state.open.len() >= self.limits.connections && !state.stopping {
            let leaving = state.open.values().any(|open| open.evicted) || state.evict_idlest();
            if waited >= if leaving { THREAD_WAIT_MS } else { ANSWER_WAIT_MS } {
                return Err(stream);
            }
            state = self.wait(state, Duration::from_millis(STEP_MS));
            waited += STEP_MS;
        }
        if state.stopping {
            return Err(stream);
        }
        let id = state.next_id();
        let stream = Arc::new(stream);
        let open = Open {
            stream: stream.clone(),
            stage: Stage::Reading,
            since: id,
            served: false,
            evicted: false,
        };
        state.open.insert(id, open);
        drop(state);
        Ok(Place {
            shared: self.clone(),
            id,
            stream,
        })
    }
}

/// One of the limited places of a server; dropping it frees the place, also when its thread panics.
pub(super) struct Place {
    pub(super) shared: Arc<Shared>,
    id: u64,
    pub(super) stream: Arc<TcpStream>,
}

impl Place {
    /// Says what the connection does from now on. Returns whether it still has its place.
    pub(super) fn enter(&self, stage: Stage) -> bool {
        let mut state = self.shared.lock();
        let since = state.next_id();
        let Some(open) = state.open.get_mut(&self.id) else {
            return false;
        };
        open.served |= open.stage == Stage::Writing;
        (open.stage, open.since) = (stage, since);
        !open.evicted
    }

    /// Bytes have come from the client, or gone to it: the connection is not idle.
    pub(super) fn moved(&self) {
        let mut state = self.shared.lock();
        let since = state.next_id();
        if let Some(open) = state.open.get_mut(&self.id) {
            open.since = since;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.shared.lock().open.remove(&self.id);
        self.shared.changed.notify_all();
    }
}

/// Closes `stream` in that direction. A client that is gone already has none.
fn shut(stream: &TcpStream, how: Shutdown) {
    if let Err(error) = stream.shutdown(how) {
        log::debug!("a connection was closed already error={:?}", error.to_string());
    }
}
