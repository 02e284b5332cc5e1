//! The model of one drive: every state that each item has ever had, with its time, and the delta feed that follows from
//! it. The judge reads the same states that the feed shows; each has a version of its own, which its eTag spells.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde_json::{Value, json};

use super::dice::{Dice, mix, now};

/// One state of an item, from when it began until the next.
#[derive(Clone, Debug)]
pub(crate) struct State {
    /// Its place in the drive's journal, from 1.
    pub(crate) version: usize,
    pub(crate) at: f64,
    pub(crate) live: bool,
    pub(crate) name: String,
    pub(crate) parent: String,
    pub(crate) size: usize,
    /// The deletion that it belongs to; what was deleted together is restored together.
    batch: usize,
}

#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) id: String,
    pub(crate) folder: bool,
    pub(crate) states: Vec<State>,
}

impl Item {
    pub(crate) fn latest(&self) -> &State {
        self.states.last().unwrap()
    }

    /// As it was when the journal was so long.
    pub(crate) fn when(&self, journal: usize) -> Option<&State> {
        self.states.iter().rev().find(|state| state.version <= journal)
    }
}

/// How a drive's service behaves.
#[derive(Clone, Debug)]
pub(crate) struct Habits {
    pub(crate) business: bool,
    pub(crate) page_size: usize,
    /// A deleted folder brings its contents along.
    pub(crate) lists_descendants: bool,
    /// Items are shown as they are when a page is read, not as they were when its set began.
    pub(crate) shows_latest: bool,
    pub(crate) shuffles: bool,
}

pub(crate) struct Drive {
    pub(crate) id: String,
    pub(crate) habits: Habits,
    pub(crate) items: Vec<Item>,
    index: HashMap<String, usize>,
    /// Each change: the item, and whether the feed mentions it.
    journal: Vec<(usize, bool)>,
    /// Tokens of earlier epochs are stale.
    pub(crate) epoch: usize,
    batches: usize,
    /// Seconds by which what happens now is dated back: what a drive begins with is old.
    pub(crate) age: f64,
    dice: Dice,
    secret: String,
}

/// A set of changes, or a full enumeration, and how far it has been read.
#[derive(Clone, Copy, Debug)]
struct Place {
    full: bool,
    from: usize,
    upto: usize,
    offset: usize,
    excludes_parents: bool,
}

impl Drive {
    pub(crate) fn new(number: usize, habits: Habits, seed: u64) -> Drive {
        let mut dice = Dice::new(seed);
        let id = match habits.business {
            true => format!("b!storm{:016x}{number}", dice.roll()),
            false => format!("D{:015X}", dice.roll() >> 4),
        };
        let mut drive = Drive {
            id,
            habits,
            items: Vec::new(),
            index: HashMap::new(),
            journal: Vec::new(),
            epoch: 0,
            batches: 0,
            age: 86_400.0,
            secret: dice.canary("cursor"),
            dice,
        };
        drive.add("", true, "root");
        drive
    }

    pub(crate) fn secret(&self) -> &str {
        &self.secret
    }

    pub(crate) fn journal_length(&self) -> usize {
        self.journal.len()
    }

    pub(crate) fn item(&self, id: &str) -> Option<&Item> {
        self.index.get(id).map(|at| &self.items[*at])
    }

    fn add(&mut self, parent: &str, folder: bool, name: &str) -> usize {
        let at = self.items.len();
        let id = match self.habits.business {
            true => format!("01{:016X}{at:08}", self.dice.roll()),
            false => format!("{}!{}", self.id, 101 + at),
        };
        self.index.insert(id.clone(), at);
        self.items.push(Item {
            id,
            folder,
            states: Vec::new(),
        });
        let size = self.dice.below(9_000);
        self.push(at, name, parent, size, None);
        at
    }

    /// Adds a state; `batch` is the deletion it belongs to, with whether the feed mentions it.
    fn push(&mut self, at: usize, name: &str, parent: &str, size: usize, gone: Option<(usize, bool)>) {
        self.journal.push((at, gone.is_none_or(|(_, listed)| listed)));
        let state = State {
            version: self.journal.len(),
            at: now() - self.age,
            live: gone.is_none(),
            name: name.to_owned(),
            parent: parent.to_owned(),
            size,
            batch: gone.map_or(0, |(batch, _)| batch),
        };
        self.items[at].states.push(state);
    }

    fn live(&self, wanted: impl Fn(&Item) -> bool) -> Vec<usize> {
        let live = |at: &usize| *at > 0 && self.items[*at].latest().live && wanted(&self.items[*at]);
        (0..self.items.len()).filter(live).collect()
    }

