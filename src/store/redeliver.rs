//! The outbox as an operator changes it: dead notifications revived, waiting ones hastened, either given up, and delivered
//! ones written again at the outbox's end, each under a new id, for a receiver that has lost what it had accepted. What is
//! chosen is worked through instance by instance in the outbox's order, a transaction for at most a thousand rows: an agent
//! that delivers meanwhile keeps the order, too.

use jiff::Timestamp;
use rusqlite::{Connection, Row};

use super::listing::span;
use super::outbox::{Appender, events_of};
use super::rows::{Queries, get, row};
use super::{Store, StoreError};
use crate::core::model::{Notification, OutboxState, time_text};
use crate::core::outbox::Tallied;

/// Notifications that one transaction changes.
const ROWS: i64 = 1_000;
/// Notifications that one transaction removes, with their events and attempts.
const REMOVAL: i64 = 100;

/// Rows that one transaction writes, and one notification's.
const COPIED: usize = 1_000;
/// Bytes of bodies that one transaction copies, and one body.
const COPIED_BYTES: usize = 1 << 20;

/// Which notifications are meant; all of it must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    pub instances: Vec<i64>,
    /// This one only.
    pub id: Option<i64>,
    /// Delivered ones by the time of their delivery, others by the time they were written: not before `since`, and
    /// before `until`.
    pub since: Option<Timestamp>,
    pub until: Option<Timestamp>,
}

/// What came of repeating.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Replayed {
    pub replayed: Tallied,
    /// Notifications whose earlier replay waits still: they are not repeated twice.
    pub waiting: u64,
}

impl Store {
    /// The first pending notification of an instance.
    pub fn first_pending(&self, instance_id: i64) -> Result<Option<i64>, StoreError> {
        self.value(
            "SELECT min(id) FROM outbox WHERE instance_id = ?1 AND state = 'pending'",
            [instance_id],
        )
    }

    /// Whether anything chosen is pending.
    pub fn any_pending(&self, chosen: &Selection) -> Result<bool, StoreError> {
        self.read(|connection| {
            for instance in &chosen.instances {
                let page = page(connection, OutboxState::Pending, chosen, (*instance, 0), 1)?;
                if !page.is_empty() {
                    return Ok(true);
                }
            }
            Ok(false)
        })
    }

    /// Counts what is chosen of `state`, pending or dead.
    pub fn tally(&self, state: OutboxState, chosen: &Selection) -> Result<Tallied, StoreError> {
        self.read(|connection| {
            let mut tallied = Tallied::default();
            for instance in &chosen.instances {
                let mut after = 0;
                loop {
                    let page = page(connection, state, chosen, (*instance, after), ROWS)?;
                    let Some((last, _)) = page.last() else { break };
                    after = *last;
                    page.iter().for_each(|(_, events)| tallied.add(*events));
                }
            }
            Ok(tallied)
        })
    }

    /// Makes dead ones pending again, due at `now`, as if they had never been tried.
    ///
    /// # Errors
    /// When the database cannot be written; what was done before stays.
    pub fn revive(&self, chosen: &Selection, now: Timestamp) -> Result<Tallied, StoreError> {
        let statement = "UPDATE outbox
                            SET state = 'pending', waits_since = ?2, next_attempt_at = ?2, refusals = 0, failures = 0,
                                last_failed_at = NULL
                          WHERE id = ?1";
        self.change_each(OutboxState::Dead, chosen, ROWS, |connection, id| {
            connection.change(statement, (id, time_text(now)))
        })
    }

    /// Makes pending ones due that were not before `now`. Returns how many those were.
    pub fn hasten(&self, chosen: &Selection, now: Timestamp) -> Result<Tallied, StoreError> {
        let statement =
            "UPDATE outbox SET waits_since = ?2, next_attempt_at = ?2 WHERE id = ?1 AND next_attempt_at > ?2";
        self.change_each(OutboxState::Pending, chosen, ROWS, |connection, id| {
            connection.change(statement, (id, time_text(now)))
        })
    }

    /// Removes pending or dead ones for good.
    pub fn discard(&self, state: OutboxState, chosen: &Selection) -> Result<Tallied, StoreError> {
        self.change_each(state, chosen, REMOVAL, |connection, id| {
            connection.change("DELETE FROM outbox WHERE id = ?1", [id])
        })
    }

    /// Writes behind the outbox's end what `repeat` makes of each delivered notification that is no replay itself and
    /// whose last replay does not wait still. Nothing is added to an instance that is being deleted.
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
        let ids: Option<(Option<i64>, Option<i64>)> = self.first(
            "SELECT min(id) AS first, max(id) AS last FROM outbox
              WHERE state = 'delivered' AND delivered_at >= ?1 AND delivered_at < ?2",
            chosen.span(),
            row!(first, last),
        )?;
        Ok(ids.and_then(|(first, last)| first.zip(last)))
    }

    /// Does `change` to each chosen notification of `state`, `most` in a transaction. Returns what it changed.
    fn change_each(
        &self,
        state: OutboxState,
        chosen: &Selection,
        most: i64,
        change: impl Fn(&Connection, i64) -> Result<usize, StoreError>,
    ) -> Result<Tallied, StoreError> {
        let mut tallied = Tallied::default();
        for instance in &chosen.instances {
            let mut after = Some(0);
            while let Some(behind) = after {
                after = self.write(|connection| {
                    let page = page(connection, state, chosen, (*instance, behind), most)?;
                    for (id, events) in &page {
                        if change(connection, *id)? > 0 {
                            tallied.add(*events);
                        }
                    }
                    Ok(page.last().map(|(id, _)| *id))
                })?;
            }
        }
        Ok(tallied)
    }
}

impl Selection {
    /// The span as texts that times are compared with.
    pub(super) fn span(&self) -> (String, String) {
        span(self.since, self.until)
    }
}

/// The next of an instance that are chosen and in `state`, at most `most`: id and number of events. `state` stands in
/// the statement itself, since only so do the indexes of pending and dead ones serve.
fn page(
    connection: &Connection,
    state: OutboxState,
    chosen: &Selection,
    (instance_id, after): (i64, i64),
    most: i64,
) -> Result<Vec<(i64, u64)>, StoreError> {
    let (after, last) = match chosen.id {
        Some(id) => (after.max(id - 1), id),
        None => (after, i64::MAX),
    };
    let (since, until) = chosen.span();
    connection.all(
        &format!(
            "SELECT id, event_count FROM outbox
              WHERE instance_id = ?1 AND state = '{state}' AND id > ?2 AND id <= ?3
                AND created_at >= ?4 AND created_at < ?5
              ORDER BY id LIMIT ?6"
        ),
        (instance_id, after, last, since, until, most),
        row!(id, event_count),
    )
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
    while copied < COPIED
        && bytes < COPIED_BYTES
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
    let id = get(row, "id")?;
    let events = events_of(connection, id)?;
    let notification = row!(row => Notification { format, event_id, body, events: events })?;
    row!(row => Original { id: id, resource, is_waiting as "waiting", notification: notification })
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
