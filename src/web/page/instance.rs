//! One instance: its health, its polls and events, its settings, and what can be done with it.

use maud::{Markup, html};
use serde_json::Value;

use super::super::api::oauth;
use super::super::call::Call;
use super::super::reply::Refusal;
use super::device;
use super::form::Form;
use super::layout::{button, form, go, link, note, page, path, state, table, text, tick, time};
use super::plans::Plans;
use super::visitor::Visitor;
use super::{id, no_action};
use crate::commands::{Edit, Pending, Subject};
use crate::core::model::{Instance, time_text};
use crate::core::poll::Poll;
use crate::httpd::Reply;
use crate::store::{Depth, PastEvent};

/// Polls and events shown.
const MOST: u32 = 40;

/// Resources shown.
const MOST_RESOURCES: u32 = 200;

pub(super) fn show(call: &Call<'_>, visitor: &Visitor) -> Result<Reply, Refusal> {
    let instance = call.instance(id(call)?)?;
    // What an action has to say after it, by a word in the URL.
    let said = match call.query("said").as_deref() {
        Some("polling") => Some("a poll was asked for; it shows below when it ends"),
        Some("saved") => Some("saved"),
        _ => None,
    };
    let content = html! {
        @if let Some(said) = said { (note(said, false)) }
        (view(call, visitor, &instance, None)?)
    };
    Ok(page(visitor, 200, &instance.name, &content))
}

/// What the buttons of the page do.
pub(super) fn act(call: &Call<'_>, visitor: &Visitor, form: &Form) -> Result<Reply, Refusal> {
    let instance = call.instance(id(call)?)?;
    let path = path(instance.id);
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
                    let content = html! {
                        (note(&refusal.message, true))
                        (view(call, visitor, &instance, Some(document))?)
                    };
                    Ok(page(visitor, refusal.status, &instance.name, &content))
                }
            }
        }
        "sign-in" => {
            let (url, cookie) = oauth::begun(call, Subject::Existing(instance.id))?;
            Ok(leaving(visitor, &url).with("Set-Cookie", cookie))
        }
        "device" => device::begin(call, &instance),
        "delete" if form.get("name") == instance.name => {
            let pending = match form.get("discard") {
                "" => Pending::Deliver,
                _ => Pending::Discard,
            };
            call.house.delete_instance(&instance.id.to_string(), pending)?;
            Ok(go("/"))
        }
        "delete" => Err(Refusal::bad(
            "type the instance's name as it is to delete it; nothing was deleted",
        )),
        other => Err(no_action(other)),
    }
}

/// The page from which a person goes to the provider: a form may not lead there itself.
pub(super) fn leaving(visitor: &Visitor, url: &str) -> Reply {
    let content = html! {
        p {
            "Microsoft asks who you are and whether deltapost may read the files, and sends you back here. You have \
             ten minutes."
        }
        p { a.button.main href=(url) { "Connect with Microsoft" } }
    };
    page(visitor, 200, "Sign in at Microsoft", &content)
}

/// The page of `instance`, with `document` in its editor in the place of what holds.
fn view(
    call: &Call<'_>,
    visitor: &Visitor,
    instance: &Instance,
    document: Option<&str>,
) -> Result<Markup, Refusal> {
    let store = &call.house.store;
    let shown = settings(call.house.shown(instance));
    let fields = |fields: Markup| form(visitor, &path(instance.id), fields);
    Ok(html! {
        (fields(actions(instance)))
        h2 { "Resources" }
        (resources(call, instance)?)
        (polls(&store.past_polls(instance.id, MOST)?))
        (events(&store.past_events(instance.id, MOST)?))
        h2 #settings { "Settings" }
        p { "The instance’s JSON. " code { "********" } " stands for a secret and leaves it as it is." }
        (fields(editor(document.unwrap_or(&shown))))
        h2 { "Delete" }
        p { "What is pending is delivered first." }
        (fields(deletion()))
    })
}

fn actions(instance: &Instance) -> Markup {
    html! {
        div.row {
            (button("poll", "Poll now"))
            @match instance.enabled {
                true => (button("pause", "Pause polling")),
                false => (button("resume", "Resume polling")),
            }
            (button("sign-in", "Sign in again"))
            (button("device", "Sign in by device code"))
        }
    }
}

fn editor(document: &str) -> Markup {
    html! {
        label {
            span { "Instance JSON" }
            textarea name="document" spellcheck="false" { (document) }
        }
        button.main name="do" value="save" { "Save" }
    }
}

fn deletion() -> Markup {
    html! {
        div.row {
            label {
                span { "Type the instance’s name" }
                input name="name" autocomplete="off" required;
            }
            (tick("checkbox", "discard", "1", false, "Discard what is pending"))
            button.bad name="do" value="delete" { "Delete instance" }
        }
    }
}

