//! The scheduler over a real database, with a clock that is turned by hand, and without polls: a poll is noted as the
//! poller notes it.

use std::collections::BTreeMap;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::{Job, Scheduler};
use crate::clock::{Clock, FakeClock};
use crate::config::Config;
use crate::config::Live;
use crate::core::bounds::PausedBy;
use crate::core::elements;
use crate::core::model::{Configuration, ElementKey, Secret, time_text};
use crate::core::poll::Poll;
use crate::store::{Depth, Grant, Hold, Key, Look, NewInstance, Restart, Sharing, Starts, Store};
use std::sync::Arc;

const MINUTE: Duration = Duration::from_secs(60);
const NONE: [i64; 0] = [];
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

pub(in crate::agent) struct Site {
    pub(in crate::agent) store: Arc<Store>,
    pub(in crate::agent) clock: Arc<FakeClock>,
    live: Live,
    _dir: tempfile::TempDir,
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// A new database in `data_dir`, which is made.
pub(in crate::agent) fn open(data_dir: &Path, now: Timestamp) -> Store {
    DirBuilder::new().mode(0o700).create(data_dir).unwrap();
    let (key, _) = Key::create(data_dir).unwrap();
    Store::create(data_dir, Sharing::Owner, &key, now).unwrap();
    Store::open(
        data_dir,
        Sharing::Owner,
        Some(key),
        Look::Brief,
        "https://graph.microsoft.com/v1.0",
    )
    .unwrap()
}

impl Site {
    /// Its clock shows `now`, its configuration file holds `config`, and there is no jitter.
    pub(in crate::agent) fn new(now: &str, config: &str) -> Site {
        let dir = tempfile::tempdir().unwrap();
        let data_dir = dir.path().join("data");
        Site {
            store: Arc::new(open(&data_dir, at(now))),
            clock: Arc::new(FakeClock::at(at(now))),
            live: Live::new(&settings(config)),
            _dir: dir,
        }
    }

    /// Makes an instance with one resource. Returns the resource's id.
    pub(in crate::agent) fn add(&self, name: &str, keys: serde_json::Value) -> i64 {
        let mut configuration: Configuration = serde_json::from_value(keys).unwrap();
        configuration.insert("event.notification.enabled".to_owned(), json!(true));
        configuration.insert(
            "event.notification.callback.url".to_owned(),
            json!("http://127.0.0.1:1/"),
        );
        let base = "https://graph.microsoft.com/v1.0";
        let settings = elements::settings(ElementKey::OneDriveV2, &configuration, base).unwrap();
        let new = NewInstance {
            name,
            element: ElementKey::OneDriveV2,
            tags: &[],
            configuration: &configuration,
            settings: &settings,
            grant: &Grant {
                access_token: Some(Secret::new("access-0123")),
                expires_at: Some(self.clock.now()),
                ..Grant::default()
            },
            starts: &Starts {
                since: self.clock.now(),
                anchors: BTreeMap::new(),
            },
        };
        let id = self.store.create_instance(&new, self.clock.now()).unwrap();
        self.store.resources_of(id).unwrap()[0].0
    }

    fn scheduler(&self) -> Scheduler<'_> {
        Scheduler::new(&self.store, &*self.clock, &self.live)
    }

    /// Looks, and polls until nothing is due. Returns the resources in their order.
    fn polls(&self, scheduler: &Scheduler<'_>) -> Vec<i64> {
        scheduler.look().unwrap();
        let mut polled = Vec::new();
        while let Some(job) = scheduler.next().unwrap() {
            self.poll(scheduler, job);
            polled.push(job.resource_id);
            assert!(polled.len() < 1_000, "a burst of polls: {:?}", &polled[..10]);
        }
        scheduler.look().unwrap();
        polled
    }

    fn poll(&self, scheduler: &Scheduler<'_>, job: Job) {
        let now = self.clock.now();
        self.store.begin_poll(job.resource_id, now).unwrap();
        self.store.end_poll(job.resource_id, &Poll::begun(now)).unwrap();
        scheduler.done(job).unwrap();
    }

    /// From now on the first instance must sign in.
    fn lose_grant(&self) {
        let now = self.clock.now();
        assert!(self.store.take_renewal(1, "me", now).unwrap());
        self.store.require_login(1, "me", "revoked").unwrap();
        self.store.give_renewal_up(1, "me").unwrap();
    }

    /// What is shown as planned.
    fn planned(&self, resource_id: i64) -> String {
        let mut shown = None;
        let row = crate::store::Rows::One(resource_id);
        self.store.planned(row, |row| shown = row.next_poll_at).unwrap();
        shown.map_or_else(|| "-".to_owned(), time_text)
    }
}

