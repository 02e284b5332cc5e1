//! Delta feeds of other collections: what comes of each shape of page, by itself and beside others.

use deltapost::core::model::EventType::{Created, Deleted, Updated};
use deltapost::sim::onedrive::{Account, Endpoint, Fault, Shape};
use serde_json::{Value, json};

use crate::resources::news::{news, told};
use crate::support::Site;

/// A box with an instance `Mail` that polls `resources`.
fn site(resources: Value) -> Site {
    let site = Site::new(Account::business());
    site.create_instance("Mail", json!({"event.poller.configuration": resources}));
    site
}

fn message(subject: &str) -> Value {
    json!({"subject": subject, "createdDateTime": "2026-03-01T09:00:00Z", "lastModifiedDateTime": "2026-03-01T09:00:00Z"})
}

#[test]
fn a_folder_of_messages_is_followed_with_both_kinds_of_removal() {
    let path = "/me/mailFolders/inbox/messages";
    let site = site(json!({"inbox": {"url": format!("{path}/delta"), "pageSize": 2}}));
    let inbox = site.cloud.add_collection(path, Shape::Messages);
    for id in ["A", "B", "C", "D", "E"] {
        inbox.put(id, message(id));
    }
    let mut seen = 0;
    assert_eq!(told(&news(&site, &mut seen)), [""; 0]);
    let requests = site.delta_requests();
    assert_eq!(requests.len(), 3, "two messages in a page");
    assert_eq!(requests[0].prefer.as_deref(), Some("odata.maxpagesize=2"));
    assert!(!requests[0].target.contains("top"), "{}", requests[0].target);
    inbox.put("A", json!({"isRead": true}));
    inbox.remove("B", "deleted");
    inbox.remove("C", "changed");
    inbox.put("F", message("new"));
    let events = news(&site, &mut seen);
    let expect = [
        "UPDATED inbox A",
        "CREATED inbox F",
        "DELETED inbox C",
        "DELETED inbox B",
    ];
    assert_eq!(told(&events), expect);
    assert!(events.iter().all(|event| event.path.is_none()));
    assert_eq!(told(&news(&site, &mut seen)), [""; 0]);
    assert!(
        site.delta_requests()
            .iter()
            .all(|request| !request.exclude_parents)
    );
    // One that was removed and can be restored is there again.
    inbox.put("C", json!({}));
    assert_eq!(told(&news(&site, &mut seen)), ["CREATED inbox C"]);
}

#[test]
fn a_user_shown_in_part_is_updated_once_for_each_change() {
    let site =
        site(json!({"people": {"url": "/users/delta?$select=displayName,jobTitle", "baseline": "emit"}}));
    let users = site.cloud.add_collection("/users", Shape::Directory);
    users.put("1", json!({"displayName": "Megan", "jobTitle": null}));
    users.put("2", json!({"displayName": "Alex", "jobTitle": "Clerk"}));
    let mut seen = 0;
    assert_eq!(
        told(&news(&site, &mut seen)),
        ["CREATED people 1", "CREATED people 2"]
    );
    users.put("1", json!({"jobTitle": "Boss"}));
    assert_eq!(told(&news(&site, &mut seen)), ["UPDATED people 1"]);
    users.put("1", json!({"displayName": "Meg"}));
    users.remove("2", "changed");
    assert_eq!(
        told(&news(&site, &mut seen)),
        ["UPDATED people 1", "DELETED people 2"]
    );
    // A full reading shows whole what was known in part, and that is no change.
    users.expire_tokens();
    users.put("3", json!({"displayName": "Nina"}));
    assert_eq!(told(&news(&site, &mut seen)), ["CREATED people 3"]);
}

#[test]
fn what_a_group_gains_or_loses_is_an_update() {
    let site = site(json!({"teams": {"url": "/groups/delta"}}));
    let groups = site.cloud.add_collection("/groups", Shape::Directory);
    groups.put("G", json!({"displayName": "Sales"}));
    let mut seen = 0;
    news(&site, &mut seen);
    for _ in 0..2 {
        groups.put(
            "G",
            json!({"members@delta": [{"@odata.type": "#microsoft.graph.user", "id": "1"}]}),
        );
        assert_eq!(told(&news(&site, &mut seen)), ["UPDATED teams G"]);
    }
}

#[test]
fn a_kill_in_the_middle_of_a_large_page_announces_no_member_again() {
    let site = site(json!({"teams": {"url": "/groups/delta"}}));
    let groups = site.cloud.add_collection("/groups", Shape::Directory);
    groups.set_page_size(2_000);
    let put = |properties: &dyn Fn(usize) -> Value| {
        (0..1_100).for_each(|group| groups.put(&group.to_string(), properties(group)));
    };
    put(&|group| json!({"displayName": group}));
    let mut seen = 0;
    news(&site, &mut seen);
    for round in 1..=2 {
        put(&|_| json!({"members@delta": [{"@odata.type": "#microsoft.graph.user", "id": "1"}]}));
        let agent = site.spawn(&["once"], &[("DELTAPOST_KILL_AT", "committed")]);
        assert_eq!(agent.wait(), None, "it dies between two pieces");
        let announced = "SELECT sum(event_count) FROM outbox";
        assert_eq!(site.cell(announced), ((round - 1) * 1_100 + 1_000).to_string());
        assert_eq!(news(&site, &mut seen).len(), 1_100);
        assert_eq!(site.cell(announced), (round * 1_100).to_string());
    }
    assert_eq!(site.cell("SELECT count(*) FROM seen_record"), "0");
}

