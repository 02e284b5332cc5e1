//! From where a resource announces changes: a cursor that begins at now, taken before the command answers.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::House;
use crate::clock::since;
use crate::core::feed::Feed;
use crate::core::model::{BaselineMode, ResourceSettings, Secret};
use crate::graph::client::{GraphError, Wishes};
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

impl House<'_> {
    /// Where `resources` begin, with the cursors that the account's `token` gets.
    pub(super) fn starts<'r>(
        &self,
        resources: impl IntoIterator<Item = &'r ResourceSettings>,
        token: Option<&Secret>,
    ) -> Starts {
        let began = self.clock.now();
        let mut anchors = BTreeMap::new();
        for resource in resources {
            let Some(token) = token.filter(|_| resource.baseline != BaselineMode::Emit) else {
                continue;
            };
            match self.cursor(resource, token, began) {
                Ok(Some(cursor)) => drop(anchors.insert(resource.name.clone(), cursor)),
                Ok(None) => {}
                Err(error) => log::warn!(
                    "no cursor that begins at now, the first poll takes one resource={:?} error={:?}",
                    resource.name,
                    error.to_string()
                ),
            }
        }
        // The provider's dates are in whole seconds as often as not.
        let since = self.client.to_provider(began).as_second();
        Starts {
            since: Timestamp::from_second(since).unwrap_or(began),
            anchors,
        }
    }

    fn cursor(
        &self,
        resource: &ResourceSettings,
        token: &Secret,
        began: Timestamp,
    ) -> Result<Option<Secret>, NoCursor> {
        let (client, feed) = (self.client, &resource.feed);
        let Some(link) = link_at_now(client.base(), &resource.url, feed, resource.page_size) else {
            return Ok(None);
        };
        cursor_at_now(link, client.base(), feed, |link| {
            let left = PATIENCE.saturating_sub(since(began, self.clock));
            if left.is_zero() {
                return Err(NoCursor::TooLate);
            }
            let wishes = Wishes {
                exclude_parent: *feed == Feed::Drive,
                within: Some(left),
                ..Wishes::default()
            };
            Ok(client.fetch(link, token, wishes, self.clock)?.body)
        })
    }
}
