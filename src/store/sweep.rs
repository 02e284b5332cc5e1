//! The sweep: when a set has been read, the objects that are gone are marked level by level down the tree and then taken
//! leaf first, so that a child's deletion always stands before its parent's. Every transaction is bounded, and a crash
//! between two of them loses nothing: the marks are in the rows.

use rusqlite::Connection;

use super::outbox::append;
use super::pages::read_item;
use super::rows::{Queries, get, only};
use super::state::{advance, state_of};
use super::{Resource, Store, StoreError};
use crate::core::model::{Item, Notification, Phase};
use crate::core::phase::Event;

/// Rows that one transaction marks.
const MARKED: i64 = 1_000;

/// Deletions that one transaction commits. With their events, notifications and staged rows they stay below a
/// thousand rows.
const SWEPT: i64 = 250;
/// When the provider's objects of these deletions take as much, the transaction takes no more.
const SWEPT_BYTES: usize = 1 << 20;

// `CROSS JOIN` keeps the small table outside, `INDEXED BY` names the way to children, and `doomed > 0` is what lets the
// index of the marked serve: without them each step passes over all that is known of the resource.

/// What the sets list. A set is fixed at its first page and shows the drive as it is at each: it may list a folder as
/// deleted and not yet what was moved out of it. The next set does, so that what holds something known, and is not
/// listed since an earlier set than the last, waits for that. It waits for one set, however often it is listed again.
const MARK_LISTED: &str = "UPDATE item SET doomed = 1
  WHERE resource_id = ?1 AND object_id IN
    (SELECT s.object_id FROM staged_deletion s
      CROSS JOIN item i ON i.resource_id = s.resource_id AND i.object_id = s.object_id
      WHERE s.resource_id = ?1 AND i.doomed = 0 AND (s.staged_in < ?3 OR NOT EXISTS
        (SELECT 1 FROM item child INDEXED BY item_by_parent
          WHERE child.resource_id = s.resource_id AND child.parent_id = s.object_id)) LIMIT ?2)";

/// What lies in what the sets before the last list, whether that is known or not.
const MARK_LISTED_CHILDREN: &str = "UPDATE item SET doomed = 1
  WHERE resource_id = ?1 AND object_id IN
    (SELECT child.object_id FROM staged_deletion s
      CROSS JOIN item child INDEXED BY item_by_parent
         ON child.resource_id = s.resource_id AND child.parent_id = s.object_id
      WHERE s.resource_id = ?1 AND child.doomed = 0 AND s.staged_in < ?3 LIMIT ?2)";

/// The staged rows that a sweep is done with: all but those that wait.
pub(super) const UNSTAGE: &str = "DELETE FROM staged_deletion AS s
  WHERE s.resource_id = ?1 AND (s.staged_in < ?2 OR NOT EXISTS
    (SELECT 1 FROM item i WHERE i.resource_id = ?1 AND i.object_id = s.object_id
      UNION ALL
     SELECT 1 FROM item child INDEXED BY item_by_parent
      WHERE child.resource_id = ?1 AND child.parent_id = s.object_id))";

/// What lies in what is marked at one level.
const MARK_BELOW: &str = "UPDATE item SET doomed = ?3 + 1
  WHERE resource_id = ?1 AND object_id IN
    (SELECT child.object_id FROM item parent
      CROSS JOIN item child INDEXED BY item_by_parent
         ON child.resource_id = parent.resource_id AND child.parent_id = parent.object_id
      WHERE parent.resource_id = ?1 AND parent.doomed > 0 AND parent.doomed = ?3 AND child.doomed <= ?3 LIMIT ?2)";

const ANY_DOOMED_AT: &str =
    "SELECT EXISTS (SELECT 1 FROM item WHERE resource_id = ?1 AND doomed > 0 AND doomed = ?2)";

