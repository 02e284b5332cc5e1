//! The outbox: what waits by endpoint and state, one notification with its attempts, and what can be done about them.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use maud::{Markup, html};

use super::super::call::Call;
use super::super::reply::Refusal;
use super::form::Form;
use super::layout::{Column, button, form, go, link, note, page, state, table, text, tick, time};
use super::no_action;
use super::visitor::Visitor;
use crate::commands::Which;
use crate::core::model::{EndpointState, OutboxState};
use crate::core::outbox::{Endpoint, Entry};
use crate::core::shown::{excerpt, shown};
use crate::httpd::Reply;

/// Notifications on one page.
const MOST: u32 = 50;

/// Bytes of a body that are shown.
const BODY: usize = 64 * 1024;

pub(super) fn show(call: &Call<'_>, visitor: &Visitor) -> Result<Reply, Refusal> {
    let asked = call.query("state").unwrap_or_else(|| "pending".to_owned());
    let wanted = OutboxState::from_text(&asked)
        .ok_or_else(|| Refusal::bad(format!("there is no state `{}`", shown(&asked))))?;
    let after = call.query_as::<i64>("after", "a notification's id")?.unwrap_or(0);
    let endpoint = call.query_as::<i64>("endpoint", "an endpoint's id")?;
    let rows = call.house.store.oldest_of(wanted, endpoint, after, MOST)?;
    let last = rows.last().filter(|_| rows.len() == MOST as usize);
    let all = call.house.store.endpoints()?;
    let chosen = endpoint.map_or_else(String::new, |id| format!("&endpoint={id}"));
    let path = |state: OutboxState| format!("/page/outbox?state={}{chosen}", state.as_str());
    let content = html! {
        @if call.query("said").as_deref() == Some("done") { (note("done", false)) }
        (endpoints(visitor, &all))
        h2 { "Notifications, oldest first" }
        p.tabs {
            @for one in [OutboxState::Pending, OutboxState::Dead, OutboxState::Delivered] {
                a href=(path(one)) aria-current=[(one == wanted).then_some("page")] { (one.as_str()) }
            }
        }
        @if let Some(one) = all.iter().find(|one| Some(one.id) == endpoint) {
            @let everywhere = format!("/page/outbox?state={}", wanted.as_str());
            p { "Of " (one.url) " only; " (link(&everywhere, "of all endpoints")) }
        }
        (listed(&rows, wanted))
        @if let Some(last) = last {
            p { (link(&format!("{}&after={}", path(wanted), last.id), "Later ones")) }
        }
        h2 { "Replay" }
        p { "Sends again what was delivered in that time, under new ids." }
        (form(visitor, "/page/outbox", replay()))
    };
    Ok(page(visitor, 200, "Outbox", &content))
}

fn replay() -> Markup {
    html! {
        div.row {
            label {
                span { "Since (UTC)" }
                input type="datetime-local" step="1" name="since" required;
            }
            label {
                span { "Until (UTC)" }
                input type="datetime-local" step="1" name="until";
            }
            label {
                span { "Instance, or all" }
                input name="instance" autocomplete="off";
            }
            (button("replay", "Replay"))
        }
    }
}

fn endpoints(visitor: &Visitor, endpoints: &[Endpoint]) -> Markup {
    if endpoints.is_empty() {
        return html! { p.dim { "There is no endpoint yet: an instance brings its callback URL." } };
    }
    // How many notifications are in a state, and the way to them.
    let waiting = |one: &Endpoint, state: &str, count: u64| {
        let path = format!("/page/outbox?state={state}&endpoint={}", one.id);
        link(&path, &count.to_string())
    };
    let columns: &[Column<'_, Endpoint>] = &[
        ("Endpoint", &|one| text(&one.url)),
        ("#Pending", &|one| waiting(one, "pending", one.pending)),
        ("#Dead", &|one| waiting(one, "dead", one.dead)),
        ("State", &|one| state(one.state.as_str())),
        ("Since", &|one| time(Some(&one.state_since))),
        ("Next probe", &|one| time(one.next_probe_at.as_deref())),
        ("Last error", &|one| text(one.last_error.as_deref().unwrap_or(""))),
        ("Action", &|one| actions(visitor, one)),
    ];
    html! {
        h2 { "Endpoints" }
        (table("Endpoints", endpoints, columns))
    }
}

/// What can be done with an endpoint; nothing for one that works.
fn actions(visitor: &Visitor, endpoint: &Endpoint) -> Markup {
    let (stands, has_dead) = (endpoint.state != EndpointState::Active, endpoint.dead > 0);
    if !stands && !has_dead {
        return Markup::default();
    }
    let buttons = html! {
        input type="hidden" name="endpoint" value=(endpoint.id);
        @if stands { (button("resume", "Resume")) }
        @if has_dead { (button("retry", "Retry all")) }
    };
    form(visitor, "/page/outbox", buttons)
}