fn settings(config: &str) -> Config {
    Config::parse(&format!("schedule.jitter = \"0s\"\n{config}")).unwrap()
}

#[test]
fn a_resource_is_polled_at_once_and_then_by_its_schedule() {
    let here = Site::new("2026-03-01T12:00:30Z", "");
    let id = here.add("a", json!({"event.poller.schedule": "*/5 * * * *"}));
    let scheduler = here.scheduler();
    assert_eq!(here.polls(&scheduler), [id]);
    assert_eq!(here.planned(id), "2026-03-01T12:05:00.000Z");
    here.clock.advance(Duration::from_millis(269_999));
    assert_eq!(here.polls(&scheduler), NONE);
    here.clock.advance(Duration::from_millis(1));
    assert_eq!(here.polls(&scheduler), [id]);
    assert_eq!(here.planned(id), "2026-03-01T12:10:00.000Z");
}

#[test]
fn polls_that_take_long_do_not_move_the_ones_after_them() {
    let here = Site::new("2026-03-01T12:00:00Z", "");
    let id = here.add("a", json!({"event.poller.schedule": "*/5 * * * *"}));
    let scheduler = here.scheduler();
    for lap in 1..=100 {
        here.clock.advance(Duration::from_secs(lap % 7));
        here.polls(&scheduler);
        let minute = (at(&here.planned(id)).as_second() / 60) % 60;
        assert_eq!(minute % 5, 0);
        let wait = at(&here.planned(id)).duration_since(here.clock.now());
        here.clock.advance(Duration::try_from(wait).unwrap());
    }
    assert_eq!(here.planned(id), "2026-03-01T20:20:00.000Z");
}

#[test]
fn an_interval_counts_from_the_last_polls_start() {
    let here = Site::new("2026-03-01T12:00:00Z", "");
    let id = here.add("a", json!({"event.poller.refresh_interval": 15}));
    let scheduler = here.scheduler();
    scheduler.look().unwrap();
    let job = scheduler.next().unwrap().unwrap();
    here.store.begin_poll(id, here.clock.now()).unwrap();
    here.clock.advance(5 * MINUTE);
    // While it is under way it is not handed out again, whatever is read meanwhile.
    here.store.enable_instance(1, true, here.clock.now()).unwrap();
    scheduler.look().unwrap();
    assert_eq!(scheduler.next().unwrap(), None);
    let started = at("2026-03-01T12:00:00Z");
    here.store.end_poll(id, &Poll::begun(started)).unwrap();
    scheduler.done(job).unwrap();
    scheduler.look().unwrap();
    assert_eq!(here.planned(id), "2026-03-01T12:15:00.000Z");
}

#[test]
fn suspend_and_resume_give_one_catch_up_poll() {
    let here = Site::new("2026-03-01T12:00:00Z", "");
    let ids = [
        here.add("a", json!({"event.poller.schedule": "* * * * *"})),
        here.add("b", json!({"event.poller.refresh_interval": 1})),
        here.add("c", json!({"event.poller.schedule": "0 3 * * *"})),
    ];
    let scheduler = here.scheduler();
    here.polls(&scheduler);
    here.clock.advance(3 * DAY + 10 * Duration::from_secs(1));
    let mut polled = here.polls(&scheduler);
    polled.sort_unstable();
    assert_eq!(polled, ids);
    assert_eq!(here.planned(ids[0]), "2026-03-04T12:01:00.000Z");
    assert_eq!(here.planned(ids[1]), "2026-03-04T12:01:10.000Z");
    assert_eq!(here.planned(ids[2]), "2026-03-05T03:00:00.000Z");
}

#[test]
fn a_step_of_a_day_forward_and_back_neither_repeats_nor_stalls() {
    let here = Site::new("2026-03-01T12:00:00Z", "");
    let cron = here.add("a", json!({"event.poller.schedule": "0 * * * *"}));
    let interval = here.add("b", json!({"event.poller.refresh_interval": 60}));
    let scheduler = here.scheduler();
    assert_eq!(here.polls(&scheduler), [cron, interval]);
    here.clock.set(at("2026-03-02T12:00:00Z"));
    assert_eq!(here.polls(&scheduler).len(), 2, "one catch-up each");
    assert_eq!(here.polls(&scheduler), NONE);
    here.clock.set(at("2026-03-01T12:00:00Z"));
    assert_eq!(here.polls(&scheduler), NONE);
    // Each waits once, not for a day.
    assert_eq!(here.planned(cron), "2026-03-01T13:00:00.000Z");
    assert_eq!(here.planned(interval), "2026-03-01T13:00:00.000Z");
    here.store.enable_instance(1, true, here.clock.now()).unwrap();
    here.clock.advance(59 * MINUTE);
    assert_eq!(here.polls(&scheduler), NONE);
    assert_eq!(here.planned(interval), "2026-03-01T13:00:00.000Z");
    here.clock.advance(MINUTE);
    assert_eq!(here.polls(&scheduler), [cron, interval]);
}

