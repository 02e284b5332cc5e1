//! The rules between keys, and what an update, a replacement and a reading make of a configuration.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{BASE, SEED, parsed, read};
use crate::core::elements::{
    Document, catalogue, check_new, join, mask, merge, notes, render, replace, split, withheld, zones,
};
use crate::core::model::{Configuration, ElementKey, GrantState, Instance, Interval, Secret, time_from_text};

fn configuration(value: Value) -> Configuration {
    parsed(&json!({ "configuration": value }).to_string()).configuration
}

fn change(value: Value) -> Document {
    parsed(&json!({ "configuration": value }).to_string())
}

#[track_caller]
fn check_refused(configuration: Value, expect: &[&str]) {
    assert_eq!(read(configuration).unwrap_err(), expect);
}

#[track_caller]
fn check_not_created(document: Value, expect: &[&str]) {
    let problems = check_new(&parsed(&document.to_string()), BASE).unwrap_err();
    assert_eq!(
        problems
            .iter()
            .map(|problem| problem.to_string())
            .collect::<Vec<_>>(),
        expect
    );
}

#[test]
fn an_empty_configuration_polls_the_drive_by_the_default_schedule_and_sends_nothing() {
    let settings = read(json!({})).unwrap();
    assert!(!settings.events_enabled);
    assert_eq!((settings.interval, settings.schedule), (None, None));
    assert_eq!(settings.resources[0].url, "/me/drive/root/delta");
    assert_eq!(settings.filter, Default::default());
}

#[test]
fn a_schedule_is_kept_in_one_spelling_and_its_zones_are_named() {
    let given = json!({
        "event.poller.schedule": "*/5  7-19 * * 1-5", "event.poller.timezone": "Europe/Berlin",
        "event.poller.configuration": {
            "a": {"url": "/me/drive/root/delta", "timezone": "Asia/Kathmandu"},
            "b": {"url": "/me/drive/root/delta", "schedule": "@daily"},
        },
    });
    let document = change(given.clone());
    let settings = read(given).unwrap();
    assert_eq!(settings.schedule.as_deref(), Some("*/5 7-19 * * Mon-Fri"));
    assert_eq!(settings.timezone.as_deref(), Some("Europe/Berlin"));
    assert_eq!(settings.resources[1].schedule.as_deref(), Some("0 0 * * *"));
    assert_eq!(
        zones(&document.configuration),
        [
            ("event.poller.timezone".to_owned(), "Europe/Berlin".to_owned()),
            (
                "event.poller.configuration.a.timezone".to_owned(),
                "Asia/Kathmandu".to_owned()
            ),
        ]
    );
}

#[test]
fn an_interval_beside_a_schedule_is_noted() {
    for (given, expect) in [
        (json!({"event.poller.refresh_interval": 15}), 0),
        (json!({"event.poller.schedule": "@daily"}), 0),
        (
            json!({"event.poller.refresh_interval": 15, "event.poller.schedule": "@daily"}),
            1,
        ),
    ] {
        assert_eq!(notes(&read(given).unwrap()).len(), expect);
    }
}

#[test]
fn above_31_days_an_interval_is_none_and_a_note_says_so() {
    for (minutes, interval) in [
        (
            44_640,
            Interval::Every(std::time::Duration::from_secs(44_640 * 60)),
        ),
        (44_641, Interval::Never),
    ] {
        let given = json!({"event.poller.refresh_interval": minutes});
        assert_eq!(
            change(given.clone()).notes.len(),
            usize::from(interval == Interval::Never)
        );
        assert_eq!(read(given).unwrap().interval, Some(interval));
    }
}

