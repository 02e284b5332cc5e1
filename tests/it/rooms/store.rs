//! The store's promises, on real files: one step of a cursor is all or nothing, a sweep goes leaf first and survives an
//! interruption between any two of its transactions, and what is sealed stays closed without the key.

use deltapost::core::detect::StagedDeletion;
use deltapost::core::elements;
use deltapost::core::model::{Item, Phase, Secret};
use deltapost::store::{
    Grant, Hold, Key, Look, PageStep, Resource, Restart, Selection, Sharing, Store, StoreError,
};

use crate::rooms::fixture::GRAPH;
use crate::rooms::fixture::{delta, item, next, notification, now, step, store};

/// Works the sweep off as a poll does, and returns the ids in the order in which they went.
fn sweep(store: &Store, mut resource: Resource) -> Vec<String> {
    let mut order = Vec::new();
    store.mark_doomed(&resource).unwrap();
    loop {
        let doomed = store.doomed_items(resource.id).unwrap();
        order.extend(doomed.iter().map(|doomed| doomed.item.id.clone()));
        if store.commit_sweep(&resource, &doomed, &[], now()).unwrap() != Phase::Sweeping {
            return order;
        }
        resource = store.resource(resource.id).unwrap();
    }
}

/// Reads a set in which nothing is, and works off what waited for it.
fn next_set(store: &Store) -> Vec<String> {
    let resource = store.resource(1).unwrap();
    let phase = store.commit_page(&resource, &step(&[], &[], &delta())).unwrap();
    assert_eq!(phase, Phase::Sweeping);
    sweep(store, store.resource(1).unwrap())
}

#[test]
fn a_page_from_an_old_step_of_the_cursor_writes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let store = store(directory.path());
    let stale = store.resource(1).unwrap();
    store
        .commit_page(&stale, &step(&[item("A", "R")], &[notification("one")], &next()))
        .unwrap();
    let refused = store.commit_page(&stale, &step(&[item("B", "R")], &[notification("two")], &next()));
    assert!(matches!(refused, Err(StoreError::Superseded)), "{refused:?}");
    let known = store.known_items(1, ["A", "B"], []).unwrap();
    assert_eq!(known.keys().collect::<Vec<_>>(), ["A"]);
    assert_eq!(store.list_outbox(None, None, 10).unwrap().len(), 1);
    assert_eq!(store.resource(1).unwrap().cursor_seq, 1);
}

#[test]
fn only_a_hold_has_the_agent_read_its_timetable_again() {
    let directory = tempfile::tempdir().unwrap();
    let store = store(directory.path());
    let other = rusqlite::Connection::open(directory.path().join("deltapost.db")).unwrap();
    let version = || -> i64 {
        let version = other.query_row("SELECT plan_version FROM meta", [], |row| row.get("plan_version"));
        version.unwrap()
    };
    let before = version();
    for end in [next(), delta()] {
        let resource = store.resource(1).unwrap();
        store.commit_page(&resource, &step(&[], &[], &end)).unwrap();
    }
    assert_eq!(version(), before);
    store.hold(&store.resource(1).unwrap(), Hold::Drive).unwrap();
    assert!(version() > before);
}

#[test]
fn nothing_is_written_for_an_instance_that_is_being_deleted() {
    let directory = tempfile::tempdir().unwrap();
    let store = store(directory.path());
    let resource = store.resource(1).unwrap();
    store.begin_deletion(1, now()).unwrap();
    let refused = store.commit_page(&resource, &step(&[], &[notification("one")], &next()));
    assert!(matches!(refused, Err(StoreError::Superseded)), "{refused:?}");
    assert!(store.remove_instance(1).unwrap());
    assert!(store.instances().unwrap().is_empty());
}

