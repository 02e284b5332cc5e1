//! Where a resource stands, as its row holds it: the one place that writes it. What follows from what is decided in
//! `core::phase`.

use rusqlite::Connection;

use super::rows::{Queries, row};
use super::sweep::UNSTAGE;
use super::windows::exact_text;
use super::{Resource, Store, StoreError};
use crate::core::model::time_text;
use crate::core::phase::{Chore, Event, Hold, Restart, State};

impl Store {
    /// Where `resource` stands.
    ///
    /// # Errors
    /// `Superseded` when it has moved on from `resource.cursor_seq`, or is gone.
    pub fn state(&self, resource: &Resource) -> Result<State, StoreError> {
        self.read(|connection| state_of(connection, resource))
    }

    /// Writes down what happened to a resource that no page tells of.
    ///
    /// # Errors
    /// `Superseded`, as above.
    pub fn happened(&self, resource: &Resource, event: Event<'_>) -> Result<(), StoreError> {
        self.write(|connection| {
            let state = state_of(connection, resource)?;
            advance(connection, resource.id, state, event).map(drop)
        })
    }

    /// Lets a resource read its feed from the start again. What held it is void.
    ///
    /// # Errors
    /// `Superseded`, as above.
    pub fn start_over(&self, resource: &Resource, restart: Restart) -> Result<(), StoreError> {
        let known = match restart {
            Restart::Comparison { accepted: false } => self.count_items(resource.id)?,
            _ => 0,
        };
        self.happened(resource, Event::Again { restart, known })
    }

    /// Holds a resource until a person has decided: nothing more of it is polled by itself.
    ///
    /// # Errors
    /// `Superseded`, as above.
    pub fn hold(&self, resource: &Resource, hold: Hold) -> Result<(), StoreError> {
        self.happened(resource, Event::Held(hold))
    }

    /// Whether one of an instance's resources is held because the account shows another drive.
    pub fn shows_another_drive(&self, instance_id: i64) -> Result<bool, StoreError> {
        self.value(
            "SELECT EXISTS (SELECT 1 FROM resource WHERE instance_id = ?1 AND held = 'drive')",
            [instance_id],
        )
    }
}

/// Where `resource` stands, unless it has moved on from `resource.cursor_seq`, or is gone. Nothing is added to an instance
/// that is being deleted.
pub(super) fn state_of(connection: &Connection, resource: &Resource) -> Result<State, StoreError> {
    let is_there = connection.value(
        "SELECT EXISTS (SELECT 1 FROM resource r WHERE r.id = ?1 AND r.cursor_seq = ?2
                         AND (SELECT deleting_since FROM instance WHERE id = r.instance_id) IS NULL)",
        (resource.id, resource.cursor_seq),
    )?;
    match is_there {
        true => read(connection, resource.id),
        false => Err(StoreError::Superseded),
    }
}

pub(super) fn read(connection: &Connection, resource_id: i64) -> Result<State, StoreError> {
    let found = connection.first(
        "SELECT baseline, phase, silent, generation, swept_generation, cursor, next_cursor, cursor_seq, sets_read, since,
                anchor, anchored_at, started_at, drive_id, root_id, compared_items, held, window_from, window_to
           FROM resource WHERE id = ?1",
        [resource_id],
        row!(State {
            baseline,
            phase,
            silent,
            generation,
            swept_generation,
            cursor,
            next_cursor,
            cursor_seq,
            sets_read,
            since,
            anchor,
            anchored_at,
            started_at,
            drive_id,
            root_id,
            compared_items,
            held,
            window_from,
            window_to,
        }),
    )?;
    found.ok_or(StoreError::Superseded)
}

/// Writes what follows from `event`, and returns where the resource stands then.
pub(super) fn advance(
    connection: &Connection,
    resource_id: i64,
    state: State,
    event: Event<'_>,
) -> Result<State, StoreError> {
    let (sets_read, held) = (state.sets_read, state.held);
    let (next, chores) = state.after(event);
    for chore in chores {
        execute(connection, resource_id, sets_read, *chore)?;
    }
    // Naming this column has the agent read its whole timetable again.
    if next.held != held {
        connection.change(
            "UPDATE resource SET held = ?2 WHERE id = ?1",
            (resource_id, next.held.map(Hold::as_str)),
        )?;
    }
    connection
        .prepare_cached(
            "UPDATE resource
                SET phase = ?2, silent = ?3, generation = ?4, swept_generation = ?5, cursor = ?6, next_cursor = ?7,
                    cursor_seq = ?8, sets_read = ?9, since = ?10, anchor = ?11, anchored_at = ?12, started_at = ?13,
                    drive_id = ?14, root_id = ?15, compared_items = ?16, window_from = ?17, window_to = ?18
              WHERE id = ?1",
        )?
        .execute(rusqlite::params![
            resource_id,
            next.phase.as_str(),
            next.silent,
            next.generation,
            next.swept_generation,
            next.cursor,
            next.next_cursor,
            next.cursor_seq,
            next.sets_read,
            next.since.map(time_text),
            next.anchor,
            next.anchored_at.map(time_text),
            time_text(next.started_at),
            next.drive_id,
            next.root_id,
            next.compared_items,
            next.window_from.map(exact_text),
            next.window_to.map(exact_text),
        ])?;
    Ok(next)
}

/// `sets_read`: as they were before.
fn execute(
    connection: &Connection,
    resource_id: i64,
    sets_read: i64,
    chore: Chore,
) -> Result<(), StoreError> {
    let change = |sql| connection.change(sql, [resource_id]).map(drop);
    match chore {
        Chore::VoidSet => {
            change("DELETE FROM staged_deletion WHERE resource_id = ?1")?;
            change("UPDATE item SET doomed = 0 WHERE resource_id = ?1 AND doomed > 0")
        }
        Chore::VoidUnfinishedSet => connection
            .change(
                "DELETE FROM staged_deletion WHERE resource_id = ?1 AND staged_in = ?2",
                (resource_id, sets_read),
            )
            .map(drop),
        Chore::Unstage => connection.change(UNSTAGE, (resource_id, sets_read - 1)).map(drop),
        Chore::ForgetTold => change("DELETE FROM told WHERE resource_id = ?1"),
        Chore::ForgetRecords => {
            change("DELETE FROM seen_record WHERE resource_id = ?1")?;
            change("UPDATE resource SET faults = 0, last_fault = NULL, last_fault_at = NULL WHERE id = ?1")
        }
        Chore::ForgetItems => change("DELETE FROM item WHERE resource_id = ?1"),
    }
}
