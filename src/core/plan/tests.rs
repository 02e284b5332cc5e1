//! Who says when a resource is polled.

use std::time::Duration;

use super::{Cadence, Keys, Plan, Polling, Rule, Source, Subject, Whose};
use crate::core::model::Interval;
use crate::core::schedule::Schedule;

fn rule(line: usize, instance: &str) -> Rule {
    Rule {
        line,
        instance: Whose::from_text(instance),
        resource: None,
        cron: None,
        timezone: None,
        enabled: None,
    }
}

fn rules(polls: Vec<Rule>) -> Polling {
    Polling {
        polls,
        cron: Schedule::parse("*/15 * * * *").unwrap(),
        timezone: "UTC".to_owned(),
        jitter: Duration::from_secs(30),
    }
}

fn cron(text: &str) -> Option<Schedule> {
    Some(Schedule::parse(text).unwrap())
}

fn keys(schedule: Option<&str>, timezone: Option<&str>) -> Keys {
    Keys {
        schedule: schedule.map(str::to_owned),
        timezone: timezone.map(str::to_owned),
    }
}

fn subject() -> Subject {
    Subject {
        instance_id: 7,
        instance: "Finance OneDrive".to_owned(),
        tags: vec!["emea".to_owned()],
        resource: "events".to_owned(),
        own: Keys::default(),
        of_instance: Keys::default(),
        interval: None,
    }
}

/// `cadence; source; zone's source`, and who disables it.
#[track_caller]
fn check(polls: Vec<Rule>, subject: &Subject, expect: &str) {
    let Plan {
        cadence,
        source,
        timezone_source,
        disabled_by,
    } = rules(polls).plan(subject);
    let disabled = disabled_by.map_or_else(String::new, |by| format!("; disabled by {by}"));
    assert_eq!(
        format!("{cadence}; {source}; {timezone_source}{disabled}"),
        expect
    );
}

#[test]
fn the_nearest_that_says_something_is_followed() {
    let mut resource = subject();
    check(vec![], &resource, "*/15 * * * * in UTC; default; default");
    resource.interval = Some(Interval::Every(Duration::from_secs(300)));
    check(vec![], &resource, "every 5 min; instance; default");
    resource.of_instance = keys(Some("0 * * * *"), None);
    check(vec![], &resource, "0 * * * * in UTC; instance; default");
    resource.own = keys(None, Some("Asia/Kathmandu"));
    check(
        vec![],
        &resource,
        "0 * * * * in Asia/Kathmandu; instance; resource",
    );
    resource.own = keys(Some("5 * * * *"), Some("Asia/Kathmandu"));
    check(
        vec![],
        &resource,
        "5 * * * * in Asia/Kathmandu; resource; resource",
    );
    let over = Rule {
        cron: cron("9 * * * *"),
        ..rule(3, "*")
    };
    check(
        vec![over],
        &resource,
        "9 * * * * in Asia/Kathmandu; [[poll]] line 3; resource",
    );
}

#[test]
fn an_interval_without_end_is_polled_on_request_only_unless_the_file_says_otherwise() {
    let resource = Subject {
        interval: Some(Interval::Never),
        ..subject()
    };
    check(vec![], &resource, "on request only; instance; default");
    let over = Rule {
        cron: cron("@daily"),
        ..rule(3, "*")
    };
    check(
        vec![over],
        &resource,
        "0 0 * * * in UTC; [[poll]] line 3; default",
    );
}

#[test]
fn the_first_match_wins_key_by_key() {
    let polls = vec![
        Rule {
            cron: cron("1 * * * *"),
            ..rule(10, "Somebody else")
        },
        Rule {
            timezone: Some("Europe/Berlin".to_owned()),
            ..rule(20, "tag:emea")
        },
        Rule {
            cron: cron("3 * * * *"),
            timezone: Some("UTC".to_owned()),
            ..rule(30, "7")
        },
        Rule {
            cron: cron("4 * * * *"),
            enabled: Some(false),
            ..rule(40, "*")
        },
        Rule {
            enabled: Some(true),
            ..rule(50, "*")
        },
    ];
    let expect =
        "3 * * * * in Europe/Berlin; [[poll]] line 30; [[poll]] line 20; disabled by [[poll]] line 40";
    check(polls, &subject(), expect);
}

#[test]
fn a_rule_is_about_whom_it_names() {
    for (instance, resource, expect) in [
        ("*", None, true),
        ("*", Some("events"), true),
        ("*", Some("other"), false),
        ("Finance OneDrive", None, true),
        ("finance onedrive", None, false),
        ("7", None, true),
        ("8", None, false),
        ("tag:emea", None, true),
        ("tag:apac", None, false),
        ("tag:", None, false),
    ] {
        let rule = Rule {
            resource: resource.map(str::to_owned),
            ..rule(1, instance)
        };
        assert_eq!(rule.is_about(&subject()), expect, "{instance} {resource:?}");
    }
}

#[test]
fn the_same_keys_are_the_same_cadence_wherever_they_stand() {
    let by_file = rules(vec![Rule {
        cron: cron("1-5 0 * * 1"),
        ..rule(3, "*")
    }])
    .plan(&subject());
    let own = Subject {
        own: keys(Some("1-5 0 * * Mon"), Some("UTC")),
        ..subject()
    };
    let own = rules(vec![]).plan(&own);
    assert_eq!(by_file.cadence, own.cadence);
    assert_eq!(
        (by_file.source, own.source),
        (Source::Poll { line: 3 }, Source::Resource)
    );
    assert!(matches!(own.cadence, Cadence::Cron { .. }));
}
