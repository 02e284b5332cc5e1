//! Whatever happens to a resource, in whatever order, it comes to follow its feed again, and knows what is there. Each act
//! is one transaction, and nothing but the state and the rows outlives it: an agent that dies between two of them goes
//! on as here.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

/// Items that a page shows.
const PAGE: usize = 2;
/// Known items of which a comparison may delete more than half without a person.
const FEW: i64 = 3;

#[derive(Clone, Copy, Debug)]
enum Act {
    Create(u8),
    Delete(u8),
    /// The next transaction of a poll.
    Step,
    Stale,
    Ask(Depth),
    AnotherDrive,
    Anew {
        elsewhere: bool,
    },
}

/// A provider, what the store's rows hold, and what somebody who listens believes.
struct World {
    there: BTreeSet<u8>,
    changes: Vec<(u8, bool)>,
    state: State,
    /// Each with the generation that saw it, and whether it is marked as gone.
    items: BTreeMap<u8, (i64, bool)>,
    staged: BTreeSet<u8>,
    heard: BTreeSet<u8>,
}

fn now() -> Timestamp {
    Timestamp::UNIX_EPOCH
}

/// All changes behind the first `number`.
fn changes_since(number: usize) -> Link {
    vec![b'c', u8::try_from(number).unwrap()]
}

/// An enumeration that began after so many changes, behind the item `shown`.
fn enumeration(began: u8, shown: u8) -> Link {
    vec![b'e', began, shown]
}

fn new(baseline: BaselineMode) -> State {
    State {
        baseline,
        phase: Phase::Baseline,
        silent: baseline != BaselineMode::Emit,
        generation: 1,
        swept_generation: 1,
        cursor: None,
        next_cursor: None,
        cursor_seq: 0,
        sets_read: 0,
        since: None,
        anchor: None,
        anchored_at: None,
        started_at: now(),
        drive_id: None,
        root_id: None,
        compared_items: None,
        held: None,
        window_from: None,
        window_to: None,
    }
}

impl World {
    fn new(baseline: BaselineMode, anchored: bool) -> World {
        let mut world = World {
            there: BTreeSet::from([1, 2, 3, 4, 5]),
            changes: Vec::new(),
            state: new(baseline),
            items: BTreeMap::new(),
            staged: BTreeSet::new(),
            heard: BTreeSet::new(),
        };
        world.create(anchored);
        world
    }

    fn create(&mut self, anchored: bool) {
        let link = anchored.then(|| changes_since(self.changes.len()));
        self.happens(Event::Created { since: now(), link });
    }

    fn happens(&mut self, event: Event<'_>) {
        let (state, chores) = self.state.clone().after(event);
        self.state = state;
        for chore in chores {
            match chore {
                Chore::VoidSet => {
                    self.staged.clear();
                    self.items.values_mut().for_each(|(_, doomed)| *doomed = false);
                }
                Chore::VoidUnfinishedSet | Chore::Unstage => self.staged.clear(),
                Chore::ForgetItems => self.items.clear(),
                Chore::ForgetTold | Chore::ForgetRecords => {}
            }
        }
    }

    fn acts(&mut self, act: Act) {
        match act {
            Act::Create(id) => self.changes.extend(self.there.insert(id).then_some((id, true))),
            Act::Delete(id) => self.changes.extend(self.there.remove(&id).then_some((id, false))),
            Act::Step if self.state.held.is_none() => self.step(),
            Act::Stale if self.state.held.is_none() && self.state.cursor.is_some() => {
                match self.state.stale(!self.staged.is_empty()) {
                    Stale::SweepFirst => self.happens(Event::NoSetComes),
                    Stale::Again(restart, _) => self.begins_again(restart),
                }
            }
            Act::Step | Act::Stale => {}
            Act::Ask(depth) => {
                if let Some(restart) = self.state.asked(depth) {
                    self.begins_again(restart);
                }
            }
            Act::AnotherDrive => self.happens(Event::Held(Hold::Drive)),
            Act::Anew { elsewhere } => {
                if elsewhere || self.state.baseline_counts() {
                    self.happens(Event::Anew { elsewhere });
                    self.create(true);
                }
            }
        }
    }

    fn begins_again(&mut self, restart: Restart) {
        let known = i64::try_from(self.items.len()).unwrap();
        self.happens(Event::Again { restart, known });
    }

    fn step(&mut self) {
        let before = self.state.cursor_seq;
        match self.state.phase {
            Phase::Sweeping => self.sweep(),
            _ => self.read_page(),
        }
        let moved = self.state.cursor_seq > before;
        assert!(
            moved || self.state.held.is_some(),
            "the same page could be committed twice"
        );
    }

    fn sweep(&mut self) {
        let state = &self.state;
        for (id, (generation, doomed)) in &mut self.items {
            let unseen = !state.is_compared() && *generation < state.generation;
            *doomed |= unseen || (!state.silent && self.staged.contains(id));
        }
        let mut doomed: Vec<u8> = self
            .items
            .iter()
            .filter(|(_, (_, gone))| *gone)
            .map(|(id, _)| *id)
            .collect();
        let most = state.compared_items.filter(|known| *known > FEW);
        if most.is_some_and(|known| i64::try_from(doomed.len()).unwrap() > known / 2) {
            return self.happens(Event::Held(Hold::Deletions));
        }
        if let Some(id) = doomed.pop() {
            self.items.remove(&id);
            self.staged.remove(&id);
            if !state.silent {
                self.heard.remove(&id);
            }
        }
        let last = doomed.is_empty();
        self.happens(Event::Swept { last });
    }

