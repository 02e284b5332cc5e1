//! What an observer was told, replayed on what was there when its instance was created.

use std::collections::{BTreeMap, HashMap};

use super::drive::{Drive, Item, State, version_of};
use super::judge::{Broken, Event, history, who};
use super::world::Observer;

/// What an observer holds an item to be.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sight {
    pub(crate) version: usize,
    pub(crate) name: String,
    pub(crate) parent: String,
}

/// When an item came to be seen as what; `None`: as gone.
pub(crate) type Views = HashMap<String, Vec<(f64, Option<Sight>)>>;

/// Replays what the observer was told. What is impossible goes into `broken`.
pub(crate) fn replay(
    observer: &Observer,
    anchored: bool,
    events: &[Event],
    drive: &Drive,
    broken: &mut Vec<Broken>,
) -> Views {
    let mut known: BTreeMap<String, Sight> = BTreeMap::new();
    for (id, state) in &observer.base {
        let (name, parent) = (state.name.clone(), state.parent.clone());
        known.insert(
            id.clone(),
            Sight {
                version: state.version,
                name,
                parent,
            },
        );
    }
    let mut views = Views::new();
    let near = |at: f64| (at - observer.since).abs() < 60.0;
    for event in events {
        let first = !views.contains_key(&event.object);
        let by_date = |item: &Item| {
            let state = |version| item.states.iter().find(|state| state.version == version);
            let told = version_of(&event.raw).and_then(state);
            first && (near(item.states[0].at) || !anchored && told.is_some_and(|state| near(state.at)))
        };
        let problem = match drive.item(&event.object) {
            // Whether what is as old as the instance is new to it, is seen by its dates only, with 60 s of tolerance.
            Some(item) if by_date(item) => {
                known.remove(&event.object);
                let created = Event {
                    kind: "CREATED".to_owned(),
                    ..event.clone()
                };
                (event.kind != "DELETED")
                    .then(|| judge_event(&created, item, &mut known, first))
                    .flatten()
            }
            Some(item) => judge_event(event, item, &mut known, first),
            None => Some("no such object has ever been there".to_owned()),
        };
        if let Some(problem) = problem {
            let what = format!(
                "{} was told {} of {} at {:.3} (notification {}): {problem}",
                who(observer),
                event.kind,
                event.object,
                event.at,
                event.notification
            );
            broken.push(Broken {
                promise: "invented",
                what,
                history: history(observer, events, drive, &event.object),
            });
        }
        let view = (event.at, known.get(&event.object).cloned());
        views.entry(event.object.clone()).or_default().push(view);
    }
    views
}

/// What is wrong with the event; applies it.
fn judge_event(
    event: &Event,
    item: &Item,
    known: &mut BTreeMap<String, Sight>,
    first: bool,
) -> Option<String> {
    let before = known.get(&event.object).cloned();
    if event.kind == "DELETED" {
        known.remove(&event.object);
        let Some(before) = before else {
            // What came back just before it was first read was there by then, as far as anybody could see.
            let back = item
                .states
                .windows(2)
                .any(|states| !states[0].live && states[1].live);
            return (!(first && back)).then(|| "it was not known".to_owned());
        };
        let gone = item
            .states
            .iter()
            .any(|state| !state.live && state.version > before.version);
        return (!gone).then(|| "it has not been deleted since".to_owned());
    }
    let version = version_of(&event.raw)?;
    let Some(state) = item.states.iter().find(|state| state.version == version) else {
        return Some(format!("version {version} has never been"));
    };
    if event
        .path
        .as_ref()
        .is_some_and(|path| !path.ends_with(&format!("/{}", state.name)))
    {
        return Some(format!(
            "its path is {:?}, and its name {:?}",
            event.path, state.name
        ));
    }
    let sight = Sight {
        version,
        name: state.name.clone(),
        parent: state.parent.clone(),
    };
    known.insert(event.object.clone(), sight.clone());
    // The first reading may have met an item in its new state: what moved cannot be known then.
    let moved = before
        .as_ref()
        .filter(|_| !first)
        .and_then(|before| moved(item, before, state));
    if let Some(moved) = moved.filter(|moved| event.kind == "UPDATED" && *moved != event.changes) {
        return Some(format!(
            "its changes are {:?}, and {moved:?} moved",
            event.changes
        ));
    }
    match (event.kind.as_str(), before) {
        _ if !state.live => Some(format!("version {version} is its deletion")),
        ("CREATED", None) => None,
        // What was gone and restored by the first time that it came by may be told as either.
        ("CREATED" | "UPDATED", _) if first && was_restored(item, version) => None,
        ("CREATED", Some(before)) => Some(format!("it was known as of version {}", before.version)),
        ("UPDATED", None) => Some("it was not known".to_owned()),
        // A folder comes by when something in it changes, too: whether it was renamed before it was first read is not known.
        ("UPDATED", Some(_)) if first && item.folder && event.changes.is_empty() => None,
        ("UPDATED", Some(before)) if item.folder => {
            let moved = (&before.name, &before.parent) != (&sight.name, &sight.parent);
            (!moved).then(|| {
                format!(
                    "neither its name nor its parent moved since version {}",
                    before.version
                )
            })
        }
        ("UPDATED", Some(before)) => {
            (before.version >= version).then(|| format!("version {} was known", before.version))
        }
        (kind, _) => Some(format!("{kind} is no kind of event")),
    }
}

/// Whether the item had been deleted before that version.
fn was_restored(item: &Item, version: usize) -> bool {
    let mut former = item.states.iter().filter(|state| state.version < version);
    former.any(|state| !state.live)
}

/// What an update has to name.
fn moved(item: &Item, before: &Sight, state: &State) -> Option<Vec<&'static str>> {
    let old = item.states.iter().find(|state| state.version == before.version)?;
    let moved = [
        ("content", old.size != state.size && !item.folder),
        ("name", old.name != state.name),
        ("parent", old.parent != state.parent),
    ];
    let named: Vec<&str> = moved
        .iter()
        .filter(|(_, moved)| *moved)
        .map(|(what, _)| *what)
        .collect();
    Some(if named.is_empty() { vec!["metadata"] } else { named })
}
