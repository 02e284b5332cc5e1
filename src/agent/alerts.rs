//! Alerts: looks at the facts, keeps the book of what stands and what is told, and tells it, by POST or to a command. It
//! is one thread of its own, so that nobody waits for a slow receiver. What stands is decided in `core::alert`.
//!
//! The book is in memory, and the table `alert` follows it: an alert of a full disk goes out although the disk is full.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::Timestamp;

use super::command;
use super::news::News;
use super::watchdog::Watchdog;
use crate::clock::{self, Leaps};
use crate::commands::House;
use crate::core::alert::{self, Alert, AlertKind, AlertState, DatabaseSize, Disk, Facts, OverdueResource};
use crate::core::model::Secret;
use crate::core::retry::{self, Class, Policy};
use crate::core::shown::shown;
use crate::core::waits;
use crate::store::{AlertEntry, Sick, StoreError};

/// How often the facts are looked at.
const LOOK: Duration = Duration::from_millis(500);

/// How many rounds lie between two looks at whether all that is scheduled is polled: half a minute.
const WATCH_ROUNDS: u32 = 60;

/// Looks after alerts. One for each agent.
#[derive(Debug)]
pub(super) struct Alerter<'a> {
    house: &'a House,
    stop: &'a AtomicBool,
    news: News<'a>,
    watchdog: Watchdog,
    /// What the watchdog has seen last.
    overdue: Vec<OverdueResource>,
    rounds: u32,
    host: Option<String>,
    leaps: Leaps,
    /// What is not told yet, and what stands.
    book: Vec<AlertEntry>,
    next_id: i64,
    /// The entries that the table does not have as they are.
    unsaved: BTreeSet<i64>,
}