    fn read_page(&mut self) {
        let end = u8::try_from(self.changes.len()).unwrap();
        let cursor = self
            .state
            .cursor
            .clone()
            .unwrap_or_else(|| match self.state.baseline {
                BaselineMode::Latest => changes_since(self.changes.len()),
                BaselineMode::Snapshot | BaselineMode::Emit => enumeration(end, 0),
            });
        let (shown, next) = match cursor[..] {
            [b'c', read] => {
                let read = usize::from(read);
                let shown: Vec<_> = self.changes[read..].iter().copied().take(PAGE).collect();
                let read = read + shown.len();
                (shown, (read < self.changes.len()).then(|| changes_since(read)))
            }
            [b'e', began, behind] => {
                let mut left = self.there.range(behind + 1..).copied();
                let shown: Vec<_> = left.by_ref().take(PAGE).map(|id| (id, true)).collect();
                let last = shown.last().map_or(0, |(id, _)| *id);
                (shown, left.next().map(|_| enumeration(began, last)))
            }
            _ => unreachable!("no other links are made"),
        };
        for (id, alive) in shown {
            if alive {
                // A mark stays until the set that made it is void.
                self.items.entry(id).or_insert((0, false)).0 = self.state.generation;
                self.staged.remove(&id);
                if !self.state.silent {
                    self.heard.insert(id);
                }
            } else if self.items.contains_key(&id) {
                self.staged.insert(id);
            }
        }
        let delta = match cursor[..] {
            [b'e', began, _] => changes_since(usize::from(began)),
            _ => changes_since(self.changes.len()),
        };
        let staged = !self.staged.is_empty();
        let step = next.map_or(Step::SetEnd { delta, staged }, Step::Next);
        self.happens(Event::Page {
            step,
            drive_id: Some("d"),
            root_id: None,
            now: now(),
        });
    }

    /// A person decides what waits, and the polls go on while nothing more changes.
    fn comes_to_rest(&mut self) {
        for _ in 0..400 {
            match self.state.held {
                Some(Hold::Drive) => self.acts(Act::Ask(Depth::Rebaseline)),
                Some(Hold::Deletions) => self.acts(Act::Ask(Depth::AcceptedResync)),
                None => self.step(),
            }
            let read = self.state.since.is_none() && self.state.held.is_none();
            let follows = self.state.phase == Phase::Following && read;
            if follows
                && self.state.cursor == Some(changes_since(self.changes.len()))
                && self.staged.is_empty()
            {
                return;
            }
        }
        panic!("it never follows: {:?}", self.state);
    }
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        2 => (1..9u8).prop_map(Act::Create),
        2 => (1..9u8).prop_map(Act::Delete),
        8 => Just(Act::Step),
        1 => Just(Act::Stale),
        1 => prop_oneof![Just(Depth::Resync), Just(Depth::AcceptedResync)].prop_map(Act::Ask),
    ]
}

/// What makes it learn silently, so that who listens hears nothing of it.
fn silent_act() -> impl Strategy<Value = Act> {
    prop_oneof![
        8 => act(),
        1 => Just(Act::Ask(Depth::Rebaseline)),
        1 => Just(Act::AnotherDrive),
        1 => any::<bool>().prop_map(|elsewhere| Act::Anew { elsewhere }),
    ]
}

proptest! {
    #[test]
    fn whatever_happens_it_follows_again_and_knows_what_is_there(
        acts in prop::collection::vec(silent_act(), 0..60),
        baseline in prop::sample::select(BaselineMode::ALL),
        anchored: bool,
    ) {
        let mut world = World::new(baseline, anchored);
        acts.into_iter().for_each(|act| world.acts(act));
        world.comes_to_rest();
        let state = &world.state;
        prop_assert!(state.is_compared() && !state.silent, "{state:?}");
        prop_assert_eq!((&state.next_cursor, state.compared_items), (&None, None));
        if baseline != BaselineMode::Latest {
            let known: BTreeSet<u8> = world.items.into_keys().collect();
            prop_assert_eq!(known, world.there);
            prop_assert_eq!((state.since, &state.anchor), (None, &None));
        }
    }

    #[test]
    fn who_is_told_of_all_that_exists_believes_what_is_there(acts in prop::collection::vec(act(), 0..60)) {
        let mut world = World::new(BaselineMode::Emit, false);
        acts.into_iter().for_each(|act| world.acts(act));
        world.comes_to_rest();
        prop_assert_eq!(world.heard, world.there);
    }

    #[test]
    fn windows_lie_side_by_side_whatever_is_begun_again(pages in prop::collection::vec(0..3u8, 1..40)) {
        let mut state = new(BaselineMode::Snapshot);
        let mut from = None;
        for (second, page) in (1..).zip(pages) {
            let to = state.window_to.unwrap_or(Timestamp::from_second(second).unwrap());
            let next = Some(changes_since(0));
            let event = match page {
                0 => Event::Records { next, to },
                1 => Event::WindowAgain,
                _ => Event::WindowEnd { to },
            };
            from = if page == 2 { Some(to) } else { from };
            (state, _) = state.after(event);
            prop_assert_eq!(state.window_from, from);
            prop_assert_eq!(state.phase == Phase::Following, from.is_some());
        }
    }
}
