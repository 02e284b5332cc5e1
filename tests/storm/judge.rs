//! What was promised, held against what arrived. The events of each observer are replayed on what was there when its
//! instance was created: each must say what can have happened then, and in the end it must know what is there.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use serde_json::Value;

use super::drive::{Drive, Item, State, version_of};
use super::receivers::Arrival;
use super::world::{Observer, World};

/// A promise that was broken.
#[derive(Clone, Debug)]
pub(crate) struct Broken {
    pub(crate) promise: &'static str,
    pub(crate) what: String,
    /// What the model knows of the object.
    pub(crate) history: Vec<String>,
}

impl fmt::Display for Broken {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.promise.to_uppercase(), self.what)?;
        self.history
            .iter()
            .try_for_each(|line| write!(out, "\n        {line}"))
    }
}

/// An event as it was first accepted.
#[derive(Clone)]
struct Event {
    at: f64,
    notification: String,
    kind: String,
    object: String,
    path: Option<String>,
    changes: Vec<String>,
    raw: Value,
}

/// What an observer holds an item to be.
#[derive(Clone, Debug, PartialEq)]
struct Sight {
    version: usize,
    name: String,
    parent: String,
}

/// When an item came to be seen as what; `None`: as gone.
type Views = HashMap<String, Vec<(f64, Option<Sight>)>>;

/// Everything that has arrived, by notification.
pub(crate) struct Record {
    /// First acceptances, in the order of arrival.
    pub(crate) accepted: Vec<Arrival>,
    pub(crate) arrivals: Vec<Arrival>,
}

impl Record {
    pub(crate) fn read(world: &World) -> Record {
        let arrivals = world.receivers.arrivals();
        let mut seen = std::collections::HashSet::new();
        let first = arrivals
            .iter()
            .filter(|arrival| arrival.accepted && seen.insert(arrival.id.clone()));
        Record {
            accepted: first.cloned().collect(),
            arrivals,
        }
    }

    /// The observer's events in the order of detection, without what was asked for again.
    fn events(&self, world: &World, observer: &Observer) -> Vec<Event> {
        let outbox = world.outbox.lock().unwrap();
        let mine = self.accepted.iter().filter(|arrival| {
            let message = &arrival.body["message"];
            message["instanceId"] == observer.instance
                && message["raw"]["objectType"] == observer.resource.as_str()
        });
        let mut mine: Vec<&Arrival> = mine
            .filter(|arrival| arrival.body["message"]["replayOf"].is_null())
            .collect();
        mine.sort_by_key(|arrival| outbox.get(&arrival.id).map_or(0, |row| row.id));
        let mut events = Vec::new();
        for arrival in mine {
            let message = &arrival.body["message"];
            let objects = message["raw"]["objects"].as_array();
            for (at, event) in message["events"].as_array().into_iter().flatten().enumerate() {
                events.push(Event {
                    at: arrival.at,
                    notification: arrival.id.clone(),
                    kind: event["eventType"].as_str().unwrap_or_default().to_owned(),
                    object: event["objectId"].as_str().unwrap_or_default().to_owned(),
                    path: event["path"].as_str().map(str::to_owned),
                    changes: serde_json::from_value(event["changes"].clone()).unwrap_or_default(),
                    raw: objects
                        .and_then(|objects| objects.get(at))
                        .cloned()
                        .unwrap_or_default(),
                });
            }
        }
        events
    }
}

