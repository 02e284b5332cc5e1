//! One instance: its health, its polls and events, its settings, and what can be done with it.

use serde_json::Value;

use super::super::api::oauth;
use super::super::call::Call;
use super::super::reply::Refusal;
use super::device;
use super::form::Form;
use super::html::Html;
use super::id;
use super::layout::{self, go, link, note, number, page, state, table, text, time};
use super::plans::Plans;
use super::visitor::Visitor;
use crate::commands::{Deletion, Edit, Subject};
use crate::core::model::{Instance, time_text};
use crate::core::poll::Poll;
use crate::core::shown::shown;
use crate::httpd::Reply;
use crate::store::Depth;

/// Polls and events shown.
const MOST: u32 = 40;

pub(super) fn show(call: &Call<'_>, visitor: &Visitor) -> Result<Reply, Refusal> {
    let instance = call.house.present_instance(id(call)?)?;
    let said = call.query("said");
    view(
        call,
        visitor,
        200,
        &instance,
        said.as_deref().and_then(said_by),
        None,
    )
}

/// What an action has to say after it, by a word in the URL.
fn said_by(word: &str) -> Option<&'static str> {
    match word {
        "polling" => Some("a poll was asked for; it shows below when it ends"),
        "saved" => Some("saved"),
        _ => None,
    }
}

/// What the buttons of the page do.
pub(super) fn act(call: &Call<'_>, visitor: &Visitor, form: &Form) -> Result<Reply, Refusal> {
    let instance = call.house.present_instance(id(call)?)?;
    let path = format!("/page/instances/{}", instance.id);
    match form.get("do") {
        "poll" => {
            call.house.ask_for_polls(&instance, None, Depth::Changes)?;
            Ok(go(&format!("{path}?said=polling")))
        }
        "pause" | "resume" => {
            call.house
                .enable_instance(instance.id, form.get("do") == "resume")?;
            Ok(go(&path))
        }
        "save" => {
            let document = form.get("document");
            match call.house.edit_instance(instance.id, document, Edit::Replace) {
                Ok(_) => Ok(go(&format!("{path}?said=saved"))),
                Err(error) => {
                    let refusal = Refusal::from(error);
                    view(
                        call,
                        visitor,
                        refusal.status,
                        &instance,
                        Some(&refusal.message),
                        Some(document),
                    )
                }
            }
        }
        "sign-in" => {
            let (url, cookie) = oauth::begun(call, Subject::Existing(instance.id))?;
            Ok(leaving(visitor, &url).with("Set-Cookie", cookie))
        }
        "device" => device::begin(call, &instance),
        "delete" if form.get("name") == instance.name => {
            let discard = !form.get("discard").is_empty();
            match call.house.delete_instance(&instance.id.to_string(), discard)? {
                Deletion::Removed | Deletion::Draining => Ok(go("/")),
            }
        }
        "delete" => Err(Refusal::bad(
            "type the instance's name as it is to delete it; nothing was deleted",
        )),
        other => Err(Refusal::bad(format!("there is no action `{}`", shown(other)))),
    }
}

/// The page from which a person goes to the provider: a form may not lead there itself.
pub(super) fn leaving(visitor: &Visitor, url: &str) -> Reply {
    let content = Html::new()
        .raw("<p>Microsoft asks who you are and whether deltapost may read the files, and sends you back here. You have ten minutes.</p><p><a class=\"button main\"")
        .attr("href", url)
        .raw(">Connect with Microsoft</a></p>");
    page(visitor, 200, "Sign in at Microsoft", &content)
}

/// The page of `instance`, with a remark above, and with `document` in its editor in the place of what holds.
fn view(
    call: &Call<'_>,
    visitor: &Visitor,
    status: u16,
    instance: &Instance,
    said: Option<&str>,
    document: Option<&str>,
) -> Result<Reply, Refusal> {
    let store = call.house.store;
    let shown = serde_json::to_string_pretty(&settings(call.house.shown(instance))).unwrap_or_default();
    let content = Html::new()
        .some(said, |said| note(said, status >= 400))
        .add(&actions(visitor, instance))
        .raw("<h2>Resources</h2>")
        .add(&resources(call, instance)?)
        .add(&polls(&store.past_polls(instance.id, MOST)?))
        .add(&events(call, instance.id)?)
        .add(&editor(visitor, instance, document.unwrap_or(&shown)))
        .add(&deletion(visitor, instance));
    Ok(page(visitor, status, &instance.name, &content))
}

/// A form's beginning whose button says what is done with the instance.
fn form(visitor: &Visitor, instance: &Instance) -> Html {
    layout::form(visitor, &format!("/page/instances/{}", instance.id))
}

fn actions(visitor: &Visitor, instance: &Instance) -> Html {
    let polling = match instance.enabled {
        true => ("pause", "Pause polling"),
        false => ("resume", "Resume polling"),
    };
    let all = [
        ("poll", "Poll now"),
        polling,
        ("sign-in", "Sign in again"),
        ("device", "Sign in by device code"),
    ];
    form(visitor, instance)
        .raw("<div class=\"row\">")
        .each(all, |(action, words)| {
            Html::new()
                .raw("<button name=\"do\"")
                .attr("value", action)
                .raw(">")
                .raw(words)
                .raw("</button>")
        })
        .raw("</div></form>")
}