/// Fewer known items than this may all be deleted by a comparison without anybody being asked.
const FEW: i64 = 1_000;

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
    /// Marks every item that is known to be gone now that a set has been read: those listed as deleted and not seen alive
    /// afterwards, after an enumeration those that it did not show, and the descendants of all of them, of folders that
    /// were never known, too. What holds something may wait for the next set. A silent reading says only what it did not
    /// show: whatever it lists as deleted was there when it began.
    ///
    /// # Errors
    /// `Superseded` when the resource has moved on from `resource.cursor_seq`; when the database cannot be written.
    /// Marking again goes on where it stopped.
    pub fn mark_doomed(&self, resource: &Resource) -> Result<(), StoreError> {
        let id = resource.id;
        self.mark_unseen(resource)?;
        if resource.silent {
            return Ok(());
        }
        for listed in [MARK_LISTED, MARK_LISTED_CHILDREN] {
            self.in_steps(resource, listed, |statement| {
                Ok(statement.execute((id, MARKED, resource.last_set))?)
            })?;
        }
        for level in 1..DEEPEST {
            self.in_steps(resource, MARK_BELOW, |statement| {
                Ok(statement.execute((id, MARKED, level))?)
            })?;
            if !self.value(ANY_DOOMED_AT, (id, level + 1))? {
                break;
            }
        }
        Ok(())
    }

    /// Marks what bears an older generation than its resource, where that has not been compared yet. The scan goes
    /// on behind the last id it marked, so that it passes the table once.
    fn mark_unseen(&self, resource: &Resource) -> Result<(), StoreError> {
        let (id, generation) = (resource.id, resource.generation);
        let mut behind = (!self.state(resource)?.is_compared()).then(String::new);
        while let Some(last) = behind {
            behind = self.write(|connection| {
                state_of(connection, resource)?;
                let ids: Vec<String> = connection.all(
                    "SELECT object_id FROM item
                      WHERE resource_id = ?1 AND object_id > ?2 AND generation < ?3 AND doomed = 0
                      ORDER BY object_id LIMIT ?4",
                    (id, &last, generation, MARKED),
                    only,
                )?;
                let mut mark = connection
                    .prepare_cached("UPDATE item SET doomed = 1 WHERE resource_id = ?1 AND object_id = ?2")?;
                for object in &ids {
                    mark.execute((id, object))?;
                }
                Ok(ids.into_iter().next_back())
            })?;
        }
        Ok(())
    }

    /// The next marked items, the deepest first, and at most as many as one transaction takes.
    pub fn doomed_items(&self, resource_id: i64) -> Result<Vec<Doomed>, StoreError> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT i.object_id, i.announced_id, i.name, i.parent_id, i.kind, i.content, i.metadata, s.raw
                   FROM item i
                   LEFT JOIN staged_deletion s ON s.resource_id = i.resource_id AND s.object_id = i.object_id
                  WHERE i.resource_id = ?1 AND i.doomed > 0
                  ORDER BY i.doomed DESC, i.object_id DESC LIMIT ?2",
            )?;
            let mut rows = statement.query((resource_id, SWEPT))?;
            let (mut doomed, mut size) = (Vec::new(), 0);
            while let Some(row) = rows.next()?.filter(|_| size < SWEPT_BYTES) {
                let raw: Option<String> = get(row, "raw")?;
                size += raw.as_ref().map_or(0, String::len);
                let item = read_item(row)?;
                doomed.push(Doomed { item, raw });
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
            let state = state_of(connection, resource)?;
            let mut forget =
                connection.prepare_cached("DELETE FROM item WHERE resource_id = ?1 AND object_id = ?2")?;
            let mut unstage = connection
                .prepare_cached("DELETE FROM staged_deletion WHERE resource_id = ?1 AND object_id = ?2")?;
            for Doomed { item, .. } in doomed {
                forget.execute((resource.id, &item.id))?;
                unstage.execute((resource.id, &item.id))?;
            }
            append(connection, resource, notifications, now)?;
            let more: bool = connection.value(
                "SELECT EXISTS (SELECT 1 FROM item WHERE resource_id = ?1 AND doomed > 0)",
                [resource.id],
            )?;
            Ok(advance(connection, resource.id, state, Event::Swept { last: !more })?.phase)
        })
    }

    /// When the sweep that is about to begin would take more than half of more than 1,000 items that were known before
    /// the comparison: how many it would take, and of how many.
    pub fn drastic_deletions(&self, resource: &Resource) -> Result<Option<(i64, i64)>, StoreError> {
        let Some(known) = self.state(resource)?.compared_items.filter(|known| *known > FEW) else {
            return Ok(None);
        };
        let doomed: i64 = self.value(
            "SELECT count(*) FROM item WHERE resource_id = ?1 AND doomed > 0",
            [resource.id],
        )?;
        Ok((doomed > known / 2).then_some((doomed, known)))
    }

    /// Runs a bounded statement, each time in a transaction of its own, until it changes nothing more.
    fn in_steps(
        &self,
        resource: &Resource,
        sql: &str,
        run: impl Fn(&mut rusqlite::CachedStatement<'_>) -> Result<usize, StoreError>,
    ) -> Result<(), StoreError> {
        let step = |connection: &Connection| {
            // A mark from a set that is void by now would stay, and take what the next set shows alive.
            state_of(connection, resource)?;
            run(&mut connection.prepare_cached(sql)?)
        };
        while self.write(step)? > 0 {}
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marking_passes_over_what_is_marked_and_not_over_all_that_is_known() {
        let connection = Connection::open_in_memory().unwrap();
        connection
            .execute_batch(&crate::store::migrate::STEPS.concat())
            .unwrap();
        for sql in [
            MARK_LISTED,
            MARK_LISTED_CHILDREN,
            UNSTAGE,
            MARK_BELOW,
            ANY_DOOMED_AT,
        ] {
            let mut plan = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
            let steps: Vec<String> = plan
                .raw_query()
                .mapped(|row| row.get("detail"))
                .collect::<Result<_, _>>()
                .unwrap();
            for step in &steps {
                let of_items = !step.contains(" s ") && step.contains("(resource_id=?)");
                assert!(!of_items && !step.starts_with("SCAN item"), "{steps:#?}");
            }
        }
    }
}
