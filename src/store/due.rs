//! The outbox as delivery sees it: which instances have something due, and what goes out next of one of them. Whose turn
//! it is, is decided by the caller.

use jiff::Timestamp;
use rusqlite::Connection;

use super::rows::{Queries, get, row};
use super::{Store, StoreError};
use crate::core::model::{Format, Instance, time_from_text, time_text};

/// A part of an instance's notifications, of which one run at a time is under way: every one of `lanes`, or all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Lane {
    pub instance_id: i64,
    pub number: i64,
}

/// How far an endpoint is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reputation {
    /// It is active and has accepted something.
    Proven,
    /// It is active and has accepted nothing yet.
    Unknown,
    /// It failed, and one notification at a time tries it.
    BackingOff,
}

/// An instance of which something is due, and may be tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    pub instance_id: i64,
    pub endpoint_id: Option<i64>,
    /// The endpoint's URL without its query; empty where the instance has none.
    pub url: String,
    pub reputation: Reputation,
    /// Whether what is due has failed before.
    pub tried: bool,
    /// The version of the instance's settings.
    pub version: String,
}

/// How much a run takes at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Most {
    pub notifications: usize,
    /// Bytes of bodies after which no other notification is taken.
    pub bytes: usize,
    /// A body that is larger is left where it is.
    pub largest: usize,
}

/// Notifications of one instance whose time has come, in their order.
#[derive(Clone, Debug)]
pub struct Run {
    /// No two threads have runs of the same lane.
    pub lane: Lane,
    pub waiting: Waiting,
    /// The instance as it was when its endpoint was read.
    pub instance: Instance,
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

impl Reputation {
    /// Whether more than one request at a time may go there.
    pub fn is_active(self) -> bool {
        self != Reputation::BackingOff
    }
}

impl Waiting {
    /// What goes to the same endpoint has the same number. An instance without an endpoint is a group of its own.
    pub fn group(&self) -> i64 {
        self.endpoint_id.unwrap_or(-self.instance_id)
    }

    /// Host and port of the endpoint.
    pub fn host(&self) -> &str {
        let behind_scheme = self.url.split_once("://").map_or("", |(_, rest)| rest);
        behind_scheme.split('/').next().unwrap_or_default()
    }
}

impl Store {
    /// The first run of `in_turn`, which is given all instances of which something is due, those that have waited the
    /// longest first, and says which of them may be served, in which order, and how much. None of a lane that `in_hand` says
    /// somebody has. `lanes` tells how many runs there may be of one instance; `None`: its notifications wait for each
    /// other.
    ///
    /// While an endpoint backs off, what has never failed is tried once before the next probe: that another instance's
    /// notification failed does not say that this one would.
    pub fn due_run(
        &self,
        now: Timestamp,
        lanes: Option<usize>,
        in_hand: impl Fn(Lane) -> bool,
        in_turn: impl FnOnce(Vec<Waiting>) -> Vec<(Waiting, Most)>,
    ) -> Result<Option<Run>, StoreError> {
        let ordered = lanes.is_none();
        let lanes = lanes.map_or(1, |lanes| (lanes as i64).max(1));
        self.read(|connection| {
            let now = time_text(now);
            for (waiting, most) in in_turn(waiting(connection, &now, ordered)?) {
                let lane_of = |number| Lane {
                    instance_id: waiting.instance_id,
                    number,
                };
                for lane in (0..lanes).map(lane_of).filter(|lane| !in_hand(*lane)) {
                    let notifications = run_of(connection, lane, lanes, &now, ordered, most)?;
                    if notifications.is_empty() {
                        continue;
                    }
                    let instance = self.instance_of(connection, waiting.instance_id)?;
                    return Ok(Some(Run {
                        lane,
                        waiting,
                        instance,
                        notifications,
                    }));
                }
            }
            Ok(None)
        })
    }

