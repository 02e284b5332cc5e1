//! Resources as documents describe them: what is read, what is noted, and what is refused.

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
            "b": {"mode": "windows"},
            "c": {"url": "/me/drive/root/delta", "schedule": "0 24 * * *", "timezone": "../etc", "datesConfiguration": {"updatedField": "x"}},
            "d": 7,
            "": {"url": "/me/drive/root/delta"},
        }),
        &[
            "`event.poller.configuration.a.pageSize`: expected a number from 1 to 999, got `0`",
            "`event.poller.configuration.a.baseline`: expected one of `snapshot`, `emit`, `latest`, got `all`",
            "`event.poller.configuration.a.idfield`: unknown setting of a resource; did you mean `idField`?",
            "`event.poller.configuration.b.mode`: expected one of `delta`, `window`, got `windows`",
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
