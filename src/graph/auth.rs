//! Requests to the token endpoint of the Microsoft identity platform (RFC 6749): what a code, a grant or an app's own
//! credentials are exchanged for. Keeping a grant, and renewing it in time, is not done here.

use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use ureq::http::HeaderMap;
use url::Url;

use crate::clock::{Clock, since};
use crate::core::model::{Secret, Settings};
use crate::core::redacted::redacted;
use crate::core::shown::shown;
use crate::graph::client::Client;
use crate::graph::error::Message;
use crate::wire::{self, BodyError, NoAnswer};

/// The most of an answer that is read; tokens are a few KiB.
const MAX_ANSWER_BYTES: u64 = 1024 * 1024;
/// How long a request may take in all. The right to renew a grant must outlive it.
pub const LONGEST_REQUEST: Duration = Duration::from_secs(45);
/// What an answer that does not say how long its token lives is taken to mean.
const DEFAULT_LIFE: Duration = Duration::from_secs(3600);
/// No token is believed to live longer, or shorter.
const LONGEST_LIFE: Duration = Duration::from_secs(24 * 3600);
const SHORTEST_LIFE: Duration = Duration::from_secs(60);
/// The least that polling for changes needs, and a grant that outlives the hour.
pub(super) const DELEGATED_SCOPE: &str = "Files.Read offline_access";

/// Fields of a form that are no secrets.
const PUBLIC: [&str; 3] = ["grant_type", "scope", "redirect_uri"];

/// The registered app that asks.
#[derive(Clone, Copy, Debug)]
pub struct App<'a> {
    pub client_id: &'a Secret,
    /// None for a public client.
    pub client_secret: Option<&'a Secret>,
    /// Takes the place of the authority's last path segment.
    pub tenant: Option<&'a str>,
    /// Takes the place of the least that is needed.
    pub scope: Option<&'a str>,
}

impl<'a> App<'a> {
    /// The app of an instance; `None` when it names none.
    pub fn of(settings: &'a Settings) -> Option<App<'a>> {
        Some(App {
            client_id: settings.api_key.as_ref()?,
            client_secret: settings.api_secret.as_ref(),
            tenant: settings.tenant.as_deref(),
            scope: settings.scope.as_deref(),
        })
    }
}

/// What the token endpoint gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tokens {
    pub access_token: Secret,
    /// A new one comes with nearly every refresh, and must be durable before the access token is used.
    pub refresh_token: Option<Secret>,
    /// How long the access token lives, from the request on: a minute to a day.
    pub expires_in: Duration,
}

/// Why there is no token, told apart by what the caller does about it. Descriptions are the endpoint's own, bounded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// A person must sign in again: asking again is useless.
    #[error("could not get an access token: a new sign-in is needed, `{code}`{}", Message(.description))]
    LoginRequired { code: String, description: String },
    /// The app's id or secret is wrong, or the secret has expired.
    #[error("could not get an access token: the app was not accepted, `{code}`{}", Message(.description))]
    InvalidClient { code: String, description: String },
    /// The request is wrong in another way.
    #[error("could not get an access token: it was refused, `{code}`{}", Message(.description))]
    Refused { code: String, description: String },
    /// HTML, a redirect, or nonsense: it was not the token endpoint that answered.
    #[error("could not get an access token: the answer ({status}) is not OAuth")]
    NotOAuth { status: u16 },
    /// The person has said no, or the time for saying yes is over.
    #[error("could not get an access token: {}", if *.expired { "nobody signed in within the time" } else { "the sign-in was declined" })]
    NotSignedIn { expired: bool },
    #[error("could not get an access token: the token endpoint asks for a pause")]
    Throttled { retry_after: Option<Duration> },
    /// The token endpoint failed: ask again later.
    #[error("could not get an access token: the token endpoint failed ({status})")]
    Server { status: u16 },
    #[error("could not get an access token: {0}")]
    Unreachable(NoAnswer),
}

impl AuthError {
    /// The next thing to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            AuthError::LoginRequired { .. } => {
                "sign in again with `deltapost login`, or pass a new code as `providerData.code`: one lasts ten minutes and \
                 works once"
            }
            AuthError::InvalidClient { .. } => {
                "check `oauth.api.key` and `oauth.api.secret`: the secret's value, not its id, and its expiry"
            }
            AuthError::Refused { .. } => {
                "check `oauth.callback.url`, `oauth.scope` and `oauth.tenant` against the app's registration"
            }
            AuthError::NotOAuth { .. } => {
                "check `authority` under `[microsoft]`, and whether a proxy or a portal stands between"
            }
            AuthError::NotSignedIn { .. } => "run `deltapost login` again for a new code",
            AuthError::Throttled { .. } => "it is asked again by itself after the pause",
            AuthError::Server { .. } => "Microsoft's side: it is asked again by itself",
            AuthError::Unreachable(no_answer) => no_answer.reason.hint(),
        }
    }
}

