//! A small HTTP/1.1 server: accepts within limits, reads with deadlines, one thread per connection, and stops cleanly.
//! It knows nothing of what is served. tiny_http lends its vocabulary (methods, statuses, headers, the printing of a
//! head); its own accept loop must not face anyone, since one huge `Content-Length` aborts the process there.

mod connection;
mod head;
mod places;
mod reply;
#[cfg(test)]
mod tests;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

pub use head::Request;
use places::{Place, Shared, State};
pub use reply::{Held, Reply, Then};
pub use tiny_http::Method;

/// What makes the answer to a request. A panic in it becomes a 500, and the connection closes.
pub type Handler = Arc<dyn Fn(&Request) -> Reply + Send + Sync>;

/// What a client is told whose request comes to no handler: a status and why.
pub type Refuse = fn(u16, &str) -> Reply;

/// What a client may take of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Request line and headers together; beyond it 431. At most 64 headers, whatever their size.
    pub head_bytes: usize,
    /// A request's body; beyond it 413, before any of it is read.
    pub body_bytes: usize,
    /// Connections at the same time. For one more, the one on which no byte has moved for the longest is closed; only
    /// where none is idle, the new one is answered 503.
    pub connections: usize,
    /// From a request's first byte to its last; beyond it 408.
    pub receive: Duration,
    /// From an answer's first byte to its last; beyond it the connection is cut.
    pub send: Duration,
    /// How long a new connection may take until its first byte.
    pub first_byte: Duration,
    /// How long a connection may stay silent between requests.
    pub idle: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            head_bytes: 16 * 1024,
            body_bytes: 256 * 1024,
            connections: 64,
            receive: Duration::from_secs(10),
            send: Duration::from_secs(10),
            first_byte: Duration::from_secs(10),
            idle: Duration::from_secs(60),
        }
    }
}

/// A bound socket that does not accept yet.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    limits: Limits,
    refuse: Refuse,
}

impl Server {
    /// Binds `address`; port 0 lets the system choose one, see `local_addr`.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub fn bind(address: SocketAddr, limits: Limits) -> io::Result<Server> {
        let listener = TcpListener::bind(address)?;
        let address = listener.local_addr()?;
        Ok(Server {
            listener,
            address,
            limits,
            refuse: |status, why| Reply::text(status, format!("{why}\n")),
        })
    }

    /// The same, with refusals in another shape than a line of plain text.
    #[must_use]
    pub fn refusing(self, refuse: Refuse) -> Server {
        Server { refuse, ..self }
    }

    /// The address that is bound, with its actual port.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Begins to accept; `handler` is called on the connections' threads, several at a time.
    ///
    /// # Errors
    /// When the accepting thread cannot be started.
    pub fn serve(self, handler: Handler) -> io::Result<Running> {
        let shared = Arc::new(Shared {
            limits: self.limits,
            refuse: self.refuse,
            handler,
            state: Mutex::new(State::accepting()),
            changed: Condvar::new(),
        });
        let accepting = {
            let shared = shared.clone();
            let listener = self.listener;
            thread::Builder::new()
                .name("http-accept".into())
                .spawn(move || accept(&listener, &shared))?
        };
        Ok(Running {
            shared,
            address: self.address,
            accepting: Some(accepting),
            abandoned: false,
        })
    }
}

/// A server that accepts. Dropping it stops it as `stop` does.
pub struct Running {
    shared: Arc<Shared>,
    address: SocketAddr,
    accepting: Option<JoinHandle<()>>,
    /// Nobody waits for the last requests any more.
    abandoned: bool,
}

impl Running {
    /// The address that is bound, with its actual port.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Stops accepting, closes idle connections and hanging ones, and returns when the requests in flight are
    /// answered. It waits for handlers as long as they take.
    pub fn stop(self) {}

    /// The same, but waits for `patience` at most. Returns whether all requests have been answered; what goes on does so
    /// on threads of its own, until the process ends.
    pub fn stop_within(mut self, patience: Duration) -> bool {
        self.end();
        let state = self.shared.lock();
        let waited = self
            .shared
            .changed
            .wait_timeout_while(state, patience, |state| !state.open.is_empty())
            .unwrap_or_else(PoisonError::into_inner);
        let all_answered = !waited.1.timed_out();
        drop(waited);
        self.abandoned = !all_answered;
        all_answered
    }

    /// Stops accepting and closes what is idle.
    fn end(&mut self) {
        {
            let mut state = self.shared.lock();
            state.stopping = true;
            state.end_reading();
            self.shared.changed.notify_all();
        }
        self.wake_accepting();
        if let Some(thread) = self.accepting.take()
            && thread.join().is_err()
        {
            log::error!("the accepting thread panicked");
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
        let mut state = self.shared.lock();
        while !state.open.is_empty() && !self.abandoned {
            state = self
                .shared
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Running {
    /// `accept` has no time-out, so a connection of our own ends its wait; again, should the first not come through.
    fn wake_accepting(&self) {
        let ip = match self.address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
            ip => ip,
        };
        let target = SocketAddr::new(ip, self.address.port());
        let panicked = || self.accepting.as_ref().is_none_or(JoinHandle::is_finished);
        let mut state = self.shared.lock();
        while state.accepting && !panicked() {
            drop(state);
            let knock = TcpStream::connect_timeout(&target, RETRY_WAIT);
            state = self.shared.lock();
            if state.accepting {
                state = self.shared.wait(state, RETRY_WAIT);
            }
            drop(knock);
        }
    }
}

/// The wait after a failed accept: file descriptors come back when connections end, so it is worth going on.
const RETRY_WAIT: Duration = Duration::from_millis(100);

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    loop {
        let accepted = listener.accept();
        if shared.stopping() {
            break;
        }
        match accepted {
            Ok((stream, peer)) => match shared.admit(stream) {
                Ok(place) => converse_on_a_thread(place, peer),
                Err(stream) => connection::refuse_crowded(&stream, shared.refuse),
            },
            Err(error) => {
                log::warn!("could not accept a connection error={:?}", error.to_string());
                let state = shared.lock();
                if !state.stopping {
                    drop(shared.wait(state, RETRY_WAIT));
                }
            }
        }
    }
    shared.lock().accepting = false;
    shared.changed.notify_all();
}

fn converse_on_a_thread(place: Place, peer: SocketAddr) {
    let (stream, refuse) = (place.stream.clone(), place.shared.refuse);
    let started = thread::Builder::new().name("http".into()).spawn(move || {
        if let Err(error) = connection::converse(&place, peer) {
            log::debug!("connection ended peer={peer} error={:?}", error.to_string());
        }
    });
    if let Err(error) = started {
        log::warn!(
            "could not start a thread for a connection error={:?}",
            error.to_string()
        );
        connection::refuse_crowded(&stream, refuse);
    }
}
