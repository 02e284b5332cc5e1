//! `/metrics`: numbers that follow what happens, in the format that Prometheus reads, for who has the token.

use deltapost::sim::receiver::Answer;

use crate::api_events::Box;
use crate::support::eventually;

impl Box {
    fn metrics(&self) -> String {
        let token = format!("Authorization: Bearer {}", self.api.token);
        let answer = self
            .api
            .raw("GET", "/metrics", &["Host: localhost", &token], "")
            .status(200);
        assert_eq!(
            answer.header("Content-Type"),
            Some("text/plain; version=0.0.4; charset=utf-8")
        );
        answer.body
    }

    #[track_caller]
    fn eventually_counts(&self, samples: &[&str]) {
        for sample in samples {
            eventually(sample, || {
                self.metrics()
                    .lines()
                    .any(|line| line == format!("deltapost_{sample}"))
            });
        }
    }
}

#[test]
fn metrics_follow_what_happens() {
    let mut place = Box::new();
    // A poll that a command asks of the agent is one of the agent's.
    place.deliver(&["a", "b"]);
    place.eventually_counts(&[
        "delivery_attempts_total{class=\"accepted\"} 2",
        "delivery_duration_seconds_count 2",
        "polls_total{outcome=\"done\"} 1",
        "poll_duration_seconds_bucket{le=\"+Inf\"} 1",
        "events_total 2",
        "endpoint_state{endpoint=\"1\",state=\"active\"} 1",
        "endpoint_backlog_events{endpoint=\"1\"} 0",
        "outbox_oldest_pending_age_seconds 0",
        "resource_failures{instance=\"1\",resource=\"events\"} 0",
        "alerts{alert=\"endpoint_disabled\"} 0",
    ]);
    place.site.receiver.answer_next(1, Answer::Status(422));
    place.site.receiver.answer_next(1, Answer::Status(410));
    place.make(&["c", "d"]);
    place.site.cli(&["outbox", "retry", "--all"]).code(0);
    place.eventually_counts(&[
        "delivery_attempts_total{class=\"refused\"} 1",
        "delivery_attempts_total{class=\"gone\"} 1",
        "delivery_duration_seconds_count 4",
        "endpoint_state{endpoint=\"1\",state=\"active\"} 0",
        "endpoint_state{endpoint=\"1\",state=\"disabled\"} 1",
        "endpoint_backlog_events{endpoint=\"1\"} 2",
        "alerts{alert=\"endpoint_disabled\"} 1",
    ]);
    let age = |text: &str| -> f64 {
        let line = text
            .lines()
            .find(|line| line.starts_with("deltapost_outbox_oldest_pending_age_seconds "));
        line.unwrap().rsplit(' ').next().unwrap().parse().unwrap()
    };
    assert!(age(&place.metrics()) > 0.0);
    assert!(place.agent.runs());
}

#[test]
fn metrics_are_in_the_format_and_give_no_name_or_url_away() {
    let place = Box::new();
    place.deliver(&["a"]);
    place.anybody("/metrics").refused(401, &[]);
    let text = place.metrics();
    assert!(text.ends_with('\n'));
    assert!(!text.contains("Docs") && !text.contains("127.0.0.1"), "{text}");
    let mut family = String::new();
    let mut seen = Vec::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap();
            assert!(help.ends_with('.'), "{line}");
            assert!(!seen.contains(&name.to_owned()), "{name} twice");
            seen.push(name.to_owned());
            name.clone_into(&mut family);
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert_eq!(name, family);
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
        } else {
            let (name, value) = line.rsplit_once(' ').unwrap();
            assert!(value.parse::<f64>().is_ok(), "{line}");
            let name = name.split('{').next().unwrap();
            let suffixes = ["_bucket", "_sum", "_count"].map(|suffix| format!("{family}{suffix}"));
            assert!(
                name == family || suffixes.iter().any(|suffix| suffix == name),
                "{line} of {family}"
            );
        }
    }
    assert!(seen.len() >= 18, "{seen:?}");
}
