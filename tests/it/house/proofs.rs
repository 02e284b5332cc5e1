//! Each house rule on made-up sources: that it finds what it should, and nothing else.

use super::circles::circles;
use super::rules::{broken_rules, read};
use super::{MAX_INLINE, MAX_LINES, UNFINISHED};

/// The rules that `files` break, given as paths and texts. Each text stands below a proper header, from line 2.
fn broken(files: &[(&str, &str)]) -> Vec<String> {
    let below_header = |(path, text): &(&str, &str)| (path.to_string(), format!("//! Header.\n{text}"));
    broken_rules(&files.iter().map(below_header).collect::<Vec<_>>())
}

#[track_caller]
fn check(path: &str, text: &str, expect: &[&str]) {
    assert_eq!(broken(&[(path, text)]), expect);
}

#[test]
fn an_import_that_the_table_does_not_allow_is_found_however_it_is_written() {
    let told = |line: usize| {
        format!(
            "src/poll.rs:{line}: `poll` must not import `callback`: the outbox table is the contract between polling \
             and delivery: poll never sees a callback"
        )
    };
    for (text, line) in [
        ("use crate::callback::post;", 2),
        ("\npub(crate) use crate::callback as c;", 3),
        ("use crate::{core::{model, sign::{self}}, callback};", 2),
        ("use crate::{core::{model, sign::{self}},\n callback};", 3),
        ("use super::callback;", 2),
        ("mod inner {\n fn f() { super::super::callback::post() } }", 3),
        ("mod inner {} fn f() {\n super::callback::post() }", 3),
        ("fn f() { let x: Vec<crate::callback::Outcome>; }", 2),
        ("fn f() -> ::deltapost::callback::Outcome {}", 2),
        ("#[cfg(test)]\nmod tests {}\nuse crate::callback;", 4),
        (
            "const C: char = '\"'; use crate::callback; const D: char = '\"';",
            2,
        ),
    ] {
        check("src/poll.rs", text, &[&told(line)]);
    }
}

#[test]
fn what_is_no_import_is_not_taken_for_one() {
    for text in [
        "use crate::core::model::{Item, Page};",
        "use crate::poll::page; use self::callback::x; use super::poll::y;",
        "use other::callback; fn f(x: &callback::Y) {}",
        "// use crate::callback;\n/* /* */ use crate::callback; */",
        "const TEXT: &str = \"use crate::callback; \\\" crate::callback\";",
        "const TEXT: &str = r#\"use \"crate::callback\"#;",
        "const QUOTE: char = '\\''; fn f<'a>(x: &'a str) { \"crate::callback\" }",
        "mod callback { pub(crate) fn post() {} } use callback::post;",
        "#[cfg(test)]\nmod tests { use crate::callback; fn f() { crate::sim::run() } }",
        "#[cfg(test)] use crate::callback;",
    ] {
        check("src/poll.rs", text, &[]);
    }
    check(
        "tests/it/kill.rs",
        "use deltapost::{poll, deliver}; fn f() { x.unwrap() }",
        &[],
    );
}

#[test]
fn a_file_is_test_code_when_its_declaration_says_so() {
    let text = "use crate::callback; fn f() { x.unwrap() }";
    for (declaring, declaration, declared) in [
        ("src/poll.rs", "#[cfg(test)] mod tests;", "src/poll/tests.rs"),
        (
            "src/poll/mod.rs",
            "#[cfg(test)]\npub(crate) mod peer;",
            "src/poll/peer.rs",
        ),
        (
            "src/poll/mod.rs",
            "#[cfg(test)] mod tests;",
            "src/poll/tests/mod.rs",
        ),
        (
            "src/poll/mod.rs",
            "#[cfg(test)] mod tests;",
            "src/poll/tests/sweep.rs",
        ),
        (
            "src/poll/page.rs",
            "#[cfg(test)] mod tests;",
            "src/poll/page/tests.rs",
        ),
        ("src/lib.rs", "#[cfg(test)] mod poll;", "src/poll.rs"),
    ] {
        assert_eq!(
            broken(&[(declaring, declaration), (declared, text)]),
            [""; 0],
            "{declared}"
        );
        let shipped = declaration.replace("#[cfg(test)]", "");
        assert_eq!(
            broken(&[(declaring, &shipped), (declared, text)]).len(),
            2,
            "{declared}"
        );
    }
}

#[test]
fn a_room_without_a_row_is_found_from_both_sides() {
    check(
        "src/utils.rs",
        "",
        &["src/utils.rs:1: `utils` is no room of this house: give it a row in tests/it/house.rs"],
    );
    for import in ["utils", "*"] {
        let told = format!(
            "src/cli/mod.rs:2: `cli` must not import `{import}`: that is no room of this house; name each room"
        );
        check("src/cli/mod.rs", &format!("use crate::{import};"), &[&told]);
    }
    check(
        "src/main.rs",
        "use deltapost::store::open;",
        &["src/main.rs:2: `main` must not import `store`: main only prints what the command line returns"],
    );
}

