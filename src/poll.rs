//! The poll of one resource: pages from the cursor to the deltaLink, each committed before the next is requested, then
//! the sweep of what is gone. It knows the outbox as a place to write to, and nothing of callbacks.

use std::sync::atomic::{AtomicBool, Ordering};

use jiff::Timestamp;

use crate::clock::{self, Clock};
use crate::core::cycle::Cycle;
use crate::core::detect::{self, Detected, Rules};
use crate::core::elements;
use crate::core::model::{BaselineMode, Change, Instance, Page, PageEnd, Phase, Secret, Settings};
use crate::core::payload::{self, Origin};
use crate::grants::{GrantError, Grants};
use crate::graph::auth::AuthError;
use crate::graph::client::{Client, GraphError};
use crate::graph::link;
use crate::graph::page::{self, PageError};
use crate::killpoint;
use crate::store::{Depth, PageStep, PollRecord, Resource, Store, StoreError};

/// How often one poll may be sent back to the start of the enumeration before it gives up until its next time.
const RESTARTS: u32 = 3;

/// How many sets one poll reads at most while each of them says that folders are gone. The next poll goes on then.
const SETS: u32 = 4;

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
    /// The provider has asked to be left alone; nothing was requested.
    #[error("the provider asked to wait until {until:.3}")]
    Held { until: Timestamp },
    /// The feed leads back to a page that it has led to before.
    #[error("the feed repeats itself: its next page is one that this poll has read already")]
    Cycle,
    /// The feed sent the poll back to the start again and again.
    #[error("the provider found the token stale {RESTARTS} times in one poll")]
    Restarted,
}

impl PollError {
    /// Whether the provider named a time at which the poll is to be made again.
    fn is_postponement(&self) -> bool {
        matches!(
            self,
            PollError::Held { .. }
                | PollError::Graph(GraphError::Throttled {
                    retry_after: Some(_),
                    ..
                })
                | PollError::Grant(GrantError::Auth(AuthError::Throttled { retry_after: Some(_) }))
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
            PollError::Held { .. } => Some("polling goes on by itself after that time".to_owned()),
            PollError::Cycle | PollError::Restarted => Some("the next poll tries again".to_owned()),
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
    /// Set when the agent is asked to stop: the poll ends between two pages.
    pub stop: &'a AtomicBool,
}

/// One poll under way.
struct Run<'a> {
    poller: Poller<'a>,
    instance: Instance,
    settings: Settings,
    cycle: Cycle,
    restarts: u32,
    /// Sets read to their ends.
    sets: u32,
    /// This set, or one that an earlier poll left behind, says that a folder is gone.
    folder_gone: bool,
    record: &'a mut PollRecord,
    /// Told after each commit, with what the poll has come to so far.
    progress: &'a mut dyn FnMut(&PollRecord),
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
        progress: &mut dyn FnMut(&PollRecord),
    ) -> Result<PollRecord, PollError> {
        let started_at = self.clock.now();
        self.store.begin_poll(resource_id, started_at)?;
        let mut record = PollRecord::default();
        let outcome = self.run(resource_id, depth, &mut record, progress);
        let duration = self.clock.now().duration_since(started_at);
        record.duration_ms = duration.as_millis().try_into().unwrap_or(i64::MAX);
        record.error = outcome.as_ref().err().map(ToString::to_string);
        let unfinished = record.stopped || outcome.as_ref().is_err_and(PollError::is_postponement);
        self.store
            .end_poll(resource_id, started_at, &record, unfinished)?;
        outcome.map(|()| record)
    }

    fn run(
        &self,
        resource_id: i64,
        depth: Depth,
        record: &mut PollRecord,
        progress: &mut dyn FnMut(&PollRecord),
    ) -> Result<(), PollError> {
        let resource = self.store.resource(resource_id)?;
        let instance = self.store.instance(resource.instance_id)?;
        let settings = elements::settings(instance.element, &instance.configuration, self.client.base())
            .map_err(|problems| PollError::Configuration {
                instance: instance.name.clone(),
                problem: problems.first().map_or_else(String::new, ToString::to_string),
            })?;
        let until = self.store.throttled_until(instance.id)?;
        if let Some(until) = until.filter(|until| *until > self.clock.now()) {
            return Err(PollError::Held { until });
        }
        let mut run = Run {
            poller: *self,
            instance,
            settings,
            cycle: Cycle::default(),
            restarts: 0,
            sets: 0,
            folder_gone: self.store.has_staged_deletions(resource_id)?,
            record,
            progress,
        };
        let name = resource.name.clone();
        let outcome = run.read_set(resource, depth);
        log_outcome(&run.instance, &name, run.record, outcome.as_ref().err());
        outcome
    }
}

