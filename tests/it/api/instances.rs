//! Instances through the API: what is wrong is told at once, what is masked stays, and a new code renews the grant.

use deltapost::sim::onedrive::Account;
use serde_json::{Value, json};

use crate::support::api::Api;
use crate::support::process::Agent;
use crate::support::{Site, eventually};

/// A running agent with the instance 1, `Docs`.
fn site() -> (Site, Agent, Api) {
    let site = Site::new(Account::business());
    site.create_instance("Docs", json!({}));
    let agent = site.spawn_run();
    let api = Api::of(&site, agent.address());
    (site, agent, api)
}

#[test]
fn everything_that_is_wrong_with_a_body_is_told_at_once() {
    let (site, _agent, api) = site();
    let mut document = site.document(
        "Other",
        json!({"event.poller.refresh_interval": "often", "event.notification.enable": true}),
    );
    document["name"] = json!("12");
    document["element"] = json!({"key": "dropbox"});
    api.send_json("POST", "/instances", &document).refused(
        400,
        &[
            "`element.key`",
            "`name`",
            "`event.poller.refresh_interval`",
            "`event.notification.enable`",
        ],
    );
    api.send("POST", "/instances", "{").refused(400, &["line 1"]);
    api.send("POST", "/instances", "").refused(400, &[]);
    api.send("PATCH", "/instances/1", "[]").refused(400, &["a list"]);
    let taken = site.document("Docs", json!({}));
    api.send_json("POST", "/instances", &taken)
        .refused(409, &["`Docs`"]);
    let mut spent = site.document("Other", json!({}));
    spent["providerData"]["code"] = json!("never issued");
    api.send_json("POST", "/instances", &spent)
        .refused(400, &["could not sign in"]);
    for unknown in [
        "/instances/2",
        "/instances/x",
        "/instances/Docs",
        "/instances/2/configuration",
    ] {
        api.get(unknown).refused(404, &[]);
    }
    assert_eq!(site.cell("SELECT count(*) FROM instance"), "1");
}

#[test]
fn an_element_in_the_path_is_the_instances() {
    let (site, _agent, api) = site();
    let mut document = site.document("Business", json!({}));
    document.as_object_mut().unwrap().remove("element");
    let path = "/elements/onedrivebusiness/instances";
    let created = api.send_json("POST", path, &document).status(200).json();
    assert_eq!(created["element"]["key"], "onedrivebusiness");
    document["element"] = json!({"key": "onedrivev2"});
    api.send_json("POST", path, &document)
        .refused(400, &["`onedrivebusiness`", "`onedrivev2`"]);
    api.send("POST", path, "{\"name\": \"a\", \"name\": \"b\"}")
        .refused(400, &["name"]);
}

#[test]
fn what_was_returned_changes_nothing_when_it_is_put_back() {
    let (site, _agent, api) = site();
    let sealed = "SELECT hex(sealed) FROM secret ORDER BY key";
    let shown = api.get("/instances/1").status(200).json();
    let put = api.send_json("PUT", "/instances/1", &shown).status(200).json();
    assert_eq!(put, shown);
    let before = site.sql(sealed);
    api.send_json("PATCH", "/instances/1", &shown).status(200);
    assert_eq!(site.sql(sealed), before, "nothing was sealed anew");
    let mut fewer = shown.clone();
    fewer["configuration"]
        .as_object_mut()
        .unwrap()
        .remove("event.poller.refresh_interval");
    fewer["tags"] = json!([]);
    let put = api.send_json("PUT", "/instances/1", &fewer).status(200).json();
    assert_eq!(put["configuration"].get("event.poller.refresh_interval"), None);
    assert_eq!(put["tags"], json!([]));
    assert_eq!(put["token"], shown["token"]);
    let merged = json!({"configuration": {"event.poller.refresh_interval": 5}});
    let merged = api.send_json("PATCH", "/instances/1", &merged).status(200).json();
    assert_eq!(merged["configuration"]["event.poller.refresh_interval"], 5);
    assert_eq!(merged["name"], "Docs");
}

