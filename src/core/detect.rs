//! What changed: a page of the feed held against the known items. Deletions are only staged here, since the feed may
//! list a folder's deletion before a child's move out of it; `deletion` names each one when the set has been read.

use std::collections::{HashMap, HashSet};

use jiff::{SignedDuration, Timestamp};

use super::first::{FirstReading, Verdict};
use super::model::{
    Aspect, BaselineMode, Change, EventType, FeedItem, Filter, Item, ItemKind, LONGEST, Page, Phase, Previous,
};
use super::{fingerprint, glob, properties};

/// How long before the cursor's start an object may have been created and still count as new (spec, section 6).
const CREATED_TOLERANCE: SignedDuration = SignedDuration::from_secs(60);

/// A parent chain longer than this is a loop: OneDrive paths have at most 400 characters.
const DEEPEST: usize = 512;

/// The items that bear on a page: those it names and the chains of parents above them.
pub type Known = HashMap<String, Item>;

/// What stays the same for every object of a page.
#[derive(Clone, Debug)]
pub struct Rules<'a> {
    /// The resource's name: the `objectType` of objects without a drive item's facets.
    pub resource: &'a str,
    pub phase: Phase,
    /// Nothing is announced: what exists is being learnt.
    pub silent: bool,
    pub baseline: BaselineMode,
    /// Until what has changed since the creation is announced.
    pub first: Option<FirstReading<'a>>,
    /// When the resource's first cursor began.
    pub started_at: Timestamp,
    pub filter: &'a Filter,
    /// Ids whose gained or lost relations were announced when an earlier piece of this page was read before.
    pub repeated: HashSet<String>,
    /// When this poll began.
    pub poll_date: Timestamp,
}

/// A deletion that waits for the end of its set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StagedDeletion {
    pub object_id: String,
    /// The provider's object.
    pub raw: String,
}

/// What a page means.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Detected {
    /// To be announced, in the order of the page.
    pub changes: Vec<Change>,
    /// To be remembered as they are now.
    pub upserts: Vec<Item>,
    /// Ids seen alive: what an earlier page staged against them is void.
    pub alive: Vec<String>,
    pub staged: Vec<StagedDeletion>,
    /// Ids that a first reading announces, or would without the filter.
    pub told: Vec<String>,
    /// Objects in which nothing moved.
    pub unchanged: u64,
    /// Changes that the instance's filter keeps back.
    pub filtered: u64,
}

/// Holds `page` against `known`. An id that the page lists twice counts as its last occurrence.
pub fn page(page: &Page<'_>, mut known: Known, rules: &Rules<'_>) -> Detected {
    let last: HashMap<&str, usize> = page
        .items
        .iter()
        .enumerate()
        .map(|(position, item)| (item.id.as_str(), position))
        .collect();
    let mut found = Detected::default();
    let inside = inside(page, &known, rules.filter);
    let mut changed = Vec::new();
    for (position, seen) in page.items.iter().enumerate() {
        if last[seen.id.as_str()] != position {
            continue;
        }
        if seen.deleted {
            stage(seen, &mut known, rules, &mut found);
            continue;
        }
        let before = known.get(&seen.id);
        let after = remember(before, seen);
        let compared = compare(before, &after, seen, rules);
        let change = match &rules.first {
            Some(_) if after.kind == ItemKind::Root => None,
            Some(first) => first.judge(seen, before.is_some(), compared.clone(), rules.silent),
            None => compared.clone().filter(|_| !rules.silent),
        };
        found.alive.push(seen.id.clone());
        // While everything is read, whatever is seen is written: it then bears the generation that saw it.
        if before != Some(&after) || rules.phase != Phase::Following {
            found.upserts.push(after.clone());
        }
        match change {
            Some(change) => changed.push((position, change)),
            None => found.unchanged += u64::from(compared.is_none()),
        }
        known.insert(seen.id.clone(), after);
    }
    if rules.first.is_some() {
        found.told = changed.iter().map(|(at, _)| page.items[*at].id.clone()).collect();
    }
    // Paths are told when the whole page is known, since a child may stand before its parent.
    for (position, (event_type, aspects)) in changed {
        let seen = &page.items[position];
        let change = Change {
            event_type,
            object_id: announced_id(&known[&seen.id]),
            object_type: object_type(known[&seen.id].kind, rules.resource),
            date: seen.modified.unwrap_or(rules.poll_date),
            path: path(&seen.id, &known),
            aspects,
            previous: None,
            raw: Some(seen.raw.to_owned()),
        };
        // Whoever was told of it, and would hear no more, hears where it went.
        let leaves = event_type == EventType::Updated && inside.contains(seen.id.as_str());
        if wanted(&change, rules.filter) || (leaves && kind_wanted(&change, rules.filter)) {
            found.changes.push(change);
        } else {
            found.filtered += 1;
        }
    }
    found
}

