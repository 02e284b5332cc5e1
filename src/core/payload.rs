//! From changes to bodies: notifications in Cloud Elements' format (protocols, part 4; spec, section 6) or as CloudEvents.
//! The provider's objects go in byte for byte, and each event knows where its object lies.

use jiff::Timestamp;
use serde::Serialize;

use super::cloudevents;
use super::model::{Change, ElementKey, Event, EventType, Format, Notification, time_text};

/// What the notifications of one page have in common.
#[derive(Clone, Debug)]
pub struct Origin<'a> {
    pub instance_id: i64,
    pub instance_name: &'a str,
    pub instance_tags: &'a [String],
    pub element: ElementKey,
    /// The resource's name.
    pub resource: &'a str,
    /// When the poll began.
    pub poll_date: Timestamp,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EventJson<'a> {
    event_type: &'a str,
    object_id: &'a str,
    object_type: &'a str,
    element_key: &'a str,
    hub_key: &'a str,
    date: String,
    poll_date: &'a str,
    path: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    changes: Option<Vec<&'a str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    previous: Option<PreviousJson<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PreviousJson<'a> {
    name: Option<&'a str>,
    parent_id: Option<&'a str>,
    path: Option<&'a str>,
}

/// The notifications that announce `changes`, in order, at most `batch` events in each, or one where the format has
/// room for one only. `new_id` gives each its id.
pub fn notifications(
    changes: &[Change],
    origin: &Origin<'_>,
    format: Format,
    batch: usize,
    new_id: &mut dyn FnMut() -> String,
) -> Vec<Notification> {
    let most = if format == Format::CloudEvents {
        1
    } else {
        batch.max(1)
    };
    changes
        .chunks(most)
        .map(|chunk| notification(chunk, origin, format, new_id()))
        .collect()
}

/// A notification without events, by which an operator tries an endpoint; in Cloud Elements' format, since the others
/// have none that is empty.
pub fn ping(origin: &Origin<'_>, event_id: String) -> Notification {
    notification(&[], origin, Format::Elements, event_id)
}

fn notification(changes: &[Change], origin: &Origin<'_>, format: Format, event_id: String) -> Notification {
    let capacity = 512 + changes.iter().map(size_hint).sum::<usize>();
    let mut body = Body {
        bytes: Vec::with_capacity(capacity),
        events: Vec::with_capacity(changes.len()),
    };
    match format {
        Format::Elements => elements(&mut body, changes, origin, &event_id),
        Format::CloudEvents => {
            changes
                .iter()
                .for_each(|change| cloudevents::event(&mut body, change, origin, &event_id));
        }
        Format::CloudEventsBatch => cloudevents::batch(&mut body, changes, origin, &event_id),
    }
    Notification {
        format,
        event_id,
        body: body.bytes,
        events: body.events,
    }
}

/// A body being written, and where the provider's objects went in it.
pub(super) struct Body {
    pub(super) bytes: Vec<u8>,
    events: Vec<Event>,
}

impl Body {
    /// Writes `before` as it is, then `value` as JSON.
    pub(super) fn put<T: Serialize + ?Sized>(&mut self, before: &str, value: &T) {
        self.bytes.extend_from_slice(before.as_bytes());
        serde_json::to_writer(&mut self.bytes, value)
            .expect("strings, numbers and lists of them are JSON, and a Vec takes all bytes");
    }

    /// Writes the provider's object of `change`, byte for byte, or `null`.
    pub(super) fn put_object(&mut self, change: &Change) {
        let raw = change.raw.as_deref().map(|raw| (self.bytes.len(), raw.len()));
        self.bytes
            .extend_from_slice(change.raw.as_deref().unwrap_or("null").as_bytes());
        self.events.push(Event {
            event_type: change.event_type,
            object_id: change.object_id.clone(),
            object_type: change.object_type.clone(),
            path: change.path.clone(),
            raw,
        });
    }
}

fn elements(body: &mut Body, changes: &[Change], origin: &Origin<'_>, event_id: &str) {
    let poll_date = time_text(origin.poll_date);
    body.put("{\"message\":{\"eventId\":", event_id);
    body.put(",\"elementKey\":", origin.element.as_str());
    body.put(",\"instanceId\":", &origin.instance_id);
    body.put(",\"instanceName\":", origin.instance_name);
    body.put(",\"instanceTags\":", origin.instance_tags);
    let events: Vec<_> = changes
        .iter()
        .map(|change| event_json(change, origin, &poll_date))
        .collect();
    body.put(",\"events\":", &events);
    body.put(",\"raw\":{\"objectType\":", origin.resource);
    body.bytes.extend_from_slice(b",\"objects\":[");
    for (position, change) in changes.iter().enumerate() {
        if position > 0 {
            body.bytes.push(b',');
        }
        body.put_object(change);
    }
    body.put("]}},\"topic\":", origin.resource);
    body.put(",\"severity\":\"low\",\"date\":", &poll_date);
    body.bytes.push(b'}');
}

