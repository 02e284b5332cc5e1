//! A data directory with one instance in it, and the pieces of a page.

use std::collections::BTreeMap;
use std::path::Path;

use deltapost::core::elements;
use deltapost::core::model::{Event, EventType, Format, Item, ItemKind, Notification, PageEnd, Secret};
use deltapost::store::{Grant, Key, Look, NewInstance, PageStep, Sharing, Starts, Store};
use jiff::Timestamp;

/// Below it lie the absolute URLs that a configuration may name.
pub(crate) const GRAPH: &str = "https://graph.microsoft.com/v1.0";

const DOCUMENT: &str = r#"{"element": {"key": "onedrivev2"}, "name": "Docs", "configuration": {
    "oauth.api.key": "app", "oauth.user.refresh_token": "old-token-0123",
    "event.notification.enabled": true, "event.notification.callback.url": "CALLBACK",
    "event.notification.signature.key": "signing-0123"}}"#;

pub(crate) fn now() -> Timestamp {
    "2026-03-01T09:30:00Z".parse().unwrap()
}

/// A new data directory with one instance in it.
pub(crate) fn store(data_dir: &Path) -> Store {
    store_with_callback(data_dir, "https://example.com/in?key=query-0123")
}

/// The same, with its notifications going to `callback`.
pub(crate) fn store_with_callback(data_dir: &Path, callback: &str) -> Store {
    let (key, _) = Key::create(data_dir).unwrap();
    assert!(Store::create(data_dir, Sharing::Owner, &key, now()).unwrap());
    let store = Store::open(data_dir, Sharing::Owner, Some(key), Look::Whole, GRAPH).unwrap();
    add_instance(&store, "Docs", callback);
    store
}

/// Adds an instance of that name, with one resource.
pub(crate) fn add_instance(store: &Store, name: &str, callback: &str) {
    let text = DOCUMENT.replace("CALLBACK", callback).replace("Docs", name);
    let document = elements::parse(&text).unwrap();
    let new = elements::check_new(&document, GRAPH).unwrap();
    let grant = Grant {
        refresh_token: Some(Secret::new("refresh-0123")),
        access_token: Some(Secret::new("access-0123")),
        expires_at: Some(now()),
    };
    let starts = Starts {
        since: now(),
        anchors: BTreeMap::new(),
    };
    let instance = NewInstance {
        name: &new.name,
        element: new.element,
        tags: &[],
        configuration: &document.configuration,
        settings: &new.settings,
        grant: &grant,
        starts: &starts,
    };
    store.create_instance(&instance, now()).unwrap();
}

pub(crate) fn item(id: &str, parent: &str) -> Item {
    Item {
        id: id.to_owned(),
        announced_id: None,
        name: Some(id.to_owned()),
        parent_id: Some(parent.to_owned()),
        kind: ItemKind::Folder,
        content: vec![1],
        metadata: vec![1],
    }
}

pub(crate) fn notification(event_id: &str) -> Notification {
    let event = Event {
        event_type: EventType::Created,
        object_id: "A".to_owned(),
        object_type: "file".to_owned(),
        path: None,
        raw: Some((0, 2)),
    };
    Notification {
        format: Format::Elements,
        event_id: event_id.to_owned(),
        body: b"{}".to_vec(),
        events: vec![event],
    }
}

pub(crate) fn step<'a>(
    upserts: &'a [Item],
    notifications: &'a [Notification],
    end: &'a PageEnd,
) -> PageStep<'a> {
    PageStep {
        upserts,
        alive: &[],
        staged: &[],
        told: &[],
        seen: &[],
        notifications,
        end,
        drive_id: None,
        root_id: None,
        now: now(),
    }
}

pub(crate) fn next() -> PageEnd {
    PageEnd::Next(Secret::new("next-link-0123"))
}

pub(crate) fn delta() -> PageEnd {
    PageEnd::Delta(Secret::new("delta-link-0123"))
}
