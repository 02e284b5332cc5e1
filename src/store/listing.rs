//! The outbox as the API shows it: newest first, page by page, filtered, with bodies where they are asked for. The
//! table is gone through in steps, so that nobody waits long for a reader of a large one.

use std::fmt::{self, Display};

use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, OptionalExtension, Row, named_params};

use super::{Store, StoreError, known};
use crate::core::RETURNED_BYTES;
use crate::core::history::{DeliveryStatus, EventStatus};
use crate::core::model::{ElementKey, EndpointState, Format, OutboxState, time_text};

/// Ids that one step looks at.
const STEP: i64 = 4_096;

/// Bytes of bodies at which a page ends; one body may be larger.
const PAGE_BYTES: usize = 64 * 1024;

/// Bytes from which a body is large.
const LARGE_BYTES: usize = 256 * 1024;

/// Rows are in the order of their times, except for what was written at the same moment, and for steps of the clock: one
/// back by less than this hides nothing.
const SLACK: SignedDuration = SignedDuration::from_hours(24);

/// A text before every time, and one behind.
const ALWAYS: &str = "";
const NEVER: &str = "~";

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

impl Page {
    /// Bytes of the bodies that it holds.
    pub fn body_bytes(&self) -> usize {
        self.entries.iter().map(Entry::body_bytes).sum()
    }
}

impl Entry {
    /// Bytes of its body, where it holds one.
    pub fn body_bytes(&self) -> usize {
        self.content.as_ref().map_or(0, |content| content.body.len())
    }
}

/// A notification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub id: i64,
    pub event_id: String,
    pub instance_id: i64,
    pub instance: String,
    pub element: ElementKey,
    pub resource: String,
    pub format: Format,
    pub state: OutboxState,
    pub created_at: String,
    pub event_count: u32,
    pub attempts: u32,
    pub next_attempt_at: Option<String>,
    pub delivered_at: Option<String>,
    pub last_status: Option<u16>,
    pub last_error: Option<String>,
    /// Where it goes.
    pub endpoint: Option<Place>,
    /// Where it was asked for.
    pub content: Option<Content>,
}

/// An endpoint, as far as it is shown with what goes there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub id: i64,
    /// Without its query.
    pub url: String,
    pub state: EndpointState,
}

/// A body and where the provider's objects lie in it, in bytes; `None` for a deletion that the feed did not list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    pub body: Vec<u8>,
    pub raws: Vec<Option<(u32, u32)>>,
}

impl Content {
    /// The provider's objects, a JSON array; `null` where it showed none.
    pub fn objects(&self) -> impl Display {
        let raw = |range: &Option<(u32, u32)>| {
            let (start, length) = (*range)?;
            let (start, end) = (start as usize, start as usize + length as usize);
            str::from_utf8(self.body.get(start..end)?).ok()
        };
        fmt::from_fn(move |f| {
            for (at, range) in self.raws.iter().enumerate() {
                f.write_str(if at == 0 { "[" } else { "," })?;
                f.write_str(raw(range).unwrap_or("null"))?;
            }
            f.write_str(if self.raws.is_empty() { "[]" } else { "]" })
        })
    }
}

