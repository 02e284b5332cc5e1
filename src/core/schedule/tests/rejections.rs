//! What is refused, and what is said then. A suggestion that is an expression must be one.

use proptest::prelude::*;

use super::Schedule;
use crate::core::schedule::ScheduleError;

/// What is said about `expression`: the error, and behind ` => ` the hint.
#[track_caller]
fn check(expression: &str, expect: &str) {
    let error = Schedule::parse(expression).expect_err("it is refused");
    let hint = error.hint().map(|hint| format!(" => {hint}")).unwrap_or_default();
    assert_eq!(format!("{error}{hint}"), expect, "for {expression:?}");
    let quoted = hint.split('`').skip(1).step_by(2);
    for suggested in quoted.filter(|quoted| quoted.contains(' ') || quoted.starts_with('@')) {
        assert!(Schedule::parse(suggested).is_ok(), "{suggested:?} is suggested");
    }
}

#[test]
fn a_value_outside_its_field_is_refused() {
    check(
        "60 * * * *",
        "minute: expected 0 to 59, got `60` => the full hour is minute `0`",
    );
    check(
        "0 24 * * *",
        "hour: expected 0 to 23, got `24` => midnight is hour `0`",
    );
    check(
        "60 0 0 * * *",
        "second: expected 0 to 59, got `60` => the full minute is second `0`",
    );
    check("0 0 0 * *", "day of month: expected 1 to 31, got `0`");
    check("0 0 32 * *", "day of month: expected 1 to 31, got `32`");
    check("0 0 1 13 *", "month: expected 1 to 12 or Jan to Dec, got `13`");
    check(
        "0 0 * * 8",
        "day of week: expected 0 to 7 (0 and 7 are Sunday) or Sun to Sat, got `8`",
    );
    check("Mon 0 * * *", "minute: expected 0 to 59, got `Mon`");
    check("0 0 * Mon *", "month: expected 1 to 12 or Jan to Dec, got `Mon`");
    check("-5 0 * * *", "minute: expected 0 to 59, got `-5`");
    check("+5 0 * * *", "minute: expected 0 to 59, got `+5`");
    check("1.5 0 * * *", "minute: expected 0 to 59, got `1.5`");
    check(
        "0 99999999999999999999 * * *",
        "hour: expected 0 to 23, got `99999999999999999999`",
    );
}

#[test]
fn a_list_has_no_holes() {
    let comma = "a value stands before and after each comma";
    check(
        "1,,2 0 * * *",
        &format!("minute: expected 0 to 59, got `1,,2` => {comma}"),
    );
    check(
        "0 1, * * *",
        &format!("hour: expected 0 to 23, got `1,` => {comma}"),
    );
    check(
        "0 ,1 * * *",
        &format!("hour: expected 0 to 23, got `,1` => {comma}"),
    );
}

#[test]
fn a_range_that_falls_is_refused_with_the_two_that_were_meant() {
    let falls = "expected a range that rises, within";
    let days = "0 to 7 (0 and 7 are Sunday) or Sun to Sat";
    check(
        "0 0 * * FRI-MON",
        &format!("day of week: {falls} {days}, got `FRI-MON` => write `Fri-Sun,Mon`"),
    );
    check(
        "0 0 * * 6-2",
        &format!("day of week: {falls} {days}, got `6-2` => write `Sat-Sun,Mon-Tue`"),
    );
    check(
        "0 0 * * 5-0",
        &format!("day of week: {falls} {days}, got `5-0` => write `Fri-Sun`"),
    );
    check(
        "0 22-2 * * *",
        &format!("hour: {falls} 0 to 23, got `22-2` => write `22-23,0-2`"),
    );
    check(
        "0 23-0 * * *",
        &format!("hour: {falls} 0 to 23, got `23-0` => write `23,0`"),
    );
    check(
        "0 22-4/2 * * *",
        &format!("hour: {falls} 0 to 23, got `22-4/2` => write `22-23/2,0-4/2`"),
    );
    check(
        "0 0 1 NOV-FEB *",
        &format!("month: {falls} 1 to 12 or Jan to Dec, got `NOV-FEB` => write `Nov-Dec,Jan-Feb`"),
    );
}

#[test]
fn a_step_needs_something_to_step_through() {
    check("*/0 * * * *", "minute: expected a step from 1 to 59, got `*/0`");
    check(
        "*/60 * * * *",
        "minute: expected a step from 1 to 59, got `*/60` => a step goes no further than its field: write `0` here, and the step in the field behind it",
    );
    check(
        "0 */24 * * *",
        "hour: expected a step from 1 to 23, got `*/24` => a step goes no further than its field: write `0` here, and the step in the field behind it",
    );
    check(
        "5/15 * * * *",
        "minute: expected a step to stand behind `*` or a range, got `5/15` => write `5-59/15`",
    );
    check(
        "0 0 * * Mon/2",
        "day of week: expected a step to stand behind `*` or a range, got `Mon/2` => write `Mon-Sat/2`",
    );
    check("*/ * * * *", "minute: expected a step from 1 to 59, got `*/`");
    check(
        "*/5/2 * * * *",
        "minute: expected a step from 1 to 59, got `*/5/2`",
    );
    check("*-5 * * * *", "minute: expected 0 to 59, got `*-5`");
}

