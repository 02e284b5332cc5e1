//! What becomes of a page that could not be had: most of all a stale token, after which the feed is read from the start.

use super::reading::Run;
use super::{PollError, RESTARTS};
use crate::core::cycle::{Cycle, Quiet};
use crate::core::feed::{self, Feed};
use crate::core::model::{BaselineMode, Phase, Secret, time_text};
use crate::graph::error::GraphError;
use crate::graph::page::PageError;
use crate::store::{Resource, Restart};

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

    /// The provider no longer knows the token: everything is read again. A baseline begins anew, as silent as it was;
    /// a resource that keeps no record of what exists begins at now; any other compares.
    fn start_over(
        &mut self,
        resource: &Resource,
        location: Option<Secret>,
        code: &str,
    ) -> Result<(), PollError> {
        let store = self.poller.store;
        let follows = resource.phase == Phase::Following;
        if resource.baseline == BaselineMode::Latest && follows && store.has_staged_deletions(resource.id)? {
            // Nothing will compare, so what earlier sets listed is announced first. The token is refused again behind it.
            return Ok(store.sweep_what_waits(resource)?);
        }
        self.restarts += 1;
        if self.restarts > RESTARTS {
            return Err(PollError::Restarted);
        }
        let silent = resource.silent;
        let (restart, note) = match (resource.baseline, resource.phase) {
            (BaselineMode::Latest, Phase::Baseline) => (Restart::Baseline { silent: true }, None),
            (BaselineMode::Latest, _) => (Restart::Baseline { silent: true }, Some(self.gap(resource))),
            (_, Phase::Baseline) => (Restart::Baseline { silent }, None),
            _ if resource.since.is_some() => (
                Restart::Baseline { silent: true },
                Some(
                    "the token of the creation was stale: what existed is read again, and what was deleted or moved \
                     before it had been read once is not known"
                        .to_owned(),
                ),
            ),
            _ => {
                let note = format!("the token was stale, `{code}`: everything was read again and compared");
                (Restart::Comparison { accepted: false }, Some(note))
            }
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