impl Store {
    /// A page of what is asked for, newest first. It ends early when it holds 64 KiB of bodies.
    ///
    /// # Errors
    /// When the database cannot be read.
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
                for mut entry in entries(connection, asked, (floor, newest), room + 1)? {
                    if page.entries.len() == asked.most || bytes >= PAGE_BYTES {
                        page.next = page.entries.last().map(|last| last.id);
                        return Ok(false);
                    }
                    if asked.with_bodies {
                        let content = content(connection, entry.id)?;
                        bytes += content.body.len();
                        entry.content = Some(content);
                    }
                    page.entries.push(entry);
                }
                Ok(only.is_none())
            },
        )?;
        Ok(page)
    }

    /// The notification whose event id that is, of one instance where given, with its body.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn listed_event(
        &self,
        event_id: &str,
        instance_id: Option<i64>,
    ) -> Result<Option<Entry>, StoreError> {
        self.read(|connection| {
            let found = connection
                .prepare_cached(&format!(
                    "{ENTRY} WHERE o.event_id = ?1 AND (?2 IS NULL OR o.instance_id = ?2)"
                ))?
                .query_and_then((event_id, instance_id), entry)?
                .next()
                .transpose()?;
            let Some(mut found) = found else { return Ok(None) };
            found.content = Some(content(connection, found.id)?);
            Ok(Some(found))
        })
    }

    /// Hands `step` the outbox from its newest row below `before` on, in ranges of ids, both ends included, until it says
    /// that this is enough or all is older than `from`. Each step has the reader for itself, and lets others at it after.
    pub(super) fn step_through(
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

/// The newest row below `before`: id, and when it was written.
fn newest(
    connection: &Connection,
    instance_id: Option<i64>,
    before: i64,
) -> Result<Option<(i64, String)>, StoreError> {
    let read = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
    let row = match instance_id {
        Some(instance_id) => connection
            .prepare_cached(
                "SELECT id, created_at FROM outbox WHERE instance_id = ?2 AND id < ?1 ORDER BY id DESC LIMIT 1",
            )?
            .query_row((before, instance_id), read),
        None => connection
            .prepare_cached("SELECT id, created_at FROM outbox WHERE id < ?1 ORDER BY id DESC LIMIT 1")?
            .query_row([before], read),
    };
    Ok(row.optional()?)
}

// CROSS JOIN keeps the order of the tables: the outbox is read by its ids.
const ENTRY: &str = "SELECT o.id, o.event_id, o.instance_id, i.name, i.element_key, o.resource, o.format, o.state,
        o.created_at, o.event_count, o.attempts, o.next_attempt_at, o.delivered_at, o.last_status, o.last_error,
        e.id AS endpoint_id, e.url, e.state AS endpoint_state
   FROM outbox o CROSS JOIN instance i ON i.id = o.instance_id LEFT JOIN endpoint e ON e.id = i.endpoint_id";

fn entries(
    connection: &Connection,
    asked: &Listing,
    (floor, newest): (i64, i64),
    most: usize,
) -> Result<Vec<Entry>, StoreError> {
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
            ":from": asked.from.map_or_else(|| ALWAYS.to_owned(), time_text),
            ":to": asked.to.map_or_else(|| NEVER.to_owned(), time_text),
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

fn entry(row: &Row<'_>) -> Result<Entry, StoreError> {
    let text = |column: &str| row.get::<_, String>(column);
    let endpoint = match row.get("endpoint_id")? {
        Some(id) => Some(Place {
            id,
            url: text("url")?,
            state: known("state", &text("endpoint_state")?, EndpointState::from_text)?,
        }),
        None => None,
    };
    Ok(Entry {
        id: row.get("id")?,
        event_id: row.get("event_id")?,
        instance_id: row.get("instance_id")?,
        instance: row.get("name")?,
        element: known("element_key", &text("element_key")?, ElementKey::from_text)?,
        resource: row.get("resource")?,
        format: known("format", &text("format")?, Format::from_text)?,
        state: known("state", &text("state")?, OutboxState::from_text)?,
        created_at: row.get("created_at")?,
        event_count: row.get("event_count")?,
        attempts: row.get("attempts")?,
        next_attempt_at: row.get("next_attempt_at")?,
        delivered_at: row.get("delivered_at")?,
        last_status: row.get("last_status")?,
        last_error: row.get("last_error")?,
        endpoint,
        content: None,
    })
}

/// The first `most` bytes of a notification's body. Read piece by piece: a query would hold all of it beside them.
pub(super) fn body(connection: &Connection, outbox_id: i64, most: usize) -> Result<Vec<u8>, StoreError> {
    let blob = connection.blob_open("main", "outbox", "body", outbox_id, true)?;
    let length = blob.len().min(most);
    let room = if length > LARGE_BYTES { RETURNED_BYTES } else { 0 };
    let mut body = Vec::with_capacity(length.max(room));
    body.resize(length, 0);
    blob.read_at_exact(&mut body, 0)?;
    Ok(body)
}

fn content(connection: &Connection, outbox_id: i64) -> Result<Content, StoreError> {
    let body = body(connection, outbox_id, usize::MAX)?;
    let mut statement = connection
        .prepare_cached("SELECT raw_start, raw_length FROM event WHERE outbox_id = ?1 ORDER BY position")?;
    let raws = statement.query_map([outbox_id], |row| {
        Ok(row.get::<_, Option<u32>>(0)?.zip(row.get(1)?))
    })?;
    Ok(Content {
        body,
        raws: raws.collect::<Result<_, _>>()?,
    })
}
