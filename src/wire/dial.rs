//! Connections: the one place where a host's name becomes addresses, and where it is known that a connection had
//! been used before it died. Both need ureq's parts that do not follow semver, and are the only ones that do.

use std::io;
use std::net::ToSocketAddrs;
use std::sync::Arc;
use std::time::Duration;

use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::time::Duration as Span;
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, DefaultConnector, NextTimeout, Transport,
};
use ureq::{Error, Timeout};

/// The most that `ResolvedSocketAddrs` holds; a push beyond panics.
const MAX_ADDRESSES: usize = 16;

/// What ureq's own errors do not tell.
#[derive(Debug, thiserror::Error)]
pub(super) enum Died {
    #[error("the name was not resolved: {0}")]
    Dns(io::Error),
    /// A reused connection was closed or reset before any byte of the answer.
    #[error("the connection was closed while it was idle")]
    Stale,
}

impl From<Died> for Error {
    fn from(died: Died) -> Error {
        Error::Other(Box::new(died))
    }
}

/// Whether the request went out on a reused connection that died before any byte of the answer.
pub(super) fn is_stale(error: &Error) -> bool {
    matches!(error, Error::Other(other) if matches!(other.downcast_ref(), Some(Died::Stale)))
}

/// Resolves nothing. ureq resolves before it looks into its pool, so that every request would cost a lookup, and a
/// thread for its time-out; `Dial` resolves when a connection is really opened.
#[derive(Debug)]
pub(super) struct Later;

impl Resolver for Later {
    fn resolve(&self, _: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        Ok(self.empty())
    }
}

/// Opens connections: ureq's own connector behind our own resolving, and our `Line` around what it opens.
#[derive(Debug, Default)]
pub(super) struct Dial(Arc<DefaultConnector>);

impl Connector for Dial {
    type Out = Line;

    fn connect(&self, details: &ConnectionDetails<'_>, _: Option<()>) -> Result<Option<Line>, Error> {
        let transport = open(&self.0, details).map_err(|error| at(error, Timeout::Connect))?;
        Ok(Some(Line {
            transport,
            held: Vec::new(),
            heard: false,
            reused: false,
            deaf: false,
        }))
    }
}

/// Opens what `details` ask for. The leg to a proxy comes back here as a connection of its own, without a `Line`,
/// which would take the proxy's answer for one to an earlier request.
fn open(
    connector: &Arc<DefaultConnector>,
    details: &ConnectionDetails<'_>,
) -> Result<Box<dyn Transport>, Error> {
    let proxied = details
        .config
        .proxy()
        .is_some_and(|proxy| !proxy.is_no_proxy(details.uri));
    let addrs = if proxied {
        details.resolver.empty()
    } else {
        addresses(details.uri, details.resolver.empty())?
    };
    let to_proxy = connector.clone();
    let details = ConnectionDetails {
        uri: details.uri,
        addrs,
        config: details.config,
        request_level: details.request_level,
        resolver: details.resolver,
        now: details.now,
        timeout: details.timeout,
        current_time: details.current_time.clone(),
        run_connector: Arc::new(move |details| open(&to_proxy, details)),
        register_shutdown: details.register_shutdown.clone(),
    };
    connector.connect(&details, None)?.ok_or(Error::ConnectionFailed)
}

/// The addresses of the host of `uri`, in the order of the system's resolver, into `found`. Whatever connects goes
/// to one of these: an address that must not be reached is refused here and nowhere else.
fn addresses(uri: &Uri, mut found: ResolvedSocketAddrs) -> Result<ResolvedSocketAddrs, Error> {
    let host_and_port = match (uri.scheme(), uri.authority()) {
        (Some(scheme), Some(authority)) => DefaultResolver::host_and_port(scheme, authority),
        _ => None,
    };
    let host_and_port = host_and_port.ok_or_else(|| Error::BadUri("no host or port".to_owned()))?;
    let resolved = host_and_port.to_socket_addrs().map_err(Died::Dns)?;
    for address in resolved.take(MAX_ADDRESSES) {
        found.push(address);
    }
    if found.is_empty() {
        return Err(Error::HostNotFound);
    }
    Ok(found)
}

/// A connection that knows what it has been used for, and sends head and body of a request in one piece: two would
/// wake the other side twice.
#[derive(Debug)]
pub(super) struct Line {
    transport: Box<dyn Transport>,
    /// What is still to be sent, less than an output buffer.
    held: Vec<u8>,
    /// Something of an answer came since the last thing sent.
    heard: bool,
    /// An earlier request was answered on this connection.
    reused: bool,
    /// The other side has stopped listening.
    deaf: bool,
}

impl Line {
    /// Sends what is held. A write that fails for the other side's closing is no error yet: what it had to say, such
    /// as that the body is too large, may be here, and reading tells.
    fn flush(&mut self, timeout: NextTimeout) -> Result<(), Error> {
        let held = std::mem::take(&mut self.held);
        let mut left = held.as_slice();
        while !left.is_empty() && !self.deaf {
            let output = self.transport.buffers().output();
            let (now, later) = left.split_at(left.len().min(output.len()));
            output[..now.len()].copy_from_slice(now);
            match self.transport.transmit_output(now.len(), rounded(timeout)) {
                Ok(()) => left = later,
                Err(Error::Io(error)) if is_closed(error.kind()) => self.deaf = true,
                Err(error) => return Err(at(error, Timeout::SendRequest)),
            }
        }
        self.held = held;
        self.held.clear();
        Ok(())
    }
}

/// The socket is told a time-out only when it differs from the last one: rounded up to the next 10 ms, it is the same
/// for most requests, which saves each of them three system calls.
fn rounded(timeout: NextTimeout) -> NextTimeout {
    let after = match timeout.after {
        Span::Exact(after) if !after.is_zero() => {
            Span::Exact(Duration::from_millis(after.as_millis() as u64 / 10 * 10 + 10))
        }
        other => other,
    };
    NextTimeout { after, ..timeout }
}

/// A time-out named by the part of the request in which the time ran out, where ureq would name the shortest limit.
fn at(error: Error, stage: Timeout) -> Error {
    match error {
        Error::Timeout(_) => Error::Timeout(stage),
        other => other,
    }
}

fn is_closed(kind: io::ErrorKind) -> bool {
    matches!(
        kind,
        io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
    )
}

impl Transport for Line {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.transport.buffers()
    }

    /// Holds `amount` bytes of the output buffer, until they are as many as fit or an answer is awaited.
    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        if self.heard {
            self.heard = false;
            self.reused = true;
        }
        let output = self.transport.buffers().output();
        let room = output.len();
        self.held.extend_from_slice(&output[..amount]);
        if self.held.len() >= room {
            self.flush(timeout)?;
        }
        Ok(())
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.flush(timeout)?;
        let stage = if self.heard {
            Timeout::RecvBody
        } else {
            Timeout::RecvResponse
        };
        match self.transport.await_input(rounded(timeout)) {
            Ok(true) => {
                self.heard = true;
                Ok(true)
            }
            Ok(false) if self.reused && !self.heard => Err(Died::Stale.into()),
            Ok(false) => Ok(false),
            Err(Error::Io(error)) if self.reused && !self.heard && is_closed(error.kind()) => {
                Err(Died::Stale.into())
            }
            Err(error) => Err(at(error, stage)),
        }
    }

    fn is_open(&mut self) -> bool {
        !self.deaf && self.transport.is_open()
    }

    fn is_tls(&self) -> bool {
        self.transport.is_tls()
    }
}
