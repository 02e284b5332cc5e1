//! A new instance, in one form: the app, the account, the events, when to poll and what, with its JSON beside it. Either can be
//! edited, and every mistake stands at its field.

use serde_json::{Value, json};

use super::super::api::oauth;
use super::super::call::Call;
use super::super::reply::{self, Refusal};
use super::super::signing::CALLBACK;
use super::device;
use super::document::{self, DOCUMENT};
use super::draft::{self, NO_SCHEDULE, RUNS};
use super::form::Form;
use super::instance::leaving;
use super::layout::{go, guarded, path};
use super::visitor::Visitor;
use crate::commands::{CommandError, PlannedRun, Subject};
use crate::core::elements::keys::{EVENTS_ENABLED, REDIRECT_URL, SCHEDULE, TIMEZONE};
use crate::core::model::Secret;
use crate::httpd::Reply;

/// The next runs of a schedule, as JSON.
pub(super) fn preview(call: &Call<'_>, _: &Visitor) -> Result<Reply, Refusal> {
    let given = |name| call.query(name).unwrap_or_default();
    let told = match given("cron").as_str() {
        "" => json!({"runs": [], "note": NO_SCHEDULE}),
        cron => match call.house.runs(cron, &given("timezone"), RUNS) {
            Ok(runs) => {
                let run = |run: &PlannedRun| json!({"utc": run.utc, "local": run.words, "note": run.note});
                json!({"runs": runs.iter().map(run).collect::<Vec<_>>()})
            }
            Err(why) => json!({"error": why}),
        },
    };
    Ok(guarded(reply::json(200, &told)))
}

/// Form or JSON as the other has it, for the script: `document`, or the `fields`.
pub(super) fn brought_together(_: &Call<'_>, _: &Visitor, form: &Form) -> Result<Reply, Refusal> {
    let by_form = || document::by_form(form).map(|(form, _)| json!({"document": form.get(DOCUMENT)}));
    let taken = match form.get("do") {
        "take-json" => document::by_json(form).map(|(form, _)| json!({"fields": document::fields(&form)})),
        _ if form.get(DOCUMENT).is_empty() => by_form(),
        // What is being typed there is not taken away.
        _ => document::by_json(form).and_then(|_| by_form()),
    };
    let told = taken.unwrap_or_else(|why| json!({"error": why}));
    Ok(guarded(reply::json(200, &told)))
}

pub(super) fn show(call: &Call<'_>, visitor: &Visitor) -> Result<Reply, Refusal> {
    let mut form = Form::default();
    // The provider takes plain HTTP back to `localhost` only.
    let port = call.host().rsplit_once(':').map_or("", |(_, port)| port);
    form.set(REDIRECT_URL, &format!("http://localhost:{port}{CALLBACK}"));
    form.set(EVENTS_ENABLED, "true");
    form.set("element", "onedrivev2");
    form.set("connect", "redirect");
    form.set(SCHEDULE, "*/15 * * * *");
    form.set(TIMEZONE, "UTC");
    document::set_baseline(&mut form, 0, "");
    let form = document::by_form(&form).map_err(Refusal::bad)?.0;
    Ok(draft::show(call, visitor, &form, &[], None))
}

pub(super) fn submit(call: &Call<'_>, visitor: &Visitor, form: &Form) -> Result<Reply, Refusal> {
    let taken = match form.get("do") {
        "show-json" => document::by_form(form),
        "take-json" => document::by_json(form),
        _ => document::settled(form),
    };
    let (mut taken, document) = match taken {
        Ok(taken) => taken,
        Err(why) => return Ok(draft::show(call, visitor, form, &[], Some(&Refusal::bad(why)))),
    };
    match form.get("do") {
        "create" => return created(call, visitor, &taken, &document),
        "add" => document::add_resource(&mut taken),
        _ => {}
    }
    Ok(draft::show(call, visitor, &taken, &[], None))
}

/// Creates what `document` says, and leads to where it is signed in, or to it.
fn created(call: &Call<'_>, visitor: &Visitor, form: &Form, document: &Value) -> Result<Reply, Refusal> {
    let document = document.to_string();
    let refused = |error| match error {
        CommandError::Invalid(problems) => draft::show(call, visitor, form, &problems, None),
        error => draft::show(call, visitor, form, &[], Some(&error.into())),
    };
    if form.get("connect") == "redirect" {
        return Ok(match oauth::begun(call, Subject::New(Secret::new(document))) {
            Ok((url, cookie)) => leaving(visitor, &url).with("Set-Cookie", cookie),
            Err(error) => refused(error),
        });
    }
    match call.house.create_instance(&document) {
        Ok(outcome) if form.get("connect") == "device" => device::begin(call, &outcome.instance),
        Ok(outcome) => Ok(go(&path(outcome.instance.id))),
        Err(error) => Ok(refused(error)),
    }
}
