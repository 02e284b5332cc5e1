//! The outbox's nouns: a notification that is written, where it goes, and what came of it. Their JSON is what the command
//! line shows.

use std::fmt::{self, Display};

use serde::Serialize;

use super::model::{ElementKey, EndpointState, Format, OutboxState};

/// A notification.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    pub id: i64,
    pub event_id: String,
    pub instance: String,
    pub resource: String,
    pub state: OutboxState,
    pub event_count: u32,
    pub created_at: String,
    pub attempts: u32,
    pub next_attempt_at: Option<String>,
    pub delivered_at: Option<String>,
    pub last_status: Option<u16>,
    pub last_error: Option<String>,
    /// The event id that it repeats.
    pub replay_of: Option<String>,
    #[serde(skip)]
    pub instance_id: i64,
    /// Whether its instance is being deleted.
    #[serde(skip)]
    pub leaving: bool,
    #[serde(skip)]
    pub element: ElementKey,
    #[serde(skip)]
    pub format: Format,
    /// Where it goes.
    #[serde(skip)]
    pub endpoint: Option<Destination>,
    /// Bytes of its body.
    #[serde(skip)]
    pub body_bytes: usize,
    /// Its body, once it has been read.
    #[serde(skip)]
    pub content: Option<Content>,
}

/// An endpoint, as far as it is shown with what goes there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
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

/// One attempt to deliver a notification.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Attempt {
    pub number: i64,
    pub at: String,
    pub duration_ms: i64,
    pub status: Option<u16>,
    pub error: Option<String>,
}

/// One endpoint and what waits for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Endpoint {
    pub id: i64,
    /// Without its query: several endpoints can be shown alike.
    pub url: String,
    pub state: EndpointState,
    pub state_since: String,
    /// Failures in a row.
    pub failures: i64,
    pub last_accepted_at: Option<String>,
    pub last_failed_at: Option<String>,
    /// When one notification may try it, unless it is active.
    pub next_probe_at: Option<String>,
    pub last_error: Option<String>,
    /// Notifications.
    pub pending: u64,
    pub dead: u64,
}

/// How many notifications, and events in them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tallied {
    pub notifications: u64,
    pub events: u64,
}

impl Tallied {
    /// Counts one notification more.
    pub fn add(&mut self, events: u64) {
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

/// Notifications of one endpoint in one state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StateCount {
    pub endpoint: Option<String>,
    pub endpoint_id: Option<i64>,
    pub endpoint_state: Option<EndpointState>,
    pub state: OutboxState,
    #[serde(flatten)]
    pub tally: Tallied,
    /// When the oldest was written.
    pub oldest_at: String,
}
