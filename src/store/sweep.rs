//! The sweep: when a set has been read, the objects that are gone are marked level by level down the tree and then taken
//! leaf first, so that a child's deletion always stands before its parent's. Every transaction is bounded, and a crash
//! between two of them loses nothing: the marks are in the rows.

use rusqlite::Connection;

use super::items::read_item;
use super::outbox::{append, refuse_leaving};
use super::{Resource, Store, StoreError};
use crate::core::model::{Item, Notification, Phase};

/// Rows that one transaction marks.
const MARKED: i64 = 1_000;

/// Deletions that one transaction commits. With their events, notifications and staged rows they stay below a
/// thousand rows.
const SWEPT: i64 = 250;

/// Deeper than any path of a drive: where marking stops if the parents form a loop.
const DEEPEST: i64 = 512;

/// An item that is to be announced as deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doomed {
    pub item: Item,
    /// The provider's object, where the feed listed the deletion.
    pub raw: Option<String>,
}

impl Store {
    /// Marks every item that the set just read says is gone: those listed as deleted and not seen alive afterwards,
    /// after an enumeration those that it did not show, and the descendants of all of them, of folders that were never
    /// known, too.
    ///
    /// # Errors
    /// When the database cannot be written; marking again goes on where it stopped.
    pub fn mark_doomed(&self, resource: &Resource) -> Result<(), StoreError> {
        let id = resource.id;
        self.in_steps(
            "UPDATE item SET doomed = 1
              WHERE resource_id = ?1 AND object_id IN
                (SELECT s.object_id FROM staged_deletion s
                   JOIN item i ON i.resource_id = s.resource_id AND i.object_id = s.object_id
                  WHERE s.resource_id = ?1 AND i.doomed = 0 LIMIT ?2)",
            |statement| Ok(statement.execute((id, MARKED))?),
        )?;
        self.in_steps(
            "UPDATE item SET doomed = 1
              WHERE resource_id = ?1 AND object_id IN
                (SELECT child.object_id FROM staged_deletion s
                   JOIN item child ON child.resource_id = s.resource_id AND child.parent_id = s.object_id
                  WHERE s.resource_id = ?1 AND child.doomed = 0 LIMIT ?2)",
            |statement| Ok(statement.execute((id, MARKED))?),
        )?;
        self.mark_unseen(id)?;
        for level in 1..DEEPEST {
            self.in_steps(
                "UPDATE item SET doomed = ?2 + 1
                  WHERE resource_id = ?1 AND object_id IN
                    (SELECT child.object_id FROM item parent
                       JOIN item child ON child.resource_id = parent.resource_id
                                      AND child.parent_id = parent.object_id
                      WHERE parent.resource_id = ?1 AND parent.doomed = ?2 AND child.doomed <= ?2 LIMIT ?3)",
                |statement| Ok(statement.execute((id, level, MARKED))?),
            )?;
            if !self.read(|connection| any_doomed_at(connection, id, level + 1))? {
                break;
            }
        }
        Ok(())
    }

    /// Marks what bears an older generation than its resource, where that has not been compared yet. The scan goes
    /// on behind the last id it marked, so that it passes the table once.
    fn mark_unseen(&self, resource_id: i64) -> Result<(), StoreError> {
        let (generation, swept): (i64, i64) = self.read(|connection| {
            Ok(connection.query_row(
                "SELECT generation, swept_generation FROM resource WHERE id = ?1",
                [resource_id],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )?)
        })?;
        let mut behind = (generation > swept).then(String::new);
        while let Some(last) = behind {
            behind = self.write(|connection| {
                let ids: Vec<String> = connection
                    .prepare_cached(
                        "SELECT object_id FROM item
                          WHERE resource_id = ?1 AND object_id > ?2 AND generation < ?3 AND doomed = 0
                          ORDER BY object_id LIMIT ?4",
                    )?
                    .query_map((resource_id, &last, generation, MARKED), |row| row.get(0))?
                    .collect::<Result<_, _>>()?;
                let mut mark = connection
                    .prepare_cached("UPDATE item SET doomed = 1 WHERE resource_id = ?1 AND object_id = ?2")?;
                for id in &ids {
                    mark.execute((resource_id, id))?;
                }
                Ok(ids.into_iter().next_back())
            })?;
        }
        Ok(())
    }

