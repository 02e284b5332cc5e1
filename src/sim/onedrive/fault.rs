//! What a test asks of the service: faults for the requests to come, gates that hold requests back, and the log of
//! what has arrived. It knows nothing of drives and tokens.
//!
//! As with kill points, only debug builds can be told to fail. In a release build no request has a fault, so that the
//! linker drops all code of faults: the packaged binary's `demo` needs none.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

#[cfg(debug_assertions)]
use super::OneDrive;
use super::account::Gone;
use crate::httpd::{Reply, Request, Then};

/// A group of addresses that fails, is held and is counted as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Endpoint {
    /// The delta feeds of all drives.
    Delta,
    /// The token endpoint.
    Token,
    /// Everything else.
    Other,
}

/// What goes wrong with one request. Those marked *page* spoil a page of the feed and mean nothing elsewhere.
#[derive(Clone, Debug)]
pub enum Fault {
    /// Another status; the body is JSON.
    Status {
        /// The status.
        code: u16,
        /// Further headers, by name and value.
        headers: Vec<(&'static str, String)>,
        /// The body.
        body: String,
    },
    /// 410 with this shape, though the token is good (*page*).
    Gone(Gone),
    /// 200 and a login page.
    Html,
    /// 200, JSON by its content type only.
    NotJson,
    /// 200 and this JSON.
    Body(Vec<u8>),
    /// 200 and 17 MiB of well-formed JSON without an end to the set.
    TooLarge,
    /// The right answer, broken off in the middle.
    Truncate,
    /// The request is carried out, and the connection closes without an answer.
    LostAnswer,
    /// The connection closes without an answer, and nothing was done.
    Close,
    /// No answer, until the client gives up or the service stops.
    Hang,
    /// Neither nextLink nor deltaLink (*page*).
    NoLinks,
    /// Both of them (*page*).
    BothLinks,
    /// A nextLink that leads to this URL (*page*).
    ForeignNextLink(String),
    /// A nextLink that leads to this same page (*page*).
    SamePageAgain,
    /// The first item lacks its id (*page*).
    ItemWithoutId,
    /// The right answer, and nothing left of what may be asked for, for so many seconds.
    UsedUp(u64),
    /// The right answer, which stops in the middle and leaves the connection open.
    Stall,
}

impl Fault {
    /// A status with the body that Graph gives it.
    pub fn status(code: u16) -> Fault {
        let name = match code {
            429 => "activityLimitReached",
            503 | 504 | 509 => "serviceNotAvailable",
            403 => "accessDenied",
            404 => "itemNotFound",
            _ => "generalException",
        };
        Fault::Status {
            code,
            headers: Vec::new(),
            body: super::error_body(name, "as the test asked"),
        }
    }

    /// 429 with `Retry-After` in seconds.
    pub fn throttle(seconds: u64) -> Fault {
        match Fault::status(429) {
            Fault::Status { code, body, .. } => Fault::Status {
                code,
                headers: vec![("Retry-After", seconds.to_string())],
                body,
            },
            other => other,
        }
    }

    /// What the token endpoint says when it refuses: `error`, with the AADSTS `number`.
    pub fn oauth(error: &str, number: u32) -> Fault {
        let description = format!("AADSTS{number}: as the test asked. Trace ID: 0f0f0f0f");
        Fault::Status {
            code: 400,
            headers: Vec::new(),
            body: serde_json::json!({"error": error, "error_description": description}).to_string(),
        }
    }

    /// The reply of those faults that take the answer's place.
    pub(super) fn instead(&self) -> Option<Reply> {
        match self {
            Fault::Status { code, headers, body } => {
                let reply = Reply::json(*code, body.as_bytes());
                Some(
                    headers
                        .iter()
                        .fold(reply, |reply, (name, value)| reply.with(name, value)),
                )
            }
            Fault::Html => Some(Reply::new(
                200,
                "text/html",
                "<!doctype html><title>Guest network</title>Sign in",
            )),
            Fault::NotJson => Some(Reply::json(200, "{\"value\": [oops")),
            Fault::Body(body) => Some(Reply::json(200, body.clone())),
            Fault::TooLarge => {
                let filler = "x".repeat(17 * 1024 * 1024);
                Some(Reply::json(
                    200,
                    format!("{{\"filler\":\"{filler}\",\"value\":[]}}"),
                ))
            }
            Fault::Close => Some(Reply::verbatim("", Then::Close)),
            Fault::Hang => Some(Reply::verbatim("", Then::Hang)),
            _ => None,
        }
    }

