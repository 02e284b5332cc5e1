//! Instances from their creation to their removal, polls and deliveries without an agent, and the outbox.

use std::fs;

use deltapost::sim::receiver::Answer;
use serde_json::{Value, json};

use crate::cli_commands::world::{KEY, World};

#[test]
fn an_instance_is_created_as_documented_and_shown_without_its_secrets() {
    let world = World::new();
    let document = world.write(&world.document());
    let created = world
        .run(["instance", "create", document.to_str().unwrap()])
        .stdout(
            "created instance 1 `Docs` (onedrivev2)\n\
             next: `deltapost run` polls it every 15 minutes; `deltapost poll 1` does so now\n",
        )
        .stderr("note: resource `events`: a delta feed does not use `idField`; accepted and ignored\n")
        .code(0);
    let shown = world
        .run(["instance", "show", "Docs", "--json"])
        .stderr("")
        .code(0);
    let json = shown.json();
    assert_eq!(
        json["configuration"]["event.notification.signature.key"],
        json!("********")
    );
    assert_eq!(json["configuration"]["oauth.api.secret"], json!("********"));
    assert_eq!(json["id"], json!(1));
    let readable = world.run(["instance", "show", "1"]).stderr("").code(0);
    for part in [
        "name                    Docs\n",
        "configuration\n",
        "\noutbox: 0 pending, 0 dead\n",
        "not polled yet",
    ] {
        assert!(readable.stdout.contains(part), "{part:?}: {readable:?}");
    }
    let all = [
        created.stdout,
        created.stderr,
        shown.stdout,
        shown.stderr,
        readable.stdout,
    ]
    .concat();
    for secret in world
        .cloud
        .secrets()
        .iter()
        .map(String::as_str)
        .chain([KEY, "app-secret-0123", "app-0123"])
    {
        assert!(!all.contains(secret), "{secret:?} is told");
    }
}

#[test]
fn create_prints_what_show_prints_as_json() {
    let world = World::new();
    let document = world.document().to_string();
    let created = world
        .run(["--json", "instance", "create", "-"])
        .stdin(document)
        .code(0)
        .json();
    assert_eq!(
        created,
        world.run(["instance", "show", "Docs", "--json"]).code(0).json()
    );
}

#[test]
fn a_refused_code_leaves_nothing_behind() {
    let world = World::new();
    let mut document = world.document();
    document["providerData"]["code"] = json!("stale-code-0123");
    let said = world
        .run(["instance", "create", "-"])
        .stdin(document.to_string())
        .stdout("")
        .code(1);
    assert!(said.stderr.contains("error: could not sign in: "), "{said:?}");
    assert!(said.stderr.contains("\nhint: "), "{said:?}");
    assert!(!said.stderr.contains("stale-code-0123"), "{said:?}");
    assert_eq!(
        world.run(["instance", "list", "--json"]).code(0).json(),
        json!({"instances": []})
    );
}

#[test]
fn applying_twice_changes_nothing() {
    let world = World::new();
    let document = world.write(&world.document());
    let path = document.to_str().unwrap().to_owned();
    let apply = || world.run(["instance", "apply", &path]);
    let said = apply().code(0);
    assert!(
        said.stdout
            .starts_with("created instance 1 `Docs` (onedrivev2)\n"),
        "{said:?}"
    );
    let said = apply()
        .stdout("unchanged: instance 1 `Docs` (onedrivev2)\n")
        .code(0);
    assert!(
        said.stderr
            .contains("note: `providerData.code` is ignored: the instance is signed in\n"),
        "{said:?}"
    );
    let mut changed = world.document();
    changed["configuration"]["event.poller.refresh_interval"] = json!(5);
    world.write(&changed);
    let said = apply().code(0);
    assert!(
        said.stdout
            .starts_with("changed instance 1 `Docs` (onedrivev2)\n"),
        "{said:?}"
    );
}

#[test]
fn a_name_that_is_taken_is_wrong_usage() {
    let world = World::with_instance();
    world
        .run(["instance", "create", "-"])
        .stdin(world.document().to_string())
        .stdout("")
        .stderr(
            "error: an instance named `Docs` exists already\n\
             hint: choose another name, or use `instance apply` to change it\n",
        )
        .code(2);
}