/// The notification that says again what an earlier one said, under an id of its own, so that a receiver that has seen
/// the first does not pass it over; the body names it as `replayOf` (`replayof` in CloudEvents).
///
/// The earlier id is looked for in the body, where only its own places can hold it: it is random, and the provider's
/// objects were written before it was drawn.
pub fn replay(earlier: &Notification, new_id: String) -> Notification {
    let name = if earlier.format == Format::Elements {
        "replayOf"
    } else {
        "replayof"
    };
    let needle = format!("\"{}", earlier.event_id).into_bytes();
    let mut body = Vec::with_capacity(earlier.body.len() + 128);
    let mut events = earlier.events.clone();
    let mut rest = earlier.body.as_slice();
    while let Some(found) = rest.windows(needle.len()).position(|window| window == needle) {
        let (before, here) = rest.split_at(found);
        let (value, after) =
            here.split_at(needle.len() + here[needle.len()..].iter().take_while(|b| **b != b'"').count());
        let suffix = &value[needle.len()..];
        body.extend_from_slice(before);
        let from = earlier.body.len() - rest.len() + found;
        let grown = body.len();
        for part in [
            b"\"",
            new_id.as_bytes(),
            suffix,
            b"\",\"",
            name.as_bytes(),
            b"\":",
            value,
        ] {
            body.extend_from_slice(part);
        }
        let growth = body.len() - grown - value.len();
        for (event, was) in events.iter_mut().zip(&earlier.events) {
            if let (Some((start, _)), Some((began, _))) = (&mut event.raw, was.raw)
                && began > from
            {
                *start += growth;
            }
        }
        rest = after;
    }
    body.extend_from_slice(rest);
    Notification {
        format: earlier.format,
        event_id: new_id,
        body,
        events,
    }
}

fn event_json<'a>(change: &'a Change, origin: &Origin<'_>, poll_date: &'a str) -> EventJson<'a> {
    let updated = change.event_type == EventType::Updated;
    EventJson {
        event_type: change.event_type.as_str(),
        object_id: &change.object_id,
        object_type: &change.object_type,
        element_key: origin.element.as_str(),
        hub_key: origin.element.hub(),
        date: time_text(change.date),
        poll_date,
        path: change.path.as_deref(),
        changes: updated.then(|| change.aspects.iter().map(|aspect| aspect.as_str()).collect()),
        previous: change.previous.as_ref().map(|previous| PreviousJson {
            name: previous.name.as_deref(),
            parent_id: previous.parent_id.as_deref(),
            path: previous.path.as_deref(),
        }),
    }
}

fn size_hint(change: &Change) -> usize {
    400 + change.raw.as_deref().map_or(4, str::len)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn origin<'a>(tags: &'a [String]) -> Origin<'a> {
        Origin {
            instance_id: 1,
            instance_name: "Finance \"quoted\"",
            instance_tags: tags,
            element: ElementKey::OneDriveV2,
            resource: "events",
            poll_date: "2026-03-01T09:35:00.12Z".parse().expect("a time"),
        }
    }

    fn change(id: &str, raw: Option<&str>) -> Change {
        Change {
            event_type: EventType::Updated,
            object_id: id.to_owned(),
            object_type: "file".to_owned(),
            date: "2026-03-01T09:30:00Z".parse().expect("a time"),
            path: Some("/Finance/report.xlsx".to_owned()),
            aspects: vec![crate::core::model::Aspect::Content],
            previous: None,
            raw: raw.map(str::to_owned),
        }
    }

    #[test]
    fn the_body_is_the_one_that_the_spec_shows() {
        let tags = ["Docs".to_owned()];
        let raw = r#"{ "id":"A" ,"big":12345678901234567890}"#;
        let sent = notifications(
            &[change("A", Some(raw))],
            &origin(&tags),
            Format::Elements,
            10,
            &mut || "0197".to_owned(),
        );
        let expect = concat!(
            r#"{"message":{"eventId":"0197","elementKey":"onedrivev2","instanceId":1,"#,
            r#""instanceName":"Finance \"quoted\"","instanceTags":["Docs"],"#,
            r#""events":[{"eventType":"UPDATED","objectId":"A","objectType":"file","elementKey":"onedrivev2","#,
            r#""hubKey":"documents","date":"2026-03-01T09:30:00.000Z","pollDate":"2026-03-01T09:35:00.120Z","#,
            r#""path":"/Finance/report.xlsx","changes":["content"]}],"#,
            r#""raw":{"objectType":"events","objects":[{ "id":"A" ,"big":12345678901234567890}]}},"#,
            r#""topic":"events","severity":"low","date":"2026-03-01T09:35:00.120Z"}"#,
        );
        assert_eq!(String::from_utf8(sent[0].body.clone()).expect("text"), expect);
    }

    proptest! {
        #[test]
        fn each_event_knows_where_its_object_lies(raws in prop::collection::vec(prop::option::of(".{0,20}"), 0..40),
                                                 batch in 1usize..12,
                                                 format in prop::sample::select(Format::ALL)) {
            let raws: Vec<Option<String>> =
                raws.into_iter().map(|raw| raw.map(|raw| serde_json::to_string(&raw).expect("json"))).collect();
            let changes: Vec<Change> = raws.iter().map(|raw| change("A", raw.as_deref())).collect();
            let sent = notifications(&changes, &origin(&[]), format, batch, &mut || "0197".to_owned());
            let found: Vec<Option<String>> = sent.iter().flat_map(|one| one.events.iter().map(|event| {
                event.raw.map(|(start, length)|
                    String::from_utf8(one.body[start..start + length].to_vec()).expect("text"))
            })).collect();
            prop_assert_eq!(found, raws);
            // A replay keeps every object, under a new id, and names the earlier one.
            for one in &sent {
                let again = replay(one, "0198".to_owned());
                let objects = |one: &Notification| -> Vec<Option<Vec<u8>>> {
                    one.events.iter().map(|event| event.raw
                        .map(|(start, length)| one.body[start..start + length].to_vec())).collect()
                };
                prop_assert_eq!(objects(one), objects(&again));
                let text = String::from_utf8(again.body).expect("text");
                prop_assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok(), "{}", text);
                prop_assert_eq!(text.to_lowercase().matches("\"replayof\":\"0197").count(),
                    if format == Format::Elements { 1 } else { one.events.len() });
            }
            for one in &sent {
                prop_assert!((1..=batch).contains(&one.events.len()));
                prop_assert!(serde_json::from_slice::<serde_json::Value>(&one.body).is_ok());
            }
        }
    }
}
