//! A small office at work: a seeded, endless sequence of plausible changes to a simulated drive, each told in a line.

use super::dice::Dice;
use super::onedrive::{Drive, Tree};
use crate::core::model::ItemKind;

const FOLDERS: &[&str] = &[
    "Finance",
    "Projects",
    "Sales",
    "Legal",
    "People",
    "Marketing",
    "Invoices",
    "Contracts",
    "Offers",
    "Archive",
    "Minutes",
    "Drafts",
    "Customers",
    "Suppliers",
    "Travel",
    "Templates",
];
const SUBJECTS: &[&str] = &[
    "Budget",
    "Forecast",
    "Quarterly report",
    "Offer",
    "Invoice",
    "Contract",
    "Meeting notes",
    "Roadmap",
    "Price list",
    "Onboarding",
    "Travel expenses",
    "Press release",
    "Audit",
    "Inventory",
    "Newsletter",
    "Site plan",
];
const DETAILS: &[&str] = &[
    "2026",
    "Q1",
    "Q2",
    "Q3",
    "Q4",
    "Northwind",
    "Contoso",
    "Fabrikam",
    "Müller & Söhne",
    "draft",
    "final",
    "v2",
    "Berlin",
    "Kraków",
    "March",
];
const EXTENSIONS: &[&str] = &["docx", "xlsx", "pptx", "pdf", "md", "csv", "png"];
const PEOPLE: &[&str] = &["Megan", "Alex", "Grady", "Lidia", "Nestor", "Pradeep"];

/// Beyond this many items the office tidies up rather than adds.
const COMFORTABLE_ITEMS: usize = 150;

/// The sequence. The same seed on the same drive does the same things.
#[derive(Clone, Debug)]
pub struct Script {
    dice: Dice,
    /// Deleted by an earlier step, to be restored by a later one perhaps.
    bin: Vec<(String, String)>,
}

impl Script {
    /// The sequence of `seed`, at its beginning.
    pub fn new(seed: u64) -> Script {
        Script {
            dice: Dice::new(seed),
            bin: Vec::new(),
        }
    }

    /// Fills an empty drive with what such an office would have before anyone watches: some folders and files.
    pub fn furnish(&mut self, drive: &Drive) {
        let root = drive.root_id();
        for folder in &FOLDERS[..6] {
            let folder = drive.create_folder(&root, folder);
            for _ in 0..3 + self.dice.below(3) {
                self.add_file(drive, &folder);
            }
        }
    }

    /// Does the next thing; says who did what to which path, in one line.
    pub fn step(&mut self, drive: &Drive) -> String {
        let tree = drive.tree();
        let who = *self.dice.pick(PEOPLE);
        let files = ids(&tree, ItemKind::File);
        let what = match self.dice.below(100) {
            _ if files.len() < 4 => self.write_something(drive, &tree),
            0..22 if tree.len() < COMFORTABLE_ITEMS => self.write_something(drive, &tree),
            22..28 if tree.len() < COMFORTABLE_ITEMS => self.open_folder(drive, &tree),
            0..40 => self.throw_away(drive, &tree),
            40..46 => self.fetch_back(drive, &tree, &files),
            46..58 => self.rename(drive, &tree),
            58..70 => self.tidy(drive, &tree),
            70..74 => {
                let file = self.dice.pick(&files);
                drive.touch(file);
                format!("tags {}", drive.path_of(file))
            }
            _ => self.edit(drive, &files),
        };
        format!("{who} {what}")
    }

    fn edit(&mut self, drive: &Drive, files: &[String]) -> String {
        let file = self.dice.pick(files);
        drive.edit(file);
        format!("edits {}", drive.path_of(file))
    }

    fn write_something(&mut self, drive: &Drive, tree: &Tree) -> String {
        let folder = self.some_folder(drive, tree);
        let file = self.add_file(drive, &folder);
        format!("writes {}", drive.path_of(&file))
    }

    fn open_folder(&mut self, drive: &Drive, tree: &Tree) -> String {
        let parent = self.some_folder(drive, tree);
        let wish = format!("{} {}", self.dice.pick(FOLDERS), self.dice.pick(DETAILS));
        let name = free_name(drive, &parent, &wish, "");
        format!(
            "opens the folder {}",
            drive.path_of(&drive.create_folder(&parent, &name))
        )
    }

    fn throw_away(&mut self, drive: &Drive, tree: &Tree) -> String {
        // Mostly files: a folder takes all that is in it along.
        let kind = if self.dice.one_in(5) {
            ItemKind::Folder
        } else {
            ItemKind::File
        };
        let mut victims = ids(tree, kind);
        victims.retain(|id| kind == ItemKind::File || tree[id].parent != drive.root_id());
        if victims.is_empty() {
            return self.write_something(drive, tree);
        }
        let victim = self.dice.pick(&victims).clone();
        let path = drive.path_of(&victim);
        drive.delete(&victim);
        self.bin.push((victim, path.clone()));
        format!("deletes {path}")
    }

