//! `outbox …`: what was written to the outbox and what became of it. What changes it is in `outbox_redeliver`.

use std::io::{self, IsTerminal};

use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::args::Args;
use super::failure::Failure;
use super::house;
use super::outbox_args::{OutboxArgs, OutboxCommand};
use super::outbox_redeliver::{discard, replay, resume, retry};
use super::reply::Reply;
use super::table::{or_dash, pairs, table};
use crate::commands::House;
use crate::core::model::{EndpointState, Event, OutboxState, time_from_text};
use crate::core::outbox::{Attempt, Endpoint, Entry};
use crate::core::shown::{is_hidden, shown};
use crate::store::{Look, PausedRow};

/// Runs one command of the group.
pub(super) fn run(args: &Args, outbox: &OutboxArgs) -> Result<Reply, Failure> {
    let opened = house::open(args, Look::Brief)?;
    match &outbox.command {
        None => counts(args, &opened),
        Some(OutboxCommand::List {
            state,
            instance,
            limit,
        }) => list(args, &opened, *state, instance.as_deref(), *limit),
        Some(OutboxCommand::Show { id }) => show(args, &opened, id),
        Some(OutboxCommand::Retry { chosen, .. }) => retry(args, &opened, chosen),
        Some(OutboxCommand::Discard { chosen, state, yes }) => discard(args, &opened, chosen, *state, *yes),
        Some(OutboxCommand::Replay { chosen }) => replay(args, &opened, chosen),
        Some(OutboxCommand::Resume { url }) => resume(args, &opened, url),
    }
}

fn counts(args: &Args, opened: &House) -> Result<Reply, Failure> {
    let (counts, endpoints) = (opened.store.outbox_counts()?, opened.store.endpoints()?);
    let paused = opened.store.paused_instances()?;
    if args.json {
        return Ok(Reply::json(
            &json!({"counts": counts, "endpoints": endpoints, "paused": paused}),
        ));
    }
    let waiting = closed_table(&endpoints) + &paused_table(&paused);
    if counts.is_empty() {
        return Ok(Reply::text(format!("the outbox is empty\n{waiting}")));
    }
    let now = opened.clock.now();
    let table = table(
        &counts,
        [
            ("endpoint", &|count| or_dash(count.endpoint.as_deref().map(shown))),
            ("endpoint state", &|count| or_dash(count.endpoint_state)),
            ("state", &|count| count.state.to_string()),
            ("notifications", &|count| count.tally.notifications.to_string()),
            ("events", &|count| count.tally.events.to_string()),
            ("oldest", &|count| age(&count.oldest_at, now)),
        ],
    );
    Ok(Reply::text(table + &waiting))
}

/// The endpoints that are not open, below an empty line; nothing where all are.
fn closed_table(endpoints: &[Endpoint]) -> String {
    let closed = |row: &&Endpoint| row.state != EndpointState::Active;
    let rows: Vec<&Endpoint> = endpoints.iter().filter(closed).collect();
    if rows.is_empty() {
        return String::new();
    }
    let table = table(
        &rows,
        [
            ("id", &|row| row.id.to_string()),
            ("endpoint", &|row| shown(&row.url)),
            ("state", &|row| row.state.to_string()),
            ("since", &|row| row.state_since.clone()),
            ("next probe", &|row| or_dash(row.next_probe_at.as_ref())),
            ("last error", &|row| or_dash(row.last_error.as_deref().map(shown))),
        ],
    );
    format!("\n{table}")
}

/// The instances whose polling waits for the outbox, below an empty line; nothing where none does.
fn paused_table(paused: &[PausedRow]) -> String {
    if paused.is_empty() {
        return String::new();
    }
    let table = table(
        paused,
        [
            ("polling paused", &|row| shown(&row.instance)),
            ("by", &|row| row.paused_by.clone()),
            ("since", &|row| row.paused_since.clone()),
            ("events not delivered", &|row| row.backlog_events.to_string()),
        ],
    );
    format!("\n{table}")
}

/// How long ago `time` was, in its two largest units at most.
fn age(time: &str, now: Timestamp) -> String {
    let Some(time) = time_from_text(time) else {
        return "-".to_owned();
    };
    let seconds = now.duration_since(time).as_secs().max(0);
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m{}s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{}h{}m", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{}d{}h", seconds / 86_400, seconds % 86_400 / 3_600),
    }
}