#[test]
fn what_acts_is_found_in_core() {
    for (text, named, because) in [
        (
            "use std::fs::File;",
            "std::fs",
            "files are for the rooms that act",
        ),
        (
            "use std::{fmt, fs};",
            "std::fs",
            "files are for the rooms that act",
        ),
        (
            "fn f() { std::thread::yield_now() }",
            "std::thread",
            "threads are for the rooms that act",
        ),
        (
            "use std::time::{Duration, Instant};",
            "std::time::Instant",
            "whatever decides takes `now`",
        ),
        (
            "use ring::rand::SystemRandom;",
            "ring::rand",
            "whatever decides is handed its dice",
        ),
        (
            "use ring::{self, hmac};",
            "ring::rand",
            "whatever decides is handed its dice",
        ),
        (
            "use ring::*;",
            "ring::rand",
            "whatever decides is handed its dice",
        ),
    ] {
        let told = format!("src/core/detect.rs:2: `core` must not name `{named}`: {because}");
        check("src/core/detect.rs", text, &[&told]);
    }
    check(
        "src/core/sign.rs",
        "use std::time::Duration; use ring::hmac; use std::fmt;",
        &[],
    );
    check("src/graph/mod.rs", "use std::net::TcpStream;", &[]);
}

#[test]
fn sql_is_found_outside_of_the_store() {
    let text = "const Q: &str = \"\n  SELECT id FROM outbox\";";
    let told = "src/deliver.rs:2: `SELECT` is SQL: it belongs into src/store/ or schema/";
    check("src/deliver.rs", text, &[told]);
    check("src/store/outbox.rs", text, &[]);
    check("tests/it/kill.rs", text, &[]);
    check(
        "src/deliver.rs",
        "// SELECT is made in the store\nconst E: &str = \"UPDATED\";",
        &[],
    );
}

#[test]
fn a_file_without_a_header_or_end_is_found() {
    assert_eq!(
        broken_rules(&[("src/poll.rs".to_owned(), "use std::fmt;\n".to_owned())]),
        ["src/poll.rs:1: the file must begin with `//!` lines: what it owns, and what not"]
    );
    check("src/poll.rs", &"\n".repeat(MAX_LINES - 1), &[]);
    check(
        "src/poll.rs",
        &"\n".repeat(MAX_LINES),
        &["src/poll.rs:451: the file has 451 lines, and 450 at most are allowed: split it"],
    );
}

#[test]
fn what_must_not_be_committed_is_found() {
    for word in UNFINISHED {
        let told = format!("tests/it/kill.rs:2: `{word}!` must not be committed");
        check("tests/it/kill.rs", &format!("fn f() {{ {word}!() }}"), &[&told]);
    }
    let unwrap = "`unwrap` outside of tests: return the error, or say by `expect` why it cannot happen";
    check(
        "src/poll.rs",
        "#[cfg(test)]\nfn t(x: [u8; 3]) { x.unwrap() }\nfn f() { x\n.unwrap() }",
        &[&format!("src/poll.rs:5: {unwrap}")],
    );
    check(
        "src/poll.rs",
        "fn f() { x.map(Option::unwrap) }",
        &[&format!("src/poll.rs:2: {unwrap}")],
    );
    check("src/poll.rs", "fn f() { x.unwrap_or(todo) } // todo!", &[]);
}

#[test]
fn tests_that_do_not_stand_where_they_belong_are_found() {
    let inline = |lines: usize| format!("#[cfg(test)]\nmod tests {{\n{}}}\n", "f!();\n".repeat(lines));
    check("src/poll.rs", &inline(MAX_INLINE), &[]);
    check(
        "src/poll.rs",
        &inline(MAX_INLINE + 1),
        &[
            "src/poll.rs:3: 101 lines of tests stand inline, and 100 at most are allowed: put them into `x/tests.rs`",
        ],
    );
    check(
        "src/poll.rs",
        "#[cfg(test)]\n#[path = \"elsewhere.rs\"]\nmod tests;",
        &["src/poll.rs:3: a module lies where its name says: no `#[path]`"],
    );
    check(
        "src/poll_tests.rs",
        "",
        &[
            "src/poll_tests.rs:1: `poll_tests` is no room of this house: give it a row in tests/it/house.rs",
            "src/poll_tests.rs:1: tests of `x` lie in `x/tests.rs`",
        ],
    );
}

#[test]
fn a_circle_is_found_through_whatever_hands_a_name_on() {
    let of = |files: &[(&str, &str)]| {
        let owned = |(path, text): &(&str, &str)| (format!("src/{path}.rs"), text.to_string());
        circles(&read(&files.iter().map(owned).collect::<Vec<_>>()))
    };
    let a_b = [["src/core/a.rs", "src/core/b.rs"]];
    for (a, b) in [
        ("use super::b::B;", "use crate::core::a;"),
        ("fn f(b: super::b::B) {}", "fn f() { super::a::f() }"),
        ("use super::B;", "use super::a::A;"),
        (
            "mod c { use super::super::b; }",
            "use crate::core::{a::{self, A}};",
        ),
    ] {
        let files = [("core/mod", "pub use b::B;"), ("core/a", a), ("core/b", b)];
        assert_eq!(of(&files), a_b, "{a} {b}");
    }
    for (a, b) in [
        ("use super::b::B;", "use super::Shared;"),
        (
            "use super::b::B;",
            "#[cfg(test)]\nmod tests { use super::super::a; }",
        ),
        ("use super::b::B;", "// super::a::A"),
    ] {
        let files = [
            ("core/mod", "pub use a::A;\npub struct Shared;"),
            ("core/a", a),
            ("core/b", b),
        ];
        assert_eq!(of(&files), [[""; 0]; 0], "{a} {b}");
    }
    // The parent's own need of its children counts for who needs the parent from beside it.
    let beside = [
        ("core/a/mod", "mod inner;\nfn f() { inner::g() }"),
        ("core/a/inner", "use crate::core::b::B;"),
        ("core/b", "use super::a::A;"),
    ];
    assert_eq!(
        of(&beside),
        [["src/core/a/inner.rs", "src/core/a/mod.rs", "src/core/b.rs"]]
    );
}
