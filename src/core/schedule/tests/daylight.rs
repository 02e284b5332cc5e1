//! What changes of the clocks do to runs: the cases that people ask about, one by one.

use jiff::SignedDuration;

use super::{runs, schedule, time, zone};
use crate::core::schedule::Shift;

/// The first runs after `from`, as the clock of `zone` shows them.
#[track_caller]
fn check(expression: &str, zone: &str, from: &str, expect: &[&str]) {
    let found = runs(expression, zone, from, expect.len());
    assert_eq!(found, expect, "for {expression:?} in {zone}");
}

#[test]
fn a_fixed_time_in_the_gap_runs_once_after_it() {
    let from = "2026-03-28T12:00:00+01:00";
    let after = ["2026-03-29 03:00:00+02", "2026-03-30 02:30:00+02"];
    check("30 2 * * *", "Europe/Berlin", from, &after);
    // Several of them run as one, also with one that has its place at the gap's end.
    let after = ["2026-03-29 03:00:00+02", "2026-03-30 02:10:00+02"];
    check("10,20 2 * * *", "Europe/Berlin", from, &after);
    let after = [
        "2026-03-29 03:00:00+02",
        "2026-03-29 03:30:00+02",
        "2026-03-30 02:00:00+02",
    ];
    check("0,30 2,3 * * *", "Europe/Berlin", from, &after);
    // The gap's first second is in it, the second after it is not.
    check("0 2 * * *", "Europe/Berlin", from, &["2026-03-29 03:00:00+02"]);
    check(
        "59 59 1 * * *",
        "Europe/Berlin",
        from,
        &["2026-03-29 01:59:59+01"],
    );
    check("1 0 3 * * *", "Europe/Berlin", from, &["2026-03-29 03:00:01+02"]);
    // A gap at midnight, the day's first hour.
    let after = ["2026-04-24 01:00:00+03", "2026-04-25 00:00:00+03"];
    check("@daily", "Africa/Cairo", "2026-04-23T12:00:00Z", &after);
    // Half an hour.
    let after = ["2026-10-04 02:30:00+11", "2026-10-05 02:15:00+11"];
    check(
        "15 2 * * *",
        "Australia/Lord_Howe",
        "2026-10-03T12:00:00Z",
        &after,
    );
}

#[test]
fn a_gap_of_three_hours_is_made_up_for_and_a_lost_day_is_not() {
    // Casey went from +8 to +11 at 02:00 on 2009-10-18.
    let after = ["2009-10-18 05:00:00+11", "2009-10-19 03:00:00+11"];
    check("0 3 * * *", "Antarctica/Casey", "2009-10-17T00:00:00Z", &after);
    // Samoa had no 2011-12-30; Kwajalein no 1993-08-21.
    let after = ["2011-12-29 12:00:00-10", "2011-12-31 12:00:00+14"];
    check("0 12 * * *", "Pacific/Apia", "2011-12-29T12:00:00Z", &after);
    check(
        "0 0 * * *",
        "Pacific/Apia",
        "2011-12-29T12:00:00Z",
        &["2011-12-31 00:00:00+14"],
    );
    let after = ["1993-08-20 12:00:00-12", "1993-08-22 12:00:00+12"];
    check("0 12 * * *", "Pacific/Kwajalein", "1993-08-20T12:00:00Z", &after);
    check(
        "0 12 30 12 *",
        "Pacific/Apia",
        "2011-12-01T00:00:00Z",
        &["2012-12-30 12:00:00+14"],
    );
}

#[test]
fn a_fixed_time_in_the_fold_runs_once() {
    let from = "2026-10-24T12:00:00Z";
    let after = ["2026-10-25 02:30:00+02", "2026-10-26 02:30:00+01"];
    check("30 2 * * *", "Europe/Berlin", from, &after);
    let after = [
        "2026-10-25 02:00:00+02",
        "2026-10-25 02:59:00+02",
        "2026-10-25 03:00:00+01",
    ];
    check("0,59 2,3 * * *", "Europe/Berlin", from, &after);
    // Asked for between the two, the second is none.
    for now in [
        "2026-10-25T00:30:00Z",
        "2026-10-25T01:15:00Z",
        "2026-10-25T01:30:00Z",
    ] {
        check("30 2 * * *", "Europe/Berlin", now, &["2026-10-26 02:30:00+01"]);
    }
    check(
        "0 3 * * *",
        "Europe/Berlin",
        "2026-10-25T01:15:00Z",
        &["2026-10-25 03:00:00+01"],
    );
    // The fold is half an hour, and goes back over the full hour.
    let after = ["2026-04-05 01:45:00+11", "2026-04-06 01:45:00+10:30"];
    check(
        "45 1 * * *",
        "Australia/Lord_Howe",
        "2026-04-04T12:00:00Z",
        &after,
    );
    // Back over midnight, into the day before.
    let after = ["2026-04-04 23:30:00-03", "2026-04-05 23:30:00-04"];
    check("30 23 * * *", "America/Santiago", "2026-04-04T12:00:00Z", &after);
}

