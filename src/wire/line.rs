//! An open connection, and what ureq does not do about it: it sends a head together with its body, tells whether it had
//! been used before it died and what its time ran out in, and reads the answer of a side that stopped reading. Opening
//! it is `dial`'s.

use std::io;
use std::time::Duration;

use ureq::unversioned::transport::time::Duration as Limit;
use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, NextTimeout, Transport};
use ureq::{Error, Timeout};

use super::failure::Died;

/// A connection that knows what it has been used for.
#[derive(Debug)]
pub(super) struct Line {
    transport: Box<dyn Transport>,
    /// What is to be sent and was not: ureq sends a head by itself, which costs the two sides a third of all they
    /// spend on a small request. It waits here for the body, until there is a buffer full of both or nothing more to send.
    held: Vec<u8>,
    /// The time-out of what was held last.
    held_timeout: NextTimeout,
    /// Something of an answer came since the last thing sent.
    heard: bool,
    /// An earlier request was answered on this connection.
    reused: bool,
}

impl Line {
    pub(super) fn new(transport: Box<dyn Transport>) -> Line {
        Line {
            transport,
            held: Vec::new(),
            held_timeout: NextTimeout::default(),
            heard: false,
            reused: false,
        }
    }

    /// Sends what is held.
    fn flush(&mut self, timeout: NextTimeout) -> Result<(), Error> {
        if self.held.is_empty() {
            return Ok(());
        }
        let amount = self.held.len();
        self.transport.buffers().output()[..amount].copy_from_slice(&self.held);
        self.held.clear();
        self.transport
            .transmit_output(amount, timeout)
            .map_err(|error| self.explained(error, Timeout::SendRequest))
    }

    /// `error` with what is known here: that the connection was stale, or what the time ran out in.
    fn explained(&self, error: Error, stage: Timeout) -> Error {
        if is_closed(&error) && self.reused && !self.heard {
            return Died::Stale.into();
        }
        at(error, stage)
    }
}

/// A time-out named by the part of the request in which the time ran out, where ureq would name the shortest limit.
pub(super) fn at(error: Error, stage: Timeout) -> Error {
    match error {
        Error::Timeout(_) => Error::Timeout(stage),
        other => other,
    }
}

fn is_closed(error: &Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(
        error,
        Error::Io(io) if matches!(io.kind(), UnexpectedEof | ConnectionReset | ConnectionAborted | BrokenPipe)
    )
}

impl Transport for Line {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.transport.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        if self.heard {
            self.heard = false;
            self.reused = true;
        }
        let output = self.transport.buffers().output();
        let is_full = self.held.len() + amount > output.len();
        let sent = &output[..amount];
        if is_full {
            let sent = sent.to_vec();
            self.flush(timeout)?;
            self.held = sent;
        } else {
            self.held.extend_from_slice(sent);
        }
        self.held_timeout = timeout;
        Ok(())
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        // Both hold: the time for sending, and what is left of the time for all.
        let mut to_send = self.held_timeout;
        to_send.after = to_send.after.min(timeout.after);
        self.flush(to_send)?;
        let stage = if self.heard {
            Timeout::RecvBody
        } else {
            Timeout::RecvResponse
        };
        match self.transport.await_input(timeout) {
            Ok(true) => {
                self.heard = true;
                Ok(true)
            }
            Ok(false) if self.reused && !self.heard => Err(Died::Stale.into()),
            Ok(false) => Ok(false),
            Err(error) => Err(self.explained(error, stage)),
        }
    }

    fn is_open(&mut self) -> bool {
        self.transport.is_open()
    }

    fn is_tls(&self) -> bool {
        self.transport.is_tls()
    }
}

/// Wraps sockets, below TLS, so that the other side is heard out.
#[derive(Debug)]
pub(super) struct HearOut;

impl<In: Transport> Connector<In> for HearOut {
    type Out = Hearing<In>;

    fn connect(&self, _: &ConnectionDetails<'_>, chained: Option<In>) -> Result<Option<Hearing<In>>, Error> {
        let broken = None;
        Ok(chained.map(|transport| Hearing { transport, broken }))
    }
}

/// A socket that goes on as if all were well when the other side stops reading: it may have answered before it hung up
/// (RFC 9112, 9.5; a 413 usually comes so), and that answer lies in the receive buffer. When there is none, the reason
/// why writing failed is told instead. Its time-outs are `rounded`.
#[derive(Debug)]
pub(super) struct Hearing<Socket> {
    transport: Socket,
    broken: Option<Error>,
}

impl<Socket: Transport> Transport for Hearing<Socket> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.transport.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        if self.broken.is_some() {
            return Ok(());
        }
        match self.transport.transmit_output(amount, rounded(timeout)) {
            Err(error) if is_closed(&error) => {
                self.broken = Some(error);
                Ok(())
            }
            outcome => outcome,
        }
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        match (self.transport.await_input(rounded(timeout)), self.broken.take()) {
            (Ok(true), broken) => {
                self.broken = broken;
                Ok(true)
            }
            (_, Some(broken)) => Err(broken),
            (outcome, None) => outcome,
        }
    }

    fn is_open(&mut self) -> bool {
        self.transport.is_open()
    }

    fn is_tls(&self) -> bool {
        self.transport.is_tls()
    }
}

/// The system is told a time-out only when it differs from the last one: rounded up to the next 10 ms it is the same for
/// most requests, which saves each of them three calls.
fn rounded(timeout: NextTimeout) -> NextTimeout {
    let after = match timeout.after {
        Limit::Exact(after) if !after.is_zero() => {
            let beyond = Duration::from_nanos(u64::from(after.subsec_nanos()) % 10_000_000);
            Limit::Exact(after.saturating_add(Duration::from_millis(10) - beyond))
        }
        none => none,
    };
    NextTimeout { after, ..timeout }
}

#[cfg(test)]
mod tests;
