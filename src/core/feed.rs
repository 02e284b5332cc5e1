//! What a resource reads: a drive's delta feed, another delta feed of Graph, or a collection by dates. Which of them a path
//! means, and what it can be asked for, is known here; where a path may lead stands in `elements`.

use super::model::spelled;

spelled! {
    /// How a resource's changes are found (`mode`).
    Mode {
        /// By a feed of changes with a cursor.
        Delta = "delta",
        /// By asking for what was updated since the last time.
        Window = "window",
    }
}

/// What a resource reads.
#[derive(Clone, Debug, PartialEq)]
pub enum Feed {
    /// A drive's delta feed, or a folder's in one: items with parents and paths.
    Drive,
    /// Another delta feed: messages, events, users, groups, list items.
    Objects {
        /// `idField`: where the id stands that events bear, when it is another than `id`. Removals bear `id` only, so the
        /// feed is followed by that.
        id_field: Option<String>,
    },
}

impl Feed {
    /// How its changes are found.
    pub fn mode(&self) -> Mode {
        match self {
            Feed::Drive | Feed::Objects { .. } => Mode::Delta,
        }
    }
}

/// Whether `url`, a Graph path, means the feed of a drive or of a folder in one.
pub fn is_of_a_drive(url: &str) -> bool {
    segments(url).any(|segment| {
        let name = segment.trim_end_matches(':');
        ["drive", "drives", "driveItem"]
            .iter()
            .any(|known| name.eq_ignore_ascii_case(known))
    })
}

/// What lets the delta feed at `url` begin at now (Microsoft Graph, "driveItem: delta", "listItem: delta", "Use delta query
/// to track changes"): drives and lists take `token`, directory objects `$deltatoken`, mailboxes and calendars nothing.
pub fn latest_option(url: &str) -> Option<&'static str> {
    let path: Vec<&str> = segments(url).collect();
    match path[..] {
        _ if is_of_a_drive(url) => Some("token"),
        [.., "lists", _, "items", "delta"] => Some("token"),
        [_, "delta"] => Some("$deltatoken"),
        _ => None,
    }
}

fn segments(url: &str) -> impl Iterator<Item = &str> {
    let path = url.split('?').next().unwrap_or(url);
    path.split('/').filter(|segment| !segment.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(url: &str, drive: bool, latest: Option<&str>) {
        assert_eq!((is_of_a_drive(url), latest_option(url)), (drive, latest), "{url}");
    }

    #[test]
    fn a_path_tells_whose_feed_it_is_and_how_it_begins_at_now() {
        check("/me/drive/root/delta", true, Some("token"));
        check("/drives/b!1/items/01A/delta?$select=id", true, Some("token"));
        check("/me/drive/root:/Finance:/delta", true, Some("token"));
        check(
            "/sites/s/lists/l/items/delta?$expand=fields",
            false,
            Some("token"),
        );
        check("/users/delta?$select=id,displayName", false, Some("$deltatoken"));
        check("/groups/delta", false, Some("$deltatoken"));
        check("/me/mailFolders/inbox/messages/delta", false, None);
        check(
            "/me/calendarView/delta?startDateTime=a&endDateTime=b",
            false,
            None,
        );
        check("/me/messages?$filter=drive", false, None);
    }
}