    fn lies_in(&self, id: &str, folder: &str) -> bool {
        let mut at = id.to_owned();
        while !at.is_empty() {
            if at == folder {
                return true;
            }
            at = self
                .item(&at)
                .map(|item| item.latest().parent.clone())
                .unwrap_or_default();
        }
        false
    }

    fn some_folder(&mut self) -> String {
        let folders = self.live(|item| item.folder);
        let at = match self.dice.one_in(3) {
            true => 0,
            false => self.dice.pick(&folders).copied().unwrap_or(0),
        };
        self.items[at].id.clone()
    }

    /// A person does something; a small drive grows, a large one shrinks.
    pub(crate) fn step(&mut self) {
        let files = self.live(|item| !item.folder);
        let all = self.live(|_| true);
        let choice = self.dice.below(100);
        let name = format!(
            "{} {}",
            ["Plan", "報告", "a \"b\"", "Müller"][choice % 4],
            self.journal.len()
        );
        let (file, any) = (self.dice.pick(&files).copied(), self.dice.pick(&all).copied());
        let (Some(file), Some(any)) = (file, any) else {
            return self.create(&name, choice);
        };
        match choice {
            0..25 => self.create(&name, choice),
            25..50 => self.change(file, |state| state.size += 1),
            50..62 => self.change(any, |state| state.name = name.clone()),
            62..74 => {
                let target = self.some_folder();
                if !self.lies_in(&target, &self.items[any].id) {
                    self.change(any, |state| state.parent = target.clone());
                }
            }
            74..84 => self.delete(file),
            84..90 => self.delete(any),
            _ => self.restore(),
        }
    }

    pub(crate) fn create(&mut self, name: &str, choice: usize) {
        let parent = self.some_folder();
        let at = self.add(&parent, choice.is_multiple_of(4), name);
        if self.items[at].folder {
            let folder = self.items[at].id.clone();
            self.add(&folder, false, "Notes.txt");
        }
    }

    fn change(&mut self, at: usize, change: impl Fn(&mut State)) {
        let mut state = self.items[at].latest().clone();
        change(&mut state);
        self.push(at, &state.name, &state.parent, state.size, None);
    }

    /// With all that is in it, children first.
    fn delete(&mut self, at: usize) {
        self.batches += 1;
        let id = self.items[at].id.clone();
        let mut gone = self.live(|item| self.lies_in(&item.id, &id));
        gone.sort_by_key(|child| std::cmp::Reverse(self.depth(*child)));
        for child in gone {
            let state = self.items[child].latest().clone();
            let listed = child == at || self.habits.lists_descendants;
            self.push(
                child,
                &state.name,
                &state.parent,
                state.size,
                Some((self.batches, listed)),
            );
        }
    }

    fn depth(&self, at: usize) -> usize {
        let parent = &self.items[at].latest().parent;
        self.index.get(parent).map_or(0, |parent| 1 + self.depth(*parent))
    }

    fn restore(&mut self) {
        let parent_lives = |state: &State| {
            self.item(&state.parent)
                .is_some_and(|parent| parent.latest().live)
        };
        let tops = (1..self.items.len()).filter(|at| {
            let state = self.items[*at].latest();
            !state.live && parent_lives(state)
        });
        let tops: Vec<usize> = tops.collect();
        let Some(top) = self.dice.pick(&tops).copied() else {
            return;
        };
        let batch = self.items[top].latest().batch;
        let id = self.items[top].id.clone();
        let together = |at: &usize| {
            let state = self.items[*at].latest();
            !state.live && state.batch == batch && self.lies_in(&self.items[*at].id, &id)
        };
        let mut back: Vec<usize> = (1..self.items.len()).filter(together).collect();
        back.sort_by_key(|at| self.depth(*at));
        for at in back {
            self.change(at, |_| {});
        }
    }

    /// What an observer knows who has read everything up to that length of the journal: version, name and parent.
    pub(crate) fn known_at(&self, journal: usize) -> BTreeMap<String, State> {
        let mut known = BTreeMap::new();
        for item in &self.items[1..] {
            if let Some(state) = item.when(journal).filter(|state| state.live) {
                known.insert(item.id.clone(), state.clone());
            }
        }
        known
    }