#[test]
fn the_number_of_fields_is_five_or_six() {
    let fields = "expected five fields (minute, hour, day of month, month, day of week), six with seconds first, or a \
                  macro such as `@daily`, got";
    check(
        "",
        &format!("{fields} 0 in `` => write `*/15 * * * *` for every quarter of an hour"),
    );
    check("* * * *", &format!("{fields} 4 in `* * * *`"));
    check("15", &format!("{fields} 1 in `15` => write `*/15 * * * *`"));
    check("5m", &format!("{fields} 1 in `5m` => write `*/5 * * * *`"));
    check(
        "24:00",
        &format!("{fields} 1 in `24:00` => the minute comes first, then the hour: `0 0 * * *`"),
    );
    check(
        "TZ=Europe/Berlin 0 2 * * * x",
        &format!(
            "{fields} 7 in `TZ=Europe/Berlin 0 2 * * * x` => the time zone has a key of its own, `timezone`"
        ),
    );
    check(
        "0 2 * * * /usr/bin/backup now",
        &format!("{fields} 7 in `0 2 * * * /usr/bin/backup now`"),
    );
}

#[test]
fn a_time_of_day_is_put_into_its_fields() {
    check(
        "24:00 * * * *",
        "minute: expected 0 to 59, got `24:00` => the minute comes first, then the hour: `0 0 * * *`",
    );
    check(
        "0 9:30 * * *",
        "hour: expected 0 to 23, got `9:30` => the minute comes first, then the hour: `30 9 * * *`",
    );
}

#[test]
fn a_zone_does_not_stand_in_front() {
    check(
        "CRON_TZ=Europe/Berlin 0 2 * * *",
        "second: expected 0 to 59, got `CRON_TZ=Europe/Berlin` => the time zone has a key of its own, `timezone`",
    );
}

#[test]
fn a_macro_that_is_none_is_refused() {
    let macros = "expected one of @hourly, @daily, @midnight, @weekly, @monthly, @yearly, @annually, got";
    let made_up = "none is needed: after a downtime, a poll that was missed is made up for at once";
    let none = "crontab has no such rhythm, since it counts anew each hour and each day; \
                `event.poller.refresh_interval` takes any number of minutes";
    check("@reboot", &format!("{macros} `@reboot` => {made_up}"));
    check(
        "@every 5m",
        &format!("{macros} `@every 5m` => write `*/5 * * * *`"),
    );
    check(
        "@every 10s",
        &format!("{macros} `@every 10s` => write `*/10 * * * * *`"),
    );
    check(
        "@every 6h",
        &format!("{macros} `@every 6h` => write `0 */6 * * *`"),
    );
    check("@every 1m", &format!("{macros} `@every 1m` => write `* * * * *`"));
    check(
        "@every 60m",
        &format!("{macros} `@every 60m` => write `0 * * * *`"),
    );
    check(
        "@every 24h",
        &format!("{macros} `@every 24h` => write `0 0 * * *`"),
    );
    check("@every 90m", &format!("{macros} `@every 90m` => {none}"));
    check("@every 7m", &format!("{macros} `@every 7m` => {none}"));
    check("@every 1h30m", &format!("{macros} `@every 1h30m`"));
    check("@Daily", &format!("{macros} `@Daily` => did you mean `@daily`?"));
    check("@dayly", &format!("{macros} `@dayly` => did you mean `@daily`?"));
    check(
        "@daily 5",
        &format!("{macros} `@daily 5` => write `@daily` alone"),
    );
    check("@", &format!("{macros} `@`"));
}

#[test]
fn quartz_is_translated() {
    let counts = "Quartz counts the days of the week from 1, Sunday, crontab from 0";
    let day = "day of month: expected 1 to 31, got `?`";
    let weekday = "day of week: expected 0 to 7 (0 and 7 are Sunday) or Sun to Sat, got `?`";
    check(
        "0 0 12 ? * 1-5",
        &format!("{day} => write `0 12 * * Sun-Thu`; {counts}"),
    );
    check(
        "0 0 12 ? * 2-6",
        &format!("{day} => write `0 12 * * Mon-Fri`; {counts}"),
    );
    check(
        "30 0/5 14 ? * WED,6/2",
        "minute: expected a step to stand behind `*` or a range, got `0/5` => write `30 */5 14 * * Wed,Fri-Sat/2`; Quartz counts the days of the week from 1, Sunday, crontab from 0",
    );
    check(
        "0 15 10 * * ?",
        &format!("{weekday} => write `15 10 * * *`; {counts}"),
    );
    check(
        "0 12 ? * MON",
        &format!("{day} => write `0 12 * * Mon`; {counts}"),
    );
    check(
        "0 15 10 ? * 6 2026-2030",
        &format!(
            "expected five fields (minute, hour, day of month, month, day of week), six with seconds first, or a \
             macro such as `@daily`, got 7 in `0 15 10 ? * 6 2026-2030` => write `15 10 * * Fri`; {counts}"
        ),
    );
    let no_such = "crontab knows no last, nearest or n-th day; `28` is a day that every month has";
    check(
        "0 0 L * *",
        &format!("day of month: expected 1 to 31, got `L` => {no_such}"),
    );
    check(
        "0 0 15W * *",
        &format!("day of month: expected 1 to 31, got `15W` => {no_such}"),
    );
    check(
        "0 0 * * 5#3",
        &format!("day of week: expected 0 to 7 (0 and 7 are Sunday) or Sun to Sat, got `5#3` => {no_such}"),
    );
}

