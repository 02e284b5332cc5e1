//! First readings that announce what has changed since the creation: the cursor that began there, and which objects were
//! announced already.

use std::collections::{BTreeMap, HashSet};

use jiff::Timestamp;
use rusqlite::Connection;

use super::{Resource, Store, StoreError};
use crate::core::first::FirstReading;
use crate::core::model::Secret;
use crate::core::phase::Event;

/// From where resources that are learnt anew announce what changes.
#[derive(Clone, Debug)]
pub struct Starts {
    /// The moment, by the provider's clock.
    pub since: Timestamp,
    /// By the resource's name: the link that begins there, where the provider gave one.
    pub anchors: BTreeMap<String, Secret>,
}

impl Resource {
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
        let link = self.seal_cursor(resource.id, link)?;
        self.happened(resource, Event::Anchored { link, at })
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

/// Remembers what a first reading has announced.
pub(super) fn tell(connection: &Connection, resource: &Resource, told: &[String]) -> Result<(), StoreError> {
    let mut statement =
        connection.prepare_cached("INSERT OR IGNORE INTO told (resource_id, object_id) VALUES (?1, ?2)")?;
    for id in told {
        statement.execute((resource.id, id))?;
    }
    Ok(())
}
