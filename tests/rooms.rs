//! Single rooms from inside, with real files and sockets and a clock turned by hand. What the binary promises as a whole
//! is tested from outside, in the other files.

#![expect(
    clippy::unwrap_used,
    reason = "a fixture that fails should fail the test at once"
)]

#[path = "rooms/bounds.rs"]
mod bounds;
#[path = "rooms/deliver.rs"]
mod deliver;
#[path = "rooms/fixture.rs"]
mod fixture;
#[path = "rooms/listing.rs"]
mod listing;
#[path = "rooms/store.rs"]
mod store;
