//! The page, from outside and without a browser: what it lets in, what it shows, and that nothing foreign becomes markup. What
//! only a browser can tell is tried in `tests/real/page`.

mod browser;
mod form;

use deltapost::sim::onedrive::{Account, DeviceAnswer};
use serde_json::{Value, json};

use crate::support::api::{Answer, Api};
use crate::support::process::Agent;
use crate::support::{Site, eventually};
use browser::Browser;

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
    let padding = "a".repeat(2_000);
    browser.post("/signin", &[("api-token", &padding)]).status(413);
    let answer = browser.post("/signin", &[("api-token", &token)]).status(303);
    let cookie = answer.header("Set-Cookie").unwrap();
    for attribute in ["HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=43200"] {
        assert!(cookie.contains(attribute), "{cookie}");
    }
    assert!(!cookie.contains(&token), "{cookie}");
    let out = browser.submit("/", &[("nothing", "")]).status(405);
    assert!(out.head.contains("Allow: GET"), "{}", out.head);
    let form = browser.form_token("/");
    browser.post("/signout", &[("token", &form)]).status(303);
    browser.get("/").status(303);
}

#[test]
fn a_form_that_is_not_the_sessions_own_does_nothing() {
    let (site, _agent, browser) = opened("a.txt");
    let other = Browser::signed_in(browser.api.clone());
    let foreign = other.form_token("/");
    for token in ["", "x", &foreign] {
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
    let (site, _agent, browser) = opened("a.txt");
    let stranger = Browser::new(browser.api.clone());
    let mut largest = 0;
    // More events and notifications than a page shows of each, under names of a usual length.
    for at in 0..600 {
        let name = format!("Minutes of the meeting, part {at}.docx");
        site.drive().create_file(&site.drive().root_id(), &name, 10);
    }
    site.poll("Finance", &[]).code(0);
    eventually("all is delivered", || {
        site.cell("SELECT count(*) FROM outbox WHERE state <> 'delivered'") == "0"
    });
    assert!(
        site.cell("SELECT count(*) FROM outbox")
            .parse::<u32>()
            .is_ok_and(|count| count > 50)
    );
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
    let outbox = || browser.get("/page/outbox?state=dead").status(200).body;
    assert!(!outbox().contains("Retry all"));
    site.write_sql("UPDATE outbox SET state = 'dead', next_attempt_at = NULL WHERE state = 'pending'");
    assert!(outbox().contains("Retry all") && outbox().contains(&path));
    browser
        .submit("/page/outbox", &[("do", "retry"), ("endpoint", "1")])
        .status(303);
    assert_eq!(site.cell("SELECT count(*) FROM outbox WHERE state = 'dead'"), "0");
    browser.submit("/page/outbox", &[("do", "retry")]).status(400);
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
