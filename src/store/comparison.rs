//! Reading a feed whole again, to compare it with what is known or to learn it anew, and what holds the outcome of that
//! back until a person has looked at it.

use super::rows::{Queries, only};
use super::sweep::void_the_set;
use super::{Resource, Store, StoreError, first};
use crate::core::model::Phase;

/// Fewer known items than this may all be deleted by a comparison without anybody being asked.
const FEW: i64 = 1_000;

/// What waits for a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// A comparison would delete more than half of more than 1,000 known items.
    Deletions,
    /// The account shows another drive than the one that is known.
    Drive,
}

impl Hold {
    /// The one spelling of this value.
    pub fn as_str(self) -> &'static str {
        match self {
            Hold::Deletions => "deletions",
            Hold::Drive => "drive",
        }
    }

    pub(super) fn from_text(text: &str) -> Option<Hold> {
        [Hold::Deletions, Hold::Drive]
            .into_iter()
            .find(|hold| hold.as_str() == text)
    }
}

/// How a feed is read whole again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restart {
    /// A baseline that was not finished begins anew, as silent as it was; so does a resource that starts at now.
    Baseline { silent: bool },
    /// What is known is compared with what there is. `accepted`: whatever comes of it.
    Comparison { accepted: bool },
    /// What exists is learnt anew, silently, whichever drive it is.
    Rebaseline,
}

impl Store {
    /// Lets a resource read its feed from the start again. What held it is void. A resource that starts at now reads
    /// nothing whole, so there is no new generation to compare, nor one that had begun before its baseline was changed, and
    /// what it knows stays.
    ///
    /// # Errors
    /// `Superseded`; when the database cannot be written.
    pub fn start_over(&self, resource: &Resource, restart: Restart) -> Result<(), StoreError> {
        let (phase, silent) = match restart {
            Restart::Baseline { silent } => (Phase::Baseline, silent),
            Restart::Comparison { .. } => (Phase::Enumerating, false),
            Restart::Rebaseline => (Phase::Baseline, true),
        };
        self.write(|connection| {
            let moved = connection.execute(
                "UPDATE resource
                    SET phase = ?3, silent = ?4, cursor = NULL, next_cursor = NULL, cursor_seq = cursor_seq + 1,
                        generation = generation + iif(baseline = 'latest', 0, 1),
                        swept_generation = iif(baseline = 'latest', generation, swept_generation), held = NULL,
                        anchored_at = iif(anchor IS NULL, NULL, anchored_at)
                  WHERE id = ?1 AND cursor_seq = ?2",
                (resource.id, resource.cursor_seq, phase.as_str(), silent),
            )?;
            if moved == 0 {
                return Err(StoreError::Superseded);
            }
            if restart == Restart::Rebaseline {
                first::end(connection, resource.id)?;
            }
            match restart {
                Restart::Baseline { .. } => 0,
                // A comparison that begins again is still the same one: what it found new is not known from before.
                Restart::Comparison { accepted } => connection.execute(
                    "UPDATE resource
                        SET compared_items = iif(?2, 0, coalesce(compared_items, (SELECT count(*) FROM item
                                                                                   WHERE resource_id = ?1)))
                      WHERE id = ?1",
                    (resource.id, accepted),
                )?,
                Restart::Rebaseline => connection.execute(
                    "UPDATE resource
                        SET drive_id = NULL, root_id = NULL, compared_items = NULL, window_from = NULL, window_to = NULL
                      WHERE id = ?1",
                    [resource.id],
                )?,
            };
            // The comparison finds it again.
            void_the_set(connection, resource.id)?;
            Ok(())
        })
    }

    /// When the sweep that is about to begin would take more than half of more than 1,000 items that were known before
    /// the comparison: how many it would take, and of how many.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn drastic_deletions(&self, resource_id: i64) -> Result<Option<(i64, i64)>, StoreError> {
        self.read(|connection| {
            let compared: Option<Option<i64>> = connection.first(
                "SELECT compared_items FROM resource WHERE id = ?1",
                [resource_id],
                only,
            )?;
            let Some(known) = compared.flatten().filter(|known| *known > FEW) else {
                return Ok(None);
            };
            let doomed: i64 = connection.value(
                "SELECT count(*) FROM item WHERE resource_id = ?1 AND doomed > 0",
                [resource_id],
            )?;
            Ok((doomed > known / 2).then_some((doomed, known)))
        })
    }

    /// Holds a resource until a person has decided: nothing more of it is polled by itself.
    ///
    /// # Errors
    /// `Superseded`; when the database cannot be written.
    pub fn hold(&self, resource: &Resource, hold: Hold) -> Result<(), StoreError> {
        let held = self.change(
            "UPDATE resource SET held = ?3 WHERE id = ?1 AND cursor_seq = ?2",
            (resource.id, resource.cursor_seq, hold.as_str()),
        );
        held.and_then(StoreError::unless_moved)
    }

    /// Whether one of an instance's resources is held because the account shows another drive.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn shows_another_drive(&self, instance_id: i64) -> Result<bool, StoreError> {
        self.value(
            "SELECT EXISTS (SELECT 1 FROM resource WHERE instance_id = ?1 AND held = 'drive')",
            [instance_id],
        )
    }
}
