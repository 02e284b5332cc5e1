//! Each line of the spec's table of events, and the orders in which a feed may tell the same story.

use super::*;
use crate::core::drive;
use crate::core::model::{PageEnd, Secret};

const POLL_DATE: &str = "2026-03-01T09:35:00Z";

/// A line of a page: `kind id name parent`, then any of `size=`, `etag=`, `created=`, or `deleted`.
fn feed(line: &str) -> FeedItem<'static> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let given = |word: &str| (word != "-").then(|| word.to_owned());
    let value = |key: &str| {
        words
            .iter()
            .find_map(|word| word.strip_prefix(key))
            .map(str::to_owned)
    };
    let deleted = words.contains(&"deleted");
    FeedItem {
        raw: Box::leak(format!("{{\"line\":{line:?}}}").into_boxed_str()),
        id: words[1].to_owned(),
        announced_id: None,
        name: given(words[2]),
        parent_id: given(words[3]),
        drive_id: None,
        kind: ItemKind::from_text(words[0]).expect("a kind"),
        deleted,
        size: value("size="),
        hash: None,
        etag: value("etag="),
        created: value("created=").map(|time| time.parse().expect("a time")),
        modified: None,
    }
}

fn rules(baseline: BaselineMode, filter: &Filter) -> Rules<'_> {
    Rules {
        resource: "events",
        phase: Phase::Following,
        silent: false,
        baseline,
        first: None,
        started_at: "2026-03-01T09:00:00Z".parse().expect("a time"),
        filter,
        repeated: HashSet::new(),
        poll_date: POLL_DATE.parse().expect("a time"),
    }
}

fn known_from(lines: &[&str]) -> Known {
    lines
        .iter()
        .map(|line| {
            let item = remember(None, &feed(line));
            (item.id.clone(), item)
        })
        .collect()
}

fn detect(known: &[&str], lines: &[&str], rules: &Rules<'_>) -> Detected {
    let end = PageEnd::Delta(Secret::new("link"));
    page(
        &Page {
            items: lines.iter().map(|line| feed(line)).collect(),
            end,
        },
        known_from(known),
        rules,
    )
}

fn in_words(found: &Detected) -> Vec<String> {
    let mut lines: Vec<String> = found
        .changes
        .iter()
        .map(|change| {
            let aspects: Vec<&str> = change.aspects.iter().map(|aspect| aspect.as_str()).collect();
            let path = change.path.as_deref().unwrap_or("null");
            format!(
                "{} {} {path} {}",
                change.event_type,
                change.object_type,
                aspects.join("+")
            )
            .trim_end()
            .to_owned()
        })
        .collect();
    lines.extend(
        found
            .staged
            .iter()
            .map(|staged| format!("staged {}", staged.object_id)),
    );
    lines
}

#[track_caller]
fn check(known: &[&str], lines: &[&str], expect: &[&str]) {
    let filter = Filter::default();
    assert_eq!(
        in_words(&detect(known, lines, &rules(BaselineMode::Snapshot, &filter))),
        expect
    );
}

const TREE: &[&str] = &[
    "root R root -",
    "folder F Finance R",
    "file a a.txt F size=1 etag=1",
];

#[test]
fn each_line_of_the_table() {
    check(TREE, &["file b b.txt F size=1"], &["CREATED file /Finance/b.txt"]);
    check(
        TREE,
        &["file a a.txt F size=2 etag=2"],
        &["UPDATED file /Finance/a.txt content"],
    );
    check(
        TREE,
        &["file a b.txt F size=1 etag=2"],
        &["UPDATED file /Finance/b.txt name"],
    );
    check(
        TREE,
        &["file a a.txt R size=1 etag=2"],
        &["UPDATED file /a.txt parent"],
    );
    check(
        TREE,
        &["file a b.txt R size=2 etag=2"],
        &["UPDATED file /b.txt content+name+parent"],
    );
    check(
        TREE,
        &["file a a.txt F size=1 etag=2"],
        &["UPDATED file /Finance/a.txt metadata"],
    );
    check(TREE, &["file a a.txt F size=1 etag=1"], &[]);
    check(TREE, &["folder F Finance R size=99 etag=99"], &[]);
    check(TREE, &["folder F Money R"], &["UPDATED folder /Money name"]);
    check(TREE, &["root R other - size=5"], &[]);
    check(TREE, &["file a - F deleted"], &["staged a"]);
    check(TREE, &["file z - F deleted"], &["staged z"]);
    check(TREE, &["root R - - deleted"], &[]);
    check(TREE, &["remoteItem s Shared R"], &["CREATED remoteItem /Shared"]);
    check(TREE, &["package n Notes R"], &["CREATED package /Notes"]);
    check(TREE, &["object m - -"], &["CREATED events null"]);
}

#[test]
fn a_deletion_of_what_nobody_was_told_of_is_no_event_of_its_own() {
    let filter = Filter::default();
    let rules = rules(BaselineMode::Snapshot, &filter);
    let found = detect(TREE, &["folder z - F deleted"], &rules);
    assert_eq!(found.unchanged, 1);
    assert_eq!(
        found.upserts,
        [],
        "so that the sweep finds only what is known to lie in it"
    );
}

#[test]
fn whatever_an_enumeration_sees_is_written_changed_or_not() {
    let filter = Filter::default();
    for (phase, expect) in [
        (Phase::Baseline, 1),
        (Phase::Enumerating, 1),
        (Phase::Following, 0),
    ] {
        let rules = Rules {
            phase,
            ..rules(BaselineMode::Snapshot, &filter)
        };
        let found = detect(TREE, &["file a a.txt F size=1 etag=1"], &rules);
        assert_eq!((found.upserts.len(), found.unchanged), (expect, 1), "{phase}");
    }
}

