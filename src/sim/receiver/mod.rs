//! A callback that checks everything it is sent, remembers it in order, and answers as a test tells it to.
//! The checks are written from the protocols' texts and share nothing with the code that signs.

mod event;
mod verify;

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::Ipv4Addr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub use event::Received;

use crate::httpd::{Limits, Method, Reply, Request, Running, Server, Then};

/// What the receiver does with a notification, whatever it thinks of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Any status below 600, with an empty body. 2xx accepts the notification.
    Status(u16),
    /// A status with headers and a body.
    Full {
        /// The status; 2xx accepts the notification.
        status: u16,
        /// Further headers, by name and value.
        headers: Vec<(&'static str, String)>,
        /// The body, as plain text.
        body: String,
    },
    /// 302 to this URL.
    Redirect(String),
    /// The connection closes without an answer.
    Close,
    /// No answer, until the client gives up or the receiver stops.
    Hang,
}

impl Answer {
    fn accepts(&self) -> bool {
        matches!(
            self,
            Answer::Status(200..=299)
                | Answer::Full {
                    status: 200..=299,
                    ..
                }
        )
    }

    fn reply(&self) -> Reply {
        match self {
            Answer::Status(status) => Reply::empty(*status),
            Answer::Full {
                status,
                headers,
                body,
            } => {
                let reply = Reply::text(*status, body);
                headers
                    .iter()
                    .fold(reply, |reply, (name, value)| reply.with(name, value))
            }
            Answer::Redirect(url) => Reply::empty(302).with("Location", url),
            Answer::Close => Reply::verbatim("", Then::Close),
            Answer::Hang => Reply::verbatim("", Then::Hang),
        }
    }
}

/// One request that has arrived.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// `webhook-id`; empty when there was none.
    pub id: String,
    /// Path and query that it came to.
    pub target: String,
    /// All headers, in their order.
    pub headers: Vec<(String, String)>,
    /// The body, as it came.
    pub body: Vec<u8>,
    /// Whether both signatures, the ids and the body are as documented; else the first thing that is not.
    pub verdict: Result<(), String>,
    /// Empty when the body could not be read.
    pub events: Vec<Received>,
    /// What was answered.
    pub answer: Answer,
}

impl Delivery {
    /// The value of the first header called `name`, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(have, _)| have.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

/// What has arrived so far, in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Every request.
    pub requests: u64,
    /// Different notifications that were accepted.
    pub notifications: u64,
    /// The events in the notifications counted above.
    pub events: u64,
    /// Requests whose id had been accepted before.
    pub duplicates: u64,
    /// Requests whose id had come before with another body: this must never be.
    pub changed: u64,
    /// Requests whose verdict was not good.
    pub unverified: u64,
    /// Most requests that were being answered at the same time.
    pub most_in_flight: u64,
}

type Callback = Arc<dyn Fn(&Delivery) + Send + Sync>;

#[derive(Default)]
struct State {
    key: Option<String>,
    /// Only numbers are kept, and nothing is checked.
    counting: bool,
    counts: Counts,
    in_flight: u64,
    deliveries: Vec<Delivery>,
    /// Where each id first came, and whether it was accepted since.
    known: HashMap<String, (usize, bool)>,
    /// The accepted events, in order, duplicates left out.
    events: Vec<Received>,
    queued: VecDeque<Answer>,
    standing: Option<Answer>,
    callback: Option<Callback>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

/// A running callback. Dropping it stops it.
pub struct Receiver {
    shared: Arc<Shared>,
    running: Running,
}

impl Receiver {
    /// Starts on a loopback port of the system's choice. With a `key`, both signatures are checked against it; without,
    /// there must be none.
    ///
    /// # Errors
    /// When no port can be bound or no thread started.
    pub fn start(key: Option<String>) -> io::Result<Receiver> {
        Receiver::with(State {
            key,
            ..State::default()
        })
    }

    /// Starts a receiver that accepts everything and keeps nothing but `counts`, of which it counts requests,
    /// notifications and events: for measuring.
    ///
    /// # Errors
    /// When no port can be bound or no thread started.
    pub fn counting() -> io::Result<Receiver> {
        Receiver::with(State {
            counting: true,
            ..State::default()
        })
    }