/// What of a shown instance can be changed, as JSON.
fn settings(mut shown: Value) -> String {
    if let Some(fields) = shown.as_object_mut() {
        fields.retain(|key, _| ["name", "tags", "configuration"].contains(&key.as_str()));
    }
    format!("{shown:#}")
}

fn resources(call: &Call<'_>, instance: &Instance) -> Result<Markup, Refusal> {
    let store = &call.house.store;
    let mut resources = store.health_of_first(MOST_RESOURCES + 1, &instance.name)?;
    let more = resources.len() > MOST_RESOURCES as usize;
    resources.truncate(MOST_RESOURCES as usize);
    let plans = Plans::of(call, instance.id, &resources)?;
    let wrong = resources
        .iter()
        .flat_map(|row| [&row.last_error, &row.last_fault]);
    let wrong = wrong.flatten().map(String::as_str).collect::<Vec<_>>().join("\n");
    Ok(html! {
        (table("Resources", &resources, &[
            ("Resource", &|row| text(&row.resource)),
            ("Health", &|row| state(&row.health)),
            ("Phase", &|row| text(&row.phase)),
            ("Schedule", &|row| plans.words(row)),
            ("Last poll", &|row| time(row.last_poll_at.as_deref())),
            ("Last success", &|row| time(row.last_success_at.as_deref())),
            ("Next poll", &|row| plans.next(row)),
            ("#Pending", &|row| text(row.pending)),
            ("#Dead", &|row| text(row.dead)),
        ]))
        @if more { p.dim { "These are the first " (MOST_RESOURCES) " resources." } }
        @if !wrong.is_empty() { (note(&wrong, true)) }
    })
}

fn polls(polls: &[Poll]) -> Markup {
    let shown = &polls[..polls.len().min(12)];
    html! {
        h2 { "Polls" }
        @if polls.is_empty() {
            p.dim { "Not polled yet." }
        } @else {
            (chart(polls))
            (table("Polls", shown, &[
                ("Started", &|poll| time(Some(&time_text(poll.started_at)))),
                ("Resource", &|poll| text(&poll.resource)),
                ("Outcome", &|poll| state(poll.ending().as_str())),
                ("#ms", &|poll| text(poll.duration_ms)),
                ("#Pages", &|poll| text(poll.pages)),
                ("#Items", &|poll| text(poll.items)),
                ("#Events", &|poll| text(poll.events)),
                ("Remark", &|poll| text(poll.error.as_deref().or(poll.note.as_deref()).unwrap_or(""))),
            ]))
        }
    }
}

/// Items and events of the polls, oldest first, as bars on one scale.
fn chart(polls: &[Poll]) -> Markup {
    let all = || polls.iter().flat_map(|poll| [poll.items, poll.events]);
    let most = all().max().unwrap_or(0).max(1);
    let width = 16 * polls.len();
    let words = format!(
        "Items and events of the last {} polls, {} and {} in all; the tallest bar is {most}.",
        polls.len(),
        polls.iter().map(|poll| poll.items).sum::<u64>(),
        polls.iter().map(|poll| poll.events).sum::<u64>(),
    );
    let bar = |class: &str, x: usize, count: u64| {
        let tall = if count == 0 { 0 } else { (count * 60 / most).max(1) };
        html! { rect class=(class) x=(x) y=(62 - tall) width="6" height=(tall) {} }
    };
    html! {
        figure.wide tabindex="0" {
            svg role="img" aria-label=(words) viewBox={ "0 0 " (width) " 64" } width=(width) height="64" {
                @for (at, poll) in polls.iter().rev().enumerate() {
                    (bar("a", 16 * at, poll.items))
                    (bar("b", 16 * at + 7, poll.events))
                }
            }
            figcaption.dim { (words) " Items are grey, events are coloured." }
        }
    }
}

fn events(events: &[PastEvent]) -> Markup {
    let changed = |event: &PastEvent| {
        let changes = event.changes.as_deref().map(serde_json::from_str::<Vec<String>>);
        text(changes.and_then(Result::ok).unwrap_or_default().join(", "))
    };
    html! {
        h2 { "Events" }
        @if events.is_empty() {
            p.dim { "None yet." }
        } @else {
            (table("Events", events, &[
                ("Found", &|event| time(Some(&event.created_at))),
                ("Event", &|event| text(event.event_type.as_str())),
                ("Type", &|event| text(&event.object_type)),
                ("Object", &|event| text(event.path.as_deref().unwrap_or(&event.object_id))),
                ("Changed", &changed),
                ("Notification", &|event| link(&format!("/page/outbox/{}", event.outbox_id), event.state.as_str())),
            ]))
        }
    }
}
