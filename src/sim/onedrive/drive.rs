//! The handle to a simulated drive: what a test, or the demo, can do to it and ask of it. The items and the journal
//! behind it are in `state`; how they become pages, in `feed`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use super::account::{Account, Gone, Habits};
use super::state::{ROOT, State};
use crate::core::model::ItemKind;

/// One item of a drive, as far as an observer of events can know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The name, without the path.
    pub name: String,
    /// The folder's id, the root's for what lies at the top.
    pub parent: String,
    /// What it is.
    pub kind: ItemKind,
    /// The `quickXorHash` of a file's content; empty for everything else.
    pub content: String,
}

/// The live items of a drive by their ids, the root left out.
pub type Tree = BTreeMap<String, Entry>;

/// A handle to one simulated drive; clones lead to the same one.
///
/// # Panics
/// Every operation that takes an id panics, as indexing does, when the drive never had such an item, or when the item
/// is gone (for `restore`: is there).
#[derive(Clone)]
pub struct Drive(Arc<Mutex<State>>);

impl Drive {
    pub(super) fn new(account: &Account) -> Drive {
        Drive(Arc::new(Mutex::new(State::new(account))))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The drive's id, as `GET /me/drive` says it.
    pub fn id(&self) -> String {
        self.lock().drive_id.clone()
    }

    /// The id of the user whose drive it is, for `/users/{id}/drive`; of the group or site, where it is one's.
    pub fn owner_id(&self) -> String {
        self.lock().owner_id.clone()
    }

    /// The root's id.
    pub fn root_id(&self) -> String {
        self.lock().nodes[ROOT].id.clone()
    }

    /// Creates a folder; returns its id.
    pub fn create_folder(&self, parent: &str, name: &str) -> String {
        self.lock().create(parent, name, ItemKind::Folder, 0)
    }

    /// Creates a file of `size` bytes; returns its id.
    pub fn create_file(&self, parent: &str, name: &str, size: u64) -> String {
        self.lock().create(parent, name, ItemKind::File, size)
    }

    /// Creates an item that is neither file nor folder: a `package` (a notebook) or a `remoteItem` (something shared,
    /// mounted here); returns its id.
    pub fn create_special(&self, parent: &str, name: &str, kind: ItemKind) -> String {
        self.lock().create(parent, name, kind, 0)
    }

    /// Creates `folders` folders, nested at random, and `files` files in them, quickly. Returns the ids of both.
    pub fn bulk_create(&self, folders: usize, files: usize) -> (Vec<String>, Vec<String>) {
        self.lock().bulk_create(folders, files)
    }

    /// Writes new content into a file: its size, hash, tags and modification time move.
    pub fn edit(&self, id: &str) {
        let mut state = self.lock();
        let at = state.live(id);
        let size = 1 + state.dice.below(1 << 20) as u64;
        state.change(at, |facts| {
            facts.content += 1;
            facts.size = size;
        });
    }

    /// Gives an item another name; that no sibling has it already is the caller's affair.
    pub fn rename(&self, id: &str, name: &str) {
        let mut state = self.lock();
        let at = state.live(id);
        state.change(at, |facts| name.clone_into(&mut facts.name));
    }

    /// Moves an item into the folder `parent`, which must not lie below it.
    pub fn move_to(&self, id: &str, parent: &str) {
        let mut state = self.lock();
        let (at, parent) = (state.live(id), state.live(parent));
        assert!(!state.lies_in(parent, at), "`{id}` cannot be moved below itself");
        state.move_to(at, parent);
    }

    /// Moves only the metadata: eTag and modification time.
    pub fn touch(&self, id: &str) {
        let mut state = self.lock();
        let at = state.live(id);
        state.change(at, |_| {});
    }

    /// Deletes an item, a folder with all that is in it.
    pub fn delete(&self, id: &str) {
        let mut state = self.lock();
        let at = state.live(id);
        state.delete(at);
    }

    /// Brings a deleted item back under its old id, with what was deleted together with it; to its old folder, or to
    /// the root when that is gone.
    pub fn restore(&self, id: &str) {
        let mut state = self.lock();
        let at = state.index(id);
        assert!(
            state.nodes[at].facts.deleted_by.is_some(),
            "`{id}` is not deleted"
        );
        state.restore(at);
    }

    /// Serves this text as the item's object from now on, byte for byte, as long as it is not deleted. It shows up in
    /// the next set of changes. `tree` does not look into it.
    pub fn set_raw(&self, id: &str, json: &str) {
        let mut state = self.lock();
        let at = state.live(id);
        state.change(at, |_| {});
        state.nodes[at].raw = Some(json.to_owned());
    }

    /// All live items but the root.
    pub fn tree(&self) -> Tree {
        let state = self.lock();
        let live = state
            .nodes
            .iter()
            .enumerate()
            .skip(1)
            .filter(|(_, node)| node.facts.deleted_by.is_none());
        live.map(|(at, node)| (node.id.clone(), state.entry(at, node)))
            .collect()
    }

    /// The live item at `path` (`/Finance/report.xlsx`).
    pub fn find(&self, path: &str) -> Option<String> {
        let state = self.lock();
        state.at_path(path).map(|at| state.nodes[at].id.clone())
    }

    /// Where a live item is, from the root: `/Finance/report.xlsx`; `/` for the root.
    pub fn path_of(&self, id: &str) -> String {
        let state = self.lock();
        let at = state.live(id);
        let names = state
            .with_ancestors(at)
            .filter(|at| *at != ROOT)
            .map(|at| state.nodes[at].facts.name.as_str());
        let mut names: Vec<_> = names.collect();
        names.reverse();
        format!("/{}", names.join("/"))
    }

    /// The drive's present time: it starts where the account says, and each operation moves it by some seconds.
    pub fn now(&self) -> Timestamp {
        self.lock().time()
    }

    /// Moves the drive's time to `now`, if that is later.
    pub fn advance_to(&self, now: Timestamp) {
        let mut state = self.lock();
        state.now = state.now.max(now.as_second());
    }

    /// How the feed behaves from the next set on.
    pub fn set_habits(&self, habits: Habits) {
        self.lock().habits = habits;
    }

    /// Every token issued until now, nextLinks too, is answered 410 from now on, in the shape `gone`.
    pub fn expire_delta_tokens(&self, gone: Gone) {
        self.lock().feed.expire(gone);
    }
}
