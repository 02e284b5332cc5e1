//! The timetable under every order of what can happen to it: a scheduled resource is in hand or due, whatever came before.

use proptest::prelude::*;

use super::*;
use crate::core::plan::{Keys, Rule, Subject, Whose};
use crate::core::schedule::Schedule;

const RESOURCES: usize = 6;

/// One thing that happens. Numbers choose a resource, of which three belong to one instance.
#[derive(Clone, Debug)]
enum Act {
    Look,
    TakeDue,
    Ask(usize),
    /// A poll ends well, is to be made again, or is turned away for so many seconds, with its instance.
    Done(usize, bool, u16),
    /// The database cannot be read when a poll ends.
    DoneUnread(usize),
    Throttle(usize, u16),
    Switch(usize, bool),
    Hold(usize, bool),
    Gone(usize),
    Edit(usize),
    Wait(u32),
    SetBack(u32),
    Zones,
}

fn act() -> impl Strategy<Value = Act> {
    let one = 0..RESOURCES;
    prop_oneof![
        2 => Just(Act::Look),
        6 => Just(Act::TakeDue),
        2 => one.clone().prop_map(Act::Ask),
        6 => (one.clone(), any::<bool>(), 0u16..120).prop_map(|(id, again, pause)| Act::Done(id, again, pause)),
        1 => one.clone().prop_map(Act::DoneUnread),
        1 => (one.clone(), 0u16..600).prop_map(|(id, pause)| Act::Throttle(id, pause)),
        1 => (one.clone(), any::<bool>()).prop_map(|(id, on)| Act::Switch(id, on)),
        1 => (one.clone(), any::<bool>()).prop_map(|(id, held)| Act::Hold(id, held)),
        1 => one.prop_map(Act::Gone),
        1 => (0usize..4).prop_map(Act::Edit),
        3 => (0u32..200_000).prop_map(Act::Wait),
        1 => (0u32..400_000).prop_map(Act::SetBack),
        1 => Just(Act::Zones),
    ]
}

/// What the database would say, and the timetable that is told of it.
struct World {
    rows: Vec<Option<Planned>>,
    rules: Vec<Polling>,
    now: Timestamp,
    table: Timetable,
    in_hand: BTreeSet<i64>,
}

impl World {
    fn new() -> World {
        let now = "2026-03-01T12:00:00Z".parse().unwrap();
        let row = |number: usize| Planned {
            id: number as i64,
            subject: Subject {
                instance_id: (number / 3) as i64,
                instance: format!("i{}", number / 3),
                tags: Vec::new(),
                resource: format!("r{number}"),
                own: Keys::default(),
                of_instance: Keys::default(),
                interval: number
                    .is_multiple_of(2)
                    .then_some(crate::core::model::Interval::Every(Duration::from_secs(900))),
            },
            polled: true,
            signed_in: true,
            held: false,
            paused: false,
            started_at: now,
            cursor_seq: 0,
            last_poll_at: None,
            unfinished: false,
            throttled_until: None,
            next_poll_at: None,
        };
        let poll = |cron: &str, enabled| Rule {
            line: 1,
            instance: Whose::Everybodys,
            resource: None,
            cron: Some(Schedule::parse(cron).unwrap()),
            timezone: Some("Europe/Berlin".to_owned()),
            enabled,
        };
        let rules = |polls| Polling {
            polls,
            cron: Schedule::parse("*/15 * * * *").unwrap(),
            timezone: "UTC".to_owned(),
            jitter: Duration::from_secs(30),
        };
        World {
            rows: (0..RESOURCES).map(|number| Some(row(number))).collect(),
            rules: vec![
                rules(vec![]),
                rules(vec![poll("0 3 * * *", None)]),
                rules(vec![poll("* * * * * *", Some(true))]),
                rules(vec![poll("0 3 * * *", Some(false))]),
            ],
            now,
            table: Timetable::new(now),
            in_hand: BTreeSet::new(),
        }
    }

    fn look(&mut self) {
        let rows = self.rows.iter().flatten();
        self.table
            .take_in(&self.rules[0], self.now, |put| {
                rows.cloned().for_each(put);
                Ok::<(), ()>(())
            })
            .unwrap();
    }

    fn instance_of(&mut self, id: usize) -> impl Iterator<Item = &mut Planned> {
        self.rows[id / 3 * 3..id / 3 * 3 + 3].iter_mut().flatten()
    }

    fn begin(&mut self, id: i64) {
        self.in_hand.insert(id);
        if let Some(row) = &mut self.rows[id as usize] {
            (row.last_poll_at, row.unfinished) = (Some(self.now), true);
        }
    }

    fn after(&self, seconds: u16) -> Option<Timestamp> {
        Some(self.now + SignedDuration::from_secs(seconds.into()))
    }