impl<'a> Alerter<'a> {
    /// Opens the book where the last agent left it.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub(super) fn new(house: &'a House, stop: &'a AtomicBool) -> Result<Alerter<'a>, StoreError> {
        let (book, next_id) = house.store.alerts()?;
        Ok(Alerter {
            house,
            stop,
            news: News::new(&house.store, &house.live),
            watchdog: Watchdog::default(),
            overdue: Vec::new(),
            rounds: 0,
            host: host(),
            leaps: Leaps::new(&*house.clock),
            book,
            next_id,
            unsaved: BTreeSet::new(),
        })
    }

    /// Looks and tells until the agent is asked to stop.
    pub(super) fn work(&mut self) {
        while !self.stopping() {
            self.round();
            self.house.clock.sleep(LOOK);
        }
    }

    /// Looks at the facts once, and tells what is due.
    pub(super) fn round(&mut self) {
        let looked = self.look().and_then(|()| self.save());
        self.tell_due();
        if let Err(error) = looked.and_then(|()| self.save()) {
            self.news.forget();
            log::error!("could not keep the book of alerts error={:?}", error.to_string());
        }
    }

    fn look(&mut self) -> Result<(), StoreError> {
        let now = self.house.clock.now();
        let watches = self.rounds.is_multiple_of(WATCH_ROUNDS);
        self.rounds = self.rounds.wrapping_add(1);
        if watches {
            let rules = &self.house.live.current().polling;
            self.overdue = self.watchdog.look(&self.house.store, rules, now)?;
        }
        if !self.news.look()? && !watches {
            return Ok(());
        }
        let facts = self.facts()?;
        let last = self.last_of_each();
        let stands = |kind: AlertKind, key: &str| last.iter().any(|old| (old.kind, &*old.key) == (kind, key));
        let standing = alert::standing(&facts, stands, now);
        let changes = alert::changes(last.iter().copied(), &standing, self.next_id, now);
        for change in changes {
            self.enter(change, now);
        }
        Ok(())
    }

    fn facts(&self) -> Result<Facts, StoreError> {
        let (store, limits) = (&self.house.store, self.house.live.current().outbox);
        let Sick {
            disabled,
            logins,
            paused,
            failing,
            held,
        } = store.sick()?;
        let used = store.used_bytes()?;
        Ok(Facts {
            disabled,
            logins,
            paused,
            failing,
            held,
            overdue: self.overdue.clone(),
            database: DatabaseSize {
                is_full_of_items: limits.is_full(used) && !limits.is_mostly_backlog(&store.backlogs()?),
                is_tight: !limits.is_roomy(used),
            },
            users: match limits.is_full(used) {
                true => store.other_users(),
                false => Vec::new(),
            },
            disk: Disk {
                path: shown(&self.house.config.data_dir.display().to_string()),
                space: store.disk_space().ok(),
                refused: store.was_refused_space(),
            },
        })
    }

    /// What stands: the last changes of those subjects that were not cleared.
    fn last_of_each(&self) -> Vec<&Alert> {
        let is_last = |at: usize, alert: &Alert| {
            !self.book[at + 1..]
                .iter()
                .any(|later| (later.alert.kind, &later.alert.key) == (alert.kind, &alert.key))
        };
        self.book
            .iter()
            .enumerate()
            .filter(|(at, entry)| entry.alert.state == AlertState::Raised && is_last(*at, &entry.alert))
            .map(|(_, entry)| &entry.alert)
            .collect()
    }

    fn enter(&mut self, alert: Alert, now: Timestamp) {
        let (kind, state, subject, message) = (alert.kind, alert.state, &alert.subject, &alert.message);
        match state {
            AlertState::Raised => {
                let level = match kind {
                    // Whatever else is wrong is told where it happens; this is a fault of the agent's own.
                    AlertKind::ResourceOverdue => log::Level::Error,
                    _ => log::Level::Warn,
                };
                log::log!(
                    level,
                    "alert raised alert={kind} subject={subject:?} message={message:?}"
                );
            }
            AlertState::Cleared => log::info!("alert cleared alert={kind} subject={subject:?}"),
        }
        self.next_id = alert.id + 1;
        self.unsaved.insert(alert.id);
        let settings = &self.house.live.current().alerts;
        let somebody = settings.url.is_some() || settings.command.is_some();
        self.book.push(AlertEntry {
            alert,
            posted: false,
            ran: false,
            attempts: 0,
            waits_since: now,
            next_attempt_at: somebody.then_some(now),
            last_error: None,
        });
    }

    /// Brings the table to what the book says, and takes out of the book what is told and over.
    fn save(&mut self) -> Result<(), StoreError> {
        if self.unsaved.is_empty() {
            return Ok(());
        }
        let changed: Vec<&AlertEntry> = self
            .book
            .iter()
            .filter(|entry| self.unsaved.contains(&entry.alert.id))
            .collect();
        self.house.store.put_alerts(&changed)?;
        self.unsaved.clear();
        let standing: BTreeSet<i64> = self.last_of_each().into_iter().map(|alert| alert.id).collect();
        self.book
            .retain(|entry| entry.next_attempt_at.is_some() || standing.contains(&entry.alert.id));
        Ok(())
    }

    /// Tells what is due, each subject's changes in their order.
    fn tell_due(&mut self) {
        let leapt_from = self.leaps.look(&*self.house.clock);
        for at in 0..self.book.len() {
            let now = self.house.clock.now();
            self.resume(at, leapt_from, now);
            let (before, entry) = (&self.book[..at], &self.book[at]);
            let is_same = |other: &AlertEntry| {
                (other.alert.kind, &other.alert.key) == (entry.alert.kind, &entry.alert.key)
            };
            let is_next = !before
                .iter()
                .any(|earlier| earlier.next_attempt_at.is_some() && is_same(earlier));
            if entry.next_attempt_at.is_none_or(|due| due > now) || !is_next {
                continue;
            }
            if self.stopping() {
                return;
            }
            self.tell(at);
        }
    }

    /// Has a wait that a clock ahead has begun begin now, and what is left of one that the clock has leapt over from
    /// `leapt_from`.
    fn resume(&mut self, at: usize, leapt_from: Option<Timestamp>, now: Timestamp) {
        let entry = &mut self.book[at];
        let Some(until) = entry.next_attempt_at else {
            return;
        };
        let put_off = |from| waits::put_off(entry.waits_since, until, from, now);
        if let Some(until) =
            waits::resumed(entry.waits_since, until, now).or_else(|| leapt_from.and_then(put_off))
        {
            (entry.waits_since, entry.next_attempt_at) = (now, Some(until));
            self.unsaved.insert(entry.alert.id);
        }
    }

    /// Tells one entry to the URL and to the command, as far as they do not know it yet.
    fn tell(&mut self, at: usize) {
        let settings = &self.house.live.current().alerts;
        let url = settings.url.as_deref().map(Secret::new);
        let entry = &self.book[at];
        let json = entry.alert.json(self.host.as_deref());
        let posted = match &url {
            Some(url) if !entry.posted => self.post(url, &json),
            _ => Ok(()),
        };
        let ran = match &settings.command {
            Some(command) if !entry.ran => command::run(command, &json, &*self.house.clock, self.stop),
            _ => Ok(()),
        };
        if let (Ok(()), Some(_)) = (&posted, &url) {
            // It is back: what waits for it need not wait any longer.
            let now = self.house.clock.now();
            for waiting in &mut self.book {
                waiting.next_attempt_at = waiting.next_attempt_at.map(|due| due.min(now));
            }
        }
        let entry = &mut self.book[at];
        entry.posted |= posted.is_ok() && url.is_some();
        entry.ran |= ran.is_ok() && settings.command.is_some();
        entry.attempts += 1;
        entry.last_error = posted.and(ran).err();
        self.unsaved.insert(entry.alert.id);
        self.postpone(at);
    }

    /// Sets when an entry is told again, if it has to be.
    fn postpone(&mut self, at: usize) {
        let now = self.house.clock.now();
        let delivery = &self.house.live.current().delivery;
        let entry = &mut self.book[at];
        let Alert { kind, state, .. } = entry.alert;
        let (attempt, subject) = (entry.attempts, &entry.alert.subject);
        let Some(error) = &entry.last_error else {
            log::info!("alert told alert={kind} state={state} subject={subject:?} attempt={attempt}");
            entry.next_attempt_at = None;
            return;
        };
        if attempt as usize > delivery.retry.len() {
            log::error!(
                "alert not told, given up alert={kind} state={state} subject={subject:?} attempt={attempt} error={error:?}"
            );
            entry.next_attempt_at = None;
            return;
        }
        let policy = Policy {
            waits: &delivery.retry,
            queue: false,
            probe_disabled: None,
        };
        let again = retry::postponed(attempt, &policy, now, clock::draw());
        log::warn!(
            "alert not told alert={kind} state={state} subject={subject:?} attempt={attempt} again={again:.3} error={error:?}"
        );
        (entry.waits_since, entry.next_attempt_at) = (now, Some(again));
    }

    fn post(&self, url: &Secret, json: &str) -> Result<(), String> {
        let headers = [("Content-Type", "application/json")];
        let answer = self
            .house
            .sender
            .post(url, &headers, json.as_bytes(), &*self.house.clock);
        match Class::of(answer.status()) {
            Class::Accepted => Ok(()),
            _ => Err(answer.to_string()),
        }
    }

    fn stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// The machine's name, where the system tells it.
fn host() -> Option<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    Some(shown(name.trim())).filter(|name| !name.is_empty())
}
