//! What was promised, held against what arrived. The events of each observer are replayed on what was there when its
//! instance was created: each must say what can have happened then, and in the end it must know what is there.

use std::fmt;

use serde_json::Value;

use super::drive::{Drive, Item, State, version_of};
use super::receivers::Arrival;
use super::replay::{Sight, Views, replay};
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
pub(crate) struct Event {
    pub(crate) at: f64,
    pub(crate) notification: String,
    pub(crate) kind: String,
    pub(crate) object: String,
    pub(crate) path: Option<String>,
    pub(crate) changes: Vec<String>,
    pub(crate) raw: Value,
}

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
        // A row that was gone before anybody read it belongs behind what arrived before it.
        let mut last = 0;
        mine.sort_by_cached_key(|arrival| {
            last = outbox.get(&arrival.id).map_or(last, |row| row.id);
            last
        });
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

pub(crate) fn who(observer: &Observer) -> String {
    format!(
        "{} (instance {}), {}",
        observer.plan.name, observer.instance, observer.resource
    )
}

pub(crate) fn history(observer: &Observer, events: &[Event], drive: &Drive, object: &str) -> Vec<String> {
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
        let views = replay(observer, anchored, &events, &drive, &mut broken);
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

/// Of an observer that is not `anchored`, since its creation got no cursor or a stale one, nobody can know what was
/// deleted or moved before it had been read.
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
        let gone_with_it = !item.latest().live && went_unread(observer, drive, item);
        let base = observer.base.get(&item.id);
        let same_size = base.is_some_and(|state| state.size == item.latest().size);
        let by_date = !anchored && (same_size || !item.latest().live);
        if (gone_with_it || by_date || came_back_unread(observer, item)) && !views.contains_key(&item.id) {
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

/// Whether the item is a folder that came back soon after the creation. Folders come by whenever something in them changes, so
/// that nobody who read it only then can know that it had been gone.
fn came_back_unread(observer: &Observer, item: &Item) -> bool {
    let was_gone = !observer.plan.emit && !observer.base.contains_key(&item.id);
    let mut since = item
        .states
        .iter()
        .filter(|state| state.version > observer.journal);
    let back = since
        .next()
        .is_some_and(|state| state.live && state.at < observer.since + 30.0);
    item.folder && was_gone && back && item.states[0].version <= observer.journal
}

/// Whether the item went with its folder soon after the creation. Where the feed lists the folder alone, nobody who had not
/// read the item before can know of it.
fn went_unread(observer: &Observer, drive: &Drive, item: &Item) -> bool {
    let mut since = item
        .states
        .iter()
        .filter(|state| state.version > observer.journal);
    since.next().is_some_and(|gone| {
        let with = |state: &State| !state.live && (state.at - gone.at).abs() < 1.0;
        let folder = drive.item(&gone.parent);
        !gone.live
            && gone.at < observer.since + 30.0
            && folder.is_some_and(|folder| folder.states.iter().any(with))
    })
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
            let unheard = views.get(&item.id).is_none_or(|views| views[0].0 > due);
            if unheard && !state.live && went_unread(observer, drive, item) {
                continue;
            }
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