    /// When the next notification is due, as far as its own wait and its endpoint's say.
    pub fn next_due(&self) -> Result<Option<Timestamp>, StoreError> {
        let next: Option<String> = self.value(
            &format!(
                "SELECT min(CASE WHEN e.id IS NULL OR e.state = 'active' OR {EARLY} THEN o.next_attempt_at
                                 ELSE max(o.next_attempt_at, e.next_probe_at) END)
                   FROM instance i
                   JOIN outbox o ON o.id = (SELECT id FROM outbox INDEXED BY outbox_pending_by_instance
                                             WHERE instance_id = i.id AND state = 'pending' ORDER BY id LIMIT 1)
                   LEFT JOIN endpoint e ON e.id = i.endpoint_id",
            ),
            [],
        )?;
        Ok(next.as_deref().and_then(time_from_text))
    }
}

/// Whether `o` may try its endpoint `e` before the probe.
const EARLY: &str = "(e.state = 'backing_off' AND e.asked_to_wait = 0 AND o.last_failed_at IS NULL)";

/// The instances of which something is due and whose endpoint may be tried.
fn waiting(connection: &Connection, now: &str, ordered: bool) -> Result<Vec<Waiting>, StoreError> {
    // Where nothing waits, not every instance is asked whether something does.
    if !connection.value("SELECT EXISTS (SELECT 1 FROM outbox WHERE state = 'pending')", [])? {
        return Ok(Vec::new());
    }
    let sql = format!(
        "SELECT i.id, i.endpoint_id, i.updated_at, coalesce(e.url, '') AS url,
                coalesce(e.state, 'active') = 'active' AS active,
                e.last_accepted_at IS NOT NULL AS accepted, o.last_failed_at IS NOT NULL AS tried
           FROM instance i
           JOIN outbox o ON o.id = (SELECT id FROM outbox INDEXED BY outbox_pending_by_instance
                                     WHERE instance_id = i.id AND state = 'pending'
                                       AND (?2 OR next_attempt_at <= ?1)
                                     ORDER BY id LIMIT 1)
           LEFT JOIN endpoint e ON e.id = i.endpoint_id
          WHERE o.next_attempt_at <= ?1
            AND (e.id IS NULL OR e.state = 'active' OR e.next_probe_at <= ?1 OR {EARLY})
          ORDER BY o.next_attempt_at, o.id"
    );
    connection.all(&sql, (now, ordered), |row| {
        let reputation = match row!(active, accepted)(row)? {
            (true, true) => Reputation::Proven,
            (true, false) => Reputation::Unknown,
            (false, _) => Reputation::BackingOff,
        };
        row!(row => Waiting {
            instance_id as "id",
            endpoint_id,
            url,
            reputation: reputation,
            tried,
            version as "updated_at",
        })
    })
}

/// Left to itself SQLite takes the index of all notifications, and passes over every delivered one to reach the first
/// that is pending; INDEXED BY makes it an error to have no such index.
fn run_of(
    connection: &Connection,
    lane: Lane,
    lanes: i64,
    now: &str,
    ordered: bool,
    most: Most,
) -> Result<Vec<Due>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT id, event_id, format, event_count, attempts, next_attempt_at <= ?2 AS due,
                iif(length(body) <= ?6, body, NULL) AS body
           FROM outbox INDEXED BY outbox_pending_by_instance
          WHERE instance_id = ?1 AND state = 'pending' AND id % ?5 = ?4 AND (?3 OR next_attempt_at <= ?2)
          ORDER BY id",
    )?;
    let largest = i64::try_from(most.largest).unwrap_or(i64::MAX);
    let mut rows = statement.query((lane.instance_id, now, ordered, lane.number, lanes, largest))?;
    let mut run = Vec::new();
    let mut bytes = 0;
    while run.len() < most.notifications
        && let Some(row) = rows.next()?
    {
        let body: Option<Vec<u8>> = get(row, "body")?;
        let Some(body) = body.filter(|_| bytes == 0 || bytes < most.bytes) else {
            break;
        };
        if !get(row, "due")? {
            break;
        }
        bytes += body.len();
        run.push(row!(row => Due { id, event_id, format, body: body, event_count, attempts })?);
    }
    Ok(run)
}
