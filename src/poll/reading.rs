//! How one set is read: page by page from the cursor, again from the start where the provider says so, and at its end the
//! sweep. What may not be believed is held for a person before anything of it is kept.

use std::collections::HashSet;
use std::time::Duration;

use jiff::Timestamp;

use super::{PollError, Poller, SETS};
use crate::clock;
use crate::core::cycle::{Cycle, Quiet};
use crate::core::detect::{self, Detected, Rules};
use crate::core::drive;
use crate::core::feed::Feed;
use crate::core::model::{Change, Instance, Notification, Page, PageEnd, Phase, Secret, Settings};
use crate::core::payload::{self, Origin};
use crate::core::phase::{Depth, Hold};
use crate::core::poll::Poll;
use crate::graph::link;
use crate::graph::page;
use crate::killpoint;
use crate::store::{PageStep, Resource};
use crate::zones::Zones;

/// One poll under way.
pub(super) struct Run<'a> {
    pub(super) poller: Poller<'a>,
    pub(super) instance: Instance,
    pub(super) settings: Settings,
    /// What the resource reads.
    pub(super) feed: Feed,
    pub(super) record: &'a mut Poll,
    pub(super) cycle: Cycle,
    pub(super) restarts: u32,
    /// The uptime at its begin.
    pub(super) began: Duration,
    pub(super) quiet: Quiet,
    /// Items that the set has shown so far, when that was last counted.
    pub(super) shown: i64,
    /// Sets read to their ends.
    sets: u32,
    /// Where a stale token's answer says to begin again. It is not kept: whatever comes of it, the resource's own link
    /// begins there, too.
    pub(super) location: Option<Secret>,
    /// The feed has no cursor that begins at now.
    pub(super) unanchored: bool,
    /// Told after each commit, with what the poll has come to so far.
    pub(super) progress: &'a mut dyn FnMut(&Poll),
    /// The zones of dates.
    pub(super) zones: Zones,
}

