//! The cursor behind a first reading, where the creation could not have it.

use jiff::{SignedDuration, Timestamp};

use super::PollError;
use super::reading::Run;
use crate::core::model::{BaselineMode, Phase};
use crate::graph::client::GraphError;
use crate::graph::{link, now};
use crate::store::Resource;

/// How much longer than until a cursor began dates decide what is announced: answers tell the time to a second.
const OVERLAP: SignedDuration = SignedDuration::from_secs(2);

impl Run<'_> {
    /// Takes the cursor that the creation could not, before the first reading begins: what changes until that has ended
    /// comes behind it. Returns whether it has.
    pub(super) fn take_anchor(&mut self, resource: &Resource) -> Result<bool, PollError> {
        let begins =
            resource.phase == Phase::Baseline && resource.cursor.is_none() && resource.since.is_some();
        if !begins
            || resource.anchor.is_some()
            || resource.baseline == BaselineMode::Latest
            || self.unanchored
        {
            return Ok(false);
        }
        let (client, clock) = (self.poller.client, self.poller.clock);
        let Some(link) = link::link_at_now(client.base(), &resource.url, &self.feed, resource.page_size)
        else {
            return Ok(false);
        };
        let cursor = now::cursor_at_now(link, client.base(), &self.feed, |link| {
            Ok::<_, PollError>(self.fetch(resource, link)?.body)
        });
        match cursor {
            Ok(Some(cursor)) => {
                let at = client.to_provider(clock.now()).saturating_add(OVERLAP);
                let at = at.unwrap_or(Timestamp::MAX);
                self.poller.store.anchor(resource, &cursor, at)?;
                return Ok(true);
            }
            Ok(None) | Err(PollError::Page(_) | PollError::Graph(GraphError::Refused { .. })) => {}
            Err(error) => return Err(error),
        }
        self.unanchored = true;
        Ok(false)
    }
}
