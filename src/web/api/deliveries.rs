//! Deliveries: what became, or becomes, of each notification at its endpoint, which Cloud Elements calls a subscription;
//! and sending again what is not tried any more by itself.

use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::super::call::Call;
use super::super::paging;
use super::super::reply::{self, Refusal};
use super::super::route::{Table, Who, route};
use super::BASE;
use crate::core::condition::conditions;
use crate::core::history::DeliveryStatus;
use crate::core::model::{EndpointState, Format};
use crate::core::outbox::{Destination, Entry};
use crate::core::shown::{shown, shown_url};
use crate::httpd::Reply;
use crate::store::{Listing, Wanted};

pub(crate) const TABLE: Table = Table {
    base: BASE,
    routes: &[
        route(
            "GET",
            "/notifications/subscriptions/deliveries",
            Who::Client,
            list,
        ),
        route(
            "PUT",
            "/notifications/subscriptions/deliveries",
            Who::Client,
            deliver,
        ),
    ],
};

/// The one channel that there is.
const CHANNEL: &str = "webhook";

const KEYS: &[&str] = &[
    "channel",
    "status",
    "config.url",
    "notificationId",
    "subscriptionId",
];

/// What `where` asks for.
#[derive(Debug, Default)]
struct Conditions {
    /// A channel is named that nothing goes through.
    other_channel: bool,
    status: Option<DeliveryStatus>,
    url: Option<String>,
    notification: Option<i64>,
    subscription: Option<i64>,
}

fn read(call: &Call<'_>) -> Result<Conditions, Refusal> {
    let text = call.query("where").unwrap_or_default();
    let mut asked = Conditions::default();
    for (key, value) in conditions(&text, KEYS).map_err(|mistake| Refusal::bad(mistake.to_string()))? {
        match key {
            "channel" => asked.other_channel = value != CHANNEL,
            "status" => asked.status = Some(status(&value)?),
            "config.url" => asked.url = Some(shown_url(&value)),
            "notificationId" => asked.notification = Some(number(key, &value)?),
            _ => asked.subscription = Some(number(key, &value)?),
        }
    }
    Ok(asked)
}

fn status(value: &str) -> Result<DeliveryStatus, Refusal> {
    DeliveryStatus::from_text(value).ok_or_else(|| {
        let known: Vec<_> = DeliveryStatus::ALL.iter().map(|status| status.as_str()).collect();
        Refusal::not_one_of("status", &known, value)
    })
}

fn number(key: &str, value: &str) -> Result<i64, Refusal> {
    value.parse().map_err(|_| {
        Refusal::bad(format!(
            "`{key}`: expected a whole number, got `{}`",
            shown(value)
        ))
    })
}

/// A delivery as Cloud Elements shows it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Delivery<'e> {
    notification_id: i64,
    subscription_id: i64,
    status: &'static str,
    attempts: u32,
    created_date: &'e str,
    delivered_date: Option<&'e str>,
    next_attempt_date: Option<&'e str>,
    last_status: Option<u16>,
    last_error: Option<&'e str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    notification: Option<Notification<'e>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subscription: Option<Value>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Notification<'e> {
    id: i64,
    event_id: &'e str,
    topic: &'e str,
    severity: &'static str,
    date: &'e str,
    /// `message` of a body in Cloud Elements' own format, and the whole of another one.
    message: Option<&'e RawValue>,
}

#[derive(serde::Deserialize)]
struct Body<'e> {
    #[serde(borrow)]
    message: &'e RawValue,
}

impl<'e> Delivery<'e> {
    /// `None` for an instance without an endpoint: nothing is delivered then.
    fn of(entry: &'e Entry) -> Option<Delivery<'e>> {
        let place = entry.endpoint.as_ref()?;
        let content = entry.content.as_ref();
        Some(Delivery {
            notification_id: entry.id,
            subscription_id: place.id,
            status: DeliveryStatus::of(entry.state, entry.attempts, place.state).as_str(),
            attempts: entry.attempts,
            created_date: &entry.created_at,
            delivered_date: entry.delivered_at.as_deref(),
            next_attempt_date: entry.next_attempt_at.as_deref(),
            last_status: entry.last_status,
            last_error: entry.last_error.as_deref(),
            notification: content.map(|content| Notification {
                id: entry.id,
                event_id: &entry.event_id,
                topic: &entry.resource,
                severity: "low",
                date: &entry.created_at,
                message: message(entry.format, &content.body),
            }),
            subscription: content.map(|_| subscription(entry, place)),
        })
    }
}

fn message(format: Format, body: &[u8]) -> Option<&RawValue> {
    match format {
        Format::Elements => serde_json::from_slice(body)
            .ok()
            .map(|body: Body<'_>| body.message),
        Format::CloudEvents | Format::CloudEventsBatch => serde_json::from_slice(body).ok(),
    }
}

fn subscription(entry: &Entry, place: &Destination) -> Value {
    json!({
        "id": place.id,
        "channel": CHANNEL,
        "topics": [format!("instance-{}-{}-events", entry.instance_id, entry.element)],
        "config": {"url": place.url},
        "active": place.state != EndpointState::Disabled,
    })
}

fn list(call: &Call<'_>) -> Result<Reply, Refusal> {
    let asked = read(call)?;
    let hydrate = call.query_as("hydrate", "true or false")?.unwrap_or(true);
    let listing = Listing {
        instance_id: own(call)?,
        id: asked.notification,
        status: Wanted::Deliveries(asked.status.into_iter().collect()),
        endpoint_id: asked.subscription,
        endpoint_url: asked.url,
        before: paging::next_page(call)?,
        most: paging::page_size(call)?,
        with_bodies: hydrate,
        ..Listing::default()
    };
    if asked.other_channel {
        return Ok(paging::page(&[] as &[Value], None));
    }
    let page = call.house.store.listed(&listing)?;
    let bytes = page.body_bytes();
    let mut entries = page.entries;
    if hydrate {
        call.make_room(bytes)?;
        entries = call.house.store.read_bodies(entries)?;
    }
    // All have an endpoint: others are not listed.
    let count = entries.len();
    let reply = reply::json_written(move |out| {
        let deliveries: Vec<Delivery<'_>> = entries.iter().filter_map(Delivery::of).collect();
        serde_json::to_writer(out, &deliveries)
    });
    Ok(paging::counted(reply, count, page.next))
}

/// The instance whose token came with the request, where one did.
fn own(call: &Call<'_>) -> Result<Option<i64>, Refusal> {
    match &call.instance {
        Some(instance) if !instance.enabled => Err(Refusal::disabled()),
        instance => Ok(instance.as_ref().map(|instance| instance.id)),
    }
}

/// Sends what is queued again, in its order; the agent begins within a second. With an instance's token that is what belongs
/// to the instance.
fn deliver(call: &Call<'_>) -> Result<Reply, Refusal> {
    let own = own(call)?;
    let asked = read(call)?;
    if let Some(status) = asked.status.filter(|status| *status != DeliveryStatus::Queued) {
        return Err(Refusal::bad(format!(
            "`status`: only `queued` ones are delivered by this, not `{status}`"
        )));
    }
    if asked.notification.is_some() {
        return Err(Refusal::bad(
            "`notificationId`: all that is queued for a subscription is delivered, in its order; `deltapost outbox retry` \
             retries a single one",
        ));
    }
    if asked.other_channel {
        return Ok(reply::json(200, &json!({"notifications": 0, "events": 0})));
    }
    let delivered = call
        .house
        .deliver_queued(own, asked.subscription, asked.url.as_deref())?;
    Ok(reply::json(200, &delivered))
}