#[test]
fn a_step_schedule_follows_real_time_through_both() {
    let after = [
        "2026-03-29 01:30:00+01",
        "2026-03-29 01:45:00+01",
        "2026-03-29 03:00:00+02",
        "2026-03-29 03:15:00+02",
    ];
    check("*/15 * * * *", "Europe/Berlin", "2026-03-29T00:15:00Z", &after);
    let after = [
        "2026-10-25 02:30:00+02",
        "2026-10-25 02:45:00+02",
        "2026-10-25 02:00:00+01",
        "2026-10-25 02:15:00+01",
        "2026-10-25 02:30:00+01",
        "2026-10-25 02:45:00+01",
        "2026-10-25 03:00:00+01",
    ];
    check("*/15 * * * *", "Europe/Berlin", "2026-10-25T00:15:00Z", &after);
    // One star in minute or hour is enough, and a step is one; one in the seconds is none.
    let from = "2026-10-24T12:00:00Z";
    let twice = ["2026-10-25 02:30:00+02", "2026-10-25 02:30:00+01"];
    check("30 */2 25 * *", "Europe/Berlin", "2026-10-24T22:30:00Z", &twice);
    check(
        "*/30 2 * * *",
        "Europe/Berlin",
        from,
        &[
            "2026-10-25 02:00:00+02",
            "2026-10-25 02:30:00+02",
            "2026-10-25 02:00:00+01",
        ],
    );
    check(
        "* 30 2 * * *",
        "Europe/Berlin",
        "2026-10-25T00:30:59Z",
        &["2026-10-26 02:30:00+01"],
    );
    // What the gap swallows of a rhythm, nothing makes up for.
    check(
        "*/30 2 * * *",
        "Europe/Berlin",
        "2026-03-28T12:00:00Z",
        &["2026-03-30 02:00:00+02"],
    );
    // A whole day is left out, and the rhythm goes on after it.
    let after = ["2011-12-29 22:00:00-10", "2011-12-31 00:00:00+14"];
    check("0 */2 * * *", "Pacific/Apia", "2011-12-30T07:00:00Z", &after);
}

#[test]
fn zones_without_daylight_saving_and_with_minutes_in_their_offset() {
    let after = ["2026-01-01 06:00:00+05:45", "2026-01-02 06:00:00+05:45"];
    check("0 6 * * *", "Asia/Kathmandu", "2026-01-01T00:00:00Z", &after);
    let after = ["2026-03-08 03:00:00-02:30", "2026-03-09 02:01:00-02:30"];
    check("1 2 * * *", "America/St_Johns", "2026-03-07T12:00:00Z", &after);
    // Dublin's law has its winter time as the exception; the clocks change all the same.
    let after = ["2026-03-29 02:00:00+01", "2026-03-30 01:30:00+01"];
    check("30 1 * * *", "Europe/Dublin", "2026-03-28T12:00:00Z", &after);
    // Morocco goes back for Ramadan, and forward after it.
    let after = ["2026-03-22 03:00:00+01", "2026-03-23 02:30:00+01"];
    check("30 2 * * *", "Africa/Casablanca", "2026-03-21T12:00:00Z", &after);
}

/// The shifts of the first runs after `from`, in words.
#[track_caller]
fn check_shifts(expression: &str, from: &str, expect: &[&str]) {
    let (schedule, zone) = (schedule(expression), zone("Europe/Berlin"));
    let shifts = schedule.runs(&zone, time(from)).take(expect.len());
    let shifts: Vec<String> = shifts
        .map(|fire| fire.shift.map(|shift| shift.to_string()).unwrap_or_default())
        .collect();
    assert_eq!(shifts, expect, "for {expression:?}");
}

#[test]
fn a_shift_is_marked_once_and_in_words() {
    check_shifts(
        "30 2 * * *",
        "2026-03-27T12:00:00Z",
        &[
            "",
            "instead of 2026-03-29 02:30:00, which the clocks skip",
            "",
            "",
        ],
    );
    check_shifts(
        "30 2 * * *",
        "2026-10-23T12:00:00Z",
        &[
            "",
            "the first of two, as the clocks go back",
            "the clocks have gone back by 1h",
            "",
        ],
    );
    check_shifts(
        "@hourly",
        "2026-03-28T23:30:00Z",
        &["", "the clocks have gone forward by 1h", ""],
    );
    check_shifts(
        "@hourly",
        "2026-10-24T23:30:00Z",
        &[
            "the first of two, as the clocks go back",
            "the second of two, as the clocks go back",
            "",
            "",
        ],
    );
    check_shifts(
        "@monthly",
        "2026-03-15T00:00:00Z",
        &["the clocks have gone forward by 1h", ""],
    );
}

#[test]
fn a_shift_tells_what_was_asked() {
    let (schedule, zone) = (schedule("30 2 * * *"), zone("Europe/Berlin"));
    let fire = schedule.next_after(&zone, time("2026-03-28T12:00:00Z")).unwrap();
    assert_eq!(
        fire.shift,
        Some(Shift::Skipped {
            asked: "2026-03-29T02:30".parse().unwrap()
        })
    );
    let fire = schedule.next_after(&zone, time("2026-03-27T12:00:00Z")).unwrap();
    assert_eq!(fire.shift, None);
    let fire = super::schedule("@hourly")
        .next_after(&super::zone("Australia/Lord_Howe"), time("2026-04-04T14:59:00Z"));
    assert_eq!(
        fire.unwrap().shift,
        Some(Shift::Moved {
            by: SignedDuration::from_mins(-30)
        })
    );
}
