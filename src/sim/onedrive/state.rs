//! The drive itself: items, the journal of what was done to them, and the operations. It knows neither HTTP nor the
//! feed's tokens. Items are never forgotten: a deleted one can be restored, and the feed still has to name it.

use std::collections::HashMap;

use jiff::Timestamp;
use serde_json::json;

use super::account::{Account, Descendants, Habits, Kind};
use super::drive::Entry;
use super::feed::Feed;
use crate::core::model::ItemKind;
use crate::sim::dice::Dice;

/// The root's place in `State::nodes`.
pub(super) const ROOT: usize = 0;

/// What can change of an item.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    pub(super) name: String,
    pub(super) parent: Option<usize>,
    pub(super) size: u64,
    /// Versions: of the content, of everything but what is below (eTag), of everything (cTag).
    pub(super) content: u32,
    pub(super) etag: u32,
    pub(super) ctag: u32,
    /// Unix seconds.
    pub(super) modified: i64,
    /// The number of the deletion that took it.
    pub(super) deleted_by: Option<usize>,
}

pub(super) struct Node {
    pub(super) id: String,
    pub(super) kind: ItemKind,
    /// Unix seconds.
    pub(super) created: i64,
    pub(super) facts: Facts,
    /// The facts before the last operation on the item itself.
    pub(super) before: Option<Box<Facts>>,
    /// Deleted ones too.
    pub(super) children: Vec<usize>,
    pub(super) raw: Option<String>,
}

/// One line of the journal; its number is its place.
#[derive(Clone, Copy)]
pub(super) struct Touch {
    pub(super) node: usize,
    /// The item reappears only because something below it changed.
    pub(super) through_child: bool,
    /// Unix seconds.
    pub(super) time: i64,
}

pub(super) struct State {
    pub(super) kind: Kind,
    pub(super) drive_id: String,
    pub(super) owner_id: String,
    pub(super) page_size: usize,
    pub(super) habits: Habits,
    pub(super) nodes: Vec<Node>,
    pub(super) journal: Vec<Touch>,
    pub(super) feed: Feed,
    pub(super) dice: Dice,
    /// Everybody may see it.
    pub(super) shared: bool,
    /// Nobody finds it any more.
    pub(super) removed: bool,
    by_id: HashMap<String, usize>,
    /// Unix seconds.
    pub(super) now: i64,
}

impl State {
    pub(super) fn new(account: &Account) -> State {
        let mut dice = Dice::new(account.seed);
        let drive_id = account.kind.new_drive_id(&mut dice);
        let owner_id = format!(
            "{:08x}-0000-4000-8000-{:012x}",
            dice.roll() >> 32,
            dice.roll() >> 16
        );
        let mut state = State {
            kind: account.kind,
            drive_id,
            owner_id,
            page_size: account.page_size,
            habits: account.habits,
            nodes: Vec::new(),
            journal: Vec::new(),
            feed: Feed::new(account.seed),
            dice,
            shared: false,
            removed: false,
            by_id: HashMap::new(),
            now: account.start.as_second(),
        };
        state.insert("root", ItemKind::Root, 0, None);
        state
    }

    /// Whether `id` names this drive, in whatever spelling, or its owner.
    pub(super) fn answers_to(&self, id: &str) -> bool {
        let bare = |id: &str| self.kind.drive_id_in_items(id);
        bare(id) == bare(&self.drive_id) || id == self.owner_id
    }

    /// The drive as `GET /me/drive` shows it.
    pub(super) fn describe(&self) -> String {
        let owner = json!({"user": {"displayName": "Megan Bowen", "id": self.owner_id}});
        let quota =
            json!({"total": 1_099_511_627_776_u64, "used": self.nodes[ROOT].facts.size, "state": "normal"});
        json!({"id": self.drive_id, "driveType": self.kind.drive_type(), "owner": owner, "quota": quota})
            .to_string()
    }

    /// The object of a live item, the root's when no id is given.
    pub(super) fn item_json(&self, id: Option<&str>) -> Option<Vec<u8>> {
        let at = id.map_or(Some(ROOT), |id| self.by_id.get(id).copied())?;
        let facts = &self.nodes[at].facts;
        let mut out = Vec::new();
        super::item::write(&mut out, self, at, facts, false);
        facts.deleted_by.is_none().then_some(out)
    }

    pub(super) fn time(&self) -> Timestamp {
        Timestamp::from_second(self.now).unwrap_or(Timestamp::MAX)
    }

