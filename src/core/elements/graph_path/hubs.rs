//! Cloud Elements' own paths, `/hubs/…`, which mean nothing to Graph: the two that stand for a drive's feed, and what to use
//! in the place of the others.

use super::DRIVE_FEED;
use crate::core::problem::{listed, quoted};

/// The names under which Cloud Elements knows the feed of the signed-in user's drive.
pub(super) const ALIASES: &[&str] = &["/hubs/documents/events", "/hubs/documents/changes"];

/// A word in a path of Cloud Elements, and the Graph path with which the same is polled.
const INSTEAD: &[(&str, &str)] = &[
    ("messages", "/me/mailFolders/inbox/messages/delta"),
    ("emails", "/me/mailFolders/inbox/messages/delta"),
    (
        "calendars",
        "/me/calendarView/delta?startDateTime=…&endDateTime=…",
    ),
    ("events", "/me/calendarView/delta?startDateTime=…&endDateTime=…"),
    ("contacts", "/me/contacts/delta"),
    ("users", "/users/delta"),
    ("groups", "/groups/delta"),
    ("lists", "/sites/{site}/lists/{list}/items/delta"),
    ("tasks", "/me/todo/lists/{list}/tasks/delta"),
    ("todos", "/me/todo/lists/{list}/tasks/delta"),
];

/// Whether `path`, in capitals or not, is one of Cloud Elements' own.
pub(super) fn is_one(path: &str) -> bool {
    let first = path.split('/').nth(1);
    path.starts_with('/') && first.is_some_and(|first| first.eq_ignore_ascii_case("hubs"))
}

/// Whether `path`, in capitals or not, stands for the drive's feed.
pub(super) fn is_alias(path: &str) -> bool {
    ALIASES.iter().any(|alias| alias.eq_ignore_ascii_case(path))
}

/// Why `path`, which is one of Cloud Elements' and no alias, is refused, and the Graph path to use.
pub(super) fn refusal(path: &str) -> String {
    let lower = path.to_ascii_lowercase();
    let documents = lower.starts_with("/hubs/documents");
    let named = || {
        let words = lower.split('/').rev();
        words
            .filter_map(|word| INSTEAD.iter().find(|(known, _)| *known == word))
            .map(|(_, instead)| *instead)
            .next()
    };
    let instead = match named().filter(|_| !documents) {
        Some(instead) => format!("use the Graph path `{instead}`"),
        None if documents => {
            let aliases = listed(ALIASES.iter().copied());
            format!("use the Graph path `{DRIVE_FEED}`, or its aliases {aliases}")
        }
        None => {
            "use the Graph path of the collection, such as `/me/messages?$filter=lastModifiedDateTime ge \
                 ${gmtDate:yyyy-MM-dd'T'HH:mm:ss'Z'}`"
                .to_owned()
        }
    };
    format!(
        "{} is Cloud Elements' own path and means nothing to Graph; {instead}",
        quoted(path)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, instead: &str) {
        let told = refusal(path);
        assert!(told.contains(path) && told.contains(instead), "{told}");
    }

    #[test]
    fn each_is_refused_with_what_to_use() {
        check("/hubs/documents/files", "`/me/drive/root/delta`");
        check(
            "/hubs/documents/events/poll/documents",
            "`/hubs/documents/events`",
        );
        check(
            "/hubs/messaging/messages",
            "`/me/mailFolders/inbox/messages/delta`",
        );
        check("/hubs/crm/contacts", "`/me/contacts/delta`");
        check("/hubs/crm/accounts", "`/me/messages?$filter=");
    }
}
