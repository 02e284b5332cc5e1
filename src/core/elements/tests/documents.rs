//! Documents as they come: the seed in its forms, and what is wrong with others.

use serde_json::{Value, json};

use super::{BASE, SEED, parsed, problems};
use crate::core::elements::{Problem, check_new, check_read, parse, read, set};
use crate::core::model::{BaselineMode, ElementKey, GrantKind, Interval};

/// The seed's document with `event.poller.configuration` replaced.
fn seed_with(resources: Value) -> String {
    let mut seed: Value = serde_json::from_str(SEED).unwrap();
    seed["configuration"]["event.poller.configuration"] = resources;
    seed.to_string()
}

#[track_caller]
fn check_one(text: &str, expect: &str) {
    let problems: Vec<String> = parse(text)
        .expect_err(text)
        .iter()
        .map(Problem::to_string)
        .collect();
    assert_eq!(problems, [expect]);
}

#[test]
fn what_is_missing_is_told_together_with_what_is_wrong() {
    for (text, expect) in [
        (
            json!({"configuration": {"foo": 1, "event.notification.enabled": true}}),
            vec![
                "foo",
                "name",
                "element.key",
                "providerData.code",
                "event.notification.callback.url",
            ],
        ),
        // What cannot be read is not told to be missing, too.
        (
            json!({"element": {"key": "onedrive"}, "name": "12",
                   "configuration": {"oauth.user.refresh_token": [5], "event.notification.callback.url": "ftp://x",
                                     "event.notification.enabled": true}}),
            vec![
                "element.key",
                "event.notification.callback.url",
                "name",
                "oauth.user.refresh_token",
            ],
        ),
        (
            json!({"element": "x", "providerData": 1, "name": "A"}),
            vec!["element", "providerData"],
        ),
    ] {
        let (document, problems) = read(&text.to_string()).unwrap();
        let told = check_read(&document, problems, Vec::new(), BASE).unwrap_err();
        let mut told: Vec<&str> = told.iter().map(|problem| problem.key.as_str()).collect();
        let mut expect = expect;
        told.sort_unstable();
        expect.sort_unstable();
        assert_eq!(told, expect, "{text}");
    }
}

#[test]
fn the_documented_instance_works_verbatim() {
    let document = parsed(SEED);
    assert_eq!(document.name.as_deref(), Some("OneDriveForDocs"));
    assert_eq!(document.element, Some(ElementKey::OneDriveV2));
    assert_eq!(document.tags, Some(vec!["Docs".to_owned()]));
    assert_eq!(document.code.as_ref().unwrap().expose(), "Code on Return the URL");
    assert_eq!(document.configuration["event.notification.enabled"], json!(true));
    assert_eq!(document.configuration["event.poller.refresh_interval"], json!(15));
    assert_eq!(
        document.notes,
        [
            "`oauth.api.key` still holds the placeholder `<INSERT_ONEDRIVE_CLIENT_ID>`",
            "`oauth.api.secret` still holds the placeholder `<INSERT_ONEDRIVE_CLIENT_SECRET>`",
            "resource `events`: a delta feed does not use `idField`, `datesConfiguration`; accepted and ignored",
        ]
    );
    let new = check_new(&document, BASE).unwrap();
    assert_eq!(new.name, "OneDriveForDocs");
    assert!(new.settings.events_enabled);
    assert_eq!(new.settings.grant, GrantKind::AuthorizationCode);
    assert_eq!(new.settings.signature_key.unwrap().expose(), "123456");
    assert_eq!(
        new.settings.callback_url.unwrap().expose(),
        "https://mycoolapp.com/events"
    );
    assert_eq!(
        new.settings.interval,
        Some(Interval::Every(std::time::Duration::from_secs(900)))
    );
    assert_eq!(new.settings.resources.len(), 1);
    assert_eq!(new.settings.resources[0].name, "events");
    assert_eq!(new.settings.resources[0].url, "/me/drive/root/delta");
    assert_eq!(new.settings.resources[0].baseline, BaselineMode::Snapshot);
}