impl Run<'_> {
    /// Reads one set to its end. A sweep that an earlier poll left behind is finished first.
    fn read_set(&mut self, mut resource: Resource, depth: Depth) -> Result<(), PollError> {
        let store = self.poller.store;
        match (depth, resource.baseline) {
            (Depth::Changes, _) => {}
            (Depth::Rebaseline, _) | (Depth::Resync, BaselineMode::Latest) => {
                store.start_over(&resource, Phase::Baseline, true, None)?;
            }
            (Depth::Resync, _) if resource.phase == Phase::Baseline => {}
            (Depth::Resync, _) => store.start_over(&resource, Phase::Enumerating, false, None)?,
        }
        let mut read = false;
        loop {
            resource = store.resource(resource.id)?;
            if resource.phase == Phase::Sweeping {
                self.sweep(resource.clone())?;
                continue;
            }
            if read {
                return Ok(());
            }
            if self.poller.stop.load(Ordering::Relaxed) {
                self.record.stopped = true;
                return Ok(());
            }
            read = self.read_page(&resource)?;
        }
    }

    /// Reads and commits one page. Returns whether it was the last one of its set.
    fn read_page(&mut self, resource: &Resource) -> Result<bool, PollError> {
        let link = match &resource.cursor {
            Some(link) => link.clone(),
            None => link::first_link(
                self.poller.client.base(),
                &resource.url,
                resource.baseline,
                resource.page_size,
            )?,
        };
        let bytes = match self.fetch(&link, resource.phase == Phase::Following) {
            Err(PollError::Graph(GraphError::Gone { location, code })) => {
                self.start_over(resource, location.as_ref(), &code)?;
                return Ok(false);
            }
            other => other?,
        };
        killpoint::reached("fetched");
        let page = page::parse(&bytes, self.poller.client.base())?;
        if let PageEnd::Next(next) = &page.end
            && self.cycle.closes_with(next.expose())
        {
            return Err(PollError::Cycle);
        }
        let read = self.commit(resource, &page)?;
        killpoint::reached("committed");
        Ok(read)
    }

    /// Holds a page against what is known and commits what it means. Returns whether all is read.
    ///
    /// A set is fixed at its first page and shows the drive as it is at each. So it may say that a folder is gone, and
    /// not that something was moved out of it just before; then the next set, which does, is read before the sweep.
    fn commit(&mut self, resource: &Resource, page: &Page<'_>) -> Result<bool, PollError> {
        let now = self.poller.clock.now();
        let ids = page.items.iter().map(|item| item.id.as_str());
        let parents = page.items.iter().filter_map(|item| item.parent_id.as_deref());
        let known = self.poller.store.known_items(resource.id, ids, parents)?;
        let detected = detect::page(page, known, &self.rules(resource, now));
        let notifications = self.announce(resource, &detected.changes, now);
        let Detected {
            changes,
            upserts,
            alive,
            staged,
            folder_gone,
            unchanged,
            filtered,
            drive_id,
            root_id,
        } = detected;
        self.folder_gone |= folder_gone;
        let set_ends = matches!(page.end, PageEnd::Delta(_));
        let wait = set_ends && self.folder_gone && !resource.silent;
        self.poller.store.commit_page(
            resource,
            &PageStep {
                upserts: &upserts,
                alive: &alive,
                staged: &staged,
                notifications: &notifications,
                end: &page.end,
                wait,
                drive_id: drive_id.as_deref(),
                root_id: root_id.as_deref(),
                now,
            },
        )?;
        self.record.pages += 1;
        self.record.items += page.items.len() as u64;
        self.record.unchanged += unchanged;
        self.record.filtered += filtered;
        self.record.events += changes.len() as u64;
        (self.progress)(self.record);
        if set_ends {
            self.sets += 1;
            self.folder_gone = false;
            self.cycle = Cycle::default();
        }
        Ok(set_ends && (!wait || self.sets == SETS))
    }

    /// Works through what the set just read says is gone, leaf first, until the resource follows the new deltaLink.
    fn sweep(&mut self, mut resource: Resource) -> Result<(), PollError> {
        let store = self.poller.store;
        store.mark_doomed(&resource)?;
        killpoint::reached("marked");
        loop {
            let now = self.poller.clock.now();
            let doomed = store.doomed_items(resource.id)?;
            let ids = doomed.iter().map(|doomed| doomed.item.id.as_str());
            let known = store.known_items(resource.id, ids, [])?;
            let rules = self.rules(&resource, now);
            let mut changes = Vec::new();
            if !resource.silent {
                changes.extend(
                    doomed
                        .iter()
                        .filter_map(|gone| detect::deletion(&gone.item, gone.raw.clone(), &known, &rules)),
                );
                self.record.filtered += (doomed.len() - changes.len()) as u64;
            }
            let notifications = self.announce(&resource, &changes, now);
            let phase = store.commit_sweep(&resource, &doomed, &notifications, now)?;
            killpoint::reached("swept");
            resource.cursor_seq += 1;
            self.record.events += changes.len() as u64;
            (self.progress)(self.record);
            if phase != Phase::Sweeping {
                return Ok(());
            }
        }
    }

    /// The provider no longer knows the token: everything is read again. A baseline begins anew, as silent as it was;
    /// a resource that keeps no record of what exists begins at now; any other compares.
    fn start_over(
        &mut self,
        resource: &Resource,
        location: Option<&Secret>,
        code: &str,
    ) -> Result<(), PollError> {
        self.restarts += 1;
        if self.restarts > RESTARTS {
            return Err(PollError::Restarted);
        }
        log::warn!(
            "token stale, reading everything again instance={:?} resource={:?} code={code:?}",
            self.instance.name,
            resource.name
        );
        self.cycle = Cycle::default();
        self.folder_gone = false;
        let (phase, silent, location) = match (resource.baseline, resource.phase) {
            (BaselineMode::Latest, _) => (Phase::Baseline, true, None),
            (_, Phase::Baseline) => (Phase::Baseline, resource.silent, location),
            _ => (Phase::Enumerating, false, location),
        };
        Ok(self.poller.store.start_over(resource, phase, silent, location)?)
    }

    /// Requests a page with the account's token, once more with a renewed one when the provider refuses it.
    fn fetch(&self, link: &Secret, changes_only: bool) -> Result<Vec<u8>, PollError> {
        let Poller {
            client,
            grants,
            clock,
            ..
        } = self.poller;
        let token = grants.access_token(&self.instance, &self.settings, None)?;
        let fetched = match client.fetch(link, &token, changes_only, clock) {
            Err(GraphError::Unauthorized { .. }) => {
                let renewed = grants.access_token(&self.instance, &self.settings, Some(&token))?;
                client.fetch(link, &renewed, changes_only, clock)
            }
            other => other,
        };
        if let Err(GraphError::Throttled {
            retry_after: Some(wait),
            ..
        }) = &fetched
        {
            let until = clock.now().saturating_add(*wait).unwrap_or(Timestamp::MAX);
            self.poller.store.throttle(self.instance.id, until)?;
        }
        Ok(fetched?)
    }

    fn announce(
        &self,
        resource: &Resource,
        changes: &[Change],
        now: Timestamp,
    ) -> Vec<crate::core::model::Notification> {
        let origin = Origin {
            instance_id: self.instance.id,
            instance_name: &self.instance.name,
            instance_tags: &self.instance.tags,
            element: self.instance.element,
            resource: &resource.name,
            poll_date: now,
        };
        payload::notifications(
            changes,
            &origin,
            self.settings.format,
            self.poller.batch,
            &mut || clock::new_event_id(now),
        )
    }

    fn rules<'r>(&'r self, resource: &'r Resource, now: Timestamp) -> Rules<'r> {
        Rules {
            resource: &resource.name,
            phase: resource.phase,
            silent: resource.silent,
            baseline: resource.baseline,
            started_at: resource.started_at,
            filter: &self.settings.filter,
            poll_date: now,
        }
    }
}

fn log_outcome(instance: &Instance, resource: &str, record: &PollRecord, error: Option<&PollError>) {
    let (
        instance,
        PollRecord {
            pages, items, events, ..
        },
    ) = (&instance.name, record);
    let poll =
        format!("instance={instance:?} resource={resource:?} pages={pages} items={items} events={events}");
    match error {
        Some(error) => log::warn!("poll failed {poll} error={:?}", error.to_string()),
        None => log::info!("poll done {poll}"),
    }
}
