//! The outbox as delivery sees it: what is due, and what came of sending it. Attempts are recorded in groups, each group
//! in one transaction, in which `core::retry` also decides what they mean, so that two workers never judge an endpoint
//! from the same past.

use std::collections::HashMap;

use jiff::Timestamp;
use rusqlite::{CachedStatement, Connection, OptionalExtension, Row};

use super::{Store, StoreError, known};
use crate::core::model::{EndpointState, Format, time_from_text, time_text};
use crate::core::retry::{self, Endpoint, Fate, Outcome, Policy, Trials};

/// Notifications and bytes of bodies that are taken up at a time.
const RUN: i64 = 64;
const RUN_BYTES: usize = 1 << 20;

/// Attempts that are kept of each notification.
const KEPT_ATTEMPTS: u32 = 20;

/// More than the workers there can be: an instance's keys are `id * LANES` and those behind it.
const LANES: i64 = 64;

/// How much of the outbox may be under way at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Whether an instance's notifications wait for each other.
    pub ordered: bool,
    /// Workers that may send for one instance, when it is not ordered.
    pub lanes: usize,
    /// Requests to one active endpoint; one that is not active gets one.
    pub per_endpoint: usize,
}

/// Notifications of one instance whose time has come, in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// No two workers have runs of the same key.
    pub key: i64,
    /// Runs of the same group go to the same endpoint.
    pub group: i64,
    pub instance_id: i64,
    pub endpoint_id: Option<i64>,
    pub notifications: Vec<Due>,
}

/// A notification whose time has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    pub id: i64,
    pub event_id: String,
    pub format: Format,
    pub body: Vec<u8>,
    pub event_count: u32,
    /// Attempts made so far.
    pub attempts: u32,
}

/// One attempt to deliver.
#[derive(Clone, Debug)]
pub struct Attempt {
    pub outbox_id: i64,
    /// Where it went, as the outbox knew it when the run was taken up.
    pub endpoint_id: Option<i64>,
    pub began_at: Timestamp,
    pub ended_at: Timestamp,
    pub status: Option<u16>,
    /// What the endpoint said or why it could not be reached.
    pub error: Option<String>,
    /// What the answer says; `None` where nothing could be sent, for a reason of the instance's own.
    pub outcome: Option<Outcome>,
    /// The die for the wait that may follow.
    pub draw: f64,
}

/// What an attempt came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    pub outbox_id: i64,
    pub fate: Fate,
    /// The endpoint's new state, where it has another one now.
    pub turned: Option<Turned>,
}

/// An endpoint that went from one state to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turned {
    /// Without its query.
    pub url: String,
    pub from: EndpointState,
    pub to: EndpointState,
    pub next_probe_at: Option<Timestamp>,
}

