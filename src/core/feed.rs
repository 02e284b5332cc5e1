//! What a resource reads: a drive's delta feed, another delta feed of Graph, or a collection by dates. Which of them a path
//! means, and what it can be asked for, is known here; where a path may lead stands in `elements`.

use jiff::SignedDuration;
use jiff::tz::TimeZone;

use super::model::spelled;
use super::window::{DateField, DateFormat, Rules, Template, ZoneId};

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
    /// A collection without a feed, polled by dates.
    Window(Box<Window>),
}

/// How a collection is polled by dates.
#[derive(Clone, Debug, PartialEq)]
pub struct Window {
    /// `url`, with its dates to be filled in.
    pub template: Template,
    /// The IANA zone of `${date}`; UTC where none is given.
    pub zone: Option<String>,
    /// `idField`: the dotted path of a record's id.
    pub id_field: String,
    pub updated: Option<DateSettings>,
    pub created: Option<DateSettings>,
    /// `filterByUpdatedDate`: a record that was not updated since is passed over, should the provider show it.
    pub filter_by_updated: bool,
    /// `filterByCurrentDate`: a record dated after now waits.
    pub filter_by_current: bool,
    /// `createdCheckTolerance`.
    pub tolerance: SignedDuration,
    /// `pollDelay`: how much of the window before each one shows again.
    pub poll_delay: SignedDuration,
}

/// A date of a record, as `datesConfiguration` describes it.
#[derive(Clone, Debug, PartialEq)]
pub struct DateSettings {
    /// The dotted path of the field.
    pub field: String,
    /// RFC 3339 where none is given.
    pub format: Option<DateFormat>,
    /// A Java zone id, for dates that do not tell theirs; UTC where none is given.
    pub zone: Option<String>,
}

impl Feed {
    /// How its changes are found.
    pub fn mode(&self) -> Mode {
        match self {
            Feed::Drive | Feed::Objects { .. } => Mode::Delta,
            Feed::Window(_) => Mode::Window,
        }
    }
}

impl Window {
    /// The rules by which its records are judged, with zones as `zones` has them.
    ///
    /// # Errors
    /// Which zone there is not.
    pub fn rules(&self, zones: &dyn Fn(&str) -> Option<TimeZone>) -> Result<Rules, String> {
        let field = |date: &DateSettings| {
            let name = date.zone.as_deref().unwrap_or("UTC");
            let zone = ZoneId::of(name)
                .zone(zones)
                .ok_or_else(|| format!("there is no time zone `{name}`"))?;
            Ok::<DateField, String>(DateField {
                path: date.field.clone(),
                format: date.format.clone(),
                zone,
            })
        };
        Ok(Rules {
            id_field: self.id_field.clone(),
            updated: self.updated.as_ref().map(field).transpose()?,
            created: self.created.as_ref().map(field).transpose()?,
            filter_by_updated: self.filter_by_updated,
            filter_by_current: self.filter_by_current,
            tolerance: self.tolerance,
        })
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

/// What is told where `event.filter.paths` meets a feed without paths.
pub const NO_PATHS: &str =
    "`event.filter.paths` lets nothing through, since paths are known only where a drive's root is polled";

/// Whether the objects of a feed have paths: a folder's shows nothing of what lies above it.
pub fn has_paths(feed: &Feed, url: &str) -> bool {
    *feed == Feed::Drive && !is_of_a_folder(url)
}

/// Whether a resource's `url` means the feed of a folder, named by its path or as an item, and not of a drive's root.
pub fn is_of_a_folder(url: &str) -> bool {
    let path = url.split('?').next().unwrap_or(url);
    path.contains("/root:/") || path.contains("/items/")
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
