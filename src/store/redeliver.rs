//! The outbox as an operator changes it: dead notifications revived, waiting ones hastened, either given up, endpoints
//! reactivated; repeating delivered ones is in `replay`. What is chosen is worked through instance by instance in the
//! outbox's order, a transaction for at most a thousand rows: an agent that delivers meanwhile keeps the order, too.

use jiff::Timestamp;
use rusqlite::{Connection, Row};

use super::{Store, StoreError, known};
use crate::core::model::{OutboxState, time_text};

/// Notifications that one transaction changes.
const ROWS: i64 = 1_000;
/// Notifications that one transaction removes, with their events and attempts.
const REMOVAL: i64 = 100;

/// A text before every time, and one behind.
const ALWAYS: &str = "";
const NEVER: &str = "~";

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

/// How many notifications, and events in them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Tallied {
    pub notifications: u64,
    pub events: u64,
}

/// A notification, as far as it says what can be done with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    pub id: i64,
    pub instance_id: i64,
    pub instance: String,
    /// Whether its instance is being deleted.
    pub leaving: bool,
    pub state: OutboxState,
    /// The event id that it repeats.
    pub replay_of: Option<String>,
}

impl Store {
    /// The notification with that id, or event id.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn find_notification(&self, id: &str) -> Result<Option<Head>, StoreError> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT o.id, o.instance_id, i.name, i.deleting_since IS NOT NULL AS leaving, o.state, o.replay_of
                   FROM outbox o JOIN instance i ON i.id = o.instance_id
                  WHERE o.id = ?1 OR o.event_id = ?2",
            )?;
            let mut rows = statement.query((id.parse::<i64>().ok(), id))?;
            rows.next()?.map(head).transpose()
        })
    }

    /// Each instance with its endpoint.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn instance_endpoints(&self) -> Result<Vec<(i64, Option<i64>)>, StoreError> {
        self.read(|connection| {
            let mut statement =
                connection.prepare_cached("SELECT id, endpoint_id FROM instance ORDER BY id")?;
            let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    /// The first pending notification of an instance.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn first_pending(&self, instance_id: i64) -> Result<Option<i64>, StoreError> {
        self.read(|connection| {
            let mut statement = connection
                .prepare_cached("SELECT min(id) FROM outbox WHERE instance_id = ?1 AND state = 'pending'")?;
            Ok(statement.query_row([instance_id], |row| row.get(0))?)
        })
    }

    /// Whether anything chosen is pending.
    ///
    /// # Errors
    /// When the database cannot be read.
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
    ///
    /// # Errors
    /// When the database cannot be read.
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
        self.change(OutboxState::Dead, chosen, ROWS, |connection, id| {
            Ok(connection
                .prepare_cached(statement)?
                .execute((id, time_text(now)))?)
        })
    }

    /// Makes pending ones due that were not before `now`. Returns how many those were.
    ///
    /// # Errors
    /// As `revive`.
    pub fn hasten(&self, chosen: &Selection, now: Timestamp) -> Result<Tallied, StoreError> {
        let statement =
            "UPDATE outbox SET waits_since = ?2, next_attempt_at = ?2 WHERE id = ?1 AND next_attempt_at > ?2";
        self.change(OutboxState::Pending, chosen, ROWS, |connection, id| {
            Ok(connection
                .prepare_cached(statement)?
                .execute((id, time_text(now)))?)
        })
    }

    /// Removes pending or dead ones for good.
    ///
    /// # Errors
    /// As `revive`.
    pub fn discard(&self, state: OutboxState, chosen: &Selection) -> Result<Tallied, StoreError> {
        self.change(state, chosen, REMOVAL, |connection, id| {
            Ok(connection
                .prepare_cached("DELETE FROM outbox WHERE id = ?1")?
                .execute([id])?)
        })
    }

    /// Opens an endpoint as if it had never failed.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn reactivate(&self, endpoint_id: i64, now: Timestamp) -> Result<(), StoreError> {
        self.write(|connection| {
            connection.execute(
                "UPDATE endpoint
                    SET state_since = iif(state = 'active', state_since, ?2), state = 'active', failures = 0,
                        deaths = 0, next_probe_at = NULL, asked_to_wait = 0, last_error = NULL
                  WHERE id = ?1",
                (endpoint_id, time_text(now)),
            )?;
            Ok(())
        })
    }

    /// Lets an endpoint that backs off be tried at `now`, if it were not before.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn probe_at(&self, endpoint_id: i64, now: Timestamp) -> Result<(), StoreError> {
        self.write(|connection| {
            connection.execute(
                "UPDATE endpoint SET waits_since = ?2, next_probe_at = ?2
                  WHERE id = ?1 AND state = 'backing_off' AND next_probe_at > ?2",
                (endpoint_id, time_text(now)),
            )?;
            Ok(())
        })
    }

    /// Does `change` to each chosen notification of `state`, `most` in a transaction. Returns what it changed.
    fn change(
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
        (
            self.since.map_or_else(|| ALWAYS.to_owned(), time_text),
            self.until.map_or_else(|| NEVER.to_owned(), time_text),
        )
    }
}

impl Tallied {
    pub(super) fn add(&mut self, events: u64) {
        self.notifications += 1;
        self.events += events;
    }
}

impl std::ops::AddAssign for Tallied {
    fn add_assign(&mut self, other: Tallied) {
        self.notifications += other.notifications;
        self.events += other.events;
    }
}

fn head(row: &Row<'_>) -> Result<Head, StoreError> {
    Ok(Head {
        id: row.get("id")?,
        instance_id: row.get("instance_id")?,
        instance: row.get("name")?,
        leaving: row.get("leaving")?,
        state: known("state", &row.get::<_, String>("state")?, OutboxState::from_text)?,
        replay_of: row.get("replay_of")?,
    })
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
    let mut statement = connection.prepare_cached(&format!(
        "SELECT id, event_count FROM outbox
          WHERE instance_id = ?1 AND state = '{state}' AND id > ?2 AND id <= ?3
            AND created_at >= ?4 AND created_at < ?5
          ORDER BY id LIMIT ?6"
    ))?;
    let (after, last) = match chosen.id {
        Some(id) => (after.max(id - 1), id),
        None => (after, i64::MAX),
    };
    let (since, until) = chosen.span();
    let rows = statement.query_map((instance_id, after, last, since, until, most), |row| {
        Ok((row.get(0)?, u64::from(row.get::<_, u32>(1)?)))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}
