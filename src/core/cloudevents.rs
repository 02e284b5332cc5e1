//! Bodies as CloudEvents 1.0 (JSON event format; structured and batched mode of the HTTP binding).

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::model::{Change, EventType, time_text};
use super::payload::{Body, Origin};

/// Writes one event under `id`.
pub(super) fn event(body: &mut Body, change: &Change, origin: &Origin<'_>, id: &str) {
    let source = format!(
        "/deltapost/instances/{}/resources/{}",
        origin.instance_id,
        utf8_percent_encode(origin.resource, UNRESERVED)
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

/// What a segment of a URI holds as it is (RFC 3986, 2.3).
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');
