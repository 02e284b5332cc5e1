//! The language: what expressions mean, on days without changes of the clocks.

use proptest::prelude::*;

use super::{runs, schedule, time, zone};

/// The times of the first runs after the first instant of 2026 (a Thursday) in UTC, without seconds when they are 0.
#[track_caller]
fn check(expression: &str, expect: &[&str]) {
    let found = runs(expression, "UTC", "2025-12-31T23:59:59Z", expect.len());
    let found: Vec<&str> = found
        .iter()
        .map(|run| run.strip_suffix("+00").unwrap_or(run))
        .map(|run| run.strip_suffix(":00").unwrap_or(run))
        .map(|run| run.strip_prefix("2026-").unwrap_or(run))
        .collect();
    assert_eq!(found, expect, "for {expression:?}");
}

#[test]
fn the_examples_of_crontab_5_mean_what_it_says() {
    check("5 0 * * *", &["01-01 00:05", "01-02 00:05", "01-03 00:05"]);
    check("15 14 1 * *", &["01-01 14:15", "02-01 14:15", "03-01 14:15"]);
    check("0 22 * * 1-5", &["01-01 22:00", "01-02 22:00", "01-05 22:00"]);
    check("23 0-23/2 * * *", &["01-01 00:23", "01-01 02:23", "01-01 04:23"]);
    check("5 4 * * sun", &["01-04 04:05", "01-11 04:05"]);
    check("0 4 8-14 * *", &["01-08 04:00", "01-09 04:00"]);
    // "would cause a command to be run at 4:30 am on the 1st and 15th of each month, plus every Friday".
    check(
        "30 4 1,15 * 5",
        &[
            "01-01 04:30",
            "01-02 04:30",
            "01-09 04:30",
            "01-15 04:30",
            "01-16 04:30",
        ],
    );
}

#[test]
fn lists_ranges_steps_and_names_name_their_values() {
    check(
        "0,20,40 12 * * *",
        &["01-01 12:00", "01-01 12:20", "01-01 12:40", "01-02 12:00"],
    );
    check(
        "*/25 * * * *",
        &["01-01 00:00", "01-01 00:25", "01-01 00:50", "01-01 01:00"],
    );
    check(
        "10-59/20 3 * * *",
        &["01-01 03:10", "01-01 03:30", "01-01 03:50", "01-02 03:10"],
    );
    check(
        "1-3,30,58-59 0 1 JAN *",
        &[
            "01-01 00:01",
            "01-01 00:02",
            "01-01 00:03",
            "01-01 00:30",
            "01-01 00:58",
        ],
    );
    check(
        "0 0 1 feb-apr,dec *",
        &["02-01 00:00", "03-01 00:00", "04-01 00:00", "12-01 00:00"],
    );
    check(
        "0 0 * * Fri-Sun",
        &["01-02 00:00", "01-03 00:00", "01-04 00:00", "01-09 00:00"],
    );
    check("05 007 * * *", &["01-01 07:05"]);
}

#[test]
fn sunday_is_0_and_7() {
    for sunday in ["0", "7", "Sun", "sun", "7-7", "0,7", "Sun-Sun"] {
        check(&format!("0 0 * * {sunday}"), &["01-04 00:00", "01-11 00:00"]);
    }
    check(
        "0 0 * * 5-7",
        &["01-02 00:00", "01-03 00:00", "01-04 00:00", "01-09 00:00"],
    );
    check("0 0 * * 0-1", &["01-04 00:00", "01-05 00:00", "01-11 00:00"]);
    check("0 0 * * */7", &["01-04 00:00", "01-11 00:00"]);
    check("0 0 * * 4-6/7", &["01-01 00:00", "01-08 00:00"]);
    check("0 0 */31 */12 *", &["01-01 00:00"]);
}

#[test]
fn six_fields_begin_with_the_seconds() {
    check(
        "*/20 * * * * *",
        &["01-01 00:00", "01-01 00:00:20", "01-01 00:00:40", "01-01 00:01"],
    );
    check("30 0 12 * * *", &["01-01 12:00:30", "01-02 12:00:30"]);
}

#[test]
fn the_macros_stand_for_their_five_fields() {
    for (name, five) in [
        ("@hourly", "0 * * * *"),
        ("@daily", "0 0 * * *"),
        ("@midnight", "0 0 * * *"),
        ("@weekly", "0 0 * * Sun"),
        ("@monthly", "0 0 1 * *"),
        ("@yearly", "0 0 1 Jan *"),
        ("@annually", "0 0 1 Jan *"),
    ] {
        assert_eq!(schedule(name).to_string(), five);
    }
}

