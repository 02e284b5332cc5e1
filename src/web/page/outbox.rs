//! The outbox: what waits by endpoint and state, one notification with its attempts, and what can be done about them.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::super::call::Call;
use super::super::reply::Refusal;
use super::form::Form;
use super::html::Html;
use super::layout::{self, go, link, note, number, page, state, tab, table, text, time};
use super::visitor::Visitor;
use crate::commands::Which;
use crate::core::model::OutboxState;
use crate::core::shown::{excerpt, shown};
use crate::httpd::Reply;
use crate::store::{EndpointRow, NotificationRow};

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
    let chosen = endpoint.map_or_else(String::new, |id| format!("&endpoint={id}"));
    let more = (rows.len() == MOST as usize)
        .then(|| rows.last().map(|last| last.id))
        .flatten();
    let states = [OutboxState::Pending, OutboxState::Dead, OutboxState::Delivered];
    let all = call.house.store.endpoints()?;
    let narrowed = endpoint.and_then(|id| all.iter().find(|one| one.id == id));
    let narrowed = narrowed.map(|one| one.url.as_str());
    let content = Html::new()
            .some(call.query("said").as_deref().and_then(said_by), |said| note(said, false))
            .add(&endpoints(visitor, &all))
            .raw("<h2>Notifications, oldest first</h2><p class=\"tabs\">")
            .each(states, |one| {
                let path = format!("/page/outbox?state={}{chosen}", one.as_str());
                tab(&path, one.as_str(), one == wanted)
            })
            .some(narrowed, |url| {
                let everywhere = link(&format!("/page/outbox?state={}", wanted.as_str()), "of all endpoints");
                Html::new().raw("</p><p>Of ").text(url).raw(" only; ").add(&everywhere)
            })
            .raw("</p>")
            .add(&listed(&rows, wanted))
            .some(more, |last| {
                let path = format!("/page/outbox?state={}{chosen}&after={last}", wanted.as_str());
                Html::new().raw("<p>").add(&link(&path, "Later ones")).raw("</p>")
            })
            .raw("<h2>Replay</h2><p>Sends again what was delivered in that time, under new ids.</p>")
            .add(&layout::form(visitor, "/page/outbox"))
            .raw(
                "<div class=\"row\"><label><span>Since (UTC)</span><input type=\"datetime-local\" step=\"1\" name=\"since\" required></label><label><span>Until (UTC)</span><input type=\"datetime-local\" step=\"1\" name=\"until\"></label>\
                 <label><span>Instance, or all</span><input name=\"instance\" autocomplete=\"off\"></label><button name=\"do\" value=\"replay\">Replay</button></div></form>",
            );
    Ok(page(visitor, 200, "Outbox", &content))
}

fn said_by(word: &str) -> Option<&'static str> {
    match word {
        "done" => Some("done"),
        _ => None,
    }
}

fn endpoints(visitor: &Visitor, endpoints: &[EndpointRow]) -> Html {
    if endpoints.is_empty() {
        return Html::new()
            .raw("<p class=\"dim\">There is no endpoint yet: an instance brings its callback URL.</p>");
    }
    let rows = endpoints.iter().map(|endpoint| {
        let resume =
            (endpoint.state != "active").then_some("<button name=\"do\" value=\"resume\">Resume</button>");
        let revive = (endpoint.dead > 0).then_some("<button name=\"do\" value=\"retry\">Retry all</button>");
        let actions = layout::form(visitor, "/page/outbox")
            .raw("<input type=\"hidden\" name=\"endpoint\"")
            .attr("value", &endpoint.id.to_string())
            .raw(">")
            .raw(resume.unwrap_or_default())
            .raw(revive.unwrap_or_default())
            .raw("</form>");
        let none = resume.is_none() && revive.is_none();
        vec![
            text(&endpoint.url),
            waiting(endpoint, "pending", endpoint.pending),
            waiting(endpoint, "dead", endpoint.dead),
            state(&endpoint.state),
            time(Some(&endpoint.state_since)),
            time(endpoint.next_probe_at.as_deref()),
            text(endpoint.last_error.as_deref().unwrap_or("")),
            if none { Html::new() } else { actions },
        ]
    });
    Html::new().raw("<h2>Endpoints</h2>").add(&table(
        "Endpoints",
        &[
            "Endpoint",
            "#Pending",
            "#Dead",
            "State",
            "Since",
            "Next probe",
            "Last error",
            "Action",
        ],
        rows.collect(),
    ))
}

/// How many notifications of an endpoint are in a state, and the way to them.
fn waiting(endpoint: &EndpointRow, state: &str, count: i64) -> Html {
    link(
        &format!("/page/outbox?state={state}&endpoint={}", endpoint.id),
        &count.to_string(),
    )
}

