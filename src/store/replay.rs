//! Delivered notifications written again at the outbox's end, each under a new id, for a receiver that has lost what it
//! had accepted. What the new body says is told to it.

use jiff::Timestamp;
use rusqlite::{Connection, Row};

use super::outbox::Appender;
use super::{Selection, Store, StoreError, Tallied, known};
use crate::core::model::{Event, EventType, Format, Notification};

/// Rows that one transaction writes, and one notification's.
const ROWS: usize = 1_000;
/// Bytes of bodies that one transaction copies, and one body.
const BYTES: usize = 1 << 20;

/// What came of repeating.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Replayed {
    #[serde(flatten)]
    pub replayed: Tallied,
    /// Notifications whose earlier replay waits still: they are not repeated twice.
    pub waiting: u64,
}

impl Store {
    /// Writes behind the outbox's end what `repeat` makes of each delivered notification that is no replay itself and
    /// whose last replay does not wait still. Nothing is added to an instance that is being deleted.
    ///
    /// # Errors
    /// As `revive`.
    pub fn replay(
        &self,
        chosen: &Selection,
        now: Timestamp,
        repeat: &mut dyn FnMut(&Notification) -> Notification,
    ) -> Result<Replayed, StoreError> {
        let Some((first, last)) = self.delivered_ids(chosen)? else {
            return Ok(Replayed::default());
        };
        let mut all = Replayed::default();
        for instance in &chosen.instances {
            let mut after = first - 1;
            loop {
                let page = self.write(|connection| {
                    let page = originals(connection, chosen, *instance, (after, last))?;
                    append_replays(connection, *instance, &page, now, repeat)?;
                    Ok(page)
                })?;
                let Some(end) = page.last() else { break };
                after = end.id;
                for original in &page {
                    match original.is_waiting {
                        true => all.waiting += 1,
                        false => all.replayed.add(original.notification.events.len() as u64),
                    }
                }
            }
        }
        Ok(all)
    }

    /// The first and the last id among what was delivered in the chosen span; found by the index of deliveries.
    fn delivered_ids(&self, chosen: &Selection) -> Result<Option<(i64, i64)>, StoreError> {
        if let Some(id) = chosen.id {
            return Ok(Some((id, id)));
        }
        self.read(|connection| {
            let ids: (Option<i64>, Option<i64>) = connection.query_row(
                "SELECT min(id), max(id) FROM outbox
                  WHERE state = 'delivered' AND delivered_at >= ?1 AND delivered_at < ?2",
                chosen.span(),
                |row| Ok((row.get(0)?, row.get(1)?)),
            )?;
            Ok(ids.0.zip(ids.1))
        })
    }
}

/// A delivered notification to be repeated.
struct Original {
    id: i64,
    resource: String,
    /// Whether a replay of it is pending.
    is_waiting: bool,
    notification: Notification,
}

/// The next of an instance's that are to be repeated: as many as one transaction may copy.
fn originals(
    connection: &Connection,
    chosen: &Selection,
    instance_id: i64,
    (after, last): (i64, i64),
) -> Result<Vec<Original>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT o.id, o.event_id, o.resource, o.format, o.body,
                EXISTS (SELECT 1 FROM outbox r WHERE r.replay_of = o.event_id AND r.state = 'pending') AS waiting
           FROM outbox o
          WHERE o.instance_id = ?1 AND o.id > ?2 AND o.id <= ?3
            AND o.state = 'delivered' AND o.replay_of IS NULL
            AND o.delivered_at >= ?4 AND o.delivered_at < ?5
            AND EXISTS (SELECT 1 FROM instance WHERE id = ?1 AND deleting_since IS NULL)
          ORDER BY o.id",
    )?;
    let (since, until) = chosen.span();
    let mut rows = statement.query((instance_id, after, last, since, until))?;
    let mut page: Vec<Original> = Vec::new();
    let (mut copied, mut bytes) = (0, 0);
    while copied < ROWS
        && bytes < BYTES
        && let Some(row) = rows.next()?
    {
        let original = original(connection, row)?;
        copied += 1 + original.notification.events.len();
        bytes += original.notification.body.len();
        page.push(original);
    }
    Ok(page)
}

fn original(connection: &Connection, row: &Row<'_>) -> Result<Original, StoreError> {
    let id = row.get("id")?;
    Ok(Original {
        id,
        resource: row.get("resource")?,
        is_waiting: row.get("waiting")?,
        notification: Notification {
            format: known("format", &row.get::<_, String>("format")?, Format::from_text)?,
            event_id: row.get("event_id")?,
            body: row.get("body")?,
            events: events_of(connection, id)?,
        },
    })
}

fn events_of(connection: &Connection, outbox_id: i64) -> Result<Vec<Event>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT event_type, object_id, object_type, path, raw_start, raw_length
           FROM event WHERE outbox_id = ?1 ORDER BY position",
    )?;
    let mut rows = statement.query([outbox_id])?;
    let mut events = Vec::new();
    while let Some(row) = rows.next()? {
        let (start, length): (Option<u32>, Option<u32>) = (row.get("raw_start")?, row.get("raw_length")?);
        events.push(Event {
            event_type: known(
                "event_type",
                &row.get::<_, String>("event_type")?,
                EventType::from_text,
            )?,
            object_id: row.get("object_id")?,
            object_type: row.get("object_type")?,
            path: row.get("path")?,
            raw: start
                .zip(length)
                .map(|(start, length)| (start as usize, length as usize)),
        });
    }
    Ok(events)
}

fn append_replays(
    connection: &Connection,
    instance_id: i64,
    page: &[Original],
    now: Timestamp,
    repeat: &mut dyn FnMut(&Notification) -> Notification,
) -> Result<(), StoreError> {
    let mut appender = Appender::new(connection)?;
    for original in page.iter().filter(|original| !original.is_waiting) {
        let replay = repeat(&original.notification);
        let replay_of = Some(original.notification.event_id.as_str());
        appender.append(instance_id, &original.resource, &replay, replay_of, now)?;
    }
    Ok(())
}
