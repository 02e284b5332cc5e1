//! `/metrics` in Prometheus' text format (version 0.0.4). Labels are ids, and the names of resources: nothing in them is
//! secret, and there are as many series as the configuration has instances, resources and endpoints, a thousand of each
//! at most. Counters begin at 0 with the process, and only rise.

use std::fmt::{Display, Write};

use jiff::Timestamp;

use super::call::Call;
use super::reply::Refusal;
use super::route::{Table, Who, route};
use crate::core::alert::AlertKind;
use crate::core::histogram::Reading;
use crate::core::model::EndpointState;
use crate::core::poll::Ending;
use crate::httpd::Reply;
use crate::store::{CLASSES, Counts, EndpointGauge, ResourceGauge, StandingAlert, Store, StoreError};

pub(super) const TABLE: Table = Table {
    base: "",
    routes: &[route("GET", "/metrics", Who::Client, metrics)],
};

fn metrics(call: &Call<'_>) -> Result<Reply, Refusal> {
    let text = written(&call.house.store, call.house.clock.now())?;
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    Ok(Reply::new(200, kind, text).with("Cache-Control", "no-store"))
}

fn written(store: &Store, now: Timestamp) -> Result<String, StoreError> {
    let mut text = Text::default();
    text.family("build_info", "gauge", "Which deltapost this is.");
    text.sample("build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1);
    recorded(&mut text, &store.counters().read());
    resources(&mut text, &store.resource_gauges()?, now);
    endpoints(&mut text, &store.endpoint_gauges()?, now);
    alerts(&mut text, &store.standing_alerts()?);
    let oldest = store.oldest_pending_at()?;
    text.single(
        "outbox_oldest_pending_age_seconds",
        "Age of the oldest notification that is pending; 0 where none is.",
        oldest.map_or(0.0, |oldest| seconds(oldest, now)),
    );
    text.single(
        "database_bytes",
        "Size of the database and its WAL, without free pages.",
        store.used_bytes()?,
    );
    if let Ok((free, _)) = store.disk_space() {
        text.single(
            "disk_free_bytes",
            "Space that is free on the disk of the data directory.",
            free,
        );
    }
    Ok(text.0)
}

/// What this process has recorded.
fn recorded(text: &mut Text, counts: &Counts) {
    let name = "delivery_attempts_total";
    text.family(
        name,
        "counter",
        "Attempts to deliver a notification, by what came of them.",
    );
    for (class, count) in CLASSES.iter().zip(counts.attempts) {
        text.sample(name, &[("class", class)], count);
    }
    let name = "notifications_dead_total";
    text.family(name, "counter", "Notifications that were given up.");
    text.sample(name, NONE, counts.deaths);
    text.histogram(
        "delivery_duration_seconds",
        "How long attempts to deliver took.",
        &counts.attempt_times,
    );
    let name = "polls_total";
    text.family(name, "counter", "Polls of a resource, by what came of them.");
    for (ending, count) in Ending::ALL.iter().zip(counts.polls) {
        text.sample(name, &[("outcome", ending.as_str())], count);
    }
    text.histogram(
        "poll_duration_seconds",
        "How long polls took.",
        &counts.poll_times,
    );
    for (name, help, count) in [
        ("poll_items_total", "Items that polls have read.", counts.items),
        ("events_total", "Events that polls have written.", counts.events),
    ] {
        text.family(name, "counter", help);
        text.sample(name, NONE, count);
    }
}

fn resources(text: &mut Text, resources: &[ResourceGauge], now: Timestamp) {
    let lag = "resource_lag_seconds";
    text.family(
        lag,
        "gauge",
        "Time since a poll of the resource last came to its end.",
    );
    for resource in resources {
        text.sample(lag, &resource.labels(), seconds(resource.current_at, now));
    }
    let failures = "resource_failures";
    text.family(failures, "gauge", "Polls of the resource that failed in a row.");
    for resource in resources {
        text.sample(failures, &resource.labels(), resource.failures);
    }
}

fn endpoints(text: &mut Text, endpoints: &[EndpointGauge], now: Timestamp) {
    let state = "endpoint_state";
    text.family(state, "gauge", "1 for the state that the endpoint is in.");
    for endpoint in endpoints {
        let id = endpoint.id.to_string();
        for known in EndpointState::ALL {
            let labels = [("endpoint", id.as_str()), ("state", known.as_str())];
            text.sample(state, &labels, u8::from(*known == endpoint.state));
        }
    }
    let age = |endpoint: &EndpointGauge| {
        endpoint
            .oldest_pending_at
            .map_or(0.0, |oldest| seconds(oldest, now))
    };
    type Gauge<'g> = (&'static str, &'static str, &'g dyn Fn(&EndpointGauge) -> f64);
    let gauges: [Gauge<'_>; 3] = [
        (
            "endpoint_backlog_events",
            "Events of the endpoint's instances that are pending or dead.",
            &|endpoint| endpoint.backlog_events as f64,
        ),
        (
            "endpoint_backlog_bytes",
            "Bytes of the bodies that are pending or dead.",
            &|endpoint| endpoint.backlog_bytes as f64,
        ),
        (
            "endpoint_oldest_pending_age_seconds",
            "Age of the oldest notification that is pending for the endpoint; 0 where none is.",
            &age,
        ),
    ];
    for (name, help, gauge) in gauges {
        text.family(name, "gauge", help);
        for endpoint in endpoints {
            text.sample(name, &[("endpoint", &endpoint.id.to_string())], gauge(endpoint));
        }
    }
}

