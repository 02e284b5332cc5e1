//! The outbox as the API shows it: newest first, page by page, filtered, with bodies where they are asked for. The
//! table is gone through in steps, so that nobody waits long for a reader of a large one.

use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, named_params};

use super::outbox::{ENTRY, content, entry};
use super::rows::{Queries, row};
use super::{Store, StoreError};
use crate::core::history::{DeliveryStatus, EventStatus};
use crate::core::model::time_text;
use crate::core::outbox::Entry;

/// Ids that one step looks at.
const STEP: i64 = 4_096;

/// Bytes of bodies at which a page ends; one body may be larger.
const PAGE_BYTES: usize = 64 * 1024;

/// Rows are in the order of their times, except for what was written at the same moment, and for steps of the clock: one
/// back by less than this hides nothing.
const SLACK: SignedDuration = SignedDuration::from_hours(24);

/// Which notifications are asked for; all of it must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    pub instance_id: Option<i64>,
    /// This one only.
    pub id: Option<i64>,
    /// Written at this time or later.
    pub from: Option<Timestamp>,
    /// Written before this.
    pub to: Option<Timestamp>,
    pub status: Wanted,
    /// Of the endpoint with this id.
    pub endpoint_id: Option<i64>,
    /// Of an endpoint that is shown as this URL.
    pub endpoint_url: Option<String>,
    /// With an id below this one: where the last page ended.
    pub before: Option<i64>,
    /// At most as many.
    pub most: usize,
    /// The bodies are read next: a page ends when they are 64 KiB.
    pub with_bodies: bool,
}

/// How far they are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Wanted {
    #[default]
    Any,
    /// With one of these statuses.
    Events(Vec<EventStatus>),
    /// That have an endpoint, and one of these statuses; any where there is none of them.
    Deliveries(Vec<DeliveryStatus>),
}

/// One page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    pub entries: Vec<Entry>,
    /// Where the next one begins, when there is more.
    pub next: Option<i64>,
}

/// How many notifications were written in each minute, by instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MinuteCount {
    /// When the first of them was.
    pub at: Timestamp,
    pub instance_id: i64,
    pub notifications: u64,
}

impl Page {
    /// Bytes of the bodies of its entries.
    pub fn body_bytes(&self) -> usize {
        self.entries.iter().map(|entry| entry.body_bytes).sum()
    }
}

impl Store {
    /// A page of what is asked for, newest first, without the bodies.
    pub fn listed(&self, asked: &Listing) -> Result<Page, StoreError> {
        let mut page = Page::default();
        let (only, before) = (asked.id, asked.before.unwrap_or(i64::MAX));
        let before = only.map_or(before, |id| before.min(id.saturating_add(1)));
        let mut bytes = 0;
        self.step_through(
            asked.instance_id,
            before,
            asked.from,
            |connection, floor, newest| {
                let floor = only.unwrap_or(floor);
                let room = asked.most - page.entries.len();
                for entry in entries(connection, asked, (floor, newest), room + 1)? {
                    if page.entries.len() == asked.most || bytes >= PAGE_BYTES {
                        page.next = page.entries.last().map(|last| last.id);
                        return Ok(false);
                    }
                    if asked.with_bodies {
                        bytes += entry.body_bytes;
                    }
                    page.entries.push(entry);
                }
                Ok(only.is_none())
            },
        )?;
        Ok(page)
    }

    /// `entries` with their bodies, without those that were purged meanwhile.
    pub fn read_bodies(&self, mut entries: Vec<Entry>) -> Result<Vec<Entry>, StoreError> {
        self.read(|connection| {
            for entry in &mut entries {
                entry.content = content(connection, entry.id)?;
            }
            entries.retain(|entry| entry.content.is_some());
            Ok(entries)
        })
    }

    /// The notification whose event id that is, of one instance where given, without its body.
    pub fn listed_event(
        &self,
        event_id: &str,
        instance_id: Option<i64>,
    ) -> Result<Option<Entry>, StoreError> {
        self.first(
            &format!("{ENTRY} WHERE o.event_id = ?1 AND (?2 IS NULL OR o.instance_id = ?2)"),
            (event_id, instance_id),
            entry,
        )
    }

    /// Hands `each` the notifications that were written from `from` on and before `to`, counted by minute and instance;
    /// a minute can come more than once.
    pub fn count_by_minute(
        &self,
        (from, to): (Timestamp, Timestamp),
        mut each: impl FnMut(MinuteCount),
    ) -> Result<(), StoreError> {
        let (first, end) = (time_text(from), time_text(to));
        self.step_through(None, i64::MAX, Some(from), |connection, floor, newest| {
            // The times have one length each, so that the first sixteen characters are the minute.
            let mut statement = connection.prepare_cached(
                "SELECT min(created_at) AS at, instance_id, count(*) AS notifications FROM outbox
                  WHERE id BETWEEN ?1 AND ?2 AND created_at >= ?3 AND created_at < ?4
                  GROUP BY substr(created_at, 1, 16), instance_id",
            )?;
            let read = row!(MinuteCount {
                at,
                instance_id,
                notifications
            });
            for count in statement.query_and_then((floor, newest, &first, &end), read)? {
                each(count?);
            }
            Ok(true)
        })
    }

