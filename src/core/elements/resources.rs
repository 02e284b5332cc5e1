//! `event.poller.configuration`: which feeds an instance polls, and how. Where a `url` may lead stands in `graph_path`.

use serde_json::{Map, Value};

use crate::core::feed::{self, Feed};
use crate::core::model::{BaselineMode, ElementKey, GrantKind, ResourceSettings};

use super::graph_path;
use super::keys::{self, RESOURCES};
use super::problem::{Report, described, listed, quoted};
use super::values;

/// What documents hold where the documentation says "see below".
const SEE_BELOW: &str = "<SEE_BELOW>";

/// The longest name of a resource, in characters.
const LONGEST_NAME: usize = 200;

/// The largest page that can be asked for.
const LARGEST_PAGE: u64 = 999;

/// What a setting of a resource may be. Those that a delta feed does not use are checked for their type only.
#[derive(Clone, Copy)]
enum Kind {
    Url,
    Baseline,
    Mode,
    PageSize,
    UnusedText,
    UnusedBoolean,
    UnusedNumber,
    UnusedDates,
    Schedule,
    Timezone,
}

/// The settings of a resource. `filterByUpdateDate`, and zones beside `datesConfiguration`, are spellings in use.
const SETTINGS: &[(&str, Kind)] = &[
    ("url", Kind::Url),
    ("baseline", Kind::Baseline),
    ("mode", Kind::Mode),
    ("pageSize", Kind::PageSize),
    ("idField", Kind::UnusedText),
    ("filterByUpdatedDate", Kind::UnusedBoolean),
    ("filterByUpdateDate", Kind::UnusedBoolean),
    ("filterByCurrentDate", Kind::UnusedBoolean),
    ("createdCheckTolerance", Kind::UnusedNumber),
    ("pollDelay", Kind::UnusedNumber),
    ("datesConfiguration", Kind::UnusedDates),
    ("updatedDateTimezone", Kind::UnusedText),
    ("createdDateTimezone", Kind::UnusedText),
    ("schedule", Kind::Schedule),
    ("timezone", Kind::Timezone),
];

const DATES: &[&str] = &[
    "updatedDateField",
    "updatedDateFormat",
    "updatedDateTimezone",
    "createdDateField",
    "createdDateFormat",
    "createdDateTimezone",
];

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
    let sound = report.problems.len() == before;
    sound.then(|| {
        if resources.is_empty() {
            Value::Null
        } else {
            Value::Object(resources)
        }
    })
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
    let mut unused = Vec::new();
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
        match canonical_setting(*kind, value) {
            Ok(value) => {
                settings.insert(setting.clone(), value);
            }
            Err(message) => report.problem(&format!("{key}.{setting}"), message),
        }
        if is_unused(*kind) {
            unused.push(setting.as_str());
        }
    }
    if !unused.is_empty() {
        report.note(format!(
            "resource {}: a delta feed does not use {}; accepted and ignored",
            quoted(name),
            listed(unused)
        ));
    }
    match given.get("url") {
        None | Some(Value::Null) => report.problem(&key, "needs a `url`, such as `/hubs/documents/events`"),
        Some(Value::String(url)) if url.is_empty() => report.problem(&key, "its `url` is empty"),
        Some(Value::String(url)) if graph_path::drops_query(url) => {
            report.note(format!(
                "resource {}: the query of its `url` is ignored",
                quoted(name)
            ));
        }
        Some(_) => {}
    }
    Some(settings)
}

fn is_unused(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::UnusedText | Kind::UnusedBoolean | Kind::UnusedNumber | Kind::UnusedDates
    )
}

fn canonical_setting(kind: Kind, value: &Value) -> Result<Value, String> {
    match kind {
        Kind::Url => {
            let url = value
                .as_str()
                .ok_or_else(|| format!("expected a Graph path, got {}", described(value)))?;
            graph_path::resolve(url, None).map(|_| Value::from(url))
        }
        Kind::Baseline => values::choice(value, &["snapshot", "emit", "latest"]),
        Kind::Mode if value == "window" => {
            Err("`window` is not supported by this version; use `delta` and a delta feed".to_owned())
        }
        Kind::Mode => values::choice(value, &["delta"]),
        Kind::PageSize => match values::whole_number(value) {
            Some(size) if (1..=LARGEST_PAGE).contains(&size) => Ok(Value::from(size)),
            _ => Err(format!(
                "expected a number from 1 to {LARGEST_PAGE}, got {}",
                described(value)
            )),
        },
        Kind::UnusedText if value.is_string() => Ok(value.clone()),
        Kind::UnusedText => Err(format!("expected text, got {}", described(value))),
        Kind::UnusedBoolean => values::boolean(value),
        Kind::UnusedNumber => match values::whole_number(value) {
            Some(number) => Ok(Value::from(number)),
            None => Err(format!("expected seconds from 0, got {}", described(value))),
        },
        Kind::UnusedDates => dates(value),
        Kind::Schedule => values::text(value).and_then(values::schedule),
        Kind::Timezone => values::text(value).and_then(values::timezone),
    }
}

fn dates(value: &Value) -> Result<Value, String> {
    let given = values::object(value)?;
    for (name, value) in &given {
        if !DATES.contains(&name.as_str()) {
            return Err(format!(
                "{}: {}",
                quoted(name),
                keys::unknown("key", name, DATES.iter().copied())
            ));
        }
        if !value.is_string() && !value.is_null() {
            return Err(format!(
                "{}: expected text, got {}",
                quoted(name),
                described(value)
            ));
        }
    }
    Ok(Value::Object(given))
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
        let resolved = graph_path::resolve(given, Some(graph_base)).and_then(|url| {
            let reachable = grant != GrantKind::ClientCredentials || !graph_path::is_personal(&url);
            if reachable { Ok(url) } else { Err(personal(&url)) }
        });
        match resolved {
            Ok(url) => read.push(ResourceSettings {
                name: name.clone(),
                feed: feed_of(&url, settings),
                url,
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
            }),
            Err(message) => report.problem(&format!("{RESOURCES}.{name}.url"), message),
        }
    }
    read
}

