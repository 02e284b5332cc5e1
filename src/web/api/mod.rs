//! The API: one file for each group of routes, with Cloud Elements' paths and shapes.

pub(super) mod deliveries;
pub(super) mod elements;
pub(super) mod events;

/// What every path of the API has in front.
pub(super) const BASE: &str = "/elements/api-v2";
