//! The life of an instance in the order in which a client of Cloud Elements goes through it, with nothing changed but the
//! host.

use deltapost::sim::onedrive::Account;
use serde_json::json;

use crate::support::api::Api;
use crate::support::{Site, eventually};

#[test]
fn a_client_of_cloud_elements_changes_its_host_and_nothing_else() {
    let site = Site::new(Account::business());
    let agent = site.spawn_run();
    let api = Api::of(&site, agent.address());

    let catalogue = api.get("/elements").status(200).json();
    let element = catalogue[0]["key"].as_str().unwrap().to_owned();
    let url = api
        .get(&format!(
            "/elements/{element}/oauth/url?apiKey=app-id&apiSecret=app-secret&\
             callbackUrl=https%3A%2F%2Fwww.example.com%2Foauth2callback&state=mine"
        ))
        .status(200)
        .json();
    assert_eq!(url["element"], "onedrivev2");
    let url = url["oauthUrl"].as_str().unwrap().to_owned();
    assert!(url.starts_with(&site.cloud.authority()), "{url}");
    for part in [
        "client_id=app-id",
        "response_type=code",
        "state=mine",
        "redirect_uri=https%3A%2F%2Fwww.example.com%2Foauth2callback",
    ] {
        assert!(url.contains(part), "{part} in {url}");
    }
    assert!(!url.contains("app-secret"), "{url}");

    let mut document = site.document(
        "<a href=\"#\">Docs</a>",
        json!({"event.notification.callback.url": "http://127.0.0.1:9/"}),
    );
    document["tags"] = json!(["<b>Docs</b>", "Finance"]);
    let created = api.send_json("POST", "/instances", &document).status(200).json();
    let id = created["id"].as_i64().unwrap();
    let token = created["token"].as_str().unwrap().to_owned();
    assert_eq!(created["name"], "Docs");
    assert_eq!(created["tags"], json!(["Docs", "Finance"]));
    assert_eq!(created["element"]["key"], "onedrivev2");
    assert_eq!(created["elementId"], created["element"]["id"]);
    for (field, value) in [("valid", true), ("disabled", false), ("eventsEnabled", true)] {
        assert_eq!(created[field], value, "{field}");
    }
    assert_eq!(created["externalAuthentication"], "none");
    assert!(created["createdDate"].as_str().unwrap().ends_with('Z'));
    assert!(created["user"]["id"].is_i64() && created["user"]["emailAddress"].is_string());
    assert_eq!(created.get("providerData"), None);
    for secret in [
        "oauth.api.key",
        "oauth.api.secret",
        "event.notification.signature.key",
    ] {
        assert_eq!(created["configuration"][secret], "********");
    }

    let path = format!("/instances/{id}");
    assert_eq!(api.get(&path).status(200).json(), created);
    let own = api.as_instance(&token);
    assert_eq!(own.get("/instances").status(200).json(), created);
    let listed = |query: &str| api.get(&format!("/instances?{query}")).status(200).json();
    assert_eq!(listed("tags%5B%5D=Finance&tags%5B%5D=Docs"), json!([created]));
    assert_eq!(listed("tags[]=Other"), json!([]));
    let bare = listed("hydrate=false");
    assert_eq!(bare[0]["id"], id);
    assert_eq!(bare[0].get("configuration"), None);
    let of_element = |key: &str| api.get(&format!("/elements/{key}/instances")).status(200).json();
    assert_eq!(of_element("onedrivev2"), json!([created]));
    assert_eq!(of_element("onedrivebusiness"), json!([]));

    let patch = json!({"configuration": {"event.notification.callback.url": site.receiver.url()}});
    let patched = own.send_json("PATCH", "/instances", &patch).status(200).json();
    assert_eq!(
        patched["configuration"]["event.notification.callback.url"],
        site.receiver.url()
    );
    assert_eq!(patched["configuration"]["oauth.api.key"], "********");

    let polled = api.send("POST", &format!("{path}/poll"), "").status(200).json();
    assert_eq!(polled["polls"][0]["status"], "done", "{polled}");
    let drive = site.drive();
    drive.create_file(&drive.root_id(), "report.xlsx", 10);
    let polled = own
        .send("POST", "/instances/poll?resource=events", "")
        .status(200)
        .json();
    assert_eq!(polled["polls"][0]["events"], 1, "{polled}");
    eventually("the event arrives at the patched callback", || {
        site.receiver.counts().events == 1
    });

    let events = api.get(&format!("{path}/events")).status(200).json();
    assert_eq!(events.as_array().unwrap().len(), 1, "{events}");
    let event = format!("/instances/events/{}", events[0]["id"].as_str().unwrap());
    let by_id = api.get(&event).status(200).json();
    assert_eq!(
        (&by_id["id"], &by_id["instanceId"]),
        (&events[0]["id"], &created["id"])
    );
    assert!(
        by_id["providerData"].as_str().unwrap().contains("report.xlsx"),
        "{by_id}"
    );
    assert_eq!(
        own.get("/instances/events").status(200).json()[0]["id"],
        by_id["id"]
    );

    let disabled = own.send("DELETE", "/instances/enabled", "").status(200).json();
    assert_eq!(disabled["disabled"], true);
    own.get("/instances").refused(403, &["disabled"]);
    own.send_json("PATCH", "/instances", &patch).refused(403, &[]);
    assert_eq!(api.get(&path).status(200).json()["disabled"], true);
    let enabled = own.send("PUT", "/instances/enabled", "").status(200).json();
    assert_eq!(enabled["disabled"], false);
    api.send("DELETE", &format!("{path}/enabled"), "").status(200);
    api.send("PUT", &format!("{path}/enabled"), "").status(200);

    api.send("DELETE", &path, "").status(200);
    api.get(&path).refused(404, &[]);
    own.get("/instances").refused(401, &["Element"]);
    assert_eq!(api.get("/instances").status(200).json(), json!([]));
    assert!(!agent.log().contains(&token), "{}", agent.log());
    assert_eq!(agent.stop(), Some(0));
}
