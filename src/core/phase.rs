//! The life of a resource: from where it stands and what happened to where it stands next, and what is written out with
//! that. One match decides; it knows neither the feed nor the database. The store keeps a `State` in the resource's
//! row, in the transaction of what happened, so that a crash resumes where it was.
//!
//! | phase | what is read | it ends with |
//! | --- | --- | --- |
//! | baseline | all that exists, for the first time; silent, unless the baseline is `emit`, but for what changed since the creation | the set's end |
//! | following | what changed since the cursor | it does not |
//! | enumerating | all that exists, again; what is seen takes the new generation | the set's end |
//! | sweeping | nothing: what is known to be gone is announced, children before parents | the last of it |
//!
//! | what happened | phase after it | cursor after it | besides |
//! | --- | --- | --- | --- |
//! | it is created, `latest` with a link | following | the link | |
//! | it is created, else | baseline | none | unless all is announced, `since`; a link that begins there is the anchor |
//! | a first reading gets a link that begins at now | the same | the same | the link is the anchor |
//! | a page, or a piece of one | the same | the next page; after a piece, the same page | the first of a baseline starts its time |
//! | a set's end, first reading with an anchor | following | the anchor | `since` stays: the set behind the anchor began at the creation |
//! | a set's end, deletions staged or a generation not compared | sweeping | none; the deltaLink waits | a first reading ends |
//! | a set's end, nothing of that | following | the deltaLink | a first reading ends |
//! | the last of a sweep | following | the deltaLink that waited | the generation is compared |
//! | stale token, first reading | baseline, as silent as it was | none | what the set listed as deleted is void |
//! | stale token, set behind the anchor | baseline, silent | none | the same |
//! | stale token, `latest` | baseline, silent: it begins at now | none | the same; deletions that wait for the next set are swept before |
//! | stale token, else | enumerating | none | the same; a new generation is compared |
//! | a person asks to compare | enumerating; a held first reading begins again | none | the same; what held it is void |
//! | a person asks to learn anew | baseline, silent | none | the same; whose drive it was is forgotten |
//! | a hold | the same | the same | nothing is polled until a person has decided |
//! | a page of records (by dates) | the same | the window's next page | the window's end stays where it is |
//! | a window begins again | the same | none | its end is forgotten |
//! | a window's end | following | none | the next window begins where this one ended |
//! | another url or mode, a baseline that counts | baseline | none | what was read so far has no use; a changed baseline goes on behind it |
//!
//! A set that a silent reading reads lists only what is gone since it began: that stays staged until the next set's end.

use jiff::Timestamp;

use super::model::{BaselineMode, Phase, spelled};

/// A link of the feed, as the store keeps it: sealed.
pub type Link = Vec<u8>;

spelled! {
    /// What waits for a person.
    Hold {
        /// A comparison would delete more than half of more than 1,000 known items.
        Deletions = "deletions",
        /// The account shows another drive than the one that is known.
        Drive = "drive",
    }
}

spelled! {
    /// How much of a feed a poll on request reads.
    Depth {
        /// What changed since the cursor.
        Changes = "changes",
        /// Everything, compared with what is known: the differences become events.
        Resync = "resync",
        /// The same, however much of what is known it deletes.
        AcceptedResync = "accepted resync",
        /// Everything, learnt anew without an event.
        Rebaseline = "rebaseline",
    }
}

/// How a feed is read whole again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restart {
    /// A baseline that was not finished begins anew, as silent as it was; so does a resource that starts at now.
    Baseline { silent: bool },
    /// What is known is compared with what there is. `accepted`: whatever comes of it.
    Comparison { accepted: bool },
    /// What exists is learnt anew, silently, whichever drive it is.
    Rebaseline,
}