#[test]
fn rules_between_keys_are_told_together() {
    check_refused(
        json!({"event.notification.enabled": true, "event.notification.signature.key.previous": "x",
               "oauth.user.refresh_token": "x", "event.filter.objects": ["File", "folders", "events"]}),
        &[
            "`oauth.api.key`: needed to use `oauth.user.refresh_token`",
            "`event.notification.callback.url`: needed while `event.notification.enabled` is true",
            "`event.notification.signature.key`: needed beside `event.notification.signature.key.previous`",
            "`event.filter.objects`: `folders`: unknown object type; did you mean `folder`?",
        ],
    );
}

#[test]
fn an_application_without_a_user_needs_a_tenant_and_somebodys_drive() {
    let grant = "client_credentials";
    check_refused(
        json!({"oauth.grant": grant, "oauth.tenant": "common", "oauth.user.refresh_token": "x"}),
        &[
            "`event.poller.configuration`: `/me/drive/root/delta` means the signed-in user, and with `client_credentials` \
             there is none; use `/drives/{id}/root/delta` or `/users/{id}/drive/root/delta`",
            "`oauth.api.key`: needed for `oauth.grant` = `client_credentials`",
            "`oauth.api.secret`: needed for `oauth.grant` = `client_credentials`",
            "`oauth.tenant`: `client_credentials` needs one tenant: its id or its domain",
            "`oauth.user.refresh_token`: contradicts `oauth.grant` = `client_credentials`; leave one out",
        ],
    );
    let resources = json!({"a": {"url": "/Me/drive/root/delta"}});
    let told = read(
        json!({"oauth.grant": grant, "oauth.api.key": "k", "oauth.api.secret": "s", "oauth.tenant": "t.example",
                           "event.poller.configuration": resources}),
    );
    assert!(
        told.unwrap_err()[0].starts_with("`event.poller.configuration.a.url`: `/Me/drive/root/delta` means")
    );
    let resources = json!({"a": {"url": "/drives/1/root/delta"}});
    read(json!({"oauth.grant": grant, "oauth.api.key": "k", "oauth.api.secret": "s", "oauth.tenant": "t.example",
                "event.poller.configuration": resources}))
    .unwrap();
}

#[test]
fn creation_needs_a_name_an_element_and_a_way_to_tokens() {
    check_not_created(
        json!({}),
        &[
            "`name`: needed: a name for the instance",
            "`element.key`: needed: one of `onedrivev2`, `onedrivebusiness`",
            "`providerData.code`: needed to get tokens: an authorization code, or `oauth.user.refresh_token`, or \
             `oauth.grant` = `client_credentials`, or `oauth.api.key` for `deltapost login`",
        ],
    );
    let base = json!({"name": "x", "element": {"key": "onedrivev2"}, "providerData": {"code": "c"}});
    check_not_created(
        base.clone(),
        &[
            "`oauth.api.key`: needed to exchange `providerData.code` for tokens",
            "`oauth.callback.url`: needed to exchange `providerData.code` for tokens",
        ],
    );
    let mut masked = base.clone();
    masked["configuration"] = json!({"oauth.api.key": "********", "oauth.callback.url": "https://x.example/", "event.notification.headers": {"X-A": "********"}});
    check_not_created(
        masked,
        &[
            "`event.notification.headers`: `********` means unchanged, but the instance is new; give the value",
            "`oauth.api.key`: `********` means unchanged, but the instance is new; give the value",
            "`oauth.api.key`: needed to exchange `providerData.code` for tokens",
        ],
    );
    let mut both = base;
    both["configuration"] = json!({"oauth.grant": "client_credentials", "oauth.api.key": "k", "oauth.api.secret": "s",
        "oauth.tenant": "t", "event.poller.configuration": {"a": {"url": "/drives/1/root/delta"}}});
    check_not_created(
        both,
        &["`providerData.code`: contradicts `oauth.grant` = `client_credentials`; leave one out"],
    );
}

