//! What both clients (Graph and callbacks) need of HTTP: an agent with every default of ureq that would harm us turned
//! off, the reasons why a request got no answer, and answers read within bounds.
//! What a status means, and what to send, is decided by the clients.

mod dial;
mod failure;
mod gate;
mod line;
mod log_request;
#[cfg(test)]
pub(crate) mod peer;

use std::io::Read as _;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::fmt::rfc2822;
use jiff::tz::TimeZone;
use rustls::crypto::ring;
use ureq::config::Config;
use ureq::http::HeaderMap;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Body, Proxy, ProxyProtocol};

use crate::clock::Clock;
use crate::core::RETURNED_BYTES;
use crate::core::address::Network;
use gate::Gate;

pub use failure::{Failure, NoAnswer, Stage};
pub(crate) use gate::Lookup;
pub(crate) use log_request::log_request;

/// The largest head of an answer that is read.
const MAX_HEAD_BYTES: usize = 16 * 1024;
/// The least that `Setup::buffer_bytes` may be: larger than a head, so that one too large is told from one cut short.
pub const MIN_BUFFER_BYTES: usize = MAX_HEAD_BYTES + 1024;

/// How long each part of a request may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// To connect, from looking up the name to the end of TLS's handshake.
    pub connect: Duration,
    /// To send the request.
    pub send: Duration,
    /// From there to the whole head of the answer.
    pub answer: Duration,
    /// From there to the end of its body.
    pub body: Duration,
    /// All of it together.
    pub total: Duration,
}

impl Timeouts {
    /// All parts together take `total` at most, whichever of them needs it.
    pub fn within(total: Duration) -> Timeouts {
        Timeouts {
            connect: total,
            send: total,
            answer: total,
            body: total,
            total,
        }
    }
}

/// The way out to the other side. Not to be shown: a proxy's URL may hold credentials.
#[derive(Clone, Copy)]
pub enum Route<'a> {
    /// No proxy, whatever the environment says.
    Direct,
    /// As `ALL_PROXY`, `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY` say.
    Environment,
    /// Through this HTTP proxy, always.
    Through(&'a str),
}

/// What an agent is made of.
#[derive(Clone, Copy)]
pub struct Setup<'a> {
    pub user_agent: &'a str,
    pub timeouts: Timeouts,
    pub route: Route<'a>,
    /// Certificates in PEM that are trusted beside the system's.
    pub extra_roots: Option<&'a [u8]>,
    /// Networks that must not be reached: a host with an address in one of them is refused, whatever its others are.
    /// Through a proxy only a host that is an address itself can be judged, since the proxy looks names up; the proxy's
    /// own address is not judged.
    pub deny: &'a [Network],
    /// Memory of each connection, each way.
    pub buffer_bytes: usize,
    /// Idle connections kept for one host and port.
    pub idle_per_host: usize,
    pub idle_in_all: usize,
}

/// Why an agent cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SetupError {
    /// The proxy's URL is not told: it may hold credentials.
    #[error("could not use the proxy: its address is not a URL")]
    BadProxy,
    #[error("could not use the proxy: SOCKS is not supported")]
    SocksProxy,
    #[error("could not use the extra roots: they are not certificates in PEM")]
    BadRoots,
}

impl SetupError {
    /// The next thing to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            SetupError::BadProxy => "write it as `http://proxy.example:3128`",
            SetupError::SocksProxy => "name an HTTP proxy that allows CONNECT",
            SetupError::BadRoots => "the file holds one or more `-----BEGIN CERTIFICATE-----` blocks",
        }
    }
}

/// An agent that follows no redirect (ureq would turn a POST into a GET, whose 200 is no delivery), takes no status
/// for an error, and looks a name up only when it opens a connection, once, to connect to what was found and checked. It
/// starts no thread but for that lookup.
///
/// # Errors
/// When the proxy or the extra roots cannot be used.
pub fn agent(setup: &Setup<'_>) -> Result<Agent, SetupError> {
    agent_with(setup, Arc::new(gate::system))
}

