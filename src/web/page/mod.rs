//! The page: HTML from the server for whoever has signed in with the API token, a style sheet, and a script for what is nicer
//! with one. It shows what the store tells, and acts through `commands`.

mod create;
mod device;
mod document;
mod draft;
pub(super) mod form;
mod html;
mod instance;
mod instances;
mod layout;
mod outbox;
mod plans;
mod session;
pub(super) mod visitor;

use super::call::Call;
use serde_json::json;

use super::reply::{self, Refusal};
use super::route::{Action, Page, Table, Who, form, page, route};
use crate::core::elements::parsed_bytes;
use crate::core::shown::shown;
use crate::httpd::Reply;
pub(super) use device::Devices;
use form::Form;
pub(super) use layout::{came_back, go as sent_to};
pub(super) use session::Sessions;
use visitor::Visitor;

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("page.js");

/// Whoever opens a page is sent to sign in, unless a session lets them in. A row that wants the API token is for commands.
pub(super) const TABLES: &[Table] = &[Table {
    base: "",
    routes: &[
        route("GET", "/signin", Who::Anyone, ask_token),
        route("POST", "/signin", Who::Anyone, sign_in),
        route("GET", "/page/style.css", Who::Anyone, style),
        route("GET", "/page/page.js", Who::Anyone, script),
        route("GET", "/page/sessions", Who::Client, session_count),
        form("/signout", sign_out),
        page("/", instances::show),
        page("/page/schedule", create::preview),
        page("/page/instances/new", create::show),
        form("/page/instances/new", create::submit),
        form("/page/instances/draft", create::brought_together),
        page("/page/instances/{id}", instance::show),
        form("/page/instances/{id}", instance::act),
        page("/page/instances/{id}/device", device::show),
        page("/page/outbox", outbox::show),
        form("/page/outbox", outbox::act),
        page("/page/outbox/{id}", outbox::notification),
        form("/page/outbox/{id}", outbox::act_on),
    ],
}];

/// The page for whoever is signed in; others are sent to sign in. What goes wrong is shown on a page, too.
///
/// # Errors
/// 500 when the API token cannot be read.
pub(super) fn show(call: &Call<'_>, page: Page) -> Result<Reply, Refusal> {
    for_visitor(call, |visitor| page(call, visitor))
}

/// The same for a form, which must hold the session's token.
///
/// # Errors
/// As `show`.
pub(super) fn act(call: &Call<'_>, action: Action) -> Result<Reply, Refusal> {
    for_visitor(call, |visitor| {
        let form = visitor.form(call)?;
        call.make_room(form.all().map(|(_, value)| parsed_bytes(value.as_bytes())).sum())?;
        action(call, visitor, &form)
    })
}

fn for_visitor(
    call: &Call<'_>,
    answer: impl FnOnce(&Visitor) -> Result<Reply, Refusal>,
) -> Result<Reply, Refusal> {
    let Some(visitor) = Visitor::of(call)? else {
        return Ok(layout::go("/signin"));
    };
    Ok(answer(&visitor).unwrap_or_else(|refusal| layout::refused(&visitor, &refusal)))
}

fn ask_token(_: &Call<'_>) -> Result<Reply, Refusal> {
    Ok(layout::sign_in(200, None))
}

/// The most that a form with the API token alone may hold: whoever sends it has shown nothing yet.
const SIGN_IN_BYTES: usize = 1_024;

fn sign_in(call: &Call<'_>) -> Result<Reply, Refusal> {
    if call.request.body.len() > SIGN_IN_BYTES {
        return Err(Refusal::new(413, "a sign-in is the API token alone"));
    }
    let form = Form::of(call)?;
    match call
        .web
        .gate
        .admit_token(form.get("api-token"), call.request, &*call.house.clock)
    {
        Ok(()) => {
            let token = form.get("api-token");
            let cookie = call.web.sessions.open(token, &*call.house.clock);
            Ok(layout::go("/").with("Set-Cookie", cookie))
        }
        Err(refusal) => Ok(layout::sign_in(refusal.status, Some(&refusal.message))),
    }
}

fn sign_out(call: &Call<'_>, _: &Visitor, _: &Form) -> Result<Reply, Refusal> {
    let taken = call.web.sessions.close(call.cookies(session::COOKIE));
    Ok(layout::go("/signin").with("Set-Cookie", taken))
}

/// How many sessions end when the API token is replaced: `token rotate` asks before it does that.
fn session_count(call: &Call<'_>) -> Result<Reply, Refusal> {
    let open = call
        .web
        .sessions
        .count(&call.web.gate.token()?, &*call.house.clock);
    Ok(reply::json(200, &json!({"open": open})))
}

fn style(_: &Call<'_>) -> Result<Reply, Refusal> {
    Ok(asset("text/css; charset=utf-8", STYLE))
}

fn script(_: &Call<'_>) -> Result<Reply, Refusal> {
    Ok(asset("text/javascript; charset=utf-8", SCRIPT))
}

fn asset(kind: &'static str, text: &'static str) -> Reply {
    layout::guarded(Reply::new(200, kind, text))
}

/// The id in the path.
fn id(call: &Call<'_>) -> Result<i64, Refusal> {
    let text = call.param("id");
    text.parse()
        .map_err(|_| Refusal::not_found(format!("there is no id `{}`", shown(text))))
}

/// The refusal of a button that no page has.
fn no_action(action: &str) -> Refusal {
    Refusal::bad(format!("there is no action `{}`", shown(action)))
}