/// What the resource at `url` reads.
fn feed_of(url: &str, settings: &Value) -> Feed {
    if feed::is_of_a_drive(url) {
        return Feed::Drive;
    }
    Feed::Objects {
        id_field: text(settings, "idField").filter(|path| path != "id"),
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
mod tests {
    use serde_json::json;

    use super::*;

    const BASE: &str = "https://graph.microsoft.com/v1.0";

    fn read_all(value: Value) -> Result<(Vec<ResourceSettings>, Vec<String>), Vec<String>> {
        let mut report = Report::default();
        let mut resources = Vec::new();
        if let Some(value) = canonical(&value, &mut report) {
            let grant = GrantKind::AuthorizationCode;
            resources = read(
                ElementKey::OneDriveBusiness,
                grant,
                Some(&value),
                BASE,
                &mut report,
            );
        }
        let notes = std::mem::take(&mut report.notes);
        let problems = report
            .result(())
            .map_err(|problems| problems.iter().map(|p| p.to_string()).collect());
        problems.map(|()| (resources, notes))
    }

    #[track_caller]
    fn check_refused(value: Value, expect: &[&str]) {
        assert_eq!(read_all(value).unwrap_err(), expect);
    }

    #[test]
    fn placeholder_and_empty_object_mean_the_drives_feed() {
        for value in [json!("<SEE_BELOW>"), json!({}), json!("{}")] {
            let (resources, _) = read_all(value).unwrap();
            assert_eq!(resources, [default_resource(ElementKey::OneDriveBusiness)]);
            assert_eq!(resources[0].name, "documents");
        }
    }

    #[test]
    fn settings_of_ours_are_read_and_those_of_date_polling_are_noted() {
        let (resources, notes) = read_all(json!({
            "finance": {"url": "/drives/1/root/delta", "baseline": "emit", "pageSize": "50", "mode": "delta",
                        "schedule": "*/5  7-19 * * 1-5", "timezone": "Europe/Berlin",
                        "idField": "id", "filterByUpdateDate": "true", "pollDelay": 5, "datesConfiguration": {}},
            "all": {"url": "/hubs/documents/changes?x=${date}", "timezone": null, "schedule": ""},
        }))
        .unwrap();
        let finance = ResourceSettings {
            name: "finance".into(),
            url: "/drives/1/root/delta".into(),
            feed: Feed::Drive,
            baseline: BaselineMode::Emit,
            page_size: Some(50),
            schedule: Some("*/5 7-19 * * Mon-Fri".into()),
            timezone: Some("Europe/Berlin".into()),
        };
        let all = ResourceSettings {
            name: "all".into(),
            ..default_resource(ElementKey::OneDriveV2)
        };
        assert_eq!(resources, [finance, all]);
        assert_eq!(
            notes,
            [
                "resource `finance`: a delta feed does not use `idField`, `filterByUpdateDate`, `pollDelay`, \
                 `datesConfiguration`; accepted and ignored",
                "resource `all`: the query of its `url` is ignored",
            ]
        );
    }

    #[test]
    fn every_problem_of_every_resource_is_told() {
        check_refused(
            json!({
                "a": {"url": "/me/drive/root/delta", "pageSize": 0, "baseline": "all", "idfield": "id"},
                "b": {"mode": "window"},
                "c": {"url": "/me/drive/root/delta", "schedule": "0 24 * * *", "timezone": "../etc", "datesConfiguration": {"updatedField": "x"}},
                "d": 7,
                "": {"url": "/me/drive/root/delta"},
            }),
            &[
                "`event.poller.configuration.a.pageSize`: expected a number from 1 to 999, got `0`",
                "`event.poller.configuration.a.baseline`: expected one of `snapshot`, `emit`, `latest`, got `all`",
                "`event.poller.configuration.a.idfield`: unknown setting of a resource; did you mean `idField`?",
                "`event.poller.configuration.b.mode`: `window` is not supported by this version; use `delta` and a delta feed",
                "`event.poller.configuration.b`: needs a `url`, such as `/hubs/documents/events`",
                "`event.poller.configuration.c.schedule`: hour: expected 0 to 23, got `24`; midnight is hour `0`",
                "`event.poller.configuration.c.timezone`: expected an IANA time zone such as `Europe/Berlin`, got `../etc`",
                "`event.poller.configuration.c.datesConfiguration`: `updatedField`: unknown key; did you mean `updatedDateField`?",
                "`event.poller.configuration.d`: expected an object",
                "`event.poller.configuration`: `` cannot name a resource",
            ],
        );
    }

    #[test]
    fn an_absolute_url_is_judged_by_the_graph_base() {
        let at = |host: &str| json!({"a": {"url": format!("https://{host}/v1.0/drives/1/root/delta")}});
        assert_eq!(
            read_all(at("graph.microsoft.com")).unwrap().0[0].url,
            "/drives/1/root/delta"
        );
        let problems = read_all(at("evil.example")).unwrap_err();
        assert!(
            problems[0].starts_with("`event.poller.configuration.a.url`: `https://evil.example/v1.0"),
            "{problems:?}"
        );
    }

    #[test]
    fn the_choices_are_those_of_the_model() {
        let spelled: Vec<&str> = BaselineMode::ALL.iter().map(|mode| mode.as_str()).collect();
        assert_eq!(spelled, ["snapshot", "emit", "latest"]);
    }
}