    /// Hands `step` the outbox from its newest row below `before` on, in ranges of ids, both ends included, until it says
    /// that this is enough or all is older than `from`. Each step has the reader for itself, and lets others at it after.
    fn step_through(
        &self,
        instance_id: Option<i64>,
        before: i64,
        from: Option<Timestamp>,
        mut step: impl FnMut(&Connection, i64, i64) -> Result<bool, StoreError>,
    ) -> Result<(), StoreError> {
        let oldest = from.map(|from| time_text(from.saturating_sub(SLACK).unwrap_or(Timestamp::MIN)));
        let mut before = before;
        loop {
            let go_on = self.read(|connection| {
                let Some((newest, written)) = newest(connection, instance_id, before)? else {
                    return Ok(false);
                };
                if oldest.as_ref().is_some_and(|oldest| written < *oldest) {
                    return Ok(false);
                }
                before = newest.saturating_sub(STEP - 1);
                step(connection, before, newest)
            })?;
            if !go_on {
                return Ok(());
            }
        }
    }
}

/// The texts that times from `from` on and before `to` lie between.
pub(super) fn span(from: Option<Timestamp>, to: Option<Timestamp>) -> (String, String) {
    // A text before every time, and one behind.
    let (always, never) = (String::new, || "~".to_owned());
    (
        from.map_or_else(always, time_text),
        to.map_or_else(never, time_text),
    )
}

/// The newest row below `before`: id, and when it was written.
fn newest(
    connection: &Connection,
    instance_id: Option<i64>,
    before: i64,
) -> Result<Option<(i64, String)>, StoreError> {
    // Either condition leaves SQLite an index in the order of the ids.
    let of_instance = match instance_id {
        Some(_) => "instance_id = ?2",
        None => "?2 IS NULL",
    };
    connection.first(
        &format!(
            "SELECT id, created_at FROM outbox WHERE {of_instance} AND id < ?1 ORDER BY id DESC LIMIT 1"
        ),
        (before, instance_id),
        row!(id, created_at),
    )
}

fn entries(
    connection: &Connection,
    asked: &Listing,
    (floor, newest): (i64, i64),
    most: usize,
) -> Result<Vec<Entry>, StoreError> {
    let (from, to) = span(asked.from, asked.to);
    let mut statement = connection.prepare(&format!(
        "{ENTRY}
          WHERE o.id BETWEEN :floor AND :newest AND (:instance IS NULL OR +o.instance_id = :instance)
            AND o.created_at >= :from AND o.created_at < :to
            AND (:endpoint IS NULL OR e.id = :endpoint) AND (:url IS NULL OR e.url = :url) AND ({})
          ORDER BY o.id DESC LIMIT :most",
        asked.status.condition()
    ))?;
    let rows = statement.query_and_then(
        named_params! {
            ":floor": floor,
            ":newest": newest,
            ":instance": asked.instance_id,
            ":from": from,
            ":to": to,
            ":endpoint": asked.endpoint_id,
            ":url": asked.endpoint_url,
            ":most": i64::try_from(most).unwrap_or(i64::MAX),
        },
        entry,
    )?;
    rows.collect()
}

impl Wanted {
    fn condition(&self) -> String {
        let either = |conditions: Vec<&str>| match conditions.is_empty() {
            true => "1".to_owned(),
            false => format!("({})", conditions.join(") OR (")),
        };
        match self {
            Wanted::Any => "1".to_owned(),
            Wanted::Events(statuses) => either(statuses.iter().map(|status| of_event(*status)).collect()),
            Wanted::Deliveries(statuses) => {
                let any = either(statuses.iter().map(|status| of_delivery(*status)).collect());
                format!("e.id IS NOT NULL AND ({any})")
            }
        }
    }
}

/// What `EventStatus::of` says, as a condition.
fn of_event(status: EventStatus) -> &'static str {
    match status {
        EventStatus::New => "o.state = 'pending' AND o.attempts = 0",
        EventStatus::Dispatched => "o.state = 'dead' OR o.state = 'pending' AND o.attempts > 0",
        EventStatus::Notified => "o.state = 'delivered'",
        EventStatus::Received | EventStatus::Consumed => "0",
    }
}

/// What `DeliveryStatus::of` says, as a condition.
fn of_delivery(status: DeliveryStatus) -> &'static str {
    match status {
        DeliveryStatus::Created => "o.state = 'pending' AND o.attempts = 0 AND e.state <> 'disabled'",
        DeliveryStatus::Retry => "o.state = 'pending' AND o.attempts > 0 AND e.state <> 'disabled'",
        DeliveryStatus::Queued => "o.state = 'dead' OR o.state = 'pending' AND e.state = 'disabled'",
        DeliveryStatus::Notified => "0",
        DeliveryStatus::Delivered => "o.state = 'delivered'",
    }
}
