//! The timer's decisions.

use std::collections::HashSet;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use super::{schedule, time, zone};
use crate::core::schedule::{History, Trigger, spread};

const MINUTE: Duration = Duration::from_secs(60);

/// A time on 2026-03-01, `11:05` or `11:05:30`; with `+1 ` in front on the next day.
fn at(text: &str) -> Timestamp {
    let (days, clock) = match text.split_once(' ') {
        Some((days, clock)) => (days.parse().unwrap(), clock),
        None => (0, text),
    };
    let seconds = if clock.len() == 5 { ":00Z" } else { "Z" };
    time(&format!("2026-03-01T{clock}{seconds}")) + SignedDuration::from_hours(24 * days)
}

fn last(text: &str) -> History {
    History {
        last_start: Some(at(text)),
        ..History::default()
    }
}

/// When a poll by `trigger` (`15m`, `never`, or an expression) is due.
#[track_caller]
fn check(trigger: &str, history: History, now: &str, expect: Option<&str>) {
    with(trigger, |trigger| {
        assert_eq!(trigger.next_due(&history, at(now)), expect.map(at));
    });
}

#[track_caller]
fn with(text: &str, judge: impl Fn(Trigger<'_>)) {
    if text == "never" {
        return judge(Trigger::Never);
    }
    if let Some(minutes) = text.strip_suffix('m') {
        return judge(Trigger::Every(MINUTE * minutes.parse().unwrap()));
    }
    let (schedule, zone) = (schedule(text), zone("UTC"));
    judge(Trigger::Cron {
        schedule: &schedule,
        zone: &zone,
        offset: Duration::ZERO,
    });
}

#[test]
fn a_resource_that_was_never_polled_is_due_at_once() {
    for trigger in ["0 2 * * *", "15m"] {
        check(trigger, History::default(), "12:00", Some("12:00"));
    }
    check("never", History::default(), "12:00", None);
}

#[test]
fn the_next_run_follows_the_last_polls_start() {
    check("*/15 * * * *", last("12:00"), "12:01", Some("12:15"));
    check("*/15 * * * *", last("12:00:03"), "12:14", Some("12:15"));
    check("15m", last("12:00:03"), "12:14", Some("12:15:03"));
    check("never", last("12:00"), "12:14", None);
}

#[test]
fn downtime_gives_one_catch_up_poll() {
    for (trigger, due, following) in [
        ("*/15 * * * *", "08:15", "18:15"),
        ("15m", "08:15", "18:18"),
        ("0 9 * * *", "09:00", "+1 09:00"),
    ] {
        check(trigger, last("08:00"), "18:03", Some(due));
        check(trigger, last("18:03"), "18:03", Some(following));
    }
    // Nothing was missed, so there is nothing to catch up with.
    check("0 9 * * *", last("09:00"), "18:03", Some("+1 09:00"));
}

#[test]
fn the_clock_going_back_repeats_nothing() {
    // An hour back: the run of 12:00 has had its turn.
    check("*/15 * * * *", last("12:00"), "11:00", Some("11:15"));
    check("*/15 * * * *", last("12:00"), "11:07", Some("11:30"));
    check("0 12 * * *", last("12:00"), "11:00", Some("+1 12:00"));
    check("0 12 * * *", last("12:00:01"), "11:59:58", Some("+1 12:00"));
    // A day back.
    check("0 12 * * *", last("+1 12:00"), "12:00", Some("+1 12:00"));
    check("*/15 * * * *", last("+1 12:00"), "12:00", Some("12:15"));
    // How long ago that poll was, an interval cannot know, but not less than nothing.
    check("15m", last("12:00"), "11:00", Some("11:15"));
}

#[test]
fn a_start_in_the_far_future_is_not_waited_for() {
    check("*/15 * * * *", last("+2 12:00"), "11:07", Some("11:15"));
    check("0 12 * * *", last("+400 12:00"), "11:07", Some("12:00"));
    check("15m", last("+400 12:00"), "11:07", Some("11:22"));
    let postponed = History {
        not_before: Some(at("+400 12:00")),
        ..last("11:00")
    };
    check("*/15 * * * *", postponed, "11:07", Some("+1 12:07"));
}

#[test]
fn retry_after_postpones_a_poll_and_the_schedule_resumes_after_it() {
    let postponed = |until: &str, unfinished| History {
        not_before: Some(at(until)),
        unfinished,
        ..last("12:00")
    };
    check("*/15 * * * *", postponed("12:40", false), "12:01", Some("12:40"));
    check("*/15 * * * *", postponed("12:10", false), "12:01", Some("12:15"));
    check("15m", postponed("12:40", false), "12:01", Some("12:40"));
    check("*/15 * * * *", last("12:40"), "12:40", Some("12:45"));
    // A poll that was refused is made again; the next of its schedule may be a day away.
    check("0 12 * * *", postponed("12:02", true), "12:01", Some("12:02"));
    check("0 12 * * *", postponed("12:02", true), "12:03", Some("12:03"));
    check("0 12 * * *", last("12:02"), "12:03", Some("+1 12:00"));
    check("never", postponed("12:02", true), "12:03", None);
}

/// When a poll is due after `before` has been edited to `after`.
#[track_caller]
fn check_edit(before: &str, after: &str, history: History, now: &str, expect: Option<&str>) {
    with(before, |before| {
        with(after, |after| {
            let due = after.due_after_edit(&before, &history, at(now));
            assert_eq!(due, expect.map(at));
        });
    });
}

#[test]
fn an_edit_loses_no_poll_and_repeats_none() {
    // What the new schedule would have run before it was one is not made up for.
    check_edit("0 2 * * *", "0 9 * * *", last("02:00"), "10:00", Some("+1 09:00"));
    check_edit("0 2 * * *", "*/15 * * * *", last("02:00"), "10:01", Some("10:15"));
    // A poll that was due is made, also when the new schedule is rarer, and when it was postponed.
    check_edit("*/15 * * * *", "0 9 * * *", last("09:30"), "10:00", Some("10:00"));
    let postponed = History {
        not_before: Some(at("10:20")),
        ..last("09:30")
    };
    check_edit("*/15 * * * *", "0 9 * * *", postponed, "10:00", Some("10:20"));
    // A run that the old schedule had already is not made again by the new one.
    check_edit(
        "0 10 * * *",
        "*/30 * * * *",
        last("10:00"),
        "10:00",
        Some("10:30"),
    );
    check_edit("0 10 * * *", "0 * * * *", last("10:00"), "09:30", Some("11:00"));
    // An interval still counts from the last start.
    check_edit("60m", "30m", last("09:45"), "10:00", Some("10:15"));
    check_edit("60m", "5m", last("09:45"), "10:00", Some("09:50"));
    check_edit("0 2 * * *", "30m", last("02:00"), "10:00", Some("02:30"));
    check_edit("15m", "never", last("09:00"), "10:00", None);
    check_edit("never", "*/15 * * * *", last("09:00"), "10:00", Some("10:15"));
    check_edit("never", "15m", History::default(), "10:00", Some("10:00"));
}

#[test]
fn jitter_moves_each_run_by_the_same() {
    let (schedule, zone) = (schedule("*/15 * * * *"), zone("UTC"));
    let trigger = Trigger::Cron {
        schedule: &schedule,
        zone: &zone,
        offset: Duration::from_millis(7_250),
    };
    let mut now = at("12:00:10");
    let mut starts = Vec::new();
    for _ in 0..3 {
        let history = History {
            last_start: Some(now),
            ..History::default()
        };
        now = trigger.next_due(&history, now).unwrap();
        starts.push(now);
    }
    let moved = ["12:15", "12:30", "12:45"].map(|run| at(run) + Duration::from_millis(7_250));
    assert_eq!(starts, moved);
    // Between a run and its share of the jitter, that run is still to come.
    let early = History {
        last_start: Some(at("12:15:07")),
        ..History::default()
    };
    assert_eq!(trigger.next_due(&early, at("12:15:07")), Some(moved[0]));
}

#[test]
fn an_edit_of_the_jitter_loses_no_run_and_repeats_none() {
    let (schedule, zone) = (schedule("*/15 * * * *"), zone("UTC"));
    let trigger = |seconds| Trigger::Cron {
        schedule: &schedule,
        zone: &zone,
        offset: Duration::from_secs(seconds),
    };
    let due = |before: u64, after: u64, last_start: &str, now: &str| {
        trigger(after).due_after_edit(&trigger(before), &last(last_start), at(now))
    };
    assert_eq!(
        due(0, 20, "12:15", "12:15:05"),
        Some(at("12:30:20")),
        "12:15 has run"
    );
    assert_eq!(
        due(20, 0, "12:00:20", "12:15:05"),
        Some(at("12:15:05")),
        "12:15 has not run"
    );
    assert_eq!(due(20, 5, "12:15:20", "12:20"), Some(at("12:30:05")));
}

#[test]
fn a_share_of_the_jitter_is_stable_and_spread_evenly() {
    let jitter = Duration::from_secs(30);
    // By hand from SHA-256: an update of the agent must not move anybody's polls.
    assert_eq!(spread("1/events", jitter), Duration::from_millis(16_730));
    assert_eq!(spread("2/events", jitter), Duration::from_millis(24_981));
    assert_eq!(spread("1/events", Duration::ZERO), Duration::ZERO);
    let shares: Vec<Duration> = (0..10_000)
        .map(|id| spread(&format!("{id}/events"), jitter))
        .collect();
    assert!(shares.iter().all(|share| *share < jitter));
    assert!(shares.iter().collect::<HashSet<_>>().len() > 8_000);
    for second in 0..30 {
        let within = shares.iter().filter(|share| share.as_secs() == second).count();
        assert!(
            (250..=420).contains(&within),
            "{within} of 10,000 lie in second {second}"
        );
    }
}

proptest! {
    #[test]
    fn a_poll_never_begins_twice_for_one_run_whatever_the_clock_does(
        steps in proptest::collection::vec(-90_000i64..90_000, 1..40),
        minutes in 1u32..60,
    ) {
        let (schedule, zone) = (schedule(&format!("0-59/{minutes} 0-23/3 * * *")), zone("Europe/Berlin"));
        let trigger = Trigger::Cron { schedule: &schedule, zone: &zone, offset: Duration::from_secs(11) };
        let mut now = time("2026-03-28T12:00:00Z");
        let mut history = History { last_start: Some(now), ..History::default() };
        for step in steps {
            now += SignedDuration::from_secs(step);
            let ahead = history.last_start.unwrap() > now;
            let due = trigger.next_due(&history, now).unwrap();
            if ahead {
                prop_assert!(due > now);
            } else {
                prop_assert!(due > history.last_start.unwrap());
            }
            if due <= now {
                // One poll for all that was missed; then the next is ahead.
                history.last_start = Some(now);
                prop_assert!(trigger.next_due(&history, now).unwrap() > now);
            }
        }
    }
}
