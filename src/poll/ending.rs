//! When a poll ends between two pages, before its set does: the agent stops, others wait for a thread, or the feed leads
//! nowhere.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::reading::Run;
use super::{PollError, Poller};
use crate::clock;
use crate::core::cycle::EMPTY_PAGES;
use crate::core::model::Phase;
use crate::store::Resource;

/// How long a poll goes on before it ends for those who wait for a thread.
const TURN: Duration = Duration::from_secs(10);

impl Run<'_> {
    /// Whether the poll ends here, between two pages, and is taken up again later: it stops, or others wait for a thread
    /// that polls.
    pub(super) fn ends_early(&mut self) -> Result<bool, PollError> {
        if self.stops()? {
            return Ok(true);
        }
        self.record.stopped = self.gives_way();
        Ok(self.record.stopped)
    }

    /// Whether others are to have this thread: the agent is asked to stop, or they wait for one and this poll has had its
    /// turn.
    pub(super) fn gives_way(&self) -> bool {
        let Poller {
            stop, crowded, clock, ..
        } = self.poller;
        let is_long = || clock::since(self.began, clock) >= TURN;
        // Who sees it first makes room for one; the rest go on.
        let makes_room = |crowded: &AtomicBool| is_long() && crowded.swap(false, Ordering::Relaxed);
        stop.load(Ordering::Relaxed) || crowded.is_some_and(makes_room)
    }

    /// Whether the poll ends here, between two pages or two pieces of one: the agent is asked to stop, or the outbox has no
    /// room for more of this instance.
    pub(super) fn stops(&mut self) -> Result<bool, PollError> {
        self.record.stopped = self.poller.stop.load(Ordering::Relaxed);
        Ok(self.record.stopped || self.is_full()?)
    }

    /// Ends the poll where the pages go on and on and bring nothing. While everything is read, a page is news only when it
    /// shows an item that this set has not shown yet: that is looked at now and then.
    pub(super) fn refuse_endless(
        &mut self,
        resource: &Resource,
        items: usize,
        has_news: bool,
    ) -> Result<(), PollError> {
        let mut is_endless = self.quiet.goes_too_far(items, has_news);
        if resource.phase != Phase::Following && self.record.pages.is_multiple_of(EMPTY_PAGES) {
            let shown = self.poller.store.items_shown(resource)?;
            is_endless |= shown == std::mem::replace(&mut self.shown, shown);
        }
        if is_endless {
            Err(PollError::Endless)
        } else {
            Ok(())
        }
    }
}
