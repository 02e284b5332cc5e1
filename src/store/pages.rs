//! Pages of a feed, and the items that are known by them: a page's items, events, notifications and cursor are one
//! transaction.

use jiff::Timestamp;
use rusqlite::{Connection, Row};

use super::outbox::append;
use super::rows::{Queries, row};
use super::state::{advance, state_of};
use super::{Resource, SeenRecord, Store, StoreError, first, windows};
use crate::core::detect::{Known, StagedDeletion};
use crate::core::model::{Item, Notification, PageEnd, Phase};
use crate::core::phase::{Event, Step};

/// Memory for the parents of what is asked for. Real trees need a hundredth of it.
const CHAINS_BYTES: usize = 8 << 20;
/// What an item takes beside its texts.
const ITEM_BYTES: usize = 400;

/// One step of a cursor: everything that a page brings.
#[derive(Debug)]
pub struct PageStep<'a> {
    pub upserts: &'a [Item],
    /// Ids seen alive, whose staged deletions are void.
    pub alive: &'a [String],
    pub staged: &'a [StagedDeletion],
    /// Ids that a first reading is to announce no second time.
    pub told: &'a [String],
    /// Objects that this piece announces whenever it is read, so that reading it again announces them no more.
    pub seen: &'a [SeenRecord],
    pub notifications: &'a [Notification],
    pub end: &'a PageEnd,
    pub drive_id: Option<&'a str>,
    pub root_id: Option<&'a str>,
    /// When the poll began.
    pub now: Timestamp,
}

impl Store {
    /// Commits a page: its items, its events with the bodies that announce them, and the cursor behind it, all or
    /// nothing. Of a page that comes in pieces the last one moves the cursor; the others are known, and announce nothing,
    /// when the page is read again. Returns the phase that the resource is in afterwards.
    ///
    /// # Errors
    /// `Superseded` when the resource has moved on from `resource.cursor_seq`, or its instance is being deleted; nothing
    /// is written then.
    pub fn commit_page(&self, resource: &Resource, step: &PageStep<'_>) -> Result<Phase, StoreError> {
        self.write(|connection| {
            let state = state_of(connection, resource)?;
            put_items(connection, resource.id, resource.generation, step.upserts)?;
            if !state.is_compared() {
                see_alive(connection, resource, step.alive)?;
            }
            stage(connection, resource.id, step)?;
            append(connection, resource, step.notifications, step.now)?;
            first::tell(connection, resource, step.told)?;
            windows::remember(connection, resource, step.seen)?;
            let moved = match step.end {
                PageEnd::More => Step::Piece,
                PageEnd::Next(link) => Step::Next(self.seal_cursor(resource.id, link)?),
                PageEnd::Delta(link) => Step::SetEnd {
                    delta: self.seal_cursor(resource.id, link)?,
                    staged: any_staged(connection, resource.id)?,
                },
            };
            let event = Event::Page {
                step: moved,
                drive_id: step.drive_id,
                root_id: step.root_id,
                now: step.now,
            };
            Ok(advance(connection, resource.id, state, event)?.phase)
        })
    }

    /// The items among `ids` that are known, and the chains of known parents above them and above `parents`, as far as
    /// memory is set aside for them.
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
    pub fn items_shown(&self, resource: &Resource) -> Result<i64, StoreError> {
        self.value(
            "SELECT count(*) FROM item WHERE resource_id = ?1 AND generation = ?2",
            [resource.id, resource.generation],
        )
    }

    /// How many items of a resource are known.
    pub fn count_items(&self, resource_id: i64) -> Result<i64, StoreError> {
        self.value("SELECT count(*) FROM item WHERE resource_id = ?1", [resource_id])
    }

    /// Whether deletions of this resource wait for the end of the next set.
    pub fn has_staged_deletions(&self, resource_id: i64) -> Result<bool, StoreError> {
        self.read(|connection| any_staged(connection, resource_id))
    }
}

/// Voids what was staged against objects seen alive, and stages what the page lists as deleted.
fn stage(connection: &Connection, resource_id: i64, step: &PageStep<'_>) -> Result<(), StoreError> {
    if any_staged(connection, resource_id)? {
        let mut void = connection
            .prepare_cached("DELETE FROM staged_deletion WHERE resource_id = ?1 AND object_id = ?2")?;
        for id in step.alive {
            void.execute((resource_id, id))?;
        }
    }
    let mut statement = connection.prepare_cached(
        "INSERT INTO staged_deletion (resource_id, object_id, raw, staged_in)
         SELECT id, ?2, ?3, sets_read FROM resource WHERE id = ?1
             ON CONFLICT (resource_id, object_id) DO UPDATE SET raw = excluded.raw",
    )?;
    for deletion in step.staged {
        statement.execute((resource_id, &deletion.object_id, &deletion.raw))?;
    }
    Ok(())
}

fn any_staged(connection: &Connection, resource_id: i64) -> Result<bool, StoreError> {
    connection.value(
        "SELECT EXISTS (SELECT 1 FROM staged_deletion WHERE resource_id = ?1)",
        [resource_id],
    )
}

/// Lets objects seen alive bear the present generation, also those in which nothing moved: the set behind an
/// enumeration may be the first to show them.
fn see_alive(connection: &Connection, resource: &Resource, alive: &[String]) -> Result<(), StoreError> {
    let mut statement = connection.prepare_cached(
        "UPDATE item SET generation = ?3 WHERE resource_id = ?1 AND object_id = ?2 AND generation < ?3",
    )?;
    for id in alive {
        statement.execute((resource.id, id, resource.generation))?;
    }
    Ok(())
}

/// Writes items as they are now, under the generation that saw them.
fn put_items(
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
