//! The form for a new instance: mistakes at their fields, the JSON beside it, and the runs of its schedule.

use deltapost::sim::onedrive::Account;
use serde_json::{Value, json};

use super::{Browser, opened};
use crate::support::Site;
use crate::support::api::Api;

#[test]
fn every_mistake_of_a_form_stands_at_its_field() {
    let site = Site::new(Account::business());
    let agent = site.spawn_run();
    let browser = Browser::signed_in(Api::of(&site, agent.address()));
    let fields = [
        ("name", "123"),
        ("element", "onedrivev2"),
        ("oauth.api.key", "app"),
        ("oauth.api.secret", "s3cret"),
        ("connect", "redirect"),
        ("oauth.callback.url", "not a url"),
        ("event.notification.enabled", "true"),
        ("event.notification.callback.url", "ftp://x"),
        ("event.poller.schedule", "61 * * * *"),
        ("event.poller.timezone", "Europe/Berlim"),
        ("do", "create"),
    ];
    let page = browser.submit("/page/instances/new", &fields).status(400).body;
    for name in [
        "name",
        "oauth.callback.url",
        "event.notification.callback.url",
        "event.poller.schedule",
        "event.poller.timezone",
    ] {
        let field = page.split(&format!("name=\"{name}\"")).nth(1).unwrap();
        let field = field.split("</label>").next().unwrap();
        assert!(
            field.contains("aria-invalid") && field.contains("class=\"err\""),
            "{name}: {field}"
        );
    }
    assert!(
        page.contains("value=\"61 * * * *\"") && page.contains("Europe/Berlin"),
        "{page}"
    );
    assert_eq!(site.cell("SELECT count(*) FROM instance"), "0");
}

#[test]
fn form_and_json_are_made_of_each_other() {
    let site = Site::new(Account::business());
    let agent = site.spawn_run();
    let browser = Browser::signed_in(Api::of(&site, agent.address()));
    let document = json!({
        "name": "Mail", "element": {"key": "onedrivebusiness"}, "tags": ["a", "b"],
        "configuration": {"event.notification.enabled": true, "event.poller.schedule": "0 3 * * Mon",
                          "event.poller.configuration": {"mail": {"url": "/me/messages/delta", "baseline": "emit"}}},
    });
    let taken = browser
        .submit(
            "/page/instances/new",
            &[("do", "take-json"), ("document", &document.to_string())],
        )
        .status(200)
        .body;
    for part in [
        "value=\"Mail\"",
        "value=\"a, b\"",
        "value=\"0 3 * * Mon\"",
        "value=\"/me/messages/delta\"",
    ] {
        assert!(taken.contains(part), "{part}");
    }
    let fields = [
        ("name", "Mail"),
        ("element", "onedrivebusiness"),
        ("tags", "a, b"),
        ("event.notification.enabled", "true"),
        ("event.poller.schedule", "0 3 * * Mon"),
        ("resource.0", "mail"),
        ("url.0", "/me/messages/delta"),
        ("baseline.0", "emit"),
        ("do", "show-json"),
    ];
    let page = browser.submit("/page/instances/new", &fields).status(200).body;
    let area = page.split("<textarea").nth(1).unwrap().split('>').nth(1).unwrap();
    let json = area.split("</textarea").next().unwrap().replace("&quot;", "\"");
    let mut shown: Value = serde_json::from_str(&json).unwrap_or_else(|error| panic!("{error}: {json}"));
    assert_eq!(shown["configuration"]["event.notification.enabled"], "true");
    shown["configuration"]["event.notification.enabled"] = true.into();
    assert_eq!(shown, document);
    browser
        .submit("/page/instances/new", &[("do", "take-json"), ("document", "{")])
        .status(400);
}

#[test]
fn what_only_the_json_says_is_created_with_the_form() {
    let site = Site::new(Account::business());
    let agent = site.spawn_run();
    let browser = Browser::signed_in(Api::of(&site, agent.address()));
    let mut document = site.document(
        "Finance",
        json!({"event.notification.format": "cloudevents", "event.poller.configuration": {
            "a": {"url": "/hubs/documents/events", "baseline": "emit"},
            "b": {"url": "/me/drive/root/delta", "schedule": "0 4 * * *"}}}),
    );
    let shown = |page: &str, name: &str| {
        let at = page.split(&format!("name=\"{name}\"")).nth(1).unwrap();
        let (open, close) = match name {
            "document" => (">", "</textarea"),
            _ => ("value=\"", "\""),
        };
        let text = at.split_once(open).unwrap().1.split(close).next().unwrap();
        text.replace("&quot;", "\"")
    };
    let taken = browser
        .submit(
            "/page/instances/new",
            &[("do", "take-json"), ("document", &document.to_string())],
        )
        .status(200)
        .body;
    let secret = document["configuration"]["oauth.api.secret"].as_str().unwrap();
    assert!(!shown(&taken, "document").contains(secret));
    assert_eq!(shown(&taken, "document"), shown(&taken, "shown"));
    let fields = [
        "name",
        "tags",
        "oauth.api.key",
        "oauth.api.secret",
        "oauth.callback.url",
        "code",
        "event.notification.callback.url",
        "event.notification.signature.key",
        "resource.0",
        "url.0",
        "resource.1",
        "url.1",
        "document",
        "shown",
    ]
    .map(|name| (name, shown(&taken, name)));
    let mut fields: Vec<(&str, &str)> = fields
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    fields.extend([
        ("element", "onedrivebusiness"),
        ("connect", "code"),
        ("event.notification.enabled", "true"),
        ("baseline.0", "latest"),
        ("baseline.1", "snapshot"),
        ("do", "create"),
    ]);
    let created = browser.submit("/page/instances/new", &fields);
    assert_eq!(created.status, 303, "{created:#?}");
    let settings = |path: &str| {
        site.cell(&format!(
            "SELECT json_extract(configuration, '$.\"event.poller.configuration\".{path}') FROM instance"
        ))
    };
    assert_eq!(settings("a.baseline"), "latest");
    assert_eq!(settings("b.schedule"), "0 4 * * *");
    assert_eq!(
        site.cell("SELECT json_extract(configuration, '$.\"event.notification.format\"') FROM instance"),
        "cloudevents"
    );
    // The script asks for one as the other has it.
    document["name"] = "Other".into();
    let token = shown(&taken, "token");
    let ask = |what: &str, document: &str| {
        let fields = [
            ("token", token.as_str()),
            ("do", what),
            ("name", "Mine"),
            ("document", document),
        ];
        browser.post("/page/instances/draft", &fields).status(200).json()
    };
    assert_eq!(ask("take-json", &document.to_string())["fields"]["name"], "Other");
    assert!(ask("take-json", "{").get("error").is_some());
    assert!(
        ask("show-json", "")["document"]
            .as_str()
            .unwrap()
            .contains("\"name\": \"Mine\"")
    );
    browser
        .post("/page/instances/draft", &[("do", "show-json")])
        .status(403);
}

#[test]
fn runs_are_shown_with_what_daylight_saving_does() {
    let (_site, _agent, browser) = opened("a.txt");
    let ask = |query: &str| browser.get(&format!("/page/schedule?{query}")).status(200).json();
    let runs = ask("cron=0+3+*+*+*&timezone=Europe%2FBerlin");
    assert_eq!(runs["runs"].as_array().unwrap().len(), 5);
    assert!(runs["runs"][0]["local"].as_str().unwrap().contains("03:00:00"));
    assert!(ask("cron=61+*+*+*+*&timezone=UTC")["error"].is_string());
    assert!(ask("cron=0+3+*+*+*&timezone=Nowhere")["error"].is_string());
}