impl Client {
    /// Where a person signs in to the app and is sent back to `redirect_url` from, with a code and with `state`
    /// (RFC 6749, 4.1.1). With `challenge`, the S256 hash of a verifier, the code works together with that verifier only.
    pub fn authorize_url(
        &self,
        app: &App<'_>,
        redirect_url: &str,
        state: &str,
        challenge: Option<&str>,
    ) -> String {
        let mut url = endpoint(&self.authority, app.tenant, "authorize");
        let mut query = url.query_pairs_mut();
        query
            .append_pair("client_id", app.client_id.expose())
            .append_pair("response_type", "code")
            .append_pair("response_mode", "query")
            .append_pair("redirect_uri", redirect_url)
            .append_pair("scope", app.scope.unwrap_or(DELEGATED_SCOPE))
            .append_pair("state", state);
        if let Some(challenge) = challenge {
            query
                .append_pair("code_challenge", challenge)
                .append_pair("code_challenge_method", "S256");
        }
        drop(query);
        url.into()
    }

    /// What an app is told apart by where requests are counted: the authority with its tenant, and the client id.
    pub fn name_of(&self, app: &App<'_>) -> Secret {
        let authority = endpoint(&self.authority, app.tenant, "token");
        Secret::new(format!("{authority} {}", app.client_id.expose()))
    }

    /// Exchanges an authorization code, issued for `redirect_url`, for tokens. A code works once, whatever comes of it.
    /// `verifier` is what the code's request was bound to (RFC 7636), where it was.
    ///
    /// # Errors
    /// When there are no tokens; none tells the code or the app's secret.
    pub fn exchange_code(
        &self,
        app: &App<'_>,
        code: &Secret,
        redirect_url: &str,
        verifier: Option<&Secret>,
        clock: &dyn Clock,
    ) -> Result<Tokens, AuthError> {
        let mut fields = vec![
            ("grant_type", "authorization_code"),
            ("scope", app.scope.unwrap_or(DELEGATED_SCOPE)),
            ("redirect_uri", redirect_url),
            ("code", code.expose()),
        ];
        fields.extend(verifier.map(|verifier| ("code_verifier", verifier.expose())));
        self.request_tokens(app, &fields, clock)
    }

    /// Renews a grant.
    ///
    /// # Errors
    /// When there are no tokens; none tells the grant or the app's secret.
    pub fn refresh(
        &self,
        app: &App<'_>,
        refresh_token: &Secret,
        clock: &dyn Clock,
    ) -> Result<Tokens, AuthError> {
        let fields = [
            ("grant_type", "refresh_token"),
            ("scope", app.scope.unwrap_or(DELEGATED_SCOPE)),
            ("refresh_token", refresh_token.expose()),
        ];
        self.request_tokens(app, &fields, clock)
    }

    /// Asks for an access token of the app itself, by its own credentials. It needs a tenant.
    ///
    /// # Errors
    /// When there is no token; none tells the app's secret.
    pub fn client_credentials(&self, app: &App<'_>, clock: &dyn Clock) -> Result<Tokens, AuthError> {
        // All that the app has been permitted, of the Graph of this cloud.
        let all = format!("{}/.default", self.base.origin().ascii_serialization());
        let fields = [
            ("grant_type", "client_credentials"),
            ("scope", app.scope.unwrap_or(&all)),
        ];
        self.request_tokens(app, &fields, clock)
    }

    pub(super) fn request_tokens(
        &self,
        app: &App<'_>,
        fields: &[(&str, &str)],
        clock: &dyn Clock,
    ) -> Result<Tokens, AuthError> {
        let client_secret = app.client_secret.map_or("", Secret::expose);
        let mut form = fields.to_vec();
        if !client_secret.is_empty() {
            form.push(("client_secret", client_secret));
        }
        let answer = self.ask("token", app, &form, clock)?;
        read_tokens(&answer).ok_or(AuthError::NotOAuth { status: 200 })
    }