#[test]
fn what_is_revived_after_an_instance_was_found_drained_is_not_removed_with_it() {
    let directory = tempfile::tempdir().unwrap();
    let store = store(directory.path());
    let resource = store.resource(1).unwrap();
    store
        .commit_page(&resource, &step(&[], &[notification("one")], &next()))
        .unwrap();
    let other = rusqlite::Connection::open(directory.path().join("deltapost.db")).unwrap();
    other
        .execute("UPDATE outbox SET state = 'dead', next_attempt_at = NULL", [])
        .unwrap();
    store.begin_deletion(1, now()).unwrap();
    assert_eq!(store.drained_deletions().unwrap().len(), 1);
    let chosen = Selection {
        instances: vec![1],
        ..Selection::default()
    };
    assert_eq!(store.revive(&chosen, now()).unwrap().notifications, 1);
    assert!(!store.remove_instance(1).unwrap());
    assert_eq!(store.first_pending(1).unwrap(), Some(1));
}

#[test]
fn a_set_without_deletions_is_followed_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let store = store(directory.path());
    let phase = store
        .commit_page(
            &store.resource(1).unwrap(),
            &step(&[item("A", "R")], &[], &delta()),
        )
        .unwrap();
    assert_eq!(phase, Phase::Following);
    let resource = store.resource(1).unwrap();
    assert_eq!(resource.cursor.unwrap().expose(), "delta-link-0123");
    assert!(!resource.silent);
}

#[test]
fn a_sweep_goes_leaf_first_and_takes_descendants_that_nobody_listed() {
    let directory = tempfile::tempdir().unwrap();
    let store = store(directory.path());
    // F holds G, which holds files enough for several transactions; H and its file stay.
    let mut items = vec![
        item("F", "R"),
        item("G", "F"),
        item("H", "R"),
        item("H-file", "H"),
    ];
    items.extend((0..900).map(|number| item(&format!("G-{number:03}"), "G")));
    store
        .commit_page(&store.resource(1).unwrap(), &step(&items, &[], &delta()))
        .unwrap();
    let staged = ["F", "G-007"].map(|id| StagedDeletion {
        object_id: id.to_owned(),
        raw: "{}".to_owned(),
    });
    let end = delta();
    let page = PageStep {
        staged: &staged,
        ..step(&[], &[], &end)
    };
    assert_eq!(
        store.commit_page(&store.resource(1).unwrap(), &page).unwrap(),
        Phase::Sweeping
    );
    let mut order = sweep(&store, store.resource(1).unwrap());
    assert_eq!(
        order,
        ["G-007"],
        "the folders wait for what the next set shows of them"
    );
    order.extend(next_set(&store));
    assert_eq!(order.len(), 902);
    assert_eq!(order[900..], ["G", "F"], "parents last");
    let left = store
        .known_items(1, ["H", "H-file", "F", "G", "G-000"], [])
        .unwrap();
    assert_eq!(left.len(), 2);
    assert_eq!(store.resource(1).unwrap().phase, Phase::Following);
}

#[test]
fn a_deleted_folder_that_was_never_known_takes_what_is_known_to_lie_in_it() {
    let directory = tempfile::tempdir().unwrap();
    let store = store(directory.path());
    // The first page shows a folder moved into F, which is gone when the second page would show it.
    let items = [item("G", "F"), item("G-file", "G"), item("H", "R")];
    store
        .commit_page(&store.resource(1).unwrap(), &step(&items, &[], &next()))
        .unwrap();
    let staged = [StagedDeletion {
        object_id: "F".to_owned(),
        raw: "{}".to_owned(),
    }];
    let end = delta();
    let page = PageStep {
        staged: &staged,
        ..step(&[], &[], &end)
    };
    assert_eq!(
        store.commit_page(&store.resource(1).unwrap(), &page).unwrap(),
        Phase::Sweeping
    );
    assert_eq!(sweep(&store, store.resource(1).unwrap()), [""; 0]);
    assert_eq!(next_set(&store), ["G-file", "G"]);
    assert_eq!(store.count_items(1).unwrap(), 1);
}

