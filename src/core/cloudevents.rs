//! Bodies as CloudEvents 1.0 (JSON event format; structured and batched mode of the HTTP binding).

use super::model::{Change, EventType, time_text};
use super::payload::{Body, Origin};

/// Writes one event under `id`.
pub(super) fn event(body: &mut Body, change: &Change, origin: &Origin<'_>, id: &str) {
    let source = format!(
        "/deltapost/instances/{}/resources/{}",
        origin.instance_id,
        encoded(origin.resource)
    );
    let happened = match change.event_type {
        EventType::Created => "created",
        EventType::Updated => "updated",
        EventType::Deleted => "deleted",
    };
    let object_type = change.object_type.to_lowercase();
    body.put("{\"specversion\":\"1.0\",\"id\":", id);
    body.put(",\"source\":", &source);
    body.put(
        ",\"type\":",
        &format!("com.microsoft.onedrive.{object_type}.{happened}"),
    );
    body.put(",\"subject\":", &change.object_id);
    body.put(",\"time\":", &time_text(change.date));
    // Attributes are text of at most 32 bits' worth of number: an id is text here.
    body.put(",\"instanceid\":", &origin.instance_id.to_string());
    if let Some(path) = &change.path {
        body.put(",\"path\":", path);
    }
    if let Some(name) = change
        .previous
        .as_ref()
        .and_then(|previous| previous.name.as_deref())
    {
        body.put(",\"previousname\":", name);
    }
    body.put(",\"datacontenttype\":", "application/json");
    body.bytes.extend_from_slice(b",\"data\":");
    body.put_object(change);
    body.bytes.push(b'}');
}

/// Writes a batch: `source` and `id` are unique for each event, the id being the notification's and a number.
pub(super) fn batch(body: &mut Body, changes: &[Change], origin: &Origin<'_>, id: &str) {
    body.bytes.push(b'[');
    for (position, change) in changes.iter().enumerate() {
        if position > 0 {
            body.bytes.push(b',');
        }
        event(body, change, origin, &format!("{id}-{position}"));
    }
    body.bytes.push(b']');
}

/// A resource's name as a segment of a URI (RFC 3986, 2.1).
fn encoded(name: &str) -> String {
    let mut segment = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => segment.push(byte.into()),
            _ => segment.push_str(&format!("%{byte:02X}")),
        }
    }
    segment
}
