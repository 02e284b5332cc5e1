//! The house rules that rustc does not hold: who may import whom, where SQL may stand, what is pure, and what no file
//! may contain. Here stand the tables, each row with its reason, and the test that walks the tree. How the rules are
//! checked is in `house/rules.rs`; `house/proofs.rs` shows that each of them can fail.

mod circles;
mod proofs;
mod rules;
mod source;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use circles::circles;
use rules::{broken_rules, read};

/// A room of the house and what it may import, besides itself.
struct Room {
    name: &'static str,
    may_import: &'static [&'static str],
    because: &'static str,
}

const fn room(name: &'static str, may_import: &'static [&'static str], because: &'static str) -> Room {
    Room {
        name,
        may_import,
        because,
    }
}

/// From the ground up: each may import only rooms above its own row, so there can be no circle.
const ROOMS: &[Room] = &[
    room("core", &[], "the domain is pure and knows nothing of its edges"),
    room("killpoint", &[], "it only ends the process, in debug builds"),
    room(
        "places",
        &[],
        "how many may do something at a time is asked, and not what",
    ),
    room(
        "clock",
        &["core"],
        "time, sleep and dice serve everybody and need nobody",
    ),
    room(
        "zones",
        &["core"],
        "which zones there are is asked by name; what for is of no matter",
    ),
    room(
        "config",
        &["core", "zones"],
        "a text becomes a value; what follows from it is the agent's",
    ),
    room(
        "store",
        &["core", "clock", "killpoint"],
        "the database keeps what it is given; of the clock it needs only nonces",
    ),
    room(
        "wire",
        &["core", "clock"],
        "what both clients need of HTTP is neither client's",
    ),
    room(
        "graph",
        &["core", "clock", "wire", "places"],
        "the provider's wire knows nothing of what is kept",
    ),
    room(
        "callback",
        &["core", "clock", "wire"],
        "one POST knows nothing of the outbox it comes from",
    ),
    room(
        "grants",
        &["core", "clock", "store", "graph", "killpoint"],
        "a token is renewed at the provider and kept in the store, and that is all",
    ),
    room(
        "poll",
        &[
            "core",
            "clock",
            "zones",
            "store",
            "graph",
            "grants",
            "places",
            "killpoint",
        ],
        "the outbox table is the contract between polling and delivery: poll never sees a callback",
    ),
    room(
        "deliver",
        &["core", "clock", "config", "store", "callback", "killpoint"],
        "the outbox table is the contract between polling and delivery: deliver never sees a cursor or the provider",
    ),
    room(
        "commands",
        &[
            "core", "clock", "zones", "config", "store", "graph", "callback", "grants", "poll", "deliver",
        ],
        "what people can ask for is the same from the command line, the API and the page",
    ),
    room(
        "agent",
        &[
            "core", "clock", "zones", "config", "store", "graph", "callback", "grants", "poll", "deliver",
            "places", "commands",
        ],
        "the agent runs what is below it and does not know who started it",
    ),
    room("httpd", &[], "the HTTP server knows nothing of deltapost"),
    room(
        "web",
        &["core", "clock", "store", "commands", "httpd"],
        "the API and the page act through commands only",
    ),
    room(
        "sim",
        &["core", "clock", "httpd"],
        "the simulated provider must not share the agent's mistakes",
    ),
    room(
        "cli",
        &[
            "core", "clock", "zones", "config", "store", "graph", "callback", "grants", "poll", "deliver",
            "commands", "agent", "httpd", "web", "sim",
        ],
        "the command line may use every room; kill points are not for it",
    ),
    room("main", &["cli"], "main only prints what the command line returns"),
    room("lib", &[], "lib.rs is the map"),
];

/// The circles between files that are left. A row goes with its circle; none comes.
const CIRCLES: &[&[&str]] = &[
    &["src/commands/error.rs", "src/commands/outbox.rs"],
    &["src/core/cloudevents.rs", "src/core/payload.rs"],
    &["src/core/feed.rs", "src/core/model.rs", "src/core/window/mod.rs"],
    &["src/core/schedule/mistake.rs", "src/core/schedule/parse.rs"],
    &[
        "src/sim/onedrive/collection.rs",
        "src/sim/onedrive/drive.rs",
        "src/sim/onedrive/fault.rs",
        "src/sim/onedrive/feed.rs",
        "src/sim/onedrive/graph.rs",
        "src/sim/onedrive/item.rs",
        "src/sim/onedrive/state.rs",
    ],
    &[
        "src/store/first.rs",
        "src/store/outbox.rs",
        "src/store/pages.rs",
        "src/store/resources.rs",
        "src/store/state.rs",
        "src/store/sweep.rs",
        "src/store/windows.rs",
    ],
    &[
        "src/web/api/oauth.rs",
        "src/web/page/create.rs",
        "src/web/page/instance.rs",
        "src/web/page/mod.rs",
    ],
];

/// What `core` must not name, and why.
const IMPURE: &[(&str, &str)] = &[
    ("std::fs", "files are for the rooms that act"),
    ("std::net", "sockets are for the rooms that act"),
    ("std::thread", "threads are for the rooms that act"),
    ("std::time::Instant", "whatever decides takes `now`"),
    ("std::time::SystemTime", "whatever decides takes `now`"),
    ("ring::rand", "whatever decides is handed its dice"),
];

const SQL: &[&str] = &[
    "SELECT ",
    "INSERT INTO ",
    "INSERT OR ",
    "UPDATE ",
    "DELETE FROM ",
    "CREATE TABLE ",
    "CREATE VIEW ",
    "CREATE INDEX ",
    "ALTER TABLE ",
    "DROP TABLE ",
    "PRAGMA ",
    "BEGIN IMMEDIATE",
];

const UNFINISHED: &[&str] = &["todo", "unimplemented", "dbg"];

const MAX_LINES: usize = 450;

/// Longer tests lie in a file of their own.
const MAX_INLINE: usize = 100;

/// What is no part of the product, by a part of its path.
const NOT_THE_PRODUCT: &[&str] = &["/tests", "/sim/", "/demo"];

fn rust_files(directory: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = directory.read_dir() else {
        return;
    };
    for entry in entries {
        let path = entry.expect("the tree can be listed").path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Each file of Rust with its path.
fn sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    for directory in ["src", "tests", "benches", "examples"] {
        rust_files(&root.join(directory), &mut found);
    }
    found.sort();
    let read = |file: &PathBuf| {
        let path = file.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
        (path, std::fs::read_to_string(file).unwrap())
    };
    found.iter().map(read).collect()
}

#[test]
fn every_file_keeps_the_house_rules() {
    let files = sources();
    assert!(
        files.iter().any(|(path, _)| path == "src/lib.rs"),
        "the sources were not found"
    );
    let broken = broken_rules(&files);
    assert!(broken.is_empty(), "\n{}\n", broken.join("\n"));
}

#[test]
fn files_stand_in_no_circle_but_those_of_the_table() {
    let found = circles(&read(&sources()));
    let new = found
        .iter()
        .filter(|circle| !CIRCLES.contains(&&circle.iter().map(String::as_str).collect::<Vec<_>>()[..]));
    let gone = CIRCLES
        .iter()
        .filter(|row| !found.iter().any(|circle| circle == *row));
    let (new, gone): (Vec<_>, Vec<_>) = (new.collect(), gone.collect());
    assert!(
        new.is_empty() && gone.is_empty(),
        "not in the table: {new:#?}\nto be struck from the table: {gone:#?}"
    );
}

/// `cargo test --test it code_of_each_room -- --nocapture` prints how much each room has, and the whole.
#[test]
fn the_code_of_each_room_is_counted() {
    let mut rooms: BTreeMap<String, usize> = BTreeMap::new();
    for (path, text) in sources() {
        let Some(inside) = path.strip_prefix("src/") else {
            continue;
        };
        if NOT_THE_PRODUCT.iter().any(|part| path.contains(part)) {
            continue;
        }
        let room = match inside.split('/').collect::<Vec<_>>()[..] {
            ["core", part, _, ..] => format!("core/{part}"),
            [room, ..] => room.to_owned(),
            [] => unreachable!("a split gives one part at least"),
        };
        *rooms.entry(room).or_default() += lines_of_code(&text);
    }
    for (room, lines) in &rooms {
        println!("{lines:6} {room}");
    }
    println!("{:6} in all", rooms.values().sum::<usize>());
    assert!(rooms.contains_key("core"));
}

/// Lines that are neither blank nor a comment, up to the inline tests.
fn lines_of_code(text: &str) -> usize {
    let product = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or(text);
    let lines = product.lines().map(str::trim);
    lines
        .filter(|line| !line.is_empty() && !line.starts_with("//"))
        .count()
}

#[test]
fn the_table_has_no_circle() {
    for (at, room) in ROOMS.iter().enumerate() {
        for import in room.may_import {
            let above = ROOMS[..at].iter().any(|above| above.name == *import);
            assert!(
                above,
                "`{}` may import `{import}`, which has no row above its own",
                room.name
            );
        }
    }
}
