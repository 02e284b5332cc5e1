//! The words of `outbox …`: commands, flags, times and their help. What they mean is done by `outbox` and
//! `outbox_redeliver`.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args as ClapArgs, Subcommand};
use jiff::Timestamp;

use crate::commands::Which;
use crate::core::model::OutboxState;
use crate::core::span;

#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  deltapost outbox                        # counts by endpoint and state, and the endpoints that are not active
  deltapost outbox list --state pending --instance 'Finance OneDrive'
  deltapost outbox show 42                # body and every attempt
  deltapost outbox retry --all            # the dead ones, once the receiver is mended
  deltapost outbox replay --since 2026-03-01T09:30:00Z   # the receiver has lost what it had
  deltapost outbox resume https://example.com/events     # reactivate an endpoint")]
pub(super) struct OutboxArgs {
    #[command(subcommand)]
    pub(super) command: Option<OutboxCommand>,
}

#[derive(Debug, Subcommand)]
pub(super) enum OutboxCommand {
    /// List notifications, the newest first.
    #[command(after_help = "Examples:
  deltapost outbox list --state pending
  deltapost outbox list --instance 1 --limit 10 --json | jq '.notifications[].lastError'")]
    List {
        /// Only those in this state.
        #[arg(long, value_parser = states([OutboxState::Pending, OutboxState::Delivered, OutboxState::Dead]))]
        state: Option<OutboxState>,

        /// Only those of this instance, by id or name.
        #[arg(long, value_name = "ID|NAME")]
        instance: Option<String>,

        /// How many at most.
        #[arg(long, value_name = "N", default_value_t = 50)]
        limit: u32,
    },

    /// Show one notification: its events, every attempt to deliver it, and its body as it is sent.
    #[command(after_help = "Examples:
  deltapost outbox show 42
  deltapost outbox show 42 --json | jq .body")]
    Show {
        /// The notification's id, or its event id as the receiver knows it.
        #[arg(value_name = "ID")]
        id: String,
    },

    /// Try dead notifications again, and pending ones now.
    ///
    /// A dead one starts over, with its id and its body as they are. It goes out of order: later ones may have been
    /// delivered before it. An endpoint that backs off is tried now; one that is disabled wants `outbox resume`.
    #[command(after_help = "Examples:
  deltapost outbox retry 42
  deltapost outbox retry --all
  deltapost outbox retry --endpoint https://example.com/events --since 2026-03-01")]
    Retry {
        #[command(flatten)]
        chosen: Chosen,

        /// All that are dead or pending.
        #[arg(long, group = "which", conflicts_with_all = ["id", "endpoint", "instance", "since", "until"])]
        all: bool,
    },

    /// Give notifications up for good: they are never delivered.
    ///
    /// By id a pending or a dead one, else dead ones. Without --yes it only says how many they are, and exits with 2.
    #[command(after_help = "Examples:
  deltapost outbox discard 42 --yes
  deltapost outbox discard --instance 'Finance OneDrive' --until 2026-03-01 --yes
  deltapost outbox discard --endpoint https://example.com/events --state pending --yes")]
    Discard {
        #[command(flatten)]
        chosen: Chosen,

        /// Those in this state; a single one by id is taken in either.
        #[arg(
            long,
            default_value = "dead",
            value_parser = states([OutboxState::Dead, OutboxState::Pending]),
            conflicts_with = "id"
        )]
        state: OutboxState,

        /// Yes, for good.
        #[arg(long)]
        yes: bool,
    },

    /// Deliver again what was delivered, for a receiver that has lost it.
    ///
    /// In their order, behind what is pending, each with a new id and the earlier one in its body
    /// (`message.replayOf`, or `replayof` in a CloudEvent). --since and --until are times of delivery. Replays are not
    /// repeated, nor is what waits to be replayed still. Delivered notifications are kept for `[outbox] keep_delivered`.
    #[command(
        override_usage = "deltapost outbox replay ID
       deltapost outbox replay --since TIME [--until TIME] [--instance ID|NAME] [--endpoint URL|ID]",
        after_help = "Examples:
  deltapost outbox replay --since 2026-03-01T09:30:00Z
  deltapost outbox replay --since 2026-03-01 --until 2026-03-02 --instance 'Finance OneDrive'
  deltapost outbox replay 42"
    )]
    Replay {
        #[command(flatten)]
        chosen: Replayable,
    },

    /// Reactivate an endpoint: what waits for it goes out, in order.
    #[command(after_help = "Examples:
  deltapost outbox resume https://example.com/events
  deltapost outbox resume 1               # its id, where several differ in their query only")]
    Resume {
        /// The endpoint's URL as `deltapost outbox` shows it, without a query, or its id.
        #[arg(value_name = "URL|ID")]
        url: String,
    },
}

