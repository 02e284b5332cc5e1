//! Tests of `glob`.

use proptest::prelude::*;

use super::*;

#[track_caller]
fn check(pattern: &str, matching: &[&str], others: &[&str]) {
    for path in matching {
        assert!(matches(pattern, path), "{pattern:?} should match {path:?}");
    }
    for path in others {
        assert!(!matches(pattern, path), "{pattern:?} should not match {path:?}");
    }
}

#[test]
fn a_star_stays_within_a_name() {
    check(
        "/Finance/*.xlsx",
        &["/Finance/a.xlsx", "/Finance/.xlsx", "/Finance/a.b.xlsx"],
        &[
            "/Finance/2026/a.xlsx",
            "/Finance/a.xlsx.bak",
            "/a.xlsx",
            "/Finance",
        ],
    );
    check("/*", &["/a", "/"], &["/a/b"]);
    check("/*/b*", &["/a/b", "/a/bc"], &["/a/c", "/a/x/b"]);
}

#[test]
fn two_stars_cross_folders() {
    check(
        "/Finance/**",
        &["/Finance/a", "/Finance/2026/03/a", "/Finance/"],
        &["/Finance", "/Financeer/a", "/x/Finance/a"],
    );
    check("**", &["", "/", "/a/b"], &[]);
    check("/a**z", &["/az", "/a/b/z", "/abcz"], &["/a/b/zy"]);
    check("/a/***", &["/a/b/c"], &["/b"]);
}

#[test]
fn two_stars_as_a_name_stand_for_any_folders_or_none() {
    check(
        "/a/**/b",
        &["/a/b", "/a/x/b", "/a/x/y/b"],
        &["/a/xb", "/ab", "/a/x/yb"],
    );
    check("**/*.pdf", &["/x.pdf", "/a/b/x.pdf"], &["/x.pdf/y"]);
    check("/**/**/b", &["/b", "/a/b", "/a/a/b"], &["/ab"]);
    check("/a**/b", &["/a/b", "/ax/b", "/a/x/b"], &["/ab", "/b"]);
}

#[test]
fn a_question_mark_is_one_character_of_a_name() {
    check(
        "/r?port",
        &["/report", "/r€port", "/r\u{1F980}port"],
        &["/rport", "/r/port", "/reeport"],
    );
}

#[test]
fn case_does_not_matter() {
    check(
        "/finance/ÄRGER*",
        &["/Finance/ärger.txt", "/FINANCE/Ärger"],
        &["/finance/arger"],
    );
}

#[test]
fn both_sides_begin_at_the_root_with_or_without_a_slash() {
    check("Finance/*", &["/Finance/a", "Finance/a"], &["/x/Finance/a"]);
    check("/Finance/*", &["Finance/a"], &[]);
    check("*.pdf", &["/a.pdf"], &["/a/b.pdf"]);
}

#[test]
fn other_signs_stand_for_themselves() {
    check("/a.(b)[c]{d}+$", &["/a.(b)[c]{d}+$"], &["/axb", "/a.b"]);
    check("", &["", "/"], &["/a"]);
}

#[test]
fn a_pattern_made_to_be_slow_is_not() {
    // A matcher that tries alternatives one after the other would not come back from these.
    let path = format!("/{}", "a".repeat(2_000));
    assert!(!matches(&format!("{}b", "*a".repeat(40)), &path));
    assert!(!matches(
        &format!("{}b", "**/".repeat(40)),
        &path.replace("aa", "a/")
    ));
}

/// The same meaning, said as plainly as can be and with no care for time.
fn plainly(pattern: &[char], path: &[char], at_name: bool) -> bool {
    match pattern {
        ['*', '*', '/', rest @ ..] if at_name && plainly(rest, path, true) => true,
        ['*', '*', rest @ ..] => (0..=path.len()).any(|skip| plainly(rest, &path[skip..], false)),
        ['*', rest @ ..] => {
            let name = path.iter().take_while(|c| **c != '/').count();
            (0..=name).any(|skip| plainly(rest, &path[skip..], false))
        }
        ['?', rest @ ..] => path.first().is_some_and(|c| *c != '/') && plainly(rest, &path[1..], false),
        [c, rest @ ..] => path.first() == Some(c) && plainly(rest, &path[1..], *c == '/'),
        [] => path.is_empty(),
    }
}

proptest! {
    #[test]
    fn it_means_what_the_plain_matcher_means(pattern in "[ab/?*]{0,9}", path in "[ab/]{0,9}") {
        let (pattern, path) = (format!("/x{pattern}"), format!("/x{path}"));
        let chars = |text: &str| text.chars().skip(1).collect::<Vec<_>>();
        prop_assert_eq!(matches(&pattern, &path), plainly(&chars(&pattern), &chars(&path), true));
    }
}