fn listed(rows: &[Entry], wanted: OutboxState) -> Markup {
    if rows.is_empty() {
        return html! { p.dim { "None are " (wanted.as_str()) "." } };
    }
    let next = |row: &Entry| time(row.next_attempt_at.as_deref().or(row.delivered_at.as_deref()));
    let columns: &[Column<'_, Entry>] = &[
        ("Id", &|row| {
            link(&format!("/page/outbox/{}", row.id), &row.id.to_string())
        }),
        ("Instance", &|row| text(&row.instance)),
        ("Resource", &|row| text(&row.resource)),
        ("#Events", &|row| text(row.event_count)),
        ("Written", &|row| time(Some(&row.created_at))),
        ("#Attempts", &|row| text(row.attempts)),
        ("Next attempt, or delivered", &next),
        ("Last error", &|row| text(row.last_error.as_deref().unwrap_or(""))),
    ];
    table("Notifications", rows, columns)
}

/// One notification.
pub(super) fn notification(call: &Call<'_>, visitor: &Visitor) -> Result<Reply, Refusal> {
    let id = call.param("id");
    let found = call.house.store.outbox_notification(id, BODY)?;
    let (row, body, events, attempts) = found.ok_or_else(|| unknown(id))?;
    let content = html! {
        p {
            (state(row.state.as_str())) ", written " (time(Some(&row.created_at))) ", of instance " (row.instance)
            ", event id " code { (row.event_id) }
        }
        @if row.state != OutboxState::Delivered {
            (form(visitor, &format!("/page/outbox/{}", row.id), html! {
                div.row {
                    (button("retry", "Retry now"))
                    (tick("checkbox", "sure", "1", false, "I am sure"))
                    button.bad name="do" value="discard" { "Discard" }
                }
            }))
        }
        h2 { "Attempts" }
        (table("Attempts", &attempts, &[
            ("Number", &|attempt| text(attempt.number)),
            ("At", &|attempt| time(Some(&attempt.at))),
            ("#ms", &|attempt| text(attempt.duration_ms)),
            ("#Status", &|attempt| attempt.status.map(text).unwrap_or_default()),
            ("Error", &|attempt| text(attempt.error.as_deref().unwrap_or(""))),
        ]))
        h2 { "Events" }
        (table("Events", &events, &[
            ("Event", &|event| text(event.event_type.as_str())),
            ("Type", &|event| text(&event.object_type)),
            ("Path", &|event| text(event.path.as_deref().unwrap_or(""))),
            ("Object id", &|event| text(&event.object_id)),
        ]))
        h2 { "Body" }
        pre tabindex="0" { (excerpt(&body, BODY)) }
    };
    Ok(page(visitor, 200, &format!("Notification {}", row.id), &content))
}

fn unknown(id: &str) -> Refusal {
    Refusal::not_found(format!("there is no notification `{}`", shown(id)))
}

/// What the buttons of the outbox do.
pub(super) fn act(call: &Call<'_>, _: &Visitor, form: &Form) -> Result<Reply, Refusal> {
    let given = |name: &str| Some(form.get(name)).filter(|text| !text.is_empty());
    match form.get("do") {
        "resume" => {
            call.house.resume(form.get("endpoint"))?;
        }
        "retry" if given("endpoint").is_some() => {
            call.house.retry(&Which {
                endpoint: given("endpoint").map(str::to_owned),
                ..Which::default()
            })?;
        }
        "replay" => {
            let at = |name| given(name).map(|text| utc(name, text)).transpose();
            let which = Which {
                since: at("since")?,
                until: at("until")?,
                instance: given("instance").map(str::to_owned),
                ..Which::default()
            };
            if which.since.is_none() {
                return Err(Refusal::bad(
                    "`since`: expected a time: everything is not sent again by accident",
                ));
            }
            call.house.replay(&which)?;
        }
        other => return Err(no_action(other)),
    }
    Ok(go("/page/outbox?said=done"))
}

/// The time of a field, with its zone, or one of UTC as a browser sends it.
fn utc(name: &str, text: &str) -> Result<Timestamp, Refusal> {
    let civil = || TimeZone::UTC.to_timestamp(text.parse::<DateTime>().ok()?).ok();
    text.parse().ok().or_else(civil).ok_or_else(|| {
        let text = shown(text);
        Refusal::bad(format!(
            "`{name}`: expected a time such as `2026-03-01T09:30:00Z`, got `{text}`"
        ))
    })
}

/// What the buttons of one notification do.
pub(super) fn act_on(call: &Call<'_>, _: &Visitor, form: &Form) -> Result<Reply, Refusal> {
    let id = call.param("id");
    let which = Which {
        id: Some(id.to_owned()),
        ..Which::default()
    };
    match form.get("do") {
        "retry" => {
            call.house.retry(&which)?;
        }
        "discard" if form.get("sure").is_empty() => {
            return Err(Refusal::bad("say that you are sure; nothing was discarded"));
        }
        "discard" => {
            let found = call.house.store.find_notification(id)?;
            let state = found.ok_or_else(|| unknown(id))?.state;
            call.house.discard(&which, state)?;
        }
        other => return Err(no_action(other)),
    }
    Ok(go("/page/outbox?said=done"))
}
