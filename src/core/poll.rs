//! What one poll came to: one shape for its history, for the answer to whoever asked for it, and for what the command line
//! shows of it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::model::spelled;

spelled! {
    /// How a poll ended, as the history and the counters name it.
    Ending {
        Done = "done",
        Failed = "failed",
        /// It was asked to stop between two pages.
        Stopped = "stopped",
        /// It ended between two pages since the outbox is full; it continues when there is room.
        Paused = "paused",
    }
}

/// A poll and what it came to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Poll {
    /// The instance's name; empty where the resource was gone before the poll began.
    pub instance: String,
    pub resource: String,
    pub pages: u64,
    pub items: u64,
    pub events: u64,
    pub unchanged: u64,
    pub filtered: u64,
    /// Records that could not be judged.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub faults: u64,
    pub duration_ms: i64,
    /// What should be known of it although it is no failure: a stale token, a gap.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stopped: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub paused: bool,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What to do about that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    #[serde(skip)]
    pub started_at: Timestamp,
    /// It failed since the provider asked for a pause.
    #[serde(skip)]
    pub postponed: bool,
}

impl Poll {
    /// A poll that begins.
    pub fn begun(started_at: Timestamp) -> Poll {
        Poll {
            started_at,
            ..Poll::default()
        }
    }

    /// How it ended.
    pub fn ending(&self) -> Ending {
        match self {
            Poll { error: Some(_), .. } => Ending::Failed,
            Poll { stopped: true, .. } => Ending::Stopped,
            Poll { paused: true, .. } => Ending::Paused,
            _ => Ending::Done,
        }
    }

    /// Whether it is to be made again as soon as it may, besides the polls of the schedule.
    pub fn is_unfinished(&self) -> bool {
        self.stopped || self.paused || self.postponed
    }
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}
