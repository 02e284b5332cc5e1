//! From where a resource announces changes: a cursor that begins at now, taken before the command answers.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::House;
use crate::clock::monotonic_usec;
use crate::core::feed::Feed;
use crate::core::model::{BaselineMode, ResourceSettings, Secret, Settings};
use crate::grants::Grants;
use crate::graph::client::Wishes;
use crate::graph::error::GraphError;
use crate::graph::link::link_at_now;
use crate::graph::now::cursor_at_now;
use crate::graph::page::PageError;
use crate::store::Starts;

/// A slow provider makes a command wait no longer than this for its cursors. The first poll takes those that are missing.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug, thiserror::Error)]
enum NoCursor {
    #[error(transparent)]
    Graph(#[from] GraphError),
    #[error(transparent)]
    Page(#[from] PageError),
    #[error("the provider takes too long")]
    TooLate,
}

impl House {
    /// Where `resources` begin, with the cursors that the account's `token` gets. Where the provider asked to be left alone
    /// instead, the second is for how long, as far as it says.
    pub(super) fn starts<'r>(
        &self,
        resources: impl IntoIterator<Item = &'r ResourceSettings>,
        token: Option<&Secret>,
    ) -> (Starts, Option<Option<Duration>>) {
        let began_usec = monotonic_usec();
        let mut anchors = BTreeMap::new();
        let mut pause = None;
        for resource in resources {
            let wanted = resource.baseline != BaselineMode::Emit && pause.is_none();
            let Some(token) = token.filter(|_| wanted) else {
                continue;
            };
            match self.cursor(resource, token, began_usec) {
                Ok(Some(cursor)) => drop(anchors.insert(resource.name.clone(), cursor)),
                Ok(None) => {}
                Err(error) => {
                    log::warn!(
                        "no cursor that begins at now, the first poll takes one resource={:?} error={:?}",
                        resource.name,
                        error.to_string()
                    );
                    if let NoCursor::Graph(GraphError::Throttled { retry_after, .. }) = error {
                        pause = Some(retry_after);
                    }
                }
            }
        }
        // Counted back from now, since the answers may have told that the clock is wrong, or it was set meanwhile.
        let now = self.client.to_provider(self.clock.now());
        let since = now.saturating_sub(took(began_usec)).unwrap_or(now);
        // The provider's dates are in whole seconds as often as not.
        let starts = Starts {
            since: Timestamp::from_second(since.as_second()).unwrap_or(since),
            anchors,
        };
        (starts, pause)
    }

    /// Keeps the pause that the provider has asked for instead of giving a cursor, for all instances of the app. The instance
    /// is there whether that succeeds or not.
    pub(super) fn keep_pause(&self, instance_id: i64, settings: &Settings, pause: Option<Option<Duration>>) {
        let Some(asked) = pause else { return };
        let grants = Grants::for_command(&self.store, &self.client, &*self.clock);
        let kept = grants
            .note_app(instance_id, settings)
            .and_then(|()| grants.leave_alone(instance_id, asked));
        if let Err(error) = kept {
            log::warn!(
                "could not keep the provider's pause error={:?}",
                error.to_string()
            );
        }
    }

    fn cursor(
        &self,
        resource: &ResourceSettings,
        token: &Secret,
        began_usec: u64,
    ) -> Result<Option<Secret>, NoCursor> {
        let (client, feed) = (&self.client, &resource.feed);
        let Some(link) = link_at_now(client.base(), &resource.url, feed, resource.page_size) else {
            return Ok(None);
        };
        cursor_at_now(link, client.base(), feed, |link| {
            let left = PATIENCE.saturating_sub(took(began_usec));
            if left.is_zero() {
                return Err(NoCursor::TooLate);
            }
            let wishes = Wishes {
                exclude_parent: *feed == Feed::Drive,
                within: Some(left),
                ..Wishes::default()
            };
            Ok(client.fetch(link, token, wishes, &*self.clock)?.body)
        })
    }
}

/// The time since `began_usec`, whatever has become of the clock.
fn took(began_usec: u64) -> Duration {
    Duration::from_micros(monotonic_usec().saturating_sub(began_usec))
}
