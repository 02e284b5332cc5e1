//! `event.poller.configuration`: which feeds and collections an instance polls, and how. Where a `url` may lead stands in
//! `graph_path`, what one setting may be in `canonical`, what the dates mean in `window`.

mod canonical;
mod window;

use serde_json::{Map, Value};

use crate::core::feed::{self, Feed, Mode, Window};
use crate::core::model::{BaselineMode, ElementKey, GrantKind, ResourceSettings};

use super::graph_path::{self, GraphUrl};
use super::keys::{self, RESOURCES};
use super::values;
use crate::core::problem::{Report, listed, quoted};
use canonical::{Kind, SETTINGS};

/// What documents hold where the documentation says "see below".
const SEE_BELOW: &str = "<SEE_BELOW>";

/// The longest name of a resource, in characters.
const LONGEST_NAME: usize = 200;

/// The canonical form: resource name → settings, in the order given; `Value::Null` where the default is meant.
/// `None` after a problem.
pub(super) fn canonical(value: &Value, report: &mut Report) -> Option<Value> {
    if value == SEE_BELOW {
        report.note(format!(
            "`{RESOURCES}` still holds `{SEE_BELOW}`: the drive's delta feed is polled"
        ));
        return Some(Value::Null);
    }
    let text = value.as_str().unwrap_or("");
    let given = values::refuse_placeholder(text).and_then(|()| values::object(value));
    let given = given.map_err(|message| report.problem(RESOURCES, message)).ok()?;
    let before = report.problems.len();
    let mut resources = Map::new();
    for (name, settings) in &given {
        if let Err(message) = check_name(name) {
            report.problem(RESOURCES, message);
        } else if let Some(settings) = canonical_resource(name, settings, report) {
            resources.insert(name.clone(), Value::Object(settings));
        }
    }
    report.sound(before, Value::Object(resources))
}

fn check_name(name: &str) -> Result<(), String> {
    let clean = !name.trim().is_empty() && name.trim() == name && !name.contains(char::is_control);
    if clean && name.chars().count() <= LONGEST_NAME {
        return Ok(());
    }
    Err(format!("{} cannot name a resource", quoted(name)))
}

fn canonical_resource(name: &str, value: &Value, report: &mut Report) -> Option<Map<String, Value>> {
    let key = format!("{RESOURCES}.{name}");
    let given = values::object(value)
        .map_err(|message| report.problem(&key, message))
        .ok()?;
    let mut settings = Map::new();
    let before = report.problems.len();
    for (setting, value) in given.iter().filter(|(_, value)| !values::is_absent(value)) {
        let Some((_, kind)) = SETTINGS.iter().find(|(known, _)| known == setting) else {
            let message = keys::unknown(
                "setting of a resource",
                setting,
                SETTINGS.iter().map(|(known, _)| *known),
            );
            report.problem(&format!("{key}.{setting}"), message);
            continue;
        };
        match canonical::setting(*kind, value) {
            Ok(value) => {
                settings.insert(setting.clone(), value);
            }
            Err(message) => report.problem(&format!("{key}.{setting}"), message),
        }
    }
    match given.get("url") {
        None | Some(Value::Null) => report.problem(&key, "needs a `url`, such as `/hubs/documents/events`"),
        Some(Value::String(url)) if url.is_empty() => report.problem(&key, "its `url` is empty"),
        Some(_) if report.problems.len() == before => check_together(name, &settings, report),
        Some(_) => {}
    }
    Some(settings)
}

/// What the settings of a resource mean together: told are contradictions, and what is accepted and not used.
fn check_together(name: &str, settings: &Map<String, Value>, report: &mut Report) {
    let key = format!("{RESOURCES}.{name}");
    let all = Value::Object(settings.clone());
    let url = settings.get("url").and_then(Value::as_str).unwrap_or_default();
    let place = match graph_path::resolve(url, mode(&all), None) {
        Ok(place) => place,
        Err(message) => return report.problem(&format!("{key}.url"), message),
    };
    if graph_path::drops_query(url) {
        report.note(format!(
            "resource {}: the query of its `url` is ignored",
            quoted(name)
        ));
    }
    let of_a_drive = feed::is_of_a_drive(&place.url);
    let unused = |kind: Kind| match place.mode {
        Mode::Delta => kind.is_by_dates() || (of_a_drive && kind == Kind::IdField),
        Mode::Window => false,
    };
    let known = |setting: &&String| SETTINGS.iter().find(|(known, _)| *known == setting.as_str());
    let unused: Vec<&str> = settings
        .keys()
        .filter(|setting| known(setting).is_some_and(|(_, kind)| unused(*kind)))
        .map(String::as_str)
        .collect();
    if !unused.is_empty() {
        report.note(format!(
            "resource {}: a delta feed does not use {}; accepted and ignored",
            quoted(name),
            listed(unused)
        ));
    }
    match place.mode {
        Mode::Delta if all["baseline"] == "latest" && feed::latest_option(&place.url).is_none() => report
            .problem(
                &format!("{key}.baseline"),
                "this feed cannot begin at now; use `snapshot`, which learns what exists silently",
            ),
        Mode::Delta => {}
        Mode::Window => {
            if let Some(window) = window::read(&key, &place.url, &all, report) {
                note_window(name, &window, report);
            }
        }
    }
}

