//! First readings that announce what has changed since the creation: the cursor that began there, and which objects were
//! announced already.

use std::collections::{BTreeMap, HashSet};

use jiff::Timestamp;
use rusqlite::Connection;

use super::rows::Queries;
use super::{Resource, Store, StoreError};
use crate::core::first::FirstReading;
use crate::core::model::{BaselineMode, Phase, ResourceSettings, Secret, time_text};

/// From where resources that are learnt anew announce what changes.
#[derive(Clone, Debug)]
pub struct Starts {
    /// The moment, by the provider's clock.
    pub since: Timestamp,
    /// By the resource's name: the link that begins there, where the provider gave one.
    pub anchors: BTreeMap<String, Secret>,
}

impl Resource {
    /// Whether what it has read so far is no ground for comparing yet.
    pub fn is_first_reading(&self) -> bool {
        self.phase == Phase::Baseline || self.since.is_some()
    }

    /// How its first reading announces what has changed since the creation, with those it has `told` of.
    pub fn first_reading<'t>(&self, told: &'t HashSet<String>) -> Option<FirstReading<'t>> {
        let since = self.since?;
        // The cursor of the creation tells everything.
        let by_dates = (self.anchored_at != Some(since)).then_some(self.anchored_at);
        Some(FirstReading {
            since,
            by_dates,
            told,
        })
    }
}

impl Store {
    /// Keeps a link that begins at `at`, for a resource whose creation could not have one.
    ///
    /// # Errors
    /// `Superseded` when the resource has moved on from `resource.cursor_seq`.
    pub fn anchor(&self, resource: &Resource, link: &Secret, at: Timestamp) -> Result<(), StoreError> {
        let sealed = self.seal_cursor(resource.id, Some(link))?;
        self.write(|connection| {
            let moved = connection.change(
                "UPDATE resource SET anchor = ?3, anchored_at = ?4, cursor_seq = cursor_seq + 1
                  WHERE id = ?1 AND cursor_seq = ?2",
                (resource.id, resource.cursor_seq, sealed, time_text(at)),
            )?;
            StoreError::unless_moved(moved)
        })
    }

    /// Those of `ids` that the resource's first reading has announced.
    pub fn told_among<'a>(
        &self,
        resource_id: i64,
        ids: impl IntoIterator<Item = &'a str>,
    ) -> Result<HashSet<String>, StoreError> {
        self.read(|connection| {
            let mut statement =
                connection.prepare_cached("SELECT 1 FROM told WHERE resource_id = ?1 AND object_id = ?2")?;
            let mut told = HashSet::new();
            for id in ids {
                if statement.exists((resource_id, id))? {
                    told.insert(id.to_owned());
                }
            }
            Ok(told)
        })
    }
}

/// Lets a resource that is new, or learns anew, announce what changes from `starts` on. One that starts at now needs no
/// more than the link.
pub(super) fn begin(
    store: &Store,
    connection: &Connection,
    id: i64,
    wanted: &ResourceSettings,
    starts: &Starts,
) -> Result<(), StoreError> {
    let anchor = starts.anchors.get(&wanted.name);
    let since = time_text(starts.since);
    let sealed = store.seal_cursor(id, anchor)?;
    match wanted.baseline {
        // All that exists is announced as it is by then.
        BaselineMode::Emit => 0,
        BaselineMode::Latest if anchor.is_some() => connection.change(
            "UPDATE resource
                SET phase = 'following', silent = 0, cursor = ?2, started_at = ?3, swept_generation = generation
              WHERE id = ?1",
            (id, sealed, since),
        )?,
        BaselineMode::Latest | BaselineMode::Snapshot => connection.change(
            "UPDATE resource
                SET since = ?3, anchor = coalesce(anchor, ?2),
                    anchored_at = iif(coalesce(anchor, ?2) IS NULL, NULL, ?3)
              WHERE id = ?1",
            (id, sealed, since),
        )?,
    };
    Ok(())
}

/// Goes on behind the first reading at the link that began at the creation.
pub(super) fn follow_anchor(connection: &Connection, resource_id: i64) -> Result<(), StoreError> {
    connection.change(
        "UPDATE resource SET cursor = anchor, anchor = NULL WHERE id = ?1",
        [resource_id],
    )?;
    Ok(())
}

/// Ends a first reading: from here on the cursor tells everything.
pub(super) fn end(connection: &Connection, resource_id: i64) -> Result<(), StoreError> {
    connection.change(
        "UPDATE resource SET since = NULL, anchor = NULL, anchored_at = NULL WHERE id = ?1",
        [resource_id],
    )?;
    connection.change("DELETE FROM told WHERE resource_id = ?1", [resource_id])?;
    Ok(())
}

/// Remembers what a first reading has announced.
pub(super) fn tell(connection: &Connection, resource: &Resource, told: &[String]) -> Result<(), StoreError> {
    let mut statement =
        connection.prepare_cached("INSERT OR IGNORE INTO told (resource_id, object_id) VALUES (?1, ?2)")?;
    for id in told {
        statement.execute((resource.id, id))?;
    }
    Ok(())
}
