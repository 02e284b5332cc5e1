//! SimpleDateFormat held against what the JDK says: its answers are kept as a table, and where there is a JDK it is asked
//! again. Then what is read otherwise here on purpose, and what a record's dates mean.

use std::process::Command;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const ANSWERS: &str = include_str!("../../../tests/fixtures/simple_date_format.tsv");

/// The table was made with two-digit years from 80 years before this on.
fn now() -> Timestamp {
    "2026-06-15T00:00:00Z".parse().unwrap()
}

fn zone(id: &str) -> TimeZone {
    ZoneId::of(id).zone(&|name| TimeZone::get(name).ok()).unwrap()
}

fn milliseconds(text: &str) -> Timestamp {
    Timestamp::from_millisecond(text.parse().unwrap()).unwrap()
}

fn check_answers(answers: &str) {
    for line in answers.lines() {
        let cells: Vec<&str> = line.split('\t').collect();
        match cells[..] {
            ["print", pattern, id, at, text] => {
                let ours = DateFormat::new(pattern)
                    .unwrap()
                    .print(milliseconds(at), &zone(id));
                if !tells_half_an_hour(pattern, &zone(id), milliseconds(at)) {
                    assert_eq!(ours, text, "{line}");
                }
            }
            ["parse", pattern, id, text, at] => {
                let ours = DateFormat::new(pattern)
                    .unwrap()
                    .read(&json!(text), &zone(id), now());
                let theirs = (at != "refused").then(|| milliseconds(at));
                assert_eq!(ours, theirs, "{line}");
            }
            ["zone", id, winter, summer] => {
                for (at, offset) in [("1772443921123", winter), ("1785489721004", summer)] {
                    let ours = zone(id).to_offset_info(milliseconds(at)).offset().seconds() * 1000;
                    assert_eq!(ours.to_string(), offset, "{line}");
                }
            }
            _ => panic!("a line of another kind: {line:?}"),
        }
    }
}

/// Where the JDK's `X` leaves out the minutes of an offset, and so tells another time.
fn tells_half_an_hour(pattern: &str, zone: &TimeZone, at: Timestamp) -> bool {
    let letters = pattern.replace("XXX", "").replace("XX", "");
    letters.contains('X') && zone.to_offset_info(at).offset().seconds() % 3600 != 0
}

#[test]
fn dates_are_written_and_read_as_the_jdk_does() {
    assert!(ANSWERS.lines().count() > 4_000);
    check_answers(ANSWERS);
}

/// The zones of another JDK may know other rules than those of the table; those of the day are compared all the same.
#[test]
fn the_jdk_of_this_machine_says_the_same() {
    let source = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/fixtures/SimpleDateFormatAnswers.java"
    );
    let Ok(answer) = Command::new("java").arg(source).output() else {
        eprintln!("no java here: the table of its answers is all that was compared");
        return;
    };
    if !answer.status.success() {
        eprintln!(
            "java could not run the program: {}",
            String::from_utf8_lossy(&answer.stderr)
        );
        return;
    }
    check_answers(std::str::from_utf8(&answer.stdout).unwrap());
}

#[track_caller]
fn reads(pattern: &str, value: Value, expect: Option<&str>) {
    let read = DateFormat::new(pattern)
        .unwrap()
        .read(&value, &zone("America/New_York"), now());
    let expect = expect.map(|text| text.parse::<Timestamp>().unwrap());
    assert_eq!(read, expect, "{pattern} {value}");
}

#[test]
fn what_the_jdk_would_misread_is_refused() {
    reads("yyyy-MM-dd", json!("2026-13-01"), None);
    reads("yyyy-MM-dd", json!("2026-02-30"), None);
    reads("yyyy-MM-dd", json!("26-03-01"), None);
    reads("yyyy-MM-dd", json!("2026-03-01T10:00:00Z"), None);
    reads("M/d/yy", json!("3/1/1"), None);
    reads("yyyy-MM-dd HH:mm", json!("2026-03-01 -1:00"), None);
    reads("yyyy-MM-dd HH:mm:ss", json!("2026-03-01 10:00:00 and more"), None);
    reads("yyyy-MM-dd", json!(20260301), None);
    reads("yyyy-MM-dd", json!(null), None);
    reads("yyyy-MM-dd", json!({"at": "2026-03-01"}), None);
}

#[test]
fn digits_beyond_three_are_a_fraction() {
    let pattern = "yyyy-MM-dd'T'HH:mm:ss.SSSSSSX";
    reads(
        pattern,
        json!("2026-03-01T10:00:00.123456Z"),
        Some("2026-03-01T10:00:00.123456Z"),
    );
    reads(
        "yyyy-MM-dd'T'HH:mm:ss.SSSX",
        json!("2026-03-01T10:00:00.5Z"),
        Some("2026-03-01T10:00:00.5Z"),
    );
    reads(
        "yyyy-MM-dd'T'HH:mm:ss.SSS'Z'",
        json!("2026-03-01T10:00:00.1234567Z"),
        Some("2026-03-01T15:00:00.1234567Z"),
    );
    let printed = DateFormat::new("ss.SSSSSS")
        .unwrap()
        .print(milliseconds("1772443921123"), &TimeZone::UTC);
    assert_eq!(printed, "01.123000");
}

