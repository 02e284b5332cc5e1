//! The API: one file for each group of routes, with Cloud Elements' paths and shapes.

pub(super) mod configuration;
pub(super) mod deliveries;
pub(super) mod elements;
pub(super) mod events;
pub(super) mod instances;
pub(super) mod oauth;
pub(super) mod polls;

/// What every path of the API has in front.
pub(super) const BASE: &str = "/elements/api-v2";