/// Where a resource stands. The fields bear the names of their columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// As configured.
    pub baseline: BaselineMode,
    pub phase: Phase,
    /// What is read now is learnt without being announced.
    pub silent: bool,
    /// What each item that is seen bears.
    pub generation: i64,
    /// The last generation that was compared: an item of an older one was not seen, and is gone.
    pub swept_generation: i64,
    /// The link that is requested next.
    pub cursor: Option<Link>,
    /// The deltaLink of the set whose deletions are swept.
    pub next_cursor: Option<Link>,
    /// Counts the steps: a commit names the one that it began from.
    pub cursor_seq: i64,
    /// Sets that were read to their ends.
    pub sets_read: i64,
    /// Until what has changed since its creation is announced: that moment.
    pub since: Option<Timestamp>,
    /// The link that is followed when the first reading has ended.
    pub anchor: Option<Link>,
    pub anchored_at: Option<Timestamp>,
    pub started_at: Timestamp,
    pub drive_id: Option<String>,
    pub root_id: Option<String>,
    /// Items that were known before the comparison under way; 0 where a person has accepted whatever comes of it.
    pub compared_items: Option<i64>,
    pub held: Option<Hold>,
    /// By dates: where the next window begins, and where the one ends that is being read.
    pub window_from: Option<Timestamp>,
    pub window_to: Option<Timestamp>,
}

/// How far a page moves the cursor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A piece of it: not at all.
    Piece,
    Next(Link),
    /// It was the set's last. `staged`: deletions wait for the set's end.
    SetEnd {
        delta: Link,
        staged: bool,
    },
}

/// What happened to a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// A page of a feed, or a piece of one, was read; what it tells of the drive counts where nothing was known.
    Page {
        step: Step,
        drive_id: Option<&'a str>,
        root_id: Option<&'a str>,
        now: Timestamp,
    },
    /// Deletions were announced. `last`: all that were marked.
    Swept { last: bool },
    /// No set comes that deletions could wait for.
    NoSetComes,
    /// It is read whole again. `known`: how many items there are to compare with.
    Again { restart: Restart, known: i64 },
    /// It waits for a person.
    Held(Hold),
    /// A first reading got the link to go on at behind it.
    Anchored { link: Link, at: Timestamp },
    /// A page of a window of dates was read, or a piece of one (no `next`).
    Records { next: Option<Link>, to: Timestamp },
    /// The whole window was read.
    WindowEnd { to: Timestamp },
    /// The window begins again at its first page.
    WindowAgain,
    /// Its settings leave no use for what was read so far. `elsewhere`: they lead to other objects.
    Anew { elsewhere: bool },
    /// It is new, or learns anew: what changes from `since` on is announced. `link` begins there.
    Created { since: Timestamp, link: Option<Link> },
}

/// What is written out with a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chore {
    /// What the set said is gone is taken back, also where its sweep has begun.
    VoidSet,
    /// What the set under way lists as deleted is dropped: a later page of it might have shown the object alive.
    VoidUnfinishedSet,
    /// The staged deletions that the sweep is done with go; the others wait for the next set's end.
    Unstage,
    /// What the first reading has announced needs no remembering.
    ForgetTold,
    /// Nor do the records, and the faults that some of them had.
    ForgetRecords,
    /// What lies at the former place is missing at the new one, and not deleted: nothing of it is told.
    ForgetItems,
}

/// What a stale token asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stale {
    /// What waits for the next set's end is announced first (`NoSetComes`). The token is refused again behind it.
    SweepFirst,
    Again(Restart, Loss),
}

/// What is not known any more after a stale token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// A first reading begins again, and loses nothing.
    Nothing,
    /// The comparison finds all changes.
    Compared,
    /// What was deleted or moved since the creation, before it was read once.
    SinceCreation,
    /// All changes until now.
    Gap,
}

impl State {
    /// Whether what it has read so far is no ground for comparing yet.
    fn is_first_reading(&self) -> bool {
        self.phase == Phase::Baseline || self.since.is_some()
    }

    /// Whether all that was not seen under the present generation has been announced.
    pub fn is_compared(&self) -> bool {
        self.generation == self.swept_generation
    }

    /// Whether its baseline still decides: while what exists is learnt, and after `latest`, which never learnt it.
    pub fn baseline_counts(&self) -> bool {
        self.phase == Phase::Baseline || self.baseline == BaselineMode::Latest
    }