    /// The next marked items, the deepest first, and at most as many as one transaction takes.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn doomed_items(&self, resource_id: i64) -> Result<Vec<Doomed>, StoreError> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT i.object_id, i.name, i.parent_id, i.kind, i.content, i.metadata, s.raw
                   FROM item i
                   LEFT JOIN staged_deletion s ON s.resource_id = i.resource_id AND s.object_id = i.object_id
                  WHERE i.resource_id = ?1 AND i.doomed > 0
                  ORDER BY i.doomed DESC, i.object_id DESC LIMIT ?2",
            )?;
            let mut rows = statement.query((resource_id, SWEPT))?;
            let mut doomed = Vec::new();
            while let Some(row) = rows.next()? {
                doomed.push(Doomed {
                    item: read_item(row)?,
                    raw: row.get("raw")?,
                });
            }
            Ok(doomed)
        })
    }

    /// Removes `doomed` and writes what announces it, in one transaction. With the last of them the set's deltaLink
    /// becomes current, and the resource follows it. Returns the resource's new step and phase.
    ///
    /// # Errors
    /// `Superseded` when the resource has moved on from `resource.cursor_seq`.
    pub fn commit_sweep(
        &self,
        resource: &Resource,
        doomed: &[Doomed],
        notifications: &[Notification],
        now: jiff::Timestamp,
    ) -> Result<Phase, StoreError> {
        self.write(|connection| {
            refuse_leaving(connection, resource)?;
            let mut forget =
                connection.prepare_cached("DELETE FROM item WHERE resource_id = ?1 AND object_id = ?2")?;
            let mut unstage = connection
                .prepare_cached("DELETE FROM staged_deletion WHERE resource_id = ?1 AND object_id = ?2")?;
            for Doomed { item, .. } in doomed {
                forget.execute((resource.id, &item.id))?;
                unstage.execute((resource.id, &item.id))?;
            }
            append(connection, resource, notifications, now)?;
            let more: bool = connection.query_row(
                "SELECT EXISTS (SELECT 1 FROM item WHERE resource_id = ?1 AND doomed > 0)",
                [resource.id],
                |row| row.get(0),
            )?;
            let moved = if more {
                connection.execute(
                    "UPDATE resource SET cursor_seq = cursor_seq + 1 WHERE id = ?1 AND cursor_seq = ?2",
                    (resource.id, resource.cursor_seq),
                )?
            } else {
                connection.execute(
                    "DELETE FROM staged_deletion WHERE resource_id = ?1",
                    [resource.id],
                )?;
                connection.execute(
                    "UPDATE resource
                        SET phase = 'following', silent = 0, cursor = next_cursor, next_cursor = NULL,
                            swept_generation = generation, cursor_seq = cursor_seq + 1
                      WHERE id = ?1 AND cursor_seq = ?2 AND phase = 'sweeping'",
                    (resource.id, resource.cursor_seq),
                )?
            };
            match moved {
                1 => Ok(if more { Phase::Sweeping } else { Phase::Following }),
                _ => Err(StoreError::Superseded),
            }
        })
    }

    /// Runs a bounded statement, each time in a transaction of its own, until it changes nothing more.
    fn in_steps(
        &self,
        sql: &str,
        run: impl Fn(&mut rusqlite::CachedStatement<'_>) -> Result<usize, StoreError>,
    ) -> Result<(), StoreError> {
        while self.write(|connection| run(&mut connection.prepare_cached(sql)?))? > 0 {}
        Ok(())
    }
}

fn any_doomed_at(connection: &Connection, resource_id: i64, level: i64) -> Result<bool, StoreError> {
    Ok(connection.query_row(
        "SELECT EXISTS (SELECT 1 FROM item WHERE resource_id = ?1 AND doomed = ?2)",
        (resource_id, level),
        |row| row.get(0),
    )?)
}
