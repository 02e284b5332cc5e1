//! The local API against the running agent, from outside: who is let in, and what each path answers.

#[path = "api/entry.rs"]
mod entry;
#[path = "support/mod.rs"]
mod support;
