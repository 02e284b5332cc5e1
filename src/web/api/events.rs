//! Events: an event of the API is one of our notifications. Listed and counted from the outbox, as far back as
//! `[outbox] keep_delivered` reaches.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Serialize, Serializer};
use serde_json::json;

use super::super::call::Call;
use super::super::paging;
use super::super::reply::{self, Refusal};
use super::super::route::{Table, Who, route};
use super::{BASE, instances};
use crate::core::history::EventStatus;
use crate::core::model::time_text;
use crate::core::outbox::{Content, Entry};
use crate::core::shown::shown;
use crate::core::span::{Interval, Span, SpanError};
use crate::httpd::Reply;
use crate::store::{Listing, Wanted};

pub(crate) const TABLE: Table = Table {
    base: BASE,
    routes: &[
        route("GET", "/instances/events", Who::Client, list),
        route("GET", "/instances/events/{eventId}", Who::Client, show),
        route("GET", "/instances/events/analytics", Who::Client, analytics),
        route(
            "GET",
            "/instances/events/analytics/instances",
            Who::Client,
            analytics_by_instance,
        ),
        route("GET", "/instances/{id}/events", Who::Client, list),
        route("GET", "/instances/{id}/events/{eventId}", Who::Client, show),
    ],
};

/// An event as Cloud Elements shows it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Event<'e> {
    id: &'e str,
    event_date: &'e str,
    status: &'static str,
    instance_id: i64,
    element_key: &'static str,
    /// The resource's name.
    topic: &'e str,
    /// What deliveries call it.
    notification_id: i64,
    /// Changes in it.
    count: u32,
    /// The provider's objects, a JSON array as text.
    #[serde(serialize_with = "written")]
    provider_data: Option<&'e Content>,
    /// The notification's body, as it is sent.
    notified_data: [Cow<'e, str>; 1],
}

