//! A simulated Microsoft identity platform and Graph for one or more accounts, in memory, over real HTTP: what their
//! documentation says, its awkward parts included, and failures on request. What a test can ask for is here; Graph's
//! routes are in `graph`, the drive in `drive` and `state`, the feed in `feed`, other collections in `collection`, the grants in `identity`, faults and the
//! log in `fault`.

mod account;
mod collection;
mod drive;
mod fault;
mod feed;
mod graph;
mod identity;
mod item;
mod state;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::SignedDuration;

pub use account::{Account, Descendants, Gone, Habits, Kind, Repeats};
pub use collection::{Collection, Shape};
pub use drive::{Drive, Entry, Tree};
pub use fault::{Endpoint, Fault, Gate, Seen};
pub use identity::{App, DeviceAnswer, Rules};

use crate::clock::{Clock, SystemClock};
use crate::httpd::{Limits, Reply, Request, Running, Server};
use fault::Desk;
use graph::error_body;
use identity::{Access, Identity};

/// The running service. Dropping it stops it.
///
/// ```no_run
/// use deltapost::sim::onedrive::{Account, Endpoint, Fault, OneDrive};
///
/// let cloud = OneDrive::start(Account::business().awkward(7))?;
/// let drive = cloud.drive();
/// let finance = drive.create_folder(&drive.root_id(), "Finance");
/// drive.create_file(&finance, "report.xlsx", 1200);
/// cloud.fail_next(Endpoint::Delta, Fault::throttle(2));
/// // … point an agent at cloud.graph_base() and cloud.authority(), with cloud.issue_code() …
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct OneDrive {
    service: Arc<Service>,
    _running: Running,
}

impl OneDrive {
    /// Starts the service with one account, on a loopback port of the system's choice.
    ///
    /// # Errors
    /// When no port can be bound or no thread started.
    pub fn start(account: Account) -> io::Result<OneDrive> {
        OneDrive::start_on((Ipv4Addr::LOCALHOST, 0).into(), account)
    }

    /// The same at another address.
    ///
    /// # Errors
    /// When it cannot be bound or no thread started.
    pub fn start_on(address: SocketAddr, account: Account) -> io::Result<OneDrive> {
        let limits = Limits {
            connections: 512,
            idle: Duration::from_secs(600),
            ..Limits::default()
        };
        let server = Server::bind(address, limits)?;
        let service = Arc::new(Service {
            origin: format!("http://{}", server.local_addr()),
            identity: Mutex::new(Identity::new(account.seed)),
            drives: Mutex::new(vec![Drive::new(&account)]),
            desk: Arc::default(),
            routes: Mutex::default(),
            collections: Mutex::default(),
            called: Mutex::default(),
            packs: AtomicBool::new(false),
            seconds_ahead: AtomicI64::new(0),
            seconds_lost: AtomicI64::new(0),
        });
        let running = {
            let service = service.clone();
            server.serve(Arc::new(move |request: &Request| service.answer(request)))?
        };
        Ok(OneDrive {
            service,
            _running: running,
        })
    }

    /// Adds an account; give each its own seed, since the drive's id comes from it.
    pub fn add_account(&self, account: Account) -> Drive {
        let drive = Drive::new(&account);
        self.service.drives().push(drive.clone());
        drive
    }

    /// The first account's drive.
    pub fn drive(&self) -> Drive {
        self.service.drives()[0].clone()
    }

    /// `http://127.0.0.1:PORT/v1.0`.
    pub fn graph_base(&self) -> String {
        format!("{}/v1.0", self.service.origin)
    }

    /// `http://127.0.0.1:PORT/common`.
    pub fn authority(&self) -> String {
        format!("{}/common", self.service.origin)
    }

    /// How grants are given from now on.
    pub fn set_rules(&self, rules: Rules) {
        self.service.identity().rules = rules;
    }

    /// An authorization code of the first account, good for one exchange.
    pub fn issue_code(&self) -> String {
        self.service.identity().issue_code(0, None)
    }