#[test]
fn a_new_code_renews_the_grant_and_the_cursor_stays() {
    let (site, _agent, api) = site();
    api.send("POST", "/instances/1/poll", "").status(200);
    let drive = site.drive();
    drive.create_file(&drive.root_id(), "report.xlsx", 10);
    let grants = "SELECT hex(sealed) FROM secret WHERE key LIKE 'grant.refresh%'";
    let before = site.cell(grants);
    let patch = json!({"providerData": {"code": site.cloud.issue_code()}});
    api.send_json("PATCH", "/instances/1", &patch).status(200);
    assert_ne!(site.cell(grants), before);
    let polled = api.send("POST", "/instances/1/poll", "").status(200).json();
    assert_eq!(site.cell("SELECT sum(events) FROM poll"), "1", "{polled}");
    // It is spent, and what is there stays.
    let renewed = site.cell(grants);
    api.send_json("PATCH", "/instances/1", &patch)
        .refused(400, &["could not sign in"]);
    assert_eq!(site.cell(grants), renewed);
}

#[test]
fn a_configuration_is_read_and_changed_entry_by_entry() {
    let (_site, _agent, api) = site();
    let path = "/instances/1/configuration";
    let entries = api.get(path).status(200).json();
    let entry = |entries: &Value, key: &str| {
        let found = entries
            .as_array()
            .unwrap()
            .iter()
            .find(|entry| entry["key"] == key);
        found.unwrap_or_else(|| panic!("{key} in {entries}")).clone()
    };
    for one in entries.as_array().unwrap() {
        assert!(one["id"].is_i64() && one["name"].is_string(), "{one}");
        assert!(
            one["propertyValue"].is_string() || one["propertyValue"].is_null(),
            "{one}"
        );
    }
    assert_eq!(entry(&entries, "oauth.api.secret")["propertyValue"], "********");
    assert_eq!(
        entry(&entries, "event.poller.schedule")["propertyValue"],
        Value::Null
    );
    let interval = entry(&entries, "event.poller.refresh_interval");
    assert_eq!(interval["propertyValue"], "15");
    let one = format!("{path}/{}", interval["id"]);
    assert_eq!(api.get(&one).status(200).json(), interval);
    let changed = api
        .send_json("PATCH", &one, &json!({"propertyValue": "30"}))
        .status(200)
        .json();
    assert_eq!(changed["propertyValue"], "30");
    let list = json!([{"key": "event.poller.refresh_interval", "propertyValue": "5"}, {"key": "oauth.scope", "propertyValue": "Files.Read"}]);
    let changed = api.send_json("PATCH", path, &list).status(200).json();
    assert_eq!(
        entry(&changed, "event.poller.refresh_interval")["propertyValue"],
        "5"
    );
    assert_eq!(entry(&changed, "oauth.scope")["propertyValue"], "Files.Read");
    let object = json!({"oauth.scope": null, "event.notification.signature.key": "********"});
    let changed = api.send_json("PATCH", path, &object).status(200).json();
    assert_eq!(entry(&changed, "oauth.scope")["propertyValue"], Value::Null);
    api.send_json("PATCH", &one, &json!({"propertyValue": "soon"}))
        .refused(400, &["`event.poller.refresh_interval`"]);
    api.send_json(
        "PATCH",
        &one,
        &json!({"key": "oauth.scope", "propertyValue": "x"}),
    )
    .refused(400, &["`key`"]);
    api.send_json("PATCH", &one, &json!({}))
        .refused(400, &["`propertyValue`"]);
    let twice = r#"{"oauth.scope": "a", "oauth.scope": "b"}"#;
    api.send("PATCH", path, twice)
        .refused(400, &["`oauth.scope`", "twice"]);
    let entry_of = |value| json!({"key": "oauth.scope", "propertyValue": value});
    api.send_json("PATCH", path, &json!([entry_of("a"), entry_of("b")]))
        .refused(400, &["`oauth.scope`", "twice"]);
    let value = r#"{"propertyValue": "5", "propertyValue": "6"}"#;
    api.send("PATCH", &one, value)
        .refused(400, &["`propertyValue`", "twice"]);
    let document = r#"{"name": "a", "name": "b"}"#;
    for path in ["/instances", "/elements/onedrivev2/instances"] {
        api.send("POST", path, document)
            .refused(400, &["`name`", "twice"]);
    }
    api.send_json("PATCH", path, &json!(["x"]))
        .refused(400, &["`propertyValue`"]);
    api.get(&format!("{path}/1")).refused(404, &[]);
    let token = api.get("/instances/1").json()["token"]
        .as_str()
        .unwrap()
        .to_owned();
    let own = api.as_instance(&token);
    assert_eq!(own.get("/instances/configuration").status(200).json(), changed);
    assert_eq!(
        own.get(&format!("/instances/configuration/{}", interval["id"]))
            .status(200)
            .json()["propertyValue"],
        "5"
    );
}

