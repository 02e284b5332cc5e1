//! A new instance, in one form: the app, the account, the events, when to poll and what; or its JSON instead. Form and JSON are
//! made of each other, and every mistake stands at its field.

use serde_json::{Map, Value, json};

use super::super::call::Call;
use super::super::reply::{self, Refusal};
use super::super::signing::CALLBACK;
use super::device;
use super::form::Form;
use super::html::Html;
use super::instance::leaving;
use super::layout::{go, guarded, note, page};
use super::{Visitor, done, seen};
use crate::commands::{CommandError, Subject};
use crate::core::elements::Problem;
use crate::core::elements::keys::{
    API_KEY, API_SECRET, CALLBACK_URL, EVENTS_ENABLED, REDIRECT_URL, RESOURCES, SCHEDULE, SIGNATURE_KEY,
    TENANT, TIMEZONE,
};
use crate::core::model::Secret;
use crate::httpd::Reply;

/// Runs shown of a schedule.
const RUNS: usize = 5;

/// The fields that are a key of the configuration each.
const KEYS: &[&str] = &[
    API_KEY,
    API_SECRET,
    REDIRECT_URL,
    TENANT,
    EVENTS_ENABLED,
    CALLBACK_URL,
    SIGNATURE_KEY,
    SCHEDULE,
    TIMEZONE,
];

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
        Ok(view(call, visitor, 200, &form, &[], None))
    })
}

