//! Known items: what is remembered of each object, the largest table.

use rusqlite::{Connection, Row};

use super::rows::{Queries, row};
use super::{Resource, Store, StoreError};
use crate::core::detect::Known;
use crate::core::model::Item;

/// Memory for the parents of what is asked for. Real trees need a hundredth of it.
const CHAINS_BYTES: usize = 8 << 20;
/// What an item takes beside its texts.
const ITEM_BYTES: usize = 400;

impl Store {
    /// The items among `ids` that are known, and the chains of known parents above them and above `parents`, as far as
    /// memory is set aside for them.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn known_items<'a>(
        &self,
        resource_id: i64,
        ids: impl IntoIterator<Item = &'a str>,
        parents: impl IntoIterator<Item = &'a str>,
    ) -> Result<Known, StoreError> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT object_id, announced_id, name, parent_id, kind, content, metadata
                   FROM item WHERE resource_id = ?1 AND object_id = ?2",
            )?;
            let mut read = |id: &str| {
                let mut rows = statement.query_and_then((resource_id, id), read_item)?;
                rows.next().transpose()
            };
            let mut found = Known::new();
            let mut above: Vec<String> = parents.into_iter().map(str::to_owned).collect();
            for id in ids {
                if let Some(item) = read(id)? {
                    above.extend(item.parent_id.clone());
                    found.insert(id.to_owned(), item);
                }
            }
            let mut room = CHAINS_BYTES;
            while let Some(id) = above.pop().filter(|_| room > 0) {
                if !found.contains_key(&id)
                    && let Some(item) = read(&id)?
                {
                    let name = item.name.as_ref().map_or(0, String::len);
                    room = room.saturating_sub(2 * id.len() + name + ITEM_BYTES);
                    above.extend(item.parent_id.clone());
                    // Only a path is made of what is not asked for by itself.
                    let (content, metadata) = (Vec::new(), Vec::new());
                    found.insert(
                        id,
                        Item {
                            content,
                            metadata,
                            ..item
                        },
                    );
                }
            }
            Ok(found)
        })
    }

    /// How many items the set that is being read has shown so far, while everything is read.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn items_shown(&self, resource: &Resource) -> Result<i64, StoreError> {
        self.value(
            "SELECT count(*) FROM item WHERE resource_id = ?1 AND generation = ?2",
            [resource.id, resource.generation],
        )
    }

    /// How many items of a resource are known.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn count_items(&self, resource_id: i64) -> Result<i64, StoreError> {
        self.value("SELECT count(*) FROM item WHERE resource_id = ?1", [resource_id])
    }
}

/// Writes items as they are now, under the generation that saw them.
pub(super) fn put_items(
    connection: &Connection,
    resource_id: i64,
    generation: i64,
    items: &[Item],
) -> Result<(), StoreError> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO item (resource_id, object_id, announced_id, name, parent_id, kind, content, metadata, generation)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
         ON CONFLICT (resource_id, object_id) DO UPDATE
            SET announced_id = excluded.announced_id, name = excluded.name, parent_id = excluded.parent_id, kind = excluded.kind,
                content = excluded.content, metadata = excluded.metadata, generation = excluded.generation",
    )?;
    for item in items {
        statement.execute((
            resource_id,
            &item.id,
            &item.announced_id,
            &item.name,
            &item.parent_id,
            item.kind.as_str(),
            &item.content,
            &item.metadata,
            generation,
        ))?;
    }
    Ok(())
}

pub(super) fn read_item(row: &Row<'_>) -> Result<Item, StoreError> {
    row!(row => Item { id as "object_id", announced_id, name, parent_id, kind, content, metadata })
}
