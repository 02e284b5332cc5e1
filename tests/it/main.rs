//! All integration tests, in one binary: one program to link, and tests of all files run beside each other. So none of
//! them changes what its process has one of: environment, working directory, umask, limits, signal handlers. What a test
//! wants otherwise it gives to the agent's process that it starts. `storm` alone is a program of its own: it takes options.

#![expect(
    clippy::unwrap_used,
    reason = "a fixture that fails should fail the test at once"
)]

mod adverse;
mod alerts;
mod api;
mod api_attacks;
mod api_events;
mod at_once;
mod backup;
mod bad_input;
mod bounds;
mod bytes;
mod cli_commands;
mod echo;
mod house;
mod kill;
mod outbox;
mod page;
mod pipeline;
mod provider;
mod readme;
mod receivers;
mod resources;
mod rooms;
mod schedule;
mod schema;
mod service;
mod support;

#[cfg(not(debug_assertions))]
compile_error!("the tests need kill points and the simulator's faults: build them without --release");