#[test]
fn a_change_replaces_removes_and_keeps() {
    let current = configuration(
        json!({"oauth.api.key": "k", "oauth.scope": "s", "oauth.tenant": "t",
        "event.notification.headers": {"X-A": "1", "X-B": "2"}, "event.notification.callback.url": "https://x.example/?a=b"}),
    );
    let merged = merge(
        &current,
        &change(
            json!({"oauth.api.key": "********", "oauth.scope": "", "oauth.tenant": "u",
            "event.notification.headers": {"x-a": "********", "X-C": "3"}}),
        ),
    );
    let expect = json!({"oauth.api.key": "k", "oauth.tenant": "u", "event.notification.headers": {"x-a": "1", "X-C": "3"},
        "event.notification.callback.url": "https://x.example/?a=b"});
    assert_eq!(merged.unwrap(), configuration(expect));

    let whole = replace(
        &current,
        &change(
            json!({"oauth.api.key": "********", "event.notification.callback.url": "https://x.example/?********"}),
        ),
    );
    let expect = json!({"oauth.api.key": "k", "event.notification.callback.url": "https://x.example/?a=b"});
    assert_eq!(whole.unwrap(), configuration(expect));
}

#[test]
fn a_mask_with_nothing_behind_it_is_told() {
    let current = configuration(
        json!({"event.notification.callback.url": "https://x.example/?a=b",
        "event.notification.headers": {"X-A": "1"}}),
    );
    let told = merge(
        &current,
        &change(
            json!({"oauth.api.key": "********", "event.notification.callback.url": "https://y.example/?********",
            "event.notification.headers": {"X-B": "********"}}),
        ),
    );
    let told: Vec<String> = told
        .unwrap_err()
        .iter()
        .map(|problem| problem.to_string())
        .collect();
    assert_eq!(
        told,
        [
            "`event.notification.callback.url`: `?********` means an unchanged query, but the URL is another; give it with its query",
            "`event.notification.headers`: header `X-B`: `********` means unchanged, but no value is stored",
            "`oauth.api.key`: `********` means unchanged, but no value is stored",
        ]
    );
}

#[test]
fn what_could_not_be_unsealed_counts_as_configured_and_holds_notifications_back() {
    let mut given = configuration(
        json!({"event.notification.enabled": true, "oauth.user.refresh_token": "r",
        "oauth.api.key": "k", "event.notification.callback.url": "https://x.example/", "event.notification.signature.key": "s",
        "event.notification.headers": {"X-A": "1"}}),
    );
    let read = |configuration: &Configuration| {
        super::super::settings(ElementKey::OneDriveV2, configuration, BASE).unwrap()
    };
    assert!(read(&given).callback_url.is_some());

    let (public, secrets) = split(&given);
    let lost = read(&public);
    assert_eq!(
        (lost.api_key, lost.refresh_token, lost.signature_key),
        (None, None, None)
    );
    assert_eq!((lost.callback_url, lost.headers), (None, vec![]));
    assert_eq!(
        withheld(&public),
        [
            "event.notification.headers",
            "event.notification.signature.key",
            "oauth.api.key",
            "oauth.user.refresh_token"
        ]
    );
    assert_eq!(
        split(&public),
        (public.clone(), BTreeMap::new()),
        "what is masked is never sealed"
    );
    assert_eq!(join(public.clone(), &secrets), given);

    given.remove("event.notification.signature.key");
    given.remove("event.notification.headers");
    assert!(
        read(&split(&given).0).callback_url.is_some(),
        "an account's secret does not hold notifications back"
    );

    let beside = merge(
        &public,
        &change(json!({"event.notification.headers": {"X-A": "********", "X-B": "2"}})),
    );
    assert!(beside.unwrap_err()[0].message.contains("cannot be read"));
}