    /// The reply of those faults that spoil an answer on its way.
    pub(super) fn spoil(&self, reply: Reply) -> Reply {
        match self {
            Fault::LostAnswer => Reply::verbatim("", Then::Close),
            Fault::UsedUp(seconds) => reply
                .with("RateLimit-Limit", "1200")
                .with("RateLimit-Remaining", "0")
                .with("RateLimit-Reset", seconds.to_string()),
            Fault::Truncate | Fault::Stall => {
                let body = reply.body();
                let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";
                let mut bytes = format!("{head}Content-Length: {}\r\n\r\n", body.len()).into_bytes();
                bytes.extend_from_slice(&body[..body.len() / 2]);
                let then = match self {
                    Fault::Stall => Then::Hang,
                    _ => Then::Close,
                };
                Reply::verbatim(bytes, then)
            }
            _ => reply,
        }
    }
}

/// A request that has arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Its place among all requests of this service, from 0.
    pub number: u64,
    /// The group that it counts for.
    pub endpoint: Endpoint,
    /// `GET`, `POST` …
    pub method: String,
    /// Path and query.
    pub target: String,
    /// The header `Authorization`, and so on.
    pub authorization: Option<String>,
    /// `User-Agent`.
    pub user_agent: Option<String>,
    /// `Prefer`.
    pub prefer: Option<String>,
    /// Whether `deltaExcludeParent: true` came with it.
    pub exclude_parents: bool,
    /// The body: a token request's form.
    pub body: String,
}

/// What a test does when a request arrives.
pub(super) type Watch = Arc<dyn Fn(&Seen) + Send + Sync>;

/// Requests that the log keeps; older ones are only counted.
const LOG_LENGTH: usize = 20_000;

/// Faults, gates and the log, shared between the service and the test.
#[derive(Default)]
pub(super) struct Desk {
    state: Mutex<DeskState>,
    changed: Condvar,
}

#[derive(Default)]
struct DeskState {
    /// For each of the next requests: a fault, or none.
    #[cfg(debug_assertions)]
    queued: BTreeMap<Endpoint, VecDeque<Option<Fault>>>,
    /// For every request beyond those.
    #[cfg(debug_assertions)]
    standing: BTreeMap<Endpoint, Fault>,
    gates: BTreeMap<Endpoint, u64>,
    counts: BTreeMap<Endpoint, u64>,
    gates_opened: u64,
    log: VecDeque<Seen>,
    watch: Option<Watch>,
    stopped: bool,
}

