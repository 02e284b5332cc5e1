//! Which drive a page shows: the items of another account's drive must never be compared with those that are known.

use super::model::{BaselineMode, ItemKind, Page};
use super::shown::shown;

/// A consumer drive's id has this many digits; leading zeros are left out in some places.
const CONSUMER_DIGITS: usize = 16;

/// The drive that a page shows, and the drive's root, as far as it tells: the root's own drive before that of another
/// item.
pub fn shown_by<'page>(page: &'page Page<'_>) -> (Option<&'page str>, Option<&'page str>) {
    let root = page
        .items
        .iter()
        .find(|item| item.kind == ItemKind::Root && !item.deleted);
    let drive = root
        .and_then(|root| root.drive_id.as_deref())
        .or_else(|| page.items.iter().find_map(|item| item.drive_id.as_deref()));
    (drive, root.map(|root| root.id.as_str()))
}

/// What of a page's drive and root may become the known one: where nothing is read whole, an item of another drive may come
/// first, so that only the root says whose drive it is.
pub fn learnt_from<'page>(
    page: &'page Page<'_>,
    baseline: BaselineMode,
) -> (Option<&'page str>, Option<&'page str>) {
    let (drive, root) = shown_by(page);
    let certain = baseline != BaselineMode::Latest || root.is_some();
    (drive.filter(|_| certain), root)
}

/// Whether `page` shows another drive than the one with the id `drive_id` and the root `root_id`. What is not known, and
/// what the page does not tell, contradicts nothing; nor does a page of which any item lies in the known drive.
pub fn is_another(page: &Page<'_>, drive_id: Option<&str>, root_id: Option<&str>) -> bool {
    let (drive, root) = shown_by(page);
    if let Some((known, root)) = root_id.zip(root) {
        return !is_same(known, root);
    }
    let Some(known) = drive_id.filter(|_| drive.is_some()) else {
        return false;
    };
    let mut told = page.items.iter().filter_map(|item| item.drive_id.as_deref());
    !told.any(|drive| is_same(known, drive))
}

/// A drive in words, as far as it is known; by its root, too, where `other` is called the same.
pub fn in_words(drive: Option<&str>, root: Option<&str>, other: Option<&str>) -> String {
    match (drive, root) {
        (Some(drive), Some(root)) if other.is_some_and(|other| is_same(drive, other)) => {
            format!("`{}` with the root `{}`", shown(drive), shown(root))
        }
        _ => format!("`{}`", shown(drive.or(root).unwrap_or_default())),
    }
}

/// Whether two spellings mean the same drive, or item: letters of either case, and a consumer drive's id with or without
/// its leading zeros.
fn is_same(one: &str, other: &str) -> bool {
    one == other || bare(one) == bare(other)
}

fn bare(id: &str) -> String {
    let id = id.to_ascii_lowercase();
    let (drive, rest) = id.split_once('!').unwrap_or((&id, ""));
    let consumer = drive.len() <= CONSUMER_DIGITS && drive.bytes().all(|byte| byte.is_ascii_hexdigit());
    let drive = if consumer {
        drive.trim_start_matches('0')
    } else {
        drive
    };
    format!("{drive}!{rest}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::model::{FeedItem, PageEnd, Secret};

    fn item(id: &str, drive_id: Option<&str>, kind: ItemKind) -> FeedItem<'static> {
        FeedItem {
            raw: "{}",
            id: id.to_owned(),
            announced_id: None,
            name: None,
            parent_id: None,
            drive_id: drive_id.map(str::to_owned),
            kind,
            deleted: false,
            size: None,
            hash: None,
            etag: None,
            created: None,
            modified: None,
        }
    }

    #[track_caller]
    fn check(items: Vec<FeedItem<'static>>, drive_id: Option<&str>, root_id: Option<&str>, expect: bool) {
        let end = PageEnd::Delta(Secret::new(""));
        assert_eq!(is_another(&Page { items, end }, drive_id, root_id), expect);
    }

    #[test]
    fn a_drive_is_known_in_each_of_its_spellings() {
        let file = |drive| vec![item("A", Some(drive), ItemKind::File)];
        check(file("b!AbC"), Some("b!aBc"), None, false);
        check(file("b!AbC"), Some("b!aBd"), None, true);
        check(file("12ab34cd56ef789"), Some("012AB34CD56EF789"), None, false);
        check(file("12ab34cd56ef789"), Some("112AB34CD56EF789"), None, true);
    }

    #[test]
    fn a_root_tells_its_drive_before_other_items_do() {
        let page = || {
            vec![
                item("A", Some("other"), ItemKind::RemoteItem),
                item("R", Some("mine"), ItemKind::Root),
            ]
        };
        check(page(), Some("mine"), Some("R"), false);
        check(page(), Some("mine"), Some("Q"), true);
        check(page(), Some("third"), None, true);
        check(page(), Some("mine"), None, false);
    }

    #[test]
    fn a_drive_with_another_root_is_told_by_its_root() {
        assert_eq!(in_words(Some("mine"), Some("R"), Some("other")), "`mine`");
        assert_eq!(
            in_words(Some("mine"), Some("R"), Some("MINE")),
            "`mine` with the root `R`"
        );
    }

    #[test]
    fn what_is_not_told_contradicts_nothing() {
        check(vec![], Some("mine"), Some("R"), false);
        check(
            vec![item("A", None, ItemKind::Object)],
            Some("mine"),
            Some("R"),
            false,
        );
        check(vec![item("R", Some("mine"), ItemKind::Root)], None, None, false);
    }
}