fn list(
    args: &Args,
    opened: &House,
    state: Option<OutboxState>,
    instance: Option<&str>,
    limit: u32,
) -> Result<Reply, Failure> {
    let instance = instance
        .map(|name| opened.store.find_instance(name))
        .transpose()?;
    let notifications = opened
        .store
        .list_outbox(state, instance.map(|instance| instance.id), limit)?;
    if args.json {
        return Ok(Reply::json(&json!({"notifications": notifications})));
    }
    if notifications.is_empty() {
        return Ok(Reply::text("no notifications\n"));
    }
    let table = table(
        &notifications,
        [
            ("id", &|row| row.id.to_string()),
            ("created", &|row| row.created_at.clone()),
            ("instance", &|row| shown(&row.instance)),
            ("resource", &|row| shown(&row.resource)),
            ("events", &|row| row.event_count.to_string()),
            ("state", &|row| row.state.to_string()),
            ("attempts", &|row| row.attempts.to_string()),
            ("next attempt", &|row| or_dash(row.next_attempt_at.as_ref())),
            ("last error", &|row| or_dash(row.last_error.as_deref().map(shown))),
        ],
    );
    Ok(Reply::text(table))
}

/// A notification with all that is known of it, its body byte for byte.
#[derive(Serialize)]
struct Whole<'a> {
    #[serde(flatten)]
    row: &'a Entry,
    events: &'a [Event],
    attempts: &'a [Attempt],
    body: &'a RawValue,
}

fn show(args: &Args, opened: &House, id: &str) -> Result<Reply, Failure> {
    let Some((row, body, events, attempts)) = opened.store.outbox_notification(id, usize::MAX)? else {
        let hint = "`deltapost outbox list` shows them; delivered ones are not kept for ever".to_owned();
        return Err(Failure::wrong(
            format!("there is no notification `{}`", shown(id)),
            Some(hint),
        ));
    };
    let damaged = |error: String| Failure::failed(format!("the body is damaged: {error}"), None);
    let body = String::from_utf8(body).map_err(|error| damaged(error.to_string()))?;
    if args.json {
        let body = RawValue::from_string(body).map_err(|error| damaged(error.to_string()))?;
        let (row, events, attempts, body) = (&row, &events[..], &attempts[..], &*body);
        return Ok(Reply::json(&Whole {
            row,
            events,
            attempts,
            body,
        }));
    }
    let fields = pairs([
        ("id", row.id.to_string()),
        ("event id", row.event_id.clone()),
        ("instance", shown(&row.instance)),
        ("resource", shown(&row.resource)),
        ("state", row.state.to_string()),
        ("created", row.created_at.clone()),
        ("delivered", or_dash(row.delivered_at.as_ref())),
        ("next attempt", or_dash(row.next_attempt_at.as_ref())),
        ("replay of", or_dash(row.replay_of.as_ref())),
    ]);
    let body = if io::stdout().is_terminal() {
        disarmed(&body)
    } else {
        body
    };
    Ok(Reply::text(format!(
        "{fields}\n{}\n{}\nbody\n{body}\n",
        event_table(&events),
        attempt_table(&attempts)
    )))
}

fn event_table(events: &[Event]) -> String {
    table(
        events,
        [
            ("event", &|event| event.event_type.to_string()),
            ("object", &|event| shown(&event.object_type)),
            ("id", &|event| shown(&event.object_id)),
            ("path", &|event| or_dash(event.path.as_deref().map(shown))),
        ],
    )
}

fn attempt_table(attempts: &[Attempt]) -> String {
    if attempts.is_empty() {
        return "no attempt yet\n".to_owned();
    }
    table(
        attempts,
        [
            ("attempt", &|attempt| attempt.number.to_string()),
            ("at", &|attempt| attempt.at.clone()),
            ("took", &|attempt| format!("{} ms", attempt.duration_ms)),
            ("status", &|attempt| or_dash(attempt.status)),
            ("error", &|attempt| or_dash(attempt.error.as_deref().map(shown))),
        ],
    )
}

/// The same JSON, in which what a terminal would obey stands as `\uXXXX`. It can stand within strings only.
fn disarmed(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            c if is_hidden(c) && !c.is_ascii_whitespace() => {
                let mut units = [0; 2];
                for unit in c.encode_utf16(&mut units) {
                    out.push_str(&format!("\\u{unit:04x}"));
                }
            }
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disarmed_body_is_the_same_json() {
        let body = "{\"name\": \"a\u{9b}31m\u{202e}b\u{7f}größer\"}";
        let safe = disarmed(body);
        assert_eq!(safe, "{\"name\": \"a\\u009b31m\\u202eb\\u007fgrößer\"}");
        let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(read(&safe), read(body));
    }

    #[test]
    fn an_age_has_two_units_at_most() {
        let now: Timestamp = "2026-03-01T09:30:00Z".parse().unwrap();
        for (time, expect) in [
            ("2026-03-01T09:30:00.000Z", "0s"),
            ("2026-03-01T09:28:30.000Z", "1m30s"),
            ("2026-03-01T06:15:00.000Z", "3h15m"),
            ("2026-02-25T21:30:00.000Z", "3d12h"),
            ("2027-01-01T00:00:00.000Z", "0s"),
            ("nonsense", "-"),
        ] {
            assert_eq!(age(time, now), expect, "{time}");
        }
    }
}
