//! What a first silent reading announces: whatever has changed since the resource was created, and nothing else of what
//! exists. The reading may show an object in its new state, so that comparing tells nothing. A cursor that began at
//! the creation does: what comes by behind it has changed since. Where there was none, an object's dates decide.

use std::collections::HashSet;

use jiff::Timestamp;

use super::model::{Aspect, EventType, FeedItem, ItemKind};

/// What happened to an object, and in what.
pub type Verdict = (EventType, Vec<Aspect>);

/// A first reading that has not ended, with the set behind its first cursor.
#[derive(Clone, Copy, Debug)]
pub struct FirstReading<'a> {
    /// The moment of creation, by the provider's clock.
    pub since: Timestamp,
    /// Until when dates decide, where there was no cursor at first: `Some(None)` for ever.
    pub by_dates: Option<Option<Timestamp>>,
    /// Those of the page's ids that it has announced before.
    pub told: &'a HashSet<String>,
}

impl FirstReading<'_> {
    /// Whether an object was created since the resource was.
    pub fn is_new(&self, seen: &FeedItem<'_>) -> bool {
        seen.created.is_some_and(|created| created >= self.since)
    }

    /// Whether a deletion of an object that is not known is one of something that was there at the creation.
    pub fn loses(&self, seen: &FeedItem<'_>) -> bool {
        !self.is_new(seen) && !self.told.contains(&seen.id)
    }

    /// What is announced of a live object that is `known` or not, and `moved` as comparing tells. `silent`: while all is
    /// read; else behind the first cursor, where each object that comes by has changed. What moved in one that the
    /// reading had shown in its new state is not known.
    pub fn judge(
        &self,
        seen: &FeedItem<'_>,
        known: bool,
        moved: Option<Verdict>,
        silent: bool,
    ) -> Option<Verdict> {
        if self.told.contains(&seen.id) {
            return moved.filter(|_| known || !silent);
        }
        let announced = match silent {
            true => (known && moved.is_some()) || self.is_dated(seen),
            false => true,
        };
        match moved {
            _ if !announced => None,
            _ if self.is_new(seen) => Some((EventType::Created, Vec::new())),
            Some(verdict) if known || !silent => Some(verdict),
            _ => Some((EventType::Updated, Vec::new())),
        }
    }

    /// A folder's time moves with whatever lies in it.
    fn is_dated(&self, seen: &FeedItem<'_>) -> bool {
        let modified = seen.modified.filter(|_| seen.kind != ItemKind::Folder);
        let is_within = |at: Timestamp, until: Option<Timestamp>| {
            at >= self.since && until.is_none_or(|until| at <= until)
        };
        let mut dates = [seen.created, modified].into_iter().flatten();
        self.by_dates
            .is_some_and(|until| dates.any(|at| is_within(at, until)))
    }
}