#[test]
fn a_token_is_sealed_at_rest_and_shown_by_the_api_only() {
    let (site, agent, api) = site();
    let token = api.get("/instances/1").status(200).json()["token"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(
        api.get("/instances/1").json()["token"],
        token.as_str(),
        "it stays the same"
    );
    let shown = site.cli(&["--json", "instance", "show", "1"]).code(0);
    assert!(!shown.stdout.contains(&token), "{}", shown.stdout);
    assert_eq!(agent.stop(), Some(0));
    for file in ["deltapost.db", "deltapost.db-wal"] {
        let bytes = std::fs::read(site.data_dir().join(file)).unwrap_or_default();
        for secret in [token.as_str(), "app-secret"] {
            assert!(
                !bytes
                    .windows(secret.len())
                    .any(|window| window == secret.as_bytes()),
                "{file}"
            );
        }
    }
}

#[test]
fn without_the_key_instances_are_still_shown_and_nobody_enters_by_their_tokens() {
    let (site, agent, api) = site();
    let token = api.get("/instances/1").status(200).json()["token"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(agent.stop(), Some(0));
    std::fs::remove_file(site.data_dir().join("secret.key")).unwrap();
    let agent = site.spawn_run();
    let api = Api::of(&site, agent.address());
    let shown = api.get("/instances/1").status(200).json();
    assert_eq!(shown["token"], Value::Null);
    eventually("the agent has seen that it cannot sign in", || {
        api.get("/instances/1").status(200).json()["valid"] == false
    });
    api.as_instance(&token).get("/instances").refused(500, &["key"]);
}

#[test]
fn an_api_token_can_be_replaced_while_the_agent_runs() {
    let (site, _agent, api) = site();
    api.get("/instances").status(200);
    let text = std::fs::read_to_string(site.config_file()).unwrap();
    let known = text.replace("127.0.0.1:0", &api.address.to_string());
    std::fs::write(site.config_file(), known).unwrap();
    let sign_in = || {
        let host = format!("Host: {}", api.address);
        let form = format!("api-token={}", api.token);
        let signed_in = api.raw("POST", "/signin", &[&host], &form).status(303);
        let cookie = signed_in.header("Set-Cookie").unwrap().split(';').next().unwrap();
        [host, format!("Cookie: deltapost_session=other; {cookie}")]
    };
    let (one, _other) = (sign_in(), sign_in());
    let page = || api.raw("GET", "/", &[&one[0], &one[1]], "");
    page().status(200);
    let said = site.cli(&["token", "rotate"]).code(0);
    assert!(
        said.stdout.contains("2 sessions of the page have ended"),
        "{said:?}"
    );
    page().status(303);
    let new = Api::of(&site, api.address);
    assert_ne!(new.token, api.token);
    assert!(
        !said.stdout.contains(&new.token) && !said.stderr.contains(&new.token),
        "{said:?}"
    );
    api.get("/instances").refused(401, &[]);
    new.get("/instances").status(200);
    let mode = std::fs::metadata(site.data_dir().join("api.token"))
        .unwrap()
        .permissions();
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&mode) & 0o777, 0o600);
}

#[test]
fn without_an_api_token_nobody_learns_where_it_should_be() {
    let (site, agent, api) = site();
    std::fs::remove_file(site.data_dir().join("api.token")).unwrap();
    let refused = api.get("/instances").refused(500, &["cannot be read"]);
    let dir = site.data_dir().display().to_string();
    assert!(!refused.body.contains(&dir), "{refused:?}");
    assert!(agent.log().contains(&dir), "{}", agent.log());
}

#[test]
fn the_token_of_an_instance_lists_that_one_alone() {
    let (site, _agent, api) = site();
    site.create_instance("Other", json!({}));
    let one = api.get("/instances/1").json();
    let own = api.as_instance(one["token"].as_str().unwrap());
    let listed = own.get("/elements/onedrivev2/instances").status(200).json();
    assert_eq!(listed, json!([one]));
    assert_eq!(
        own.get("/elements/onedrivebusiness/instances").status(200).json(),
        json!([])
    );
    let all = api.get("/elements/onedrivev2/instances").status(200).json();
    assert_eq!(all.as_array().unwrap().len(), 2);
    own.send("DELETE", "/instances/enabled", "").status(200);
    own.get("/elements/onedrivev2/instances")
        .refused(403, &["disabled"]);
}
