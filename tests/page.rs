//! The page, from outside and without a browser: what it lets in, what it shows, and that nothing foreign becomes markup. What
//! only a browser can tell is tried in `tests/real/page`.

#![expect(
    clippy::unwrap_used,
    reason = "a fixture that fails should fail the test at once"
)]

#[path = "page/browser.rs"]
mod browser;
#[path = "support/mod.rs"]
mod support;

use deltapost::sim::onedrive::{Account, DeviceAnswer};
use serde_json::{Value, json};

use browser::Browser;
use support::api::{Answer, Api};
use support::process::Agent;
use support::{Site, eventually};

/// Every page that a signed-in person can open, with an instance of id 1 and a notification of id 1.
const PAGES: &[&str] = &[
    "/",
    "/page/instances/new",
    "/page/instances/1",
    "/page/outbox",
    "/page/outbox?state=delivered",
    "/page/outbox/1",
];

/// An agent with one instance, one delivered notification about `file`, and somebody who has signed in to its page.
fn opened(file: &str) -> (Site, Agent, Browser) {
    let site = Site::new(Account::business());
    site.create_instance("Finance", json!({}));
    site.poll("Finance", &[]).code(0);
    site.drive().create_file(&site.drive().root_id(), file, 10);
    site.once().code(0);
    assert_eq!(site.cell("SELECT state FROM outbox WHERE id = 1"), "delivered");
    let agent = site.spawn_run();
    let browser = Browser::signed_in(Api::of(&site, agent.address()));
    (site, agent, browser)
}

#[test]
fn a_stranger_is_sent_to_sign_in_and_nothing_is_done() {
    let (site, _agent, browser) = opened("a.txt");
    let stranger = Browser::new(browser.api.clone());
    for page in PAGES {
        let answer = stranger.get(page).status(303);
        assert_eq!(
            (answer.header("Location"), answer.body.as_str()),
            (Some("/signin"), ""),
            "{page}"
        );
    }
    for (path, action) in [
        ("/page/instances/1", "pause"),
        ("/page/outbox/1", "retry"),
        ("/signout", ""),
    ] {
        stranger.post(path, &[("do", action), ("token", "")]).status(303);
    }
    assert_eq!(site.cell("SELECT enabled FROM instance"), "1");
    let refused = stranger.post("/signin", &[("api-token", "wrong")]).status(401);
    assert!(refused.header("Set-Cookie").is_none());
    assert!(!refused.body.contains("wrong<"), "{}", refused.body);
}

#[test]
fn a_session_is_a_random_id_in_a_cookie_that_scripts_and_other_sites_do_not_get() {
    let (_site, _agent, browser) = opened("a.txt");
    let token = browser.api.token.clone();
    let answer = browser.post("/signin", &[("api-token", &token)]).status(303);
    let cookie = answer.header("Set-Cookie").unwrap();
    for attribute in ["HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=43200"] {
        assert!(cookie.contains(attribute), "{cookie}");
    }
    assert!(!cookie.contains(&token), "{cookie}");
    let out = browser.submit("/", &[("nothing", "")]).status(405);
    assert!(out.head.contains("Allow: GET"), "{}", out.head);
    let page = browser.get("/").status(200).body;
    let form = page
        .split("name=\"token\" value=\"")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap();
    browser.post("/signout", &[("token", form)]).status(303);
    browser.get("/").status(303);
}

#[test]
fn a_form_that_is_not_the_sessions_own_does_nothing() {
    let (site, _agent, browser) = opened("a.txt");
    let other = Browser::signed_in(browser.api.clone());
    let page = other.get("/").status(200).body;
    let foreign = page
        .split("name=\"token\" value=\"")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap();
    for token in ["", "x", foreign] {
        browser
            .post("/page/instances/1", &[("do", "pause"), ("token", token)])
            .status(403);
    }
    assert_eq!(site.cell("SELECT enabled FROM instance"), "1");
    let host = format!("Host: {}", browser.api.address);
    let cookie = format!("Cookie: {}", browser.cookie);
    let cross = ["Origin: http://evil.example", "Sec-Fetch-Site: cross-site"];
    for header in cross {
        browser
            .api
            .raw("POST", "/page/instances/1", &[&host, &cookie, header], "do=pause")
            .status(403);
    }
}