    /// The body of the 200 that a form to `action` of the identity platform is answered with. What of it is secret does not
    /// come out again in an error.
    pub(super) fn ask(
        &self,
        action: &str,
        app: &App<'_>,
        fields: &[(&str, &str)],
        clock: &dyn Clock,
    ) -> Result<Vec<u8>, AuthError> {
        let client_id = app.client_id.expose();
        let mut form = vec![("client_id", client_id)];
        form.extend_from_slice(fields);
        // Not sent again on a stale connection: a code works once.
        let (url, started) = (endpoint(&self.authority, app.tenant, action), clock.uptime());
        let answer = self
            .agent
            .post(url.as_str())
            .header("Accept", "application/json")
            .config()
            .timeout_global(Some(LONGEST_REQUEST))
            .build()
            .send_form(form.iter().copied());
        wire::log_request("POST", url.as_str(), &answer, since(started, clock));
        let mut response = answer.map_err(|error| AuthError::Unreachable(NoAnswer::from(&error)))?;
        let provider_time = self.provider_time(response.headers(), clock);
        let status = response.status().as_u16();
        let body = match wire::read_body(response.body_mut(), MAX_ANSWER_BYTES) {
            Ok(body) => body,
            Err(BodyError::Cut(no_answer)) if status == 200 => return Err(AuthError::Unreachable(no_answer)),
            Err(_) => Vec::new(),
        };
        if status == 200 {
            return Ok(body);
        }
        let secrets: Vec<&str> = form
            .into_iter()
            .filter(|(name, _)| !PUBLIC.contains(name))
            .map(|(_, value)| value)
            .collect();
        Err(refusal(
            status,
            response.headers(),
            &body,
            &secrets,
            provider_time,
        ))
    }
}

fn endpoint(authority: &Url, tenant: Option<&str>, action: &str) -> Url {
    let mut endpoint = authority.clone();
    if let Ok(mut path) = endpoint.path_segments_mut() {
        path.pop_if_empty();
        if let Some(tenant) = tenant {
            path.pop().push(tenant);
        }
        path.extend(["oauth2", "v2.0", action]);
    }
    endpoint
}

#[derive(Deserialize)]
struct TokenAnswer {
    access_token: String,
    refresh_token: Option<String>,
    /// A number by RFC 6749; some endpoints write it as a string.
    expires_in: Option<Value>,
}

fn read_tokens(body: &[u8]) -> Option<Tokens> {
    let answer: TokenAnswer = serde_json::from_slice(body).ok()?;
    if answer.access_token.is_empty() {
        return None;
    }
    let seconds = answer.expires_in.and_then(|value| match value {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    });
    let life = seconds.map_or(DEFAULT_LIFE, Duration::from_secs);
    Some(Tokens {
        access_token: Secret::new(answer.access_token),
        refresh_token: answer
            .refresh_token
            .filter(|token| !token.is_empty())
            .map(Secret::new),
        expires_in: life.clamp(SHORTEST_LIFE, LONGEST_LIFE),
    })
}

#[derive(Deserialize)]
struct ErrorAnswer {
    error: String,
    error_description: Option<String>,
}

fn refusal(status: u16, headers: &HeaderMap, body: &[u8], secrets: &[&str], now: Timestamp) -> AuthError {
    if matches!(status, 429 | 503 | 504 | 509) {
        return AuthError::Throttled {
            retry_after: wire::retry_after(headers, || now),
        };
    }
    let Ok(answer) = serde_json::from_slice::<ErrorAnswer>(body) else {
        return match status {
            // Network Authentication Required (RFC 6585): a portal.
            511 => AuthError::NotOAuth { status },
            500.. => AuthError::Server { status },
            _ => AuthError::NotOAuth { status },
        };
    };
    // The lines after the first are ids for Microsoft's support.
    let description = answer.error_description.unwrap_or_default();
    let description = description.lines().next().unwrap_or_default();
    let description = shown(&redacted(description, secrets));
    let code = shown(&redacted(&answer.error, secrets));
    match answer.error.as_str() {
        "invalid_grant" | "interaction_required" | "consent_required" | "login_required" => {
            AuthError::LoginRequired { code, description }
        }
        "authorization_declined" | "access_denied" => AuthError::NotSignedIn { expired: false },
        "expired_token" => AuthError::NotSignedIn { expired: true },
        "invalid_client" | "unauthorized_client" => AuthError::InvalidClient { code, description },
        "temporarily_unavailable" | "server_error" => AuthError::Server { status },
        _ if status >= 500 => AuthError::Server { status },
        _ => AuthError::Refused { code, description },
    }
}

#[cfg(test)]
mod tests;
