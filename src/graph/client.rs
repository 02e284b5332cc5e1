//! Fetches one link of Graph with an access token, and tells what its answer asks the caller to do.
//! Waiting, retrying and renewing the token are the caller's; reading a page is `page`'s.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use ureq::http::{HeaderMap, Response};
use ureq::{Agent, Body};
use url::Url;

use crate::clock::{Clock, since};
use crate::core::address::is_loopback;
use crate::core::model::Secret;
use crate::graph::complaint::Complaint;
use crate::graph::error::GraphError;
use crate::graph::link::{lies_below, shown_origin};
use crate::places::{Place, Places};
use crate::wire::{self, BodyError, Route, Setup, SetupError, Timeouts};

pub use crate::wire::{Failure, NoAnswer, Stage};

/// The largest page that is read. Graph's own, of 200 items, stay below 1 MiB.
const MAX_PAGE_BYTES: u64 = 16 * 1024 * 1024;
/// A page that is longer than one of these needs a place to be read on, of which there are so many: a poll that changed
/// little has a page of a few kilobytes, one of 200 items seldom more than a megabyte, and what is larger takes a large part
/// of the memory that there is.
const LARGE_PAGES: [(u64, usize); 2] = [(256 * 1024, 4), (2 * 1024 * 1024, 1)];
/// The most of an error's body that is read.
const MAX_ERROR_BYTES: u64 = 64 * 1024;
/// One connection for each poll at the same time, and a few.
const IDLE_CONNECTIONS: usize = 8;
/// No answer has told the provider's time yet.
const UNKNOWN: i64 = i64::MIN;

/// Generous, since a poll has time and a page may be large: a minute for its body, half a minute for the rest.
pub const TIMEOUTS: Timeouts = Timeouts {
    connect: Duration::from_secs(30),
    send: Duration::from_secs(30),
    answer: Duration::from_secs(30),
    body: Duration::from_secs(60),
    total: Duration::from_secs(180),
};

/// What a client is made of. Not to be shown: a proxy's URL may hold credentials.
#[derive(Clone, Copy)]
pub struct GraphConfig<'a> {
    /// `https://graph.microsoft.com/v1.0`; plain http for loopback only.
    pub base: &'a str,
    /// `https://login.microsoftonline.com/common`; plain http for loopback only.
    pub authority: &'a str,
    /// For the User-Agent, by which Graph knows whom to throttle last. May be empty.
    pub company: &'a str,
    /// An HTTP proxy; without one, what the environment says. Loopback is never asked through a proxy.
    pub proxy: Option<&'a str>,
    /// Certificates in PEM that are trusted beside the system's.
    pub extra_roots: Option<&'a [u8]>,
    pub timeouts: Timeouts,
}

/// Why a client cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// `name` is the key of the configuration.
    #[error("could not use `{name}` under `[microsoft]`: it is not a plain https URL")]
    NotHttps { name: &'static str },
    #[error(transparent)]
    Setup(#[from] SetupError),
}

impl ConfigError {
    /// The next thing to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            ConfigError::NotHttps { .. } => {
                "write it with a host and no credentials, query or fragment; http is accepted for loopback only"
            }
            ConfigError::Setup(error) => error.hint(),
        }
    }
}

/// A client of Graph and of its token endpoint. One serves any number of threads, which share its connections.
#[derive(Debug)]
pub struct Client {
    pub(super) agent: Agent,
    pub(super) base: Url,
    pub(super) authority: Url,
    /// Milliseconds that this box's clock was ahead at the last answer that told the provider's time.
    ahead: AtomicI64,
    large_pages: [Places; LARGE_PAGES.len()],
}

/// What a request asks for beside its link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wishes {
    /// That a drive's feed leaves out the folders that only something below them changed; a full enumeration needs them.
    pub exclude_parent: bool,
    /// At most so many objects in a page, where `$top` would mean something else.
    pub page_size: Option<u32>,
    /// That the whole answer is there within this time.
    pub within: Option<Duration>,
}

/// The body of a page, and what came with it.
#[derive(Debug)]
pub struct Fetched<'a> {
    pub body: Vec<u8>,
    /// The places that it takes, where it is long.
    pub places: Vec<Place<'a>>,
    /// The account has used up what it may ask for: wait so long before the next request.
    pub pause: Option<Duration>,
}