/// Replays what the observer was told. What is impossible goes into `broken`.
fn replay(observer: &Observer, events: &[Event], drive: &Drive, broken: &mut Vec<Broken>) -> Views {
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
    for event in events {
        let first = !views.contains_key(&event.object);
        let problem = match drive.item(&event.object) {
            // Whether what is as old as the instance is new to it, is seen by its dates only, with 60 s of tolerance.
            Some(item)
                if !views.contains_key(&event.object)
                    && (item.states[0].at - observer.since).abs() < 60.0 =>
            {
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
            return Some("it was not known".to_owned());
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

fn who(observer: &Observer) -> String {
    format!(
        "{} (instance {}), {}",
        observer.plan.name, observer.instance, observer.resource
    )
}

fn history(observer: &Observer, events: &[Event], drive: &Drive, object: &str) -> Vec<String> {
    let mut lines = vec![(
        observer.since,
        format!("creation answered, with version {} the latest", observer.journal),
    )];
    for state in drive.item(object).into_iter().flat_map(|item| &item.states) {
        let is = if state.live { "is" } else { "is gone" };
        let what = format!(
            "version {} {is}: {:?} in {}",
            state.version, state.name, state.parent
        );
        lines.push((state.at, what));
    }
    for event in events.iter().filter(|event| event.object == object) {
        let version = version_of(&event.raw).map_or("?".to_owned(), |version| version.to_string());
        lines.push((
            event.at,
            format!("-> {} version {version}, in {}", event.kind, event.notification),
        ));
    }
    lines.sort_by(|one, other| one.0.total_cmp(&other.0));
    lines
        .into_iter()
        .map(|(at, what)| format!("{at:.3} {what}"))
        .collect()
}

/// Nothing lost, nothing invented.
pub(crate) fn changes(world: &World, record: &Record, late_too: bool) -> Vec<Broken> {
    let observers = world.observers.lock().unwrap().clone();
    let mut broken = Vec::new();
    for observer in &observers {
        let events = record.events(world, observer);
        let drive = world.provider.drive(observer.drive);
        let anchored = world
            .provider
            .anchored(&observer.plan.name, observer.drive, observer.since);
        // Without a cursor from the creation dates decide what is new, and nobody knows by how much that date was wrong.
        if observer.by_wrong_clock && !anchored {
            continue;
        }
        let views = replay(observer, &events, &drive, &mut broken);
        if !observer.deleted {
            completeness(observer, anchored, &events, &drive, &views, &mut broken);
        }
        if late_too && observer.plan.healthy {
            lateness(world, observer, &events, &drive, &views, &mut broken);
        }
    }
    broken
}

fn sight_at(observer: &Observer, views: &Views, object: &str, at: f64) -> Option<Sight> {
    let seen = views
        .get(object)
        .into_iter()
        .flatten()
        .rev()
        .find(|(when, _)| *when <= at);
    match seen {
        Some((_, sight)) => sight.clone(),
        None => observer.base.get(object).map(|state| Sight {
            version: state.version,
            name: state.name.clone(),
            parent: state.parent.clone(),
        }),
    }
}

/// How what is known falls short of what is there.
fn shortfall(item: &Item, version: usize, sight: Option<&Sight>) -> Option<String> {
    let state = item.when(version)?;
    match (state.live, sight) {
        (true, None) => Some("it is there, and that was never told".to_owned()),
        (false, Some(sight)) if sight.version < version => {
            Some("it is gone, and that was never told".to_owned())
        }
        (true, Some(sight)) if item.folder => {
            let same = (&sight.name, &sight.parent) == (&state.name, &state.parent);
            (!same && sight.version < version)
                .then(|| format!("version {version} moved it, and {} was told last", sight.version))
        }
        (true, Some(sight)) => (sight.version < version)
            .then(|| format!("version {version} is there, and {} was told last", sight.version)),
        (false, _) => None,
    }
}

/// Of an observer that is not `anchored`, since the provider gave its creation no cursor, nobody can know what was deleted
/// before it had been read.
fn completeness(
    observer: &Observer,
    anchored: bool,
    events: &[Event],
    drive: &Drive,
    views: &Views,
    broken: &mut Vec<Broken>,
) {
    for item in &drive.items[1..] {
        let sight = sight_at(observer, views, &item.id, f64::MAX);
        // Nor, where the feed lists a folder alone, what was in one that was deleted soon.
        let of_folder = (drive.item(&item.latest().parent)).is_some_and(|folder| !folder.latest().live);
        let unseen = !anchored || (of_folder && item.latest().at < observer.since + 30.0);
        if unseen && !item.latest().live && !views.contains_key(&item.id) {
            continue;
        }
        if let Some(problem) = shortfall(item, item.latest().version, sight.as_ref()) {
            broken.push(Broken {
                promise: "lost",
                what: format!("{}, object {}: {problem}", who(observer), item.id),
                history: history(observer, events, drive, &item.id),
            });
        }
    }
}

/// The schedule's interval, and what may be added to it.
const GRACE: f64 = 5.0;

/// Each change that stood long enough was told in time, but for the times that are excused.
fn lateness(
    world: &World,
    observer: &Observer,
    events: &[Event],
    drive: &Drive,
    views: &Views,
    broken: &mut Vec<Broken>,
) {
    let excuses = world.excuses.lock().unwrap().clone();
    let allowed = observer.plan.every as f64 + GRACE;
    for item in &drive.items[1..] {
        for (at, state) in item.states.iter().enumerate() {
            let due = deadline(state.at, allowed, &excuses);
            let superseded = item.states.get(at + 1).is_some_and(|next| next.at < due);
            if state.at < observer.since || superseded || due > super::dice::now() {
                continue;
            }
            let sight = sight_at(observer, views, &item.id, due);
            if let Some(problem) = shortfall(item, state.version, sight.as_ref()) {
                let what = format!(
                    "{}, object {}: changed at {:.3} and to be told by {due:.3}, then {problem}",
                    who(observer),
                    item.id,
                    state.at
                );
                broken.push(Broken {
                    promise: "late",
                    what,
                    history: history(observer, events, drive, &item.id),
                });
            }
        }
    }
}

/// `allowed` seconds after `from`, not counting what is excused.
fn deadline(from: f64, allowed: f64, excuses: &[(f64, f64)]) -> f64 {
    let mut excuses = excuses.to_vec();
    excuses.sort_by(|one, other| one.0.total_cmp(&other.0));
    let (mut at, mut left) = (from, allowed);
    for (begin, end) in excuses {
        if end <= at {
            continue;
        }
        if at + left <= begin {
            break;
        }
        left -= (begin - at).max(0.0);
        at = end;
    }
    at + left
}

pub(crate) fn plain(promise: &'static str, what: String) -> Broken {
    Broken {
        promise,
        what,
        history: Vec::new(),
    }
}
