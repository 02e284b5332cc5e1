//! When each resource is polled: what that is planned from, what is shown of the plan, and what commands ask of the running
//! agent: rows that they wait on, and that the agent answers in place.

use std::time::Duration;

use jiff::Timestamp;
use rusqlite::Row;

use super::rows::{Queries, from_json, get, json, only, row};
use super::{Store, StoreError};
use crate::core::model::{Interval, time_text};
use crate::core::phase::Depth;
use crate::core::plan::{Keys, Subject};
use crate::core::poll::Poll;

/// Rows that one transaction writes.
const AT_ONCE: usize = 1_000;

/// Which resources are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rows {
    All,
    /// Those of the instance with that id.
    Of(i64),
    /// Those of the instance that has the resource with that id.
    Beside(i64),
    /// The resource with that id.
    One(i64),
}

/// A resource with what has happened to it, as far as its next poll depends on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    pub id: i64,
    pub subject: Subject,
    /// Its instance is enabled, wants events, and is not being deleted.
    pub polled: bool,
    /// Its instance need not sign in again.
    pub signed_in: bool,
    /// A person must decide first.
    pub held: bool,
    /// Its instance waits for room in the outbox.
    pub paused: bool,
    /// When its first cursor began.
    pub started_at: Timestamp,
    /// Counts the steps of its cursor: while a poll is under way, it goes up with each page.
    pub cursor_seq: i64,
    /// When its last poll began.
    pub last_poll_at: Option<Timestamp>,
    /// That poll did not come to its end, and is to be made again.
    pub unfinished: bool,
    /// The provider asked to be left alone until then.
    pub throttled_until: Option<Timestamp>,
    /// What is shown as planned.
    pub next_poll_at: Option<Timestamp>,
}

const PLANNED: &str = "SELECT r.id, r.instance_id, r.name, r.schedule, r.timezone, r.started_at, r.cursor_seq, r.last_poll_at, r.unfinished,
        r.next_poll_at, i.name AS instance, i.tags, i.schedule AS instance_schedule, i.timezone AS instance_timezone,
        i.interval_seconds, t.until AS throttled_until,
        i.enabled AND i.events_enabled AND i.deleting_since IS NULL AS polled,
        i.grant_state = 'ok' AS signed_in, r.held IS NOT NULL AS held, i.paused_by IS NOT NULL AS paused
   FROM resource r JOIN instance i ON i.id = r.instance_id LEFT JOIN throttle t ON t.app = i.app";

/// A poll that somebody waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    pub id: i64,
    pub resource_id: i64,
    pub depth: Depth,
}

impl Store {
    /// Hands `each` the resources that are asked for, by instance and id.
    pub fn planned(&self, rows: Rows, mut each: impl FnMut(Planned)) -> Result<(), StoreError> {
        let (condition, id) = match rows {
            Rows::All => ("?1 IS NULL", None),
            Rows::Of(id) => ("r.instance_id = ?1", Some(id)),
            Rows::Beside(id) => (
                "r.instance_id = (SELECT instance_id FROM resource WHERE id = ?1)",
                Some(id),
            ),
            Rows::One(id) => ("r.id = ?1", Some(id)),
        };
        self.read(|connection| {
            let mut statement = connection.prepare_cached(&format!(
                "{PLANNED} WHERE {condition} ORDER BY r.instance_id, r.id"
            ))?;
            let mut rows = statement.query([id])?;
            while let Some(row) = rows.next()? {
                each(planned(row)?);
            }
            Ok(())
        })
    }

    /// A number that grows with each change of what `planned` gives, as far as people make it: polls change the rest.
    pub fn plan_version(&self) -> Result<i64, StoreError> {
        self.value("SELECT plan_version FROM meta", [])
    }

