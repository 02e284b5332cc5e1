//! Connections: the one place where a host's name becomes addresses, and where it is known that a connection had
//! been used before it died. Both need ureq's parts that do not follow semver, and are the only ones that do.

use std::io;
use std::net::ToSocketAddrs;
use std::sync::Arc;

use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
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
            heard: false,
            reused: false,
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

/// A connection that knows what it has been used for.
#[derive(Debug)]
pub(super) struct Line {
    transport: Box<dyn Transport>,
    /// Something of an answer came since the last thing sent.
    heard: bool,
    /// An earlier request was answered on this connection.
    reused: bool,
}

impl Line {
    /// `error` with what is known here: that the connection was stale, or what the time ran out in.
    fn told(&self, error: Error, stage: Timeout) -> Error {
        match &error {
            Error::Io(io) if self.reused && !self.heard && is_closed(io.kind()) => Died::Stale.into(),
            _ => at(error, stage),
        }
    }
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

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        if self.heard {
            self.heard = false;
            self.reused = true;
        }
        self.transport
            .transmit_output(amount, timeout)
            .map_err(|error| self.told(error, Timeout::SendRequest))
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
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
            Err(error) => Err(self.told(error, stage)),
        }
    }

    fn is_open(&mut self) -> bool {
        self.transport.is_open()
    }

    fn is_tls(&self) -> bool {
        self.transport.is_tls()
    }
}