    /// How it is read whole again when `depth` is asked for; `None`: it goes on from where it stands.
    pub fn asked(&self, depth: Depth) -> Option<Restart> {
        match depth {
            Depth::Changes => None,
            Depth::Rebaseline => Some(Restart::Rebaseline),
            // What keeps no record of what exists has nothing to compare: going back to now would lose what came since.
            _ if self.baseline == BaselineMode::Latest => None,
            // What a first reading has seen may be new to whoever listens, so that nothing can be compared with it yet.
            _ if self.is_first_reading() => self.held.map(|_| Restart::Baseline {
                silent: self.silent || self.since.is_some(),
            }),
            _ => Some(Restart::Comparison {
                accepted: depth == Depth::AcceptedResync,
            }),
        }
    }

    /// How it goes on when the provider no longer knows the token. `staged`: deletions wait for a set's end.
    pub fn stale(&self, staged: bool) -> Stale {
        let silent = Restart::Baseline { silent: true };
        match (self.baseline, self.phase) {
            // Nothing will compare.
            (BaselineMode::Latest, Phase::Following) if staged => Stale::SweepFirst,
            (BaselineMode::Latest, Phase::Baseline) => Stale::Again(silent, Loss::Nothing),
            (BaselineMode::Latest, _) => Stale::Again(silent, Loss::Gap),
            (_, Phase::Baseline) => {
                let silent = self.silent;
                Stale::Again(Restart::Baseline { silent }, Loss::Nothing)
            }
            _ if self.since.is_some() => Stale::Again(silent, Loss::SinceCreation),
            _ => Stale::Again(Restart::Comparison { accepted: false }, Loss::Compared),
        }
    }

    /// Where it stands after `event`, and what is written out with that.
    pub fn after(mut self, event: Event<'_>) -> (State, &'static [Chore]) {
        // All but these two void what is under way.
        if !matches!(event, Event::Held(_) | Event::Created { .. }) {
            self.cursor_seq += 1;
        }
        let mut chores: &'static [Chore] = &[];
        match event {
            Event::Page {
                step,
                drive_id,
                root_id,
                now,
            } => {
                if self.phase == Phase::Baseline && self.cursor.is_none() {
                    self.started_at = now;
                }
                self.drive_id = self.drive_id.or(drive_id.map(str::to_owned));
                self.root_id = self.root_id.or(root_id.map(str::to_owned));
                chores = self.take(step);
            }
            Event::Swept { last: false } => {}
            Event::Swept { last: true } => chores = self.end_sweep(),
            Event::NoSetComes => {
                self.sweep();
                // One more set, so that nothing waits for it.
                self.sets_read += 1;
                chores = &[Chore::VoidUnfinishedSet];
            }
            Event::Again { restart, known } => chores = self.begin_again(restart, known),
            Event::Held(hold) => self.held = Some(hold),
            Event::Anchored { link, at } => (self.anchor, self.anchored_at) = (Some(link), Some(at)),
            Event::Records { next, to } => {
                self.cursor = next.or(self.cursor);
                self.window_to = Some(to);
            }
            Event::WindowEnd { to } => {
                self.follow(None);
                (self.window_from, self.window_to, self.since) = (Some(to), None, None);
                // Records bear the number of the window that showed them.
                self.generation += 1;
                self.swept_generation += 1;
            }
            Event::WindowAgain => (self.cursor, self.window_to) = (None, None),
            Event::Anew { elsewhere } => chores = self.learn_anew(elsewhere),
            Event::Created { since, link } => self.begin(since, link),
        }
        (self, chores)
    }

    fn follow(&mut self, cursor: Option<Link>) {
        (self.phase, self.silent, self.cursor) = (Phase::Following, false, cursor);
    }

    /// Sweeps, and follows what is the cursor now behind that.
    fn sweep(&mut self) {
        (self.phase, self.next_cursor) = (Phase::Sweeping, self.cursor.take());
    }

