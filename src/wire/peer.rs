//! The other side of a real socket, for tests: a listener that follows a script, one act for each request.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

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
    /// Reads nothing, and leaves the connection open and silent until the test is over.
    Ignore,
    /// Reads no more than a little of it, answers with these bytes, and closes.
    Interrupt(Vec<u8>),
    /// Writes these bytes to a new connection without having read anything, then reads until the other side closes.
    Blurt(Vec<u8>),
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

impl Peer {
    /// A peer on loopback that performs `acts` in order.
    pub(crate) fn start(acts: Vec<Act>) -> Peer {
        Peer::on(TcpListener::bind("127.0.0.1:0").unwrap(), acts)
    }

    /// A peer behind `listener`, whose port its answers may name.
    pub(crate) fn on(listener: TcpListener, acts: Vec<Act>) -> Peer {
        let port = listener.local_addr().unwrap().port();
        let (seen, requests) = channel();
        let (over, until_over) = channel();
        let accepted = Arc::new(AtomicUsize::new(0));
        let door = Door {
            listener,
            accepted: accepted.clone(),
        };
        thread::spawn(move || perform(&door, acts, &seen, &until_over));
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

fn perform(door: &Door, acts: Vec<Act>, seen: &Sender<String>, until_over: &Receiver<()>) {
    let mut connection = None;
    for act in acts {
        let (mut stream, request) = match (&act, connection.take()) {
            (Act::Blurt(_) | Act::Ignore | Act::Interrupt(_), _) => (door.accept(), None),
            (_, Some(mut stream)) => match read_request(&mut stream) {
                Some(request) => (stream, Some(request)),
                None => door.next_request(),
            },
            (_, None) => door.next_request(),
        };
        if let Some(request) = request {
            seen.send(request).unwrap();
        }
        // The other side may have stopped reading: that is what some tests are about.
        match act {
            Act::Answer(bytes) => {
                stream.write_all(&bytes).ok();
                connection = Some(stream);
            }
            Act::AnswerAndClose(bytes) => {
                stream.write_all(&bytes).ok();
            }
            Act::Close => {}
            Act::Ignore => {
                until_over.recv().ok();
            }
            Act::Interrupt(bytes) => {
                stream.read_exact(&mut [0; 1000]).ok();
                stream.write_all(&bytes).ok();
            }
            Act::AnswerAndHang(bytes) => {
                stream.write_all(&bytes).ok();
                until_over.recv().ok();
            }
            Act::Blurt(bytes) => {
                stream.write_all(&bytes).ok();
                stream.read_to_end(&mut Vec::new()).ok();
            }
        }
    }
    until_over.recv().ok();
}

struct Door {
    listener: TcpListener,
    accepted: Arc<AtomicUsize>,
}

impl Door {
    fn accept(&self) -> TcpStream {
        let (stream, _) = self.listener.accept().unwrap();
        self.accepted.fetch_add(1, Ordering::SeqCst);
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }

    fn next_request(&self) -> (TcpStream, Option<String>) {
        let mut stream = self.accept();
        let request = read_request(&mut stream).unwrap();
        (stream, Some(request))
    }
}

/// One request, or none when the other side closed the connection first.
fn read_request(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 64 * 1024];
    loop {
        if let Some(head) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
            let text = String::from_utf8_lossy(&bytes[..head]).to_lowercase();
            let length = text
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "));
            if bytes.len() >= head + 4 + length.map_or(0, |length| length.parse().unwrap()) {
                return Some(String::from_utf8_lossy(&bytes).into_owned());
            }
        }
        match stream.read(&mut chunk) {
            Ok(0) | Err(_) => return None,
            Ok(n) => bytes.extend_from_slice(&chunk[..n]),
        }
    }
}

/// A whole answer with its length, and `headers` such as `"Retry-After: 3\r\n"`.
pub(crate) fn answer(status: u16, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status} Whatever\r\n{headers}Content-Length: {length}\r\n\r\n{body}").into_bytes()
}
