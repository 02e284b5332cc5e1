//! `event.poller.urls`, the format before `event.poller.configuration`: a line for each resource, its parts separated by
//! `|`, or bare names that select resources. It is converted when a document is read, with a note of what became what.

use serde_json::{Map, Value, json};

use crate::core::model::MASK;

use super::keys::{RESOURCES, URLS};
use super::values;
use crate::core::problem::{Report, described, listed, quoted};

/// What documents hold where the documentation says "see below".
const SEE_BELOW: &str = "<SEE_BELOW>";

/// The feeds that have a name without being configured: the elements' default resources.
const DEFAULTS: &[&str] = &["events", "documents"];

/// The parts of a line behind the resource's name and its URL, each with the setting that it becomes.
const PARTS: &[&str] = &[
    "filterByUpdatedDate",
    "updatedDateField",
    "updatedDateFormat",
    "updatedDateTimezone",
    "createdDateField",
    "createdDateFormat",
    "createdDateTimezone",
];

/// What a document's resources become by the text `value` of `event.poller.urls`; `resources` are those that it names
/// otherwise. `None` where there is nothing to change, or after a problem.
pub(super) fn convert(
    value: &Value,
    resources: Option<&Value>,
    report: &mut Report,
) -> Option<Map<String, Value>> {
    let Some(text) = value.as_str() else {
        report.problem(URLS, format!("expected text, got {}", described(value)));
        return None;
    };
    if text == MASK {
        return None;
    }
    if text.trim() == SEE_BELOW {
        report.note(format!("`{URLS}` still holds `{SEE_BELOW}`: it is ignored"));
        return None;
    }
    let given = resources.and_then(Value::as_object);
    let (mut converted, mut names) = (Map::new(), Vec::new());
    for line in text.split('\n').map(str::trim).filter(|line| !line.is_empty()) {
        let parts: Vec<&str> = line.split('|').map(str::trim).collect();
        match parts[..] {
            [name, url, ref rest @ ..] if url.starts_with('/') || url.contains("://") => {
                if converted.contains_key(name) || given.is_some_and(|given| given.contains_key(name)) {
                    report.problem(URLS, format!("{} is given twice", quoted(name)));
                } else if let Some(settings) = settings(name, url, rest, report) {
                    converted.insert(name.to_owned(), settings);
                }
            }
            _ => names.extend(parts.into_iter().filter(|name| !name.is_empty())),
        }
    }
    if names.is_empty() {
        let all = given
            .into_iter()
            .flatten()
            .map(|(name, of)| (name.clone(), of.clone()));
        converted.extend(all);
    } else {
        select(&names, given, &mut converted, report);
    }
    Some(converted)
}

/// The settings that the line of the resource `name` stands for.
fn settings(name: &str, url: &str, rest: &[&str], report: &mut Report) -> Option<Value> {
    if rest.len() > PARTS.len() {
        let most = PARTS.len() + 2;
        report.problem(
            URLS,
            format!("the line of {} has more than {most} parts", quoted(name)),
        );
        return None;
    }
    let mut settings = json!({"url": url});
    let mut dates = Map::new();
    let mut became = vec!["url"];
    for (setting, part) in PARTS.iter().zip(rest).filter(|(_, part)| !part.is_empty()) {
        became.push(setting);
        if *setting == "filterByUpdatedDate" {
            match values::boolean(&Value::from(*part)) {
                Ok(filter) => settings[*setting] = filter,
                Err(message) => report.problem(URLS, format!("{}, third part: {message}", quoted(name))),
            }
        } else {
            dates.insert((*setting).to_owned(), Value::from(*part));
        }
    }
    if !dates.is_empty() {
        settings["datesConfiguration"] = dates.into();
    }
    report.note(format!(
        "`{URLS}`: the line of {} became `{RESOURCES}.{}` with {}",
        quoted(name),
        crate::core::problem::escaped(name),
        listed(became)
    ));
    Some(settings)
}

