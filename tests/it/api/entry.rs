//! Who is let in: tokens, names of the box, and pages of other sites.

use deltapost::sim::onedrive::Account;

use crate::support::api::Api;
use crate::support::{Site, eventually};

const ELEMENTS: &str = "/elements/api-v2/elements";

#[test]
fn who_has_the_api_token_is_let_in_and_nobody_else() {
    let site = Site::new(Account::business());
    let agent = site.spawn_run();
    let api = Api::of(&site, agent.address());
    let host = "Host: localhost";
    let with = |authorization: &str| {
        let header = format!("Authorization: {authorization}");
        api.raw("GET", ELEMENTS, &[host, &header], "")
    };
    let token = &api.token;
    with(&format!("User {token}, Organization x")).status(200);
    with(&format!("organization x, user {token}")).status(200);
    with(&format!("Bearer {token}")).status(200);
    for wrong in [
        "",
        "User , Organization x",
        "Bearer nonsense",
        &format!("Bearer {token}x"),
        &format!("Basic {token}"),
        &format!("Bearer {token}, Element nonsense"),
    ] {
        let answer = with(wrong).refused(401, &[]);
        assert!(answer.header("WWW-Authenticate").is_some());
    }
    api.raw("GET", ELEMENTS, &[host], "").refused(401, &["api token"]);
    let log = agent.log();
    assert!(log.contains("refused a wrong token"), "{log}");
    assert!(
        !log.contains("nonsense") && !log.contains(token.as_str()),
        "{log}"
    );
    assert_eq!(agent.stop(), Some(0));
}

#[test]
fn a_page_of_another_site_gets_nothing() {
    let site = Site::new(Account::business());
    let agent = site.spawn_run();
    let api = Api::of(&site, agent.address());
    let token = format!("Authorization: Bearer {}", api.token);
    let get = |host: &str| api.raw("GET", ELEMENTS, &[&format!("Host: {host}"), &token], "");
    for own in ["localhost", "localhost:1", "127.0.0.1", "[::1]:8649"] {
        get(own).status(200);
    }
    // A name of the attacker's that was bound to this address after the page had been loaded.
    for foreign in [
        "attacker.example",
        "localhost.attacker.example",
        "192.0.2.1",
        "",
        "127.0.0.1.attacker.example",
    ] {
        get(foreign).refused(421, &[]);
    }
    let post = |headers: &[&str]| {
        let all = [&["Host: localhost:8649", token.as_str()], headers].concat();
        api.raw("POST", ELEMENTS, &all, "a=b")
    };
    // There is nothing to be posted here; what counts is how far it comes.
    post(&["Origin: http://localhost:8649", "Sec-Fetch-Site: same-origin"]).refused(405, &["GET"]);
    post(&[]).refused(405, &[]);
    for foreign in [
        "Origin: https://attacker.example",
        "Origin: null",
        "Origin: http://localhost:1",
        "Sec-Fetch-Site: cross-site",
        "Sec-Fetch-Site: same-site",
    ] {
        post(&["Content-Type: application/x-www-form-urlencoded", foreign]).refused(403, &["another site"]);
    }
}

#[test]
fn the_catalogue_tells_what_there_is_to_make_instances_of() {
    let site = Site::new(Account::business());
    let agent = site.spawn_run();
    let api = Api::of(&site, agent.address());
    let all = api.get("/elements").status(200).json();
    let keys: Vec<_> = all
        .as_array()
        .unwrap()
        .iter()
        .map(|element| element["key"].as_str().unwrap())
        .collect();
    assert_eq!(keys, ["onedrivev2", "onedrivebusiness"]);
    let one = api.get("/elements/onedrivev2").status(200).json();
    assert_eq!(one, all[0]);
    assert_eq!(
        one,
        api.get(&format!("/elements/{}", one["id"])).status(200).json()
    );
    let default = one["configuration"][0]["defaultValue"].as_str().unwrap();
    let default: serde_json::Value = serde_json::from_str(default).unwrap();
    assert_eq!(default["events"]["url"], "/hubs/documents/events");
    let metadata = api.get("/elements/onedrivebusiness/metadata").status(200).json();
    assert_eq!(metadata["events"]["supported"], true);
    assert_eq!(metadata["events"]["methods"], serde_json::json!(["polling"]));
    api.get("/elements/dropbox")
        .refused(404, &["`dropbox`", "`onedrivev2`"]);
    api.get("/nothing").refused(404, &[]);
}

#[test]
fn an_address_that_is_taken_is_told_before_anything_begins() {
    let site = Site::new(Account::business());
    let agent = site.spawn_run();
    let other = Site::new(Account::business());
    let text = std::fs::read_to_string(other.config_file()).unwrap();
    let taken = format!("address = \"{}\"", agent.address());
    std::fs::write(
        other.config_file(),
        text.replace("address = \"127.0.0.1:0\"", &taken),
    )
    .unwrap();
    other
        .cli(&["run"])
        .code(1)
        .says(&["could not listen on `127.0.0.1:", "[listen]"])
        .one_error_with_a_hint();
    std::fs::write(other.config_file(), text.replace("127.0.0.1:0", "off")).unwrap();
    let silent = other.spawn_run();
    assert!(!silent.log().contains("listening"), "{}", silent.log());
    assert_eq!(silent.stop(), Some(0));
}

#[test]
fn an_address_for_other_machines_must_be_meant_and_check_says_what_it_means() {
    let site = Site::new(Account::business());
    let text = std::fs::read_to_string(site.config_file()).unwrap();
    let exposed = text.replace("127.0.0.1:0", "0.0.0.0:0");
    std::fs::write(site.config_file(), &exposed).unwrap();
    site.cli(&["check"])
        .code(2)
        .says(&["listen.address", "expose = true"]);
    std::fs::write(site.config_file(), exposed + "expose = true\n").unwrap();
    let said = site.cli(&["check"]).code(0);
    assert!(said.stdout.contains("in plain HTTP"), "{said:?}");
    let agent = site.spawn_run();
    let api = Api::of(&site, agent.address());
    let token = format!("Authorization: Bearer {}", api.token);
    let get = |host: &str| api.raw("GET", ELEMENTS, &[&format!("Host: {host}"), &token], "");
    get("192.0.2.7:8649").status(200);
    get("box.example").refused(421, &["box.example"]);
}

#[test]
fn what_is_malformed_is_refused_in_the_same_shape() {
    let site = Site::new(Account::business());
    let agent = site.spawn_run();
    let api = Api::of(&site, agent.address());
    api.raw("POST", ELEMENTS, &["Host: localhost", "Host: localhost"], "")
        .refused(400, &["Host"]);
    api.raw(
        "GET",
        ELEMENTS,
        &["Host: localhost", "Transfer-Encoding: chunked"],
        "",
    )
    .refused(501, &["Transfer-Encoding"]);
}

#[test]
fn a_changed_address_needs_a_restart_and_it_says_so() {
    let site = Site::new(Account::business());
    let agent = site.spawn_run();
    let address = agent.address();
    let text = std::fs::read_to_string(site.config_file()).unwrap();
    std::fs::write(site.config_file(), text.replace("127.0.0.1:0", "off")).unwrap();
    agent.signal("HUP");
    eventually("the log tells of it", || {
        agent.log().contains("keys=[\"listen\"]")
    });
    Api::of(&site, address).get("/elements").status(200);
}