fn listed(rows: &[NotificationRow], wanted: OutboxState) -> Html {
    if rows.is_empty() {
        return Html::new()
            .raw("<p class=\"dim\">None are ")
            .text(wanted.as_str())
            .raw(".</p>");
    }
    let rows = rows.iter().map(|row| {
        vec![
            link(&format!("/page/outbox/{}", row.id), &row.id.to_string()),
            text(&row.instance),
            text(&row.resource),
            number(row.event_count),
            time(Some(&row.created_at)),
            number(row.attempts),
            time(row.next_attempt_at.as_deref().or(row.delivered_at.as_deref())),
            text(row.last_error.as_deref().unwrap_or("")),
        ]
    });
    table(
        "Notifications",
        &[
            "Id",
            "Instance",
            "Resource",
            "#Events",
            "Written",
            "#Attempts",
            "Next attempt, or delivered",
            "Last error",
        ],
        rows.collect(),
    )
}

/// One notification.
pub(super) fn notification(call: &Call<'_>, visitor: &Visitor) -> Result<Reply, Refusal> {
    let id = call.param("id");
    let found = call.house.store.begun_notification(id, BODY)?;
    let (row, body, events, attempts) =
        found.ok_or_else(|| Refusal::not_found(format!("there is no notification `{}`", shown(id))))?;
    let buttons = match row.state.as_str() {
            "delivered" => Html::new(),
            _ => layout::form(visitor, &format!("/page/outbox/{}", row.id)).raw(
                "<div class=\"row\"><button name=\"do\" value=\"retry\">Retry now</button>\
                 <label class=\"in\"><input type=\"checkbox\" name=\"sure\" value=\"1\"><span>I am sure</span></label>\
                 <button class=\"bad\" name=\"do\" value=\"discard\">Discard</button></div></form>",
            ),
        };
    let tries = attempts.iter().map(|attempt| {
        vec![
            number(attempt.number),
            time(Some(&attempt.at)),
            number(attempt.duration_ms),
            attempt.status.map_or_else(Html::new, number),
            text(attempt.error.as_deref().unwrap_or("")),
        ]
    });
    let told = events.iter().map(|event| {
        vec![
            text(&event.event_type),
            text(&event.object_type),
            text(event.path.as_deref().unwrap_or("")),
            text(&event.object_id),
        ]
    });
    let content = Html::new()
        .raw("<p>")
        .add(&state(&row.state))
        .raw(", written ")
        .add(&time(Some(&row.created_at)))
        .raw(", of instance ")
        .text(&row.instance)
        .raw(", event id <code>")
        .text(&row.event_id)
        .raw("</code></p>")
        .add(&buttons)
        .raw("<h2>Attempts</h2>")
        .add(&table(
            "Attempts",
            &["Number", "At", "#ms", "#Status", "Error"],
            tries.collect(),
        ))
        .raw("<h2>Events</h2>")
        .add(&table(
            "Events",
            &["Event", "Type", "Path", "Object id"],
            told.collect(),
        ))
        .raw("<h2>Body</h2><pre tabindex=\"0\">")
        .text(&excerpt(&body, BODY))
        .raw("</pre>");
    Ok(page(visitor, 200, &format!("Notification {}", row.id), &content))
}

/// What the buttons of the outbox do.
pub(super) fn act(call: &Call<'_>, _: &Visitor, form: &Form) -> Result<Reply, Refusal> {
    match form.get("do") {
        "resume" => {
            call.house.resume(form.get("endpoint"))?;
        }
        "retry" if !form.get("endpoint").is_empty() => {
            call.house.retry(&Which {
                endpoint: Some(form.get("endpoint").to_owned()),
                ..Which::default()
            })?;
        }
        "replay" => {
            let given = |name: &str| Some(form.get(name)).filter(|text| !text.is_empty());
            let at = |name: &str| -> Result<Option<Timestamp>, Refusal> {
                let read = |text: &str| {
                    utc(text).ok_or_else(|| {
                        Refusal::bad(format!(
                            "`{name}`: expected a time such as `2026-03-01T09:30:00Z`, got `{}`",
                            shown(text)
                        ))
                    })
                };
                given(name).map(read).transpose()
            };
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
        other => return Err(Refusal::bad(format!("there is no action `{}`", shown(other)))),
    }
    Ok(go("/page/outbox?said=done"))
}

/// A time with its zone, or one of UTC as a browser sends it.
fn utc(text: &str) -> Option<Timestamp> {
    let civil = || TimeZone::UTC.to_timestamp(text.parse::<DateTime>().ok()?).ok();
    text.parse().ok().or_else(civil)
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
        "discard" => discard(call, id, &which)?,
        other => return Err(Refusal::bad(format!("there is no action `{}`", shown(other)))),
    }
    Ok(go("/page/outbox?said=done"))
}

fn discard(call: &Call<'_>, id: &str, which: &Which) -> Result<(), Refusal> {
    let found = call.house.store.find_notification(id)?;
    let found =
        found.ok_or_else(|| Refusal::not_found(format!("there is no notification `{}`", shown(id))))?;
    call.house.discard(which, found.state)?;
    Ok(())
}
