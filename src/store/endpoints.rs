//! Endpoints, and what came of sending to them. An endpoint is one row per callback URL, which is shown without what may be
//! secret in it; a keyed hash of the whole tells two apart. Attempts are recorded in groups, each group in one transaction, in
//! which `core::retry` also decides what they mean, so that two workers never judge an endpoint from the same past.

use std::collections::HashMap;

use jiff::Timestamp;
use rusqlite::{CachedStatement, Connection, Row};

use super::rows::{Queries, get, json, only, row};
use super::secrets::Key;
use super::{Store, StoreError};
use crate::core::elements::{self, keys::CALLBACK_URL};
use crate::core::model::{EndpointState, Secret, time_from_text, time_text};
use crate::core::outbox::Endpoint;
use crate::core::retry::{self, Endpoint as Judged, Fate, Policy, Trial, Trials};
use crate::core::shown::shown_url;

/// Attempts that are kept of each notification.
const KEPT_ATTEMPTS: u32 = 20;

/// One attempt to deliver.
#[derive(Clone, Debug)]
pub struct Attempt {
    pub outbox_id: i64,
    /// Where it went.
    pub endpoint_id: Option<i64>,
    pub began_at: Timestamp,
    pub ended_at: Timestamp,
    pub status: Option<u16>,
    /// What the endpoint said or why it could not be reached.
    pub error: Option<String>,
    /// What the answer says; `None` where nothing could be sent, for a reason of the instance's own.
    pub outcome: Option<Trial>,
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
    /// Every endpoint.
    pub fn endpoints(&self) -> Result<Vec<Endpoint>, StoreError> {
        // CROSS JOIN keeps the order of the tables: the instances' entries in the index of the state are counted.
        self.all(
            "SELECT e.id, e.url, e.state, e.state_since, e.failures, e.last_accepted_at, e.last_failed_at,
                    e.next_probe_at, e.last_error,
                    (SELECT count(*) FROM instance i CROSS JOIN outbox o
                      WHERE i.endpoint_id = e.id AND o.instance_id = i.id AND o.state = 'pending') AS pending,
                    (SELECT count(*) FROM instance i CROSS JOIN outbox o
                      WHERE i.endpoint_id = e.id AND o.instance_id = i.id AND o.state = 'dead') AS dead
               FROM endpoint e ORDER BY e.id",
            [],
            row!(Endpoint {
                id,
                url,
                state,
                state_since,
                failures,
                last_accepted_at,
                last_failed_at,
                next_probe_at,
                last_error,
                pending,
                dead,
            }),
        )
    }

    /// Opens an endpoint as if it had never failed.
    pub fn reactivate(&self, endpoint_id: i64, now: Timestamp) -> Result<(), StoreError> {
        self.run(
            "UPDATE endpoint
                SET state_since = iif(state = 'active', state_since, ?2), state = 'active', failures = 0,
                    deaths = 0, next_probe_at = NULL, asked_to_wait = 0, last_error = NULL
              WHERE id = ?1",
            (endpoint_id, time_text(now)),
        )
    }

    /// Lets an endpoint that backs off be tried at `now`, if it were not before.
    pub fn probe_at(&self, endpoint_id: i64, now: Timestamp) -> Result<(), StoreError> {
        self.run(
            "UPDATE endpoint SET waits_since = ?2, next_probe_at = ?2
              WHERE id = ?1 AND state = 'backing_off' AND next_probe_at > ?2",
            (endpoint_id, time_text(now)),
        )
    }

    /// Each instance with its endpoint.
    pub fn instance_endpoints(&self) -> Result<Vec<(i64, Option<i64>)>, StoreError> {
        self.all(
            "SELECT id, endpoint_id FROM instance ORDER BY id",
            [],
            row!(id, endpoint_id),
        )
    }

    /// The id of the endpoint whose whole URL is `url`; `None` where there is none, or nobody can tell without the key.
    pub fn endpoint_at(&self, url: &str) -> Result<Option<i64>, StoreError> {
        let Ok(key) = self.key() else { return Ok(None) };
        let mac = key.name(url);
        self.first("SELECT id FROM endpoint WHERE url_mac = ?1", [&mac], only)
    }