    fn take(&mut self, step: Step) -> &'static [Chore] {
        match step {
            Step::Piece => &[],
            Step::Next(link) => {
                self.cursor = Some(link);
                &[]
            }
            Step::SetEnd { delta, staged } => self.end_set(delta, staged),
        }
    }

    fn end_set(&mut self, delta: Link, staged: bool) -> &'static [Chore] {
        self.sets_read += 1;
        if self.phase == Phase::Baseline && self.anchor.is_some() {
            let anchor = self.anchor.take();
            self.follow(anchor);
            return &[];
        }
        // What a silent reading lists is gone since it began: the next set's end announces it.
        self.silent &= self.since.is_none();
        let sweeps = !self.is_compared() || (staged && !self.silent);
        match sweeps {
            true => {
                self.cursor = Some(delta);
                self.sweep();
            }
            false => self.follow(Some(delta)),
        }
        if self.since.is_none() {
            return &[];
        }
        self.end_first_reading();
        &[Chore::ForgetTold]
    }

    fn end_sweep(&mut self) -> &'static [Chore] {
        // What a silent reading has staged waits for the next set.
        let chores: &[Chore] = if self.silent { &[] } else { &[Chore::Unstage] };
        let delta = self.next_cursor.take();
        self.follow(delta);
        (self.swept_generation, self.compared_items) = (self.generation, None);
        chores
    }

    /// From here on the cursor tells everything.
    fn end_first_reading(&mut self) {
        (self.since, self.anchor, self.anchored_at) = (None, None, None);
    }

    fn begin_again(&mut self, restart: Restart, known: i64) -> &'static [Chore] {
        (self.cursor, self.next_cursor, self.held) = (None, None, None);
        // What starts at now reads nothing whole, so that there is nothing to compare, nor a comparison that had begun
        // before its baseline was changed, and what it knows stays.
        match self.baseline {
            BaselineMode::Latest => self.swept_generation = self.generation,
            BaselineMode::Snapshot | BaselineMode::Emit => self.generation += 1,
        }
        self.anchored_at = self.anchored_at.filter(|_| self.anchor.is_some());
        match restart {
            Restart::Baseline { silent } => (self.phase, self.silent) = (Phase::Baseline, silent),
            Restart::Comparison { accepted } => {
                (self.phase, self.silent) = (Phase::Enumerating, false);
                // One that begins again is still the same: what it found new is not known from before.
                self.compared_items = match accepted {
                    true => Some(0),
                    false => self.compared_items.or(Some(known)),
                };
            }
            Restart::Rebaseline => {
                self.forget();
                return &[Chore::VoidSet, Chore::ForgetTold];
            }
        }
        &[Chore::VoidSet]
    }

    /// What was followed from a moment on goes on from there, once it has learnt what exists.
    fn learn_anew(&mut self, elsewhere: bool) -> &'static [Chore] {
        let silent = self.baseline != BaselineMode::Emit;
        let goes_on = silent && !elsewhere && matches!(self.phase, Phase::Following | Phase::Sweeping);
        let behind = self.next_cursor.take().or(self.cursor.take());
        self.forget();
        (self.silent, self.anchor) = (silent, behind.filter(|_| goes_on));
        self.generation += 1;
        match elsewhere {
            true => &[
                Chore::VoidSet,
                Chore::ForgetTold,
                Chore::ForgetRecords,
                Chore::ForgetItems,
            ],
            false => &[Chore::VoidSet, Chore::ForgetTold, Chore::ForgetRecords],
        }
    }

    /// Forgets where it stands and whose drive it was.
    fn forget(&mut self) {
        (self.phase, self.silent) = (Phase::Baseline, true);
        (self.cursor, self.next_cursor, self.held) = (None, None, None);
        (self.drive_id, self.root_id, self.compared_items) = (None, None, None);
        (self.window_from, self.window_to) = (None, None);
        self.end_first_reading();
    }

    fn begin(&mut self, since: Timestamp, link: Option<Link>) {
        // It reads nothing whole, with or without a link: what an older reading has seen is not gone by that.
        if self.baseline == BaselineMode::Latest {
            self.swept_generation = self.generation;
        }
        match self.baseline {
            // All that exists is announced as it is by then.
            BaselineMode::Emit => {}
            // It needs no more than the link.
            BaselineMode::Latest if link.is_some() => {
                self.follow(link);
                self.started_at = since;
            }
            BaselineMode::Latest | BaselineMode::Snapshot => {
                self.since = Some(since);
                self.anchor = self.anchor.take().or(link);
                self.anchored_at = self.anchor.is_some().then_some(since);
            }
        }
    }
}

#[cfg(test)]
mod tests;