#[test]
fn a_configuration_is_shown_without_its_secrets() {
    let shown = mask(&configuration(
        json!({"oauth.api.key": "hunter2", "oauth.api.secret": "hunter2", "oauth.scope": "Files.Read",
        "oauth.user.refresh_token": "hunter2", "event.notification.signature.key": "hunter2",
        "event.notification.signature.key.previous": "hunter2", "event.notification.headers": {"X-A": "hunter2"},
        "event.notification.callback.url": "https://x.example/a?code=hunter2"}),
    ));
    assert_eq!(
        serde_json::to_value(shown).unwrap(),
        json!({"oauth.api.key": "********", "oauth.api.secret": "********", "oauth.scope": "Files.Read",
            "oauth.user.refresh_token": "********", "event.notification.signature.key": "********",
            "event.notification.signature.key.previous": "********", "event.notification.headers": {"X-A": "********"},
            "event.notification.callback.url": "https://x.example/a?********"})
    );
}

#[test]
fn secrets_split_off_are_whole() {
    let given = configuration(
        json!({"event.notification.callback.url": "https://x.example/a?b", "oauth.api.key": "k",
        "event.notification.headers": {"X-B": "2", "X-A": "1"}, "oauth.scope": "s"}),
    );
    let secrets: Vec<(String, Secret)> = split(&given).1.into_iter().collect();
    let secret = |key: &str, text: &str| (key.to_owned(), Secret::new(text));
    assert_eq!(
        secrets,
        [
            secret("event.notification.callback.url", "https://x.example/a?b"),
            secret("event.notification.headers", "{\"X-B\":\"2\",\"X-A\":\"1\"}"),
            secret("oauth.api.key", "k"),
        ]
    );
}

fn instance() -> Instance {
    let document = parsed(SEED);
    Instance {
        id: 7,
        name: document.name.unwrap(),
        element: document.element.unwrap(),
        tags: document.tags.unwrap(),
        enabled: false,
        grant_state: GrantState::LoginRequired,
        created_at: time_from_text("2026-03-01T09:30:00Z").unwrap(),
        settings: super::super::settings(ElementKey::OneDriveV2, &document.configuration, BASE),
        configuration: document.configuration,
    }
}

#[test]
fn an_instance_is_rendered_in_cloud_elements_shape() {
    let rendered = render(&instance());
    let resources = rendered["configuration"]["event.poller.configuration"].clone();
    assert_eq!(resources["events"]["url"], "/hubs/documents/events");
    assert_eq!(
        rendered,
        json!({
            "id": 7, "name": "OneDriveForDocs", "createdDate": "2026-03-01T09:30:00.000Z",
            "element": catalogue::entry(ElementKey::OneDriveV2), "elementId": 1,
            "tags": ["Docs"], "valid": false, "disabled": true,
            "eventsEnabled": true, "externalAuthentication": "none",
            "user": {"id": 1, "emailAddress": "deltapost@localhost", "firstName": "deltapost", "lastName": "agent"},
            "configuration": {
                "oauth.api.key": "********", "oauth.api.secret": "********",
                "oauth.callback.url": "https://www.yourcallbackurl.com/oauth2callback",
                "event.notification.enabled": true, "event.vendor.type": "polling",
                "event.notification.callback.url": "https://mycoolapp.com/events",
                "event.notification.signature.key": "********", "event.poller.refresh_interval": 15,
                "event.poller.configuration": resources,
            },
        })
    );
}

#[test]
fn neither_instance_nor_document_shows_a_secret_when_debugged() {
    for shown in [format!("{:?}", instance()), format!("{:?}", parsed(SEED))] {
        assert!(
            !shown.contains("123456") && !shown.contains("Code on Return"),
            "{shown}"
        );
        assert!(shown.contains("event.notification.signature.key"), "{shown}");
    }
}

#[test]
fn a_rendered_instance_given_back_changes_nothing() {
    let instance = instance();
    let document = parsed(&render(&instance).to_string());
    assert_eq!(
        merge(&instance.configuration, &document).unwrap(),
        instance.configuration
    );
    assert_eq!(
        replace(&instance.configuration, &document).unwrap(),
        instance.configuration
    );
    assert_eq!(
        (document.name, document.element, document.tags),
        (Some(instance.name), Some(instance.element), Some(instance.tags))
    );
}
