//! What objects gained or lost (`members@delta`) is announced whenever it is read, since no state of it is known. Of a page
//! that is committed in pieces it is remembered until the last one, so that reading the page again announces it once.

use std::collections::HashSet;

use jiff::Timestamp;

use super::PollError;
use super::reading::Run;
use crate::core::feed::Feed;
use crate::core::model::{Page, PageEnd, Phase};
use crate::core::{fingerprint, properties};
use crate::store::{Resource, SeenRecord};

impl Run<'_> {
    /// What is to be remembered of a piece of a page, and the ids of which the same was announced before.
    pub(super) fn relations(
        &self,
        resource: &Resource,
        piece: &Page<'_>,
    ) -> Result<(Vec<SeenRecord>, HashSet<String>), PollError> {
        if resource.phase != Phase::Following || !matches!(self.feed, Feed::Objects { .. }) {
            return Ok(Default::default());
        }
        // By the page's link, too: another page may tell the same again, and that is news.
        let link = resource.cursor.as_ref().map_or("", |link| link.expose());

        let seen = piece
            .items
            .iter()
            .filter(|item| properties::tells_of_relations(item.raw))
            .map(|item| SeenRecord {
                id: item.id.clone(),
                updated: None,
                fingerprint: fingerprint::of_texts(&[link, item.raw]),
            });
        let mut seen: Vec<SeenRecord> = seen.collect();
        let ids = seen.iter().map(|seen| seen.id.as_str());
        let known = self.poller.store.seen_records(resource.id, ids)?;
        let repeated = seen.iter().filter(|seen| known.get(&seen.id) == Some(*seen));
        let repeated = repeated.map(|seen| seen.id.clone()).collect();
        // The last piece moves the cursor, and the page is not read again.
        if piece.end != PageEnd::More {
            seen.clear();
        }
        Ok((seen, repeated))
    }

    /// Forgets what was remembered of a page that has been committed in so many `pieces`.
    pub(super) fn forget_relations(&self, resource: &Resource, pieces: i64) -> Result<(), PollError> {
        if pieces > 1 && matches!(self.feed, Feed::Objects { .. }) {
            let store = self.poller.store;
            store.forget_records(resource.id, Timestamp::MAX, i64::MAX)?;
        }
        Ok(())
    }
}