    /// A page of the feed by its token, with the query of the next; `None` when the token is stale.
    pub(crate) fn page(&self, token: Option<&str>, excludes_parents: bool, base: &str) -> Option<Value> {
        let upto = self.journal.len();
        let fresh = |full, from| Place {
            full,
            from,
            upto,
            offset: 0,
            excludes_parents,
        };
        let place = match token {
            None => fresh(true, 0),
            Some("latest") => fresh(false, upto),
            Some(token) => self.read(token, upto)?,
        };
        let members = self.members(place);
        let length = 1 + mix(place.offset as u64) as usize % self.habits.page_size;
        let end = members.len().min(place.offset + length);
        let as_of = if self.habits.shows_latest {
            upto
        } else {
            place.upto
        };
        let shown = members[place.offset.min(end)..end].iter();
        let value: Vec<Value> = shown.filter_map(|at| self.show(*at, as_of)).collect();
        let (link, next) = match end == members.len() {
            true => (
                "@odata.deltaLink",
                Place {
                    from: place.upto,
                    upto: 0,
                    full: false,
                    offset: 0,
                    ..place
                },
            ),
            false => ("@odata.nextLink", Place { offset: end, ..place }),
        };
        Some(json!({"value": value, link: format!("{base}?token={}", self.token(next))}))
    }

    fn members(&self, place: Place) -> Vec<usize> {
        let mut members = match place.full {
            true => {
                let there = |at: &usize| self.items[*at].when(place.upto).is_some_and(|state| state.live);
                (0..self.items.len()).filter(there).collect()
            }
            false => self.changed(place),
        };
        if self.habits.shuffles {
            members.sort_by_key(|at| mix(*at as u64 ^ mix(place.upto as u64)));
            // Some come twice.
            let again = members.iter().filter(|at| mix(**at as u64 ^ 5).is_multiple_of(6));
            let again: Vec<usize> = again.copied().collect();
            members.extend(again);
        }
        members
    }

    /// Each item once, by its last change; folders above it, too, unless the client does not want them.
    fn changed(&self, place: Place) -> Vec<usize> {
        let mut seen = HashSet::new();
        let mut members = Vec::new();
        for (at, listed) in self.journal[place.from..place.upto].iter().rev() {
            if *listed && seen.insert(*at) {
                members.push(*at);
            }
        }
        members.reverse();
        if !place.excludes_parents {
            let parents = members.clone().into_iter().filter_map(|at| {
                let parent = *self.index.get(&self.items[at].when(place.upto)?.parent)?;
                self.items[parent].when(place.upto)?.live.then_some(parent)
            });
            let parents: Vec<usize> = parents.filter(|at| seen.insert(*at)).collect();
            members.extend(parents);
        }
        members
    }

    fn token(&self, place: Place) -> String {
        let Place {
            full,
            from,
            upto,
            offset,
            excludes_parents,
        } = place;
        let (full, excludes) = (u8::from(full), u8::from(excludes_parents));
        format!(
            "{}.{}.{full}.{from}.{upto}.{offset}.{excludes}",
            self.secret, self.epoch
        )
    }

    fn read(&self, token: &str, now_at: usize) -> Option<Place> {
        let mut parts = token.split('.');
        if parts.next()? != self.secret {
            return None;
        }
        let numbers: Vec<usize> = parts.map(|part| part.parse().ok()).collect::<Option<_>>()?;
        let [epoch, full, from, upto, offset, excludes] = numbers[..] else {
            return None;
        };
        (epoch == self.epoch).then_some(Place {
            full: full == 1,
            from,
            upto: if upto == 0 { now_at } else { upto },
            offset,
            excludes_parents: excludes == 1,
        })
    }

    /// The object as the service words it, as it was when the journal was so long.
    fn show(&self, at: usize, as_of: usize) -> Option<Value> {
        let item = &self.items[at];
        let state = item.when(as_of)?;
        let business = self.habits.business;
        let time = |state: &State| jiff::Timestamp::from_second(state.at as i64).unwrap().to_string();
        let mut object = json!({
            "id": item.id,
            "eTag": format!("\"{{{at:08X}}},{}\"", state.version),
            "createdDateTime": time(&item.states[0]),
            "lastModifiedDateTime": time(state),
            "parentReference": {
                "driveType": if business { "business" } else { "personal" },
                "driveId": self.id,
                "id": state.parent,
            },
        });
        let fields = object.as_object_mut().unwrap();
        if state.live || !business {
            fields.insert("name".into(), json!(state.name));
        }
        if state.live || business {
            fields.insert("size".into(), json!(state.size));
        }
        if !state.live {
            fields.insert("deleted".into(), json!({"state": "deleted"}));
        }
        let facet = if item.folder { "folder" } else { "file" };
        let hash =
            json!({"hashes": {"quickXorHash": format!("{:016x}", mix((at * 100_000 + state.size) as u64))}});
        fields.insert(
            facet.into(),
            if item.folder {
                json!({"childCount": 1})
            } else {
                hash
            },
        );
        if at == 0 {
            fields.insert("root".into(), json!({}));
        }
        Some(object)
    }
}

/// The version that an object's eTag spells.
pub(crate) fn version_of(object: &Value) -> Option<usize> {
    let tag = object["eTag"].as_str()?;
    tag.rsplit(',').next()?.trim_matches('"').parse().ok()
}