/// The event of one deletion, or `None` where the filter keeps it back. `known` holds the item's parents as they are
/// when the set has been read.
pub fn deletion(item: &Item, raw: Option<String>, known: &Known, rules: &Rules<'_>) -> Option<Change> {
    if item.kind == ItemKind::Root {
        return None;
    }
    let path = path(&item.id, known);
    let change = Change {
        event_type: EventType::Deleted,
        object_id: announced_id(item),
        object_type: object_type(item.kind, rules.resource),
        date: rules.poll_date,
        path: path.clone(),
        aspects: Vec::new(),
        previous: Some(Previous {
            name: item.name.clone(),
            parent_id: item.parent_id.clone(),
            path,
        }),
        raw,
    };
    wanted(&change, rules.filter).then_some(change)
}

/// The path of an item from its drive's root, or `None` where a parent or a name is not known, or it exceeds 4 KiB.
pub fn path(id: &str, known: &Known) -> Option<String> {
    let (mut names, mut length) = (Vec::new(), 0);
    let mut item = known.get(id)?;
    while item.kind != ItemKind::Root {
        let name = item.name.as_deref()?;
        length += 1 + name.len();
        if names.len() == DEEPEST || length > LONGEST {
            return None;
        }
        names.push(name);
        item = known.get(item.parent_id.as_deref()?)?;
    }
    names.reverse();
    Some(format!("/{}", names.join("/")))
}

/// Stages a listed deletion. One of an object that nobody was told of is no event, but it takes with it what is known
/// to lie in the object: a child may have been listed alive on an earlier page than its new folder, which is gone by
/// then. A resource that started at a moment never learnt what existed before, and tells of its deletion; so does a
/// first reading, of what it came too late to see.
fn stage(seen: &FeedItem<'_>, known: &mut Known, rules: &Rules<'_>, found: &mut Detected) {
    if seen.kind == ItemKind::Root {
        found.unchanged += 1;
        return;
    }
    if !known.contains_key(&seen.id) {
        let first = rules.first.filter(|_| !rules.silent);
        if rules.baseline == BaselineMode::Latest || first.is_some_and(|first| first.loses(seen)) {
            let item = remember(None, seen);
            found.upserts.push(item.clone());
            known.insert(seen.id.clone(), item);
        } else {
            found.unchanged += 1;
        }
    }
    found.staged.push(StagedDeletion {
        object_id: seen.id.clone(),
        raw: seen.raw.to_owned(),
    });
}

