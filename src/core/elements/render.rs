//! An instance as JSON, as GET `/instances/{id}` and `instance show` give it. The token is not part of it.

use serde_json::{Value, json};

use crate::core::model::{ElementKey, GrantState, Instance, time_text};

use super::keys::EVENTS_ENABLED;
use super::secrets::mask;

/// `instance` in Cloud Elements' shape, its secrets masked.
pub fn render(instance: &Instance) -> Value {
    let events_enabled = instance
        .configuration
        .get(EVENTS_ENABLED)
        .and_then(Value::as_bool)
        .unwrap_or(false);
    json!({
        "id": instance.id,
        "name": instance.name,
        "createdDate": time_text(instance.created_at),
        "element": {"key": instance.element.as_str(), "name": element_name(instance.element)},
        "tags": instance.tags,
        "valid": instance.grant_state == GrantState::Ok,
        "disabled": !instance.enabled,
        "eventsEnabled": events_enabled,
        "externalAuthentication": "none",
        "configuration": mask(&instance.configuration),
    })
}

fn element_name(element: ElementKey) -> &'static str {
    match element {
        ElementKey::OneDriveV2 => "OneDrive",
        ElementKey::OneDriveBusiness => "OneDrive Business",
    }
}