fn alerts(text: &mut Text, standing: &[StandingAlert]) {
    let name = "alerts";
    text.family(name, "gauge", "Alerts that stand, by kind.");
    for kind in AlertKind::ALL {
        let count = standing.iter().filter(|alert| alert.kind == *kind).count();
        text.sample(name, &[("alert", kind.as_str())], count);
    }
}

impl ResourceGauge {
    fn labels(&self) -> [(&'static str, String); 2] {
        [
            ("instance", self.instance_id.to_string()),
            ("resource", self.name.clone()),
        ]
    }
}

fn seconds(since: Timestamp, now: Timestamp) -> f64 {
    now.duration_since(since).as_secs_f64().max(0.0)
}

/// The text so far. Each name gets the prefix `deltapost_`.
#[derive(Debug, Default)]
struct Text(String);

impl Text {
    /// Begins a family: its samples must follow.
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        self.line(format_args!("# HELP deltapost_{name} {help}"));
        self.line(format_args!("# TYPE deltapost_{name} {kind}"));
    }

    fn sample(&mut self, name: &str, labels: &[(&str, impl AsRef<str>)], value: impl Display) {
        let label = |(name, value): &(&str, _)| {
            let value: &str = AsRef::<str>::as_ref(value);
            format!("{name}=\"{}\"", escaped(value))
        };
        match labels.is_empty() {
            true => self.line(format_args!("deltapost_{name} {value}")),
            false => {
                let labels: Vec<String> = labels.iter().map(label).collect();
                self.line(format_args!("deltapost_{name}{{{}}} {value}", labels.join(",")));
            }
        }
    }

    /// A gauge without labels.
    fn single(&mut self, name: &str, help: &str, value: impl Display) {
        self.family(name, "gauge", help);
        self.sample(name, NONE, value);
    }

    fn histogram(&mut self, name: &str, help: &str, reading: &Reading) {
        self.family(name, "histogram", help);
        let bucket = format!("{name}_bucket");
        for (bound_ms, count) in &reading.not_longer {
            self.sample(
                &bucket,
                &[("le", (*bound_ms as f64 / 1_000.0).to_string())],
                count,
            );
        }
        self.sample(&bucket, &[("le", "+Inf")], reading.count);
        self.sample(&format!("{name}_sum"), NONE, reading.sum_ms as f64 / 1_000.0);
        self.sample(&format!("{name}_count"), NONE, reading.count);
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        writeln!(self.0, "{line}").expect("a string takes whatever is written");
    }
}

const NONE: &[(&str, &str)] = &[];

/// A label's value as the format wants it.
fn escaped(value: &str) -> String {
    value
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::histogram::Histogram;

    #[test]
    fn a_label_cannot_end_its_sample() {
        let mut text = Text::default();
        text.sample("x", &[("resource", "a\"} 1\n\\b")], 2);
        assert_eq!(text.0, "deltapost_x{resource=\"a\\\"} 1\\n\\\\b\"} 2\n");
    }

    #[test]
    fn a_histogram_ends_with_all_of_its_durations() {
        let (mut text, histogram) = (Text::default(), Histogram::default());
        histogram.count(7);
        histogram.count(200_000);
        text.histogram("x_seconds", "How long.", &histogram.read());
        let lines: Vec<&str> = text.0.lines().collect();
        assert_eq!(lines[0], "# HELP deltapost_x_seconds How long.");
        assert_eq!(lines[1], "# TYPE deltapost_x_seconds histogram");
        assert_eq!(lines[2], "deltapost_x_seconds_bucket{le=\"0.005\"} 0");
        assert_eq!(lines[3], "deltapost_x_seconds_bucket{le=\"0.01\"} 1");
        let last = [
            "deltapost_x_seconds_bucket{le=\"120\"} 1",
            "deltapost_x_seconds_bucket{le=\"+Inf\"} 2",
            "deltapost_x_seconds_sum 200.007",
            "deltapost_x_seconds_count 2",
        ];
        assert_eq!(lines[lines.len() - 4..], last);
    }
}
