//! That what docs/security.md and the vulnerability note say is shown: each test that they name is there, and of tiny_http only
//! types are used.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::readme::PAGES;

/// The text of all Rust files below `directory`.
fn source(directory: &Path) -> String {
    let mut text = String::new();
    for entry in fs::read_dir(directory).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            text += &source(&path);
        } else if path.extension().is_some_and(|kind| kind == "rs") {
            text += &fs::read_to_string(&path).unwrap();
        }
    }
    text
}

/// The names of all tests in `text`.
fn tests(text: &str) -> BTreeSet<&str> {
    let after = text.split("#[test]").skip(1);
    let names = after.filter_map(|rest| rest.split_once("fn ")?.1.split_once('('));
    names.map(|(name, _)| name).collect()
}

#[test]
fn each_test_that_shows_what_attackers_cannot_do_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = source(&root.join("src")) + &source(&root.join("tests"));
    let known = tests(&text);
    let page = PAGES.iter().find(|page| page.path == "docs/security.md").unwrap();
    let mut shown = 0;
    for (line, code) in page.inline() {
        let is_name = code.len() > 20
            && code
                .chars()
                .all(|c| c.is_ascii_lowercase() || "_0123456789".contains(c));
        if is_name {
            assert!(known.contains(code), "docs/security.md:{line}: no test `{code}`");
            shown += 1;
        }
    }
    assert!(shown > 30, "{shown}");
    let note = fs::read_to_string(root.join("packaging/deltapost.openvex.json")).unwrap();
    let note: serde_json::Value = serde_json::from_str(&note).unwrap();
    for statement in note["statements"].as_array().unwrap() {
        let impact = statement["impact_statement"].as_str().unwrap();
        assert!(impact.split(' ').any(|word| known.contains(word)), "{impact}");
    }
}

#[test]
fn tiny_https_own_server_is_used_nowhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = source(&root.join("src"));
    let types = ["Method", "{HTTPVersion, Header, Response, StatusCode}"];
    let named: Vec<&str> = text
        .split("use tiny_http::")
        .skip(1)
        .filter_map(|rest| rest.split(';').next())
        .collect();
    assert!(named.len() > 2, "{named:?}");
    assert!(named.iter().all(|name| types.contains(name)), "{named:?}");
    assert_eq!(
        text.matches("tiny_http::").count(),
        named.len(),
        "named in full, too"
    );
}
