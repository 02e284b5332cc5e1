//! The poll of one resource: pages from the cursor to the deltaLink, each committed before the next is requested, then
//! the sweep of what is gone. It knows the outbox as a place to write to, and nothing of callbacks. How a set is read
//! stands in `reading`, what a stale token asks for in `stale`, how a page is asked for, with the account's pauses kept, in
//! `fetching`.

mod ending;
mod fetching;
mod first;
mod reading;
mod relations;
mod stale;
mod window;

use std::sync::atomic::AtomicBool;

use jiff::{SignedDuration, Timestamp};

use crate::clock::{self, Clock};
use crate::core::feed::{self, Feed};
use crate::core::model::Instance;
use crate::core::poll::Poll;
use crate::grants::{GrantError, Grants};
use crate::graph::auth::AuthError;
use crate::graph::client::Client;
use crate::graph::error::GraphError;
use crate::graph::page::PageError;
use crate::places::Places;
use crate::store::{Depth, Hold, Store, StoreError};
use reading::Run;

/// How often one poll may be sent back to the start of the enumeration before it gives up until its next time.
const RESTARTS: u32 = 3;

/// How many sets one poll reads at most while each of them leaves deletions to the next. The next poll goes on then.
const SETS: u32 = 4;

/// Clocks that differ by less are not worth a word: tokens and certificates bear it.
const TOLERATED_SKEW: SignedDuration = SignedDuration::from_mins(2);

/// Why a poll did not come to its end. What it had committed by then stays.
#[derive(Debug, thiserror::Error)]
pub enum PollError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Grant(#[from] GrantError),
    #[error(transparent)]
    Graph(#[from] GraphError),
    #[error(transparent)]
    Page(#[from] PageError),
    /// The stored configuration is not valid for this version.
    #[error("the configuration of instance `{instance}` is not valid: {problem}")]
    Configuration { instance: String, problem: String },
    /// The provider has asked to be left alone; nothing more was requested.
    #[error("the provider asked to wait until {until:.3}")]
    Throttled { until: Timestamp },
    /// A person must decide first; nothing was requested.
    #[error("it is held: {}", match .0 {
        Hold::Deletions => "what was read last would delete more than half of the known items",
        Hold::Drive => "the account shows another drive than the known one",
    })]
    Held(Hold),
    /// The whole drive has been read, and most of what was known is not in it; nothing of that was announced.
    #[error("it is held: {doomed} of {known} known items would be deleted")]
    Drastic { doomed: i64, known: i64 },
    /// Nothing of the other drive was kept or announced.
    #[error("it is held: the account shows the drive {seen}, and {known} is known")]
    AnotherDrive { seen: String, known: String },
    /// The url means a folder, and the service offers no feed of it.
    #[error("the provider offers no changes of a folder here: {0}")]
    NoFolderFeed(GraphError),
    /// The feed leads back to a page that it has led to before.
    #[error("the feed repeats itself: its next page is one that this poll has read already")]
    Cycle,
    /// The feed's pages do not end, and bring nothing. What they brought before is kept.
    #[error("the feed goes on and on: its pages bring nothing new, and always name a next one")]
    Endless,
    /// There was no place for a large page, and others wait for the thread. It is no failure: the poll is made again.
    #[error("other large pages take the memory set aside for them")]
    GaveWay,
    /// The feed sent the poll back to the start again and again.
    #[error("the provider found the token stale {RESTARTS} times in one poll")]
    Restarted,
    /// The provider's clock went back with each answer, so that a window began again and again.
    #[error("the provider's clock went back {RESTARTS} times in one poll")]
    ClockGoesBack,
}

impl PollError {
    /// Whether the account has a pause, at whose end the poll is to be made again.
    fn is_postponement(&self) -> bool {
        matches!(
            self,
            PollError::Throttled { .. }
                | PollError::Graph(GraphError::Throttled { .. })
                | PollError::Grant(GrantError::Auth(AuthError::Throttled { .. }))
        )
    }

    /// The next thing to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            PollError::Store(error) => error.hint(),
            PollError::Grant(error) => error.hint(),
            PollError::Graph(error) => Some(error.hint().to_owned()),
            PollError::Page(error) => Some(error.hint().to_owned()),
            PollError::Configuration { .. } => Some("correct it with `deltapost instance update`".to_owned()),
            PollError::Throttled { .. } => Some(
                "polling goes on by itself after that time; `deltapost poll NAME --force` does not wait for it".to_owned(),
            ),
            PollError::Held(Hold::Deletions) | PollError::Drastic { .. } => Some(
                "look at the drive: if they are gone, `deltapost poll NAME --resync --accept` announces it; if not, \
                 `deltapost poll NAME --resync` compares again"
                    .to_owned(),
            ),
            PollError::Held(Hold::Drive) | PollError::AnotherDrive { .. } => Some(
                "sign in with the right account, `deltapost login NAME`; or learn the other drive, \
                 `deltapost poll NAME --rebaseline`"
                    .to_owned(),
            ),
            PollError::NoFolderFeed(_) => Some(
                "OneDrive for Business has changes of a drive's root only: poll that, and set `event.filter.paths` to \
                 the folder"
                    .to_owned(),
            ),
            PollError::Endless => Some(
                "the next poll goes on from there; `deltapost poll NAME --resync` begins at the start".to_owned(),
            ),
            PollError::Cycle => Some(
                "the next poll tries again; `deltapost poll NAME --resync` begins at the start".to_owned(),
            ),
            PollError::GaveWay | PollError::Restarted | PollError::ClockGoesBack => {
                Some("the next poll tries again".to_owned())
            }
        }
    }
}

