//! An instance as JSON, as GET `/instances/{id}` and `instance show` give it. The token is not part of it.

use serde_json::{Value, json};

use crate::core::model::{GrantState, Instance, time_text};

use super::catalogue;
use super::keys::EVENTS_ENABLED;
use super::secrets::mask;

/// `instance` in Cloud Elements' shape, its secrets masked.
pub fn render(instance: &Instance) -> Value {
    let events_enabled = instance
        .configuration
        .get(EVENTS_ENABLED)
        .and_then(Value::as_bool)
        .unwrap_or(false);
    let mut shown = json!({
        "id": instance.id,
        "name": instance.name,
        "createdDate": time_text(instance.created_at),
        "element": catalogue::entry(instance.element),
        "elementId": catalogue::id(instance.element),
        "tags": instance.tags,
        "valid": instance.grant_state == GrantState::Ok,
        "disabled": !instance.enabled,
        "eventsEnabled": events_enabled,
        "externalAuthentication": "none",
        "user": user(),
    });
    // `json!` would copy it, and it can be large.
    shown["configuration"] = mask(&instance.configuration).into_iter().collect();
    shown
}

/// Who owns the instance, in Cloud Elements' accounts. There are none here, and clients read the fields.
fn user() -> Value {
    json!({"id": 1, "emailAddress": "deltapost@localhost", "firstName": "deltapost", "lastName": "agent"})
}
