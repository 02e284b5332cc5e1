//! The other side of a real socket, for tests: a listener that follows a script, one act for each request. How a
//! connection is read and written, and TLS, is in `connection`.

mod connection;

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use rustls::ServerConfig;

use connection::Connection;
pub(crate) use connection::{ROOT, served_with};

/// What the peer does about one request.
pub(crate) enum Act {
    /// Reads it, answers with these bytes, and keeps the connection.
    Answer(Vec<u8>),
    /// Reads it, answers with these bytes, and closes.
    AnswerAndClose(Vec<u8>),
    /// Reads it and closes.
    Close,
    /// Reads it, answers with these bytes, and leaves the connection open and silent until the test is over.
    AnswerAndHang(Vec<u8>),
    /// Writes these bytes to a new connection without having read anything, then reads until the other side closes.
    Blurt(Vec<u8>),
    /// Resets the connection when the request has begun to come.
    Reset,
    /// Reads all but the last byte of the body, and resets the connection when that has come.
    ResetAfterBody,
    /// Reads no more than the head, answers with these bytes, and closes while the body is still coming, which resets
    /// the connection.
    AnswerEarly(Vec<u8>),
    /// Reads it, answers with the first bytes at once, and with the second ones one each 5 ms.
    Drip(Vec<u8>, Vec<u8>),
    /// Reads it 8 KiB each 5 ms, and answers nothing.
    ReadSlowly,
    /// Reads it, answers with the first bytes, and goes on with the second ones for ever.
    Endless(Vec<u8>, Vec<u8>),
    /// Accepts the connection, and does nothing with it until the test is over.
    Ignore,
}

/// A running peer.
pub(crate) struct Peer {
    port: u16,
    requests: Receiver<String>,
    accepted: Arc<AtomicUsize>,
    /// Dropped with the peer, which ends what hangs.
    _over: Sender<()>,
}

/// Longer than anything here takes, unless it is broken.
const PATIENCE: Duration = Duration::from_secs(20);
const TICK: Duration = Duration::from_millis(5);

impl Peer {
    /// A peer on loopback that performs `acts` in order.
    pub(crate) fn start(acts: Vec<Act>) -> Peer {
        Peer::on(TcpListener::bind("127.0.0.1:0").unwrap(), acts)
    }

    /// A peer behind `listener`, whose port its answers may name.
    pub(crate) fn on(listener: TcpListener, acts: Vec<Act>) -> Peer {
        Peer::open(listener, None, acts)
    }

    /// A peer that speaks TLS, as `served_with` has it.
    pub(crate) fn with_tls(tls: Arc<ServerConfig>, acts: Vec<Act>) -> Peer {
        Peer::open(TcpListener::bind("127.0.0.1:0").unwrap(), Some(tls), acts)
    }

    fn open(listener: TcpListener, tls: Option<Arc<ServerConfig>>, acts: Vec<Act>) -> Peer {
        let port = listener.local_addr().unwrap().port();
        let (seen, requests) = channel();
        let (over, until_over) = channel();
        let accepted = Arc::new(AtomicUsize::new(0));
        let door = Door {
            listener,
            tls,
            accepted: accepted.clone(),
            seen,
            until_over,
        };
        thread::spawn(move || door.perform(acts));
        Peer {
            port,
            requests,
            accepted,
            _over: over,
        }
    }

    /// `http://127.0.0.1:PORT`.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The next request as it came: head and body.
    #[track_caller]
    pub(crate) fn request(&self) -> String {
        self.requests.recv_timeout(PATIENCE).unwrap()
    }

    /// How many requests came that `request` has not returned.
    pub(crate) fn unread(&self) -> usize {
        self.requests.try_iter().count()
    }

    /// How many connections were accepted.
    pub(crate) fn connections(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }
}

struct Door {
    listener: TcpListener,
    tls: Option<Arc<ServerConfig>>,
    accepted: Arc<AtomicUsize>,
    seen: Sender<String>,
    until_over: Receiver<()>,
}

impl Door {
    fn perform(self, acts: Vec<Act>) {
        let mut kept = None;
        for act in acts {
            kept = self.perform_one(act, kept);
        }
        self.until_over.recv().ok();
    }

    /// Performs `act` on the connection that was kept, if there is one and the act is about a request. Returns the
    /// connection when it is to be kept. The other side may have hung up: that is what some tests are about.
    fn perform_one(&self, act: Act, kept: Option<Connection>) -> Option<Connection> {
        let mut connection = match &act {
            Act::Blurt(_) | Act::Reset | Act::ResetAfterBody | Act::Ignore => self.accept(),
            Act::AnswerEarly(_) | Act::ReadSlowly => kept.unwrap_or_else(|| self.accept()),
            _ => self.next_request(kept),
        };
        match act {
            Act::Answer(bytes) => {
                connection.write(&bytes);
                return Some(connection);
            }
            Act::AnswerAndClose(bytes) => {
                connection.write(&bytes);
            }
            Act::Close => {}
            Act::AnswerAndHang(bytes) => {
                connection.write(&bytes);
                self.until_over.recv().ok();
            }
            Act::Blurt(bytes) => {
                connection.write(&bytes);
                while connection.read().is_some() {}
            }
            Act::Reset => connection.await_unread(),
            Act::ResetAfterBody => connection.read_all_but_one_byte(),
            Act::AnswerEarly(bytes) => {
                connection.read_head();
                connection.await_unread();
                connection.write(&bytes);
            }
            Act::Drip(first, then) => {
                let mut bytes = [first.as_slice()].into_iter().chain(then.chunks(1));
                while bytes.next().is_some_and(|bytes| connection.write(bytes)) && self.goes_on() {}
            }
            Act::ReadSlowly => while connection.read().is_some() && self.goes_on() {},
            Act::Endless(first, then) => {
                let begun = connection.write(&first);
                while begun && connection.write(&then) {}
            }
            Act::Ignore => {
                self.until_over.recv().ok();
            }
        }
        None
    }

    /// Lets a tick pass; false when the test is over.
    fn goes_on(&self) -> bool {
        self.until_over.recv_timeout(TICK) == Err(std::sync::mpsc::RecvTimeoutError::Timeout)
    }

    fn accept(&self) -> Connection {
        let (stream, _) = self.listener.accept().unwrap();
        self.accepted.fetch_add(1, Ordering::SeqCst);
        Connection::new(stream, self.tls.as_ref())
    }

    /// The connection with the next request, which has been read: the one that was kept, or a new one.
    fn next_request(&self, mut kept: Option<Connection>) -> Connection {
        loop {
            let mut connection = kept.take().unwrap_or_else(|| self.accept());
            if let Some(request) = connection.read_request() {
                self.seen.send(request).unwrap();
                return connection;
            }
        }
    }
}

/// A whole answer with its length, and `headers` such as `"Retry-After: 3\r\n"`.
pub(crate) fn answer(status: u16, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status} Whatever\r\n{headers}Content-Length: {length}\r\n\r\n{body}").into_bytes()
}