/// The same, with names looked up by `lookup`.
///
/// # Errors
/// When the proxy or the extra roots cannot be used.
pub(crate) fn agent_with(setup: &Setup<'_>, lookup: Arc<Lookup>) -> Result<Agent, SetupError> {
    let Timeouts {
        connect,
        send,
        answer,
        body,
        total,
    } = setup.timeouts;
    let config = Config::builder()
        .max_redirects(0)
        .http_status_as_error(false)
        .user_agent(header_safe(setup.user_agent))
        // Who wants packed answers asks for them: a callback's few bytes are not worth it.
        .accept_encoding("")
        .proxy(proxy(setup.route)?)
        .tls_config(
            TlsConfig::builder()
                .unversioned_rustls_crypto_provider(Arc::new(ring::default_provider()))
                .root_certs(roots(setup.extra_roots)?)
                .build(),
        )
        .timeout_connect(Some(connect))
        .timeout_send_request(Some(send))
        .timeout_send_body(Some(send))
        .timeout_recv_response(Some(answer))
        .timeout_recv_body(Some(body))
        .timeout_global(Some(total))
        .max_response_header_size(MAX_HEAD_BYTES)
        .input_buffer_size(setup.buffer_bytes)
        .output_buffer_size(setup.buffer_bytes)
        .max_idle_connections_per_host(setup.idle_per_host)
        .max_idle_connections(setup.idle_in_all)
        .build();
    let gate = Gate::new(setup.deny, lookup);
    Ok(Agent::with_parts(config, dial::dial(gate), dial::Later))
}

/// ureq panics on a User-Agent that is no header value; a company's name may hold any letter.
fn header_safe(text: &str) -> String {
    let safe = |c: char| if c.is_ascii_graphic() || c == ' ' { c } else { '_' };
    text.chars().map(safe).collect()
}

fn proxy(route: Route<'_>) -> Result<Option<Proxy>, SetupError> {
    let proxy = match route {
        Route::Direct => None,
        Route::Environment => Proxy::try_from_env(),
        Route::Through(url) => Some(Proxy::new(url).map_err(|_| SetupError::BadProxy)?),
    };
    // ureq panics on a SOCKS proxy that was named, and passes over one from the environment.
    match proxy.as_ref().map(Proxy::protocol) {
        None | Some(ProxyProtocol::Http | ProxyProtocol::Https) => Ok(proxy),
        Some(_) => Err(SetupError::SocksProxy),
    }
}

fn roots(extra: Option<&[u8]>) -> Result<RootCerts, SetupError> {
    let Some(pem) = extra else {
        return Ok(RootCerts::PlatformVerifier);
    };
    let mut roots = Vec::new();
    for item in parse_pem(pem) {
        match item {
            Ok(PemItem::Certificate(certificate)) => roots.push(certificate),
            Ok(_) => {}
            Err(_) => return Err(SetupError::BadRoots),
        }
    }
    if roots.is_empty() {
        return Err(SetupError::BadRoots);
    }
    let system = rustls_native_certs::load_native_certs();
    for error in &system.errors {
        log::warn!(
            "could not read a root certificate of the system error={:?}",
            error.to_string()
        );
    }
    roots.extend(
        system
            .certs
            .iter()
            .map(|der| Certificate::from_der(der).to_owned()),
    );
    Ok(RootCerts::from(roots))
}

/// Sends a request, and sends it once more, on a new connection, when the reused connection that it went out on died
/// before any byte of the answer: the other side had closed it while it was idle. `send` is told whether to insist
/// on a new connection. Who hangs up on a request after a while was not idle: that is an answer, and by then the provider may
/// have asked another request to wait.
///
/// # Errors
/// Those of `send`.
pub fn once_more_if_stale<T>(
    clock: &dyn Clock,
    send: impl Fn(bool) -> Result<T, ureq::Error>,
) -> Result<T, ureq::Error> {
    let started = clock.uptime();
    match send(false) {
        Err(error) if failure::is_stale(&error) && clock.uptime() < started + STALE_WITHIN => send(true),
        outcome => outcome,
    }
}