impl Store {
    /// The next run of notifications that is due and whose endpoint may be tried: none of a key that `in_hand` says a
    /// worker has, and no more of a group than may be under way, of which `under_way` tells how many are. The instance whose oldest notification has waited the longest since its time comes first, so that the probes of an
    /// endpoint go round its instances.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn due_run(
        &self,
        now: Timestamp,
        limits: &Limits,
        in_hand: impl Fn(i64) -> bool,
        under_way: impl Fn(i64) -> usize,
    ) -> Result<Option<Run>, StoreError> {
        self.read(|connection| {
            // Where nothing waits, not every instance is asked whether something does.
            let waits: bool = connection
                .prepare_cached("SELECT EXISTS (SELECT 1 FROM outbox WHERE state = 'pending')")?
                .query_row([], |row| row.get(0))?;
            if !waits {
                return Ok(None);
            }
            let now = time_text(now);
            let mut heads = connection.prepare_cached(
                "SELECT i.id, i.endpoint_id, coalesce(e.state, 'active') = 'active' AS active
                   FROM instance i
                   JOIN outbox o ON o.id = (SELECT id FROM outbox INDEXED BY outbox_pending_by_instance
                                             WHERE instance_id = i.id AND state = 'pending'
                                               AND (?2 OR next_attempt_at <= ?1)
                                             ORDER BY id LIMIT 1)
                   LEFT JOIN endpoint e ON e.id = i.endpoint_id
                  WHERE o.next_attempt_at <= ?1
                    AND (e.id IS NULL OR e.state = 'active' OR e.next_probe_at <= ?1)
                  ORDER BY o.next_attempt_at, o.id",
            )?;
            let mut rows = heads.query((&now, limits.ordered))?;
            while let Some(row) = rows.next()? {
                let (instance_id, endpoint_id): (i64, Option<i64>) = (row.get(0)?, row.get(1)?);
                let active: bool = row.get(2)?;
                // An instance without an endpoint is a group of its own.
                let group = endpoint_id.unwrap_or(-instance_id);
                let most = if active { limits.per_endpoint } else { 1 };
                if under_way(group) >= most {
                    continue;
                }
                let lanes = if limits.ordered {
                    1
                } else {
                    (limits.lanes as i64).clamp(1, LANES)
                };
                for lane in (0..lanes).filter(|lane| !in_hand(instance_id * LANES + lane)) {
                    let most = if active { RUN } else { 1 };
                    let notifications =
                        run_of(connection, instance_id, &now, limits.ordered, (lane, lanes), most)?;
                    if !notifications.is_empty() {
                        let key = instance_id * LANES + lane;
                        return Ok(Some(Run {
                            key,
                            group,
                            instance_id,
                            endpoint_id,
                            notifications,
                        }));
                    }
                }
            }
            Ok(None)
        })
    }

    /// When the next notification is due, as far as its own wait and its endpoint's say.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn next_due(&self) -> Result<Option<Timestamp>, StoreError> {
        self.read(|connection| {
            let next: Option<String> = connection
                .prepare_cached(
                    "SELECT min(CASE WHEN e.id IS NULL OR e.state = 'active' THEN o.next_attempt_at
                                     ELSE max(o.next_attempt_at, e.next_probe_at) END)
                       FROM instance i
                       JOIN outbox o ON o.id = (SELECT id FROM outbox INDEXED BY outbox_pending_by_instance
                                                 WHERE instance_id = i.id AND state = 'pending' ORDER BY id LIMIT 1)
                       LEFT JOIN endpoint e ON e.id = i.endpoint_id",
                )?
                .query_row([], |row| row.get(0))?;
            Ok(next.as_deref().and_then(time_from_text))
        })
    }

    /// Records attempts and what they mean for the notifications and their endpoints, in one transaction. A notification
    /// that was discarded while it was under way has nothing to be recorded, and is left out.
    ///
    /// # Errors
    /// When the database cannot be written; then the notifications are still pending, and go out again.
    pub fn record_attempts(
        &self,
        attempts: &[Attempt],
        policy: &Policy<'_>,
    ) -> Result<Vec<Recorded>, StoreError> {
        let recorded = self.write(|connection| {
            let mut history = connection.prepare_cached(
                "INSERT INTO attempt (outbox_id, number, at, duration_ms, status, error)
                 SELECT id, attempts + 1, ?2, ?3, ?4, ?5 FROM outbox WHERE id = ?1",
            )?;
            let mut outcome = connection.prepare_cached(
                "UPDATE outbox
                    SET attempts = attempts + 1, last_status = ?2, last_error = ?3, state = ?4, next_attempt_at = ?5,
                        delivered_at = ?6, refusals = ?7, failures = ?8, last_failed_at = ?9, waits_since = ?10
                  WHERE id = ?1",
            )?;
            let mut endpoints = HashMap::new();
            let mut recorded = Vec::with_capacity(attempts.len());
            for attempt in attempts {
                let Some((made, trials)) = trials_of(connection, attempt.outbox_id)? else { continue };
                let duration = attempt.ended_at.duration_since(attempt.began_at).as_millis();
                history.execute((
                    attempt.outbox_id,
                    time_text(attempt.began_at),
                    i64::try_from(duration).unwrap_or(i64::MAX),
                    attempt.status,
                    &attempt.error,
                ))?;
                let (fate, turned) = judge(connection, attempt, made + 1, trials, policy, &mut endpoints)?;
                write_fate(&mut outcome, attempt, &fate)?;
                forget_old_attempts(connection, attempt.outbox_id, made + 1)?;
                recorded.push(Recorded { outbox_id: attempt.outbox_id, fate, turned });
            }
            for (id, (_, before, after)) in &endpoints {
                if before != after {
                    put_endpoint(connection, *id, before.state, after, attempts)?;
                }
            }
            Ok(recorded)
        })?;
        self.counters().count_attempts(attempts, &recorded);
        Ok(recorded)
    }
}

/// The endpoints that a group of attempts touches: URL, as it was, as it is.
type Touched = HashMap<i64, (String, Endpoint, Endpoint)>;

fn judge(
    connection: &Connection,
    attempt: &Attempt,
    made: u32,
    trials: Trials,
    policy: &Policy<'_>,
    touched: &mut Touched,
) -> Result<(Fate, Option<Turned>), StoreError> {
    let now = attempt.ended_at;
    let Some(outcome) = &attempt.outcome else {
        let at = retry::postponed(made, policy, now, attempt.draw);
        return Ok((Fate::Pending { at, trials }, None));
    };
    // An endpoint that no instance uses any more is forgotten: what it answered counts for the notification alone.
    let id = attempt.endpoint_id.unwrap_or_default();
    if !touched.contains_key(&id)
        && let Some((url, endpoint)) = endpoint_of_id(connection, id)?
    {
        touched.insert(id, (url, endpoint, endpoint));
    }
    let mut forgotten = (String::new(), Endpoint::default(), Endpoint::default());
    let (url, _, endpoint) = touched.get_mut(&id).unwrap_or(&mut forgotten);
    let from = endpoint.state;
    let (fate, after) = retry::decide(outcome, trials, *endpoint, policy, now, attempt.draw);
    *endpoint = after;
    let turned = (from != after.state).then(|| Turned {
        url: url.clone(),
        from,
        to: after.state,
        next_probe_at: after.next_probe_at,
    });
    Ok((fate, turned))
}