impl Client {
    /// A client of the Graph at `config.base`.
    ///
    /// # Errors
    /// When a URL is not https (plain http is accepted for loopback), or the proxy or the roots cannot be used.
    pub fn new(config: &GraphConfig<'_>) -> Result<Client, ConfigError> {
        let base = secure(config.base, "graph")?;
        let authority = secure(config.authority, "authority")?;
        let route = match config.proxy {
            _ if is_loopback(&base) => Route::Direct,
            Some(proxy) => Route::Through(proxy),
            None => Route::Environment,
        };
        let company = if config.company.is_empty() {
            "deltapost"
        } else {
            config.company
        };
        let agent = wire::agent(&Setup {
            user_agent: &format!("NONISV|{company}|deltapost/{}", env!("CARGO_PKG_VERSION")),
            timeouts: config.timeouts,
            route,
            extra_roots: config.extra_roots,
            deny: &[],
            buffer_bytes: 2 * wire::MIN_BUFFER_BYTES,
            idle_per_host: IDLE_CONNECTIONS,
            idle_in_all: 2 * IDLE_CONNECTIONS,
        })?;
        Ok(Client {
            agent,
            base,
            authority,
            ahead: AtomicI64::new(UNKNOWN),
            large_pages: LARGE_PAGES.map(|(_, count)| Places::new(count)),
        })
    }

    /// How far this box's clock is ahead of the provider's, behind where negative, by the last answer, to a second and
    /// the time that the answer took; `None` before one.
    pub fn clock_skew(&self) -> Option<SignedDuration> {
        let ahead = self.ahead.load(Ordering::Relaxed);
        (ahead != UNKNOWN).then(|| SignedDuration::from_millis(ahead))
    }

    /// What the provider's clock shows when this box's shows `now`, by the last answer.
    pub fn to_provider(&self, now: Timestamp) -> Timestamp {
        let ahead = self.clock_skew().unwrap_or(SignedDuration::ZERO);
        now.saturating_sub(ahead).unwrap_or(now)
    }

    /// The provider's time as an answer tells it, else this box's; the difference is remembered.
    pub(super) fn provider_time(&self, headers: &HeaderMap, clock: &dyn Clock) -> Timestamp {
        let now = clock.now();
        let Some(told) = wire::date(headers) else {
            return now;
        };
        let ahead = now.duration_since(told).as_millis();
        self.ahead
            .store(i64::try_from(ahead).unwrap_or(i64::MAX), Ordering::Relaxed);
        told
    }

    /// The base that `page::parse` holds a page's links against.
    pub fn base(&self) -> &str {
        self.base.as_str()
    }