#[test]
fn two_days_mean_or_unless_one_begins_with_a_star() {
    // The 13th, and Fridays.
    check(
        "0 0 13 * Fri",
        &["01-02 00:00", "01-09 00:00", "01-13 00:00", "01-16 00:00"],
    );
    // Odd days that are Mondays.
    check("0 0 */2 * Mon", &["01-05 00:00", "01-19 00:00", "02-09 00:00"]);
    // The 1st, when it is a Sunday, Tuesday, Thursday or Saturday.
    check(
        "0 0 1 * */2",
        &["01-01 00:00", "02-01 00:00", "03-01 00:00", "08-01 00:00"],
    );
    // All days of the week, but not by a star: every day.
    check("0 0 1 * 0-7", &["01-01 00:00", "01-02 00:00"]);
    check("0 0 1 * 1,*", &["01-01 00:00", "01-02 00:00"]);
    // A day that its month lacks leaves the other.
    check("0 0 30 2 Mon", &["02-02 00:00", "02-09 00:00"]);
}

#[test]
fn the_29th_of_february_comes_in_leap_years() {
    check("0 0 29 2 *", &["2028-02-29 00:00", "2032-02-29 00:00"]);
    check("0 0 29 2 */6", &["2032-02-29 00:00", "2048-02-29 00:00"]);
    let last = runs("0 0 29 2 *", "UTC", "2090-01-01T00:00:00Z", 9);
    assert_eq!(last, ["2092-02-29 00:00:00+00", "2096-02-29 00:00:00+00"]);
}

#[test]
fn runs_are_from_1970_through_2100() {
    let (hourly, utc) = (schedule("@hourly"), zone("UTC"));
    let next = |now: &str| hourly.next_after(&utc, time(now)).map(|fire| fire.at.to_string());
    assert_eq!(
        next("-009999-01-02T01:59:59Z").as_deref(),
        Some("1970-01-01T00:00:00Z")
    );
    assert_eq!(
        next("1969-12-31T23:59:59Z").as_deref(),
        Some("1970-01-01T00:00:00Z")
    );
    assert_eq!(
        next("1969-12-31T23:59:59.5Z").as_deref(),
        Some("1970-01-01T00:00:00Z")
    );
    assert_eq!(
        next("2100-12-31T22:59:59Z").as_deref(),
        Some("2100-12-31T23:00:00Z")
    );
    assert_eq!(next("2100-12-31T23:00:00Z"), None);
    assert_eq!(next("9999-12-30T22:00:00Z"), None);
}

#[test]
fn the_next_run_is_strictly_after_now() {
    let (hourly, utc) = (schedule("@hourly"), zone("UTC"));
    for (now, expect) in [
        ("2026-01-01T00:59:59.999999999Z", "2026-01-01T01:00:00Z"),
        ("2026-01-01T01:00:00Z", "2026-01-01T02:00:00Z"),
        ("2026-01-01T01:00:00.000000001Z", "2026-01-01T02:00:00Z"),
    ] {
        let next = hourly.next_after(&utc, time(now)).unwrap();
        assert_eq!(next.at, time(expect), "after {now}");
    }
}

#[test]
fn an_expression_is_shown_in_one_spelling() {
    for (given, shown) in [
        ("*/5 7-19 * * Mon-Fri", "*/5 7-19 * * Mon-Fri"),
        ("\t05  4\t* jan-MAR  1-5 ", "5 4 * Jan-Mar Mon-Fri"),
        ("0 0 0 * * *", "0 0 * * *"),
        ("00 0 0 * * 7", "0 0 * * Sun"),
        ("0,30 0 0 * * 5-7", "0,30 0 0 * * Fri-Sun"),
        ("*/1 1-5/1 3-3/2 */2 0-7", "* 1-5 3 */2 Sun-Sat"),
        ("0-59/15 0 * 12 0-7/2", "0-59/15 0 * Dec Sun-Sat/2"),
        ("0 0 * * 1-7/3,0", "0 0 * * Mon-Sun/3,Sun"),
    ] {
        assert_eq!(schedule(given).to_string(), shown, "for {given:?}");
    }
}

proptest! {
    #[test]
    fn what_is_shown_means_the_same(expression in super::oracle::expression()) {
        if let Ok(read) = super::Schedule::parse(&expression.text()) {
            prop_assert_eq!(&schedule(&read.to_string()), &read);
        }
    }

    #[test]
    fn nothing_that_is_typed_makes_it_panic(text in "[-*/,?@:~LW#0-9 A-Za-z–é]{0,24}") {
        if let Err(error) = super::Schedule::parse(&text) {
            prop_assert!(error.to_string().len() + error.hint().map_or(0, |hint| hint.len()) < 1_000);
        }
    }

    #[test]
    fn fields_of_anything_do_not_make_it_panic(
        words in proptest::collection::vec("[-*/,?:~LW#0-9A-Za-z]{1,6}|[0-9]{1,2}|\\*|\\*/[0-9]{1,3}|[0-9]{1,2}-[0-9]{1,2}", 5..=7),
    ) {
        let text = words.join(" ");
        match super::Schedule::parse(&text) {
            Ok(read) => prop_assert!(read.next_after(&zone("UTC"), time("2026-01-01T00:00:00Z")).is_some()),
            Err(error) => prop_assert!(!error.to_string().is_empty()),
        }
    }
}
