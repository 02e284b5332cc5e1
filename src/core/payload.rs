//! From changes to bodies: notifications in Cloud Elements' format (protocols, part 4; spec, section 6). The
//! provider's objects go in byte for byte, and each event knows where its object lies.

use jiff::Timestamp;
use serde::Serialize;

use super::model::{Change, ElementKey, Event, EventType, Notification, time_text};

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

/// The notifications that announce `changes`, in order, at most `batch` events in each. `new_id` gives each its id.
pub fn notifications(
    changes: &[Change],
    origin: &Origin<'_>,
    batch: usize,
    new_id: &mut dyn FnMut() -> String,
) -> Vec<Notification> {
    changes
        .chunks(batch.max(1))
        .map(|chunk| notification(chunk, origin, new_id()))
        .collect()
}

/// A notification without events, by which an operator tries an endpoint.
pub fn ping(origin: &Origin<'_>, event_id: String) -> Notification {
    notification(&[], origin, event_id)
}

fn notification(changes: &[Change], origin: &Origin<'_>, event_id: String) -> Notification {
    let poll_date = time_text(origin.poll_date);
    let mut body = Vec::with_capacity(512 + changes.iter().map(size_hint).sum::<usize>());
    put(&mut body, "{\"message\":{\"eventId\":", &event_id);
    put(&mut body, ",\"elementKey\":", origin.element.as_str());
    put(&mut body, ",\"instanceId\":", &origin.instance_id);
    put(&mut body, ",\"instanceName\":", origin.instance_name);
    put(&mut body, ",\"instanceTags\":", origin.instance_tags);
    let events: Vec<_> = changes
        .iter()
        .map(|change| event_json(change, origin, &poll_date))
        .collect();
    put(&mut body, ",\"events\":", &events);
    put(&mut body, ",\"raw\":{\"objectType\":", origin.resource);
    body.extend_from_slice(b",\"objects\":[");
    let mut events = Vec::with_capacity(changes.len());
    for (position, change) in changes.iter().enumerate() {
        if position > 0 {
            body.push(b',');
        }
        let raw = change.raw.as_deref().map(|raw| (body.len(), raw.len()));
        body.extend_from_slice(change.raw.as_deref().unwrap_or("null").as_bytes());
        events.push(Event {
            event_type: change.event_type,
            object_id: change.object_id.clone(),
            object_type: change.object_type.clone(),
            path: change.path.clone(),
            raw,
        });
    }
    put(&mut body, "]}},\"topic\":", origin.resource);
    put(&mut body, ",\"severity\":\"low\",\"date\":", &poll_date);
    body.push(b'}');
    Notification {
        event_id,
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

/// Writes `before` as it is, then `value` as JSON.
fn put<T: Serialize + ?Sized>(body: &mut Vec<u8>, before: &str, value: &T) {
    body.extend_from_slice(before.as_bytes());
    serde_json::to_writer(body, value)
        .expect("strings, numbers and lists of them are JSON, and a Vec takes all bytes");
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
        let sent = notifications(&[change("A", Some(raw))], &origin(&tags), 10, &mut || {
            "0197".to_owned()
        });
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
                                                 batch in 1usize..12) {
            let raws: Vec<Option<String>> =
                raws.into_iter().map(|raw| raw.map(|raw| serde_json::to_string(&raw).expect("json"))).collect();
            let changes: Vec<Change> = raws.iter().map(|raw| change("A", raw.as_deref())).collect();
            let sent = notifications(&changes, &origin(&[]), batch, &mut || "0197".to_owned());
            let found: Vec<Option<String>> = sent.iter().flat_map(|one| one.events.iter().map(|event| {
                event.raw.map(|(start, length)|
                    String::from_utf8(one.body[start..start + length].to_vec()).expect("text"))
            })).collect();
            prop_assert_eq!(found, raws);
            for one in &sent {
                prop_assert!((1..=batch).contains(&one.events.len()));
                prop_assert!(serde_json::from_slice::<serde_json::Value>(&one.body).is_ok());
            }
        }
    }
}
