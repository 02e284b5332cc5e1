//! How far a notification is, in the words that clients of the API know: an event's status and a delivery's. Pure;
//! the same conditions as SQL stand beside the queries that filter by them.

use super::model::{EndpointState, OutboxState, spelled};

spelled! {
    /// The status of an event (Cloud Elements, events). Of these a notification is in the first, third or last.
    EventStatus {
        /// Written, and not sent yet.
        New = "NEW",
        /// Nothing here is: what is polled is written at once.
        Received = "RECEIVED",
        /// Sent, and not accepted so far, or not any more to be.
        Dispatched = "DISPATCHED",
        /// Nothing here is: who reads an event does not consume it.
        Consumed = "CONSUMED",
        /// Accepted by its endpoint.
        Notified = "NOTIFIED",
    }
}

impl EventStatus {
    /// The status of a notification after `attempts` attempts.
    pub fn of(state: OutboxState, attempts: u32) -> EventStatus {
        match (state, attempts) {
            (OutboxState::Delivered, _) => EventStatus::Notified,
            (OutboxState::Pending, 0) => EventStatus::New,
            (OutboxState::Pending | OutboxState::Dead, _) => EventStatus::Dispatched,
        }
    }
}

spelled! {
    /// The status of a delivery (Cloud Elements, notification subscriptions).
    DeliveryStatus {
        /// Not tried yet.
        Created = "created",
        /// Tried, and tried again by itself.
        Retry = "retry",
        /// Not tried any more by itself: its endpoint is disabled, or it is dead.
        Queued = "queued",
        /// Nothing here is: an endpoint that was told of a notification has accepted it or not.
        Notified = "notified",
        /// Accepted.
        Delivered = "delivered",
    }
}

impl DeliveryStatus {
    /// The status of a notification after `attempts` attempts, whose endpoint is in the state `endpoint`.
    pub fn of(state: OutboxState, attempts: u32, endpoint: EndpointState) -> DeliveryStatus {
        match (state, endpoint, attempts) {
            (OutboxState::Delivered, _, _) => DeliveryStatus::Delivered,
            (OutboxState::Dead, _, _) | (OutboxState::Pending, EndpointState::Disabled, _) => {
                DeliveryStatus::Queued
            }
            (OutboxState::Pending, _, 0) => DeliveryStatus::Created,
            (OutboxState::Pending, _, _) => DeliveryStatus::Retry,
        }
    }
}
