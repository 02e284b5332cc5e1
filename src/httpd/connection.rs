//! One connection, from its first byte to its close: reads requests within the limits, has them answered, writes each
//! answer at once. Every wait for the client has a deadline.

use std::io::{self, BufWriter, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use tiny_http::Method;

use super::head::{self, Head, MAX_HEADERS, Refusal};
use super::places::{Place, Shared, Stage};
use super::reply::{Reply, Then};
use super::{Limits, Refuse, Request};

/// Room behind the head in a connection's buffer; a body that fits is not copied.
const TAIL_BYTES: usize = 16 * 1024;

/// What is kept of an answer's buffer for the next one.
const KEPT_OUT_BYTES: usize = 32 * 1024;

/// After a refusal the client may still be sending; closing at once would reset the connection and lose the answer.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 1024 * 1024;

/// Why a connection's loop ends.
enum End {
    /// The client is gone or silent: nothing to say.
    Quiet,
    Refused(Refusal),
    Broken(io::Error),
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> End {
        End::Broken(error)
    }
}

/// Serves the requests that come on the stream of `place` until it ends.
///
/// # Errors
/// When the connection breaks or a deadline for writing passes.
pub(super) fn converse(place: &Place, peer: SocketAddr) -> io::Result<()> {
    place.stream.set_nodelay(true)?;
    let mut wire = Wire {
        place,
        stream: &place.stream,
        read_timeout: None,
    };
    let shared = &place.shared;
    match serve_requests(&mut wire, peer) {
        Ok(()) | Err(End::Quiet) => Ok(()),
        Err(End::Broken(error)) => Err(error),
        Err(End::Refused(refusal)) if place.enter(Stage::Writing) => {
            let mut out = Vec::new();
            (shared.refuse)(refusal.status, refusal.why).print(&mut out, 1, false, false)?;
            wire.write(&out, shared.limits.send)?;
            wire.linger()
        }
        Err(End::Refused(_)) => Ok(()),
    }
}

/// Answers 503 to a client for whom there is no place, without waiting for anything.
pub(super) fn refuse_crowded(stream: &TcpStream, refuse: Refuse) {
    let mut out = Vec::new();
    let answered = refuse(503, "too many connections")
        .with("Retry-After", "1")
        .print(&mut out, 1, false, false)
        .and_then(|()| stream.set_nonblocking(true))
        .and_then(|()| (&mut &*stream).write_all(&out))
        .and_then(|()| stream.shutdown(Shutdown::Write));
    if let Err(error) = answered {
        log::debug!("could not refuse a connection error={:?}", error.to_string());
    }
}

fn serve_requests(wire: &mut Wire<'_>, peer: SocketAddr) -> Result<(), End> {
    let place = wire.place;
    let shared = &place.shared;
    let limits = &shared.limits;
    let mut silence = limits.first_byte.min(limits.idle);
    let mut input = vec![0; limits.head_bytes + TAIL_BYTES];
    let mut filled = 0;
    let mut out = Vec::new();
    loop {
        let (head_bytes, deadline) = receive_head(wire, &mut input, &mut filled, limits, silence)?;
        let (head, tail) = input.split_at_mut(head_bytes);
        let mut slots = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let head = head::read(head, &mut slots, limits.body_bytes).map_err(End::Refused)?;
        let mut large = Vec::new();
        let body = receive_body(wire, &head, tail, filled - head_bytes, &mut large, deadline)?;
        let request = Request {
            method: &head.method,
            target: head.target,
            body,
            peer,
            headers: head.headers,
        };
        if !place.enter(Stage::Answering) {
            return Err(End::Quiet);
        }
        let (reply, survived) = answer(&request, shared);

        let keep_alive = head.keep_alive && survived && !shared.stopping();
        let (then, _held) = (reply.then(), reply.held());
        let head_only = head.method == Method::Head;
        let body = reply.writer().filter(|_| !head_only);
        place.enter(Stage::Writing);
        out.clear();
        reply.print(&mut out, head.minor, head_only, keep_alive)?;
        let deadline = Deadline::after(limits.send);
        wire.write(&out, limits.send)?;
        if let Some(write) = body {
            let mut out = BufWriter::with_capacity(KEPT_OUT_BYTES, Timed { wire, deadline });
            write(&mut out)?;
            out.flush()?;
        }
        match then {
            Some(Then::Hang) => return Ok(wire.drain(None, usize::MAX)?),
            Some(Then::Close) => return Ok(wire.linger()?),
            None if !keep_alive => return Ok(wire.linger()?),
            None => {}
        }
        // What it holds is never given back: it must be empty first.
        out.clear();
        out.shrink_to(KEPT_OUT_BYTES);
        let used = (head_bytes + head.body_bytes).min(filled);
        input.copy_within(used..filled, 0);
        filled -= used;
        silence = limits.idle;
        if !place.enter(Stage::Reading) {
            return Err(End::Quiet);
        }
    }
}

/// Reads until `input` begins with a complete head, whose first byte comes within `silence`; returns its length and the deadline of the whole request.
fn receive_head(
    wire: &mut Wire<'_>,
    input: &mut [u8],
    filled: &mut usize,
    limits: &Limits,
    silence: Duration,
) -> Result<(usize, Deadline), End> {
    // Empty lines do not put this off, or a client could keep its place with them for ever.
    let silence = Deadline::after(silence);
    let mut deadline = None;
    let mut seen = 0;
    loop {
        // An empty line before a request is a leftover of a sloppy client, and harmless (RFC 9112, 2.2).
        if seen == 0 {
            let (pairs, _) = input[..*filled].as_chunks::<2>();
            let empty = 2 * pairs.iter().take_while(|pair| *pair == b"\r\n").count();
            // All at once: one by one, a buffer full of them would be moved thousands of times.
            input.copy_within(empty..*filled, 0);
            *filled -= empty;
        }
        if *filled > 0 {
            let deadline = *deadline.get_or_insert_with(|| Deadline::after(limits.receive));
            match head::end(&input[..*filled], seen) {
                Some(bytes) if bytes <= limits.head_bytes => return Ok((bytes, deadline)),
                None if *filled < limits.head_bytes => {}
                _ => return Err(End::Refused(Refusal::new(431, "the request head is too large"))),
            }
            // Two bytes can still be the beginning of an empty line before the request.
            seen = if *filled > 2 { *filled } else { 0 };
        }
        let wait = match deadline.unwrap_or(silence).left() {
            Err(_) if *filled == 0 => return Err(End::Quiet),
            wait => wait.map_err(late)?,
        };
        match wire.read(&mut input[*filled..], Some(wait)) {
            Ok(0) => return Err(End::Quiet),
            Ok(bytes) => *filled += bytes,
            Err(error) if is_timeout(&error) && *filled == 0 => return Err(End::Quiet),
            Err(error) => return Err(late(error)),
        }
    }
}

/// Reads what is missing of the body behind `head`: into `tail`, of which `have` bytes are read already, or, when it
/// does not fit there, into `large`.
fn receive_body<'b>(
    wire: &mut Wire<'_>,
    head: &Head<'_>,
    tail: &'b mut [u8],
    have: usize,
    large: &'b mut Vec<u8>,
    deadline: Deadline,
) -> Result<&'b [u8], End> {
    let want = head.body_bytes;
    if have >= want {
        return Ok(&tail[..want]);
    }
    if head.expects_continue && head.minor == 1 {
        wire.write(b"HTTP/1.1 100 Continue\r\n\r\n", deadline.left().map_err(late)?)?;
    }
    if want <= tail.len() {
        let mut have = have;
        while have < want {
            have += wire.read_some(&mut tail[have..want], deadline)?;
        }
        return Ok(&tail[..want]);
    }
    large.extend_from_slice(&tail[..have]);
    while large.len() < want {
        let room = tail.len().min(want - large.len());
        let bytes = wire.read_some(&mut tail[..room], deadline)?;
        large.extend_from_slice(&tail[..bytes]);
    }
    Ok(large)
}

