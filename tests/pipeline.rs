//! The whole way from a drive to a callback, through the binary: what is detected, delivered and kept, against a
//! simulated OneDrive and a receiver that checks everything.

mod support;

#[path = "pipeline/feed.rs"]
mod feed;
#[path = "pipeline/storms.rs"]
mod storms;
