//! How each house rule is checked on the text of one file. What the rules say stands in the tables of `house.rs`.

use super::source::{Kind, Named, Source};
use super::{IMPURE, MAX_INLINE, MAX_LINES, ROOMS, SQL, UNFINISHED};

/// Every broken rule in `files`, their paths and texts, each as `path:line: what is wrong`.
pub(crate) fn broken_rules(files: &[(String, String)]) -> Vec<String> {
    let files = &read(files);
    let mut told = Vec::new();
    for file in files {
        for Broken { line, what } in RULES.iter().flat_map(|rule| rule(file)) {
            told.push(format!("{}:{line}: {what}", file.path));
        }
    }
    told.dedup();
    told
}

/// All files, taken apart.
pub(crate) fn read(files: &[(String, String)]) -> Vec<File<'_>> {
    let mut files: Vec<File> = files.iter().map(|(path, text)| File::new(path, text)).collect();
    let test_modules: Vec<String> = files.iter().flat_map(File::test_modules).collect();
    for file in &mut files {
        // A module `x` is `x.rs`, `x/mod.rs` and whatever else lies in `x/`.
        let place = file.path.trim_end_matches(".rs");
        let within = |module: &String| place == module || place.starts_with(&format!("{module}/"));
        file.is_test = !place.starts_with("src/") || test_modules.iter().any(within);
    }
    files
}

/// One file, as the rules see it.
pub(crate) struct File<'a> {
    pub(crate) path: &'a str,
    text: &'a str,
    source: Source,
    /// Nothing in it ships.
    pub(crate) is_test: bool,
}

/// A broken rule and where.
struct Broken {
    line: usize,
    what: String,
}

impl File<'_> {
    fn new<'a>(path: &'a str, text: &'a str) -> File<'a> {
        File {
            path,
            text,
            source: Source::read(text),
            is_test: false,
        }
    }

    /// The modules that lead to this file: `src/store/outbox.rs` is `store::outbox`. `None` outside of `src/`.
    pub(crate) fn module(&self) -> Option<Vec<&str>> {
        let path = self.path.strip_prefix("src/")?.strip_suffix(".rs")?;
        let path = path.strip_suffix("/mod").unwrap_or(path);
        Some(path.split('/').collect())
    }

    fn room(&self) -> Option<&str> {
        self.module().map(|module| module[0])
    }

    /// The paths, without `.rs`, of the modules that this file declares for tests only.
    fn test_modules(&self) -> Vec<String> {
        let place = self.path.trim_end_matches(".rs");
        let (directory, stem) = place.rsplit_once('/').unwrap_or(("", place));
        let below = match stem {
            "mod" | "lib" | "main" => directory,
            _ => place,
        };
        let declared = self.source.test_modules().into_iter();
        declared.map(|name| format!("{below}/{name}")).collect()
    }
}

const RULES: &[fn(&File) -> Vec<Broken>] = &[imports, purity, sql, header_and_length, tests_place, markers];

/// Each room imports what its row allows. Tests may set up whatever they like.
fn imports(file: &File) -> Vec<Broken> {
    let Some(name) = file.room() else {
        return Vec::new();
    };
    let Some(room) = ROOMS.iter().find(|room| room.name == name) else {
        let what = format!("`{name}` is no room of this house: give it a row in tests/it/house.rs");
        return vec![Broken { line: 1, what }];
    };
    let mut broken = Vec::new();
    for path in product_paths(file) {
        let Some(imported) = absolute(file, &path).and_then(|path| path.into_iter().next()) else {
            continue;
        };
        let allowed = imported == name || room.may_import.contains(&imported.as_str());
        if !allowed {
            let because = match ROOMS.iter().any(|room| room.name == imported) {
                true => room.because,
                false => "that is no room of this house; name each room",
            };
            broken.push(Broken {
                line: path.line,
                what: format!("`{name}` must not import `{imported}`: {because}"),
            });
        }
    }
    broken
}

pub(crate) fn product_paths(file: &File) -> Vec<Named> {
    let mut paths = file.source.paths();
    paths.retain(|path| !path.in_test && !file.is_test);
    paths
}

