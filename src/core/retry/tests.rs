//! The whole table of what an attempt means, and what holds for every row of it.

use proptest::prelude::*;

use super::EndpointState::{Active, BackingOff, Disabled};
use super::*;

const SECOND: Duration = Duration::from_secs(1);
const WAITS: [Duration; 3] = [
    Duration::from_secs(4),
    Duration::from_secs(12),
    Duration::from_secs(48),
];
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_772_358_000 + second).expect("a time")
}

fn policy() -> Policy<'static> {
    Policy {
        waits: &WAITS,
        queue: false,
        probe_disabled: Some(DAY),
    }
}

/// An attempt that began a second before now, with the longest draw.
fn judge(status: Option<u16>, trials: Trials, endpoint: Endpoint, policy: &Policy<'_>) -> (Fate, Endpoint) {
    let outcome = Trial {
        class: Class::of(status),
        retry_after: None,
        began_at: at(-1),
    };
    decide(&outcome, trials, endpoint, policy, at(0), 1.0)
}

#[test]
fn each_status_has_its_class() {
    #[track_caller]
    fn check(class: Class, statuses: &[u16]) {
        for status in statuses {
            assert_eq!(Class::of(Some(*status)), class, "{status}");
        }
    }
    check(Class::Accepted, &[200, 201, 202, 204, 299]);
    check(Class::Refused, &[400, 413, 415, 422]);
    check(Class::Gone, &[410]);
    check(
        Class::Failed,
        &[
            100, 199, 300, 301, 302, 307, 308, 401, 402, 403, 404, 405, 406, 407, 408, 409, 411, 414, 418,
            425, 429,
        ],
    );
    check(Class::Failed, &[500, 501, 502, 503, 504, 507, 599, 600, 999]);
    assert_eq!(Class::of(None), Class::Failed);
}

/// How far the endpoint is, with what it remembers in these tests.
fn endpoint(state: EndpointState, failures: u32, deaths: u32) -> Endpoint {
    let probe = (state != Active).then(|| at(-1));
    let failed = (failures > 0).then(|| at(-100));
    Endpoint {
        state,
        failures,
        deaths,
        next_probe_at: probe,
        last_failed_at: failed,
        last_accepted_at: None,
        asked_to_wait: false,
    }
}

