//! The whole way from a drive to a callback, through the binary: what is detected, delivered and kept, against a
//! simulated OneDrive and a receiver that checks everything.

#![expect(
    clippy::unwrap_used,
    reason = "a fixture that fails should fail the test at once"
)]

mod support;

#[path = "pipeline/account.rs"]
mod account;

#[path = "pipeline/creation.rs"]
mod creation;
#[path = "pipeline/delivery.rs"]
mod delivery;

#[path = "pipeline/feed.rs"]
mod feed;
#[path = "pipeline/interruption.rs"]
mod interruption;
#[path = "pipeline/isolation.rs"]
mod isolation;
#[path = "pipeline/office.rs"]
mod office;
#[path = "pipeline/stale.rs"]
mod stale;
#[path = "pipeline/storms.rs"]
mod storms;
