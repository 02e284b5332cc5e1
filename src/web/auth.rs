//! Who is let in: the API token in constant time, an instance's own token, and no page of another site. Failures are
//! logged, the value never. They are answered at once: a token has 256 random bits, so that slowing who guesses one
//! protects nothing, and would hold a place. Sessions of the page are not kept here.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};

use super::call::Call;
use super::codes::Codes;
use super::reply::Refusal;
use super::route::Route;
use crate::clock::Clock;
use crate::core::model::{Instance, Secret};
use crate::core::shown::shown;
use crate::httpd::{Method, Request};
use crate::store::{TOKEN_FILE, read_own};

/// How often the log tells of wrong tokens.
const TOLD_EVERY: SignedDuration = SignedDuration::from_mins(1);

/// The way an instance that is paused is brought back with its own token.
const RESUMES: (&str, &str) = ("PUT", "/instances/enabled");

/// Guards the routes of one bound address.
#[derive(Debug)]
pub(super) struct Gate {
    token_file: PathBuf,
    bound: IpAddr,
    codes: Codes,
    wrong: Mutex<WrongTokens>,
}

/// The wrong tokens since the log last told of them.
#[derive(Debug, Default)]
struct WrongTokens {
    untold: u64,
    told_at: Option<Timestamp>,
}

impl WrongTokens {
    /// How many the log is to tell of at `now`, if any.
    fn take_due(&mut self, now: Timestamp) -> Option<u64> {
        let recently = |told: Timestamp| now >= told && now.duration_since(told) < TOLD_EVERY;
        if self.untold == 0 || self.told_at.is_some_and(recently) {
            return None;
        }
        self.told_at = Some(now);
        Some(std::mem::take(&mut self.untold))
    }
}

/// What an `Authorization` header presents.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Presented {
    api: Option<Secret>,
    element: Option<Secret>,
}

impl Gate {
    /// For what is bound to `bound`, with the API token in `data_dir`.
    pub(super) fn new(data_dir: &Path, bound: SocketAddr) -> Gate {
        Gate {
            token_file: data_dir.join(TOKEN_FILE),
            bound: bound.ip(),
            codes: Codes::default(),
            wrong: Mutex::default(),
        }
    }

    /// Refuses a `Host` that is no name of this address: a page elsewhere whose name was bound to it anew would come with
    /// its own.
    pub(super) fn check_host(&self, request: &Request<'_>) -> Result<(), Refusal> {
        let host = request.header("Host").unwrap_or_default();
        let (name, _) = host_and_port(host);
        let known = match name.parse::<IpAddr>() {
            // Bound to every address, it has the box's own, which are not known here; no name leads to a number.
            Ok(ip) => ip.is_loopback() || ip == self.bound || self.bound.is_unspecified(),
            Err(_) => name.eq_ignore_ascii_case("localhost"),
        };
        if known {
            return Ok(());
        }
        let message = format!(
            "`{}` is no name of this server: use the address that it listens on",
            shown(host)
        );
        Err(Refusal::new(421, message))
    }

