//! What a command asks of the running agent: a row it waits on, which the agent answers in place.

use jiff::Timestamp;

use super::rows::json;
use super::rows::{Queries, only, row};
use super::{Store, StoreError};
use crate::core::model::time_text;
use crate::core::poll::Poll;

/// How much of a feed a poll on request reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// What changed since the cursor.
    Changes,
    /// Everything, compared with what is known: the differences become events.
    Resync,
    /// The same, however much of what is known it deletes.
    AcceptedResync,
    /// Everything, learnt anew without an event.
    Rebaseline,
}

impl Depth {
    /// The one spelling of this value.
    pub fn as_str(self) -> &'static str {
        match self {
            Depth::Changes => "changes",
            Depth::Resync => "resync",
            Depth::AcceptedResync => "accepted resync",
            Depth::Rebaseline => "rebaseline",
        }
    }

    pub(super) fn from_text(text: &str) -> Option<Depth> {
        [
            Depth::Changes,
            Depth::Resync,
            Depth::AcceptedResync,
            Depth::Rebaseline,
        ]
        .into_iter()
        .find(|depth| depth.as_str() == text)
    }
}

/// A poll that somebody waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    pub id: i64,
    pub resource_id: i64,
    pub depth: Depth,
}

impl Store {
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
