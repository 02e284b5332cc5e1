//! `/healthz`: 200 while all is well, and 503 with what is not, which gives nothing away.

use deltapost::sim::receiver::Answer;

use crate::api_events::{Box, each};
use crate::support::eventually;

impl Box {
    /// Waits until the health says each of `parts` and nothing besides.
    #[track_caller]
    fn eventually_says(&self, parts: &[&str]) {
        eventually(&format!("the health says {parts:?}"), || {
            let answer = self.anybody("/healthz");
            let json = answer.json();
            let reasons = each(json["reasons"].as_array().unwrap(), "");
            assert_eq!(json["status"] == "ok", answer.status == 200);
            assert_eq!(reasons.is_empty(), answer.status == 200, "{answer:?}");
            assert!(reasons.is_empty() || answer.status == 503, "{answer:?}");
            let site = &self.site.receiver.url();
            assert!(
                !answer.body.contains("Docs") && !answer.body.contains(site.as_str()),
                "{answer:?}"
            );
            reasons.len() == parts.len()
                && reasons
                    .iter()
                    .zip(parts)
                    .all(|(reason, part)| reason.contains(part))
        });
    }
}

#[test]
fn all_is_well_until_something_is_not_and_then_again() {
    let place = Box::new();
    place.eventually_says(&[]);
    place.site.receiver.answer_always(Answer::Status(410));
    place.make(&["a"]);
    place.eventually_says(&["endpoint 1 is disabled since 20"]);
    place
        .site
        .write_sql("UPDATE outbox SET created_at = '2026-01-01T00:00:00.000Z'");
    place.eventually_says(&[
        "endpoint 1",
        "the oldest pending notification waits since 2026-01-01T00:00:00.000Z (",
    ]);
    place.site.receiver.answer_always(Answer::Status(200));
    place.site.cli(&["outbox", "resume", "1"]).code(0);
    place.eventually_says(&[]);
    place.site.write_sql(
        "UPDATE instance SET grant_state = 'login_required';
         INSERT INTO poll (resource_id, started_at, duration_ms, outcome, pages, items, events, unchanged, filtered)
         VALUES (1, '2026-01-01T00:00:00.000Z', 1, 'failed', 0, 0, 0, 0, 0)",
    );
    place.eventually_says(&["instance 1 requires a sign-in since"]);
    place
        .site
        .write_sql("UPDATE instance SET grant_state = 'ok'; UPDATE resource SET failures = 1");
    place.eventually_says(&["every poll of resource 1 has failed since 2026-01-01T00:00:00.000Z"]);
    place
        .site
        .write_sql("UPDATE resource SET failures = 0, held = 'deletions'");
    place.eventually_says(&["resource 1 is held since"]);
    place.site.write_sql("UPDATE resource SET held = NULL");
    place.eventually_says(&[]);
}

#[test]
fn a_configuration_file_that_is_refused_is_told_without_what_is_in_it() {
    let place = Box::new();
    let good = std::fs::read_to_string(place.site.config_file()).unwrap();
    std::fs::write(place.site.config_file(), format!("{good}\n[secretsection]\n")).unwrap();
    place.agent.signal("HUP");
    place.eventually_says(&["the configuration file is refused since 20"]);
    assert!(!place.anybody("/healthz").body.contains("secretsection"));
    std::fs::write(place.site.config_file(), good).unwrap();
    place.agent.signal("HUP");
    place.eventually_says(&[]);
}
