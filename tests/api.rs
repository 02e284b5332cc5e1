//! The local API against the running agent, from outside: who is let in, and what each path answers.

#![expect(
    clippy::unwrap_used,
    reason = "a fixture that fails should fail the test at once"
)]

#[path = "api/entry.rs"]
mod entry;
#[path = "api/instances.rs"]
mod instances;
#[path = "api/life.rs"]
mod life;
#[path = "api/sign_in.rs"]
mod sign_in;
#[path = "api/smuggling.rs"]
mod smuggling;
#[path = "support/mod.rs"]
mod support;