#[test]
fn single_keys_are_updated_and_secrets_come_from_files_or_standard_input() {
    let world = World::with_instance();
    fs::write(world.home.path("key"), "another-key-0123\n").unwrap();
    world
        .run([
            "instance",
            "update",
            "Docs",
            "--set",
            "name=Finance",
            "event.notification.signature.key=@DIR/key",
            "--set",
            "event.notification.headers=-",
        ])
        .stdin("{\"X-Token\": \"header-0123\"}\n")
        .stderr("")
        .code(0);
    world.receiver.set_key(Some("another-key-0123".to_owned()));
    world.run(["instance", "ping", "Finance"]).stderr("").code(0);
    let deliveries = world.receiver.deliveries();
    assert_eq!(deliveries[0].verdict, Ok(()));
    assert_eq!(deliveries[0].header("x-token"), Some("header-0123"));
    let shown = world.run(["instance", "show", "1", "--json"]).code(0).json();
    assert_eq!(
        shown["configuration"]["event.notification.headers"],
        json!({"X-Token": "********"})
    );
}

#[test]
fn a_ping_that_is_not_accepted_fails_with_the_answer() {
    let world = World::with_instance();
    let said = world.run(["instance", "ping", "1"]).code(0);
    assert_eq!(
        world.settled(&said),
        "`http://RECEIVER/callback` answered 200 in N ms\n"
    );
    let body = Answer::Full {
        status: 418,
        headers: Vec::new(),
        body: "I am a \u{1b}teapot".to_owned(),
    };
    world.receiver.answer_next(2, body);
    let said = world.run(["instance", "ping", "1"]).stdout("").code(1);
    assert!(
        said.stderr
            .contains("did not accept the notification: answered 418: I am a \\u{1b}teapot\n"),
        "{said:?}"
    );
    let said = world.run(["instance", "ping", "1", "--json"]).code(1);
    assert_eq!(said.json()["status"], json!(418));
}

#[test]
fn a_poll_tells_what_it_came_to() {
    let world = World::with_instance();
    let said = world.run(["poll", "Docs"]).stderr("").code(0);
    assert_eq!(
        world.settled(&said),
        "Docs / events: 1 page, 3 items, 2 events (1 unchanged, 0 filtered) in N s\n"
    );
    let mut said = world
        .run(["poll", "1", "--resource", "events", "--resync", "--json"])
        .code(0)
        .json();
    let took = said["polls"][0]["durationMs"].take();
    assert!(took.is_number(), "{said}");
    assert_eq!(
        said,
        json!({"polls": [{
            "instance": "Docs", "resource": "events", "pages": 1, "items": 3, "events": 0, "unchanged": 3,
            "filtered": 0, "durationMs": null,
        }]})
    );
}

#[test]
fn a_poll_that_cannot_be_is_refused() {
    let world = World::with_instance();
    world
        .run(["poll", "Docs", "--resource", "mail"])
        .stdout("")
        .stderr("error: instance `Docs` has no resource `mail`; it has `events`\n")
        .code(2);
    world
        .run([
            "instance",
            "update",
            "1",
            "--set",
            "event.notification.enabled=false",
        ])
        .code(0);
    world
        .run(["poll", "Docs"])
        .stdout("")
        .stderr(
            "error: events are off for instance `Docs`, so there is nothing to poll\n\
             hint: turn them on: `deltapost instance update 'Docs' --set event.notification.enabled=true`\n",
        )
        .code(2);
}

#[test]
fn a_failed_poll_is_told_and_shows_as_the_instances_health() {
    let world = World::with_instance();
    world.cloud.revoke_access_tokens();
    world.cloud.revoke_grants();
    let said = world.run(["poll", "Docs", "--json"]).code(1);
    let error = said.json()["polls"][0]["error"].as_str().unwrap().to_owned();
    assert!(
        said.stderr
            .contains(&format!("error: could not poll `events` of `Docs`: {error}\n")),
        "{said:?}"
    );
    let list = world.run(["instance", "list"]).stderr("").code(0).stdout;
    assert_eq!(
        list,
        "id  name  element     enabled  health          resources  pending  dead\n \
          1  Docs  onedrivev2  yes      login required  events           0     0\n"
    );
    let said = world.run(["check"]).stdout("").code(1);
    assert!(
        said.stderr
            .contains("error: instance `Docs` must sign in again\nhint: sign in again"),
        "{said:?}"
    );
}

