//! Why a request got no answer, told from ureq's errors in words that hold no URL and no secret.
//! What follows from it (a retry, a pause) is decided by those who asked.

use std::fmt;
use std::io;
use std::net::IpAddr;

use ureq::{Error, Timeout};

use crate::core::address::Network;
use crate::core::shown::shown;

/// What ureq's own errors do not tell.
#[derive(Debug, thiserror::Error)]
pub(super) enum Died {
    #[error("the name was not resolved: {0}")]
    Dns(io::Error),
    #[error("`{address}` lies in `{network}`")]
    Denied { address: IpAddr, network: Network },
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

/// Where a request stood when its time ran out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    Connecting,
    Sending,
    Waiting,
    Reading,
    /// Between two of these, or in one that is not known.
    Unknown,
}

impl Stage {
    fn words(self) -> &'static str {
        match self {
            Stage::Connecting => "timed out while connecting",
            Stage::Sending => "timed out while sending the request",
            Stage::Waiting => "timed out while waiting for the answer",
            Stage::Reading => "timed out while reading the answer",
            Stage::Unknown => "timed out",
        }
    }
}

/// The reason why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It could not be sent at all: the URL or a header is invalid.
    Request,
    /// The host's name was not resolved.
    Dns,
    /// The host's address, or one of them, must not be reached.
    Denied,
    /// Nobody answers at the address, or there is no way to it.
    Connect,
    /// No agreement on TLS; most often a certificate.
    Tls,
    /// The proxy refused, or cannot be reached.
    Proxy,
    Timeout(Stage),
    /// The connection was closed or reset before the end of the answer.
    Closed,
    /// What came is not HTTP.
    Protocol,
}

impl Failure {
    /// The next thing to do about it.
    pub fn hint(self) -> &'static str {
        match self {
            Failure::Request => "check the URL and the extra headers",
            Failure::Dns => "check the host's name, and the name servers in /etc/resolv.conf",
            Failure::Denied => {
                "the network is named under `[delivery] deny`: take it out if callbacks may go there, else correct the URL"
            }
            Failure::Connect => "check host and port, whether the service runs, and firewalls on the way",
            Failure::Tls => {
                "check the certificate's names, dates and issuer; roots of your own come by `ca_file` under `[network]`"
            }
            Failure::Proxy => "check the proxy's address and whether it lets this host through",
            Failure::Timeout(_) => "check whether the service is overloaded, or a firewall swallows packets",
            Failure::Closed => "the other side, or something between, broke off: its log may say why",
            Failure::Protocol => {
                "check that the port speaks HTTP, and whether the URL should begin with `https`"
            }
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Failure::Request => "the request is invalid",
            Failure::Dns => "the host's name was not resolved",
            Failure::Denied => "the host's address must not be reached",
            Failure::Connect => "no connection",
            Failure::Tls => "no agreement on TLS",
            Failure::Proxy => "the proxy did not connect",
            Failure::Timeout(stage) => stage.words(),
            Failure::Closed => "the connection was closed before the answer was whole",
            Failure::Protocol => "the answer is not HTTP",
        })
    }
}

/// A request that got no answer, or not a whole one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoAnswer {
    pub reason: Failure,
    /// The system's or the protocol's own words, bounded; empty where they would add nothing.
    pub detail: String,
}

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.detail.as_str() {
            "" => write!(f, "{}", self.reason),
            detail => write!(f, "{}: {detail}", self.reason),
        }
    }
}

impl std::error::Error for NoAnswer {}

impl From<&Error> for NoAnswer {
    fn from(error: &Error) -> NoAnswer {
        let reason = reason(error);
        let detail = match error {
            Error::Io(error) if error.kind() != io::ErrorKind::UnexpectedEof => shown(&error.to_string()),
            Error::Rustls(error) => shown(&error.to_string()),
            Error::Tls(text) => shown(text),
            Error::Protocol(error) => shown(&error.to_string()),
            Error::ConnectProxyFailed(text) => shown(text),
            Error::LargeResponseHeader(..) => "its head is too large".to_owned(),
            Error::Other(other) => match other.downcast_ref() {
                Some(Died::Dns(error)) => shown(&error.to_string()),
                Some(denied @ Died::Denied { .. }) => denied.to_string(),
                Some(Died::Stale) | None => String::new(),
            },
            // The others quote the URL, or say no more than their reason does.
            _ => String::new(),
        };
        NoAnswer { reason, detail }
    }
}

fn reason(error: &Error) -> Failure {
    match error {
        Error::Timeout(timeout) => Failure::Timeout(match timeout {
            Timeout::Resolve | Timeout::Connect => Stage::Connecting,
            Timeout::SendRequest | Timeout::SendBody => Stage::Sending,
            Timeout::RecvResponse => Stage::Waiting,
            Timeout::RecvBody => Stage::Reading,
            _ => Stage::Unknown,
        }),
        Error::Other(other) => match other.downcast_ref() {
            Some(Died::Dns(_)) => Failure::Dns,
            Some(Died::Denied { .. }) => Failure::Denied,
            Some(Died::Stale) => Failure::Closed,
            None => Failure::Connect,
        },
        Error::Io(error) => match error.kind() {
            // rustls wraps what it refuses in this kind.
            io::ErrorKind::InvalidData => Failure::Tls,
            io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe => Failure::Closed,
            _ => Failure::Connect,
        },
        Error::HostNotFound => Failure::Dns,
        Error::ConnectionFailed => Failure::Connect,
        Error::Tls(_) | Error::Rustls(_) | Error::Pem(_) | Error::TlsRequired => Failure::Tls,
        Error::ConnectProxyFailed(_) | Error::InvalidProxyUrl => Failure::Proxy,
        Error::Http(_) | Error::BadUri(_) | Error::RequireHttpsOnly(_) => Failure::Request,
        _ => Failure::Protocol,
    }
}