    /// An authorization code of the account that `drive` belongs to.
    pub fn issue_code_of(&self, drive: &Drive) -> String {
        let account = self.service.account_of(&drive.id()).unwrap_or(0);
        self.service.identity().issue_code(account, None)
    }

    /// A refresh token of the first account, as if a code had been exchanged.
    pub fn issue_refresh_token(&self) -> String {
        self.service.identity().issue_refresh_token(0)
    }

    /// A refresh token of the account that `drive` belongs to.
    pub fn issue_refresh_token_of(&self, drive: &Drive) -> String {
        let account = self.service.account_of(&drive.id()).unwrap_or(0);
        self.service.identity().issue_refresh_token(account)
    }

    /// An access token of the first account, for a test that asks the service by itself.
    pub fn issue_access_token(&self) -> String {
        self.service.identity().issue_access_token(Access::User(0))
    }

    /// Lets every user see a drive by its id, until it is taken back.
    pub fn share(&self, drive: &Drive, shared: bool) {
        drive.lock().shared = shared;
    }

    /// Removes a drive, as when its owner has left: it is found no more.
    pub fn remove(&self, drive: &Drive) {
        drive.lock().removed = true;
    }

    /// Writes `origin`, such as `https://graph.test`, into links in place of its own: it stands behind something that is
    /// called so.
    pub fn stand_behind(&self, origin: &str) {
        *self.service.called.lock().unwrap_or_else(PoisonError::into_inner) = Some(origin.to_owned());
    }

    /// Packs the answers of those who accept gzip.
    pub fn pack_answers(&self) {
        self.service.packs.store(true, Ordering::Relaxed);
    }

    /// Lets the service's clock go ahead of the machine's, or behind.
    pub fn set_clock_ahead(&self, ahead: SignedDuration) {
        self.service
            .seconds_ahead
            .store(ahead.as_secs(), Ordering::Relaxed);
    }

    /// Sets the service's clock back by `lost` with each answer from now on.
    pub fn lose_time(&self, lost: SignedDuration) {
        self.service.seconds_lost.store(lost.as_secs(), Ordering::Relaxed);
    }

    /// Every access token issued until now is answered 401 from now on.
    pub fn revoke_access_tokens(&self) {
        self.service.identity().revoke_access_tokens();
    }

    /// Every refresh token issued until now is answered `invalid_grant` from now on.
    pub fn revoke_grants(&self) {
        self.service.identity().revoke_grants();
    }

    /// What a person does about the device codes that wait for one.
    pub fn answer_device_codes(&self, answer: DeviceAnswer) {
        self.service.identity().answer_device_codes(answer);
    }

    /// All tokens, codes and secrets that the identity platform has given out, for tests that look for leaks.
    pub fn secrets(&self) -> Vec<String> {
        self.service.identity().secrets.clone()
    }

    /// Holds back the requests of `endpoint` that come from now on, until the gate is released or dropped.
    pub fn hold(&self, endpoint: Endpoint) -> Gate {
        self.service.desk.hold(endpoint)
    }

    /// Calls `watch` with each request, before it is carried out, on its connection's thread: what it does to a drive,
    /// the answer shows.
    pub fn on_request(&self, watch: impl Fn(&Seen) + Send + Sync + 'static) {
        self.service.desk.watch(Arc::new(watch));
    }

    /// Answers `path` (without its query, `/v1.0/…`) with what `reply` makes of an authorized request: other feeds than
    /// a drive's.
    pub fn route(&self, path: &str, reply: impl Fn(&Request) -> Reply + Send + Sync + 'static) {
        let mut routes = self.service.routes.lock().unwrap_or_else(PoisonError::into_inner);
        routes.insert(path.to_owned(), Arc::new(reply));
    }

    /// Puts a collection beside the drives, at `path` below the Graph base; its feed is at `{path}/delta`.
    pub fn add_collection(&self, path: &str, shape: Shape) -> Collection {
        let collection = Collection::new(path, shape);
        let mut collections = self
            .service
            .collections
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        collections.push(collection.clone());
        collection
    }

    /// The requests that have arrived, the last 20,000 at most.
    pub fn requests(&self) -> Vec<Seen> {
        self.service.desk.log()
    }

