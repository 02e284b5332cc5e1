//! The catalogue: what there is to make instances of, in the shape in which Cloud Elements tells it. Fixed data.

use serde_json::{Value, json};

use crate::core::model::ElementKey;

/// The element that `key_or_id` means: its key, or the number that stands for it in paths and instances.
pub fn find(key_or_id: &str) -> Option<ElementKey> {
    let by_id = |element: &&ElementKey| id(**element).to_string() == key_or_id;
    ElementKey::from_text(key_or_id).or_else(|| ElementKey::ALL.iter().find(by_id).copied())
}

/// The number of `element`, in this agent: Cloud Elements' own numbers differ from one of its environments to another.
pub fn id(element: ElementKey) -> i64 {
    match element {
        ElementKey::OneDriveV2 => 1,
        ElementKey::OneDriveBusiness => 2,
    }
}

/// What people call `element`.
pub fn name(element: ElementKey) -> &'static str {
    match element {
        ElementKey::OneDriveV2 => "OneDrive",
        ElementKey::OneDriveBusiness => "OneDrive Business",
    }
}

/// The entry of `element`, as an instance holds it as `element`.
pub fn entry(element: ElementKey) -> Value {
    json!({
        "id": id(element),
        "key": element.as_str(),
        "name": name(element),
        "hub": element.hub(),
        "description": "Polls drives through the delta feeds of Microsoft Graph and delivers their changes as events",
        "active": true,
        "deleted": false,
        "private": false,
        "typeOauth": true,
        "authentication": {"type": "oauth2"},
        "protocolType": "http",
    })
}

/// The entry of `element` with what polling does when nothing is said.
pub fn entry_with_defaults(element: ElementKey) -> Value {
    let mut entry = entry(element);
    entry["configuration"] = json!([{
        "key": "event.poller.configuration",
        "name": "Resources to poll",
        "type": "TEXTAREA",
        "required": false,
        "defaultValue": poller_configuration(element).to_string(),
    }]);
    entry["events"] = events(element);
    entry
}

/// What `element` can tell of, and how.
pub fn metadata(element: ElementKey) -> Value {
    json!({"id": id(element), "key": element.as_str(), "name": name(element), "events": events(element)})
}

fn events(element: ElementKey) -> Value {
    json!({
        "supported": true,
        "methods": ["polling"],
        "polling": {"event.poller.configuration": poller_configuration(element)},
    })
}

fn poller_configuration(element: ElementKey) -> Value {
    json!({element.default_resource(): {"url": "/hubs/documents/events", "idField": "id"}})
}