impl<'a> Run<'a> {
    pub(super) fn new(
        poller: Poller<'a>,
        instance: Instance,
        settings: Settings,
        feed: Feed,
        record: &'a mut Poll,
        progress: &'a mut dyn FnMut(&Poll),
    ) -> Run<'a> {
        Run {
            poller,
            instance,
            settings,
            feed,
            record,
            cycle: Cycle::default(),
            restarts: 0,
            began: poller.clock.uptime(),
            quiet: Quiet::default(),
            shown: 0,
            sets: 0,
            location: None,
            unanchored: false,
            progress,
            zones: Zones::of_system(),
        }
    }

    /// Reads one set to its end. A sweep that an earlier poll left behind is finished first.
    pub(super) fn read_set(&mut self, mut resource: Resource, depth: Depth) -> Result<(), PollError> {
        self.begin(&resource, depth)?;
        let mut read = false;
        loop {
            resource = self.poller.store.resource(resource.id)?;
            if resource.phase == Phase::Sweeping {
                if self.is_full()? {
                    return Ok(());
                }
                self.sweep(resource.clone())?;
                continue;
            }
            // Deletions that wait for the next set do not wait for the next poll.
            if read && (self.sets >= SETS || !self.poller.store.has_staged_deletions(resource.id)?) {
                return Ok(());
            }
            if self.ends_early()? {
                return Ok(());
            }
            read = self.read_page(&resource)?;
        }
    }

    /// Whether the outbox has no room for more of this instance. The poll ends here then; the provider keeps the rest.
    pub(super) fn is_full(&mut self) -> Result<bool, PollError> {
        let Poller {
            store,
            clock,
            max_events,
            ..
        } = self.poller;
        self.record.paused = store.pause_if_full(self.instance.id, max_events, clock.now())?;
        Ok(self.record.paused)
    }

    /// Goes back to the start of the feed where `depth` asks for that. Not before something can be requested: the
    /// place where the resource stands is not given up for nothing.
    fn begin(&self, resource: &Resource, depth: Depth) -> Result<(), PollError> {
        self.keep_quiet()?;
        let Some(restart) = self.poller.store.state(resource)?.asked(depth) else {
            return resource.held.map_or(Ok(()), |hold| Err(PollError::Held(hold)));
        };
        self.token(None)?;
        Ok(self.poller.store.start_over(resource, restart)?)
    }

    /// Reads and commits one page. Returns whether it was the last one of its set.
    fn read_page(&mut self, resource: &Resource) -> Result<bool, PollError> {
        let base = self.poller.client.base();
        if self.take_anchor(resource)? {
            return Ok(false);
        }
        let location = self.location.take();
        let hinted = location.is_some();
        let link = match resource.cursor.clone().or(location) {
            Some(link) => link,
            None => link::first_link(
                base,
                &resource.url,
                &self.feed,
                resource.baseline,
                resource.page_size,
            )?,
        };
        let fetched = match self.fetch(resource, &link) {
            Ok(fetched) => fetched,
            Err(error) => return self.recover(resource, hinted, error),
        };
        killpoint::reached("fetched");
        let working = self.poller.pages.take();
        let feed = self.feed.clone();
        let page = match page::parse(&fetched.body, base, &feed) {
            Ok(page) => page,
            Err(error) => return self.recover(resource, hinted, error.into()),
        };
        if let PageEnd::Next(next) = &page.end
            && self.cycle.closes_with(next.expose())
        {
            return Err(PollError::Cycle);
        }
        self.refuse_another_drive(resource, &page.outline)?;
        let mut resource = resource.clone();
        let (mut items, mut has_news, first_piece) = (0, false, resource.cursor_seq);
        for piece in page.pieces() {
            let piece = piece?;
            has_news |= self.commit(&resource, &piece, &page.outline)?;
            items += piece.items.len();
            killpoint::reached("committed");
            // What is left of the page comes when it is read again.
            if piece.end == PageEnd::More && self.stops()? {
                return Ok(true);
            }
            resource.cursor_seq += 1;
        }
        drop(working);
        self.forget_relations(&resource, resource.cursor_seq - first_piece)?;
        if !matches!(page.end, PageEnd::Delta(_)) {
            self.refuse_endless(&resource, items, has_news)?;
            return Ok(false);
        }
        self.sets += 1;
        (self.cycle, self.quiet, self.shown) = (Cycle::default(), Quiet::default(), 0);
        // Behind a first reading comes what has changed since the creation.
        Ok(resource.phase != Phase::Baseline || resource.anchor.is_none())
    }

    /// Has the resource wait for a person: the one place where that begins.
    fn hold(&self, resource: &Resource, hold: Hold) -> Result<(), PollError> {
        self.poller.store.hold(resource, hold)?;
        log::error!(
            "held for a person instance={:?} resource={:?} why={}",
            self.instance.name,
            resource.name,
            hold.as_str()
        );
        Ok(())
    }

    /// Holds the resource when `page` is another drive's.
    fn refuse_another_drive(&self, resource: &Resource, page: &Page<'_>) -> Result<(), PollError> {
        let (known, root) = (resource.drive_id.as_deref(), resource.root_id.as_deref());
        if !drive::is_another(page, known, root) {
            return Ok(());
        }
        self.hold(resource, Hold::Drive)?;
        let (seen, seen_root) = drive::shown_by(page);
        Err(PollError::AnotherDrive {
            seen: drive::in_words(seen, seen_root, known),
            known: drive::in_words(known, root, seen),
        })
    }

    /// Holds a piece of a page against what is known and commits what it means. Returns whether any of it is news.
    fn commit(
        &mut self,
        resource: &Resource,
        page: &Page<'_>,
        outline: &Page<'_>,
    ) -> Result<bool, PollError> {
        let now = self.poller.clock.now();
        let ids = page.items.iter().map(|item| item.id.as_str());
        let parents = page.items.iter().filter_map(|item| item.parent_id.as_deref());
        let known = self.poller.store.known_items(resource.id, ids.clone(), parents)?;
        let told = match resource.since {
            Some(_) => self.poller.store.told_among(resource.id, ids)?,
            None => HashSet::new(),
        };
        let (seen, repeated) = self.relations(resource, page)?;
        let rules = Rules {
            first: resource.first_reading(&told),
            repeated,
            ..self.rules(resource, now)
        };
        let detected = detect::page(page, known, &rules);
        let notifications = self.announce(resource, &detected.changes, now);
        let events = detected.changes.len() as u64;
        let Detected {
            changes,
            upserts,
            alive,
            staged,
            told,
            unchanged,
            filtered,
            ..
        } = detected;
        // They hold what the notifications hold.
        drop(changes);
        let (drive_id, root_id) = drive::learnt_from(outline, resource.baseline);
        self.poller.store.commit_page(
            resource,
            &PageStep {
                upserts: &upserts,
                alive: &alive,
                staged: &staged,
                told: &told,
                seen: &seen,
                notifications: &notifications,
                end: &page.end,
                drive_id,
                root_id,
                now,
            },
        )?;
        self.record.pages += u64::from(page.end != PageEnd::More);
        self.record.items += page.items.len() as u64;
        self.record.unchanged += unchanged;
        self.record.filtered += filtered;
        self.record.events += events;
        (self.progress)(self.record);
        Ok(!upserts.is_empty() || events > 0)
    }

    /// Works through what the set just read says is gone, leaf first, until the resource follows the new deltaLink.
    fn sweep(&mut self, mut resource: Resource) -> Result<(), PollError> {
        let store = self.poller.store;
        store.mark_doomed(&resource)?;
        killpoint::reached("marked");
        if let Some((doomed, known)) = store.drastic_deletions(&resource)? {
            self.hold(&resource, Hold::Deletions)?;
            return Err(PollError::Drastic { doomed, known });
        }
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
            if phase != Phase::Sweeping || self.is_full()? {
                return Ok(());
            }
        }
    }

    pub(super) fn announce(
        &self,
        resource: &Resource,
        changes: &[Change],
        now: Timestamp,
    ) -> Vec<Notification> {
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
            first: None,
            started_at: resource.started_at,
            filter: &self.settings.filter,
            repeated: HashSet::new(),
            poll_date: now,
        }
    }
}
