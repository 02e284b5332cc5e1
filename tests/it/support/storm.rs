//! Random changes of a simulated drive, decided by a seed: what people do to folders in the worst order. They go
//! through the drive's own operations only, so that whatever comes out of the feed can have happened.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use deltapost::core::model::ItemKind;
use deltapost::sim::onedrive::{Drive, Entry, Tree};

/// A seeded sequence of numbers (SplitMix64).
#[derive(Clone, Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Dice {
        Dice(seed)
    }

    pub(crate) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let number = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let number = (number ^ (number >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        number ^ (number >> 31)
    }

    /// A number from 0 up to, not including, `limit`.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        (self.roll() % limit as u64) as usize
    }

    /// True once in `n` rolls.
    pub(crate) fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn pick<'c, T>(&mut self, choices: &'c [T]) -> Option<&'c T> {
        (!choices.is_empty()).then(|| &choices[self.below(choices.len())])
    }
}

/// Says the seed when a test fails while this lives.
pub(crate) struct Seed(pub(crate) u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the seed was {}", self.0);
        }
    }
}

/// One drive's weather. Clones are the same storm, so that it can go on in a simulator's callback.
#[derive(Clone)]
pub(crate) struct Storm(Arc<Mutex<Front>>);

struct Front {
    dice: Dice,
    /// Every item that was ever there.
    seen: BTreeSet<String>,
    named: usize,
}

/// What is there, and questions about it.
struct Here {
    root: String,
    tree: Tree,
}

impl Storm {
    pub(crate) fn new(seed: u64) -> Storm {
        Storm(Arc::new(Mutex::new(Front {
            dice: Dice::new(seed ^ 0xD417),
            seen: BTreeSet::new(),
            named: 0,
        })))
    }

    /// Does something to the drive.
    pub(crate) fn step(&self, drive: &Drive) {
        self.front().step(drive);
    }

    /// True once in `n` rolls of the storm's own dice.
    pub(crate) fn one_in(&self, n: usize) -> bool {
        self.front().dice.one_in(n)
    }

    /// A number from 0 up to, not including, `limit`, from the storm's own dice.
    pub(crate) fn below(&self, limit: usize) -> usize {
        self.front().dice.below(limit)
    }

    fn front(&self) -> MutexGuard<'_, Front> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Front {
    fn step(&mut self, drive: &Drive) {
        let here = Here {
            root: drive.root_id(),
            tree: drive.tree(),
        };
        self.seen.extend(here.tree.keys().cloned());
        let done = match self.dice.below(100) {
            0..24 => self.create(drive, &here),
            24..38 => self.edit(drive, &here),
            38..42 => self.touch(drive, &here),
            42..52 => self.rename(drive, &here),
            52..66 => self.relocate(drive, &here),
            66..72 => self.delete(drive, &here, |_| true),
            72..78 => self.delete(drive, &here, |entry| entry.kind == ItemKind::Folder),
            78..86 => self.evacuate(drive, &here),
            86..90 => self.undo(drive, &here),
            _ => self.restore(drive, &here),
        };
        if done.is_none() {
            self.create(drive, &here);
        }
    }

    fn create(&mut self, drive: &Drive, here: &Here) -> Option<()> {
        let parent = self.folder(here);
        let name = self.name();
        match self.dice.below(20) {
            0..5 => {
                let folder = drive.create_folder(&parent, &name);
                drive.create_file(&folder, "Notes.txt", 12);
            }
            5 => drop(drive.create_special(&parent, &name, ItemKind::Package)),
            6 => drop(drive.create_special(&parent, &name, ItemKind::RemoteItem)),
            7 => drive.delete(&drive.create_file(&parent, &name, 1)),
            size => drop(drive.create_file(&parent, &name, size as u64)),
        }
        Some(())
    }

    fn edit(&mut self, drive: &Drive, here: &Here) -> Option<()> {
        let id = self.any(here, |entry| entry.kind == ItemKind::File)?;
        drive.edit(&id);
        Some(())
    }