#[test]
fn every_page_binds_the_browser_and_holds_no_script_or_style_of_its_own() {
    let (_site, _agent, browser) = opened("a.txt");
    let stranger = Browser::new(browser.api.clone());
    let mut largest = 0;
    let mut look = |answer: Answer| {
        let policy = answer.header("Content-Security-Policy").unwrap().to_owned();
        assert!(policy.starts_with("default-src 'none'") && policy.contains("frame-ancestors 'none'"));
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(answer.header("Cache-Control"), Some("no-store"));
        assert_eq!(answer.header("X-Content-Type-Options"), Some("nosniff"));
        for inline in [
            " style=",
            "<style",
            " onclick",
            " onload",
            "javascript:",
            "<script>",
            " src=\"http",
            " href=\"http",
        ] {
            assert!(!answer.body.contains(inline), "{inline} in {}", answer.body);
        }
        largest = largest.max(answer.body.len());
    };
    look(stranger.get("/signin").status(200));
    PAGES.iter().for_each(|page| look(browser.get(page).status(200)));
    look(browser.get("/page/instances/99").status(404));
    let assets = ["/page/style.css", "/page/page.js"].map(|path| browser.get(path).status(200).body.len());
    let all = largest + assets.iter().sum::<usize>();
    assert!(all <= 60 * 1024, "{all} bytes");
}

#[test]
fn a_name_from_the_provider_stays_text() {
    let name = "<img src=x onerror=alert(1)>\u{202e}\"'&.txt";
    let (_site, _agent, browser) = opened(name);
    for page in ["/page/instances/1", "/page/outbox/1"] {
        let body = browser.get(page).status(200).body;
        assert!(
            body.contains("&lt;img src=x onerror=alert(1)&gt;\\u{202e}"),
            "{page}: {body}"
        );
        assert!(!body.contains("<img") && !body.contains('\u{202e}'), "{page}");
    }
}

#[test]
fn an_instance_is_created_polled_paused_changed_and_deleted_on_the_page() {
    let site = Site::new(Account::business());
    let agent = site.spawn_run();
    let browser = Browser::signed_in(Api::of(&site, agent.address()));
    assert!(
        browser
            .get("/")
            .status(200)
            .body
            .contains("There are no instances yet")
    );
    let given = site.document("Finance", json!({}));
    let configuration = &given["configuration"];
    let words = |value: &Value| value.as_str().unwrap().to_owned();
    let code = words(&given["providerData"]["code"]);
    let (key, secret) = (
        words(&configuration["oauth.api.key"]),
        words(&configuration["oauth.api.secret"]),
    );
    let redirect = words(&configuration["oauth.callback.url"]);
    let fields = [
        ("name", "Finance"),
        ("tags", "Docs, Berlin"),
        ("element", "onedrivev2"),
        ("oauth.api.key", &key),
        ("oauth.api.secret", &secret),
        ("oauth.callback.url", &redirect),
        ("connect", "code"),
        ("code", &code),
        ("event.notification.enabled", "true"),
        ("event.notification.callback.url", &site.receiver.url()),
        ("event.poller.schedule", "0 3 * * *"),
        ("event.poller.timezone", "Europe/Berlin"),
        ("do", "create"),
    ];
    let answer = browser.submit("/page/instances/new", &fields).status(303);
    assert_eq!(answer.header("Location"), Some("/page/instances/1"));
    assert_eq!(site.cell("SELECT tags FROM instance"), "[\"Docs\",\"Berlin\"]");
    let polled = || {
        site.cell("SELECT count(*) FROM poll WHERE outcome = 'done'")
            .parse::<u32>()
            .unwrap()
    };
    let poll = || {
        let before = polled();
        browser.submit("/page/instances/1", &[("do", "poll")]).status(303);
        eventually("the poll has ended", || polled() > before);
    };
    poll();
    site.drive()
        .create_file(&site.drive().root_id(), "report.txt", 10);
    poll();
    eventually("the event has been delivered", || {
        site.cell("SELECT count(*) FROM outbox WHERE state = 'delivered'") == "1"
    });
    let page = browser.get("/page/instances/1").status(200).body;
    assert!(page.contains("/report.txt") && page.contains("CREATED"), "{page}");
    assert!(!page.contains(&secret));

    browser
        .submit("/page/instances/1", &[("do", "pause")])
        .status(303);
    assert!(browser.get("/").status(200).body.contains("disabled"));
    browser
        .submit("/page/instances/1", &[("do", "resume")])
        .status(303);
    let wrong = json!({"name": "Finance", "configuration": {"event.notification.callback.url": "nonsense"}});
    let refused = browser
        .submit(
            "/page/instances/1",
            &[("do", "save"), ("document", &wrong.to_string())],
        )
        .status(400);
    assert!(refused.body.contains("event.notification.callback.url") && refused.body.contains("nonsense"));
    browser
        .submit("/page/instances/1", &[("do", "delete"), ("name", "finance")])
        .status(400);
    assert_eq!(site.cell("SELECT count(*) FROM instance"), "1");
    browser
        .submit("/page/instances/1", &[("do", "delete"), ("name", "Finance")])
        .status(303);
    assert_eq!(site.cell("SELECT count(*) FROM instance"), "0");
}

