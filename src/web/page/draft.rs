//! The form for a new instance: its fields with what stands in them and what is wrong with it, the next runs, and the JSON.

use maud::{Markup, Render, html};

use super::super::call::Call;
use super::super::reply::Refusal;
use super::document::{DOCUMENT, FIELDS, MOST_RESOURCES, SHOWN, of_resource, resource_count};
use super::form::Form;
use super::layout::{self, button, note, page, tick};
use super::visitor::Visitor;
use crate::core::elements::Problem;
use crate::core::elements::keys::{
    API_KEY, API_SECRET, CALLBACK_URL, EVENTS_ENABLED, REDIRECT_URL, RESOURCES, SCHEDULE, SIGNATURE_KEY,
    TENANT, TIMEZONE,
};
use crate::httpd::Reply;

/// Runs shown of a schedule.
pub(super) const RUNS: usize = 5;

/// What holds where no schedule is given.
pub(super) const NO_SCHEDULE: &str =
    "none of its own: the refresh interval in the JSON holds, else the configuration file";

/// What has been filled in, and what is wrong with it.
struct Draft<'a> {
    form: &'a Form,
    problems: &'a [Problem],
}

/// The form as a page, with what is wrong with it: `problems` at their fields, `refusal` above.
pub(super) fn show(
    call: &Call<'_>,
    visitor: &Visitor,
    form: &Form,
    problems: &[Problem],
    refusal: Option<&Refusal>,
) -> Reply {
    let status = match refusal {
        Some(refusal) => refusal.status,
        None if problems.is_empty() => 200,
        None => 400,
    };
    let why = refusal.map(|refusal| refusal.message.as_str());
    let draft = Draft { form, problems };
    let fields = html! {
        // Return in a field is the main button's, not the first one's.
        button.skip name="do" value="create" tabindex="-1" aria-hidden="true" { "Create" }
        div.two {
            div { (draft.instance()) (draft.account()) (draft.events()) }
            div { (draft.when(call)) (draft.what()) (draft.json()) }
        }
        button.main name="do" value="create" { "Create Instance" }
    };
    let content = html! {
        @if let Some(summary) = draft.summary(why) { (note(&summary, true)) }
        (layout::form(visitor, "/page/instances/new", fields))
    };
    page(visitor, status, "New instance", &content)
}

