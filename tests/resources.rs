//! Other resources than a drive, through the binary: delta feeds of messages, calendars, users, groups and list items, and
//! collections polled by dates, against the simulated service and a receiver that checks everything.

#![expect(
    clippy::unwrap_used,
    reason = "a fixture that fails should fail the test at once"
)]

mod support;

#[allow(dead_code, reason = "the bench serves other tests, too")]
#[path = "provider/bench.rs"]
mod bench;
#[path = "resources/exactly_once.rs"]
mod exactly_once;
#[path = "resources/feeds.rs"]
mod feeds;
#[path = "resources/news.rs"]
mod news;
#[path = "resources/windows.rs"]
mod windows;