#[test]
fn a_device_code_is_shown_until_the_person_has_entered_it() {
    let site = Site::new(Account::business());
    let agent = site.spawn_run();
    let browser = Browser::signed_in(Api::of(&site, agent.address()));
    let fields = [
        ("name", "Finance"),
        ("oauth.api.key", "app-id"),
        ("oauth.api.secret", "app-secret"),
        ("event.notification.enabled", "true"),
        ("event.notification.callback.url", &site.receiver.url()),
        ("connect", "device"),
        ("do", "create"),
    ];
    let answer = browser.submit("/page/instances/new", &fields).status(303);
    let path = answer.header("Location").unwrap().to_owned();
    assert_eq!(path, "/page/instances/1/device");
    let shown = || browser.get(&path).status(200);
    eventually("the code is shown", || shown().body.contains("devicelogin"));
    assert_eq!(shown().header("Refresh"), Some("3"));
    browser.get("/page/instances/2/device").status(404);
    site.cloud.answer_device_codes(DeviceAnswer::Approve);
    eventually("it is done", || shown().body.contains("signed in"));
    assert_eq!(shown().header("Refresh"), None);
    assert_eq!(site.cell("SELECT grant_state FROM instance"), "ok");
}

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
fn the_next_poll_stands_on_the_clocks_of_the_schedule_that_holds_now() {
    let (site, _agent, browser) = opened("a.txt");
    let page = || browser.get("/page/instances/1").status(200).body;
    assert!(page().contains("every 15 min (instance)"), "{}", page());
    site.configure("[[poll]]\ninstance = \"*\"\ncron = \"0 3 * * *\"\ntimezone = \"Asia/Tokyo\"\n");
    eventually("the new schedule is shown", || {
        let page = page();
        // Its share of the jitter comes on top.
        page.contains("0 3 * * * in Asia/Tokyo ([[poll]]")
            && page.contains(" 03:00:")
            && page.contains("+09:00 Asia/Tokyo")
    });
    assert!(browser.get("/").status(200).body.contains("Asia/Tokyo"));
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

#[test]
fn the_outbox_is_worked_through_on_the_page() {
    let (site, _agent, browser) = opened("a.txt");
    let count = || site.cell("SELECT count(*) FROM outbox");
    browser
        .submit("/page/outbox", &[("do", "replay"), ("since", "")])
        .status(400);
    browser
        .submit("/page/outbox", &[("do", "replay"), ("since", "yesterday")])
        .status(400);
    // As a browser's field for times sends it.
    browser
        .submit("/page/outbox", &[("do", "replay"), ("since", "2020-01-01T00:00")])
        .status(303);
    assert_eq!(count(), "2");
    eventually("it has gone out again", || {
        site.cell("SELECT count(*) FROM outbox WHERE state = 'delivered'") == "2"
    });
    site.receiver
        .answer_always(deltapost::sim::receiver::Answer::Status(500));
    site.drive().create_file(&site.drive().root_id(), "b.txt", 10);
    site.poll("Finance", &[]).code(0);
    let waiting =
        || site.cell("SELECT ifnull(max(id), 0) FROM outbox WHERE state <> 'delivered' AND attempts > 0");
    eventually("an attempt has failed", || waiting() != "0");
    let path = format!("/page/outbox/{}", waiting());
    let page = browser.get(&path).status(200).body;
    assert!(page.contains("500") && page.contains("/b.txt"), "{page}");
    assert!(
        browser
            .get("/page/outbox")
            .status(200)
            .body
            .contains("backing off")
    );
    browser.submit(&path, &[("do", "discard")]).status(400);
    browser
        .submit(&path, &[("do", "discard"), ("sure", "1")])
        .status(303);
    assert_eq!(waiting(), "0");
    browser
        .submit("/page/outbox", &[("do", "resume"), ("endpoint", "1")])
        .status(303);
    assert_eq!(site.cell("SELECT state FROM endpoint"), "active");
}