/// `path` from the crate's root on, when it begins there, at the file's own module, or at one that it lies in.
pub(crate) fn absolute(file: &File, path: &Named) -> Option<Vec<String>> {
    let mut words = path.words.iter().map(String::as_str).peekable();
    let mut at: Vec<&str> = match words.peek()? {
        &"crate" | &"deltapost" => Vec::new(),
        &"super" | &"self" => {
            let module = file.module()?;
            let is_root = matches!(module[..], ["main" | "lib"]);
            let inside = path.inside.iter().map(String::as_str);
            module.into_iter().filter(|_| !is_root).chain(inside).collect()
        }
        _ => return None,
    };
    while let Some(word) = words.next_if(|word| matches!(*word, "crate" | "deltapost" | "super" | "self")) {
        if word == "super" {
            at.pop();
        }
    }
    at.extend(words);
    Some(at.into_iter().map(str::to_owned).collect())
}

/// `core` names nothing that acts.
fn purity(file: &File) -> Vec<Broken> {
    if file.room() != Some("core") {
        return Vec::new();
    }
    let mut broken = Vec::new();
    for path in product_paths(file) {
        let named = path.words.join("::");
        let named = named.trim_end_matches("::*").trim_end_matches("::self");
        for (impure, because) in IMPURE {
            // Naming what it lies in, as `use std::time` does, would hide it.
            if lies_in(named, impure) || lies_in(impure, named) {
                broken.push(Broken {
                    line: path.line,
                    what: format!("`core` must not name `{impure}`: {because}"),
                });
            }
        }
    }
    broken
}

fn lies_in(path: &str, base: &str) -> bool {
    path.strip_prefix(base)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// SQL stands in `schema/` and `src/store/` only.
fn sql(file: &File) -> Vec<Broken> {
    if file.room().is_none_or(|room| room == "store") {
        return Vec::new();
    }
    let mut broken = Vec::new();
    for token in &file.source.tokens {
        let Kind::Text(text) = &token.kind else {
            continue;
        };
        if let Some(keyword) = SQL.iter().find(|keyword| text.contains(**keyword)) {
            broken.push(Broken {
                line: token.line,
                what: format!(
                    "`{}` is SQL: it belongs into src/store/ or schema/",
                    keyword.trim_end()
                ),
            });
        }
    }
    broken
}

/// Each file says first what it owns, and is short enough to be read.
fn header_and_length(file: &File) -> Vec<Broken> {
    let mut broken = Vec::new();
    if !file.text.starts_with("//!") {
        let what = "the file must begin with `//!` lines: what it owns, and what not".to_owned();
        broken.push(Broken { line: 1, what });
    }
    let lines = file.text.lines().count();
    if lines > MAX_LINES {
        let what = format!("the file has {lines} lines, and {MAX_LINES} at most are allowed: split it");
        broken.push(Broken { line: lines, what });
    }
    broken
}

/// Tests stand at the end of their file while they are short, else in `x/tests.rs` beside `x`; no module lies elsewhere
/// than its name says.
fn tests_place(file: &File) -> Vec<Broken> {
    if file.module().is_none() {
        return Vec::new();
    }
    let mut broken = Vec::new();
    if file.path.ends_with("_tests.rs") {
        let what = "tests of `x` lie in `x/tests.rs`".to_owned();
        broken.push(Broken { line: 1, what });
    }
    let tokens = &file.source.tokens;
    for (at, token) in tokens.iter().enumerate() {
        if file.source.word(at) == Some("path") && at > 1 && file.source.is_sign(at - 2, '#') {
            let what = "a module lies where its name says: no `#[path]`".to_owned();
            broken.push(Broken {
                line: token.line,
                what,
            });
        }
        let inline = file.source.word(at) == Some("mod") && token.in_test && file.source.is_sign(at + 2, '{');
        if inline {
            let inside = tokens[at..].iter().take_while(|token| token.in_test);
            let lines = inside.last().map_or(0, |last| last.line - token.line);
            if lines > MAX_INLINE + 1 {
                let what = format!(
                    "{} lines of tests stand inline, and {MAX_INLINE} at most are allowed: put them into `x/tests.rs`",
                    lines - 1
                );
                broken.push(Broken {
                    line: token.line,
                    what,
                });
            }
        }
    }
    broken
}

/// Nothing is left unfinished, and nothing that ships panics for want of an explanation.
fn markers(file: &File) -> Vec<Broken> {
    let mut broken = Vec::new();
    for (at, token) in file.source.tokens.iter().enumerate() {
        let Some(word) = file.source.word(at) else {
            continue;
        };
        let what = if UNFINISHED.contains(&word) && file.source.is_sign(at + 1, '!') {
            format!("`{word}!` must not be committed")
        } else if word == "unwrap" && !file.is_test && !token.in_test {
            "`unwrap` outside of tests: return the error, or say by `expect` why it cannot happen".to_owned()
        } else {
            continue;
        };
        broken.push(Broken {
            line: token.line,
            what,
        });
    }
    broken
}