#[test]
fn a_clock_that_was_far_ahead_is_not_waited_for() {
    let here = Site::new("2031-01-01T00:00:00Z", "");
    let id = here.add("a", json!({"event.poller.schedule": "0 * * * *"}));
    let scheduler = here.scheduler();
    assert_eq!(here.polls(&scheduler), [id]);
    here.clock.set(at("2026-03-01T12:30:00Z"));
    assert_eq!(here.polls(&scheduler), NONE);
    assert_eq!(here.planned(id), "2026-03-01T13:00:00.000Z");
}

type Act<'a> = &'a dyn Fn();

#[test]
fn what_waits_for_a_person_or_for_room_is_not_due_and_is_made_up_for_once() {
    let here = Site::new("2026-03-01T12:00:00Z", "");
    let id = here.add("a", json!({"event.poller.schedule": "0 * * * *"}));
    let scheduler = here.scheduler();
    assert_eq!(here.polls(&scheduler), [id]);
    let held = || here.store.resource(id).unwrap();
    let waits: [(Act<'_>, Act<'_>); 3] = [
        (
            &|| {
                assert!(
                    here.store
                        .pause(1, PausedBy::MaxEvents, here.clock.now())
                        .unwrap()
                )
            },
            &|| here.store.resume(1).unwrap(),
        ),
        (&|| here.store.hold(&held(), Hold::Deletions).unwrap(), &|| {
            here.store.start_over(&held(), Restart::Rebaseline).unwrap()
        }),
        (&|| here.lose_grant(), &|| here.store.try_grant_again(1).unwrap()),
    ];
    for (wait, go_on) in waits {
        wait();
        scheduler.look().unwrap();
        assert_eq!(here.planned(id), "-");
        here.clock.advance(3 * 60 * MINUTE);
        assert_eq!(here.polls(&scheduler), NONE);
        go_on();
        assert_eq!(here.polls(&scheduler), [id], "at once, and not for each hour");
        assert_ne!(here.planned(id), "-");
    }
}

#[test]
fn a_poll_that_was_refused_for_its_sign_in_is_made_after_the_next_one() {
    let here = Site::new("2026-03-01T12:00:00Z", "");
    let id = here.add("a", json!({"event.poller.schedule": "0 * * * *"}));
    let scheduler = here.scheduler();
    assert_eq!(here.polls(&scheduler), [id]);
    here.lose_grant();
    here.clock.advance(MINUTE);
    assert_eq!(here.polls(&scheduler), NONE);
    here.store.try_grant_again(1).unwrap();
    assert_eq!(here.polls(&scheduler), [id]);
    assert_eq!(here.planned(id), "2026-03-01T13:00:00.000Z");
}

#[test]
fn a_postponed_poll_is_made_once_it_may_and_the_schedule_resumes() {
    let here = Site::new("2026-03-01T12:00:00Z", "");
    let id = here.add("a", json!({"event.poller.schedule": "0 * * * *"}));
    let scheduler = here.scheduler();
    scheduler.look().unwrap();
    let job = scheduler.next().unwrap().unwrap();
    let now = here.clock.now();
    here.store.begin_poll(id, now).unwrap();
    here.store.note_app(1, &Secret::new("app")).unwrap();
    here.store
        .throttle(1, (now, now + SignedDuration::from_secs(90)), true)
        .unwrap();
    let poll = Poll {
        error: Some("throttled".to_owned()),
        postponed: true,
        ..Poll::begun(now)
    };
    here.store.end_poll(id, &poll).unwrap();
    scheduler.done(job).unwrap();
    scheduler.look().unwrap();
    assert_eq!(here.planned(id), "2026-03-01T12:01:30.000Z");
    here.clock.advance(Duration::from_secs(89));
    assert_eq!(here.polls(&scheduler), NONE);
    here.clock.advance(Duration::from_secs(1));
    assert_eq!(here.polls(&scheduler), [id]);
    assert_eq!(here.planned(id), "2026-03-01T13:00:00.000Z");
}

#[test]
fn a_poll_that_breaks_off_at_once_is_not_made_again_without_a_pause() {
    let here = Site::new("2026-03-01T12:00:00Z", "");
    let id = here.add("a", json!({}));
    let scheduler = here.scheduler();
    scheduler.look().unwrap();
    let job = scheduler.next().unwrap().unwrap();
    here.store.begin_poll(id, here.clock.now()).unwrap();
    scheduler.done(job).unwrap();
    assert_eq!(here.polls(&scheduler), NONE);
    here.clock.advance(Duration::from_secs(1));
    assert_eq!(here.polls(&scheduler), [id]);
}

