//! The domain: values in, values out. Nothing here opens a file or a socket, starts a thread, reads a clock or rolls
//! a die; whatever decides takes `now` and the dice as arguments.

pub mod address;
pub mod alert;
pub mod backoff;
pub mod bounds;
mod cloudevents;
pub mod condition;
pub mod cycle;
pub mod detect;
pub mod drive;
pub mod elements;
pub mod feed;
pub mod fields;
pub mod fingerprint;
pub mod first;
pub mod glob;
pub mod histogram;
pub mod history;
pub mod model;
pub mod nearest;
pub mod outbox;
pub mod payload;
pub mod phase;
pub mod plan;
pub mod poll;
mod problem;
pub mod properties;
pub mod redacted;
pub mod retry;
pub mod schedule;
pub mod shown;
pub mod sign;
pub mod span;
pub mod waits;
pub mod window;

/// A buffer for a large body is made with room for so much. The allocator gets more than 32 MiB from the system each time, and
/// gives it back when it is freed; less can stay with the thread that had it, so that each thread that has read a large
/// body would keep as much. What is not written to takes no memory.
pub const RETURNED_BYTES: usize = 33 * 1024 * 1024;
