//! One POST to a callback: what was answered, or why nothing was. The connection is kept and reused.
//! What a status means for the notification or its endpoint, and when to try again, is decided elsewhere.

use std::fmt;
use std::io::Read;
use std::time::Duration;

use ureq::http::Response;
use ureq::{Agent, Body};

use crate::clock::{Clock, since};
use crate::core::address::Network;
use crate::core::model::Secret;
use crate::core::redacted::{parts_of, parts_of_url, redacted, redacted_beginning};
use crate::core::shown::{self, shown_url};
use crate::wire::{self, Route, Setup, Timeouts};

pub use crate::wire::{Failure, NoAnswer, SetupError, Stage};

/// The most of an answer's body that is read; a connection whose answer is longer is not used again.
const READ_BYTES: u64 = 64 * 1024;
/// The most of an answer's body that is kept.
const KEPT_BYTES: usize = 1024;
/// The most that is looked through for it: it shrinks where secrets are cut out.
const SEARCHED_BYTES: usize = 4 * KEPT_BYTES;
/// More than the requests that may be in flight to one endpoint.
const IDLE_PER_HOST: usize = 16;
const IDLE_IN_ALL: usize = 64;

/// What came of a POST.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Answered {
        status: u16,
        /// How long the receiver asks to be left alone; unbounded.
        retry_after: Option<Duration>,
        /// The beginning of the answer's body, at most 1 KiB, fit to be shown. Empty where it did not come: the
        /// status counts by itself.
        excerpt: String,
    },
    Failed(NoAnswer),
}

/// What came of a POST, and how long it took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub outcome: Outcome,
    pub elapsed: Duration,
}

impl Answer {
    /// The status, where there was an answer.
    pub fn status(&self) -> Option<u16> {
        match &self.outcome {
            Outcome::Answered { status, .. } => Some(*status),
            Outcome::Failed(_) => None,
        }
    }

    /// How long the receiver asks to be left alone; unbounded.
    pub fn retry_after(&self) -> Option<Duration> {
        match &self.outcome {
            Outcome::Answered { retry_after, .. } => *retry_after,
            Outcome::Failed(_) => None,
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.outcome {
            Outcome::Answered { status, excerpt, .. } if excerpt.is_empty() => write!(f, "answered {status}"),
            Outcome::Answered { status, excerpt, .. } => write!(f, "answered {status}: {excerpt}"),
            Outcome::Failed(no_answer) => write!(f, "{no_answer}"),
        }
    }
}

/// Sends notifications. One serves any number of threads, which share its connections.
#[derive(Debug)]
pub struct Sender {
    agent: Agent,
    timeout: Duration,
}

impl Sender {
    /// A sender whose requests take `timeout` at most, from connecting to the end of the answer. Callbacks are often
    /// in the local network: no proxy is used but the one named here, whatever the environment says. `extra_roots`
    /// are certificates in PEM, trusted beside the system's. A host with an address in one of the networks of `deny`
    /// is not connected to (`Failure::Denied`); behind a proxy that can be told of hosts that are addresses only.
    ///
    /// # Errors
    /// When the proxy or the roots cannot be used.
    pub fn new(
        timeout: Duration,
        proxy: Option<&str>,
        extra_roots: Option<&[u8]>,
        deny: &[Network],
    ) -> Result<Sender, SetupError> {
        let agent = wire::agent(&setup(timeout, proxy, extra_roots, deny))?;
        Ok(Sender { agent, timeout })
    }

    /// POSTs `body` with `headers` to `url`, once; a second time, at once and in the time that is left, when it went
    /// out on a reused connection that died before any byte of the answer (the receiver closed it while it was idle).
    /// Redirects are not followed: a 3xx is an answer like any other. Nothing of what is secret in the URL comes out again
    /// in the answer.
    pub fn post(&self, url: &Secret, headers: &[(&str, &str)], body: &[u8], clock: &dyn Clock) -> Answer {
        self.post_hiding(&[], url, headers, body, clock)
    }

    /// The same; nor does anything of `hidden`, header values and keys.
    pub fn post_hiding(
        &self,
        hidden: &[&Secret],
        url: &Secret,
        headers: &[(&str, &str)],
        body: &[u8],
        clock: &dyn Clock,
    ) -> Answer {
        let started = clock.uptime();
        let sent = wire::once_more_if_stale(clock, |on_new_connection| {
            let mut request = self.agent.post(url.expose());
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            if on_new_connection {
                let left = self.timeout.saturating_sub(since(started, clock));
                let config = request.config().max_idle_age(Duration::ZERO);
                request = config.timeout_global(Some(left)).build();
            }
            request.send(body)
        });
        wire::log_request("POST", &shown_url(url.expose()), &sent, since(started, clock));
        let secrets = || -> Vec<String> {
            let of_headers = hidden.iter().flat_map(|secret| parts_of(secret));
            parts_of_url(url).into_iter().chain(of_headers).collect()
        };
        let outcome = match sent {
            Ok(response) => answered(response, &secrets, clock),
            Err(error) => {
                let NoAnswer { reason, detail } = NoAnswer::from(&error);
                let detail = redacted(&detail, &secrets());
                Outcome::Failed(NoAnswer { reason, detail })
            }
        };
        Answer {
            outcome,
            elapsed: since(started, clock),
        }
    }
}

fn setup<'a>(
    timeout: Duration,
    proxy: Option<&'a str>,
    extra_roots: Option<&'a [u8]>,
    deny: &'a [Network],
) -> Setup<'a> {
    Setup {
        user_agent: concat!("deltapost/", env!("CARGO_PKG_VERSION")),
        timeouts: Timeouts::within(timeout),
        route: proxy.map_or(Route::Direct, Route::Through),
        extra_roots,
        deny,
        buffer_bytes: wire::MIN_BUFFER_BYTES,
        idle_per_host: IDLE_PER_HOST,
        idle_in_all: IDLE_IN_ALL,
    }
}

fn answered(response: Response<Body>, secrets: &dyn Fn() -> Vec<String>, clock: &dyn Clock) -> Outcome {
    Outcome::Answered {
        status: response.status().as_u16(),
        retry_after: wire::retry_after(response.headers(), || clock.now()),
        excerpt: match read_beginning(response.into_body()) {
            kept if kept.is_empty() => String::new(),
            kept => {
                let said = redacted_beginning(&String::from_utf8_lossy(&kept), &secrets());
                shown::excerpt(said.as_bytes(), KEPT_BYTES)
            }
        },
    }
}

/// Reads the body to its end, so that the connection can be used again, and keeps its beginning. A body that breaks
/// off, or comes too slowly, changes nothing about the status: what came of it is kept.
fn read_beginning(body: Body) -> Vec<u8> {
    let mut reader = body.into_reader().take(READ_BYTES);
    let mut kept = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        match reader.read(&mut chunk) {
            Ok(0) | Err(_) => return kept,
            Ok(n) => kept.extend_from_slice(&chunk[..n.min(SEARCHED_BYTES - kept.len())]),
        }
    }
}

#[cfg(test)]
mod tests;