    fn with(state: State) -> io::Result<Receiver> {
        let limits = Limits {
            body_bytes: 64 << 20,
            connections: 512,
            idle: Duration::from_secs(600),
            ..Limits::default()
        };
        let server = Server::bind((Ipv4Addr::LOCALHOST, 0).into(), limits)?;
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            changed: Condvar::new(),
        });
        let running = {
            let shared = shared.clone();
            server.serve(Arc::new(move |request: &Request| shared.receive(request)))?
        };
        Ok(Receiver { shared, running })
    }

    /// `http://127.0.0.1:PORT/callback`; every other path is received, too.
    pub fn url(&self) -> String {
        format!("http://{}/callback", self.running.local_addr())
    }

    /// Checks against another key from now on.
    pub fn set_key(&self, key: Option<String>) {
        self.shared.lock().key = key;
    }

    /// Answers the next `count` requests for which nothing is queued yet.
    pub fn answer_next(&self, count: usize, answer: Answer) {
        self.shared
            .lock()
            .queued
            .extend(std::iter::repeat_n(answer, count));
    }

    /// Answers every request for which nothing is queued; until then, 200.
    pub fn answer_always(&self, answer: Answer) {
        self.shared.lock().standing = Some(answer);
    }

    /// Calls `callback` with each delivery, before it is answered, on its connection's thread.
    pub fn on_delivery(&self, callback: impl Fn(&Delivery) + Send + Sync + 'static) {
        self.shared.lock().callback = Some(Arc::new(callback));
    }

    /// Every request, in the order of arrival, whatever was answered.
    pub fn deliveries(&self) -> Vec<Delivery> {
        self.shared.lock().deliveries.clone()
    }

    /// The events of the accepted notifications, in the order of arrival, each notification once.
    pub fn events(&self) -> Vec<Received> {
        self.shared.lock().events.clone()
    }

    /// What has arrived so far, in numbers.
    pub fn counts(&self) -> Counts {
        self.shared.lock().counts
    }

    /// Waits until `count` events have been accepted since the start, and returns all that were.
    ///
    /// # Errors
    /// What has arrived, when `at_most` has passed before.
    pub fn wait_for(&self, count: u64, at_most: Duration) -> Result<Vec<Received>, Counts> {
        let state = self
            .shared
            .wait_while(at_most, |state| state.counts.events < count);
        if state.counts.events < count {
            Err(state.counts)
        } else {
            Ok(state.events.clone())
        }
    }

    /// Waits until `count` requests have arrived since the start, whatever was answered.
    ///
    /// # Errors
    /// What has arrived, when `at_most` has passed before.
    pub fn wait_requests(&self, count: u64, at_most: Duration) -> Result<(), Counts> {
        let state = self
            .shared
            .wait_while(at_most, |state| state.counts.requests < count);
        if state.counts.requests < count {
            Err(state.counts)
        } else {
            Ok(())
        }
    }

    /// Stops receiving, letting go of what hangs.
    pub fn stop(self) {}
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_while(&self, at_most: Duration, short: impl Fn(&State) -> bool) -> MutexGuard<'_, State> {
        let waited = self
            .changed
            .wait_timeout_while(self.lock(), at_most, |state| short(state));
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    fn receive(&self, request: &Request<'_>) -> Reply {
        if *request.method != Method::Post {
            return Reply::text(405, "only POST is received\n").with("Allow", "POST");
        }
        let (key, counting) = {
            let mut state = self.lock();
            state.in_flight += 1;
            state.counts.most_in_flight = state.counts.most_in_flight.max(state.in_flight);
            (state.key.clone(), state.counting)
        };
        let reply = if counting {
            self.count(request)
        } else {
            self.keep(key.as_deref(), request)
        };
        self.lock().in_flight -= 1;
        reply
    }

    fn count(&self, request: &Request<'_>) -> Reply {
        let events = event::count(request.body);
        let mut state = self.lock();
        state.counts.requests += 1;
        state.counts.notifications += 1;
        state.counts.events += events;
        drop(state);
        self.changed.notify_all();
        Reply::empty(200)
    }

    fn keep(&self, key: Option<&str>, request: &Request<'_>) -> Reply {
        let header = |name: &str| request.header(name);
        let read = event::read(header("content-type").unwrap_or_default(), request.body);
        let verdict = verify::check(key, header, request.body).and_then(|id| match &read {
            Ok((event_id, _)) if event_id.as_ref().is_some_and(|event_id| *event_id != id) => {
                Err("`message.eventId` is not the id in the headers".to_owned())
            }
            Ok(_) => Ok(()),
            Err(problem) => Err(problem.clone()),
        });
        let mut state = self.lock();
        let standing = state.standing.clone().unwrap_or(Answer::Status(200));
        let answer = state.queued.pop_front().unwrap_or(standing);
        let delivery = Delivery {
            id: header("webhook-id").unwrap_or_default().to_owned(),
            target: request.target.to_owned(),
            headers: request
                .headers()
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            body: request.body.to_vec(),
            verdict,
            events: read.map(|(_, events)| events).unwrap_or_default(),
            answer: answer.clone(),
        };
        state.remember(delivery.clone());
        let callback = state.callback.clone();
        drop(state);
        self.changed.notify_all();
        if let Some(callback) = callback {
            callback(&delivery);
        }
        answer.reply()
    }
}

impl State {
    fn remember(&mut self, delivery: Delivery) {
        let at = self.deliveries.len();
        let (first, accepted_before) = self.known.get(&delivery.id).copied().unwrap_or((at, false));
        let accepts = delivery.answer.accepts();
        self.counts.requests += 1;
        self.counts.unverified += u64::from(delivery.verdict.is_err());
        self.counts.duplicates += u64::from(accepted_before);
        self.counts.changed += u64::from(first != at && self.deliveries[first].body != delivery.body);
        if accepts && !accepted_before {
            self.counts.notifications += 1;
            self.counts.events += delivery.events.len() as u64;
            self.events.extend(delivery.events.iter().cloned());
        }
        self.known
            .insert(delivery.id.clone(), (first, accepted_before || accepts));
        self.deliveries.push(delivery);
    }
}

#[cfg(test)]
mod tests;