    /// Refuses what a page of another site sends to change something.
    pub(super) fn check_site(&self, request: &Request<'_>) -> Result<(), Refusal> {
        if matches!(request.method, Method::Get | Method::Head | Method::Options) {
            return Ok(());
        }
        let host = request.header("Host").unwrap_or_default();
        let own_origin = |origin: &str| {
            let authority = origin.split_once("://").map(|(_, authority)| authority);
            authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host))
        };
        let origin = request.header("Origin").is_none_or(own_origin);
        let site = request
            .header("Sec-Fetch-Site")
            .is_none_or(|site| matches!(site, "same-origin" | "none"));
        match origin && site {
            true => Ok(()),
            false => Err(Refusal::new(
                403,
                "refused: the request comes from a page of another site",
            )),
        }
    }

    /// Lets in who has the API token. The instance is the one whose token comes with it, where there is one.
    pub(super) fn admit(&self, call: &Call<'_>) -> Result<Option<Instance>, Refusal> {
        let (request, house) = (call.request, call.house);
        let presented = request.header("Authorization").map(presented).unwrap_or_default();
        let Some(api) = presented.api else {
            return Err(unauthorized(
                "expected `Authorization: User <api token>, Organization <anything>` or `Bearer <api token>`",
            ));
        };
        self.admit_token(api.expose(), request, &*house.clock)?;
        let Some(element) = presented.element else {
            return Ok(None);
        };
        match house.instance_with_token(&element) {
            Ok(id) => call.instance(id).map(Some),
            Err(error) if error.is_unknown_instance() => {
                self.note_wrong("instance", request, &*house.clock);
                Err(unauthorized("no instance has this `Element` token"))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The same for a path that an instance's token completes.
    pub(super) fn admit_instance(&self, call: &Call<'_>, route: &Route) -> Result<Instance, Refusal> {
        let instance = self.admit(call)?.ok_or_else(|| {
            unauthorized(
                "expected the instance's token, `Element <token>`, in `Authorization`, or its id in the path",
            )
        })?;
        if !instance.enabled && (route.method, route.path) != RESUMES {
            return Err(Refusal::disabled());
        }
        Ok(instance)
    }

    /// Whether `token` is the API token; the page's sign-in asks, too.
    ///
    /// # Errors
    /// 401 when it is not; 500 when the token cannot be read.
    pub(super) fn admit_token(
        &self,
        token: &str,
        request: &Request<'_>,
        clock: &dyn Clock,
    ) -> Result<(), Refusal> {
        if self.codes.is_of(&self.codes.of(&self.token()?), token) {
            return Ok(());
        }
        self.note_wrong("API", request, clock);
        Err(unauthorized(
            "the API token is not the one in `api.token` of the data directory",
        ))
    }

    /// The API token. It is read each time: `token rotate` replaces it while the agent runs.
    ///
    /// # Errors
    /// 500 when it cannot be read. Whoever asks learns no more; the log has the rest.
    pub(super) fn token(&self) -> Result<String, Refusal> {
        let path = self.token_file.display();
        let unusable = |why: String| {
            log::error!("could not use the API token path=\"{path}\" error={why:?}");
            Refusal::new(500, "the API token cannot be read; the agent's log says why")
        };
        let text = read_own(&self.token_file).map_err(|error| unusable(error.to_string()))?;
        match text.trim() {
            "" => Err(unusable(
                "it is empty: `deltapost token rotate` makes a new one".to_owned(),
            )),
            token => Ok(token.to_owned()),
        }
    }

    /// Counts a wrong token. The first is logged at once, those that follow once a minute with their number.
    fn note_wrong(&self, whose: &str, request: &Request<'_>, clock: &dyn Clock) {
        let mut wrong = self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        wrong.untold += 1;
        if let Some(times) = wrong.take_due(clock.now()) {
            let (path, peer) = (shown(request.path()), request.peer.ip());
            log::warn!("refused a wrong token times={times} of={whose} peer={peer} path={path:?}");
        }
    }
}

fn unauthorized(message: &str) -> Refusal {
    Refusal::new(401, message).with("WWW-Authenticate", "Bearer realm=\"deltapost\"")
}

/// Name and port of an authority; an IPv6 address without its brackets.
fn host_and_port(authority: &str) -> (&str, Option<&str>) {
    match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((name, port)) => (name, port.strip_prefix(':')),
        None => match authority.rsplit_once(':') {
            Some((name, port)) => (name, Some(port)),
            None => (authority, None),
        },
    }
}

/// What `header` presents: `Bearer T`, or `User T, Organization X, Element I` in any order.
fn presented(header: &str) -> Presented {
    let mut presented = Presented::default();
    for part in header.split(',') {
        let Some((scheme, value)) = part.trim().split_once(' ') else {
            continue;
        };
        let value = Some(value.trim())
            .filter(|value| !value.is_empty())
            .map(Secret::new);
        match scheme.to_ascii_lowercase().as_str() {
            "user" | "bearer" => presented.api = value,
            "element" => presented.element = value,
            _ => {}
        }
    }
    presented
}
