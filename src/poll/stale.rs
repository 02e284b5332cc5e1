//! What becomes of a page that could not be had: most of all a stale token, after which the feed is read from the start.

use super::reading::Run;
use super::{PollError, RESTARTS};
use crate::core::cycle::{Cycle, Quiet};
use crate::core::feed::{self, Feed};
use crate::core::model::{BaselineMode, Secret, time_text};
use crate::core::phase::{Event, Loss, Stale};
use crate::graph::error::GraphError;
use crate::graph::page::PageError;
use crate::store::Resource;

impl Run<'_> {
    /// Goes on after a page that could not be had, if there is a way. `hinted`: its link was a stale token's `Location`.
    pub(super) fn recover(
        &mut self,
        resource: &Resource,
        hinted: bool,
        error: PollError,
    ) -> Result<bool, PollError> {
        match error {
            PollError::Graph(GraphError::Gone { location, code }) => {
                self.start_over(resource, location, &code).map(|()| false)
            }
            PollError::Page(PageError::Stale { code }) => {
                self.start_over(resource, None, &code).map(|()| false)
            }
            PollError::Page(_)
            | PollError::Graph(
                GraphError::Refused { .. }
                | GraphError::Server { .. }
                | GraphError::Unexpected { .. }
                | GraphError::TooLarge,
            ) if hinted => {
                log::warn!(
                    "a stale token's `Location` is of no use, reading from the start instance={:?} resource={:?} \
                     error={:?}",
                    self.instance.name,
                    resource.name,
                    error.to_string()
                );
                Ok(false)
            }
            PollError::Graph(
                refused @ GraphError::Refused {
                    status: 400 | 405, ..
                },
            ) if resource.cursor.is_none()
                && self.feed == Feed::Drive
                && feed::is_of_a_folder(&resource.url) =>
            {
                Err(PollError::NoFolderFeed(refused))
            }
            other => Err(other),
        }
    }

    /// The provider no longer knows the token: everything is read again.
    fn start_over(
        &mut self,
        resource: &Resource,
        location: Option<Secret>,
        code: &str,
    ) -> Result<(), PollError> {
        let store = self.poller.store;
        let staged = store.has_staged_deletions(resource.id)?;
        let (restart, loss) = match store.state(resource)?.stale(staged) {
            Stale::SweepFirst => return Ok(store.happened(resource, Event::NoSetComes)?),
            Stale::Again(restart, loss) => (restart, loss),
        };
        self.restarts += 1;
        if self.restarts > RESTARTS {
            return Err(PollError::Restarted);
        }
        let note = match loss {
            Loss::Nothing => None,
            Loss::Gap => Some(self.gap(resource)),
            Loss::SinceCreation => Some(
                "the token of the creation was stale: what existed is read again, and what was deleted or moved before \
                 it had been read once is not known"
                    .to_owned(),
            ),
            Loss::Compared => Some(format!(
                "the token was stale, `{code}`: everything was read again and compared"
            )),
        };
        log::warn!(
            "token stale instance={:?} resource={:?} code={code:?} note={:?}",
            self.instance.name,
            resource.name,
            note.as_deref().unwrap_or("the first reading begins again")
        );
        self.record.note = note.or(self.record.note.take());
        (self.cycle, self.quiet, self.shown) = (Cycle::default(), Quiet::default(), 0);
        // Where it begins at now, an enumeration is not wanted.
        self.location = location.filter(|_| resource.baseline != BaselineMode::Latest);
        Ok(store.start_over(resource, restart)?)
    }

    /// What a resource without a record of what exists has missed.
    fn gap(&self, resource: &Resource) -> String {
        let since = resource.last_success_at.unwrap_or(resource.started_at);
        format!(
            "the token was stale: changes from {} to {} are not known",
            time_text(since),
            time_text(self.poller.clock.now())
        )
    }
}
