//! The feed: sets, pages, links, and the shapes of items.

use super::*;
use crate::core::model::ItemKind;
use crate::sim::dice::Dice;

/// Applies one set to `known` as the documentation tells clients to; returns the deltaLink.
fn follow(client: &Client, url: &str, known: &mut Tree) -> String {
    let (pages, delta) = client.set(url, &[]);
    let items: Vec<Value> = pages.iter().flat_map(Got::items).collect();
    let last: BTreeMap<&str, &Value> = items
        .iter()
        .map(|item| (item["id"].as_str().unwrap(), item))
        .collect();
    for (id, item) in last {
        if item["deleted"].is_object() {
            known.remove(id);
        } else if !item["root"].is_object() {
            known.insert(id.to_owned(), entry(item));
        }
    }
    let root = client.cloud.drive().root_id();
    loop {
        let orphans: Vec<String> = known
            .iter()
            .filter(|(_, entry)| entry.parent != root && !known.contains_key(&entry.parent))
            .map(|(id, _)| id.clone())
            .collect();
        if orphans.is_empty() {
            return delta;
        }
        orphans.iter().for_each(|id| drop(known.remove(id)));
    }
}

fn entry(item: &Value) -> Entry {
    let kind = ["remoteItem", "package", "folder", "file"]
        .into_iter()
        .find(|facet| item[facet].is_object());
    Entry {
        name: item["name"].as_str().unwrap().to_owned(),
        parent: item["parentReference"]["id"].as_str().unwrap().to_owned(),
        kind: ItemKind::from_text(kind.unwrap()).unwrap(),
        content: item["file"]["hashes"]["quickXorHash"]
            .as_str()
            .unwrap_or_default()
            .to_owned(),
    }
}

/// `count` operations at random, all kinds of them.
fn stir(drive: &Drive, dice: &mut Dice, count: usize, graves: &mut Vec<String>) {
    for n in 0..count {
        let tree = drive.tree();
        let all: Vec<&String> = tree.keys().collect();
        let root = drive.root_id();
        let mut folders: Vec<&String> = tree
            .iter()
            .filter(|(_, entry)| entry.kind == ItemKind::Folder)
            .map(|(id, _)| id)
            .collect();
        folders.push(&root);
        let folder = (*dice.pick(&folders)).clone();
        if all.len() < 4 || dice.one_in(3) {
            match dice.below(4) {
                0 => drive.create_folder(&folder, &format!("Folder {n}")),
                1 => drive.create_special(&folder, &format!("Notes {n}"), ItemKind::Package),
                _ => drive.create_file(&folder, &format!("File {n}"), 10),
            };
            continue;
        }
        let item = (*dice.pick(&all)).clone();
        match dice.below(6) {
            0 => drive.edit(&item),
            1 => drive.rename(&item, &format!("Renamed \"{n}\" ü")),
            2 if !drive.path_of(&folder).starts_with(&drive.path_of(&item)) => drive.move_to(&item, &folder),
            3 => drive.touch(&item),
            4 => {
                drive.delete(&item);
                graves.push(item);
            }
            _ => {
                let grave = graves.pop().filter(|grave| !tree.contains_key(grave));
                grave.iter().for_each(|grave| drive.restore(grave));
            }
        }
    }
}

#[test]
fn a_client_that_follows_the_feed_ends_with_the_drive_whatever_the_feed_does() {
    for seed in 0..24 {
        let kind = if seed % 2 == 0 {
            Account::business()
        } else {
            Account::consumer()
        };
        let repeats = if seed % 3 == 0 {
            Repeats::OlderFirst
        } else {
            Repeats::Same
        };
        let habits = Habits {
            repeats,
            ..Habits::AWKWARD
        };
        let client = Client::of(Account {
            seed,
            page_size: 5,
            habits,
            ..kind
        });
        let drive = client.cloud.drive();
        let (mut dice, mut graves, mut known) = (Dice::new(seed), Vec::new(), Tree::new());
        let mut url = client.feed();
        for _ in 0..8 {
            stir(&drive, &mut dice, 12, &mut graves);
            url = follow(&client, &url, &mut known);
            assert_eq!(known, drive.tree(), "seed {seed}");
        }
    }
}

