//! A new instance, in one form: the app, the account, the events, when to poll and what; or its JSON instead. Form and JSON are
//! made of each other, and every mistake stands at its field.

use serde_json::{Map, Value, json};

use super::super::call::Call;
use super::super::reply::{self, Refusal};
use super::super::signing::CALLBACK;
use super::device;
use super::draft::{self, KEYS, RUNS};
use super::form::Form;
use super::instance::leaving;
use super::layout::{go, guarded};
use super::{Visitor, done, seen};
use crate::commands::{CommandError, Subject};
use crate::core::elements::keys::{EVENTS_ENABLED, REDIRECT_URL, RESOURCES, SCHEDULE, TIMEZONE};
use crate::core::model::Secret;
use crate::httpd::Reply;

/// The next runs of a schedule, as JSON.
pub(super) fn preview(call: &Call<'_>) -> Result<Reply, Refusal> {
    seen(call, |_| {
        let given = |name| call.query(name).unwrap_or_default();
        let told = match call.house.runs(&given("cron"), &given("timezone"), RUNS) {
            Ok(runs) => json!({"runs": runs}),
            Err(why) => json!({"error": why}),
        };
        Ok(guarded(reply::json(200, &told)))
    })
}

pub(super) fn show(call: &Call<'_>) -> Result<Reply, Refusal> {
    seen(call, |visitor| {
        let mut form = Form::default();
        let host = call.request.header("Host").unwrap_or("localhost");
        // The provider takes plain HTTP back to `localhost` only.
        let port = host.rsplit_once(':').map_or("", |(_, port)| port);
        form.set(REDIRECT_URL, &format!("http://localhost:{port}{CALLBACK}"));
        form.set(EVENTS_ENABLED, "true");
        form.set("element", "onedrivev2");
        form.set("connect", "redirect");
        form.set(SCHEDULE, "*/15 * * * *");
        form.set(TIMEZONE, "UTC");
        form.set("baseline", "snapshot");
        Ok(draft::show(call, visitor, 200, &form, &[], None))
    })
}

pub(super) fn submit(call: &Call<'_>) -> Result<Reply, Refusal> {
    done(call, |visitor, form| match form.get("do") {
        "show-json" => {
            let mut form = form.clone();
            let text = serde_json::to_string_pretty(&document(&form)).unwrap_or_default();
            form.set("document", &text);
            Ok(draft::show(call, visitor, 200, &form, &[], None))
        }
        "take-json" => match serde_json::from_str::<Value>(form.get("document")) {
            Ok(document) => Ok(draft::show(
                call,
                visitor,
                200,
                &filled(&document, form),
                &[],
                None,
            )),
            Err(error) => {
                let why = format!("the JSON cannot be read: {error}");
                Ok(draft::show(call, visitor, 400, form, &[], Some(&why)))
            }
        },
        "create-json" => created(call, visitor, form, form.get("document")),
        "create" => {
            let document = document(form);
            match form.get("connect") {
                "redirect" => {
                    let subject = Subject::New(Secret::new(document.to_string()));
                    match call.house.begin_sign_in(subject) {
                        Ok((sign_in, url)) => {
                            let cookie = call.web.signing.begin(sign_in, call.house.clock.now());
                            Ok(leaving(visitor, &url).with("Set-Cookie", cookie))
                        }
                        Err(error) => Ok(told(call, visitor, form, error)),
                    }
                }
                "device" => match call.house.create_instance(&document.to_string()) {
                    Ok(outcome) => device::begin(call, &outcome.instance),
                    Err(error) => Ok(told(call, visitor, form, error)),
                },
                _ => created(call, visitor, form, &document.to_string()),
            }
        }
        _ => Ok(draft::show(call, visitor, 200, form, &[], None)),
    })
}

fn created(call: &Call<'_>, visitor: &Visitor, form: &Form, document: &str) -> Result<Reply, Refusal> {
    match call.house.create_instance(document) {
        Ok(outcome) => Ok(go(&format!("/page/instances/{}", outcome.instance.id))),
        Err(error) => Ok(told(call, visitor, form, error)),
    }
}

fn told(call: &Call<'_>, visitor: &Visitor, form: &Form, error: CommandError) -> Reply {
    match error {
        CommandError::Invalid(problems) => draft::show(call, visitor, 400, form, &problems, None),
        error => {
            let refusal = Refusal::from(error);
            draft::show(call, visitor, refusal.status, form, &[], Some(&refusal.message))
        }
    }
}

/// The instance's JSON as the form says it.
fn document(form: &Form) -> Value {
    let mut configuration = Map::new();
    for key in KEYS {
        if !form.get(key).is_empty() {
            configuration.insert((*key).to_owned(), form.get(key).into());
        }
    }
    if form.get(EVENTS_ENABLED).is_empty() {
        configuration.insert(EVENTS_ENABLED.to_owned(), "false".into());
    }
    let element = if form.get("element").is_empty() {
        "onedrivev2"
    } else {
        form.get("element")
    };
    let (name, url, baseline) = (form.get("resource"), form.get("url"), form.get("baseline"));
    if !(name.is_empty() && url.is_empty() && matches!(baseline, "" | "snapshot")) {
        let mut resource = Map::new();
        let url = if url.is_empty() {
            "/hubs/documents/events"
        } else {
            url
        };
        resource.insert("url".to_owned(), url.into());
        if !baseline.is_empty() {
            resource.insert("baseline".to_owned(), baseline.into());
        }
        let name = if name.is_empty() { "events" } else { name };
        configuration.insert(RESOURCES.to_owned(), json!({name: resource}));
    }
    let tags: Vec<&str> = form
        .get("tags")
        .split(',')
        .map(str::trim)
        .filter(|tag| !tag.is_empty())
        .collect();
    let mut document = json!({"name": form.get("name"), "element": {"key": element}, "tags": tags, "configuration": configuration});
    if form.get("connect") == "code" && !form.get("code").is_empty() {
        document["providerData"] = json!({"code": form.get("code")});
    }
    document
}

/// The form as `document` fills it; what it has no field for stays in the JSON only.
fn filled(document: &Value, before: &Form) -> Form {
    let mut form = before.clone();
    let words = |value: Option<&Value>| match value {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Null) | None => String::new(),
        Some(other) => other.to_string(),
    };
    let configuration = &document["configuration"];
    for key in KEYS {
        form.set(key, &words(configuration.get(*key)));
    }
    if form.get(EVENTS_ENABLED) == "false" {
        form.set(EVENTS_ENABLED, "");
    }
    form.set("name", &words(document.get("name")));
    form.set("element", &words(document["element"].get("key")));
    let tags = document["tags"].as_array().map_or(&[][..], Vec::as_slice);
    form.set(
        "tags",
        &tags
            .iter()
            .filter_map(Value::as_str)
            .collect::<Vec<_>>()
            .join(", "),
    );
    let code = words(document["providerData"].get("code"));
    if !code.is_empty() {
        form.set("connect", "code");
        form.set("code", &code);
    }
    if let Some((name, settings)) = configuration[RESOURCES]
        .as_object()
        .and_then(|all| all.iter().next())
    {
        form.set("resource", name);
        form.set("url", &words(settings.get("url")));
        form.set("baseline", &words(settings.get("baseline")));
    }
    form
}