#[test]
fn a_folder_that_is_listed_as_deleted_waits_for_one_set_and_nothing_else_waits_with_it() {
    let directory = tempfile::tempdir().unwrap();
    let store = store(directory.path());
    let items = [item("F", "R"), item("G", "F"), item("H", "F"), item("A", "R")];
    store
        .commit_page(&store.resource(1).unwrap(), &step(&items, &[], &delta()))
        .unwrap();
    let end = delta();
    let list_as_deleted = |ids: &[&str], upserts: &[Item]| {
        let staged: Vec<StagedDeletion> = ids
            .iter()
            .map(|id| StagedDeletion {
                object_id: (*id).to_owned(),
                raw: "{}".to_owned(),
            })
            .collect();
        let page = PageStep {
            staged: &staged,
            ..step(upserts, &[], &end)
        };
        let phase = store.commit_page(&store.resource(1).unwrap(), &page).unwrap();
        assert_eq!(phase, Phase::Sweeping);
        sweep(&store, store.resource(1).unwrap())
    };
    assert_eq!(list_as_deleted(&["F", "A"], &[]), ["A"]);
    assert!(store.has_staged_deletions(1).unwrap());
    // The next set lists it once more, and shows what was moved out of it before it went.
    assert_eq!(list_as_deleted(&["F"], &[item("G", "R")]), ["H", "F"]);
    assert!(!store.has_staged_deletions(1).unwrap());
}

#[test]
fn a_deletion_of_what_is_seen_alive_later_in_the_set_is_void() {
    let directory = tempfile::tempdir().unwrap();
    let store = store(directory.path());
    store
        .commit_page(
            &store.resource(1).unwrap(),
            &step(&[item("A", "R")], &[], &delta()),
        )
        .unwrap();
    let staged = [StagedDeletion {
        object_id: "A".to_owned(),
        raw: "{}".to_owned(),
    }];
    let (next, delta) = (next(), delta());
    let first = PageStep {
        staged: &staged,
        ..step(&[], &[], &next)
    };
    store.commit_page(&store.resource(1).unwrap(), &first).unwrap();
    let alive = ["A".to_owned()];
    let second = PageStep {
        alive: &alive,
        ..step(&[], &[], &delta)
    };
    assert_eq!(
        store.commit_page(&store.resource(1).unwrap(), &second).unwrap(),
        Phase::Following
    );
    assert_eq!(store.count_items(1).unwrap(), 1);
}

#[test]
fn an_enumeration_dooms_what_it_does_not_show_and_an_interrupted_sweep_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let store = store(directory.path());
    let items: Vec<Item> = (0..600)
        .map(|number| item(&format!("A-{number:03}"), "R"))
        .collect();
    store
        .commit_page(&store.resource(1).unwrap(), &step(&items, &[], &delta()))
        .unwrap();
    store
        .start_over(
            &store.resource(1).unwrap(),
            Restart::Comparison { accepted: false },
        )
        .unwrap();
    store
        .commit_page(&store.resource(1).unwrap(), &step(&items[..50], &[], &delta()))
        .unwrap();
    let resource = store.resource(1).unwrap();
    assert_eq!(resource.phase, Phase::Sweeping);
    // The first transaction of the sweep, then a start from what the file holds.
    store.mark_doomed(&resource).unwrap();
    let first = store.doomed_items(1).unwrap();
    assert_eq!(
        store.commit_sweep(&resource, &first, &[], now()).unwrap(),
        Phase::Sweeping
    );
    drop(store);
    let key = Key::load(directory.path(), None).unwrap();
    let store = Store::open(directory.path(), Sharing::Owner, key, Look::Whole, GRAPH).unwrap();
    let rest = sweep(&store, store.resource(1).unwrap());
    assert_eq!(first.len() + rest.len(), 550);
    assert_eq!(store.count_items(1).unwrap(), 50);
    // Compared once: the next set without deletions sweeps nothing.
    let phase = store
        .commit_page(&store.resource(1).unwrap(), &step(&[], &[], &delta()))
        .unwrap();
    assert_eq!(phase, Phase::Following);
}

