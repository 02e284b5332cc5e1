//! `outbox retry`, `discard`, `replay`, `resume`: what the operator asks of the outbox, and what came of it in words.

use serde_json::json;

use super::args::Args;
use super::failure::Failure;
use super::outbox_args::{Chosen, Replayable};
use super::reply::Reply;
use super::table::counted;
use crate::commands::{House, Retried, Which};
use crate::core::model::{EndpointState, OutboxState};
use crate::core::outbox::{Endpoint, Tallied};
use crate::core::shown::shown;

/// `outbox retry`.
pub(super) fn retry(args: &Args, opened: &House, chosen: &Chosen) -> Result<Reply, Failure> {
    let retried = opened.retry(&Which::from(chosen))?;
    let notes = retry_notes(&retried);
    let Retried {
        revived,
        hastened,
        endpoints,
        ..
    } = &retried;
    if args.json {
        let json = json!({"revived": revived, "hastened": hastened, "endpoints": endpoints});
        return Ok(Reply::json(&json).noting(notes));
    }
    let mut text = match &retried.named {
        Some(head) if head.state == OutboxState::Dead => {
            format!("notification {} is pending again\n", head.id)
        }
        Some(head) => format!("notification {} is due now\n", head.id),
        None => format!(
            "pending again: {}; due now: {}\n",
            counted(revived.notifications, "dead notification"),
            counted(hastened.notifications, "pending notification")
        ),
    };
    for row in endpoints
        .iter()
        .filter(|row| row.state == EndpointState::BackingOff)
    {
        text += &format!("{} is tried now\n", words(row));
    }
    Ok(Reply::text(text).noting(notes))
}

/// What the operator should know of a retry: that the order is broken, and what is in its way.
fn retry_notes(retried: &Retried) -> Vec<String> {
    let mut notes = Vec::new();
    if retried.revived.notifications > 0 {
        notes.push(
            "dead notifications go out of order: later ones of their instance may have been delivered before them"
                .to_owned(),
        );
    }
    if let Some(earlier) = retried.behind {
        notes.push(format!(
            "it goes out after notification {earlier} of its instance, which is pending"
        ));
    }
    let disabled = retried
        .endpoints
        .iter()
        .filter(|row| row.state == EndpointState::Disabled);
    notes.extend(disabled.map(|row| {
        let probe = row
            .next_probe_at
            .as_ref()
            .map_or_else(String::new, |at| format!(" or its probe at {at}"));
        format!(
            "{} is disabled: they wait for `deltapost outbox resume {}`{probe}",
            words(row),
            row.id
        )
    }));
    notes
}

/// `outbox discard`.
pub(super) fn discard(
    args: &Args,
    opened: &House,
    chosen: &Chosen,
    state: OutboxState,
    yes: bool,
) -> Result<Reply, Failure> {
    let which = Which::from(chosen);
    if !yes {
        let tallied = opened.would_discard(&which, state)?;
        return Err(Failure::wrong(
            format!("{} would never be delivered", tally(&tallied)),
            Some("repeat the command with `--yes` to discard for good".to_owned()),
        ));
    }
    let discarded = opened.discard(&which, state)?;
    let json = json!({"discarded": discarded});
    Ok(Reply::either(args, &json, || {
        format!("discarded {}\n", tally(&discarded))
    }))
}

/// `outbox replay`.
pub(super) fn replay(args: &Args, opened: &House, chosen: &Replayable) -> Result<Reply, Failure> {
    let done = opened.replay(&Which::from(chosen))?;
    let left_out = (done.waiting > 0).then(|| counted(done.waiting, "notification"));
    let notes = left_out.map(|count| format!("{count} left out: a replay is pending already"));
    let notes = notes.into_iter().collect();
    let json = json!({"replayed": done.replayed, "waiting": done.waiting});
    let text = || format!("replaying {}\n", tally(&done.replayed));
    Ok(Reply::either(args, &json, text).noting(notes))
}

/// `outbox resume`.
pub(super) fn resume(args: &Args, opened: &House, url: &str) -> Result<Reply, Failure> {
    let endpoints = opened.resume(url)?;
    let dead = endpoints.iter().filter(|row| row.dead > 0).map(|row| {
        format!(
            "{} stays dead: `deltapost outbox retry --endpoint {}`",
            counted(row.dead, "notification"),
            row.id
        )
    });
    let notes = dead.collect();
    if args.json {
        let resumed: Vec<_> = endpoints
            .iter()
            .map(|row| {
                json!({"id": row.id, "url": row.url, "was": row.state, "pending": row.pending, "dead": row.dead})
            })
            .collect();
        return Ok(Reply::json(&json!({"endpoints": resumed})).noting(notes));
    }
    let lines = endpoints.iter().map(|row| {
        let was = if row.state == EndpointState::Active {
            "was active already"
        } else {
            "is active again"
        };
        format!(
            "{} {was}; {} to go out\n",
            words(row),
            counted(row.pending, "notification")
        )
    });
    Ok(Reply::text(lines.collect::<String>()).noting(notes))
}

fn words(row: &Endpoint) -> String {
    format!("endpoint {} `{}`", row.id, shown(&row.url))
}

fn tally(tallied: &Tallied) -> String {
    format!(
        "{} with {}",
        counted(tallied.notifications, "notification"),
        counted(tallied.events, "event")
    )
}