#[test]
fn a_calendars_view_is_followed_within_its_span() {
    let span = "startDateTime=2026-03-01T00:00:00Z&endDateTime=2026-04-01T00:00:00Z";
    let site = site(json!({"meetings": {"url": format!("/me/calendarView/delta?{span}")}}));
    let view = site.cloud.add_collection("/me/calendarView", Shape::CalendarView);
    view.put("M1", message("Monday"));
    let mut seen = 0;
    assert_eq!(told(&news(&site, &mut seen)), [""; 0]);
    assert!(site.delta_requests()[0].target.contains(span));
    view.put("M2", message("Tuesday"));
    view.remove("M1", "deleted");
    assert_eq!(
        told(&news(&site, &mut seen)),
        ["CREATED meetings M2", "DELETED meetings M1"]
    );
}

#[test]
fn list_items_are_called_what_the_id_field_says_in_every_event() {
    let path = "/sites/s/lists/l/items";
    let site = site(
        json!({"orders": {"url": format!("{path}/delta?$expand=fields"), "idField": "fields.OrderNumber"}}),
    );
    let items = site.cloud.add_collection(path, Shape::ListItems);
    items.put("1", json!({"fields": {"OrderNumber": "N-1"}}));
    let mut seen = 0;
    news(&site, &mut seen);
    items.put("1", json!({"fields": {"OrderNumber": "N-1", "State": "paid"}}));
    items.put("2", json!({"fields": {"OrderNumber": 77}}));
    assert_eq!(
        told(&news(&site, &mut seen)),
        ["UPDATED orders N-1", "CREATED orders 77"]
    );
    items.remove("1", "deleted");
    items.remove("2", "deleted");
    let gone = news(&site, &mut seen);
    let types: Vec<_> = gone.iter().map(|event| event.event_type).collect();
    assert_eq!(types, [Deleted, Deleted]);
    let mut ids: Vec<_> = gone.iter().map(|event| event.object_id.as_str()).collect();
    ids.sort_unstable();
    assert_eq!(ids, ["77", "N-1"]);
}

#[test]
fn a_stale_token_costs_a_feed_nothing() {
    let path = "/me/mailFolders/inbox/messages";
    let site = site(json!({"inbox": {"url": format!("{path}/delta"), "pageSize": 3}}));
    let inbox = site.cloud.add_collection(path, Shape::Messages);
    for n in 0..10 {
        inbox.put(&format!("M{n}"), message("old"));
    }
    let mut seen = 0;
    news(&site, &mut seen);
    inbox.put("M3", json!({"isRead": true}));
    inbox.remove("M4", "deleted");
    inbox.put("N", message("new"));
    inbox.expire_tokens();
    let events = news(&site, &mut seen);
    assert_eq!(
        told(&events),
        ["UPDATED inbox M3", "CREATED inbox N", "DELETED inbox M4"]
    );
    let types: Vec<_> = events.iter().map(|event| event.event_type).collect();
    assert_eq!(types, [Updated, Created, Deleted]);
}

#[test]
fn a_failing_resource_is_no_others_trouble_and_a_pause_is_everybodys() {
    let site = site(json!({
        "inbox": {"url": "/me/mailFolders/inbox/messages/delta"},
        "people": {"url": "/users/delta"},
        "events": {"url": "/hubs/documents/events"},
    }));
    let inbox = site
        .cloud
        .add_collection("/me/mailFolders/inbox/messages", Shape::Messages);
    let users = site.cloud.add_collection("/users", Shape::Directory);
    let mut seen = 0;
    assert_eq!(told(&news(&site, &mut seen)), [""; 0]);
    inbox.put("A", message("new"));
    users.put("1", json!({"displayName": "Megan"}));
    site.drive().create_file(&site.drive().root_id(), "new.docx", 1);
    inbox.refuse(Some(403));
    site.once().code(1);
    let mut told_now = told(&site.receiver.events());
    told_now.sort();
    assert_eq!(
        told_now,
        ["CREATED file 01", "CREATED people 1"].map(|line| match line {
            "CREATED file 01" => format!("CREATED file {}", site.drive().find("/new.docx").unwrap()),
            other => other.to_owned(),
        })
    );
    let health = site.sql("SELECT resource, health FROM instance_health ORDER BY resource");
    assert_eq!(health, [["events", "ok"], ["inbox", "failing"], ["people", "ok"]]);
    inbox.refuse(None);
    // The account's pause holds for all of them: what was not under way by then is not asked for.
    site.cloud.fail_next(Endpoint::Delta, Fault::throttle(3600));
    site.once().code(1);
    let before = site.delta_requests().len();
    site.once().code(1);
    assert_eq!(site.delta_requests().len(), before);
    assert_eq!(
        site.cell("SELECT count(*) FROM resource WHERE unfinished = 1"),
        "3"
    );
}
