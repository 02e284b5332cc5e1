//! The events in a notification's body, read in each of its formats, with the provider's objects byte for byte.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::core::model::EventType;

/// One event, as it was received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// `eventType`.
    pub event_type: EventType,
    /// `objectId`.
    pub object_id: String,
    /// `objectType`.
    pub object_type: String,
    /// The instance's id.
    pub instance: i64,
    /// From the drive's root; `None` where it is `null`.
    pub path: Option<String>,
    /// What moved, in an update; empty in formats that do not say.
    pub changes: Vec<String>,
    /// What was last known of a deleted object.
    pub previous: Option<Value>,
    /// When it happened, as written.
    pub date: String,
    /// The provider's object, byte for byte; `None` where it is `null`.
    pub raw: Option<String>,
}

#[derive(Deserialize)]
struct Elements<'b> {
    #[serde(borrow)]
    message: Message<'b>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Message<'b> {
    event_id: String,
    instance_id: i64,
    events: Vec<Event>,
    #[serde(borrow)]
    raw: Raw<'b>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    event_type: String,
    object_id: String,
    object_type: String,
    date: String,
    path: Option<String>,
    #[serde(default)]
    changes: Vec<String>,
    previous: Option<Value>,
}

#[derive(Deserialize)]
struct Raw<'b> {
    #[serde(borrow)]
    objects: Vec<&'b RawValue>,
}

#[derive(Deserialize)]
struct CloudEvent<'b> {
    specversion: String,
    #[serde(rename = "type")]
    kind: String,
    subject: String,
    time: String,
    instanceid: Value,
    path: Option<String>,
    #[serde(borrow)]
    data: Option<&'b RawValue>,
}

/// How many events a body has, roughly and quickly.
pub(super) fn count(body: &[u8]) -> u64 {
    let body = str::from_utf8(body).unwrap_or_default();
    match body.matches("\"eventType\":").count() {
        0 => body.matches("\"specversion\":").count() as u64,
        count => count as u64,
    }
}

/// The body's own id, where its format has one, and its events.
///
/// # Errors
/// What is wrong with the body, in words.
pub(super) fn read(content_type: &str, body: &[u8]) -> Result<(Option<String>, Vec<Received>), String> {
    let fault = |error: serde_json::Error| format!("the body is not as documented: {error}");
    match content_type.split(';').next().unwrap_or_default().trim() {
        "application/cloudevents+json" => {
            let event = serde_json::from_slice(body).map_err(fault)?;
            Ok((None, vec![from_cloud_event(event)?]))
        }
        "application/cloudevents-batch+json" => {
            let events: Vec<CloudEvent<'_>> = serde_json::from_slice(body).map_err(fault)?;
            Ok((
                None,
                events
                    .into_iter()
                    .map(from_cloud_event)
                    .collect::<Result<_, _>>()?,
            ))
        }
        "application/json" => {
            let Elements { message } = serde_json::from_slice(body).map_err(fault)?;
            let (events, objects) = (message.events, message.raw.objects);
            if events.len() != objects.len() {
                return Err(format!(
                    "{} events have {} raw objects",
                    events.len(),
                    objects.len()
                ));
            }
            let pairs = events.into_iter().zip(objects);
            let events = pairs.map(|(event, raw)| from_elements(message.instance_id, event, raw));
            Ok((Some(message.event_id), events.collect::<Result<_, _>>()?))
        }
        other => Err(format!("the content type {:?} is not documented", bounded(other))),
    }
}

fn from_elements(instance: i64, event: Event, raw: &RawValue) -> Result<Received, String> {
    Ok(Received {
        event_type: event_type(&event.event_type)?,
        object_id: event.object_id,
        object_type: event.object_type,
        instance,
        path: event.path,
        changes: event.changes,
        previous: event.previous,
        date: event.date,
        raw: present(raw),
    })
}

fn from_cloud_event(event: CloudEvent<'_>) -> Result<Received, String> {
    let kind = event
        .kind
        .strip_prefix("com.microsoft.onedrive.")
        .and_then(|rest| rest.split_once('.'));
    let (object_type, happened) =
        kind.ok_or_else(|| format!("the type {:?} is not documented", bounded(&event.kind)))?;
    if event.specversion != "1.0" {
        return Err("`specversion` is not `1.0`".to_owned());
    }
    // CloudEvents knows 32-bit integers only, so that an id may come as a string.
    let instance = event
        .instanceid
        .as_i64()
        .or_else(|| event.instanceid.as_str()?.parse().ok());
    Ok(Received {
        event_type: event_type(&happened.to_ascii_uppercase())?,
        object_id: event.subject,
        object_type: object_type.to_owned(),
        instance: instance.ok_or("`instanceid` is not a number")?,
        path: event.path,
        changes: Vec::new(),
        previous: None,
        date: event.time,
        raw: event.data.and_then(present),
    })
}

fn present(raw: &RawValue) -> Option<String> {
    (raw.get() != "null").then(|| raw.get().to_owned())
}

fn event_type(text: &str) -> Result<EventType, String> {
    EventType::from_text(text).ok_or_else(|| format!("the event type {:?} is not documented", bounded(text)))
}

fn bounded(text: &str) -> String {
    text.chars().take(100).collect()
}
