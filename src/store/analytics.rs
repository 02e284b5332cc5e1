//! Notifications counted by when they were written. It counts only; the pieces of time are `core::span`'s.

use jiff::Timestamp;

use super::rows::row;
use super::{Store, StoreError};
use crate::core::model::time_text;

/// How many notifications were written in each minute, by instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MinuteCount {
    /// When the first of them was.
    pub at: Timestamp,
    pub instance_id: i64,
    pub notifications: u64,
}

impl Store {
    /// Hands `each` the notifications that were written from `from` on and before `to`, counted by minute and instance;
    /// a minute can come more than once.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn count_by_minute(
        &self,
        (from, to): (Timestamp, Timestamp),
        mut each: impl FnMut(MinuteCount),
    ) -> Result<(), StoreError> {
        let (first, end) = (time_text(from), time_text(to));
        self.step_through(None, i64::MAX, Some(from), |connection, floor, newest| {
            // The times have one length each, so that the first sixteen characters are the minute.
            let mut statement = connection.prepare_cached(
                "SELECT min(created_at) AS at, instance_id, count(*) AS notifications FROM outbox
                  WHERE id BETWEEN ?1 AND ?2 AND created_at >= ?3 AND created_at < ?4
                  GROUP BY substr(created_at, 1, 16), instance_id",
            )?;
            let read = row!(MinuteCount {
                at,
                instance_id,
                notifications
            });
            for count in statement.query_and_then((floor, newest, &first, &end), read)? {
                each(count?);
            }
            Ok(true)
        })
    }
}