#[test]
fn an_enumeration_is_paged_to_a_delta_link_with_the_root_first() {
    let client = Client::of(Account {
        page_size: 10,
        ..Account::business()
    });
    client.cloud.drive().bulk_create(3, 24);
    let (pages, delta) = client.set(&client.feed(), &[]);
    assert_eq!(
        pages.iter().map(|page| page.items().len()).collect::<Vec<_>>(),
        [10, 10, 8]
    );
    assert!(pages[0].items()[0]["root"].is_object());
    let (pages, again) = client.set(&delta, &[]);
    assert_eq!((pages.len(), pages[0].items().len()), (1, 0));
    assert_eq!(
        delta, again,
        "nothing happened, and the same place is named the same"
    );
    let (pages, _) = client.set(&format!("{}?$top=4", client.feed()), &[]);
    assert_eq!(pages.len(), 7, "$top holds for the pages that follow, too");
    let (pages, _) = client.set(&format!("{}?token=latest", client.feed()), &[]);
    assert_eq!((pages.len(), pages[0].items().len()), (1, 0));
}

#[test]
fn a_link_answers_the_same_members_in_the_same_order_with_their_latest_state() {
    let client = Client::of(
        Account {
            page_size: 6,
            ..Account::consumer()
        }
        .awkward(3),
    );
    let drive = client.cloud.drive();
    let (_, files) = drive.bulk_create(4, 30);
    let (pages, _) = client.set(&client.feed(), &[]);
    let links: Vec<String> = pages.iter().filter_map(|page| page.link("nextLink")).collect();
    assert!(
        pages.iter().any(|page| page.items().is_empty()),
        "an empty page is among them"
    );
    files.iter().for_each(|file| drive.rename(file, "Other"));
    drive.create_file(&drive.root_id(), "Later", 1);
    for (link, page) in links.iter().zip(&pages[1..]) {
        let again = client.get(link);
        assert_eq!(again.ids(), page.ids());
        assert_eq!(again.link("nextLink"), page.link("nextLink"));
        let stale = |item: &Value| item["name"].as_str().unwrap().starts_with("Document");
        assert!(!again.items().iter().any(stale), "{}", again.text);
    }
}

#[test]
fn changes_come_in_the_order_of_the_last_ones_unless_they_are_shuffled() {
    let orders = [Habits::CALM, Habits::AWKWARD].map(|habits| {
        let client = Client::of(Account {
            habits,
            ..Account::business()
        });
        let drive = client.cloud.drive();
        let (_, mut files) = drive.bulk_create(0, 12);
        let delta = client.set(&client.feed(), &[]).1;
        files.iter().for_each(|file| drive.edit(file));
        drive.edit(&files[0]);
        files.rotate_left(1);
        let (pages, _) = client.set(&delta, &[("deltaExcludeParent", "true")]);
        pages.iter().flat_map(Got::ids).collect::<Vec<_>>() == files
    });
    assert_eq!(orders, [true, false]);
}

#[test]
fn what_is_restored_comes_back_whole_to_its_folder_or_to_the_root() {
    let client = Client::of(Account::consumer());
    let drive = client.cloud.drive();
    let outer = drive.create_folder(&drive.root_id(), "outer");
    let inner = drive.create_folder(&outer, "inner");
    let file = drive.create_file(&inner, "file", 1);
    let before = drive.tree();
    drive.delete(&outer);
    assert_eq!(drive.tree(), Tree::new());
    drive.restore(&outer);
    assert_eq!(drive.tree(), before);
    drive.delete(&file);
    drive.delete(&outer);
    drive.restore(&inner);
    assert_eq!(drive.path_of(&inner), "/inner");
    assert_eq!(drive.tree().len(), 1, "what was deleted apart stays deleted");
    drive.restore(&file);
    assert_eq!(drive.find("/inner/file"), Some(file));
}

#[test]
fn each_kind_of_account_leaves_out_what_it_leaves_out() {
    for (account, absent_always, absent_deleted, id_length) in [
        (Account::business(), vec!["cTag"], vec!["name", "cTag"], Some(34)),
        (Account::consumer(), vec![], vec!["size", "cTag"], None),
    ] {
        let client = Client::of(account);
        let drive = client.cloud.drive();
        let file = drive.create_file(&drive.root_id(), "a", 1);
        let delta = client.set(&client.feed(), &[]).1;
        drive.delete(&file);
        let item = |url: &str| {
            let (pages, delta) = client.set(url, &[]);
            let items: Vec<Value> = pages.iter().flat_map(Got::items).collect();
            (
                items
                    .into_iter()
                    .find(|item| item["id"] == file.as_str())
                    .unwrap(),
                delta,
            )
        };
        let (gone, delta) = item(&delta);
        drive.restore(&file);
        let (live, _) = item(&delta);
        assert!(gone["deleted"].is_object() && gone["parentReference"]["driveId"].is_string());
        absent_deleted
            .iter()
            .for_each(|field| assert!(gone[field].is_null(), "{gone}"));
        absent_always
            .iter()
            .for_each(|field| assert!(live[field].is_null(), "{live}"));
        ["name", "size", "eTag"]
            .iter()
            .for_each(|field| assert!(!live[field].is_null(), "{live}"));
        assert!(live["parentReference"]["path"].is_null() && live["deleted"].is_null());
        assert!(id_length.is_none_or(|length| file.len() == length));
    }
}