    /// The places that a page beyond `step` needs, once others have left them; `None` when `give_up` says so before.
    pub fn places(&self, step: usize, mut give_up: impl FnMut() -> bool) -> Option<Vec<Place<'_>>> {
        let steps = self.large_pages.iter().take(step + 1);
        steps.map(|places| places.take_unless(&mut give_up)).collect()
    }

    /// What the 200 that `link` is answered with brings: a body of 16 MiB at most, unpacked. At most four that are longer
    /// than 256 KiB exist at a time, and one that is longer than 2 MiB.
    ///
    /// # Errors
    /// `NoRoom` for another one; it is not waited for here, since the provider's time would run out meanwhile. A link
    /// that is not below the base is refused before anything is sent. Everything but a whole 200 is an error; none tells the
    /// token or the link.
    pub fn fetch(
        &self,
        link: &Secret,
        token: &Secret,
        wishes: Wishes,
        clock: &dyn Clock,
    ) -> Result<Fetched<'_>, GraphError> {
        self.fetch_into(&mut Vec::new(), link, token, wishes, clock)
    }

    /// The same, with the `places` that have been taken for it; they are left where there is no page.
    ///
    /// # Errors
    /// Those of `fetch`.
    pub fn fetch_into<'a>(
        &'a self,
        places: &mut Vec<Place<'a>>,
        link: &Secret,
        token: &Secret,
        wishes: Wishes,
        clock: &dyn Clock,
    ) -> Result<Fetched<'a>, GraphError> {
        if !lies_below(self.base(), link.expose()) {
            return Err(GraphError::ForeignLink {
                origin: shown_origin(link.expose()),
            });
        }
        let authorization = format!("Bearer {}", token.expose());
        let started = clock.uptime();
        let answer = wire::once_more_if_stale(clock, |on_new_connection| {
            let mut request = self
                .agent
                .get(link.expose())
                .header("Accept", "application/json")
                .header("Accept-Encoding", "gzip")
                .header("Authorization", &authorization);
            if wishes.exclude_parent {
                request = request.header("deltaExcludeParent", "true");
            }
            if let Some(size) = wishes.page_size {
                request = request.header("Prefer", &format!("odata.maxpagesize={size}"));
            }
            if wishes.within.is_some() {
                request = request.config().timeout_global(wishes.within).build();
            }
            if on_new_connection {
                request = request.config().max_idle_age(Duration::ZERO).build();
            }
            request.call()
        });
        wire::log_request("GET", link.expose(), &answer, since(started, clock));
        let mut response = answer.map_err(|error| GraphError::Unreachable(NoAnswer::from(&error)))?;
        let provider_time = self.provider_time(response.headers(), clock);
        if response.status() != 200 {
            return Err(self.refusal(response, link, token, provider_time));
        }
        let steps = LARGE_PAGES.map(|(bytes, _)| bytes);
        let taken = places.len();
        let read = wire::read_large_body(response.body_mut(), MAX_PAGE_BYTES, &steps, |step| {
            match step < taken {
                true => Some(None),
                false => self.large_pages[step].take_free().map(Some),
            }
        });
        let (body, more) = read.map_err(|error| match error {
            BodyError::TooLarge => GraphError::TooLarge,
            BodyError::Cut(no_answer) => GraphError::Unreachable(no_answer),
            BodyError::NoRoom(step) => GraphError::NoRoom { step },
        })?;
        let pause = used_up(response.headers());
        let mut places = std::mem::take(places);
        places.extend(more.into_iter().flatten());
        Ok(Fetched { body, places, pause })
    }

    fn refusal(
        &self,
        mut response: Response<Body>,
        link: &Secret,
        token: &Secret,
        provider_time: Timestamp,
    ) -> GraphError {
        let status = response.status().as_u16();
        // Without its body the status still says what to do.
        let body = wire::read_body(response.body_mut(), MAX_ERROR_BYTES).unwrap_or_default();
        // Names of options, and what is as short, are no secrets.
        let is_secret = |part: &&str| part.len() >= 8 && !part.starts_with('$');
        let mut secrets = vec![token.expose()];
        secrets.extend(
            link.expose()
                .split(['?', '&', '=', '\''])
                .skip(1)
                .filter(is_secret),
        );
        let Complaint {
            code,
            message,
            resync,
        } = Complaint::read(&body, &secrets);
        if resync || status == 410 {
            let location = self.location(&response, link);
            return GraphError::Gone { location, code };
        }
        match status {
            401 => GraphError::Unauthorized { code },
            429 | 503 | 504 | 509 => GraphError::Throttled {
                status,
                retry_after: wire::retry_after(response.headers(), || provider_time),
            },
            // Network Authentication Required (RFC 6585): a portal, not Graph.
            511 => GraphError::Unexpected { status },
            408 | 500.. => GraphError::Server { status, code },
            400.. => GraphError::Refused {
                status,
                code,
                message,
            },
            _ => GraphError::Unexpected { status },
        }
    }

    /// Where a 410 says to start again, read against the link that it answers. One that leads elsewhere is none: the
    /// enumeration can begin without it.
    fn location(&self, response: &Response<Body>, link: &Secret) -> Option<Secret> {
        let location = response.headers().get("location")?;
        let location = String::from_utf8_lossy(location.as_bytes()).into_owned();
        // An absolute one goes back as it came; joining would write it anew.
        let location = match (Url::parse(&location), Url::parse(link.expose())) {
            (Err(url::ParseError::RelativeUrlWithoutBase), Ok(link)) => {
                link.join(&location).map_or(location, String::from)
            }
            _ => location,
        };
        if !lies_below(self.base(), &location) {
            let origin = shown_origin(&location);
            log::warn!("a stale token's `Location` leads elsewhere and is not followed to={origin:?}");
            return None;
        }
        Some(Secret::new(location))
    }
}

/// How long to wait when an answer says that nothing is left of what may be asked for (`RateLimit-Remaining`,
/// `RateLimit-Reset` in seconds).
fn used_up(headers: &HeaderMap) -> Option<Duration> {
    let number = |name: &str| -> Option<u64> { headers.get(name)?.to_str().ok()?.trim().parse().ok() };
    let reset = number("ratelimit-reset").filter(|_| number("ratelimit-remaining") == Some(0))?;
    (reset > 0).then_some(Duration::from_secs(reset))
}

fn secure(url: &str, name: &'static str) -> Result<Url, ConfigError> {
    let url = Url::parse(url).map_err(|_| ConfigError::NotHttps { name })?;
    let safe = url.scheme() == "https" || (url.scheme() == "http" && is_loopback(&url));
    let credentials = !url.username().is_empty() || url.password().is_some();
    if !safe || credentials || url.query().is_some() || url.fragment().is_some() {
        return Err(ConfigError::NotHttps { name });
    }
    Ok(url)
}

#[cfg(test)]
mod tests;
