//! What polls bring, from one call to the next.

use deltapost::sim::receiver::Received;

use crate::support::Site;
use crate::support::ledger::check_deliveries;

/// Polls and delivers, and returns the events that are new since the last call.
#[track_caller]
pub(crate) fn news(site: &Site, seen: &mut usize) -> Vec<Received> {
    site.once().code(0);
    check_deliveries(site);
    let news = site.receiver.events().split_off(*seen);
    *seen += news.len();
    news
}

/// Each event as `TYPE type id`.
pub(crate) fn told(events: &[Received]) -> Vec<String> {
    let line = |event: &Received| format!("{} {} {}", event.event_type, event.object_type, event.object_id);
    events.iter().map(line).collect()
}
