//! The whole way from a drive to a callback, through the binary: what is detected, delivered and kept, against a
//! simulated OneDrive and a receiver that checks everything.

mod account;

mod creation;
mod delivery;

mod feed;
mod interruption;
mod isolation;
mod office;
mod stale;
mod storms;
