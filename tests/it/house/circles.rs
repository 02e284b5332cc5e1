//! Circles between the files of the product: which of them need one another, so that none can be read, tested or
//! changed without the others. What a module takes from the modules that it lies in is left aside: a parent may share
//! its types with its children and call them.

use std::collections::{BTreeMap, BTreeSet};

use super::rules::{File, absolute, product_paths};
use super::source::Named;

/// Each circle as the sorted paths of its files.
pub(crate) fn circles(files: &[File]) -> Vec<Vec<String>> {
    let tree = Tree::new(files);
    let needs: Vec<BTreeSet<usize>> = (0..tree.files.len()).map(|at| tree.needs(at)).collect();
    let reached: Vec<BTreeSet<usize>> = (0..needs.len()).map(|from| all_reached(&needs, from)).collect();
    let mut circles = BTreeSet::new();
    for (at, beyond) in reached.iter().enumerate() {
        let mut circle: Vec<String> = beyond
            .iter()
            .filter(|other| reached[**other].contains(&at))
            .map(|other| tree.files[*other].path.to_owned())
            .collect();
        circle.sort();
        if !circle.is_empty() {
            circles.insert(circle);
        }
    }
    circles.into_iter().collect()
}

fn all_reached(needs: &[BTreeSet<usize>], from: usize) -> BTreeSet<usize> {
    let mut reached = BTreeSet::new();
    let mut next = vec![from];
    while let Some(at) = next.pop() {
        next.extend(needs[at].iter().filter(|need| reached.insert(**need)));
    }
    reached
}

/// The product's files by their modules.
struct Tree<'a> {
    files: Vec<&'a File<'a>>,
    paths: Vec<Vec<Named>>,
    by_module: BTreeMap<Vec<String>, usize>,
}

impl<'a> Tree<'a> {
    fn new(files: &'a [File<'a>]) -> Tree<'a> {
        let files: Vec<&File> = files.iter().filter(|file| !file.is_test).collect();
        let module = |(at, file): (usize, &&File)| Some((words(&file.module()?), at));
        Tree {
            by_module: files.iter().enumerate().filter_map(module).collect(),
            paths: files.iter().map(|file| product_paths(file)).collect(),
            files,
        }
    }

    /// The files whose names the file at `at` imports, but for those of the modules that it lies in.
    fn needs(&self, at: usize) -> BTreeSet<usize> {
        let lies_in = |other: usize| self.module(at).starts_with(&self.module(other));
        let named = self.paths[at].iter().filter_map(|path| self.origin(at, path, 0));
        named.filter(|other| !lies_in(*other)).collect()
    }

    fn module(&self, at: usize) -> Vec<String> {
        words(&self.files[at].module().unwrap_or_default())
    }

    /// The file in which stands what the file at `at` names by `path`, through what others hand on by `use`.
    fn origin(&self, at: usize, path: &Named, handed_on: usize) -> Option<usize> {
        let absolute = absolute(self.files[at], path).or_else(|| {
            let below = [self.module(at), path.inside.clone(), path.words.clone()].concat();
            let is_child = self
                .by_module
                .contains_key(&below[..below.len() + 1 - path.words.len()]);
            is_child.then_some(below)
        })?;
        let (file, name) = (0..=absolute.len()).rev().find_map(|length| {
            let file = self.by_module.get(&absolute[..length])?;
            Some((*file, absolute.get(length)))
        })?;
        let Some(name) = name.filter(|_| handed_on < 8) else {
            return Some(file);
        };
        let mut hands_on = self.paths[file]
            .iter()
            .filter(|path| path.words.last() == Some(name));
        let origin = hands_on.find_map(|path| self.origin(file, path, handed_on + 1));
        origin.or(Some(file))
    }
}

fn words(module: &[&str]) -> Vec<String> {
    module.iter().map(|word| (*word).to_owned()).collect()
}