fn write_fate(statement: &mut CachedStatement<'_>, attempt: &Attempt, fate: &Fate) -> Result<(), StoreError> {
    let (state, next, delivered, trials) = match fate {
        Fate::Delivered => (
            "delivered",
            None,
            Some(time_text(attempt.ended_at)),
            Trials::default(),
        ),
        Fate::Pending { at, trials } => ("pending", Some(time_text(*at)), None, *trials),
        Fate::Dead { trials } => ("dead", None, None, *trials),
    };
    statement.execute((
        attempt.outbox_id,
        attempt.status,
        &attempt.error,
        state,
        next,
        delivered,
        trials.refusals,
        trials.failures,
        trials.last_failed_at.map(time_text),
        time_text(attempt.ended_at),
    ))?;
    Ok(())
}

fn trials_of(connection: &Connection, outbox_id: i64) -> Result<Option<(u32, Trials)>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT attempts, refusals, failures, last_failed_at FROM outbox WHERE id = ?1 AND state = 'pending'",
    )?;
    let row = statement.query_row([outbox_id], |row| {
        let trials = Trials {
            refusals: row.get(1)?,
            failures: row.get(2)?,
            last_failed_at: time(row, "last_failed_at")?,
        };
        Ok((row.get(0)?, trials))
    });
    Ok(row.optional()?)
}

fn forget_old_attempts(connection: &Connection, outbox_id: i64, made: u32) -> Result<(), StoreError> {
    if made > KEPT_ATTEMPTS {
        connection
            .prepare_cached("DELETE FROM attempt WHERE outbox_id = ?1 AND number <= ?2")?
            .execute((outbox_id, made - KEPT_ATTEMPTS))?;
    }
    Ok(())
}

fn endpoint_of_id(connection: &Connection, id: i64) -> Result<Option<(String, Endpoint)>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT url, state, failures, deaths, last_accepted_at, last_failed_at, next_probe_at
           FROM endpoint WHERE id = ?1",
    )?;
    let mut rows = statement.query([id])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let endpoint = Endpoint {
        state: known("state", &row.get::<_, String>("state")?, EndpointState::from_text)?,
        failures: row.get("failures")?,
        deaths: row.get("deaths")?,
        last_accepted_at: time(row, "last_accepted_at")?,
        last_failed_at: time(row, "last_failed_at")?,
        next_probe_at: time(row, "next_probe_at")?,
    };
    Ok(Some((row.get("url")?, endpoint)))
}

fn put_endpoint(
    connection: &Connection,
    id: i64,
    before: EndpointState,
    after: &Endpoint,
    attempts: &[Attempt],
) -> Result<(), StoreError> {
    let last = attempts.iter().rfind(|attempt| attempt.endpoint_id == Some(id));
    connection
        .prepare_cached(
            "UPDATE endpoint
                SET state = ?2, state_since = iif(?3, ?4, state_since), failures = ?5, deaths = ?6,
                    last_accepted_at = ?7, last_failed_at = ?8, waits_since = iif(next_probe_at IS ?9, waits_since, ?4),
                    next_probe_at = ?9, last_error = ?10
              WHERE id = ?1",
        )?
        .execute((
            id,
            after.state.as_str(),
            before != after.state,
            last.map(|attempt| time_text(attempt.ended_at)),
            after.failures,
            after.deaths,
            after.last_accepted_at.map(time_text),
            after.last_failed_at.map(time_text),
            after.next_probe_at.map(time_text),
            last.and_then(|attempt| attempt.error.as_deref()),
        ))?;
    Ok(())
}

/// Left to itself SQLite takes the index of all notifications, and passes over every delivered one to reach the first
/// that is pending; INDEXED BY makes it an error to have no such index.
fn run_of(
    connection: &Connection,
    instance_id: i64,
    now: &str,
    ordered: bool,
    (lane, lanes): (i64, i64),
    most: i64,
) -> Result<Vec<Due>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT id, event_id, format, body, event_count, attempts, next_attempt_at <= ?2 AS due
           FROM outbox INDEXED BY outbox_pending_by_instance
          WHERE instance_id = ?1 AND state = 'pending' AND id % ?5 = ?4 AND (?3 OR next_attempt_at <= ?2)
          ORDER BY id LIMIT ?6",
    )?;
    let mut rows = statement.query((instance_id, now, ordered, lane, lanes, most))?;
    let mut run = Vec::new();
    let mut bytes = 0;
    while let Some(row) = rows.next()? {
        if !row.get::<_, bool>("due")? || bytes >= RUN_BYTES {
            break;
        }
        let body: Vec<u8> = row.get("body")?;
        bytes += body.len();
        run.push(Due {
            id: row.get("id")?,
            event_id: row.get("event_id")?,
            format: known("format", &row.get::<_, String>("format")?, Format::from_text)?,
            body,
            event_count: row.get("event_count")?,
            attempts: row.get("attempts")?,
        });
    }
    Ok(run)
}

fn time(row: &Row<'_>, column: &str) -> rusqlite::Result<Option<Timestamp>> {
    let text: Option<String> = row.get(column)?;
    Ok(text.as_deref().and_then(time_from_text))
}
