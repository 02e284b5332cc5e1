//! The binary as people use it: arguments in; standard output, standard error and the exit code out. What is polled and
//! delivered on the way is other tests' matter.

#![expect(
    clippy::unwrap_used,
    reason = "a builder that fails should fail the test at once"
)]

#[path = "cli_commands/bad_input.rs"]
mod bad_input;
#[path = "cli_commands/beside_an_agent.rs"]
mod beside_an_agent;
#[path = "cli_commands/demo.rs"]
mod demo;
#[path = "cli_commands/house.rs"]
mod house;
#[path = "cli_commands/init.rs"]
mod init;
#[path = "cli_commands/instances.rs"]
mod instances;
#[path = "cli_commands/pages.rs"]
mod pages;
#[path = "cli_commands/run.rs"]
mod run;
#[path = "cli_commands/world.rs"]
mod world;
