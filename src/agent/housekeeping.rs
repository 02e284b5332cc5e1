//! What needs doing between polls and deliveries: the outbox is kept within its bounds, what is delivered goes in its
//! time, space goes back to the disk. Each step is small and gives way to those who poll and deliver.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::news::News;
use crate::clock::{self, Clock};
use crate::commands::House;
use crate::core::bounds::{self, OutboxLimits, PausedBy, Verdict};
use crate::core::waits;
use crate::store::{Removal, StoreError};

/// How many looks without work go by before the WAL is put away.
const IDLE_LOOKS: u32 = 20;

/// How many looks go by between two rounds of removal.
const PURGE_LOOKS: u32 = 20;

/// How many looks go by before it is looked again for waits that a clock ahead has begun.
const RESUME_LOOKS: u32 = 50;

/// A reader that is there at so many looks in a row is complained of.
const LOOKS_HELD: u32 = 2;

/// How long one step may take before the rest of the house, and the service manager's watchdog, is looked after again.
const SPAN: Duration = Duration::from_secs(2);

/// How long the house rests after one write at most.
const LONGEST_REST: Duration = Duration::from_secs(2);

/// How long a command may wait for its answer before its request is forgotten.
const REQUEST_AGE: SignedDuration = SignedDuration::from_hours(1);

/// How long a provider's pause is remembered when it is over, with how often the provider has refused in a row: as long as the
/// longest pause.
const PAUSE_AGE: SignedDuration = SignedDuration::from_hours(24);

/// Keeps the house. One for each agent.
#[derive(Debug)]
pub(super) struct Housekeeper<'a> {
    house: &'a House,
    stop: &'a AtomicBool,
    news: News<'a>,
    idle_looks: u32,
    looks_to_purge: u32,
    purged_at: Option<Timestamp>,
    looks_to_resume: u32,
    /// The clock has been set back since waits were last looked at twice.
    set_back: bool,
    looked_at: Timestamp,
    /// Looks in a row at which a reader kept the full database from shrinking.
    looks_held: u32,
    /// How large the database was when an instance was last paused for it.
    paused_at: Option<u64>,
    /// Something was resumed in this look.
    resumed: bool,
    /// A step ended with its time and goes on in the next look.
    unfinished: bool,
    /// A step has failed in this look.
    failed: bool,
}