impl Desk {
    fn lock(&self) -> MutexGuard<'_, DeskState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Logs a request, shows it to whoever watches, waits while its endpoint is held, and tells what is to go wrong
    /// with it.
    pub(super) fn arrive(&self, endpoint: Endpoint, request: &Request<'_>) -> Option<Fault> {
        let mut state = self.lock();
        let seen = state.note(endpoint, request);
        self.changed.notify_all();
        if let Some(watch) = state.watch.clone() {
            drop(state);
            watch(&seen);
            state = self.lock();
        }
        while state.gates.contains_key(&endpoint) && !state.stopped {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        #[cfg(debug_assertions)]
        return state.fault(endpoint);
        #[cfg(not(debug_assertions))]
        None
    }

    pub(super) fn watch(&self, watch: Watch) {
        self.lock().watch = Some(watch);
    }

    /// Lets every request go that is held, now and later.
    pub(super) fn stop(&self) {
        self.lock().stopped = true;
        self.changed.notify_all();
    }

    pub(super) fn log(&self) -> Vec<Seen> {
        self.lock().log.iter().cloned().collect()
    }

    pub(super) fn count(&self, endpoint: Endpoint) -> u64 {
        self.lock().counts.get(&endpoint).copied().unwrap_or(0)
    }

    pub(super) fn wait_count(&self, endpoint: Endpoint, count: u64, at_most: Duration) -> bool {
        let short = |state: &mut DeskState| state.counts.get(&endpoint).copied().unwrap_or(0) < count;
        let waited = self.changed.wait_timeout_while(self.lock(), at_most, short);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    pub(super) fn hold(self: &Arc<Desk>, endpoint: Endpoint) -> Gate {
        let mut state = self.lock();
        state.gates_opened += 1;
        let id = state.gates_opened;
        state.gates.insert(endpoint, id);
        let already = state.counts.get(&endpoint).copied().unwrap_or(0);
        Gate {
            desk: self.clone(),
            endpoint,
            id,
            already,
        }
    }
}

#[cfg(debug_assertions)]
impl OneDrive {
    /// Fails the next request of `endpoint` for which nothing is queued yet.
    pub fn fail_next(&self, endpoint: Endpoint, fault: Fault) {
        self.fail_after(endpoint, 0, fault);
    }

    /// Lets `healthy` more requests through, then fails one.
    pub fn fail_after(&self, endpoint: Endpoint, healthy: usize, fault: Fault) {
        let mut state = self.service.desk.lock();
        let queue = state.queued.entry(endpoint).or_default();
        queue.extend(std::iter::repeat_n(None, healthy));
        queue.push_back(Some(fault));
    }

    /// Fails every request of `endpoint` for which nothing is queued.
    pub fn fail_always(&self, endpoint: Endpoint, fault: Fault) {
        self.service.desk.lock().standing.insert(endpoint, fault);
    }

    /// Forgets all faults of `endpoint` that have not happened yet.
    pub fn heal(&self, endpoint: Endpoint) {
        let mut state = self.service.desk.lock();
        state.queued.remove(&endpoint);
        state.standing.remove(&endpoint);
    }
}

impl DeskState {
    #[cfg(debug_assertions)]
    fn fault(&mut self, endpoint: Endpoint) -> Option<Fault> {
        let queued = self.queued.get_mut(&endpoint).and_then(VecDeque::pop_front);
        queued.unwrap_or_else(|| self.standing.get(&endpoint).cloned())
    }

    fn note(&mut self, endpoint: Endpoint, request: &Request<'_>) -> Seen {
        let number = self.counts.values().sum();
        *self.counts.entry(endpoint).or_default() += 1;
        if self.log.len() == LOG_LENGTH {
            self.log.pop_front();
        }
        let header = |name| request.header(name).map(str::to_owned);
        let seen = Seen {
            number,
            endpoint,
            method: request.method.to_string(),
            target: request.target.to_owned(),
            authorization: header("authorization"),
            user_agent: header("user-agent"),
            prefer: header("prefer"),
            exclude_parents: excludes_parents(request),
            body: String::from_utf8_lossy(request.body).into_owned(),
        };
        self.log.push_back(seen.clone());
        seen
    }
}

pub(super) fn excludes_parents(request: &Request<'_>) -> bool {
    request
        .header("deltaExcludeParent")
        .is_some_and(|value| value.eq_ignore_ascii_case("true"))
}

/// Holds back every request of an endpoint while it lives; see `OneDrive::hold`.
pub struct Gate {
    desk: Arc<Desk>,
    endpoint: Endpoint,
    id: u64,
    already: u64,
}

impl Gate {
    /// Waits until a request is held; false when none has come after `at_most`.
    pub fn wait_arrived(&self, at_most: Duration) -> bool {
        self.desk.wait_count(self.endpoint, self.already + 1, at_most)
    }

    /// Lets the held requests go on.
    pub fn release(self) {}
}

impl Drop for Gate {
    fn drop(&mut self) {
        let mut state = self.desk.lock();
        if state.gates.get(&self.endpoint) == Some(&self.id) {
            state.gates.remove(&self.endpoint);
        }
        self.desk.changed.notify_all();
    }
}
