//! Which addresses a request may reach: the one place where a host becomes addresses, and where those that must not be
//! reached are refused. It opens no connection; `dial` connects to what is returned here and looks nothing up again.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

use ureq::Error;
use ureq::http::Uri;
use url::Host;

use super::failure::Died;
use crate::core::address::Network;

/// Looks the addresses of a name up.
pub(crate) type Lookup = dyn Fn(&str, u16) -> io::Result<Vec<SocketAddr>> + Send + Sync;

/// Looks a name up as the system does.
pub(super) fn system(name: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    Ok((name, port).to_socket_addrs()?.collect())
}

/// The addresses that must not be reached, and the means to find addresses.
pub(super) struct Gate {
    deny: Vec<Network>,
    lookup: Arc<Lookup>,
}

impl Gate {
    pub(super) fn new(deny: &[Network], lookup: Arc<Lookup>) -> Gate {
        Gate {
            deny: deny.to_vec(),
            lookup,
        }
    }

    /// The addresses of the host of `uri`, in the order in which they should be tried. A name is looked up once.
    ///
    /// # Errors
    /// `Died::Denied` when any of them is denied, though others are not: a name that is at once here and there is
    /// made to slip through. `Died::Dns` when there is none, or none was found `within` this time.
    pub(super) fn addresses(&self, uri: &Uri, within: Duration) -> Result<Vec<SocketAddr>, Error> {
        let found = self.unchecked(uri, within)?;
        for address in &found {
            self.check(address.ip())?;
        }
        Ok(found)
    }

    /// The same with nothing denied: for a proxy, which the operator chose and which may stand where callbacks must
    /// not lead.
    ///
    /// # Errors
    /// `Died::Dns`.
    pub(super) fn unchecked(&self, uri: &Uri, within: Duration) -> Result<Vec<SocketAddr>, Error> {
        let port = port(uri)?;
        Ok(match host(uri)? {
            Host::Domain(name) => self.look_up(name, port, within).map_err(Died::Dns)?,
            Host::Ipv4(address) => vec![SocketAddr::from((address, port))],
            Host::Ipv6(address) => vec![SocketAddr::from((address, port))],
        })
    }

    /// Refuses a `uri` whose host is a denied address. Behind a proxy, where a name is looked up elsewhere, that is
    /// all that can be known.
    ///
    /// # Errors
    /// `Died::Denied`.
    pub(super) fn check_literal(&self, uri: &Uri) -> Result<(), Error> {
        match host(uri)? {
            Host::Domain(_) => Ok(()),
            Host::Ipv4(address) => self.check(IpAddr::V4(address)),
            Host::Ipv6(address) => self.check(IpAddr::V6(address)),
        }
    }

    fn check(&self, address: IpAddr) -> Result<(), Error> {
        match self.deny.iter().find(|network| network.contains(address)) {
            Some(&network) => Err(Died::Denied { address, network }.into()),
            None => Ok(()),
        }
    }

    /// The system's lookup cannot be told to stop, and a name server that does not answer holds it for half a minute:
    /// a thread of its own does it, which is left behind when the time is over. That is one thread for a new
    /// connection to a name, none for a reused one.
    fn look_up(&self, name: String, port: u16, within: Duration) -> io::Result<Vec<SocketAddr>> {
        let (found, answer) = sync_channel(1);
        let lookup = self.lookup.clone();
        thread::Builder::new().name("lookup".to_owned()).spawn(move || {
            // Nobody listens any more when it took too long.
            found.send(lookup(&name, port)).ok();
        })?;
        let addresses = answer.recv_timeout(within).unwrap_or_else(|end| {
            Err(match end {
                RecvTimeoutError::Timeout => io::Error::new(io::ErrorKind::TimedOut, "timed out"),
                RecvTimeoutError::Disconnected => io::Error::other("the lookup broke down"),
            })
        })?;
        match addresses.is_empty() {
            true => Err(io::Error::new(io::ErrorKind::NotFound, "it has no address")),
            false => Ok(addresses),
        }
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate")
            .field("deny", &self.deny)
            .finish_non_exhaustive()
    }
}

/// The host as browsers read it (WHATWG URL, 3.5), so that `0x7f.1` and `2852039166` are the addresses that a resolver or
/// a proxy would take them for.
fn host(uri: &Uri) -> Result<Host, Error> {
    let text = uri.host().unwrap_or_default();
    Host::parse(text).map_err(|_| Error::BadUri("no host".to_owned()))
}

fn port(uri: &Uri) -> Result<u16, Error> {
    let by_scheme = match uri.scheme_str() {
        Some("http") => Some(80),
        Some("https") => Some(443),
        _ => None,
    };
    uri.port_u16()
        .or(by_scheme)
        .ok_or_else(|| Error::BadUri("no port".to_owned()))
}