impl<'a> Housekeeper<'a> {
    pub(super) fn new(house: &'a House, stop: &'a AtomicBool) -> Housekeeper<'a> {
        Housekeeper {
            house,
            stop,
            news: News::new(&house.store, &house.live),
            idle_looks: 0,
            looks_to_purge: 0,
            purged_at: None,
            looks_to_resume: 0,
            set_back: false,
            looked_at: house.clock.now(),
            looks_held: 0,
            paused_at: None,
            resumed: false,
            unfinished: false,
            failed: false,
        }
    }

    /// Looks after everything once. Returns whether polls are due again that had waited for the outbox.
    pub(super) fn look(&mut self) -> bool {
        (self.resumed, self.unfinished, self.failed) = (false, false, false);
        let news = self.news.look();
        let is_new = *news.as_ref().unwrap_or(&true);
        // What keeps one step from its work need not keep the others.
        let kept = [
            news.map(drop),
            if is_new { self.remove_drained() } else { Ok(()) },
            if is_new { self.keep_bounds() } else { Ok(()) },
            self.resume_waits(),
            self.purge(),
            self.put_wal_away(),
        ];
        for step in kept {
            if let Err(error) = step {
                self.failed = true;
                log::error!("could not keep house error={:?}", error.to_string());
            }
        }
        if self.failed || self.unfinished {
            self.news.forget();
        }
        self.resumed
    }

    /// Looks after everything until no step has more to do at once, and as long as nothing fails.
    pub(super) fn look_to_the_end(&mut self) {
        self.look();
        while self.unfinished && !self.failed && !self.stopping() {
            self.look();
        }
    }

    /// Removes the instances that were deleted and are drained by now.
    fn remove_drained(&mut self) -> Result<(), StoreError> {
        let began = self.house.clock.uptime();
        for (id, name) in self.house.store.drained_deletions()? {
            loop {
                match self.giving_way(|| self.house.store.remove_part_of_instance(id))? {
                    Removal::Part if self.may_go_on(began) => {}
                    Removal::Part => {
                        self.unfinished = true;
                        return Ok(());
                    }
                    Removal::Whole => {
                        log::info!("instance removed instance={name:?}");
                        break;
                    }
                    Removal::Refused => break,
                }
            }
        }
        Ok(())
    }

    /// Pauses and resumes polling by the outbox's bounds. A database at its bound first loses what is delivered.
    fn keep_bounds(&mut self) -> Result<(), StoreError> {
        let (store, limits) = (&self.house.store, self.house.live.current().outbox);
        let mut used = store.used_bytes()?;
        if limits.is_full(used) {
            let Some(less) = self.make_room(&limits)? else {
                self.unfinished = true;
                return Ok(());
            };
            used = less;
        }
        let backlogs = store.backlogs()?;
        if !backlogs
            .iter()
            .any(|backlog| backlog.paused_by == Some(PausedBy::MaxBytes))
        {
            self.paused_at = None;
        }
        let now = self.house.clock.now();
        for verdict in bounds::judge(&backlogs, used, self.paused_at, &limits) {
            let (Verdict::Pause(id, _) | Verdict::Resume(id)) = verdict;
            let Some(backlog) = backlogs.iter().find(|backlog| backlog.instance_id == id) else {
                continue;
            };
            let (instance, events) = (&backlog.instance, backlog.events);
            match verdict {
                Verdict::Pause(id, by) => {
                    if by == PausedBy::MaxBytes {
                        self.paused_at = Some(used);
                    }
                    if store.pause(id, by, now)? {
                        log::warn!(
                            "polling paused, the outbox is full instance={instance:?} by={by} events={events} used_bytes={used}"
                        );
                    }
                }
                Verdict::Resume(id) => {
                    store.resume(id)?;
                    self.resumed = true;
                    log::info!("polling resumed instance={instance:?} events={events} used_bytes={used}");
                }
            }
        }
        Ok(())
    }

    /// Nothing can be given back while somebody reads an old state of the database: what is removed makes the WAL longer.
    fn note_reader(&mut self, emptied: bool) {
        self.looks_held = if emptied { 0 } else { self.looks_held + 1 };
        if self.looks_held == LOOKS_HELD {
            let who = self.house.store.other_users().join(", ");
            log::warn!(
                "the database is at its bound, and a reader's open transaction keeps it from shrinking: nothing is removed \
                 until that ends open_by={who:?}"
            );
        }
    }

    /// Puts the WAL away, and if that is not enough removes what is delivered, oldest first, until the database is
    /// below 90 % of its bound. Returns its size then; `None` when the time is over before.
    fn make_room(&mut self, limits: &OutboxLimits) -> Result<Option<u64>, StoreError> {
        let (store, began) = (&self.house.store, self.house.clock.uptime());
        let mut emptied = store.checkpoint()?;
        let mut used = store.used_bytes()?;
        let mut purged = 0;
        self.note_reader(emptied || !limits.is_full(used));
        if limits.is_full(used) {
            while emptied && !limits.is_roomy(used) {
                if !self.may_go_on(began) {
                    return Ok(None);
                }
                let removed = self.giving_way(|| store.purge_delivered(Timestamp::MAX))?;
                if removed == 0 {
                    break;
                }
                purged += removed;
                emptied = store.checkpoint()?;
                used = store.used_bytes()?;
            }
        }
        if purged > 0 {
            log::info!(
                "delivered notifications removed to make room notifications={purged} used_bytes={used}"
            );
        }
        Ok(Some(used))
    }

    /// Has waits that a clock ahead has begun last as long as was meant: at once when it has been set back, and in time once
    /// more, for what was being written just then.
    fn resume_waits(&mut self) -> Result<(), StoreError> {
        let now = self.house.clock.now();
        let stepped = waits::is_ahead(self.looked_at, now);
        self.looked_at = now;
        if !stepped && self.looks_to_resume > 0 {
            self.looks_to_resume -= 1;
            return Ok(());
        }
        if self.house.store.resume_waits(now, stepped || self.set_back)? {
            log::warn!("the clock was ahead: what waited by it begins its wait anew");
        }
        (self.looks_to_resume, self.set_back) = (RESUME_LOOKS, stepped);
        Ok(())
    }

    /// Removes what has been kept for long enough, and gives free space back.
    fn purge(&mut self) -> Result<(), StoreError> {
        if self.looks_to_purge > 0 {
            self.looks_to_purge -= 1;
            return Ok(());
        }
        let store = &self.house.store;
        let (began, now) = (self.house.clock.uptime(), self.house.clock.now());
        let ago = |age: SignedDuration| now.saturating_sub(age).unwrap_or(Timestamp::MIN);
        let keep = SignedDuration::try_from(self.house.live.current().outbox.keep_delivered);
        let keep = keep.unwrap_or(SignedDuration::MAX);
        let jumps = store.note_clock(self.purged_at, now, waits::believed(keep))?;
        self.purged_at = Some(now);
        let before = waits::kept_since(now, keep, &jumps);
        store.purge_requests(ago(REQUEST_AGE))?;
        store.purge_pauses(ago(PAUSE_AGE))?;
        let mut purged = 0;
        while self.may_go_on(began) {
            let removed = self.giving_way(|| store.purge_delivered(before))?;
            if removed == 0 {
                break;
            }
            purged += removed;
        }
        let mut given_back = false;
        while self.may_go_on(began) && self.giving_way(|| store.give_back())? {
            given_back = true;
        }
        if given_back {
            store.checkpoint()?;
        }
        if purged > 0 {
            log::debug!("delivered notifications removed notifications={purged}");
        }
        // What a round did not come to is next.
        self.looks_to_purge = if self.may_go_on(began) { PURGE_LOOKS } else { 0 };
        Ok(())
    }

    fn put_wal_away(&mut self) -> Result<(), StoreError> {
        self.idle_looks = match self.house.store.written_since_asked()? {
            true => 0,
            false => self.idle_looks.saturating_add(1),
        };
        if self.idle_looks == IDLE_LOOKS {
            self.house.store.checkpoint()?;
        }
        Ok(())
    }

    fn giving_way<T>(&self, write: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
        giving_way(&*self.house.clock, write)
    }

    fn may_go_on(&self, began: Duration) -> bool {
        !self.stopping() && clock::since(began, &*self.house.clock) < SPAN
    }

    fn stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// Runs one write, then rests for as long as it took: who polls or delivers gets half of the time at least.
fn giving_way<T>(clock: &dyn Clock, write: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    let began = clock.uptime();
    let result = write()?;
    clock.sleep(clock::since(began, clock).min(LONGEST_REST));
    Ok(result)
}

#[cfg(test)]
mod tests;