    /// Seals what an older version has stored in the clear of callback URLs, once, as soon as the key is there.
    pub(super) fn seal_paths(&self) -> Result<(), StoreError> {
        if self.key.is_none() || self.value("SELECT paths_sealed FROM meta", [])? {
            return Ok(());
        }
        self.write(|connection| {
            // What is written over must not be left in the file.
            connection.pragma_update(None, "secure_delete", true)?;
            for instance in self.instances_where(connection, "id > ?1", 0)? {
                let (shown, mut secrets) = elements::split(&instance.configuration);
                secrets.retain(|key, _| key == CALLBACK_URL);
                self.put_secrets(connection, instance.id, &secrets, instance.created_at)?;
                connection.change(
                    "UPDATE instance SET configuration = ?2 WHERE id = ?1",
                    (instance.id, json(&shown)),
                )?;
            }
            let endpoints: Vec<(i64, String)> =
                connection.all("SELECT id, url FROM endpoint", [], row!(id, url))?;
            for (id, url) in endpoints {
                connection.change(
                    "UPDATE endpoint SET url = ?2 WHERE id = ?1",
                    (id, shown_url(&url)),
                )?;
            }
            connection.change("UPDATE meta SET paths_sealed = 1", [])?;
            connection.pragma_update(None, "secure_delete", false)?;
            Ok(())
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
                let Some((made, trials, goes_to)) = trials_of(connection, attempt.outbox_id)? else { continue };
                let duration = attempt.ended_at.duration_since(attempt.began_at).as_millis();
                history.execute((
                    attempt.outbox_id,
                    time_text(attempt.began_at),
                    i64::try_from(duration).unwrap_or(i64::MAX),
                    attempt.status,
                    &attempt.error,
                ))?;
                let (fate, turned) = judge(connection, attempt, trials, goes_to, policy, &mut endpoints)?;
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
type Touched = HashMap<i64, (String, Judged, Judged)>;

fn judge(
    connection: &Connection,
    attempt: &Attempt,
    trials: Trials,
    goes_to: Option<i64>,
    policy: &Policy<'_>,
    touched: &mut Touched,
) -> Result<(Fate, Option<Turned>), StoreError> {
    let now = attempt.ended_at;
    let unchanged = Fate::Pending { at: now, trials };
    let Some(outcome) = &attempt.outcome else {
        // It is due as before: it goes out as soon as it can.
        return Ok((unchanged, None));
    };
    // An endpoint that no instance uses any more is forgotten: what it answered counts for the notification alone.
    let id = attempt.endpoint_id.unwrap_or_default();
    if !touched.contains_key(&id)
        && let Some((url, endpoint)) = endpoint_of_id(connection, id)?
    {
        touched.insert(id, (url, endpoint, endpoint));
    }
    let mut forgotten = (String::new(), Judged::default(), Judged::default());
    let (url, _, endpoint) = touched.get_mut(&id).unwrap_or(&mut forgotten);
    let from = endpoint.state;
    let (fate, after) = retry::decide(outcome, trials, *endpoint, policy, now, attempt.draw);
    *endpoint = after;
    // What a former endpoint did not accept, the one that the instance has now has not seen.
    let fate = if goes_to != attempt.endpoint_id && fate != Fate::Delivered {
        unchanged
    } else {
        fate
    };
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
    // Only what waits has a begin of its wait: a row that grew as it is delivered would split its page.
    let waits_since = next.is_some().then(|| time_text(attempt.ended_at));
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
        waits_since,
    ))?;
    Ok(())
}

/// Not a join: SQLite looks at the id that is bound to one, and prepares it anew for each other id.
const TRIALS: &str = "SELECT attempts, refusals, failures, last_failed_at,
                             (SELECT endpoint_id FROM instance WHERE id = instance_id) AS endpoint_id
                        FROM outbox WHERE id = ?1 AND state = 'pending'";

/// The attempts made of a pending notification, what is known of them, and the endpoint that its instance has now.
fn trials_of(
    connection: &Connection,
    outbox_id: i64,
) -> Result<Option<(u32, Trials, Option<i64>)>, StoreError> {
    connection.first(TRIALS, [outbox_id], |row| {
        let last_failed_at = time(row, "last_failed_at")?;
        let trials = row!(row => Trials { refusals, failures, last_failed_at: last_failed_at })?;
        Ok((get(row, "attempts")?, trials, get(row, "endpoint_id")?))
    })
}

fn forget_old_attempts(connection: &Connection, outbox_id: i64, made: u32) -> Result<(), StoreError> {
    if made > KEPT_ATTEMPTS {
        connection.change(
            "DELETE FROM attempt WHERE outbox_id = ?1 AND number <= ?2",
            (outbox_id, made - KEPT_ATTEMPTS),
        )?;
    }
    Ok(())
}

fn endpoint_of_id(connection: &Connection, id: i64) -> Result<Option<(String, Judged)>, StoreError> {
    connection.first(
        "SELECT url, state, failures, deaths, last_accepted_at, last_failed_at, next_probe_at, asked_to_wait
           FROM endpoint WHERE id = ?1",
        [id],
        |row| {
            let endpoint = row!(row => Judged {
                state,
                failures,
                deaths,
                last_accepted_at: time(row, "last_accepted_at")?,
                last_failed_at: time(row, "last_failed_at")?,
                next_probe_at: time(row, "next_probe_at")?,
                asked_to_wait,
            })?;
            Ok((get(row, "url")?, endpoint))
        },
    )
}

fn put_endpoint(
    connection: &Connection,
    id: i64,
    before: EndpointState,
    after: &Judged,
    attempts: &[Attempt],
) -> Result<(), StoreError> {
    let last = attempts.iter().rfind(|attempt| attempt.endpoint_id == Some(id));
    connection.run(
        "UPDATE endpoint
            SET state = ?2, state_since = iif(?3, ?4, state_since), failures = ?5, deaths = ?6,
                last_accepted_at = ?7, last_failed_at = ?8, waits_since = iif(next_probe_at IS ?9, waits_since, ?4),
                next_probe_at = ?9, last_error = ?10, asked_to_wait = ?11
          WHERE id = ?1",
        (
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
            after.asked_to_wait,
        ),
    )
}

/// A time that nobody can read counts as none: it must not hold deliveries up.
fn time(row: &Row<'_>, column: &str) -> Result<Option<Timestamp>, StoreError> {
    let text: Option<String> = get(row, column)?;
    Ok(text.as_deref().and_then(time_from_text))
}

/// The row of the endpoint `url`, made where there is none.
pub(super) fn endpoint_of(
    connection: &Connection,
    key: &Key,
    url: &Secret,
    now: Timestamp,
) -> Result<i64, StoreError> {
    let mac = key.name(url.expose());
    connection.change(
        "INSERT INTO endpoint (url, url_mac, state_since) VALUES (?1, ?2, ?3) ON CONFLICT (url_mac) DO NOTHING",
        (shown_url(url.expose()), &mac, time_text(now)),
    )?;
    connection.value("SELECT id FROM endpoint WHERE url_mac = ?1", [&mac])
}

/// Removes the endpoints that no instance uses any more.
pub(super) fn forget_unused(connection: &Connection) -> Result<(), StoreError> {
    connection.run(
        "DELETE FROM endpoint WHERE id NOT IN (SELECT endpoint_id FROM instance WHERE endpoint_id IS NOT NULL)",
        [],
    )
}

#[cfg(test)]
mod tests {
    use rusqlite::StatementStatus;

    use super::*;

    #[test]
    fn what_is_asked_for_each_notification_is_prepared_once() {
        let connection = Connection::open_in_memory().unwrap();
        connection
            .execute_batch(&crate::store::migrate::STEPS.concat())
            .unwrap();
        for id in 1..4 {
            assert!(trials_of(&connection, id).unwrap().is_none());
        }
        let statement = connection.prepare_cached(TRIALS).unwrap();
        assert_eq!(statement.get_status(StatementStatus::RePrepare), 0);
    }
}