pub(super) fn submit(call: &Call<'_>) -> Result<Reply, Refusal> {
    done(call, |visitor, form| match form.get("do") {
        "show-json" => {
            let mut form = form.clone();
            let text = serde_json::to_string_pretty(&document(&form)).unwrap_or_default();
            form.set("document", &text);
            Ok(view(call, visitor, 200, &form, &[], None))
        }
        "take-json" => match serde_json::from_str::<Value>(form.get("document")) {
            Ok(document) => Ok(view(call, visitor, 200, &filled(&document, form), &[], None)),
            Err(error) => {
                let why = format!("the JSON cannot be read: {error}");
                Ok(view(call, visitor, 400, form, &[], Some(&why)))
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
        _ => Ok(view(call, visitor, 200, form, &[], None)),
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
        CommandError::Invalid(problems) => view(call, visitor, 400, form, &problems, None),
        error => {
            let refusal = Refusal::from(error);
            view(call, visitor, refusal.status, form, &[], Some(&refusal.message))
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

/// A field: its name in the form, what it is called, and what helps to fill it in.
struct Field {
    name: &'static str,
    kind: &'static str,
    label: &'static str,
    help: &'static str,
}

const fn field(name: &'static str, kind: &'static str, label: &'static str, help: &'static str) -> Field {
    Field {
        name,
        kind,
        label,
        help,
    }
}

fn view(
    call: &Call<'_>,
    visitor: &Visitor,
    status: u16,
    form: &Form,
    problems: &[Problem],
    why: Option<&str>,
) -> Reply {
    let input = |field: Field| {
        let mine: Vec<&Problem> = problems
            .iter()
            .filter(|problem| is_about(problem, field.name))
            .collect();
        Html::new()
            .raw("<label><span>")
            .raw(field.label)
            .raw("</span><input autocomplete=\"off\"")
            .attr("name", field.name)
            .attr("type", field.kind)
            .attr("value", form.get(field.name))
            .some(
                match field.name {
                    SCHEDULE => Some("cron"),
                    TIMEZONE => Some("zone"),
                    _ => None,
                },
                |id| Html::new().attr("id", id),
            )
            .some((!mine.is_empty()).then_some(()), |()| {
                Html::new().raw(" aria-invalid=\"true\"")
            })
            .raw("><small>")
            .raw(field.help)
            .raw("</small>")
            .each(mine, |problem| {
                Html::new()
                    .raw("<span class=\"err\">▲ ")
                    .text(&problem.message)
                    .raw("</span>")
            })
            .raw("</label>")
    };
    let others: Vec<String> = problems
        .iter()
        .filter(|problem| !shown_at_a_field(problem))
        .map(ToString::to_string)
        .chain(why.map(str::to_owned))
        .collect();
    let summary = match (problems.len(), others.is_empty()) {
        (0, true) => None,
        (0, false) => Some(others.join("\n")),
        (count, _) => Some(format!(
            "Nothing was created: {count} to correct.\n{}",
            others.join("\n")
        )),
    };
    let option = |name: &'static str, value: &'static str, words: &'static str| {
        let checked = form.get(name) == value;
        Html::new()
            .raw("<label class=\"in\"><input type=\"radio\"")
            .attr("name", name)
            .attr("value", value)
            .raw(if checked { " checked" } else { "" })
            .raw("><span>")
            .raw(words)
            .raw("</span></label>")
    };
    let runs = match call.house.runs(form.get(SCHEDULE), form.get(TIMEZONE), RUNS) {
        Ok(runs) => Html::new().each(runs, |run| {
            Html::new()
                .raw("<li>")
                .text(&run.local)
                .some(run.note.as_deref(), |note| {
                    Html::new().raw(" (").text(note).raw(")")
                })
                .raw("</li>")
        }),
        Err(why) => Html::new().raw("<li class=\"bad\">").text(&why).raw("</li>"),
    };
    let left = Html::new()
        .raw("<fieldset><legend>Instance</legend>")
        .add(&input(field("name", "text", "Name", "Unique, and not only digits.")))
        .add(&input(field("tags", "text", "Tags", "Parted by commas.")))
        .raw("<p>Account type</p>")
        .add(&option("element", "onedrivev2", "OneDrive, personal or at work"))
        .add(&option("element", "onedrivebusiness", "OneDrive for Business"))
        .raw("</fieldset><fieldset><legend>Account</legend>")
        .add(&input(field(API_KEY, "text", "Client id", "Of the app that you registered at Microsoft.")))
        .add(&input(field(API_SECRET, "password", "Client secret", "")))
        .add(&input(field(REDIRECT_URL, "url", "Redirect URL", "One that the app registration names.")))
        .add(&input(field(TENANT, "text", "Tenant", "Left empty for any account.")))
        .add(&option("connect", "redirect", "Connect with Microsoft now: the redirect URL leads to this page"))
        .add(&option("connect", "code", "I paste the code from the redirect’s address"))
        .add(&input(field("code", "password", "Code", "Works once, for ten minutes.")))
        .add(&option("connect", "device",
            "By device code: a page and a code to enter there, on any device",))
        .raw("</fieldset><fieldset><legend>Events</legend><label class=\"in\"><input type=\"checkbox\" value=\"true\"")
        .attr("name", EVENTS_ENABLED)
        .raw(if form.get(EVENTS_ENABLED).is_empty() { "" } else { " checked" })
        .raw("><span>Poll and send events</span></label>")
        .add(&input(field(CALLBACK_URL, "url", "Callback URL", "Where changes are sent.")))
        .add(&input(field(SIGNATURE_KEY, "password", "Signature key", "Your receiver checks signatures by it.")))
        .raw("</fieldset>");
    let right = Html::new()
        .raw("<fieldset><legend>When</legend>")
        .add(&input(field(SCHEDULE, "text", "Schedule", "A crontab expression: minute, hour, day, month, weekday.")))
        .add(&input(field(TIMEZONE, "text", "Time zone", "An IANA name, such as Europe/Berlin.")))
        .raw("<p>The next runs:</p><ul id=\"runs\" aria-live=\"polite\">")
        .add(&runs)
        .raw("</ul><button name=\"do\" value=\"look\">Show the next runs</button></fieldset><fieldset><legend>What</legend>")
        .add(&input(field("resource", "text", "Resource", "A name for it; <code>events</code> when left empty.")))
        .add(&input(field("url", "text", "Graph path", "The account’s drive when left empty.")))
        .raw("<p>What is there already</p>")
        .add(&option("baseline", "snapshot", "is learnt in silence"))
        .add(&option("baseline", "emit", "is announced, too"))
        .add(&option("baseline", "latest", "is not read: only what changes from now on"))
        .raw("</fieldset><fieldset><legend>The same as JSON</legend><label><span>Instance JSON</span><textarea name=\"document\" spellcheck=\"false\">")
        .text(form.get("document"))
        .raw(
            "</textarea></label><div class=\"row\"><button name=\"do\" value=\"show-json\">Form to JSON</button>\
             <button name=\"do\" value=\"take-json\">JSON to form</button>\
             <button name=\"do\" value=\"create-json\">Create from JSON</button></div></fieldset>",
        );
    let content = Html::new()
        .some(summary, |summary| note(&summary, true))
        .add(&visitor.form("/page/instances/new"))
        // Return in a field is the main button's, not the first one's.
        .raw("<button class=\"skip\" name=\"do\" value=\"create\" tabindex=\"-1\" aria-hidden=\"true\">Create</button><div class=\"two\"><div>")
        .add(&left)
        .raw("</div><div>")
        .add(&right)
        .raw("</div></div><button class=\"main\" name=\"do\" value=\"create\">Create Instance</button></form>");
    page(visitor, status, "New instance", &content)
}

/// Whether `problem` is told at the field `name`.
fn is_about(problem: &Problem, name: &str) -> bool {
    let key = problem.key.strip_prefix("configuration.").unwrap_or(&problem.key);
    key == name
        || (name == "code" && key == "providerData.code")
        || (name == "url" && key.starts_with(RESOURCES) && key.ends_with(".url"))
}

fn shown_at_a_field(problem: &Problem) -> bool {
    let fields = KEYS.iter().copied().filter(|key| *key != EVENTS_ENABLED);
    fields
        .chain(["name", "tags", "code", "url"])
        .any(|name| is_about(problem, name))
}