#[test]
fn a_fraction_and_an_offset_that_the_pattern_leaves_out_are_understood() {
    let pattern = "yyyy-MM-dd'T'HH:mm:ss";
    reads(
        pattern,
        json!("2026-03-01T10:00:00"),
        Some("2026-03-01T15:00:00Z"),
    );
    reads(
        pattern,
        json!("2026-03-01T10:00:00.250"),
        Some("2026-03-01T15:00:00.25Z"),
    );
    reads(
        pattern,
        json!("2026-03-01T10:00:00Z"),
        Some("2026-03-01T10:00:00Z"),
    );
    reads(
        pattern,
        json!("2026-03-01T10:00:00.25+05:30"),
        Some("2026-03-01T04:30:00.25Z"),
    );
}

#[test]
fn an_offset_is_read_in_every_spelling() {
    for (letter, text) in [
        ("X", "+0530"),
        ("XX", "+05:30"),
        ("Z", "+05:30"),
        ("z", "GMT+5:30"),
        ("XXX", "+0530"),
        ("Z", "+530"),
    ] {
        let pattern = format!("yyyy-MM-dd'T'HH:mm:ss{letter}");
        reads(
            &pattern,
            json!(format!("2026-03-01T10:00:00{text}")),
            Some("2026-03-01T04:30:00Z"),
        );
    }
    reads(
        "yyyy-MM-dd HH:mm z",
        json!("2026-03-01 10:00 Z"),
        Some("2026-03-01T10:00:00Z"),
    );
}

#[test]
fn numbers_since_the_epoch_come_as_numbers_and_as_text() {
    reads(
        "milliseconds",
        json!(1772443921123_i64),
        Some("2026-03-02T09:32:01.123Z"),
    );
    reads(
        "milliseconds",
        json!("1772443921123"),
        Some("2026-03-02T09:32:01.123Z"),
    );
    reads("seconds", json!(1772443921), Some("2026-03-02T09:32:01Z"));
    reads("seconds", json!("1772443921.25"), Some("2026-03-02T09:32:01.25Z"));
    reads("seconds", json!(-1), Some("1969-12-31T23:59:59Z"));
    for value in [
        json!("now"),
        json!(""),
        json!("1."),
        json!("12345678901234567890"),
        json!(true),
        json!("1e9"),
    ] {
        reads("seconds", value, None);
    }
}

#[track_caller]
fn refused(pattern: &str, message: &str) {
    let error = DateFormat::new(pattern).unwrap_err();
    assert!(error.contains(message), "{pattern}: {error}");
}

#[test]
fn a_date_with_its_offset_is_written_as_the_instant_that_it_is() {
    let print = |pattern: &str, zone_id: &str| {
        let at = "2026-03-02T09:32:01Z".parse().unwrap();
        DateFormat::new(pattern).unwrap().print(at, &zone(zone_id))
    };
    assert_eq!(print("HH:mmX", "Asia/Kolkata"), "15:02+0530");
    assert_eq!(print("HH:mmX", "America/St_Johns"), "06:02-0330");
    assert_eq!(print("HH:mmX", "Europe/Berlin"), "10:32+01");
}

#[test]
fn a_pattern_that_is_none_is_refused_with_the_place() {
    refused("yyyy-MM-ddTHH", "the letter `T` at character 11");
    refused("yyyy 'at", "the quote at character 6 has no end");
    refused("yyyy ä T", "the letter `T` at character 8");
    refused("XXXX", "`X` at character 1 stands 4 times");
    refused("", "at least one");
    refused("'only text'", "at least one");
    refused("YYYY-MM-dd", "the letter `Y`");
    refused("yyyy-MM-dd hh:mm", "`h` counts hours to 12 and no `a` tells");
    refused("yyyy-MM-dd'a'KK", "`K` counts hours to 12");
}

fn rules() -> Rules {
    let field = |path: &str| DateField {
        path: path.to_owned(),
        format: None,
        zone: TimeZone::UTC,
    };
    Rules {
        id_field: "meta.id".to_owned(),
        updated: Some(field("updated")),
        created: Some(field("created")),
        filter_by_updated: true,
        filter_by_current: true,
        tolerance: SignedDuration::from_secs(5),
    }
}

fn judged(record: Value) -> Result<Option<EventType>, String> {
    let from = "2026-03-01T10:00:00Z".parse().unwrap();
    let verdict = judge(&record.to_string(), &rules(), from, now())?;
    Ok(match verdict {
        Verdict::Ignored => None,
        Verdict::Taken(judged) => Some(judged.event_type),
    })
}

