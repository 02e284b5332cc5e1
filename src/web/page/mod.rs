//! The page: HTML from the server for whoever has signed in with the API token, a style sheet, and a script for what is nicer
//! with one. It shows what the store tells, and acts through `commands`.

mod create;
mod device;
mod document;
mod draft;
mod form;
mod html;
mod instance;
mod instances;
mod layout;
mod outbox;
mod plans;
mod session;

use super::call::Call;
use serde_json::json;

use super::reply::{self, Refusal};
use super::route::{Table, Who, route};
use crate::core::shown::shown;
use crate::httpd::Reply;
pub(super) use device::Devices;
use form::Form;
use html::Html;
pub(super) use layout::{came_back, go as sent_to};
pub(super) use session::Sessions;

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("page.js");

/// Whoever comes is sent to sign in, unless a session lets them in. A row that wants the API token is for commands.
pub(super) const TABLES: &[Table] = &[Table {
    base: "",
    routes: &[
        route("GET", "/", Who::Anyone, instances::show),
        route("GET", "/signin", Who::Anyone, ask_token),
        route("POST", "/signin", Who::Anyone, sign_in),
        route("POST", "/signout", Who::Anyone, sign_out),
        route("GET", "/page/sessions", Who::Client, session_count),
        route("GET", "/page/style.css", Who::Anyone, style),
        route("GET", "/page/page.js", Who::Anyone, script),
        route("GET", "/page/schedule", Who::Anyone, create::preview),
        route("GET", "/page/instances/new", Who::Anyone, create::show),
        route("POST", "/page/instances/new", Who::Anyone, create::submit),
        route(
            "POST",
            "/page/instances/draft",
            Who::Anyone,
            create::brought_together,
        ),
        route("GET", "/page/instances/{id}", Who::Anyone, instance::show),
        route("POST", "/page/instances/{id}", Who::Anyone, instance::act),
        route("GET", "/page/instances/{id}/device", Who::Anyone, device::show),
        route("GET", "/page/outbox", Who::Anyone, outbox::show),
        route("POST", "/page/outbox", Who::Anyone, outbox::act),
        route("GET", "/page/outbox/{id}", Who::Anyone, outbox::notification),
        route("POST", "/page/outbox/{id}", Who::Anyone, outbox::act_on),
    ],
}];

/// Somebody who is signed in.
#[derive(Debug)]
struct Visitor {
    /// What their forms bear.
    form_token: String,
}

impl Visitor {
    /// A form's beginning, with the token that says it is one of ours.
    fn form(&self, action: &str) -> Html {
        Html::new()
            .raw("<form method=\"post\"")
            .attr("action", action)
            .raw("><input type=\"hidden\" name=\"token\"")
            .attr("value", &self.form_token)
            .raw(">")
    }
}

/// Shows what `view` makes to whoever is signed in; others are sent to sign in. What goes wrong is told on a page, too.
fn seen(call: &Call<'_>, view: impl FnOnce(&Visitor) -> Result<Reply, Refusal>) -> Result<Reply, Refusal> {
    let form_token = call.web.sessions.form_token(
        call.cookies(session::COOKIE),
        &call.web.gate.token()?,
        call.house.clock.now(),
    );
    let Some(form_token) = form_token else {
        return Ok(layout::go("/signin"));
    };
    let visitor = Visitor { form_token };
    Ok(view(&visitor).unwrap_or_else(|refusal| layout::refused(&visitor, &refusal)))
}

/// The same for a form, which must bear the session's token.
fn done(
    call: &Call<'_>,
    act: impl FnOnce(&Visitor, &Form) -> Result<Reply, Refusal>,
) -> Result<Reply, Refusal> {
    seen(call, |visitor| {
        let form = Form::of(call)?;
        if !call
            .web
            .sessions
            .is_form_token(&visitor.form_token, form.get("token"))
        {
            return Err(Refusal::new(
                403,
                "this form is not one of this session: load the page again",
            ));
        }
        act(visitor, &form)
    })
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
        .admit_token(form.get("api-token"), call.request, call.house.clock)
    {
        Ok(()) => {
            let token = form.get("api-token");
            let cookie = call.web.sessions.open(token, call.house.clock.now());
            Ok(layout::go("/").with("Set-Cookie", cookie))
        }
        Err(refusal) => Ok(layout::sign_in(refusal.status, Some(&refusal.message))),
    }
}

fn sign_out(call: &Call<'_>) -> Result<Reply, Refusal> {
    done(call, |_, _| {
        let taken = call.web.sessions.close(call.cookies(session::COOKIE));
        Ok(layout::go("/signin").with("Set-Cookie", taken))
    })
}

/// How many sessions end when the API token is replaced: `token rotate` asks before it does that.
fn session_count(call: &Call<'_>) -> Result<Reply, Refusal> {
    let open = call
        .web
        .sessions
        .count(&call.web.gate.token()?, call.house.clock.now());
    Ok(reply::json(200, &json!({"open": open})))
}

fn style(_: &Call<'_>) -> Result<Reply, Refusal> {
    Ok(layout::guarded(Reply::new(200, "text/css; charset=utf-8", STYLE)))
}

fn script(_: &Call<'_>) -> Result<Reply, Refusal> {
    Ok(layout::guarded(Reply::new(
        200,
        "text/javascript; charset=utf-8",
        SCRIPT,
    )))
}

/// The id in the path.
fn id(call: &Call<'_>) -> Result<i64, Refusal> {
    let text = call.param("id");
    text.parse()
        .map_err(|_| Refusal::not_found(format!("there is no id `{}`", shown(text))))
}