#[test]
fn a_configuration_of_resources_comes_as_an_object_as_text_or_as_see_below() {
    let object: Value =
        serde_json::from_str::<Value>(SEED).unwrap()["configuration"]["event.poller.configuration"].clone();
    let as_text = parsed(&seed_with(Value::from(object.to_string())));
    assert_eq!(as_text, parsed(SEED));

    let see_below = parsed(&seed_with(json!("<SEE_BELOW>")));
    assert_eq!(see_below.removed, ["event.poller.configuration"]);
    assert!(
        see_below.notes.iter().any(|note| note.contains("<SEE_BELOW>")),
        "{:?}",
        see_below.notes
    );
    let settings = |document| check_new(document, BASE).unwrap().settings;
    assert_eq!(settings(&see_below), settings(&parsed(SEED)));
}

#[test]
fn values_come_as_json_values_or_as_text() {
    let typed = parsed(
        r#"{"configuration": {"event.notification.enabled": true, "event.poller.refresh_interval": 15,
        "event.notification.signature.key": 123456, "event.filter.types": ["CREATED", "DELETED"]}}"#,
    );
    let text = parsed(
        r#"{"configuration": {"event.notification.enabled": "True", "event.poller.refresh_interval": "15",
        "event.notification.signature.key": "123456", "event.filter.types": "created, DELETED,created"}}"#,
    );
    assert_eq!(typed, text);
    assert_eq!(
        typed.configuration["event.filter.types"],
        json!(["CREATED", "DELETED"])
    );
}

#[test]
fn empty_values_are_absent_and_can_remove() {
    let document = parsed(
        r#"{"name": null, "tags": null, "providerData": {"code": ""}, "configuration": {"oauth.scope": "",
        "event.notification.callback.url": null, "event.poller.configuration": "{}", "event.filter.paths": [],
        "event.poller.schedule": "", "event.notification.headers": {"X-A": ""}}}"#,
    );
    assert!(document.configuration.is_empty());
    assert_eq!((document.name, document.tags, document.code), (None, None, None));
    assert_eq!(
        document.removed,
        [
            "oauth.scope",
            "event.notification.callback.url",
            "event.poller.configuration",
            "event.filter.paths",
            "event.poller.schedule",
            "event.notification.headers",
        ]
    );
}

#[test]
fn what_means_nothing_here_is_accepted_and_listed() {
    let document = parsed(
        r#"{"id": 7, "token": "hunter2", "valid": true, "externalAuthentication": "none",
        "element": {"id": 42, "key": "onedrivebusiness", "name": "OneDrive Business"},
        "providerData": {"state": "x"}, "tags": [{"id": 1, "name": "Docs"}],
        "configuration": {"event.objects": "x", "bulk.relations": "{}", "site.address": "x", "pagination.max": "100",
            "filter.response.nulls": true, "oauth.user.token": "hunter2"}}"#,
    );
    assert_eq!(document.element, Some(ElementKey::OneDriveBusiness));
    assert_eq!(document.tags, Some(vec!["Docs".to_owned()]));
    let ignored = "id token valid externalAuthentication element.id element.name providerData.state event.objects \
                   bulk.relations site.address pagination.max filter.response.nulls oauth.user.token";
    assert_eq!(document.ignored.join(" "), ignored);
    assert!(document.configuration.is_empty());
    assert!(!format!("{document:?}").contains("hunter2"));
}

#[test]
fn what_is_not_a_document_is_told_with_its_place() {
    check_one(
        "{\"name\": \"x\"\n \"tags\": []}",
        "not valid JSON: expected `,` or `}` at line 2 column 2",
    );
    check_one("", "not valid JSON: EOF while parsing a value at line 1 column 0");
    check_one(
        "[]",
        "expected an object with `element`, `configuration` and `name`, got a list",
    );
    check_one(
        "{\"configuration\": \"x\"}",
        "`configuration`: expected an object, got text",
    );
    check_one(
        "{\"element\": \"onedrivev2\"}",
        "`element`: expected an object with a `key`, got `onedrivev2`",
    );
    check_one(
        "{\"element\": {\"key\": \"dropbox\"}}",
        "`element.key`: expected one of `onedrivev2`, `onedrivebusiness`, got `dropbox`",
    );
    check_one(
        "{\"oauth.scope\": \"x\"}",
        "`oauth.scope`: belongs in `configuration`",
    );
    check_one("{\"tag\": []}", "`tag`: unknown field; did you mean `tags`?");
    check_one(
        "{\"providerData\": {\"cod\": \"x\"}}",
        "`providerData.cod`: unknown field; did you mean `code`?",
    );
}