#[test]
fn a_record_is_created_or_updated_by_its_dates() {
    let record = |created: &str, updated: &str| {
        judged(json!({"meta": {"id": 7}, "created": created, "updated": updated})).unwrap()
    };
    assert_eq!(
        record("2026-03-01T10:00:00Z", "2026-03-01T10:00:05Z"),
        Some(EventType::Created)
    );
    assert_eq!(
        record("2026-03-01T10:00:00Z", "2026-03-01T10:00:05.001Z"),
        Some(EventType::Updated)
    );
    assert_eq!(
        record("2025-03-01T10:00:00Z", "2026-03-01T10:00:00Z"),
        Some(EventType::Updated)
    );
    assert_eq!(record("2025-03-01T10:00:00Z", "2026-03-01T09:59:59.999Z"), None);
    assert_eq!(record("2026-03-01T10:00:00Z", "2026-06-15T00:00:00.001Z"), None);
}

#[track_caller]
fn check_floor(pattern: &str, id: &str, since: &str, expect: &str) {
    let mut rules = rules();
    rules.updated = Some(DateField {
        path: "u".to_owned(),
        format: Some(DateFormat::new(pattern).unwrap()),
        zone: zone(id),
    });
    assert_eq!(rules.floor(since.parse().unwrap()), expect.parse().unwrap());
}

#[test]
fn a_bound_lies_before_all_that_a_date_cannot_tell_from_it() {
    let at = "2026-03-01T09:30:15.75Z";
    check_floor("yyyy-MM-dd'T'HH:mm:ss.SSSXXX", "UTC", at, "2026-03-01T09:30:15Z");
    check_floor("yyyy-MM-dd HH:mm", "UTC", at, "2026-03-01T09:30:00Z");
    check_floor("yyyy-MM-dd", "Asia/Tokyo", at, "2026-02-28T15:00:00Z");
    check_floor("seconds", "UTC", at, "2026-03-01T09:30:15Z");
    // 02:00 to 03:00 comes twice there, and the first is read as the second: never as something earlier.
    let twice = "2026-10-25T00:50:00Z";
    check_floor("yyyy-MM-dd HH:mm:ss", "Europe/Berlin", twice, twice);
}

#[test]
fn a_field_that_is_not_as_expected_is_named_with_what_was_found() {
    let good = "2026-03-01T10:00:00Z";
    let fault = |record: Value| judged(record).unwrap_err();
    let at = |updated: Value| fault(json!({"meta": {"id": "a"}, "created": good, "updated": updated}));
    assert_eq!(
        fault(json!({"created": good, "updated": good})),
        "a record has no id: expected text or a whole number in `meta.id`, got nothing"
    );
    assert!(fault(json!({"meta": {"id": 1.5}})).ends_with("got `1.5`"));
    assert_eq!(
        at(json!("01.03.2026")),
        "record `a`: expected a date in the configured format in `updated`, got `01.03.2026`"
    );
    assert!(at(json!(null)).ends_with("got null"));
    assert!(at(json!(5)).ends_with("got `5`"));
    assert!(at(json!({"b": 1})).ends_with("got an object"));
    assert!(at(json!("x".repeat(5000))).len() < 500);
    assert!(judge("[", &rules(), now(), now()).is_err());
}

proptest! {
    #[test]
    fn what_a_pattern_writes_with_its_offset_it_reads_again(
        at in -10_000_000_000_000_i64..100_000_000_000_000,
        zone_at in 0..6_usize,
        pattern in prop::sample::select(vec![
            "yyyy-MM-dd'T'HH:mm:ss.SSSXXX", "EEE, d MMM yyyy hh:mm:ss.SSS a Z", "yyyyMMddHHmmssSSSZ", "SSS ss:mm:kk dd/MMMM/yyyy XX",
        ]),
    ) {
        let zone = zone(["UTC", "Europe/Berlin", "Asia/Kathmandu", "America/St_Johns", "PST", "GMT-3:30"][zone_at]);
        // Offsets of the nineteenth century have seconds, which none of the letters tells.
        let at = Timestamp::from_millisecond(at).unwrap();
        prop_assume!(zone.to_offset_info(at).offset().seconds() % 60 == 0);
        let format = DateFormat::new(pattern).unwrap();
        let text = format.print(at, &zone);
        prop_assert_eq!(format.read(&json!(text), &TimeZone::UTC, now()), Some(at), "{}", text);
    }

    #[test]
    fn no_text_makes_it_panic(pattern in "[GyMdEaHkKhmsSzZX' :.T-]{0,12}", text in "\\PC{0,24}", number in any::<f64>()) {
        if let Ok(format) = DateFormat::new(&pattern) {
            format.read(&json!(text), &zone("Europe/Berlin"), now());
            format.read(&json!(number), &zone("Europe/Berlin"), now());
        }
        let template = Template::parse(&format!("/a?${{date:{pattern}}}{text}"));
        if let Ok(template) = template {
            template.expand(now(), &TimeZone::UTC, &|_| None).ok();
        }
    }
}