#[test]
fn an_edit_loses_no_poll_and_repeats_none() {
    let here = Site::new("2026-03-01T12:00:00Z", "[[poll]]\ncron = \"0 * * * *\"\n");
    let id = here.add("a", json!({}));
    let scheduler = here.scheduler();
    assert_eq!(here.polls(&scheduler), [id]);
    here.clock.advance(30 * MINUTE);
    here.live.replace(settings("[[poll]]\ncron = \"*/5 * * * *\"\n"));
    assert_eq!(
        here.polls(&scheduler),
        NONE,
        "what only the new one had is not made up for"
    );
    assert_eq!(here.planned(id), "2026-03-01T12:35:00.000Z");
    here.clock.advance(30 * MINUTE);
    here.live.replace(settings("[[poll]]\ncron = \"0 3 * * *\"\n"));
    assert_eq!(
        here.polls(&scheduler),
        [id],
        "what was due before the edit is not lost"
    );
    assert_eq!(here.planned(id), "2026-03-02T03:00:00.000Z");
    here.live.replace(settings(
        "# the same, elsewhere\n\n[[poll]]\ncron = \"0 3 * * *\"\n",
    ));
    assert_eq!(here.polls(&scheduler), NONE);
    here.live
        .replace(settings("[[poll]]\ncron = \"0 3 * * *\"\nenabled = false\n"));
    assert_eq!(here.polls(&scheduler), NONE);
    assert_eq!(here.planned(id), "-");
}

#[test]
fn requests_come_first_and_a_resource_in_hand_is_not_polled_twice() {
    let here = Site::new("2026-03-01T12:00:00Z", "");
    let (a, b) = (
        here.add("a", json!({"event.poller.refresh_interval": 44_641})),
        here.add("b", json!({})),
    );
    let scheduler = here.scheduler();
    let asked = here
        .store
        .ask_for_poll(a, Depth::Resync, here.clock.now())
        .unwrap();
    assert!(scheduler.look().unwrap());
    let first = scheduler.next().unwrap().unwrap();
    assert_eq!(
        (first.resource_id, first.request.map(|ask| ask.id)),
        (a, Some(asked))
    );
    scheduler.look().unwrap();
    let second = scheduler.next().unwrap().unwrap();
    assert_eq!((second.resource_id, second.request), (b, None));
    assert_eq!(scheduler.next().unwrap(), None);
    here.store.answer_request(asked, &Poll::default()).unwrap();
    here.poll(&scheduler, first);
    here.poll(&scheduler, second);
    assert_eq!(here.polls(&scheduler), NONE);
    assert_eq!(here.planned(a), "-");
}

#[test]
fn what_commands_change_is_seen_without_being_told() {
    let here = Site::new("2026-03-01T12:00:00Z", "");
    let a = here.add("a", json!({}));
    let scheduler = here.scheduler();
    assert_eq!(here.polls(&scheduler), [a]);
    here.store.enable_instance(1, false, here.clock.now()).unwrap();
    here.clock.advance(DAY);
    assert_eq!(here.polls(&scheduler), NONE);
    assert_eq!(here.planned(a), "-");
    here.store.enable_instance(1, true, here.clock.now()).unwrap();
    let b = here.add("b", json!({}));
    assert_eq!(here.polls(&scheduler), [a, b]);
    here.store.remove_instance(1).unwrap();
    here.clock.advance(15 * MINUTE);
    assert_eq!(here.polls(&scheduler), [b]);
}

#[test]
fn what_could_not_be_polled_is_due_again_in_a_second_and_who_waits_for_it_waits_on() {
    let here = Site::new("2026-03-01T12:00:00Z", "");
    let (a, b) = (here.add("a", json!({})), here.add("b", json!({})));
    let scheduler = here.scheduler();
    let asked = here
        .store
        .ask_for_poll(a, Depth::Changes, here.clock.now())
        .unwrap();
    scheduler.look().unwrap();
    for id in [a, b] {
        let job = scheduler.next().unwrap().unwrap();
        assert_eq!(job.resource_id, id);
        scheduler.put_off(job);
    }
    assert_eq!(scheduler.next().unwrap(), None, "not again and again at once");
    scheduler.look().unwrap();
    let again = scheduler.next().unwrap().unwrap();
    assert_eq!(again.request.map(|request| request.id), Some(asked));
    here.store.answer_request(asked, &Poll::default()).unwrap();
    here.poll(&scheduler, again);
    here.clock.advance(Duration::from_secs(1));
    assert_eq!(here.polls(&scheduler), [b]);
}