    /// Shows when resources are polled next, by their ids.
    pub fn show_next_polls(&self, next: &[(i64, Option<Timestamp>)]) -> Result<(), StoreError> {
        for some in next.chunks(AT_ONCE) {
            self.write(|connection| {
                let statement = "UPDATE resource SET next_poll_at = ?2 WHERE id = ?1";
                for (id, at) in some {
                    connection.run(statement, (id, at.map(time_text)))?;
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Keeps why the running agent goes on with other settings than the configuration file's; `None`: it does not.
    pub fn note_settings_error(&self, error: Option<&str>, now: Timestamp) -> Result<(), StoreError> {
        self.run(
            "UPDATE meta SET settings_error = ?1, settings_error_at = ?2",
            (error, error.map(|_| time_text(now))),
        )
    }

    /// Why the agent goes on with other settings than the configuration file's, and since when, if it does.
    pub fn settings_error(&self) -> Result<Option<(String, String)>, StoreError> {
        self.first(
            "SELECT settings_error, settings_error_at FROM meta WHERE settings_error IS NOT NULL",
            [],
            row!(settings_error, settings_error_at),
        )
    }

    /// Asks the agent to poll a resource. Returns the request's id.
    pub fn ask_for_poll(&self, resource_id: i64, depth: Depth, now: Timestamp) -> Result<i64, StoreError> {
        self.write(|connection| {
            connection.change(
                "INSERT INTO request (resource_id, depth, created_at) VALUES (?1, ?2, ?3)",
                (resource_id, depth.as_str(), time_text(now)),
            )?;
            Ok(connection.last_insert_rowid())
        })
    }

    /// The requests that wait, oldest first.
    pub fn waiting_requests(&self) -> Result<Vec<Request>, StoreError> {
        self.all(
            "SELECT id, resource_id, depth FROM request WHERE state = 'waiting' ORDER BY id",
            [],
            row!(Request {
                id,
                resource_id,
                depth
            }),
        )
    }

    /// Answers a request with what its poll came to.
    pub fn answer_request(&self, id: i64, answer: &Poll) -> Result<(), StoreError> {
        self.run(
            "UPDATE request SET state = 'done', answer = ?2 WHERE id = ?1",
            (id, json(answer)),
        )
    }

    /// The answer to a request, once there is one.
    pub fn answer_to(&self, id: i64) -> Result<Option<Poll>, StoreError> {
        let answer = self.first("SELECT answer FROM request WHERE id = ?1", [id], only)?;
        let unreadable = |_| Poll {
            error: Some("the agent's answer could not be read".to_owned()),
            hint: Some("the agent may be of another version: restart it".to_owned()),
            ..Poll::default()
        };
        let read = |text: String| serde_json::from_str(&text).unwrap_or_else(unreadable);
        Ok(answer.flatten().map(read))
    }

    /// Removes the answers to what was asked for before `before`.
    pub fn forget_answers(&self, before: Timestamp) -> Result<(), StoreError> {
        self.run(
            "DELETE FROM request WHERE state = 'done' AND created_at < ?1",
            [time_text(before)],
        )
    }

    /// Removes a request, answered or not.
    pub fn withdraw_request(&self, id: i64) -> Result<(), StoreError> {
        self.run("DELETE FROM request WHERE id = ?1", [id])
    }
}

/// How an interval is kept: 0 where an instance is polled on request only.
pub(super) fn interval_seconds(interval: Option<Interval>) -> Option<i64> {
    interval.map(|interval| match interval {
        Interval::Every(every) => every.as_secs().cast_signed(),
        Interval::Never => 0,
    })
}

fn interval(seconds: Option<i64>) -> Option<Interval> {
    seconds.map(|seconds| match u64::try_from(seconds) {
        Ok(seconds) if seconds > 0 => Interval::Every(Duration::from_secs(seconds)),
        _ => Interval::Never,
    })
}

fn planned(row: &Row<'_>) -> Result<Planned, StoreError> {
    let subject = row!(row => Subject {
        instance_id,
        instance,
        tags: from_json(row, "tags")?,
        resource as "name",
        own: row!(row => Keys { schedule, timezone })?,
        of_instance: row!(row => Keys { schedule as "instance_schedule", timezone as "instance_timezone" })?,
        interval: interval(get(row, "interval_seconds")?),
    })?;
    row!(row => Planned {
        id,
        subject: subject,
        polled,
        signed_in,
        held,
        paused,
        started_at,
        cursor_seq,
        last_poll_at,
        unfinished,
        throttled_until,
        next_poll_at,
    })
}