/// What the author of a resource that is polled by dates should know.
fn note_window(name: &str, window: &Window, report: &mut Report) {
    let name = quoted(name);
    report.note(format!(
        "resource {name} is polled by dates: deletions cannot be seen there"
    ));
    if !window.template.has_date() {
        report.note(format!(
            "resource {name}: its `url` holds no date, such as `${{gmtDate:…}}`: the whole collection is read at each poll"
        ));
    }
    if window.updated.is_none() {
        report.note(format!(
            "resource {name} has no `updatedDateField`: a record counts as updated when anything about it differs"
        ));
    }
}

fn mode(settings: &Value) -> Option<Mode> {
    settings
        .get("mode")
        .and_then(Value::as_str)
        .and_then(Mode::from_text)
}

/// The resources that `value`, in canonical form, describes; the default one where it is absent.
pub(super) fn read(
    element: ElementKey,
    grant: GrantKind,
    value: Option<&Value>,
    graph_base: &str,
    report: &mut Report,
) -> Vec<ResourceSettings> {
    let Some(Value::Object(resources)) = value else {
        if grant == GrantKind::ClientCredentials {
            report.problem(RESOURCES, personal(graph_path::DRIVE_FEED));
        }
        return vec![default_resource(element)];
    };
    let mut read = Vec::new();
    for (name, settings) in resources {
        let given = settings.get("url").and_then(Value::as_str).unwrap_or("");
        let key = format!("{RESOURCES}.{name}");
        let resolved = graph_path::resolve(given, mode(settings), Some(graph_base)).and_then(|place| {
            let reachable = grant != GrantKind::ClientCredentials || !graph_path::is_personal(&place.url);
            if reachable {
                Ok(place)
            } else {
                Err(personal(&place.url))
            }
        });
        let place = match resolved {
            Ok(place) => place,
            Err(message) => {
                report.problem(&format!("{key}.url"), message);
                continue;
            }
        };
        if let Some(feed) = feed_of(&key, &place, settings, report) {
            read.push(ResourceSettings {
                name: name.clone(),
                feed,
                url: place.url,
                baseline: settings
                    .get("baseline")
                    .and_then(Value::as_str)
                    .and_then(BaselineMode::from_text)
                    .unwrap_or(BaselineMode::Snapshot),
                page_size: settings
                    .get("pageSize")
                    .and_then(Value::as_u64)
                    .and_then(|size| u32::try_from(size).ok()),
                schedule: text(settings, "schedule"),
                timezone: text(settings, "timezone"),
            });
        }
    }
    read
}

/// What the resource at `place` reads.
fn feed_of(key: &str, place: &GraphUrl, settings: &Value, report: &mut Report) -> Option<Feed> {
    match place.mode {
        Mode::Window => {
            let window = window::read(key, &place.url, settings, report)?;
            Some(Feed::Window(Box::new(window)))
        }
        Mode::Delta if feed::is_of_a_drive(&place.url) => Some(Feed::Drive),
        Mode::Delta => Some(Feed::Objects {
            id_field: text(settings, "idField").filter(|path| path != "id"),
        }),
    }
}

/// The IANA zones of the dates of the resource `name`, each with the key that has it; none where it has no dates, or what
/// it has is not sound.
pub(super) fn zones(name: &str, settings: &Value) -> Vec<(String, String)> {
    let url = settings.get("url").and_then(Value::as_str).unwrap_or_default();
    match graph_path::resolve(url, mode(settings), None) {
        Ok(place) if place.mode == Mode::Window => {
            let key = format!("{RESOURCES}.{name}");
            let window = window::read(&key, &place.url, settings, &mut Report::default());
            window.map_or_else(Vec::new, |window| window::zones(&key, &window))
        }
        _ => Vec::new(),
    }
}

fn text(settings: &Value, key: &str) -> Option<String> {
    settings.get(key).and_then(Value::as_str).map(str::to_owned)
}

fn default_resource(element: ElementKey) -> ResourceSettings {
    ResourceSettings {
        name: element.default_resource().to_owned(),
        url: graph_path::DRIVE_FEED.to_owned(),
        feed: Feed::Drive,
        baseline: BaselineMode::Snapshot,
        page_size: None,
        schedule: None,
        timezone: None,
    }
}

fn personal(path: &str) -> String {
    format!(
        "{} means the signed-in user, and with `client_credentials` there is none; use `/drives/{{id}}/root/delta` or \
         `/users/{{id}}/drive/root/delta`",
        quoted(path)
    )
}

#[cfg(test)]
mod tests;
