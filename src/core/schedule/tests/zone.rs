//! Zone names that are none.

use jiff::tz::TimeZoneDatabase;

use crate::core::schedule::{is_zone_name, zone_named};

#[track_caller]
fn check(name: &str, expect: Option<&str>) {
    let database = TimeZoneDatabase::bundled();
    let names: Vec<String> = database.available().map(|name| name.to_string()).collect();
    let found = zone_named(
        name,
        |name| database.get(name).ok(),
        || names.iter().map(String::as_str),
    );
    let error = found.expect_err("there is no such zone");
    assert_eq!(error.hint().as_deref(), expect, "for {name:?}");
    assert!(
        error
            .to_string()
            .starts_with("expected an IANA time zone such as `Europe/Berlin`, got `")
    );
}

#[test]
fn an_unknown_zone_names_near_matches() {
    check("Berlin", Some("did you mean `Europe/Berlin`?"));
    check("Europe/Berlín", Some("did you mean `Europe/Berlin`?"));
    check("Europe/Berln", Some("did you mean `Europe/Berlin`?"));
    check("europe/new york", Some("did you mean `America/New_York`?"));
    check("new-york", Some("did you mean `America/New_York`?"));
    check("Europe/Calcutta", Some("did you mean `Asia/Calcutta`?"));
    check(
        "Indianapolis",
        Some("did you mean `America/Indiana/Indianapolis` or `America/Indianapolis`?"),
    );
    check("Sidney", Some("did you mean `Australia/Sydney`?"));
    check("", None);
    check("Mars/Olympus_Mons", None);
}

#[test]
fn an_offset_is_pointed_to_the_zone_that_has_it() {
    let zone = |name: &str| {
        Some(format!(
            "write `Etc/{name}` (there the sign is the other way round)"
        ))
    };
    check("+02:00", zone("GMT-2").as_deref());
    check("UTC+2", zone("GMT-2").as_deref());
    check("utc-0500", zone("GMT+5").as_deref());
    check("GMT-11", zone("GMT+11").as_deref());
    check("+00:00", Some("write `UTC`"));
    check("+05:30", None);
    check("UTC+15", None);
}

#[test]
fn a_known_zone_is_found_without_the_list() {
    let find = |name: &str| TimeZoneDatabase::bundled().get(name).ok();
    let none = || -> Vec<&str> { unreachable!("the list is asked for errors only") };
    let zone = zone_named("Europe/Berlin", find, none).unwrap();
    assert_eq!(zone.iana_name(), Some("Europe/Berlin"));
}

#[test]
fn the_name_of_a_zone_leads_nowhere_else() {
    for good in [
        "UTC",
        "Europe/Berlin",
        "America/Argentina/Ushuaia",
        "Etc/GMT+5",
        "EST5EDT",
    ] {
        assert!(is_zone_name(good), "{good}");
    }
    for bad in [
        "",
        "/etc/passwd",
        "../passwd",
        "Europe//Berlin",
        "Europe/",
        "Europe/..",
        "a b",
        "Ä",
        &"x".repeat(65),
    ] {
        assert!(!is_zone_name(bad), "{bad}");
    }
}