    pub(super) fn index(&self, id: &str) -> usize {
        match self.by_id.get(id) {
            Some(at) => *at,
            None => panic!("the drive never had an item `{id}`"),
        }
    }

    /// The live item of that id.
    pub(super) fn find(&self, id: &str) -> Option<usize> {
        let at = *self.by_id.get(id)?;
        self.nodes[at].facts.deleted_by.is_none().then_some(at)
    }

    /// The live item at `path` from the root.
    pub(super) fn at_path(&self, path: &str) -> Option<usize> {
        path.split('/')
            .filter(|name| !name.is_empty())
            .try_fold(ROOT, |at, name| {
                self.children(at)
                    .find(|child| self.nodes[*child].facts.name == name)
            })
    }

    pub(super) fn live(&self, id: &str) -> usize {
        let at = self.index(id);
        assert!(self.nodes[at].facts.deleted_by.is_none(), "`{id}` is deleted");
        at
    }

    /// The live children of `at`.
    pub(super) fn children(&self, at: usize) -> impl Iterator<Item = usize> {
        self.nodes[at]
            .children
            .iter()
            .copied()
            .filter(|child| self.nodes[*child].facts.deleted_by.is_none())
    }

    /// `at`, its parent, and so on to the root.
    pub(super) fn with_ancestors(&self, at: usize) -> impl Iterator<Item = usize> {
        std::iter::successors(Some(at), |at| self.nodes[*at].facts.parent)
    }

    pub(super) fn lies_in(&self, at: usize, folder: usize) -> bool {
        self.with_ancestors(at).any(|at| at == folder)
    }

    pub(super) fn entry(&self, at: usize, node: &Node) -> Entry {
        Entry {
            name: node.facts.name.clone(),
            parent: node
                .facts
                .parent
                .map(|parent| self.nodes[parent].id.clone())
                .unwrap_or_default(),
            kind: node.kind,
            content: super::item::content_hash(node.kind, at, &node.facts),
        }
    }

    fn pass_time(&mut self) {
        self.now += 1 + self.dice.below(30) as i64;
    }

    fn insert(&mut self, name: &str, kind: ItemKind, size: u64, parent: Option<usize>) -> usize {
        let at = self.nodes.len();
        let id = self.kind.new_item_id(&self.drive_id, at, &mut self.dice);
        self.by_id.insert(id.clone(), at);
        let facts = Facts {
            name: name.to_owned(),
            parent,
            size,
            content: 1,
            etag: 1,
            ctag: 1,
            modified: self.now,
            deleted_by: None,
        };
        let created = self.now;
        self.nodes.push(Node {
            id,
            kind,
            created,
            facts,
            before: None,
            children: Vec::new(),
            raw: None,
        });
        if let Some(parent) = parent {
            self.nodes[parent].children.push(at);
        }
        self.journal.push(Touch {
            node: at,
            through_child: false,
            time: self.now,
        });
        at
    }

    pub(super) fn create(&mut self, parent: &str, name: &str, kind: ItemKind, size: u64) -> String {
        let parent = self.live(parent);
        self.pass_time();
        let at = self.insert(name, kind, size, Some(parent));
        self.tell_ancestors(at, 0);
        self.nodes[at].id.clone()
    }

    pub(super) fn bulk_create(&mut self, folders: usize, files: usize) -> (Vec<String>, Vec<String>) {
        self.pass_time();
        let first = self.nodes.len();
        let mut places = vec![ROOT];
        for n in 0..folders {
            let parent = *self.dice.pick(&places);
            places.push(self.insert(&format!("Folder {n}"), ItemKind::Folder, 0, Some(parent)));
        }
        for n in 0..files {
            let parent = *self.dice.pick(&places);
            let size = self.dice.below(1 << 20) as u64;
            self.insert(&format!("Document {n}.docx"), ItemKind::File, size, Some(parent));
        }
        // Every folder reappears once, its size summed up from the leaves: parents come before their children.
        for at in (first..self.nodes.len()).rev() {
            let size = self.nodes[at].facts.size;
            if let Some(parent) = self.nodes[at].facts.parent {
                self.nodes[parent].facts.size += size;
            }
        }
        for folder in places {
            self.reappear(folder);
        }
        let ids =
            |range: std::ops::Range<usize>| self.nodes[range].iter().map(|node| node.id.clone()).collect();
        (
            ids(first..first + folders),
            ids(first + folders..self.nodes.len()),
        )
    }

    /// An operation on the item itself: whatever `edit` does, and new tags and times.
    pub(super) fn change(&mut self, at: usize, edit: impl FnOnce(&mut Facts)) {
        self.pass_time();
        let size_before = self.nodes[at].facts.size;
        self.record(at, edit);
        self.tell_ancestors(at, size_before);
    }