#[test]
fn the_last_occurrence_in_a_page_counts() {
    check(
        TREE,
        &["file b x R size=1", "file b y F size=1"],
        &["CREATED file /Finance/y"],
    );
    check(TREE, &["file a - F deleted", "file a a.txt F size=1 etag=1"], &[]);
    check(
        TREE,
        &["file a a.txt R size=1 etag=1", "file a - F deleted"],
        &["staged a"],
    );
}

#[test]
fn a_child_before_its_parent_has_a_path_and_one_of_an_unknown_parent_has_none() {
    check(
        TREE,
        &["file b b.txt G size=1", "folder G New F"],
        &["CREATED file /Finance/New/b.txt", "CREATED folder /Finance/New"],
    );
    check(TREE, &["file b b.txt Z size=1"], &["CREATED file null"]);
}

#[test]
fn what_the_feed_leaves_out_is_no_change_and_a_first_hash_is_adopted() {
    check(TREE, &["file a - - etag=1"], &[]);
    check(
        &["root R root -", "file a a.txt R"],
        &["file a a.txt R size=7 etag=7"],
        &[],
    );
}

#[test]
fn a_resource_that_started_at_now_tells_new_from_old_and_hears_deletions_of_unknown_objects() {
    let filter = Filter::default();
    let rules = rules(BaselineMode::Latest, &filter);
    let found = detect(
        &[],
        &[
            "file a a.txt F created=2026-03-01T08:59:30Z",
            "file b b.txt F created=2026-03-01T08:58:00Z",
            "file c c.txt F deleted",
        ],
        &rules,
    );
    assert_eq!(
        in_words(&found),
        ["CREATED file null", "UPDATED file null", "staged c"]
    );
    assert!(
        found.upserts.iter().any(|item| item.id == "c"),
        "so that the sweep finds it"
    );
}

#[test]
fn a_silent_baseline_learns_and_tells_nothing() {
    let filter = Filter::default();
    let rules = Rules {
        silent: true,
        phase: Phase::Baseline,
        ..rules(BaselineMode::Snapshot, &filter)
    };
    let found = detect(&[], TREE, &rules);
    assert_eq!((in_words(&found), found.upserts.len()), (vec![], 3));
}

#[test]
fn an_enumeration_marks_what_it_shows_even_where_nothing_moved() {
    let filter = Filter::default();
    let rules = Rules {
        phase: Phase::Enumerating,
        ..rules(BaselineMode::Snapshot, &filter)
    };
    let found = detect(TREE, TREE, &rules);
    assert_eq!((in_words(&found), found.upserts.len()), (vec![], 3));
}

#[test]
fn what_the_filter_keeps_back_is_counted_and_remembered() {
    let filter = Filter {
        types: vec![EventType::Created],
        objects: vec!["file".to_owned()],
        paths: vec!["/Finance/**".to_owned()],
    };
    let found = detect(
        TREE,
        &[
            "file b b.txt F",
            "file c c.txt R",
            "folder G New F",
            "file a a.txt F size=2",
        ],
        &rules(BaselineMode::Snapshot, &filter),
    );
    assert_eq!(in_words(&found), ["CREATED file /Finance/b.txt"]);
    assert_eq!((found.filtered, found.upserts.len()), (3, 4));
}

#[test]
fn a_deletion_tells_what_the_object_was() {
    let filter = Filter::default();
    let known = known_from(TREE);
    let change = deletion(&known["a"], None, &known, &rules(BaselineMode::Snapshot, &filter)).expect("told");
    assert_eq!(change.path.as_deref(), Some("/Finance/a.txt"));
    let previous = change.previous.expect("a deletion has it");
    assert_eq!(
        (previous.name.as_deref(), previous.parent_id.as_deref()),
        (Some("a.txt"), Some("F"))
    );
}

#[test]
fn parents_that_form_a_loop_have_no_path() {
    let known = known_from(&["folder A a B", "folder B b A"]);
    assert_eq!(path("A", &known), None);
}

#[test]
fn what_leaves_a_filtered_path_is_told_once() {
    let filter = Filter {
        paths: vec!["/Finance/**".to_owned()],
        ..Filter::default()
    };
    let rules = rules(BaselineMode::Snapshot, &filter);
    let found = detect(TREE, &["file a a.txt R size=1 etag=2"], &rules);
    assert_eq!(in_words(&found), ["UPDATED file /a.txt parent"]);
    // Its folder may move before it on the same page.
    let found = detect(
        TREE,
        &["folder F Money R", "file a a.txt F size=2 etag=2"],
        &rules,
    );
    assert_eq!(in_words(&found), ["UPDATED file /Money/a.txt content"]);
    let outside = &["root R root -", "file a a.txt R size=1 etag=2"];
    let found = detect(outside, &["file a b.txt R size=1 etag=3"], &rules);
    assert_eq!((in_words(&found), found.filtered), (Vec::new(), 1));
}

#[test]
fn an_item_of_another_drive_does_not_stand_for_the_drive_where_nothing_is_read_whole() {
    let mut item = feed("remoteItem s Shared R");
    item.drive_id = Some("theirs".to_owned());
    for (baseline, expect) in [
        (BaselineMode::Latest, None),
        (BaselineMode::Snapshot, Some("theirs")),
    ] {
        let shown = Page {
            items: vec![item.clone()],
            end: PageEnd::Delta(Secret::new("link")),
        };
        assert_eq!(
            drive::learnt_from(&shown, baseline),
            (expect, None),
            "{baseline:?}"
        );
    }
}