#[test]
fn the_whole_table() {
    /// From an endpoint and a notification's refusals, by a status, to: the notification (`delivered`, `dead`, or the
    /// seconds until its own next time), the endpoint's state, its failures, deaths, and the seconds to its probe.
    #[track_caller]
    fn check(
        from: Endpoint,
        refusals: u32,
        status: Option<u16>,
        expect: (&str, EndpointState, u32, u32, Option<i64>),
    ) {
        let trials = Trials {
            refusals,
            ..Trials::default()
        };
        let (fate, after) = judge(status, trials, from, &policy());
        let fate = match fate {
            Fate::Delivered => "delivered".to_owned(),
            Fate::Dead { .. } => "dead".to_owned(),
            Fate::Pending { at: next, .. } => format!("{}", next.duration_since(at(0)).as_secs()),
        };
        let probe = after
            .next_probe_at
            .map(|probe| probe.duration_since(at(0)).as_secs());
        assert_eq!(
            (fate.as_str(), after.state, after.failures, after.deaths, probe),
            expect
        );
    }
    let day = Some(24 * 60 * 60);
    let (up, down, off) = (
        endpoint(Active, 0, 0),
        endpoint(BackingOff, 2, 1),
        endpoint(Disabled, 4, 1),
    );
    // Accepted: the first success opens, whatever was.
    check(up, 0, Some(204), ("delivered", Active, 0, 0, None));
    check(down, 0, Some(200), ("delivered", Active, 0, 0, None));
    check(off, 0, Some(200), ("delivered", Active, 0, 0, None));
    // Failed: the endpoint goes through its waits, then it is disabled; a disabled one waits for its next probe.
    check(up, 0, Some(500), ("0", BackingOff, 1, 0, Some(4)));
    check(up, 0, None, ("0", BackingOff, 1, 0, Some(4)));
    check(down, 0, Some(302), ("0", BackingOff, 3, 1, Some(48)));
    check(
        endpoint(BackingOff, 3, 0),
        0,
        Some(503),
        ("0", Disabled, 4, 0, day),
    );
    check(off, 0, Some(503), ("0", Disabled, 4, 1, day));
    // Refused: three more tries by the waits, then dead; the endpoint stays as it is.
    check(up, 0, Some(422), ("4", Active, 0, 0, None));
    check(up, 1, Some(422), ("12", Active, 0, 0, None));
    check(up, 2, Some(400), ("48", Active, 0, 0, None));
    check(up, 3, Some(413), ("dead", Active, 0, 1, None));
    check(down, 0, Some(422), ("4", BackingOff, 2, 1, Some(12)));
    check(down, 3, Some(415), ("dead", BackingOff, 2, 2, Some(12)));
    check(off, 0, Some(400), ("4", Disabled, 4, 1, day));
    check(
        endpoint(Disabled, 0, 0),
        3,
        Some(422),
        ("dead", Disabled, 0, 1, day),
    );
    // After three deaths in a row the receiver is broken, not the notification.
    check(endpoint(Active, 0, 2), 3, Some(422), ("dead", Active, 0, 3, None));
    check(
        endpoint(Active, 0, 3),
        0,
        Some(422),
        ("0", BackingOff, 1, 3, Some(4)),
    );
    check(
        endpoint(Active, 0, 3),
        3,
        Some(422),
        ("0", BackingOff, 1, 3, Some(4)),
    );
    // Gone: disabled at once.
    check(up, 0, Some(410), ("0", Disabled, 0, 0, day));
    check(down, 0, Some(410), ("0", Disabled, 2, 1, day));
}

#[test]
fn a_notification_that_fails_while_others_are_accepted_backs_off_alone_and_dies() {
    let mut trials = Trials {
        last_failed_at: Some(at(-50)),
        ..Trials::default()
    };
    let up = Endpoint {
        last_accepted_at: Some(at(-40)),
        ..Endpoint::default()
    };
    for wait in [4, 12, 48] {
        // It is accepted by others between any two of its failures.
        let (fate, after) = judge(Some(500), trials, up, &policy());
        assert_eq!(after, up);
        let Fate::Pending {
            at: next,
            trials: tried,
        } = fate
        else {
            panic!("{fate:?}")
        };
        assert_eq!(next, at(wait));
        trials = Trials {
            last_failed_at: Some(at(-50)),
            ..tried
        };
    }
    let (fate, after) = judge(Some(500), trials, up, &policy());
    assert!(matches!(fate, Fate::Dead { .. }));
    assert_eq!((after.state, after.deaths), (Active, 1));
}

#[test]
fn a_first_failure_is_the_endpoints_even_if_it_accepted_another_before() {
    let up = Endpoint {
        last_accepted_at: Some(at(-40)),
        ..Endpoint::default()
    };
    assert_eq!(
        judge(Some(500), Trials::default(), up, &policy()).1.state,
        BackingOff
    );
}

#[test]
fn a_failure_that_began_before_the_last_one_was_known_is_not_counted_again() {
    let down = Endpoint {
        last_failed_at: Some(at(-1)),
        ..endpoint(BackingOff, 1, 0)
    };
    let (fate, after) = judge(None, Trials::default(), down, &policy());
    assert_eq!(after, down);
    assert!(matches!(fate, Fate::Pending { at: next, .. } if next == at(0)));
}

#[test]
fn with_queue_the_first_failure_disables_and_without_a_probe_only_a_person_resumes() {
    let policy = Policy {
        queue: true,
        probe_disabled: None,
        ..policy()
    };
    let (_, after) = judge(Some(500), Trials::default(), Endpoint::default(), &policy);
    assert_eq!((after.state, after.next_probe_at), (Disabled, None));
}

