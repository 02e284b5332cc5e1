//! How a page is asked for: with the account's token, and never while the provider wants to be left alone. A pause
//! belongs to the app in its tenant and is kept, so that it holds for the app's other instances and after a restart.

use jiff::Timestamp;

use super::PollError;
use super::reading::Run;
use crate::core::backoff;
use crate::core::feed::Feed;
use crate::core::model::{Phase, Secret};
use crate::graph::client::{Fetched, Wishes};
use crate::graph::error::GraphError;
use crate::places::Place;
use crate::store::{Resource, Throttling};

impl<'a> Run<'a> {
    /// The page behind `link`, once more with a renewed token when the provider refuses the first.
    /// For a page that is large beside others that are, it gives its connection up and waits for their end.
    pub(super) fn fetch(&self, resource: &Resource, link: &Secret) -> Result<Fetched<'a>, PollError> {
        let mut places = Vec::new();
        loop {
            match self.fetch_into(&mut places, resource, link) {
                Err(PollError::Graph(GraphError::NoRoom { step })) => {
                    drop(std::mem::take(&mut places));
                    let taken = self.poller.client.places(step, || self.gives_way());
                    places = taken.ok_or(PollError::GaveWay)?;
                }
                fetched => return fetched,
            }
        }
    }

    fn fetch_into(
        &self,
        places: &mut Vec<Place<'a>>,
        resource: &Resource,
        link: &Secret,
    ) -> Result<Fetched<'a>, PollError> {
        let throttling = self.keep_quiet()?;
        let fetched = self.request(places, resource, link);
        match &fetched {
            Ok(fetched) => {
                if throttling.throttles > 0 {
                    self.poller.store.calm(self.instance.id)?;
                }
                if let Some(wait) = fetched.pause {
                    let wait = backoff::pause(Some(wait), 0, 0.0);
                    let now = self.poller.clock.now();
                    let until = now.saturating_add(wait).unwrap_or(Timestamp::MAX);
                    self.poller
                        .store
                        .throttle(self.instance.id, (now, until), false)?;
                }
            }
            Err(PollError::Graph(GraphError::Throttled { retry_after, .. })) => {
                self.poller.grants.leave_alone(self.instance.id, *retry_after)?;
            }
            // Where it was the token endpoint, the renewal has kept the pause.
            Err(_) => {}
        }
        fetched
    }

    /// Refuses to go on while the provider wants to be left alone; the poll is made up for then.
    pub(super) fn keep_quiet(&self) -> Result<Throttling, PollError> {
        let throttling = self.poller.store.throttling(self.instance.id)?;
        match throttling.until.filter(|until| *until > self.poller.clock.now()) {
            Some(until) => Err(PollError::Throttled { until }),
            None => Ok(throttling),
        }
    }

    /// The account's access token, another one than `refused`.
    pub(super) fn token(&self, refused: Option<&Secret>) -> Result<Secret, PollError> {
        Ok(self.poller.grants.access_token(&self.instance, refused)?)
    }

    fn request(
        &self,
        places: &mut Vec<Place<'a>>,
        resource: &Resource,
        link: &Secret,
    ) -> Result<Fetched<'a>, PollError> {
        let (client, clock) = (self.poller.client, self.poller.clock);
        let wishes = Wishes {
            exclude_parent: self.feed == Feed::Drive && resource.phase == Phase::Following,
            page_size: resource
                .page_size
                .filter(|_| matches!(self.feed, Feed::Objects { .. })),
            within: None,
        };
        // A token may take its time, and a pause may begin meanwhile.
        let mut fetch = |token: &Secret| {
            self.keep_quiet()?;
            Ok(client.fetch_into(places, link, token, wishes, clock)?)
        };
        let token = self.token(None)?;
        match fetch(&token) {
            Err(PollError::Graph(GraphError::Unauthorized { .. })) => fetch(&self.token(Some(&token))?),
            other => other,
        }
    }
}