    /// Applies `edit` and writes it into the journal, without passing time or telling the folders above.
    fn record(&mut self, at: usize, edit: impl FnOnce(&mut Facts)) {
        let now = self.now;
        let node = &mut self.nodes[at];
        node.before = Some(Box::new(node.facts.clone()));
        edit(&mut node.facts);
        node.facts.etag += 1;
        node.facts.ctag += 1;
        node.facts.modified = now;
        self.journal.push(Touch {
            node: at,
            through_child: false,
            time: now,
        });
    }

    /// The folders above an item whose size was `size_before` grow or shrink, and reappear in the feed.
    fn tell_ancestors(&mut self, at: usize, size_before: u64) {
        let size = if self.nodes[at].facts.deleted_by.is_some() {
            0
        } else {
            self.nodes[at].facts.size
        };
        let above: Vec<usize> = self.with_ancestors(at).skip(1).collect();
        for folder in above {
            let facts = &mut self.nodes[folder].facts;
            facts.size = (facts.size + size).saturating_sub(size_before);
            self.reappear(folder);
        }
    }

    fn reappear(&mut self, folder: usize) {
        let facts = &mut self.nodes[folder].facts;
        facts.ctag += 1;
        facts.modified = self.now;
        self.journal.push(Touch {
            node: folder,
            through_child: true,
            time: self.now,
        });
    }

    pub(super) fn move_to(&mut self, at: usize, parent: usize) {
        self.pass_time();
        let size = self.nodes[at].facts.size;
        // For the folders above, the item leaves one place and arrives, whole, at another.
        let left: Vec<usize> = self.with_ancestors(at).skip(1).collect();
        for folder in left {
            self.nodes[folder].facts.size = self.nodes[folder].facts.size.saturating_sub(size);
            self.reappear(folder);
        }
        self.relink(at, parent);
        self.record(at, |facts| facts.parent = Some(parent));
        self.tell_ancestors(at, 0);
    }

    /// Corrects who lists `at` among its children; the item's own `parent` is the caller's.
    fn relink(&mut self, at: usize, parent: usize) {
        if let Some(old) = self.nodes[at].facts.parent {
            self.nodes[old].children.retain(|child| *child != at);
        }
        self.nodes[parent].children.push(at);
    }

    /// `at` and what is live below it, parents first.
    fn live_subtree(&self, at: usize) -> Vec<usize> {
        let mut found = vec![at];
        let mut next = 0;
        while let Some(at) = found.get(next).copied() {
            found.extend(self.children(at));
            next += 1;
        }
        found
    }

    pub(super) fn delete(&mut self, at: usize) {
        assert!(at != ROOT, "the root cannot be deleted");
        self.pass_time();
        let deletion = self.journal.len();
        let size = self.nodes[at].facts.size;
        let mut subtree = self.live_subtree(at);
        let listed = match self.habits.deleted_descendants {
            Descendants::Listed => true,
            Descendants::Implied => false,
            Descendants::Either => self.dice.one_in(2),
        };
        if listed {
            // The documentation promises no order: a folder before what was in it, or after.
            if self.dice.one_in(2) {
                subtree.reverse();
            }
            for at in subtree {
                self.record(at, |facts| facts.deleted_by = Some(deletion));
            }
        } else {
            for below in subtree.into_iter().skip(1) {
                let node = &mut self.nodes[below];
                node.before = Some(Box::new(node.facts.clone()));
                node.facts.deleted_by = Some(deletion);
            }
            self.record(at, |facts| facts.deleted_by = Some(deletion));
        }
        self.tell_ancestors(at, size);
    }

    pub(super) fn restore(&mut self, at: usize) {
        self.pass_time();
        let deletion = self.nodes[at].facts.deleted_by;
        let parent = self.nodes[at].facts.parent.unwrap_or(ROOT);
        if self.nodes[parent].facts.deleted_by.is_some() {
            self.relink(at, ROOT);
            self.nodes[at].facts.parent = Some(ROOT);
        }
        let mut found = vec![at];
        let mut next = 0;
        while let Some(at) = found.get(next).copied() {
            let together = |child: &usize| self.nodes[*child].facts.deleted_by == deletion;
            found.extend(self.nodes[at].children.iter().copied().filter(together));
            self.record(at, |facts| facts.deleted_by = None);
            next += 1;
        }
        self.tell_ancestors(at, 0);
    }
}