#[test]
fn all_problems_of_a_configuration_are_told_together() {
    let told = problems(json!({
        "event.notification.enable": true,
        "colour": "red",
        "event.notification.enabled": "yes",
        "event.vendor.type": "webhooks",
        "event.poller.refresh_interval": 0,
        "event.notification.format": "cloudevent",
        "event.poller.schedule": "0 24 * * *",
        "event.poller.timezone": "../UTC",
        "event.filter.types": ["MOVED"],
        "event.filter.objects": 7,
        "event.filter.paths": "Finance/**",
        "oauth.grant": "password",
        "oauth.tenant": "../x",
        "oauth.scope": "a\"b",
        "oauth.callback.url": "/callback",
        "event.notification.basic.username": "x",
    }));
    assert_eq!(
        told,
        [
            "`event.notification.enable`: unknown key; did you mean `event.notification.enabled`?",
            "`colour`: unknown key",
            "`event.notification.enabled`: expected true or false, got `yes`",
            "`event.vendor.type`: `webhooks` is refused: webhooks would need an address that Microsoft can reach from \
             outside; this agent polls: use `polling`",
            "`event.poller.refresh_interval`: expected minutes from 1, got `0`",
            "`event.notification.format`: expected one of `elements`, `cloudevents`, `cloudevents-batch`, got \
             `cloudevent`",
            "`event.poller.schedule`: hour: expected 0 to 23, got `24`; midnight is hour `0`",
            "`event.poller.timezone`: expected an IANA time zone such as `Europe/Berlin`, got `../UTC`",
            "`event.filter.types`: expected `CREATED`, `UPDATED`, `DELETED`, got `MOVED`",
            "`event.filter.objects`: expected a list of texts, got `7`",
            "`event.filter.paths`: paths begin with `/`, so `Finance/**` matches none; write `/Finance/**` or \
             `**/Finance/**`",
            "`oauth.grant`: expected one of `authorization_code`, `client_credentials`, got `password`",
            "`oauth.tenant`: expected a tenant's id or domain, got `../x`",
            "`oauth.scope`: expected scopes separated by spaces, got `a\"b`",
            "`oauth.callback.url`: expected an absolute URL such as `https://…`",
            "`event.notification.basic.username`: not supported by this version; give an `Authorization` header in \
             `event.notification.headers`",
        ]
    );
}

#[test]
fn a_callback_url_is_http_with_a_host_and_holds_no_credentials() {
    #[track_caller]
    fn check(url: &str, expect: &str) {
        let told = problems(json!({"event.notification.callback.url": url}));
        assert_eq!(told, [format!("`event.notification.callback.url`: {expect}")]);
    }
    check(
        "<INSERT_YOUR_APPS_CALLBACK_URL>",
        "the placeholder `<INSERT_YOUR_APPS_CALLBACK_URL>` is still there; replace it",
    );
    check(
        "ftp://x.example/",
        "expected an http or https URL, got the scheme `ftp`",
    );
    check("x.example/events", "expected an absolute URL such as `https://…`");
    check("https://", "not a URL: empty host");
    check(
        "https://user:hunter2@x.example/",
        "must not hold a user name or password; use `event.notification.headers`",
    );
    check(
        "https://@x.example/",
        "must not hold a user name or password; use `event.notification.headers`",
    );
    check("https://x.example/#a", "must not hold a fragment (`#…`)");
    check(
        "https://x.example\\@evil.example/",
        "holds `\\\\`, which a URL may not; write it percent-encoded",
    );
    check(
        "https://x.example/a b",
        "holds ` `, which a URL may not; write it percent-encoded",
    );
    check(
        "https://x.example/\n",
        "holds a line break or another control character",
    );
    check(
        &format!("https://x.example/{}", "a".repeat(2048)),
        "longer than 2048 characters",
    );
    for fine in [
        "http://127.0.0.1:8080",
        "https://x.example/events?code=a%20b",
        "https://[::1]/",
    ] {
        let document = json!({"configuration": {"event.notification.callback.url": fine}}).to_string();
        assert_eq!(
            parsed(&document).configuration["event.notification.callback.url"],
            fine
        );
    }
}

