//! What a subscriber can rebuild from events alone. Pure: a tree and events in, a tree out, or all contradictions
//! between them. Tests compare the result with the drive.

use serde_json::Value;

use super::onedrive::{Entry, Tree};
use super::receiver::Received;
use crate::core::model::{Aspect, EventType, ItemKind};

/// Applies `events`, in their order, to the items of `start`.
///
/// # Errors
/// Every event that cannot have happened to what was known before it: a creation of what exists, an update or deletion
/// of what does not, an update whose `changes` are not what moved, a deleted folder with something left in it, or an
/// object that does not describe its item.
pub fn replay<'e>(start: &Tree, events: impl IntoIterator<Item = &'e Received>) -> Result<Tree, Vec<String>> {
    let mut tree = start.clone();
    let mut problems = Vec::new();
    for event in events {
        if let Err(problem) = apply(&mut tree, event) {
            problems.push(format!("{} of {}: {problem}", event.event_type, event.object_id));
        }
    }
    if problems.is_empty() {
        Ok(tree)
    } else {
        Err(problems)
    }
}

fn apply(tree: &mut Tree, event: &Received) -> Result<(), String> {
    let id = event.object_id.as_str();
    match event.event_type {
        EventType::Created => match tree.insert(id.to_owned(), described(event)?) {
            Some(known) => Err(format!("it exists: {known:?}")),
            None => Ok(()),
        },
        EventType::Updated => {
            let entry = described(event)?;
            let known = tree
                .insert(id.to_owned(), entry.clone())
                .ok_or("it is not known")?;
            check_changes(event, &known, &entry)
        }
        EventType::Deleted => {
            tree.remove(id).ok_or("it is not known")?;
            match tree.iter().find(|(_, entry)| entry.parent == id) {
                Some((left, _)) => Err(format!("`{left}` is still in it")),
                None => Ok(()),
            }
        }
    }
}

/// The item that an event's object describes.
fn described(event: &Received) -> Result<Entry, String> {
    let raw = event.raw.as_deref().ok_or("it has no object")?;
    let object: Value =
        serde_json::from_str(raw).map_err(|error| format!("its object is not JSON: {error}"))?;
    let text = |value: &Value| value.as_str().map(str::to_owned);
    if object["id"].as_str() != Some(event.object_id.as_str()) {
        return Err("its object is another one's".to_owned());
    }
    if object["deleted"].is_object() {
        return Err("its object is deleted".to_owned());
    }
    let kinds = [
        ItemKind::RemoteItem,
        ItemKind::Package,
        ItemKind::Folder,
        ItemKind::File,
    ];
    let kind = kinds
        .into_iter()
        .find(|kind| object[kind.as_str()].is_object())
        .ok_or("its object has no facet")?;
    if event.object_type != kind.as_str() {
        return Err(format!(
            "it is announced as `{}`, and is a `{kind}`",
            event.object_type
        ));
    }
    Ok(Entry {
        name: text(&object["name"]).ok_or("its object has no name")?,
        parent: text(&object["parentReference"]["id"]).ok_or("its object has no parent")?,
        kind,
        content: text(&object["file"]["hashes"]["quickXorHash"]).unwrap_or_default(),
    })
}

/// Formats that do not say what changed are not asked; metadata is not in the tree, and may always have moved.
fn check_changes(event: &Received, known: &Entry, entry: &Entry) -> Result<(), String> {
    if event.changes.is_empty() {
        return Ok(());
    }
    for (aspect, moved) in [
        (Aspect::Name, known.name != entry.name),
        (Aspect::Parent, known.parent != entry.parent),
        (Aspect::Content, known.content != entry.content),
    ] {
        if event.changes.iter().any(|change| change == aspect.as_str()) != moved {
            return Err(format!(
                "its changes are {:?}, and {known:?} became {entry:?}",
                event.changes
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(what: &str, id: &str, raw: Option<&str>, changes: &[&str]) -> Received {
        Received {
            event_type: EventType::from_text(what).unwrap(),
            object_id: id.to_owned(),
            object_type: if id.starts_with('d') {
                "folder".to_owned()
            } else {
                "file".to_owned()
            },
            instance: 1,
            path: None,
            changes: changes.iter().map(|change| (*change).to_owned()).collect(),
            previous: None,
            date: String::new(),
            raw: raw.map(str::to_owned),
        }
    }

    fn object(id: &str, name: &str, parent: &str) -> String {
        let facet = if id.starts_with('d') { "folder" } else { "file" };
        format!(r#"{{"id":"{id}","name":"{name}","parentReference":{{"id":"{parent}"}},"{facet}":{{}}}}"#)
    }

    /// Type, id, name and parent (none: no object), changes.
    type Step = (
        &'static str,
        &'static str,
        Option<(&'static str, &'static str)>,
        &'static [&'static str],
    );

    #[track_caller]
    fn check(steps: &[Step], expect: Result<&str, &str>) {
        let events: Vec<Received> = steps
            .iter()
            .map(|(what, id, facts, changes)| {
                let raw = facts.map(|(name, parent)| object(id, name, parent));
                event(what, id, raw.as_deref(), changes)
            })
            .collect();
        match (replay(&Tree::new(), &events), expect) {
            (Ok(tree), Ok(expect)) => {
                let items: Vec<_> = tree
                    .iter()
                    .map(|(id, entry)| format!("{id}={}<{}", entry.name, entry.parent))
                    .collect();
                assert_eq!(items.join(" "), expect);
            }
            (Err(problems), Err(expect)) => assert!(problems[0].contains(expect), "{problems:?}"),
            (got, expect) => panic!("{got:?} instead of {expect:?}"),
        }
    }

    const A: Step = ("CREATED", "a", Some(("A", "d")), &[]);
    const D: Step = ("CREATED", "d", Some(("D", "r")), &[]);

    #[test]
    fn events_rebuild_the_tree() {
        check(&[A, D], Ok("a=A<d d=D<r"));
        check(
            &[A, D, ("UPDATED", "a", Some(("B", "r")), &["name", "parent"])],
            Ok("a=B<r d=D<r"),
        );
        check(
            &[A, ("UPDATED", "a", Some(("A", "d")), &["metadata"])],
            Ok("a=A<d"),
        );
        check(
            &[A, D, ("DELETED", "a", None, &[]), ("DELETED", "d", None, &[])],
            Ok(""),
        );
    }

    #[test]
    fn what_cannot_have_happened_is_told() {
        check(&[A, A], Err("it exists"));
        check(&[("UPDATED", "a", Some(("A", "d")), &[])], Err("it is not known"));
        check(&[("DELETED", "a", None, &[])], Err("it is not known"));
        check(&[D, A, ("DELETED", "d", None, &[])], Err("`a` is still in it"));
        check(&[("CREATED", "a", None, &[])], Err("no object"));
        check(
            &[A, ("UPDATED", "a", Some(("B", "d")), &["content"])],
            Err("its changes are"),
        );
        check(
            &[A, ("UPDATED", "a", Some(("A", "d")), &["name"])],
            Err("its changes are"),
        );
    }
}