/// Which notifications, in any way.
#[derive(Debug, ClapArgs)]
#[group(id = "which", required = true, multiple = true)]
pub(super) struct Chosen {
    /// The notification's id, or its event id as the receiver knows it.
    #[arg(value_name = "ID", conflicts_with_all = ["endpoint", "instance", "since", "until"])]
    id: Option<String>,

    /// Those that go to this endpoint, by id or URL as `deltapost outbox` shows it.
    #[arg(long, value_name = "URL|ID")]
    endpoint: Option<String>,

    /// Those of this instance.
    #[arg(long, value_name = "ID|NAME")]
    instance: Option<String>,

    /// Those written at this time or later: RFC 3339, or a date, which begins at midnight UTC.
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<Timestamp>,

    /// Those written before this time.
    #[arg(long, value_name = "TIME", value_parser = time)]
    until: Option<Timestamp>,
}

/// Which delivered notifications: one, or those since some time.
#[derive(Debug, ClapArgs)]
pub(super) struct Replayable {
    /// The notification's id, or its event id as the receiver knows it.
    #[arg(value_name = "ID", conflicts_with_all = ["endpoint", "instance", "since", "until"])]
    id: Option<String>,

    /// Those delivered at this time or later: RFC 3339, or a date, which begins at midnight UTC.
    #[arg(long, value_name = "TIME", value_parser = time, required_unless_present = "id")]
    since: Option<Timestamp>,

    /// Those delivered before this time.
    #[arg(long, value_name = "TIME", value_parser = time)]
    until: Option<Timestamp>,

    /// Those of this instance.
    #[arg(long, value_name = "ID|NAME")]
    instance: Option<String>,

    /// Those that go to this endpoint, by id or URL as `deltapost outbox` shows it.
    #[arg(long, value_name = "URL|ID")]
    endpoint: Option<String>,
}

impl From<&Chosen> for Which {
    fn from(chosen: &Chosen) -> Which {
        Which {
            id: chosen.id.clone(),
            instance: chosen.instance.clone(),
            endpoint: chosen.endpoint.clone(),
            since: chosen.since,
            until: chosen.until,
        }
    }
}

impl From<&Replayable> for Which {
    fn from(chosen: &Replayable) -> Which {
        Which {
            id: chosen.id.clone(),
            instance: chosen.instance.clone(),
            endpoint: chosen.endpoint.clone(),
            since: chosen.since,
            until: chosen.until,
        }
    }
}

/// Reads a time: RFC 3339 with its offset, or a date, which is its midnight in UTC.
fn time(text: &str) -> Result<Timestamp, String> {
    span::instant(text).ok_or_else(|| {
        "expected a time such as 2026-03-01T09:30:00Z, or a date such as 2026-03-01, which is its midnight in UTC"
            .to_owned()
    })
}

/// Reads one of `states`.
fn states<const N: usize>(states: [OutboxState; N]) -> impl TypedValueParser<Value = OutboxState> {
    let words = PossibleValuesParser::new(states.map(OutboxState::as_str));
    words.try_map(|word| OutboxState::from_text(&word).ok_or("no state"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expect: Option<&str>) {
        let expect = expect.map(|time| time.parse().unwrap());
        assert_eq!(time(text).ok(), expect, "{text}");
    }

    #[test]
    fn a_time_says_its_offset_and_a_date_is_its_midnight_in_utc() {
        check("2026-03-01T09:30:00Z", Some("2026-03-01T09:30:00Z"));
        check("2026-03-01T09:30:00.120+01:00", Some("2026-03-01T08:30:00.120Z"));
        check("2026-03-01", Some("2026-03-01T00:00:00Z"));
        for vague in [
            "2026-03-01T09:30:00",
            "2026-02-30",
            "2h",
            "09:30",
            "yesterday",
            "",
        ] {
            check(vague, None);
        }
    }
}