#[test]
fn retry_after_is_a_floor_capped_at_a_day() {
    #[track_caller]
    fn check(retry_after: Duration, expect: Duration) {
        let outcome = Trial {
            class: Class::Failed,
            retry_after: Some(retry_after),
            began_at: at(-1),
        };
        let (_, after) = decide(
            &outcome,
            Trials::default(),
            Endpoint::default(),
            &policy(),
            at(0),
            0.0,
        );
        let wait: Duration = after
            .next_probe_at
            .expect("a probe")
            .duration_since(at(0))
            .try_into()
            .expect("later");
        assert_eq!(wait, expect);
    }
    check(Duration::ZERO, 2 * SECOND);
    check(5 * SECOND, 5 * SECOND);
    check(365 * DAY, DAY);
}

#[test]
fn an_early_try_that_fails_leaves_the_endpoints_wait_as_it_is_unless_the_receiver_asks_for_longer() {
    #[track_caller]
    fn check(status: Option<u16>, retry_after: Option<u64>, probe: i64, asked_to_wait: bool) {
        let waiting = Endpoint {
            next_probe_at: Some(at(600)),
            ..endpoint(BackingOff, 2, 1)
        };
        let outcome = Trial {
            class: Class::of(status),
            retry_after: retry_after.map(Duration::from_secs),
            began_at: at(-1),
        };
        let (fate, after) = decide(&outcome, Trials::default(), waiting, &policy(), at(0), 1.0);
        let expect = Endpoint {
            next_probe_at: Some(at(probe)),
            asked_to_wait,
            ..waiting
        };
        assert_eq!(after, expect);
        let Fate::Pending { trials, .. } = fate else {
            panic!("{fate:?}")
        };
        assert_eq!(trials.last_failed_at, Some(at(0)), "it has had its early try");
    }
    check(Some(500), None, 600, false);
    check(None, None, 600, false);
    check(Some(422), None, 600, false);
    check(Some(429), Some(60), 600, true);
    check(Some(429), Some(3_600), 3_600, true);
}

fn any_time() -> impl Strategy<Value = Option<Timestamp>> {
    prop::option::of((-1_000i64..0).prop_map(at))
}

proptest! {
    #[test]
    fn whatever_happens_waits_are_within_bounds_and_a_pending_one_can_still_go_out(
        status in prop::option::of(100u16..600), refusals in 0u32..5, failures in 0u32..5, deaths in 0u32..5,
        state in prop::sample::select(EndpointState::ALL), endpoint_failures in 0u32..5, last in any_time(),
        accepted in any_time(), failed in any_time(), retry_after in prop::option::of(0u64..200_000),
        draw in 0.0f64..1.0,
    ) {
        let retry_after = retry_after.map(Duration::from_secs);
        let outcome = Trial { class: Class::of(status), retry_after, began_at: at(-1) };
        let trials = Trials { refusals, failures, last_failed_at: last };
        let before = Endpoint {
            state, failures: endpoint_failures, deaths, last_accepted_at: accepted, last_failed_at: failed,
            next_probe_at: (state != Active).then(|| at(-1)), asked_to_wait: false,
        };
        let (fate, after) = decide(&outcome, trials, before, &policy(), at(0), draw);
        prop_assert_eq!(after.state == Active, after.next_probe_at.is_none());
        if let Fate::Pending { at: next, .. } = fate {
            prop_assert!(next >= at(0) && next <= at(0) + DAY);
        }
        prop_assert_eq!(fate == Fate::Delivered, outcome.class == Class::Accepted);
        if let Some(probe) = after.next_probe_at.filter(|_| after != before) {
            prop_assert!(probe <= at(0) + DAY);
            prop_assert!(after.state != BackingOff || probe >= at(0) + WAITS[0] / 2 || probe == at(-1));
        }
    }
}