/// The handler's reply, and whether it came to one without panicking.
fn answer(request: &Request<'_>, shared: &Shared) -> (Reply, bool) {
    match catch_unwind(AssertUnwindSafe(|| (shared.handler)(request))) {
        Ok(reply) => (reply, true),
        Err(_) => {
            let path: String = request.path().chars().take(200).collect();
            log::error!("a handler panicked method={} path={path:?}", request.method);
            ((shared.refuse)(500, "internal error"), false)
        }
    }
}

fn late(error: io::Error) -> End {
    if is_timeout(&error) {
        End::Refused(Refusal::new(408, "the request took too long to arrive"))
    } else {
        End::Broken(error)
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

/// A client's socket with the time-outs set on it, so that a fast exchange sets none.
struct Wire<'s> {
    place: &'s Place,
    stream: &'s TcpStream,
    read_timeout: Option<Duration>,
}

impl Wire<'_> {
    /// Reads once, waiting at most `wait`; `None` waits for ever.
    fn read(&mut self, room: &mut [u8], wait: Option<Duration>) -> io::Result<usize> {
        if self.read_timeout != wait {
            self.stream.set_read_timeout(wait)?;
            self.read_timeout = wait;
        }
        loop {
            match self.stream.read(room) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                done => {
                    if matches!(done, Ok(1..)) {
                        self.place.moved();
                    }
                    return done;
                }
            }
        }
    }

    /// Reads at least one byte before `deadline`.
    fn read_some(&mut self, room: &mut [u8], deadline: Deadline) -> Result<usize, End> {
        let wait = deadline.left().map_err(late)?;
        match self.read(room, Some(wait)).map_err(late)? {
            0 => Err(End::Quiet),
            bytes => Ok(bytes),
        }
    }

    /// Writes all of `bytes` within `limit`. What fits into the socket's buffer costs one call.
    fn write(&mut self, mut bytes: &[u8], limit: Duration) -> io::Result<()> {
        let deadline = Deadline::after(limit);
        self.stream.set_write_timeout(Some(limit))?;
        while !bytes.is_empty() {
            // Each turn but the first follows bytes that went. It is said before, so that it holds when the client has them.
            self.place.moved();
            match self.stream.write(bytes) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(written) => bytes = &bytes[written..],
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
            if !bytes.is_empty() {
                self.stream.set_write_timeout(Some(deadline.left()?))?;
            }
        }
        Ok(())
    }

    /// Says that nothing more comes, and takes what the client is still sending, within reason.
    fn linger(&mut self) -> io::Result<()> {
        self.stream.shutdown(Shutdown::Write)?;
        self.drain(Some(LINGER), LINGER_BYTES)
    }

    /// Reads and forgets, until the client closes, `limit` has passed or `max_bytes` have come.
    fn drain(&mut self, limit: Option<Duration>, max_bytes: usize) -> io::Result<()> {
        let deadline = limit.map(Deadline::after);
        let mut scratch = [0; 4096];
        let mut drained = 0;
        while drained < max_bytes {
            let Ok(wait) = deadline.map(|deadline| deadline.left()).transpose() else {
                return Ok(());
            };
            match self.read(&mut scratch, wait) {
                Ok(0) => return Ok(()),
                Ok(bytes) => drained += bytes,
                Err(error) if is_timeout(&error) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Writes to a client until a deadline.
struct Timed<'w, 's> {
    wire: &'w mut Wire<'s>,
    deadline: Deadline,
}

impl Write for Timed<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.wire.write(bytes, self.deadline.left()?)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// An instant until which something must be done.
#[derive(Clone, Copy, Debug)]
struct Deadline(Instant);

impl Deadline {
    fn after(limit: Duration) -> Deadline {
        Deadline(monotonic_now() + limit)
    }

    /// What is left, more than zero.
    ///
    /// # Errors
    /// `TimedOut` when nothing is.
    fn left(self) -> io::Result<Duration> {
        let left = self.0.saturating_duration_since(monotonic_now());
        if left.is_zero() {
            Err(ErrorKind::TimedOut.into())
        } else {
            Ok(left)
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a socket's deadlines are this room's own affair: it imports nothing, and no decision depends on them"
)]
fn monotonic_now() -> Instant {
    Instant::now()
}