/// The item as it is after `seen`: what the feed leaves out stays as it was known.
fn remember(before: Option<&Item>, seen: &FeedItem<'_>) -> Item {
    let (content, metadata) = (fingerprint::content(seen), fingerprint::metadata(seen));
    let Some(before) = before else {
        return Item {
            id: seen.id.clone(),
            announced_id: seen.announced_id.clone(),
            name: seen.name.clone(),
            parent_id: seen.parent_id.clone(),
            kind: seen.kind,
            content,
            metadata,
        };
    };
    Item {
        id: seen.id.clone(),
        announced_id: seen.announced_id.clone().or_else(|| before.announced_id.clone()),
        name: seen.name.clone().or_else(|| before.name.clone()),
        parent_id: seen.parent_id.clone().or_else(|| before.parent_id.clone()),
        kind: if seen.kind == ItemKind::Object {
            before.kind
        } else {
            seen.kind
        },
        content: fingerprint::adopt(&before.content, &content),
        metadata: fingerprint::adopt(&before.metadata, &metadata),
    }
}

/// Whether a live object changed, how, and in what. A folder reappears whenever something below it changes, so only
/// its name and parent count; a file's eTag and time move with every other change, so they count when alone.
fn compare(before: Option<&Item>, after: &Item, seen: &FeedItem<'_>, rules: &Rules<'_>) -> Option<Verdict> {
    if after.kind == ItemKind::Root {
        return None;
    }
    let Some(before) = before else {
        let latest = rules.baseline == BaselineMode::Latest;
        let since = rules
            .started_at
            .saturating_sub(CREATED_TOLERANCE)
            .unwrap_or(Timestamp::MIN);
        let old = latest && seen.created.is_some_and(|created| created < since);
        let event_type = if old {
            EventType::Updated
        } else {
            EventType::Created
        };
        return Some((event_type, Vec::new()));
    };
    let mut aspects = Vec::new();
    let folder = after.kind == ItemKind::Folder;
    // What a relation gained or lost is told once, in a set of changes; a full enumeration lists all there is.
    let relations = after.kind == ItemKind::Object
        && rules.phase == Phase::Following
        && properties::tells_of_relations(seen.raw)
        && !rules.repeated.contains(&seen.id);
    if !folder && (relations || fingerprint::moved(&before.content, &after.content)) {
        aspects.push(Aspect::Content);
    }
    if before.name != after.name {
        aspects.push(Aspect::Name);
    }
    if before.parent_id != after.parent_id {
        aspects.push(Aspect::Parent);
    }
    if !folder && aspects.is_empty() && fingerprint::moved(&before.metadata, &after.metadata) {
        aspects.push(Aspect::Metadata);
    }
    (!aspects.is_empty()).then_some((EventType::Updated, aspects))
}

/// What events call an item.
fn announced_id(item: &Item) -> String {
    item.announced_id.as_ref().unwrap_or(&item.id).clone()
}

fn object_type(kind: ItemKind, resource: &str) -> String {
    match kind {
        ItemKind::Object | ItemKind::Root => resource.to_owned(),
        facet => facet.as_str().to_owned(),
    }
}

/// The items of `page` that lay where the filter wants them, before it.
fn inside<'page>(page: &'page Page<'_>, known: &Known, filter: &Filter) -> HashSet<&'page str> {
    let ids = page.items.iter().map(|seen| seen.id.as_str());
    ids.filter(|id| !filter.paths.is_empty() && path_wanted(path(id, known).as_deref(), filter))
        .collect()
}

/// Whether the instance's filter lets `change` through. A path that is not known matches no glob.
pub fn wanted(change: &Change, filter: &Filter) -> bool {
    kind_wanted(change, filter) && path_wanted(change.path.as_deref(), filter)
}

fn kind_wanted(change: &Change, filter: &Filter) -> bool {
    let type_wanted = filter.types.is_empty() || filter.types.contains(&change.event_type);
    let object_wanted = filter.objects.is_empty() || filter.objects.contains(&change.object_type);
    type_wanted && object_wanted
}

fn path_wanted(path: Option<&str>, filter: &Filter) -> bool {
    filter.paths.is_empty()
        || path.is_some_and(|path| filter.paths.iter().any(|pattern| glob::matches(pattern, path)))
}

#[cfg(test)]
mod tests;
