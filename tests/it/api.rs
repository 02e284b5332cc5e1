//! The local API against the running agent, from outside: who is let in, and what each path answers.

mod entry;
mod instances;
mod life;
mod sign_in;
mod smuggling;
