//! Other resources than a drive, through the binary: delta feeds of messages, calendars, users, groups and list items, and
//! collections polled by dates, against the simulated service and a receiver that checks everything.

mod exactly_once;
mod feeds;
mod news;
mod windows;