fn resources(call: &Call<'_>, instance: &Instance) -> Result<Html, Refusal> {
    let resources = call.house.store.health(&instance.name)?;
    let plans = Plans::of_all(call)?;
    let headings = [
        "Resource",
        "Health",
        "Phase",
        "Schedule",
        "Last poll",
        "Last success",
        "Next poll",
        "#Pending",
        "#Dead",
    ];
    let rows = resources.iter().map(|row| {
        vec![
            text(&row.resource),
            state(&row.health),
            text(&row.phase),
            plans.words(instance.id, &row.resource),
            time(row.last_poll_at.as_deref()),
            time(row.last_success_at.as_deref()),
            plans.next(instance.id, &row.resource, row.next_poll_at.as_deref()),
            number(row.pending),
            number(row.dead),
        ]
    });
    let wrong = resources
        .iter()
        .flat_map(|row| [&row.last_error, &row.last_fault]);
    let wrong = wrong.flatten().map(String::as_str).collect::<Vec<_>>().join("\n");
    Ok(table("Resources", &headings, rows.collect())
        .some((!wrong.is_empty()).then_some(wrong), |wrong| note(&wrong, true)))
}

fn editor(visitor: &Visitor, instance: &Instance, document: &str) -> Html {
    Html::new()
        .raw(
            "<h2 id=\"settings\">Settings</h2><p>The instance’s JSON. <code>********</code> stands for a secret and leaves it as it \
             is.</p>",
        )
        .add(&form(visitor, instance))
        .raw("<label><span>Instance JSON</span><textarea name=\"document\" spellcheck=\"false\">")
        .text(document)
        .raw("</textarea></label><button class=\"main\" name=\"do\" value=\"save\">Save</button></form>")
}

fn deletion(visitor: &Visitor, instance: &Instance) -> Html {
    Html::new()
        .raw("<h2>Delete</h2><p>What is pending is delivered first.</p>")
        .add(&form(visitor, instance))
        .raw(
            "<div class=\"row\"><label><span>Type the instance’s name</span><input name=\"name\" autocomplete=\"off\" required></label>\
             <label class=\"in\"><input type=\"checkbox\" name=\"discard\" value=\"1\"><span>Discard what is pending</span></label>\
             <button class=\"bad\" name=\"do\" value=\"delete\">Delete instance</button></div></form>",
        )
}

/// What of a shown instance can be changed.
fn settings(shown: Value) -> Value {
    let mut settings = serde_json::Map::new();
    for key in ["name", "tags", "configuration"] {
        if let Some(value) = shown.get(key) {
            settings.insert(key.to_owned(), value.clone());
        }
    }
    settings.into()
}

fn polls(polls: &[Poll]) -> Html {
    if polls.is_empty() {
        return Html::new().raw("<h2>Polls</h2><p class=\"dim\">Not polled yet.</p>");
    }
    let rows = polls.iter().take(12).map(|poll| {
        vec![
            time(Some(&time_text(poll.started_at))),
            text(&poll.resource),
            state(poll.ending().as_str()),
            number(poll.duration_ms),
            number(poll.pages.cast_signed()),
            number(poll.items.cast_signed()),
            number(poll.events.cast_signed()),
            text(poll.error.as_deref().or(poll.note.as_deref()).unwrap_or("")),
        ]
    });
    Html::new().raw("<h2>Polls</h2>").add(&chart(polls)).add(&table(
        "Polls",
        &[
            "Started", "Resource", "Outcome", "#ms", "#Pages", "#Items", "#Events", "Remark",
        ],
        rows.collect(),
    ))
}

/// Items and events of the polls, oldest first, as bars on one scale.
fn chart(polls: &[Poll]) -> Html {
    let most = polls
        .iter()
        .map(|poll| poll.items.max(poll.events))
        .max()
        .unwrap_or(0)
        .max(1);
    let height = |count: u64| if count == 0 { 0 } else { (count * 60 / most).max(1) };
    let width = 16 * polls.len();
    let words = format!(
        "Items and events of the last {} polls, {} and {} in all; the tallest bar is {most}.",
        polls.len(),
        polls.iter().map(|poll| poll.items).sum::<u64>(),
        polls.iter().map(|poll| poll.events).sum::<u64>(),
    );
    let bar = |class: &'static str, x: usize, count: u64| {
        let tall = height(count);
        Html::new()
            .raw("<rect")
            .attr("class", class)
            .attr("x", &x.to_string())
            .attr("y", &(62 - tall).to_string())
            .attr("width", "6")
            .attr("height", &tall.to_string())
            .raw("/>")
    };
    Html::new()
        .raw("<figure class=\"wide\" tabindex=\"0\"><svg role=\"img\"")
        .attr("aria-label", &words)
        .attr("viewBox", &format!("0 0 {width} 64"))
        .attr("width", &width.to_string())
        .raw(" height=\"64\">")
        .each(polls.iter().rev().enumerate(), |(at, poll)| {
            bar("a", 16 * at, poll.items).add(&bar("b", 16 * at + 7, poll.events))
        })
        .raw("</svg><figcaption class=\"dim\">")
        .text(&words)
        .raw(" Items are grey, events are coloured.</figcaption></figure>")
}

fn events(call: &Call<'_>, instance_id: i64) -> Result<Html, Refusal> {
    let events = call.house.store.past_events(instance_id, MOST)?;
    if events.is_empty() {
        return Ok(Html::new().raw("<h2>Events</h2><p class=\"dim\">None yet.</p>"));
    }
    let rows = events.iter().map(|event| {
        let changes: Vec<String> = event
            .changes
            .as_deref()
            .and_then(|changes| serde_json::from_str(changes).ok())
            .unwrap_or_default();
        vec![
            time(Some(&event.created_at)),
            text(&event.event_type),
            text(&event.object_type),
            text(event.path.as_deref().unwrap_or(&event.object_id)),
            text(&changes.join(", ")),
            link(&format!("/page/outbox/{}", event.outbox_id), &event.state),
        ]
    });
    Ok(Html::new().raw("<h2>Events</h2>").add(&table(
        "Events",
        &["Found", "Event", "Type", "Object", "Changed", "Notification"],
        rows.collect(),
    )))
}