    fn done(&mut self, id: usize, again: bool, pause: u16) {
        if !self.in_hand.remove(&(id as i64)) {
            return;
        }
        if let Some(row) = &mut self.rows[id] {
            row.unfinished = again;
        }
        if again && pause > 0 {
            let until = self.after(pause);
            self.instance_of(id).for_each(|row| row.throttled_until = until);
        }
        let (now, rules) = (self.now, self.rules[0].clone());
        let beside: Vec<Planned> = self.instance_of(id).map(|row| row.clone()).collect();
        for row in &beside {
            match row.id == id as i64 {
                true => self.table.give_back(row, &rules, now),
                false => self.table.put(row, &rules, now),
            }
        }
        if self.rows[id].is_none() {
            self.table.forget(id as i64);
        }
    }

    fn act(&mut self, act: Act) {
        let now = self.now;
        match act {
            Act::Look => self.look(),
            Act::TakeDue => {
                while let Some(id) = self.table.first_due_by(now) {
                    match &self.rows[id as usize] {
                        Some(row) => self.table.put(row, &self.rules[0], now),
                        None => self.table.forget(id),
                    }
                    if self.table.hand_out(id, now) {
                        assert!(!self.in_hand.contains(&id), "{id} is handed out twice");
                        self.begin(id);
                        break;
                    }
                }
            }
            Act::Ask(id) => {
                if let Some(row) = self.rows[id].clone()
                    && !self.table.is_in_hand(row.id)
                {
                    self.table.put(&row, &self.rules[0], now);
                    self.table.hold(row.id);
                    self.begin(row.id);
                }
            }
            Act::Done(id, again, pause) => self.done(id, again, pause),
            Act::DoneUnread(id) => {
                if self.in_hand.remove(&(id as i64)) {
                    self.table.give_back_unread(id as i64, now);
                }
            }
            Act::Throttle(id, pause) => {
                let until = self.after(pause);
                self.instance_of(id).for_each(|row| row.throttled_until = until);
            }
            Act::Switch(id, on) => self.instance_of(id).for_each(|row| row.polled = on),
            Act::Hold(id, held) => self.instance_of(id).for_each(|row| row.held = held),
            Act::Gone(id) => self.rows[id] = None,
            Act::Edit(rules) => self.rules.swap(0, rules),
            Act::Wait(seconds) => self.set_clock(i64::from(seconds)),
            Act::SetBack(seconds) => self.set_clock(-i64::from(seconds)),
            Act::Zones => self.table.refresh_zones(now),
        }
    }

    fn set_clock(&mut self, by: i64) {
        self.now += SignedDuration::from_secs(by);
        self.table.tell_time(self.now);
    }

    /// What must hold between any two steps.
    fn check(&mut self) {
        let mut first = None;
        for (id, entry) in &self.table.entries {
            assert_eq!(
                entry.state == State::InHand,
                self.in_hand.contains(id),
                "{entry:?}"
            );
            if let State::Due(due) = entry.state {
                assert!(
                    self.table.heap.iter().any(|found| found.0 == (due, *id)),
                    "{id} is not in the heap"
                );
                first = Some(first.map_or(due, |first: Timestamp| first.min(due)));
            }
        }
        assert_eq!(self.table.first_due(), first);
    }

    /// Once it has looked, whatever is scheduled is in hand or due within two days: no schedule here is rarer, and no
    /// pause is waited for longer.
    fn check_all_scheduled(&mut self) {
        self.look();
        self.check();
        let latest = self.now + SignedDuration::from_hours(49);
        for row in self.rows.iter().flatten() {
            let disabled = self.rules[0].plan(&row.subject).disabled_by.is_some();
            let state = self.table.entries[&row.id].state;
            match state {
                State::InHand => {}
                State::Due(due) => assert!(due <= latest, "{row:?} waits until {due}"),
                State::NotScheduled => assert!(!row.polled || row.held || disabled, "{row:?} is lost"),
            }
        }
    }
}

proptest! {
    #[test]
    fn what_is_scheduled_is_in_hand_or_due_whatever_happened(acts in prop::collection::vec(act(), 1..60)) {
        let mut world = World::new();
        world.look();
        for act in acts {
            world.act(act);
            world.check();
            world.check_all_scheduled();
        }
    }

    /// The same where nothing reads all resources again to heal what went wrong.
    #[test]
    fn polls_alone_strand_nothing(acts in prop::collection::vec(act(), 1..60)) {
        let mut world = World::new();
        world.look();
        for act in acts {
            if !matches!(act, Act::Look | Act::Switch(..) | Act::Hold(..) | Act::Gone(_) | Act::Edit(_)) {
                world.act(act);
                world.check();
                let lost = world.table.entries.values().filter(|entry| entry.state == State::NotScheduled);
                prop_assert_eq!(lost.count(), 0);
            }
        }
    }
}
