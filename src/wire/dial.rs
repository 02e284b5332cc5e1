//! Opens connections, to addresses that the gate let through and no others. With `line`, the part of ureq used here does
//! not follow semver.

use std::net::SocketAddr;
use std::sync::Arc;

use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::time::{Duration as Limit, Instant};
use ureq::unversioned::transport::{
    ConnectProxyConnector, ConnectionDetails, Connector, NextTimeout, RustlsConnector, TcpConnector,
    Transport,
};
use ureq::{Error, Timeout};

use super::failure::NoAnswer;
use super::gate::Gate;
use super::line::{HearOut, Line, at};

/// The most addresses that are tried, and that `ResolvedSocketAddrs` holds; a push beyond panics.
const MAX_ADDRESSES: usize = 16;

/// Resolves nothing. ureq resolves before it looks into its pool, so that every request would cost a lookup; `Dial`
/// resolves when a connection is really opened.
#[derive(Debug)]
pub(super) struct Later;

impl Resolver for Later {
    fn resolve(&self, _: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        Ok(self.empty())
    }
}

/// What opens connections: ureq's own connectors, behind the gate.
pub(super) fn dial(gate: Gate) -> impl Connector {
    let chain =
        ().chain(ConnectProxyConnector::default())
            .chain(TcpConnector::default())
            .chain(HearOut)
            .chain(RustlsConnector::default());
    Dial {
        chain: Arc::new(chain),
        gate: Arc::new(gate),
    }
}

#[derive(Debug)]
struct Dial<Chain> {
    chain: Arc<Chain>,
    gate: Arc<Gate>,
}

impl<Chain: Connector> Connector for Dial<Chain> {
    type Out = Line;

    fn connect(&self, details: &ConnectionDetails<'_>, _: Option<()>) -> Result<Option<Line>, Error> {
        let proxy = details.config.proxy();
        let opened = match proxy.is_some_and(|proxy| !proxy.is_no_proxy(details.uri)) {
            true => self.tunnel(details),
            false => self.direct(details),
        };
        match opened {
            Ok(transport) => Ok(Some(Line::new(transport))),
            Err(error) => Err(at(error, Timeout::Connect)),
        }
    }
}

impl<Chain: Connector> Dial<Chain> {
    fn direct(&self, details: &ConnectionDetails<'_>) -> Result<Box<dyn Transport>, Error> {
        let addresses = self.gate.addresses(details.uri, *details.timeout.after)?;
        open(&*self.chain, details, &addresses, details.run_connector.clone())
    }

    /// The leg to the proxy comes back through `run_connector` as a connection of its own, and gets no `Line`, which
    /// would take the proxy's answer for one to an earlier request.
    fn tunnel(&self, details: &ConnectionDetails<'_>) -> Result<Box<dyn Transport>, Error> {
        self.gate.check_literal(details.uri)?;
        let (chain, gate) = (self.chain.clone(), self.gate.clone());
        let leg = move |details: &ConnectionDetails<'_>| {
            let addresses = gate.unchecked(details.uri, *details.timeout.after);
            let opened = addresses
                .and_then(|addresses| open(&*chain, details, &addresses, details.run_connector.clone()));
            opened.map_err(|error| match error {
                Error::Timeout(_) => error,
                error => Error::ConnectProxyFailed(NoAnswer::from(&error).to_string()),
            })
        };
        open(&*self.chain, details, &[], Arc::new(leg))
    }
}

type RunConnector = dyn Fn(&ConnectionDetails<'_>) -> Result<Box<dyn Transport>, Error> + Send + Sync;

/// Connects to the first of `addresses` that lets it, in the time that looking them up has left.
fn open(
    chain: &impl Connector,
    details: &ConnectionDetails<'_>,
    addresses: &[SocketAddr],
    run_connector: Arc<RunConnector>,
) -> Result<Box<dyn Transport>, Error> {
    let mut addrs = details.resolver.empty();
    for address in addresses.iter().take(MAX_ADDRESSES) {
        addrs.push(*address);
    }
    let now = (details.current_time)();
    let timeout = left(details.timeout, details.now, now).ok_or(Error::Timeout(Timeout::Connect))?;
    let details = ConnectionDetails {
        uri: details.uri,
        addrs,
        config: details.config,
        request_level: details.request_level,
        resolver: details.resolver,
        now,
        timeout,
        current_time: details.current_time.clone(),
        run_connector,
        register_shutdown: details.register_shutdown.clone(),
    };
    let transport = chain.connect(&details, None)?.ok_or(Error::ConnectionFailed)?;
    Ok(Box::new(transport))
}

/// What is left `now` of a time-out that was set at `start`; none when it is over.
fn left(mut timeout: NextTimeout, start: Instant, now: Instant) -> Option<NextTimeout> {
    if let (Limit::Exact(limit), Instant::Exact(start), Instant::Exact(now)) = (timeout.after, start, now) {
        timeout.after = Limit::Exact(limit.checked_sub(now.saturating_duration_since(start))?);
    }
    Some(timeout)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_a_lookup_is_taken_from_the_time_to_connect() {
        let start = Instant::now();
        for (limit, passed, expect) in [
            (Limit::from_secs(5), 0, Some(Limit::from_secs(5))),
            (Limit::from_secs(5), 3, Some(Limit::from_secs(2))),
            (Limit::from_secs(5), 6, None),
            (Limit::NotHappening, 6, Some(Limit::NotHappening)),
        ] {
            let timeout = NextTimeout {
                after: limit,
                ..NextTimeout::default()
            };
            let left = left(timeout, start, start + Limit::from_secs(passed));
            assert_eq!(left.map(|timeout| timeout.after), expect);
        }
    }
}