/// A closed connection says so within a round trip.
const STALE_WITHIN: Duration = Duration::from_secs(1);

/// An answer's body was longer than allowed, or did not come whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BodyError {
    TooLarge,
    Cut(NoAnswer),
    /// There was no room to read it on beyond the step with this index.
    NoRoom(usize),
}

/// The whole body, `limit` bytes at most.
///
/// # Errors
/// When it is longer, whether it says so at first or not, or does not come whole.
pub fn read_body(body: &mut Body, limit: u64) -> Result<Vec<u8>, BodyError> {
    let (bytes, _) = read_large_body(body, limit, &[], |_| Some(()))?;
    Ok(bytes)
}

/// The same, but before a body is read on beyond each of `steps`, in bytes and ascending, `room` is asked for, which is given
/// the step's index and must not wait: the other side would be taken to be silent. What it gave is returned with the body.
///
/// # Errors
/// Those of `read_body`; `NoRoom`.
pub fn read_large_body<T>(
    body: &mut Body,
    limit: u64,
    steps: &[u64],
    mut room: impl FnMut(usize) -> Option<T>,
) -> Result<(Vec<u8>, Vec<T>), BodyError> {
    if body.content_length().is_some_and(|length| length > limit) {
        return Err(BodyError::TooLarge);
    }
    let cut = |error: std::io::Error| match ureq::Error::from(error) {
        ureq::Error::BodyExceedsLimit(_) => BodyError::TooLarge,
        error => BodyError::Cut(NoAnswer::from(&error)),
    };
    let mut reader = body.with_config().limit(limit).reader();
    let (mut bytes, mut rooms) = (Vec::new(), Vec::new());
    for (index, step) in steps.iter().enumerate() {
        let left = step.saturating_sub(bytes.len() as u64);
        reader.by_ref().take(left).read_to_end(&mut bytes).map_err(cut)?;
        if (bytes.len() as u64) < *step {
            return Ok((bytes, rooms));
        }
        rooms.push(room(index).ok_or(BodyError::NoRoom(index))?);
        if index + 1 == steps.len() {
            bytes.reserve(RETURNED_BYTES);
        }
    }
    reader.read_to_end(&mut bytes).map_err(cut)?;
    Ok((bytes, rooms))
}

/// `Retry-After` (RFC 9110, 10.2.3): a number of seconds, unbounded, or a date, for which the time from `now` is
/// told: zero for a date gone by. `None` when the header is absent or neither.
pub fn retry_after(headers: &HeaderMap, now: impl Fn() -> Timestamp) -> Option<Duration> {
    let value = headers.get("retry-after")?.to_str().ok()?.trim();
    if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) {
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    let wait = http_date(value)?.duration_since(now());
    Some(wait.try_into().unwrap_or(Duration::ZERO))
}

/// An HTTP date in any of the three forms that must be understood (RFC 9110, 5.6.7), all of them in UTC. That the day
/// of the week is the right one does not matter.
fn http_date(text: &str) -> Option<Timestamp> {
    const RFC2822: rfc2822::DateTimeParser = rfc2822::DateTimeParser::new().relaxed_weekday(true);
    const OBSOLETE: [&str; 2] = ["%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"];
    let obsolete = || {
        OBSOLETE
            .iter()
            .find_map(|form| DateTime::strptime(form, text).ok())
    };
    let preferred = RFC2822.parse_timestamp(text).ok();
    preferred.or_else(|| TimeZone::UTC.to_timestamp(obsolete()?).ok())
}

/// `Date` (RFC 9110, 6.6.1): when the answer was made, by the other side's clock. `None` when it is absent or no date.
pub fn date(headers: &HeaderMap) -> Option<Timestamp> {
    http_date(headers.get("date")?.to_str().ok()?.trim())
}

#[cfg(test)]
mod tests;