impl From<&PollError> for Poll {
    /// A poll that came to nothing else.
    fn from(error: &PollError) -> Poll {
        Poll {
            error: Some(error.to_string()),
            hint: error.hint(),
            ..Poll::default()
        }
    }
}

/// What a poll is given to work with; the same for every resource.
#[derive(Clone, Copy, Debug)]
pub struct Poller<'a> {
    pub store: &'a Store,
    pub client: &'a Client,
    pub grants: &'a Grants<'a>,
    pub clock: &'a dyn Clock,
    /// Events per notification.
    pub batch: usize,
    /// `[outbox] max_events`: pending and dead events of the instance at which its polls wait.
    pub max_events: u64,
    /// A place is taken for the work on a page, from when it has been received until it is committed, and never while the
    /// provider is waited for.
    pub pages: &'a Places,
    /// Set when the agent is asked to stop: the poll ends between two pages.
    pub stop: &'a AtomicBool,
    /// Set when others wait for a thread that polls; a poll that has had its turn then ends between two pages, too. `None`
    /// where somebody waits for its end.
    pub crowded: Option<&'a AtomicBool>,
}

impl Poller<'_> {
    /// Polls a resource, writes the poll's history, and returns what it came to. `progress` is told after each commit.
    ///
    /// # Errors
    /// Why the poll stopped short; it is in the history, too, and the next poll goes on from the last commit.
    pub fn poll(
        &self,
        resource_id: i64,
        depth: Depth,
        progress: &mut dyn FnMut(&Poll),
    ) -> Result<Poll, PollError> {
        let began = self.clock.uptime();
        let mut record = Poll::begun(self.clock.now());
        self.store.begin_poll(resource_id, record.started_at)?;
        let mut outcome = self.run(resource_id, depth, &mut record, progress);
        // Whatever failed first of a resource or an instance that was removed meanwhile, that is why.
        if outcome.is_err()
            && let Err(error @ StoreError::Superseded) = self.store.resource(resource_id)
        {
            outcome = Err(error.into());
        }
        record.duration_ms = clock::since(began, self.clock)
            .as_millis()
            .try_into()
            .unwrap_or(i64::MAX);
        record.error = outcome.as_ref().err().map(ToString::to_string);
        record.postponed = outcome.as_ref().is_err_and(PollError::is_postponement);
        self.store.end_poll(resource_id, &record)?;
        outcome.map(|()| record)
    }

    fn run(
        &self,
        resource_id: i64,
        depth: Depth,
        record: &mut Poll,
        progress: &mut dyn FnMut(&Poll),
    ) -> Result<(), PollError> {
        let resource = self.store.resource(resource_id)?;
        let instance = self.store.instance(resource.instance_id)?;
        let settings = match &instance.settings {
            Ok(settings) => settings.clone(),
            Err(problems) => {
                return Err(PollError::Configuration {
                    instance: instance.name,
                    problem: problems.first().map_or_else(String::new, ToString::to_string),
                });
            }
        };
        let wanted = settings
            .resources
            .iter()
            .find(|wanted| wanted.name == resource.name);
        // One that the configuration names no longer is about to be forgotten.
        let feed = wanted.ok_or(StoreError::Superseded)?.feed.clone();
        self.grants.note_app(instance.id, &settings)?;
        record.instance.clone_from(&instance.name);
        record.resource.clone_from(&resource.name);
        let mut run = Run::new(*self, instance, settings, feed, record, progress);
        let url = resource.url.clone();
        let outcome = match run.feed.clone() {
            Feed::Window(window) => run.read_window(resource, depth, &window),
            Feed::Drive | Feed::Objects { .. } => run.read_set(resource, depth),
        };
        let outcome = match outcome {
            Err(PollError::GaveWay) => {
                run.record.stopped = true;
                Ok(())
            }
            other => other,
        };
        let by_path = !run.settings.filter.paths.is_empty();
        if by_path && run.record.filtered > 0 && !feed::has_paths(&run.feed, &url) {
            run.record.note.get_or_insert_with(|| feed::NO_PATHS.to_owned());
        }
        self.note_clock_skew(&run.instance)?;
        log_outcome(run.record, outcome.as_ref().err());
        outcome
    }

    /// A clock that is far off makes tokens and certificates fail in ways that do not say so.
    fn note_clock_skew(&self, instance: &Instance) -> Result<(), StoreError> {
        let Some(ahead) = self.client.clock_skew() else {
            return Ok(());
        };
        let minutes = (ahead.abs() >= TOLERATED_SKEW).then(|| ahead.as_mins());
        if self.store.note_clock_skew(instance.id, minutes)? {
            match minutes {
                Some(minutes) => log::warn!(
                    "this box's clock differs from the provider's: correct it instance={:?} minutes_ahead={minutes}",
                    instance.name
                ),
                None => log::info!("this box's clock is right again instance={:?}", instance.name),
            }
        }
        Ok(())
    }
}

fn log_outcome(record: &Poll, error: Option<&PollError>) {
    let Poll {
        instance,
        resource,
        pages,
        items,
        events,
        ..
    } = record;
    let poll =
        format!("instance={instance:?} resource={resource:?} pages={pages} items={items} events={events}");
    match error {
        Some(PollError::Store(StoreError::Superseded)) => {
            log::info!("poll ended, the resource was changed or removed meanwhile {poll}");
        }
        Some(error) => log::warn!("poll failed {poll} error={:?}", error.to_string()),
        None if record.paused => log::warn!("poll paused, the outbox is full {poll}"),
        // Most polls find nothing; when they were made stands in the table `poll`.
        None if *items == 0 => log::debug!("poll done {poll}"),
        None => log::info!("poll done {poll}"),
    }
}