#[test]
fn other_habits_get_their_hint() {
    let spreads = "write a plain number; `jitter` spreads the polls";
    check(
        "0~59 * * * *",
        &format!("minute: expected 0 to 59, got `0~59` => {spreads}"),
    );
    check(
        "H * * * *",
        &format!("minute: expected 0 to 59, got `H` => {spreads}"),
    );
    check(
        "0 9–17 * * *",
        "hour: expected 0 to 23, got `9–17` => write `9-17`",
    );
    check(
        "H/15 * * * *",
        &format!("minute: expected 0 to 59, got `H/15` => {spreads}"),
    );
    check(
        "0 9..17 * * *",
        "hour: expected 0 to 23, got `9..17` => write `9-17`",
    );
    check(
        "0 0 * * Monday",
        "day of week: expected 0 to 7 (0 and 7 are Sunday) or Sun to Sat, got `Monday` => write `Mon`",
    );
    check(
        "0 0 1 January-sept *",
        "month: expected 1 to 12 or Jan to Dec, got `January-sept` => write `Jan-Sep`",
    );
}

#[test]
fn what_is_suggested_can_be_written() {
    let days = "0 to 7 (0 and 7 are Sunday) or Sun to Sat";
    check(
        "0 0 * * Friday-Monday",
        &format!("day of week: expected {days}, got `Friday-Monday` => write `Fri-Sun,Mon`"),
    );
    check(
        "0 0 * * Monday-Friday/2",
        &format!("day of week: expected {days}, got `Monday-Friday/2` => write `Mon-Fri/2`"),
    );
    check(
        "5/90 * * * *",
        "minute: expected a step to stand behind `*` or a range, got `5/90`",
    );
    check("– * * * *", "minute: expected 0 to 59, got `–`");
    check("0 0 12 ? * L", "day of month: expected 1 to 31, got `?`");
}

proptest! {
    #[test]
    fn a_suggested_item_can_be_written(
        word in "[0-9]{1,2}(-|–|\\.\\.)[0-9]{1,2}(/[0-9]{1,2})?|[0-9]{1,2}/[0-9]{1,2}|(Mon|Friday|Sun|0|7|6)-(Sunday|Tue|0|7)(/[0-9])?|[LWH~0-9]{1,3}",
        place in 0usize..6,
    ) {
        let mut words = ["*"; 6];
        words[place] = &word;
        if let Err(ScheduleError::Field { hint: Some(hint), .. }) = Schedule::parse(&words.join(" "))
            && let Some(text) = hint.strip_prefix("write `").and_then(|hint| hint.strip_suffix('`'))
        {
            words[place] = text;
            let again = words.join(" ");
            prop_assert!(Schedule::parse(&again).is_ok(), "{again:?} is suggested for {word:?}");
        }
    }
}

#[test]
fn what_can_never_fire_is_refused() {
    let every = "`28` is a day that every month has";
    for (expression, days, months, longest) in [
        ("0 0 30 2 *", "30", "Feb", 29),
        ("0 0 31 4,6,sep,11 *", "31", "Apr,Jun,Sep,Nov", 30),
        ("* * * 30-31 Feb *", "30-31", "Feb", 29),
        ("0 0 31 2 */2", "31", "Feb", 29),
    ] {
        check(
            expression,
            &format!(
                "day of month: expected 1 to {longest} with month `{months}`, got `{days}`, which would never fire => {every}"
            ),
        );
    }
}

#[test]
fn what_is_shown_is_bounded_and_fit_for_a_terminal() {
    check(
        "\u{1b}[31m * * * *",
        "minute: expected 0 to 59, got `\\u{1b}[31m`",
    );
    let long = "9".repeat(5_000);
    let error = Schedule::parse(&format!("{long} * * * *")).unwrap_err();
    assert!(error.to_string().len() < 300);
    let error = Schedule::parse(&format!("{}, * * * *", "1,".repeat(5_000))).unwrap_err();
    assert!(error.to_string().len() < 300);
    let error = Schedule::parse(&format!("0 0 12 ? * {}", "2,".repeat(5_000) + "2")).unwrap_err();
    assert!(error.hint().unwrap().len() < 400);
}
