//! deltapost: polls OneDrive for changes and delivers them to HTTP callbacks, durably.
//!
//! Data flows one way through these rooms: `poll` fetches pages through `graph`, `core::detect` says what changed,
//! `store` commits items, events and the cursor in one transaction, and `deliver` drains the outbox through `callback`.
//! `docs/ARCHITECTURE.md` is the longer map, and `tests/it/house.rs` holds who may import whom.

pub mod agent;
pub mod callback;
pub mod cli;
pub mod clock;
pub mod commands;
pub mod config;
pub mod core;
pub mod deliver;
pub mod grants;
pub mod graph;
pub mod httpd;
pub mod killpoint;
pub mod places;
pub mod poll;
pub mod sim;
pub mod store;
pub mod web;
pub mod wire;
pub mod zones;