#[test]
fn a_resource_that_was_changed_meanwhile_is_not_marked_for_its_old_sweep() {
    let directory = tempfile::tempdir().unwrap();
    let store = store(directory.path());
    let items = [item("A", "R"), item("B", "R")];
    store
        .commit_page(&store.resource(1).unwrap(), &step(&items, &[], &delta()))
        .unwrap();
    store
        .start_over(
            &store.resource(1).unwrap(),
            Restart::Comparison { accepted: false },
        )
        .unwrap();
    store
        .commit_page(&store.resource(1).unwrap(), &step(&items[..1], &[], &delta()))
        .unwrap();
    let sweeping = store.resource(1).unwrap();
    assert_eq!(sweeping.phase, Phase::Sweeping);
    store.start_over(&sweeping, Restart::Rebaseline).unwrap();
    let marked = store.mark_doomed(&sweeping);
    assert!(matches!(marked, Err(StoreError::Superseded)), "{marked:?}");
    assert!(store.doomed_items(1).unwrap().is_empty());
}

#[test]
fn parents_that_form_a_loop_do_not_hold_a_sweep_up() {
    let directory = tempfile::tempdir().unwrap();
    let store = store(directory.path());
    let items = [item("A", "B"), item("B", "A")];
    store
        .commit_page(&store.resource(1).unwrap(), &step(&items, &[], &delta()))
        .unwrap();
    let staged = [StagedDeletion {
        object_id: "A".to_owned(),
        raw: "{}".to_owned(),
    }];
    let end = delta();
    let page = PageStep {
        staged: &staged,
        ..step(&[], &[], &end)
    };
    store.commit_page(&store.resource(1).unwrap(), &page).unwrap();
    sweep(&store, store.resource(1).unwrap());
    assert_eq!(next_set(&store).len(), 2);
}

#[test]
fn nothing_secret_stands_in_a_copied_database() {
    let directory = tempfile::tempdir().unwrap();
    let store = store(directory.path());
    store
        .commit_page(&store.resource(1).unwrap(), &step(&[], &[], &next()))
        .unwrap();
    store.checkpoint().unwrap();
    drop(store);
    let bytes = std::fs::read(directory.path().join("deltapost.db")).unwrap();
    for secret in [
        "old-token-0123",
        "query-0123",
        "signing-0123",
        "refresh-0123",
        "access-0123",
        "next-link-0123",
    ] {
        let found = bytes
            .windows(secret.len())
            .any(|window| window == secret.as_bytes());
        assert!(!found, "`{secret}` stands in the file");
    }
    std::fs::remove_file(directory.path().join("secret.key")).unwrap();
    let without = Store::open(directory.path(), Sharing::Owner, None, Look::Brief, GRAPH).unwrap();
    assert!(matches!(without.grant(1), Err(StoreError::NoKey)));
    let shown = without.instance(1).unwrap();
    assert!(!elements::withheld(&shown.configuration).is_empty());
    without.note_missing_key().unwrap();
    assert_eq!(without.health("Docs").unwrap()[0].health, "login required");
}

#[test]
fn the_grant_comes_back_as_it_was_kept_and_a_renewal_without_a_refresh_token_keeps_the_old_one() {
    let directory = tempfile::tempdir().unwrap();
    let store = store(directory.path());
    let renewed = Grant {
        refresh_token: None,
        access_token: Some(Secret::new("access-new")),
        expires_at: Some(now()),
    };
    assert!(store.take_renewal(1, "agent", now()).unwrap());
    store.save_grant(1, "agent", &renewed, now()).unwrap();
    let kept = store.grant(1).unwrap();
    assert_eq!(kept.refresh_token.unwrap().expose(), "refresh-0123");
    assert_eq!(kept.access_token.unwrap().expose(), "access-new");
    assert_eq!(kept.expires_at, Some(now()));
}
