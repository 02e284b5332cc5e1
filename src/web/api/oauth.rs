//! Signing in with a browser: the URL that the person opens, and the page that the provider sends them back to.

use serde_json::{Value, json};

use super::super::call::Call;
use super::super::page::{came_back, sent_to};
use super::super::reply::{self, Refusal};
use super::super::route::{Table, Who, route};
use super::super::signing::{self, COOKIE};
use super::BASE;
use super::elements::element;
use crate::commands::{CommandError, Subject, UnboundApp};
use crate::core::elements::parse_json;
use crate::core::model::Secret;
use crate::core::shown::shown;
use crate::httpd::{Method, Reply};

pub(crate) const TABLE: Table = Table {
    base: BASE,
    routes: &[
        route("GET", "/elements/{keyOrId}/oauth/url", Who::Client, url),
        route("POST", "/elements/{keyOrId}/oauth/url", Who::Client, begin),
    ],
};

pub(crate) const CALLBACK: Table = Table {
    base: "",
    routes: &[route("GET", signing::CALLBACK, Who::Anyone, finish)],
};

/// What `oauth/url` is told; the app's secret is not needed to send somebody there, and not looked at.
#[derive(Debug)]
struct Wanted {
    api_key: Option<String>,
    callback_url: Option<String>,
    scope: Option<String>,
    state: Option<String>,
    tenant: Option<String>,
}

impl Wanted {
    /// As `given` by their names in a query or a body.
    fn of(given: impl Fn(&str) -> Option<String>) -> Wanted {
        Wanted {
            api_key: given("apiKey"),
            callback_url: given("callbackUrl"),
            scope: given("scope"),
            state: given("state"),
            tenant: given("tenant"),
        }
    }
}

/// The URL for a client that takes the code itself.
fn url(call: &Call<'_>) -> Result<Reply, Refusal> {
    let given = |name: &str| call.query(name).filter(|text| !text.is_empty());
    url_of(call, Wanted::of(given))
}

/// The same from a body; or, with `instance` (a document without a code) or `instanceId`, the beginning of a sign-in that
/// this agent finishes itself when the browser that has the answer's cookie comes back to `/oauth2callback`.
fn begin(call: &Call<'_>) -> Result<Reply, Refusal> {
    let body = parse_json(call.text()?).map_err(|error| Refusal::bad(format!("the body is {error}")))?;
    let subject = match (
        body.get("instance"),
        body.get("instanceId").and_then(Value::as_i64),
    ) {
        (Some(document), None) => Subject::New(Secret::new(document.to_string())),
        (None, Some(id)) => Subject::Existing(id),
        (Some(_), Some(_)) => return Err(Refusal::bad("give `instance` or `instanceId`, not both")),
        (None, None) => {
            let given =
                |name: &str| Some(body.get(name)?.as_str()?.to_owned()).filter(|text| !text.is_empty());
            return url_of(call, Wanted::of(given));
        }
    };
    let element = element(call)?;
    if let Subject::Existing(id) = subject {
        let own = call.instance(id)?.element;
        if own != element {
            return Err(Refusal::bad(format!(
                "`instanceId`: instance {id} is one of `{own}`, and the path says `{element}`"
            )));
        }
    }
    let (url, cookie) = begun(call, subject)?;
    Ok(reply::json(200, &json!({"oauthUrl": url, "element": element.as_str()})).with("Set-Cookie", cookie))
}

fn url_of(call: &Call<'_>, wanted: Wanted) -> Result<Reply, Refusal> {
    let element = element(call)?;
    let (Some(api_key), Some(callback_url)) = (&wanted.api_key, &wanted.callback_url) else {
        let missing = [("apiKey", &wanted.api_key), ("callbackUrl", &wanted.callback_url)];
        let missing = missing.iter().filter(|(_, value)| value.is_none());
        let each: Vec<_> = missing
            .map(|(name, _)| format!("`{name}`: needed to sign in"))
            .collect();
        return Err(Refusal::bad(each.join("\n")));
    };
    let app = UnboundApp {
        api_key: &Secret::new(api_key.as_str()),
        tenant: wanted.tenant.as_deref(),
        scope: wanted.scope.as_deref(),
    };
    let state = wanted.state.as_deref().unwrap_or(element.as_str());
    let url = call.house.oauth_url(&app, callback_url, state);
    Ok(reply::json(
        200,
        &json!({"oauthUrl": url, "element": element.as_str()}),
    ))
}

/// Begins a sign-in that ends at `/oauth2callback`. Returns the URL to open, and the `Set-Cookie` for the browser that opens
/// it.
///
/// # Errors
/// As `House::begin_sign_in`.
pub(crate) fn begun(call: &Call<'_>, subject: Subject) -> Result<(String, String), CommandError> {
    let (sign_in, url) = call.house.begin_sign_in(subject)?;
    let now = call.house.clock.uptime();
    Ok((url, call.web.signing.begin(sign_in, call.host(), now)))
}

/// The way back from the provider, which ends on a page.
fn finish(call: &Call<'_>) -> Result<Reply, Refusal> {
    // A browser's look ahead must not use the sign-in up.
    if *call.request.method == Method::Head {
        return Err(Refusal::new(405, "this path takes GET").with("Allow", "GET"));
    }
    let state = call.query("state").unwrap_or_default();
    let finished = call
        .web
        .signing
        .finish(&state, call.cookies(COOKIE), call.house.clock.uptime());
    let sign_in = match finished {
        Ok(sign_in) => sign_in,
        // The provider leads back to `localhost`, and the person may have begun at `127.0.0.1`: the cookie is there.
        Err(Some(host)) if host != call.host() => {
            return Ok(sent_to(&format!("http://{host}{}", call.request.target)));
        }
        Err(_) => {
            return Ok(page(
                400,
                "this sign-in was not begun in this browser within the last ten minutes: begin it again",
                None,
            ));
        }
    };
    let Some(code) = call.query("code").filter(|code| !code.is_empty()) else {
        let why = call
            .query("error_description")
            .or_else(|| call.query("error"))
            .unwrap_or_default();
        return Ok(page(
            400,
            &format!(
                "the sign-in was not granted: {}\nnothing was changed; begin it again",
                shown(&why)
            ),
            None,
        ));
    };
    match call.house.finish_sign_in(&sign_in, &code) {
        Ok(outcome) => {
            let (id, name) = (outcome.instance.id, shown(&outcome.instance.name));
            Ok(page(
                200,
                &format!("signed in: instance {id} `{name}`\nthis window can be closed"),
                Some(id),
            ))
        }
        Err(error) => {
            let refusal = Refusal::from(error);
            Ok(page(refusal.status, &refusal.message, None))
        }
    }
}

fn page(status: u16, text: &str, instance_id: Option<i64>) -> Reply {
    came_back(status, text, instance_id).with(
        "Set-Cookie",
        format!(
            "{COOKIE}=; Path={}; Max-Age=0; HttpOnly; SameSite=Lax",
            signing::CALLBACK
        ),
    )
}
