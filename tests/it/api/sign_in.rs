//! A sign-in in a browser that this agent finishes: bound to its browser, to its state and to one use.

use std::io::{Read, Write};
use std::net::TcpStream;

use deltapost::sim::onedrive::Account;
use serde_json::{Value, json};

use crate::support::api::{Answer, Api};
use crate::support::{PATIENCE, Site};

/// What a person does who opens `url` and agrees: returns where the provider sends the browser, without the host.
fn agree(url: &str) -> String {
    let rest = url.strip_prefix("http://").unwrap();
    let (host, path) = rest.split_once('/').unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(
        stream,
        "GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let location = answer
        .lines()
        .find_map(|line| line.strip_prefix("Location: "))
        .unwrap();
    let at = location.find("/oauth2callback").unwrap();
    location[at..].to_owned()
}

/// Begins a sign-in: returns the URL to open and the cookie that the browser gets.
fn begin(api: &Api, body: &Value) -> (String, String) {
    let answer = api
        .send_json("POST", "/elements/onedrivev2/oauth/url", body)
        .status(200);
    let cookie = answer.header("Set-Cookie").unwrap().to_owned();
    for attribute in ["HttpOnly", "SameSite=Lax", "Max-Age=600", "Path=/oauth2callback"] {
        assert!(cookie.contains(attribute), "{cookie}");
    }
    let url = answer.json()["oauthUrl"].as_str().unwrap().to_owned();
    assert!(url.contains("code_challenge_method=S256"), "{url}");
    (url, cookie.split(';').next().unwrap().to_owned())
}

fn come_back(api: &Api, target: &str, cookie: &str) -> Answer {
    api.raw(
        "GET",
        target,
        &[
            &format!("Host: {}", api.address),
            &format!("Cookie: other=1; deltapost_sign_in=other; {cookie}"),
        ],
        "",
    )
}

/// An instance's document for a sign-in that comes back to the agent.
fn document(site: &Site, name: &str) -> Value {
    let mut document = site.document(
        name,
        json!({"oauth.callback.url": "http://localhost:8649/oauth2callback"}),
    );
    document.as_object_mut().unwrap().remove("providerData");
    document
}

#[test]
fn a_sign_in_in_the_browser_creates_the_instance_or_renews_its_grant() {
    let site = Site::new(Account::business());
    let agent = site.spawn_run();
    let api = Api::of(&site, agent.address());
    let (url, cookie) = begin(&api, &json!({"instance": document(&site, "Docs")}));
    assert_eq!(site.cell("SELECT count(*) FROM instance"), "0");
    let back = agree(&url);
    let done = come_back(&api, &back, &cookie).status(200);
    assert!(done.body.contains("signed in: instance 1 `Docs`"), "{done:?}");
    assert!(done.header("Set-Cookie").unwrap().contains("Max-Age=0"));
    assert_eq!(site.cell("SELECT grant_state FROM instance"), "ok");
    // The way back works once.
    come_back(&api, &back, &cookie).status(400);

    site.write_sql("UPDATE instance SET grant_state = 'login_required'");
    let (url, cookie) = begin(&api, &json!({"instanceId": 1}));
    come_back(&api, &agree(&url), &cookie).status(200);
    assert_eq!(site.cell("SELECT grant_state FROM instance"), "ok");
    assert_eq!(site.cell("SELECT count(*) FROM instance"), "1");
}

#[test]
fn a_sign_in_that_began_at_an_address_goes_on_there_from_localhost() {
    let site = Site::new(Account::business());
    let agent = site.spawn_run();
    let api = Api::of(&site, agent.address());
    let (url, cookie) = begin(&api, &json!({"instance": document(&site, "Docs")}));
    let back = agree(&url);
    // A browser that looks ahead uses nothing up.
    let head = api.raw(
        "HEAD",
        &back,
        &["Host: localhost", &format!("Cookie: {cookie}")],
        "",
    );
    assert_eq!(head.status, 405);
    let on = api.raw("GET", &back, &["Host: localhost"], "").status(303);
    assert_eq!(
        on.header("Location"),
        Some(format!("http://{}{back}", api.address).as_str())
    );
    come_back(&api, &back, &cookie).status(200);
    let unknown = back.replace("state=", "state=0");
    api.raw("GET", &unknown, &["Host: localhost"], "").status(400);
}

#[test]
fn a_way_back_that_does_not_belong_to_its_browser_changes_nothing() {
    let site = Site::new(Account::business());
    let agent = site.spawn_run();
    let api = Api::of(&site, agent.address());
    let (url, cookie) = begin(&api, &json!({"instance": document(&site, "Docs")}));
    let (_, other_cookie) = begin(&api, &json!({"instance": document(&site, "Other")}));
    let back = agree(&url);
    // Somebody lures a signed-in person into an instance of theirs, or the other way about.
    for wrong in [
        "",
        &other_cookie,
        "deltapost_sign_in=",
        "deltapost_sign_in=nonsense",
    ] {
        let answer = come_back(&api, &back, wrong).status(400);
        assert!(answer.body.contains("not begun in this browser"), "{answer:?}");
    }
    come_back(&api, &back.replace("state=", "state=0"), &cookie).status(400);
    assert_eq!(site.cell("SELECT count(*) FROM instance"), "0");
    // A code of another sign-in does not go with this one's verifier.
    let (other, _) = begin(&api, &json!({"instance": document(&site, "Other")}));
    let stolen = agree(&other);
    let code = |back: &str| {
        back.split(['?', '&'])
            .find(|part| part.starts_with("code="))
            .unwrap()
            .to_owned()
    };
    let mixed = back.replace(&code(&back), &code(&stolen));
    let answer = come_back(&api, &mixed, &cookie).status(400);
    assert!(answer.body.contains("could not sign in"), "{answer:?}");
    assert_eq!(site.cell("SELECT count(*) FROM instance"), "0");
    let (url, cookie) = begin(&api, &json!({"instance": document(&site, "Docs")}));
    let state = url.split('&').find(|part| part.starts_with("state=")).unwrap();
    let denied = format!("/oauth2callback?error=access_denied&error_description=%3Cb%3Eno%1B&{state}");
    let answer = come_back(&api, &denied, &cookie).status(400);
    assert!(answer.body.contains("&lt;b&gt;no\\u{1b}"), "{answer:?}");
    assert!(
        answer
            .header("Content-Security-Policy")
            .unwrap()
            .starts_with("default-src 'none'")
    );
    assert_eq!(answer.header("X-Content-Type-Options"), Some("nosniff"));
}

#[test]
fn a_sign_in_that_could_not_end_well_does_not_begin() {
    let site = Site::new(Account::business());
    let agent = site.spawn_run();
    let api = Api::of(&site, agent.address());
    let refused = |body: Value, parts: &[&str]| {
        api.send_json("POST", "/elements/onedrivev2/oauth/url", &body)
            .refused(400, parts);
    };
    let mut wrong = document(&site, "Docs");
    wrong["configuration"]["event.poller.schedule"] = json!("never");
    wrong["configuration"]["oauth.callback.url"] = json!("");
    refused(
        json!({"instance": wrong}),
        &["`event.poller.schedule`", "`oauth.callback.url`"],
    );
    refused(json!({}), &["`apiKey`", "`callbackUrl`"]);
    refused(json!({"instance": {}, "instanceId": 1}), &["not both"]);
    site.create_instance("Business", json!({}));
    let body = json!({"instanceId": 1});
    api.send_json("POST", "/elements/onedrivebusiness/oauth/url", &body)
        .refused(400, &["`instanceId`", "`onedrivebusiness`", "`onedrivev2`"]);
    api.send_json(
        "POST",
        "/elements/onedrivev2/oauth/url",
        &json!({"instanceId": 7}),
    )
    .refused(404, &[]);
    api.get("/elements/onedrivev2/oauth/url")
        .refused(400, &["`apiKey`", "`callbackUrl`"]);
    api.get("/elements/dropbox/oauth/url").refused(404, &[]);
}