    fn fetch_back(&mut self, drive: &Drive, tree: &Tree, files: &[String]) -> String {
        // What lay in a folder that was itself fetched back is there again already.
        self.bin.retain(|(id, _)| !tree.contains_key(id));
        match self.bin.pop() {
            Some((id, path)) => {
                drive.restore(&id);
                format!("fetches {path} back from the bin")
            }
            None => self.edit(drive, files),
        }
    }

    fn rename(&mut self, drive: &Drive, tree: &Tree) -> String {
        let kind = if self.dice.one_in(4) {
            ItemKind::Folder
        } else {
            ItemKind::File
        };
        let candidates = ids(tree, kind);
        if candidates.is_empty() {
            return self.open_folder(drive, tree);
        }
        let id = self.dice.pick(&candidates).clone();
        let (before, entry) = (drive.path_of(&id), &tree[&id]);
        let extension = entry
            .name
            .rsplit_once('.')
            .map(|(_, extension)| extension)
            .filter(|_| kind == ItemKind::File);
        let words = if kind == ItemKind::File { SUBJECTS } else { FOLDERS };
        let wish = format!("{} {}", self.dice.pick(words), self.dice.pick(DETAILS));
        let name = free_name(drive, &entry.parent, &wish, extension.unwrap_or_default());
        drive.rename(&id, &name);
        format!("renames {before} to {name}")
    }

    fn tidy(&mut self, drive: &Drive, tree: &Tree) -> String {
        let items: Vec<String> = tree.keys().cloned().collect();
        let item = self.dice.pick(&items).clone();
        let target = self.some_folder(drive, tree);
        let (from, to) = (drive.path_of(&item), drive.path_of(&target));
        let inside = target == item || to.starts_with(&format!("{from}/"));
        let name = &tree[&item].name;
        if inside || tree[&item].parent == target || taken(drive, &target, name) {
            return self.edit(drive, &ids(tree, ItemKind::File));
        }
        drive.move_to(&item, &target);
        format!("moves {from} to {to}")
    }

    /// A folder, or now and then the root.
    fn some_folder(&mut self, drive: &Drive, tree: &Tree) -> String {
        let mut folders = ids(tree, ItemKind::Folder);
        folders.push(drive.root_id());
        self.dice.pick(&folders).clone()
    }

    fn add_file(&mut self, drive: &Drive, folder: &str) -> String {
        let wish = format!("{} {}", self.dice.pick(SUBJECTS), self.dice.pick(DETAILS));
        let extension = *self.dice.pick(EXTENSIONS);
        let name = free_name(drive, folder, &wish, extension);
        let size = 1000 + self.dice.below(200_000) as u64;
        drive.create_file(folder, &name, size)
    }
}

fn ids(tree: &Tree, kind: ItemKind) -> Vec<String> {
    tree.iter()
        .filter(|(_, entry)| entry.kind == kind)
        .map(|(id, _)| id.clone())
        .collect()
}

fn taken(drive: &Drive, folder: &str, name: &str) -> bool {
    drive.find(&format!("{}/{name}", drive.path_of(folder))).is_some()
}

/// `wish`, or `wish (2)` and so on, as no sibling is called yet.
fn free_name(drive: &Drive, folder: &str, wish: &str, extension: &str) -> String {
    let dot = if extension.is_empty() { "" } else { "." };
    let mut name = format!("{wish}{dot}{extension}");
    let mut number = 2;
    while taken(drive, folder, &name) {
        name = format!("{wish} ({number}){dot}{extension}");
        number += 1;
    }
    name
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::sim::onedrive::{Account, OneDrive};

    #[test]
    fn an_office_works_for_ever_and_the_same_way_each_time() {
        let tell = |seed| {
            let cloud = OneDrive::start(Account::business()).unwrap();
            let (drive, mut script) = (cloud.drive(), Script::new(seed));
            script.furnish(&drive);
            let lines: Vec<String> = (0..2000).map(|_| script.step(&drive)).collect();
            (lines, drive.tree())
        };
        let (lines, tree) = tell(5);
        assert_eq!((&lines, &tree), (&tell(5).0, &tell(5).1));
        assert_ne!(lines, tell(6).0);
        assert!(
            (20..=COMFORTABLE_ITEMS + 60).contains(&tree.len()),
            "{}",
            tree.len()
        );
        let verbs: BTreeSet<&str> = lines.iter().filter_map(|line| line.split(' ').nth(1)).collect();
        let expect = [
            "deletes", "edits", "fetches", "moves", "opens", "renames", "tags", "writes",
        ];
        assert_eq!(verbs.into_iter().collect::<Vec<_>>(), expect);
    }
}