    /// How many requests of `endpoint` have arrived.
    pub fn count(&self, endpoint: Endpoint) -> u64 {
        self.service.desk.count(endpoint)
    }

    /// Waits until `count` requests of `endpoint` have arrived since the start; false when they have not after `at_most`.
    pub fn wait_count(&self, endpoint: Endpoint, count: u64, at_most: Duration) -> bool {
        self.service.desk.wait_count(endpoint, count, at_most)
    }

    /// Stops the service, letting go of everything that is held or hangs.
    pub fn stop(self) {}
}

impl Drop for OneDrive {
    fn drop(&mut self) {
        // The server, dropped after this, waits for its handlers: none must be waiting at a gate.
        self.service.desk.stop();
    }
}

type Route = Arc<dyn Fn(&Request) -> Reply + Send + Sync>;

struct Service {
    origin: String,
    identity: Mutex<Identity>,
    /// One per account, at the account's number.
    drives: Mutex<Vec<Drive>>,
    desk: Arc<Desk>,
    routes: Mutex<BTreeMap<String, Route>>,
    collections: Mutex<Vec<Collection>>,
    /// What it is called in its own links, where that is not its address.
    called: Mutex<Option<String>>,
    packs: AtomicBool,
    seconds_ahead: AtomicI64,
    /// How far its clock goes back with each answer.
    seconds_lost: AtomicI64,
}

impl Service {
    fn identity(&self) -> std::sync::MutexGuard<'_, Identity> {
        self.identity.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn called(&self) -> String {
        let called = self.called.lock().unwrap_or_else(PoisonError::into_inner);
        called.as_ref().unwrap_or(&self.origin).clone()
    }

    fn drives(&self) -> std::sync::MutexGuard<'_, Vec<Drive>> {
        self.drives.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, request: &Request<'_>) -> Reply {
        let path: Vec<String> = request.path().split('/').skip(1).map(decoded).collect();
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        let endpoint = match path[..] {
            ["v1.0", .., "delta"] => Endpoint::Delta,
            [_, "oauth2", "v2.0", "token"] => Endpoint::Token,
            _ => Endpoint::Other,
        };
        let fault = self.desk.arrive(endpoint, request);
        if let Some(reply) = fault.as_ref().and_then(Fault::instead) {
            return reply;
        }
        let reply = match path[..] {
            [_, "oauth2", "v2.0", action] => self.identity().answer(action, &self.origin, request),
            ["v1.0", ref path @ ..] => self
                .graph(path, request, fault.as_ref())
                .unwrap_or_else(|refusal| refusal),
            _ => Reply::text(404, "no such page\n"),
        };
        let reply = self.dressed(reply, request);
        match fault {
            Some(fault) => fault.spoil(reply),
            None => reply,
        }
    }

    /// The reply with the service's own time, and packed where both sides want it.
    fn dressed(&self, mut reply: Reply, request: &Request<'_>) -> Reply {
        let lost = self.seconds_lost.load(Ordering::Relaxed);
        let ahead = self.seconds_ahead.fetch_sub(lost, Ordering::Relaxed) - lost;
        if ahead != 0 {
            let now = SystemClock.now().saturating_add(SignedDuration::from_secs(ahead));
            let date = now.unwrap_or(jiff::Timestamp::MAX);
            reply = reply.with("Date", date.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string());
        }
        let accepted = request
            .header("accept-encoding")
            .is_some_and(|accepted| accepted.contains("gzip"));
        if !accepted || !self.packs.load(Ordering::Relaxed) {
            return reply;
        }
        let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
        let packed = packer.write_all(reply.body()).and_then(|()| packer.finish());
        reply
            .with_body(packed.expect("a vector takes every write"))
            .with("Content-Encoding", "gzip")
    }
}

/// `text` with its percent escapes decoded.
fn decoded(text: &str) -> String {
    let text = text.replace('+', "%2B").replace('&', "%26").replace('=', "%3D");
    url::form_urlencoded::parse(text.as_bytes())
        .next()
        .map(|(key, _)| key.into_owned())
        .unwrap_or_default()
}
