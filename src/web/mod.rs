//! The local API and page: listens, finds the route of a request, lets in who may enter, and tells errors in one shape.
//! What is asked for is done by `commands`; how bytes become requests is `httpd`'s.

mod api;
mod auth;
mod call;
mod codes;
mod health;
mod metrics;
mod openapi;
mod page;
mod paging;
mod reply;
mod room;
mod route;
mod signing;
#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::clock::{self, Clock, SystemClock};
use crate::commands::House;
use crate::core::elements::parsed_bytes;
use crate::core::shown::shown;
use crate::httpd::{Limits, Reply, Request, Running, Server};
use auth::Gate;
use call::Call;
use reply::Refusal;
use room::{Room, Seats};
use route::{Answer, Found, Table, Who};
use signing::Signing;

/// Every table of routes. Where two paths fit a request, the one with the literal word goes before a parameter.
const TABLES: &[Table] = &[
    api::elements::TABLE,
    api::instances::TABLE,
    api::configuration::TABLE,
    api::polls::TABLE,
    api::oauth::TABLE,
    api::oauth::CALLBACK,
    api::events::TABLE,
    api::deliveries::TABLE,
    health::TABLE,
    metrics::TABLE,
    openapi::TABLE,
];

/// How long the last requests may take after the agent has ended: it has given its own ten seconds by then.
const PATIENCE: Duration = Duration::from_secs(2);

/// Requests that change something at the same time, and those of them that wait for a poll. They can take as long as the
/// provider does; `/healthz`, `/metrics` and the page's views keep the other connections.
const MOST_CHANGES: usize = 32;
const MOST_POLLS: usize = 16;

/// Why nothing is served.
#[derive(Debug, thiserror::Error)]
pub enum WebError {
    #[error("could not listen on `{address}`: {source}")]
    Listen { address: SocketAddr, source: io::Error },
}

impl WebError {
    /// The next thing to do about it.
    pub fn hint(&self) -> &'static str {
        "name a free address as `address` under `[listen]`, or \"off\" for no API and no page"
    }
}

/// The server, for as long as it listens.
pub struct Listening(Running);

impl Listening {
    /// The address that is bound, with its actual port.
    pub fn address(&self) -> SocketAddr {
        self.0.local_addr()
    }

    /// Stops listening; requests that are being answered have two seconds to end.
    pub fn stop(self) {
        if !self.0.stop_within(PATIENCE) {
            log::warn!("stopping with requests to the API under way");
        }
    }
}

/// Serves `house` on the address of its configuration; `None` where that is "off". Once `stop` is set, nothing is
/// waited for any more.
///
/// # Errors
/// When the address cannot be bound.
pub fn listen(house: &House, stop: &Arc<AtomicBool>) -> Result<Option<Listening>, WebError> {
    let Some(address) = house.config.listen.address else {
        return Ok(None);
    };
    let refused = |source| WebError::Listen { address, source };
    let server = Server::bind(address, Limits::default()).map_err(refused)?;
    let server = server
        .refusing(|status, why| Refusal::new(status, why).reply(&clock::new_event_id(SystemClock.now())));
    let bound = server.local_addr();
    let web = Web {
        gate: Gate::new(&house.config.data_dir, bound),
        house: house.clone(),
        signing: Signing::default(),
        large: Room::default(),
        changes: Seats::new(MOST_CHANGES, "requests that change something"),
        polls: Seats::new(MOST_POLLS, "polls on request"),
        sessions: page::Sessions::default(),
        devices: page::Devices::default(),
        stop: Arc::clone(stop),
    };
    let running = server
        .serve(Arc::new(move |request| web.answer(request)))
        .map_err(refused)?;
    log::info!("listening address={bound} page=http://{bound}/");
    Ok(Some(Listening(running)))
}

/// What all requests share.
struct Web {
    house: House,
    gate: Gate,
    signing: Signing,
    large: Room,
    changes: Seats,
    polls: Seats,
    sessions: page::Sessions,
    devices: page::Devices,
    stop: Arc<AtomicBool>,
}

impl Web {
    /// Whether the agent is about to end, so that nothing is worth waiting for.
    fn stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// The answer to any request. The path is logged, the query never: it may hold secrets.
    fn answer(&self, request: &Request<'_>) -> Reply {
        let began = self.house.clock.now();
        let reply = self.dispatch(request).unwrap_or_else(|refusal| {
            let request_id = clock::new_event_id(began);
            if refusal.status >= 500 {
                let path = shown(request.path());
                log::error!(
                    "could not answer path={path:?} request={request_id} error={:?}",
                    refusal.message
                );
            }
            refusal.reply(&request_id)
        });
        let took = self.house.clock.now().duration_since(began).as_millis();
        let path = shown(request.path());
        log::debug!(
            "answered method={} path={path:?} status={} ms={took}",
            request.method,
            reply.status()
        );
        reply.with("X-Content-Type-Options", "nosniff")
    }

    /// The API's rows, and then the page's.
    fn find(&self, request: &Request<'_>) -> Found {
        match route::find(TABLES, request.method, request.path()) {
            Found::Nothing => route::find(page::TABLES, request.method, request.path()),
            found => found,
        }
    }

    fn dispatch(&self, request: &Request<'_>) -> Result<Reply, Refusal> {
        self.gate.check_host(request)?;
        self.gate.check_site(request)?;
        let (route, params) = match self.find(request) {
            Found::Route(route, params) => (route, params),
            Found::OtherMethods(allowed) => {
                return Err(Refusal::new(405, format!("this path takes {allowed}")).with("Allow", allowed));
            }
            Found::Nothing => return Err(Refusal::not_found("there is nothing at this path")),
        };
        let mut call = Call {
            request,
            house: &self.house,
            web: self,
            params,
            instance: None,
            place: RefCell::default(),
        };
        if let Answer::Plain(who, _) = route.answer {
            call.instance = match who {
                Who::Anyone => None,
                Who::Client => self.gate.admit(&call)?,
                Who::Instance => Some(self.gate.admit_instance(&call, route)?),
            };
        }
        // The way back from the provider exchanges a code there.
        let changes = route.method != "GET" || route.path == signing::CALLBACK;
        let _seat = changes.then(|| self.changes.take()).transpose()?;
        let reply = match route.answer {
            Answer::Plain(Who::Anyone, answer) => answer(&call),
            Answer::Plain(_, answer) => call
                .make_room(parsed_bytes(request.body))
                .and_then(|()| answer(&call)),
            Answer::Page(show) => page::show(&call, show),
            Answer::Form(act) => page::act(&call, act),
        };
        Ok(reply?.holding(call.place.take()))
    }
}