/// Takes those of `given` that `names` lists.
fn select(
    names: &[&str],
    given: Option<&Map<String, Value>>,
    into: &mut Map<String, Value>,
    report: &mut Report,
) {
    for name in names {
        match given.and_then(|given| given.get(*name)) {
            Some(settings) => drop(into.insert((*name).to_owned(), settings.clone())),
            None if DEFAULTS.contains(name) && given.is_none() => {
                into.insert((*name).to_owned(), json!({"url": "/hubs/documents/events"}));
            }
            None => report.problem(
                URLS,
                format!(
                    "{} names no resource of `{RESOURCES}`; describe it there",
                    quoted(name)
                ),
            ),
        }
    }
    let left_out = given
        .into_iter()
        .flatten()
        .filter(|(name, _)| !names.contains(&name.as_str()));
    let left_out: Vec<&str> = left_out.map(|(name, _)| name.as_str()).collect();
    let mut note = format!("`{URLS}` selects {}", listed(names.iter().copied()));
    if !left_out.is_empty() {
        note += &format!(" and leaves out {}", listed(left_out));
    }
    report.note(note);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn converted(text: &str, given: Value) -> (Option<Map<String, Value>>, Vec<String>, Vec<String>) {
        let mut report = Report::default();
        let resources = convert(&Value::from(text), Some(&given), &mut report);
        let problems = report.problems.iter().map(ToString::to_string).collect();
        (resources, report.notes, problems)
    }

    #[track_caller]
    fn check(text: &str, given: Value, expect: Value, note: &str) {
        let (resources, notes, problems) = converted(text, given);
        assert_eq!(problems, [""; 0]);
        assert_eq!(resources.map(Value::Object), Some(expect));
        assert_eq!(notes, [note]);
    }

    #[test]
    fn a_line_becomes_the_settings_of_a_resource() {
        check(
            "mail|/me/messages?$filter=lastModifiedDateTime ge ${gmtDate:yyyy-MM-dd'T'HH:mm:ss'Z'}|true|lastModifiedDateTime\
             |yyyy-MM-dd'T'HH:mm:ss'Z'|GMT|createdDateTime|yyyy-MM-dd'T'HH:mm:ss'Z'|",
            Value::Null,
            json!({"mail": {
                "url": "/me/messages?$filter=lastModifiedDateTime ge ${gmtDate:yyyy-MM-dd'T'HH:mm:ss'Z'}",
                "filterByUpdatedDate": true,
                "datesConfiguration": {
                    "updatedDateField": "lastModifiedDateTime", "updatedDateFormat": "yyyy-MM-dd'T'HH:mm:ss'Z'",
                    "updatedDateTimezone": "GMT",
                    "createdDateField": "createdDateTime", "createdDateFormat": "yyyy-MM-dd'T'HH:mm:ss'Z'"}}}),
            "`event.poller.urls`: the line of `mail` became `event.poller.configuration.mail` with `url`, \
             `filterByUpdatedDate`, `updatedDateField`, `updatedDateFormat`, `updatedDateTimezone`, `createdDateField`, \
             `createdDateFormat`",
        );
    }

    #[test]
    fn bare_names_select_resources_however_they_are_separated() {
        let given = json!({"a": {"url": "/a"}, "b": {"url": "/b"}, "c": {"url": "/c"}});
        let note = "`event.poller.urls` selects `a`, `c` and leaves out `b`";
        for text in ["a|c", "a\nc", "a\n\n c\n"] {
            check(
                text,
                given.clone(),
                json!({"a": {"url": "/a"}, "c": {"url": "/c"}}),
                note,
            );
        }
        let feed = json!({"documents": {"url": "/hubs/documents/events"}});
        check(
            "documents",
            Value::Null,
            feed,
            "`event.poller.urls` selects `documents`",
        );
    }

    #[test]
    fn what_cannot_be_converted_is_told() {
        for (text, problem) in [
            ("contacts|accounts", "`contacts` names no resource"),
            (
                "a|/a|perhaps",
                "`a`, third part: expected true or false, got `perhaps`",
            ),
            ("a|/a||||||||", "the line of `a` has more than 9 parts"),
            ("a|/a\na|/b", "`a` is given twice"),
        ] {
            let (_, _, problems) = converted(text, Value::Null);
            assert!(
                problems.first().is_some_and(|told| told.contains(problem)),
                "{problems:?}"
            );
        }
    }
}