impl<'e> Event<'e> {
    fn of(entry: &'e Entry) -> Event<'e> {
        let content = entry.content.as_ref();
        Event {
            id: &entry.event_id,
            event_date: &entry.created_at,
            status: EventStatus::of(entry.state, entry.attempts).as_str(),
            instance_id: entry.instance_id,
            element_key: entry.element.as_str(),
            topic: &entry.resource,
            notification_id: entry.id,
            count: entry.event_count,
            provider_data: content,
            notified_data: [
                content.map_or_else(Cow::default, |content| String::from_utf8_lossy(&content.body))
            ],
        }
    }
}

/// As one string, which is never in memory as a whole.
fn written<S: Serializer>(content: &Option<&Content>, serializer: S) -> Result<S::Ok, S::Error> {
    match content {
        Some(content) => serializer.collect_str(&content.objects()),
        None => serializer.serialize_str(""),
    }
}

fn list(call: &Call<'_>) -> Result<Reply, Refusal> {
    let (from, to) = (paging::time(call, "from")?, paging::time(call, "to")?);
    if let Some((from, to)) = from.zip(to).filter(|(from, to)| from >= to) {
        return Err(Refusal::bad(SpanError::Reversed { from, to }.to_string()));
    }
    let asked = Listing {
        instance_id: meant(call)?,
        from,
        to,
        status: Wanted::Events(statuses(call)?),
        before: paging::next_page(call)?,
        most: paging::page_size(call)?,
        with_bodies: true,
        ..Listing::default()
    };
    let page = call.house.store.listed(&asked)?;
    call.make_room(page.body_bytes())?;
    let entries = call.house.store.read_bodies(page.entries)?;
    let count = entries.len();
    let reply = reply::json_written(move |out| {
        let events: Vec<Event<'_>> = entries.iter().map(Event::of).collect();
        serde_json::to_writer(out, &events)
    });
    Ok(paging::counted(reply, count, page.next))
}

fn show(call: &Call<'_>) -> Result<Reply, Refusal> {
    let (id, instance) = (call.param("eventId"), meant(call)?);
    let unknown = || {
        Refusal::not_found(format!(
            "there is no event `{}`; delivered ones are not kept for ever",
            shown(id)
        ))
    };
    let found = call.house.store.listed_event(id, instance)?.ok_or_else(unknown)?;
    call.make_room(found.body_bytes)?;
    let found = call.house.store.read_bodies(vec![found])?.pop();
    let entry = found.ok_or_else(unknown)?;
    Ok(reply::json_written(move |out| {
        serde_json::to_writer(out, &Event::of(&entry))
    }))
}

/// The instance that the path or the token names; `None` for all of them.
fn meant(call: &Call<'_>) -> Result<Option<i64>, Refusal> {
    match (call.param("id"), &call.instance) {
        ("", None) => Ok(None),
        ("", Some(instance)) if !instance.enabled => Err(Refusal::disabled()),
        _ => Ok(Some(instances::meant(call)?.id)),
    }
}

/// The statuses that are asked for, named one by one or joined by commas.
fn statuses(call: &Call<'_>) -> Result<Vec<EventStatus>, Refusal> {
    let mut statuses = Vec::new();
    for given in call.queries("status") {
        for word in given.split(',').map(str::trim).filter(|word| !word.is_empty()) {
            let status = EventStatus::from_text(&word.to_ascii_uppercase()).ok_or_else(|| {
                let known: Vec<_> = EventStatus::ALL.iter().map(|status| status.as_str()).collect();
                Refusal::not_one_of("status", &known, word)
            })?;
            statuses.push(status);
        }
    }
    Ok(statuses)
}

/// A piece of the span.
struct Piece {
    /// When it begins.
    timestamp: String,
    /// Events, of instances that had any.
    counts: BTreeMap<i64, u64>,
}

impl Piece {
    fn total(&self) -> u64 {
        self.counts.values().sum()
    }
}

/// Events by time: every piece of the span, also where there was none.
fn analytics(call: &Call<'_>) -> Result<Reply, Refusal> {
    let shown = |piece: &Piece| json!({"timestamp": piece.timestamp, "count": piece.total()});
    Ok(reply::json(
        200,
        &pieces(call)?.iter().map(shown).collect::<Vec<_>>(),
    ))
}

/// The same, and in each piece a record for each instance that had any.
fn analytics_by_instance(call: &Call<'_>) -> Result<Reply, Refusal> {
    let shown = |piece: &Piece| {
        let record = |(instance, count): (&i64, &u64)| json!({"instanceId": instance, "count": count});
        let records: Vec<_> = piece.counts.iter().map(record).collect();
        json!({"timestamp": piece.timestamp, "total": piece.total(), "records": records})
    };
    Ok(reply::json(
        200,
        &pieces(call)?.iter().map(shown).collect::<Vec<_>>(),
    ))
}

fn pieces(call: &Call<'_>) -> Result<Vec<Piece>, Refusal> {
    let (from, to) = (paging::time(call, "from")?, paging::time(call, "to")?);
    let now = call.house.clock.now();
    let span = Span::new(from, to, interval(call)?, now).map_err(|error| Refusal::bad(error.to_string()))?;
    let only = meant(call)?;
    let empty = |begin| Piece {
        timestamp: time_text(begin),
        counts: BTreeMap::new(),
    };
    let mut pieces: Vec<Piece> = span.pieces().map(empty).collect();
    call.house.store.count_by_minute((span.from, span.to), |count| {
        let piece = span.piece_of(count.at).and_then(|at| pieces.get_mut(at));
        if let Some(piece) = piece
            && only.is_none_or(|only| only == count.instance_id)
        {
            *piece.counts.entry(count.instance_id).or_default() += count.notifications;
        }
    })?;
    Ok(pieces)
}

fn interval(call: &Call<'_>) -> Result<Interval, Refusal> {
    let Some(text) = call.query("interval").filter(|text| !text.is_empty()) else {
        return Ok(Interval::Hour);
    };
    Interval::from_text(&text).ok_or_else(|| {
        let known: Vec<_> = Interval::ALL.iter().map(|interval| interval.as_str()).collect();
        Refusal::not_one_of("interval", &known, &text)
    })
}