#[test]
fn no_secret_is_repeated_in_a_problem() {
    let told = problems(json!({
        "oauth.api.key": "hunter2\n",
        "oauth.api.secret": {"hunter2": "hunter2"},
        "oauth.user.refresh_token": [" hunter2"],
        "event.notification.signature.key": "whsec_hunter2!",
        "event.notification.signature.key.previous": true,
        "event.notification.headers": "{\"X-A\": \"hunter2\", \"X-B\": hunter2}",
        "event.notification.callback.url": "https://x.example/?hunter2#hunter2",
    }));
    assert_eq!(told.len(), 7, "{told:?}");
    assert!(!told.join(" ").contains("hunter2"), "{told:?}");
}

#[test]
fn a_name_is_not_an_id_and_carries_no_markup() {
    #[track_caller]
    fn check(name: Value, expect: Result<&str, &str>) {
        let read = parse(&json!({"name": name}).to_string());
        let read = read
            .map(|document| document.name.unwrap())
            .map_err(|problems| problems[0].to_string());
        assert_eq!(
            read,
            expect
                .map(str::to_owned)
                .map_err(|message| format!("`name`: {message}"))
        );
    }
    check(json!("<a href=\"#\">x</a>"), Ok("x"));
    check(json!(" Finance "), Ok("Finance"));
    check(json!(""), Err("must not be empty"));
    check(json!("<b></b>"), Err("must not be empty"));
    check(
        json!("42"),
        Err("must not be all digits, since it would look like an id: `42`"),
    );
    check(json!(42), Err("expected text, got `42`"));
    check(
        json!("a\u{1b}[0m"),
        Err("holds a control character: `a\\u{1b}[0m`"),
    );
    check(
        json!("<INSERT_INSTANCE_NAME>"),
        Err("the placeholder `<INSERT_INSTANCE_NAME>` is still there; replace it"),
    );
    check(json!("x".repeat(201)), Err("longer than 200 characters"));
}

#[test]
fn tags_are_texts_without_markup_each_once() {
    let tags = |tags: Value| parsed(&json!({"tags": tags}).to_string()).tags.unwrap();
    assert_eq!(tags(json!(["a", "<b>a</b>", "<INSERT_TAGS>", "b"])), ["a", "b"]);
    assert_eq!(tags(json!("a, b")), ["a", "b"]);
    assert!(tags(json!([])).is_empty());
    check_one("{\"tags\": [1]}", "`tags`: expected a list of texts, got a list");
}

#[test]
fn assignments_set_what_documents_hold() {
    let pairs = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
        pairs
            .iter()
            .map(|(key, value)| (key.to_string(), value.to_string()))
            .collect()
    };
    let document = set(&pairs(&[
        ("name", "Finance"),
        ("tags", "a,b"),
        ("providerData.code", "c"),
        ("event.notification.enabled", "false"),
        ("event.notification.headers", "{\"X-A\": \"1\"}"),
        ("oauth.scope", ""),
    ]))
    .unwrap();
    assert_eq!(document.name.as_deref(), Some("Finance"));
    assert_eq!(document.tags, Some(vec!["a".to_owned(), "b".to_owned()]));
    assert_eq!(document.code.unwrap().expose(), "c");
    assert_eq!(
        document.configuration["event.notification.headers"],
        json!({"X-A": "1"})
    );
    assert_eq!(document.removed, ["oauth.scope"]);
    assert_eq!(set(&pairs(&[("tags", "")])).unwrap().tags, Some(vec![]));

    let told: Vec<String> = set(&pairs(&[
        ("nmae", "x"),
        ("name", "x"),
        ("name", "y"),
        ("element.key", "x"),
    ]))
    .unwrap_err()
    .iter()
    .map(Problem::to_string)
    .collect();
    assert_eq!(
        told,
        [
            "`nmae`: unknown key; did you mean `name`?",
            "`name`: given twice",
            "`element.key`: an instance keeps its element; create another instance",
        ]
    );
}

#[test]
fn a_hostile_document_costs_a_bounded_report() {
    let keys: serde_json::Map<String, Value> = (0..20_000).map(|n| (format!("key.{n}"), json!(1))).collect();
    let told = problems(Value::Object(keys));
    assert_eq!(told.len(), 101);
    let deep = format!("{{\"configuration\": {}", "[".repeat(100_000));
    assert!(parse(&deep).unwrap_err()[0].message.contains("recursion limit"));
}