impl Draft<'_> {
    /// How much is to be corrected, and what of it stands at no field.
    fn summary(&self, why: Option<&str>) -> Option<String> {
        let others = self
            .problems
            .iter()
            .filter(|problem| !self.stands_at_a_field(problem));
        let others = others.map(ToString::to_string).chain(why.map(str::to_owned));
        let others = others.collect::<Vec<_>>().join("\n");
        match (self.problems.len(), others.is_empty()) {
            (0, true) => None,
            (0, false) => Some(others),
            (count, _) => Some(format!("Nothing was created: {count} to correct.\n{others}")),
        }
    }

    fn instance(&self) -> Markup {
        group(
            "Instance",
            html! {
                (self.input("name", "text", "Name", "Unique, and not only digits."))
                (self.input("tags", "text", "Tags", "Separated by commas."))
                p { "Account type" }
                (self.option("element", "onedrivev2", "OneDrive, personal or at work"))
                (self.option("element", "onedrivebusiness", "OneDrive for Business"))
            },
        )
    }

    fn account(&self) -> Markup {
        let here = "Connect with Microsoft now: the redirect URL leads to this page";
        let device = "By device code: a page and a code to enter there, on any device";
        group(
            "Account",
            html! {
                (self.input(API_KEY, "text", "Client id", "Of the app that you registered at Microsoft."))
                (self.input(API_SECRET, "password", "Client secret", ""))
                (self.input(REDIRECT_URL, "url", "Redirect URL", "One that the app registration names."))
                (self.input(TENANT, "text", "Tenant", "Left empty for any account."))
                (self.option("connect", "redirect", here))
                (self.option("connect", "code", "I paste the code from the redirect’s address"))
                (self.input("code", "password", "Code", "Works once, for ten minutes."))
                (self.option("connect", "device", device))
                (self.option("connect", "later", "Not here: later, or the JSON brings a grant"))
            },
        )
    }

    fn events(&self) -> Markup {
        let enabled = !self.form.get(EVENTS_ENABLED).is_empty();
        group(
            "Events",
            html! {
                (tick("checkbox", EVENTS_ENABLED, "true", enabled, "Poll and send events"))
                (self.input(CALLBACK_URL, "url", "Callback URL", "Where changes are sent."))
                (self.input(SIGNATURE_KEY, "password", "Signature key", "Your receiver checks signatures by it."))
            },
        )
    }

    fn when(&self, call: &Call<'_>) -> Markup {
        let (cron, zone) = (self.form.get(SCHEDULE), self.form.get(TIMEZONE));
        let help = "A crontab expression: minute, hour, day, month, weekday.";
        group(
            "When",
            html! {
                (self.input(SCHEDULE, "text", "Schedule", help))
                (self.input(TIMEZONE, "text", "Time zone", "An IANA name, such as Europe/Berlin."))
                p { "The next runs:" }
                ul #runs aria-live="polite" {
                    @match call.house.runs(cron, zone, RUNS) {
                        _ if cron.is_empty() => li.dim { (NO_SCHEDULE) },
                        Ok(runs) => @for run in runs {
                            li { (run.words) @if let Some(note) = run.note { " (" (note) ")" } }
                        },
                        Err(why) => li.bad { (why) },
                    }
                }
                (button("look", "Show the next runs"))
            },
        )
    }

    fn what(&self) -> Markup {
        let count = resource_count(self.form);
        group(
            "What",
            html! {
                p { small { "Left empty, the account’s drive is polled as " code { "events" } "." } }
                @for at in 0..count { (self.resource(at)) }
                @if count < MOST_RESOURCES { (button("add", "Add a resource")) }
            },
        )
    }

    fn resource(&self, at: usize) -> Markup {
        let [name, url, baseline] = ["resource", "url", "baseline"].map(|field| of_resource(field, at));
        let named = html! { "A name for it, such as " code { "events" } "." };
        let path = html! { "Such as " code { "/hubs/documents/events" } ": the drive’s changes." };
        html! {
            div.one {
                (self.input(&name, "text", "Resource", named))
                (self.input(&url, "text", "Graph path", path))
                p { "What is there already" }
                (self.option(&baseline, "snapshot", "is learnt in silence"))
                (self.option(&baseline, "emit", "is announced, too"))
                (self.option(&baseline, "latest", "is not read: only what changes from now on"))
            }
        }
    }

    fn json(&self) -> Markup {
        group(
            "The same as JSON",
            html! {
                label {
                    span { "Instance JSON" }
                    textarea #document autocomplete="off" spellcheck="false" name=(DOCUMENT) {
                        (self.form.get(DOCUMENT))
                    }
                    small {
                        "Edit either: what you edit holds. " code { "********" } " stands for the secret in its field."
                    }
                }
                input #shown type="hidden" autocomplete="off" name=(SHOWN) value=(self.form.get(SHOWN));
                p #told role="status" {}
                div.row {
                    (button("show-json", "Form to JSON"))
                    (button("take-json", "JSON to form"))
                }
            },
        )
    }

    /// A field: its name in the form, its kind, what it is called, and what helps to fill it in.
    fn input(&self, name: &str, kind: &str, label: &str, help: impl Render) -> Markup {
        let about = |problem: &&Problem| self.is_about(problem, name);
        let mine: Vec<&Problem> = self.problems.iter().filter(about).collect();
        let is_wrong = !mine.is_empty();
        // The script looks for these two.
        let id = match name {
            SCHEDULE => Some("cron"),
            TIMEZONE => Some("zone"),
            _ => None,
        };
        html! {
            label {
                span { (label) }
                input autocomplete="off" id=[id] name=(name) type=(kind) value=(self.form.get(name))
                    aria-invalid=[is_wrong.then_some("true")] autofocus[is_wrong];
                small { (help) }
                @for problem in mine { span.err { "▲ " (problem.message) } }
            }
        }
    }

    /// One of several values of `name`.
    fn option(&self, name: &str, value: &str, words: &str) -> Markup {
        tick("radio", name, value, self.form.get(name) == value, words)
    }

    /// Whether `problem` is told at the field `name`.
    fn is_about(&self, problem: &Problem, name: &str) -> bool {
        let key = problem.key.strip_prefix("configuration.").unwrap_or(&problem.key);
        if let Some(at) = name.strip_prefix("url.") {
            let resource = match self.form.get(&format!("resource.{at}")) {
                "" => "events",
                resource => resource,
            };
            return key.strip_prefix(RESOURCES) == Some(&format!(".{resource}.url"));
        }
        key == name || (name == "code" && key == "providerData.code")
    }

    fn stands_at_a_field(&self, problem: &Problem) -> bool {
        let fields = FIELDS.iter().map(|field| field.name).chain(["name", "tags"]);
        // These two have no place for a problem.
        let mut inputs = fields.filter(|name| !matches!(*name, EVENTS_ENABLED | "element"));
        let of_resources =
            (0..resource_count(self.form)).any(|at| self.is_about(problem, &of_resource("url", at)));
        of_resources || inputs.any(|name| self.is_about(problem, name))
    }
}

fn group(legend: &str, fields: impl Render) -> Markup {
    html! {
        fieldset { legend { (legend) } (fields) }
    }
}
