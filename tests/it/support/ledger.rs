//! What must hold of everything that was delivered, whatever the drive and the network have been through. Each check
//! panics with what is wrong.

use std::collections::{BTreeMap, BTreeSet};

use deltapost::core::model::{EventType, ItemKind};
use deltapost::sim::onedrive::Tree;
use deltapost::sim::receiver::Received;
use deltapost::sim::replay::replay;
use serde_json::Value;

use super::Site;

/// All is delivered: once each, verified, and in the order in which it was written.
#[track_caller]
pub(crate) fn check_deliveries(site: &Site) {
    assert_eq!(site.receiver.counts().duplicates, 0);
    check_order(site, |arrived| {
        // A repetition after a failure stands where it first came.
        arrived.dedup();
    });
}

/// The same after kills, which may have what was accepted just before delivered once more.
#[track_caller]
pub(crate) fn check_deliveries_after_kills(site: &Site) {
    check_order(site, |arrived| {
        let mut seen = BTreeSet::new();
        arrived.retain(|id| seen.insert(id.clone()));
    });
}

/// All is verified, delivered, and of each instance what is left by `once` is in the order of the outbox.
#[track_caller]
fn check_order(site: &Site, once: impl Fn(&mut Vec<String>)) {
    let deliveries = site.receiver.deliveries();
    for delivery in &deliveries {
        let body = String::from_utf8_lossy(&delivery.body);
        assert_eq!(delivery.verdict, Ok(()), "{body}");
    }
    let counts = site.receiver.counts();
    assert_eq!((counts.changed, counts.unverified), (0, 0));
    let waiting = site.cell("SELECT count(*) FROM outbox WHERE state <> 'delivered'");
    assert_eq!(waiting, "0");
    for row in site.sql("SELECT id FROM instance") {
        let instance = &row[0];
        let written = site.sql(&format!(
            "SELECT event_id FROM outbox WHERE instance_id = {instance} ORDER BY id"
        ));
        let written = written.concat();
        let of_instance: BTreeSet<&String> = written.iter().collect();
        let ids = deliveries.iter().map(|delivery| delivery.id.clone());
        let mut arrived: Vec<String> = ids.filter(|id| of_instance.contains(id)).collect();
        once(&mut arrived);
        assert_eq!(
            arrived, written,
            "instance {instance}: not in the order of the outbox"
        );
    }
}

/// Replayed on `start`, the events give the tree `expect`, and each of them says what can have happened then.
#[track_caller]
pub(crate) fn check_replay(start: &Tree, events: &[Received], expect: &Tree) {
    check_meaning(events);
    let tree = replay(start, events).unwrap_or_else(|problems| panic!("{problems:#?}"));
    let mut differences = Vec::new();
    for id in tree.keys().chain(expect.keys()).collect::<BTreeSet<_>>() {
        let (got, want) = (tree.get(id), expect.get(id));
        if got != want {
            let story: Vec<String> = events
                .iter()
                .filter(|event| event.object_id == *id)
                .map(|event| format!("{} {:?}", event.event_type, event.changes))
                .collect();
            differences.push(format!("{id}: {got:?}, but it is {want:?}; told: {story:?}"));
        }
    }
    assert!(differences.is_empty(), "{differences:#?}");
}

/// An update says what moved, and something did; a deletion says what was known last.
#[track_caller]
fn check_meaning(events: &[Received]) {
    let mut known: BTreeMap<&str, Value> = BTreeMap::new();
    for event in events {
        let id = event.object_id.as_str();
        let object: Option<Value> = event.raw.as_deref().map(|raw| serde_json::from_str(raw).unwrap());
        match event.event_type {
            EventType::Created => check_path(event, &object),
            EventType::Updated => {
                check_path(event, &object);
                // Of what changed before it had been read for the first time it is not known what moved.
                assert!(
                    !event.changes.is_empty() || !known.contains_key(id),
                    "{event:?} does not say what moved"
                );
                if let (Some(was), Some(is)) = (known.get(id), &object) {
                    assert!(
                        moved(event, was, is),
                        "nothing moved in {event:?}, which was {was}"
                    );
                }
            }
            EventType::Deleted => check_previous(event, known.get(id)),
        }
        match object.filter(|_| event.event_type != EventType::Deleted) {
            Some(object) => drop(known.insert(id, object)),
            None => drop(known.remove(id)),
        }
    }
}

/// For a folder only name and parent count; for everything else its tag, too.
fn moved(event: &Received, was: &Value, is: &Value) -> bool {
    let differs = |pointer: &str| was.pointer(pointer) != is.pointer(pointer);
    let placed = differs("/name") || differs("/parentReference/id");
    placed || (event.object_type != ItemKind::Folder.as_str() && differs("/eTag"))
}

/// A path, where there is one, ends in the object's name.
#[track_caller]
fn check_path(event: &Received, object: &Option<Value>) {
    let name = object.as_ref().and_then(|object| object["name"].as_str());
    if let (Some(path), Some(name)) = (&event.path, name) {
        assert!(path.ends_with(&format!("/{name}")), "{event:?}");
    }
}

#[track_caller]
fn check_previous(event: &Received, known: Option<&Value>) {
    let previous = event.previous.as_ref().expect("a deletion says what was");
    if let Some(known) = known {
        assert_eq!(previous["name"], known["name"], "{event:?}");
        assert_eq!(previous["parentId"], known["parentReference"]["id"], "{event:?}");
    }
}
