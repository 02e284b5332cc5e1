//! `/healthz`: whether everything is well, for a load balancer or a monitor, and in words what is not. Whoever reaches
//! the address may ask, so it tells ids and times and neither names, URLs nor errors; those are for `deltapost`.

use jiff::Timestamp;
use serde_json::json;

use super::call::Call;
use super::reply::{self, Refusal};
use super::route::{Table, Who, route};
use crate::core::alert::AlertKind;
use crate::core::model::time_text;
use crate::httpd::Reply;
use crate::store::{StandingAlert, Store, StoreError};

pub(super) const TABLE: Table = Table {
    base: "",
    routes: &[route("GET", "/healthz", Who::Anyone, health)],
};

/// How old the oldest pending notification may become, in seconds.
const OLD: i64 = 60 * 60;

fn health(call: &Call<'_>) -> Result<Reply, Refusal> {
    let now = call.house.clock.now();
    let reasons = reasons(&call.house.store, now).unwrap_or_else(|error| {
        log::error!("could not look at the health error={:?}", error.to_string());
        vec!["the database cannot be read: the agent's log says why".to_owned()]
    });
    let (status, word) = match reasons.is_empty() {
        true => (200, "ok"),
        false => (503, "failing"),
    };
    Ok(reply::json(status, &json!({"status": word, "reasons": reasons})))
}

/// What is not well: what alerts stand, and what is not an alert.
fn reasons(store: &Store, now: Timestamp) -> Result<Vec<String>, StoreError> {
    let mut reasons = Vec::new();
    if let Some((_, at)) = store.settings_error()? {
        reasons.push(format!(
            "the configuration file is refused since {at}, and the settings of before hold: `deltapost check` says why"
        ));
    }
    let alerts = store.standing_alerts()?;
    // On a full disk the alert itself may be waiting for room.
    if store.was_refused_space() && !alerts.iter().any(|alert| alert.kind == AlertKind::Disk) {
        reasons.push("the database could not be written for want of space".to_owned());
    }
    reasons.extend(alerts.iter().map(|alert| said(alert, now)));
    if let Some(oldest) = store.oldest_pending_at()?
        && now.duration_since(oldest).as_secs() > OLD
    {
        reasons.push(format!(
            "the oldest pending notification waits {}: `deltapost outbox` says for what",
            since(oldest, now)
        ));
    }
    Ok(reasons)
}

fn said(alert: &StandingAlert, now: Timestamp) -> String {
    let (what, id) = alert.key.split_once('/').unwrap_or((&alert.key, ""));
    let since = since(alert.since, now);
    match alert.kind {
        AlertKind::EndpointDisabled => {
            format!("endpoint {id} is disabled {since}: `deltapost outbox resume {id}`")
        }
        AlertKind::LoginRequired => {
            format!("instance {id} requires a sign-in {since}: `deltapost login {id}`")
        }
        AlertKind::OutboxFull if what == "instance" => {
            format!("polling of instance {id} waits {since}: its outbox is full")
        }
        AlertKind::OutboxFull => format!("the database is at `[outbox] max_bytes` {since}"),
        AlertKind::ResourceFailing => format!("every poll of resource {id} has failed {since}"),
        AlertKind::ResourceHeld => format!("resource {id} is held {since}, and waits for a person"),
        AlertKind::ResourceOverdue => {
            format!("resource {id} is scheduled and is not polled, {since}: restart the agent")
        }
        AlertKind::Disk => format!("space runs short on the disk of the data directory {since}"),
    }
}

/// `since TIME, for so long`.
fn since(time: Timestamp, now: Timestamp) -> String {
    let minutes = now.duration_since(time).as_secs().max(0) / 60;
    let (days, hours, minutes) = (minutes / 1_440, minutes / 60 % 24, minutes % 60);
    let lasted = match (days, hours) {
        (0, 0) => format!("{minutes} min"),
        (0, _) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    };
    format!("since {} ({lasted})", time_text(time))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::model::time_from_text;

    #[track_caller]
    fn check(kind: AlertKind, key: &str, expect: &str) {
        let (key, since) = (key.to_owned(), time_from_text("2026-03-01T10:00:00Z").unwrap());
        let now = time_from_text("2026-03-01T12:05:59Z").unwrap();
        assert_eq!(said(&StandingAlert { kind, key, since }, now), expect);
    }

    #[test]
    fn an_alert_is_told_by_id_and_time_alone() {
        use AlertKind::{EndpointDisabled, OutboxFull, ResourceFailing, ResourceOverdue};
        let since = "since 2026-03-01T10:00:00.000Z (2 h 5 min)";
        check(
            EndpointDisabled,
            "endpoint/3",
            &format!("endpoint 3 is disabled {since}: `deltapost outbox resume 3`"),
        );
        check(
            ResourceFailing,
            "resource/2",
            &format!("every poll of resource 2 has failed {since}"),
        );
        check(
            ResourceOverdue,
            "resource/2",
            &format!("resource 2 is scheduled and is not polled, {since}: restart the agent"),
        );
        check(
            OutboxFull,
            "instance/1",
            &format!("polling of instance 1 waits {since}: its outbox is full"),
        );
        check(
            OutboxFull,
            "database",
            &format!("the database is at `[outbox] max_bytes` {since}"),
        );
    }

    #[test]
    fn how_long_it_lasts_is_told_to_the_minute_and_then_to_the_hour() {
        let from = time_from_text("2026-03-01T00:00:00Z").unwrap();
        for (now, expect) in [
            ("2026-02-28T00:00:00Z", "(0 min)"),
            ("2026-03-01T00:59:59Z", "(59 min)"),
            ("2026-03-01T23:59:59Z", "(23 h 59 min)"),
            ("2026-03-03T01:59:59Z", "(2 d 1 h)"),
        ] {
            let said = since(from, time_from_text(now).unwrap());
            assert!(said.ends_with(expect), "{said}");
        }
    }
}