#[test]
fn once_polls_and_delivers_and_says_what_could_not_be_delivered() {
    let world = World::with_instance();
    world.receiver.answer_next(1, Answer::Status(500));
    let said = world.run(["once"]).code(1);
    assert!(said.stdout.ends_with("\n0 notifications delivered\n"), "{said:?}");
    assert!(
        said.stderr.ends_with(
            "error: 1 notification could not be delivered\n\
             hint: `deltapost outbox list --state pending` shows why; they are tried again\n"
        ),
        "{said:?}"
    );
    let drive = world.cloud.drive();
    drive.create_file(&drive.root_id(), "more.txt", 5);
    // What failed waits for its next attempt, and what is new behind it.
    let said = world.run(["once", "--json"]).stderr("").code(0).json();
    assert_eq!(said["delivery"], json!({"delivered": 0, "failed": 0}));
    assert_eq!(said["polls"][0]["events"], json!(1));
}

#[test]
fn the_outbox_is_counted_listed_and_shown() {
    let world = World::with_instance();
    world.run(["outbox"]).stdout("the outbox is empty\n").code(0);
    world.run(["outbox", "list"]).stdout("no notifications\n").code(0);
    world.run(["once"]).stderr("").code(0);
    let counts = world.run(["outbox", "--json"]).code(0).json();
    assert_eq!(counts["counts"][0]["state"], json!("delivered"));
    let counts = world.settled(&world.run(["outbox"]).code(0));
    assert!(counts.starts_with("endpoint"), "{counts}");
    assert!(counts.contains("active          delivered"), "{counts}");
    let listed = world
        .run([
            "outbox",
            "list",
            "--json",
            "--state",
            "delivered",
            "--instance",
            "Docs",
        ])
        .code(0)
        .json();
    assert_eq!(listed["notifications"].as_array().unwrap().len(), 1);
    assert_eq!(listed["notifications"][0]["eventCount"], json!(2));
    world
        .run(["outbox", "list", "--state", "dead"])
        .stdout("no notifications\n")
        .code(0);

    let delivery = &world.receiver.deliveries()[0];
    let body = String::from_utf8(delivery.body.clone()).unwrap();
    let shown = world.run(["outbox", "show", "1"]).stderr("").code(0).stdout;
    assert!(shown.ends_with(&format!("\nbody\n{body}\n")), "{shown}");
    assert!(shown.contains("CREATED  file"), "{shown}");
    let shown = world.run(["outbox", "show", &delivery.id, "--json"]).code(0);
    assert!(
        shown.stdout.contains(&body),
        "the body is not byte for byte in {shown:?}"
    );
    assert_eq!(shown.json()["attempts"][0]["status"], json!(200));
    assert_eq!(
        shown.json()["body"],
        serde_json::from_str::<Value>(&body).unwrap()
    );
}

#[test]
fn disabling_pauses_polling_and_not_delivery() {
    let world = World::with_instance();
    world.run(["poll", "1"]).code(0);
    world
        .run(["instance", "disable", "1"])
        .stdout("disabled instance 1 `Docs` (onedrivev2)\n")
        .code(0);
    world
        .run(["instance", "disable", "1"])
        .stdout("disabled already: instance 1 `Docs` (onedrivev2)\n")
        .code(0);
    world
        .run(["once"])
        .stdout("nothing to poll: no enabled instance wants events\n1 notification delivered\n")
        .stderr("")
        .code(0);
    let said = world.run(["instance", "enable", "1", "--json"]).code(0).json();
    assert_eq!(said["disabled"], json!(false));
}

#[test]
fn deleting_waits_for_what_is_pending_unless_it_is_discarded() {
    let world = World::with_instance();
    world.run(["poll", "1"]).code(0);
    world
        .run(["instance", "delete", "Docs"])
        .stdout(
            "instance 1 `Docs` (onedrivev2) is polled no more, and removed when what is pending is delivered: 1 notification\n",
        )
        .code(0);
    world.run(["once"]).code(0);
    assert_eq!(world.receiver.counts().events, 2);
    assert_eq!(
        world.run(["instance", "list", "--json"]).code(0).json(),
        json!({"instances": []})
    );

    let document = world.write(&world.document());
    world
        .run(["instance", "create", document.to_str().unwrap()])
        .code(0);
    world.run(["poll", "Docs"]).code(0);
    let said = world
        .run(["instance", "delete", "Docs", "--discard", "--json"])
        .code(0)
        .json();
    assert_eq!(
        said,
        json!({"id": 2, "name": "Docs", "state": "removed", "pending": 1})
    );
}