    fn touch(&mut self, drive: &Drive, here: &Here) -> Option<()> {
        let id = self.any(here, |_| true)?;
        drive.touch(&id);
        Some(())
    }

    fn rename(&mut self, drive: &Drive, here: &Here) -> Option<()> {
        let id = self.any(here, |_| true)?;
        drive.rename(&id, &self.name());
        Some(())
    }

    fn relocate(&mut self, drive: &Drive, here: &Here) -> Option<()> {
        let id = self.any(here, |_| true)?;
        let target = self.folder(here);
        (!here.lies_in(&target, &id)).then(|| drive.move_to(&id, &target))
    }

    fn delete(&mut self, drive: &Drive, here: &Here, wanted: fn(&Entry) -> bool) -> Option<()> {
        let id = self.any(here, wanted)?;
        drive.delete(&id);
        Some(())
    }

    /// Moves something out of a folder, however deep it lies in it, and deletes the folder.
    fn evacuate(&mut self, drive: &Drive, here: &Here) -> Option<()> {
        let survivor = self.any(here, |entry| entry.parent != here.root)?;
        let above = here.folders_above(&survivor);
        let doomed = self.dice.pick(&above)?.clone();
        let target = self.folder(here);
        let target = if here.lies_in(&target, &doomed) {
            here.root.clone()
        } else {
            target
        };
        drive.move_to(&survivor, &target);
        drive.delete(&doomed);
        Some(())
    }

    /// Does something and takes it back, so that in the end nothing, or next to nothing, has moved.
    fn undo(&mut self, drive: &Drive, here: &Here) -> Option<()> {
        let id = self.any(here, |_| true)?;
        let was = &here.tree[&id];
        match self.dice.below(3) {
            0 => {
                drive.rename(&id, "Copy of copy");
                drive.rename(&id, &was.name);
            }
            1 => {
                drive.delete(&id);
                drive.restore(&id);
            }
            _ => {
                drive.move_to(&id, &here.root);
                drive.move_to(&id, &was.parent);
            }
        }
        Some(())
    }

    fn restore(&mut self, drive: &Drive, here: &Here) -> Option<()> {
        let gone = |id: &&String| !here.tree.contains_key(*id);
        let gone: Vec<String> = self.seen.iter().filter(gone).cloned().collect();
        drive.restore(self.dice.pick(&gone)?);
        Some(())
    }

    fn any(&mut self, here: &Here, wanted: impl Fn(&Entry) -> bool) -> Option<String> {
        let wanted: Vec<&String> = here
            .tree
            .iter()
            .filter(|(_, entry)| wanted(entry))
            .map(|(id, _)| id)
            .collect();
        self.dice.pick(&wanted).map(|id| (*id).clone())
    }

    /// A folder, which may be the root.
    fn folder(&mut self, here: &Here) -> String {
        let at_root = self.dice.one_in(4);
        self.any(here, |entry| !at_root && entry.kind == ItemKind::Folder)
            .unwrap_or_else(|| here.root.clone())
    }

    fn name(&mut self) -> String {
        self.named += 1;
        let what = ["Plan", "Müller & Söhne", "報告 \"2026\"", "a\\b", "🙂"];
        format!("{} {}", what[self.dice.below(what.len())], self.named)
    }
}

impl Here {
    /// Whether `id` is `folder` or lies below it.
    fn lies_in(&self, id: &str, folder: &str) -> bool {
        id == folder || self.folders_above(id).iter().any(|above| above == folder)
    }

    fn folders_above(&self, id: &str) -> Vec<String> {
        let mut above = Vec::new();
        let mut at = self.tree.get(id);
        while let Some(entry) = at.filter(|entry| entry.parent != self.root) {
            above.push(entry.parent.clone());
            at = self.tree.get(&entry.parent);
        }
        above
    }
}
