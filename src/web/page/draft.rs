//! The form for a new instance: its fields with what stands in them and what is wrong with it, the next runs, and the JSON.

use super::super::call::Call;
use super::document::{DOCUMENT, KEYS, MOST_RESOURCES, SHOWN, of_resource, resource_count};
use super::form::Form;
use super::html::Html;
use super::layout::{self, note, page};
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

/// Fields beside the keys that a problem can be about.
const OTHERS: &[&str] = &["name", "tags", "code"];

/// What has been filled in, and what is wrong with it.
struct Draft<'a> {
    form: &'a Form,
    problems: &'a [Problem],
}

/// The form as a page. `problems` stand at their fields, or above with `why`.
pub(super) fn show(
    call: &Call<'_>,
    visitor: &Visitor,
    status: u16,
    form: &Form,
    problems: &[Problem],
    why: Option<&str>,
) -> Reply {
    let draft = Draft { form, problems };
    let content = Html::new()
        .some(draft.summary(why), |summary| note(&summary, true))
        .add(&layout::form(visitor, "/page/instances/new"))
        // Return in a field is the main button's, not the first one's.
        .raw("<button class=\"skip\" name=\"do\" value=\"create\" tabindex=\"-1\" aria-hidden=\"true\">Create</button>")
        .raw("<div class=\"two\"><div>")
        .add(&draft.instance())
        .add(&draft.account())
        .add(&draft.events())
        .raw("</div><div>")
        .add(&draft.when(call))
        .add(&draft.what())
        .add(&draft.json())
        .raw("</div></div><button class=\"main\" name=\"do\" value=\"create\">Create Instance</button></form>");
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

    fn instance(&self) -> Html {
        let fields = Html::new()
            .add(&self.input("name", "text", "Name", "Unique, and not only digits."))
            .add(&self.input("tags", "text", "Tags", "Separated by commas."))
            .raw("<p>Account type</p>")
            .add(&self.option("element", "onedrivev2", "OneDrive, personal or at work"))
            .add(&self.option("element", "onedrivebusiness", "OneDrive for Business"));
        group("Instance", &fields)
    }

    fn account(&self) -> Html {
        let fields = Html::new()
            .add(&self.input(
                API_KEY,
                "text",
                "Client id",
                "Of the app that you registered at Microsoft.",
            ))
            .add(&self.input(API_SECRET, "password", "Client secret", ""))
            .add(&self.input(
                REDIRECT_URL,
                "url",
                "Redirect URL",
                "One that the app registration names.",
            ))
            .add(&self.input(TENANT, "text", "Tenant", "Left empty for any account."))
            .add(&self.option(
                "connect",
                "redirect",
                "Connect with Microsoft now: the redirect URL leads to this page",
            ))
            .add(&self.option("connect", "code", "I paste the code from the redirect’s address"))
            .add(&self.input("code", "password", "Code", "Works once, for ten minutes."))
            .add(&self.option(
                "connect",
                "device",
                "By device code: a page and a code to enter there, on any device",
            ))
            .add(&self.option("connect", "later", "Not here: later, or the JSON brings a grant"));
        group("Account", &fields)
    }

    fn events(&self) -> Html {
        let checked = if self.form.get(EVENTS_ENABLED).is_empty() {
            ""
        } else {
            " checked"
        };
        let fields = Html::new()
            .raw("<label class=\"in\"><input type=\"checkbox\" value=\"true\"")
            .attr("name", EVENTS_ENABLED)
            .raw(checked)
            .raw("><span>Poll and send events</span></label>")
            .add(&self.input(CALLBACK_URL, "url", "Callback URL", "Where changes are sent."))
            .add(&self.input(
                SIGNATURE_KEY,
                "password",
                "Signature key",
                "Your receiver checks signatures by it.",
            ));
        group("Events", &fields)
    }

    fn when(&self, call: &Call<'_>) -> Html {
        let help = "A crontab expression: minute, hour, day, month, weekday.";
        let runs = match call
            .house
            .runs(self.form.get(SCHEDULE), self.form.get(TIMEZONE), RUNS)
        {
            _ if self.form.get(SCHEDULE).is_empty() => Html::new()
                .raw("<li class=\"dim\">")
                .text(NO_SCHEDULE)
                .raw("</li>"),
            Ok(runs) => Html::new().each(runs, |run| {
                let shift = |note: &str| Html::new().raw(" (").text(note).raw(")");
                Html::new()
                    .raw("<li>")
                    .text(&run.words)
                    .some(run.note.as_deref(), shift)
                    .raw("</li>")
            }),
            Err(why) => Html::new().raw("<li class=\"bad\">").text(&why).raw("</li>"),
        };
        let fields = Html::new()
            .add(&self.input(SCHEDULE, "text", "Schedule", help))
            .add(&self.input(
                TIMEZONE,
                "text",
                "Time zone",
                "An IANA name, such as Europe/Berlin.",
            ))
            .raw("<p>The next runs:</p><ul id=\"runs\" aria-live=\"polite\">")
            .add(&runs)
            .raw("</ul><button name=\"do\" value=\"look\">Show the next runs</button>");
        group("When", &fields)
    }

    fn what(&self) -> Html {
        let count = resource_count(self.form);
        let add = "<button name=\"do\" value=\"add\">Add a resource</button>";
        let fields = Html::new()
            .raw("<p><small>Left empty, the account’s drive is polled as <code>events</code>.</small></p>")
            .each(0..count, |at| self.resource(at))
            .raw(if count < MOST_RESOURCES { add } else { "" });
        group("What", &fields)
    }

    fn resource(&self, at: usize) -> Html {
        let name = |field| of_resource(field, at);
        let baseline = name("baseline");
        Html::new()
            .raw("<div class=\"one\">")
            .add(&self.input(
                &name("resource"),
                "text",
                "Resource",
                "A name for it, such as <code>events</code>.",
            ))
            .add(&self.input(
                &name("url"),
                "text",
                "Graph path",
                "Such as <code>/hubs/documents/events</code>: the drive’s changes.",
            ))
            .raw("<p>What is there already</p>")
            .add(&self.option(&baseline, "snapshot", "is learnt in silence"))
            .add(&self.option(&baseline, "emit", "is announced, too"))
            .add(&self.option(&baseline, "latest", "is not read: only what changes from now on"))
            .raw("</div>")
    }

    fn json(&self) -> Html {
        let fields = Html::new()
            .raw("<label><span>Instance JSON</span><textarea id=\"document\" autocomplete=\"off\" spellcheck=\"false\"")
            .attr("name", DOCUMENT)
            .raw(">")
            .text(self.form.get(DOCUMENT))
            .raw("</textarea><small>Edit either: what you edit holds. <code>********</code> stands for the secret in its field.</small></label><input type=\"hidden\" id=\"shown\" autocomplete=\"off\"")
            .attr("name", SHOWN)
            .attr("value", self.form.get(SHOWN))
            .raw(
                "><p id=\"told\" role=\"status\"></p><div class=\"row\"><button name=\"do\" value=\"show-json\">Form to JSON</button>\
                 <button name=\"do\" value=\"take-json\">JSON to form</button></div>",
            );
        group("The same as JSON", &fields)
    }

    /// A field: its name in the form, its kind, what it is called, and what helps to fill it in.
    fn input(&self, name: &str, kind: &'static str, label: &'static str, help: &'static str) -> Html {
        let mine: Vec<&Problem> = self
            .problems
            .iter()
            .filter(|problem| self.is_about(problem, name))
            .collect();
        // The script looks for these two.
        let id = match name {
            SCHEDULE => " id=\"cron\"",
            TIMEZONE => " id=\"zone\"",
            _ => "",
        };
        Html::new()
            .raw("<label><span>")
            .raw(label)
            .raw("</span><input autocomplete=\"off\"")
            .raw(id)
            .attr("name", name)
            .attr("type", kind)
            .attr("value", self.form.get(name))
            .raw(if mine.is_empty() {
                ""
            } else {
                " aria-invalid=\"true\" autofocus"
            })
            .raw("><small>")
            .raw(help)
            .raw("</small>")
            .each(mine, |problem| {
                let open = Html::new().raw("<span class=\"err\">▲ ");
                open.text(&problem.message).raw("</span>")
            })
            .raw("</label>")
    }

    /// One of several values of `name`.
    fn option(&self, name: &str, value: &'static str, words: &'static str) -> Html {
        let checked = if self.form.get(name) == value {
            " checked"
        } else {
            ""
        };
        Html::new()
            .raw("<label class=\"in\"><input type=\"radio\"")
            .attr("name", name)
            .attr("value", value)
            .raw(checked)
            .raw("><span>")
            .raw(words)
            .raw("</span></label>")
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
        let keys = KEYS.iter().filter(|key| **key != EVENTS_ENABLED);
        let of_resources =
            (0..resource_count(self.form)).any(|at| self.is_about(problem, &of_resource("url", at)));
        of_resources || keys.chain(OTHERS).any(|name| self.is_about(problem, name))
    }
}

fn group(legend: &'static str, fields: &Html) -> Html {
    Html::new()
        .raw("<fieldset><legend>")
        .raw(legend)
        .raw("</legend>")
        .add(fields)
        .raw("</fieldset>")
}
