//! The cursor behind a first reading, where the creation could not have it.

use jiff::{SignedDuration, Timestamp};

use super::PollError;
use super::reading::Run;
use crate::core::model::{BaselineMode, Phase, time_text};
use crate::graph::error::GraphError;
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
        if !begins || resource.anchor.is_some() || self.unanchored {
            return Ok(false);
        }
        if resource.baseline == BaselineMode::Latest {
            // It begins at now, and keeps no record of what exists with which to find what came before.
            self.record.note = resource
                .since
                .map(|since| format!("changes since the creation, {}, are not known", time_text(since)));
            return Ok(false);
        }
        let (client, clock) = (self.poller.client, self.poller.clock);
        let Some(link) = link::link_at_now(client.base(), &resource.url, &self.feed, resource.page_size)
        else {
            return Ok(false);
        };
        let cursor = now::cursor_at_now(link, client.base(), &self.feed, |link| {
            // Asked for as the set behind it will be.
            let following = Resource {
                phase: Phase::Following,
                ..resource.clone()
            };
            Ok::<_, PollError>(self.fetch(&following, link)?.body)
        });
        match cursor {
            Ok(Some(cursor)) => {
                let at = client.to_provider(clock.now()).saturating_add(OVERLAP);
                let at = at.unwrap_or(Timestamp::MAX);
                self.poller.store.anchor(resource, &cursor, at)?;
                return Ok(true);
            }
            Ok(None)
            | Err(
                PollError::Page(_)
                | PollError::Graph(
                    GraphError::Refused { .. }
                    | GraphError::Gone { .. }
                    | GraphError::Unexpected { .. }
                    | GraphError::TooLarge,
                ),
            ) => {}
            // What fails again and again for this request alone must not keep everything else from being read.
            Err(PollError::Graph(GraphError::Server { .. } | GraphError::Unreachable(_)))
                if resource.failures >= 2 => {}
            Err(error) => return Err(error),
        }
        self.unanchored = true;
        Ok(false)
    }
}