#[test]
fn folders_above_a_change_reappear_unless_they_are_excluded() {
    let client = Client::of(Account::consumer());
    let drive = client.cloud.drive();
    let folder = drive.create_folder(&drive.root_id(), "a");
    let file = drive.create_file(&folder, "b", 1);
    let (pages, delta) = client.set(&client.feed(), &[]);
    let before = pages[0]
        .items()
        .into_iter()
        .find(|item| item["id"] == folder.as_str())
        .unwrap();
    drive.edit(&file);
    let page = client.get(&delta);
    assert_eq!(page.ids().len(), 3);
    let after = page
        .items()
        .into_iter()
        .find(|item| item["id"] == folder.as_str())
        .unwrap();
    assert_eq!(before["eTag"], after["eTag"]);
    ["cTag", "size", "lastModifiedDateTime"]
        .iter()
        .for_each(|field| assert_ne!(before[field], after[field]));
    assert_eq!(
        client
            .try_get(&delta, &[("deltaExcludeParent", "true")])
            .unwrap()
            .ids(),
        [file]
    );
}

#[test]
fn stale_tokens_are_gone_and_the_location_begins_again() {
    let client = Client::of(Account {
        page_size: 2,
        ..Account::business()
    });
    client.cloud.drive().bulk_create(0, 5);
    let next = client.get(&client.feed()).link("nextLink").unwrap();
    let delta = client.set(&next, &[]).1;
    client.cloud.drive().expire_delta_tokens(Gone::default());
    for stale in [&next, &delta] {
        let gone = client.get(stale);
        assert_eq!(gone.status, 410);
        assert_eq!(gone.json()["error"]["code"], "resyncRequired");
        assert_eq!(
            gone.json()["error"]["innerError"]["code"],
            "resyncChangesApplyDifferences"
        );
        let (pages, fresh) = client.set(&gone.location.unwrap(), &[]);
        assert_eq!(pages.iter().flat_map(Got::ids).count(), 6);
        assert_eq!(client.get(&fresh).status, 200);
    }
    client.cloud.fail_after(
        Endpoint::Delta,
        1,
        Fault::Gone(Gone {
            code: "resyncUploadDifferences",
            location: false,
        }),
    );
    let next = client.get(&client.feed()).link("nextLink").unwrap();
    let gone = client.get(&next);
    assert_eq!(
        (gone.status, gone.location.is_none()),
        (410, true),
        "in the middle of an enumeration, too"
    );
    assert_eq!(client.get(&next).status, 200);
}

#[test]
fn a_link_that_is_not_sent_back_unchanged_is_refused() {
    let client = Client::of(Account::business());
    let delta = client.set(&client.feed(), &[]).1;
    assert_eq!(client.get(&delta).status, 200);
    for changed in [
        delta.replace("%3d", "%3D"),
        delta.replace("%3d", "="),
        format!("{delta}x"),
    ] {
        assert_eq!(client.get(&changed).status, 400, "{changed}");
    }
}

#[test]
fn a_timestamp_is_a_token_on_business_only() {
    for (account, expect) in [(Account::business(), Some(1)), (Account::consumer(), None)] {
        let client = Client::of(account);
        let drive = client.cloud.drive();
        drive.create_file(&drive.root_id(), "early", 1);
        let time = drive.now().to_string().replace(':', "%3A");
        drive.create_file(&drive.root_id(), "late", 1);
        let got = client
            .try_get(
                &format!("{}?token={time}", client.feed()),
                &[("deltaExcludeParent", "true")],
            )
            .unwrap();
        assert_eq!(
            (got.status == 200).then(|| got.items().len()),
            expect,
            "{}",
            got.text
        );
    }
}

#[test]
fn a_raw_object_is_served_byte_for_byte() {
    let client = Client::of(Account::business());
    let drive = client.cloud.drive();
    let file = drive.create_file(&drive.root_id(), "a", 1);
    let raw = format!(
        r#"{{ "b":1e400,"id":"{file}","b":12345678901234567890, "a":"\ud83d\ude00\/" , "file":{{}} }}"#
    );
    drive.set_raw(&file, &raw);
    assert!(client.get(&client.feed()).text.contains(&raw));
}
