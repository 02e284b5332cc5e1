//! Instance documents in Cloud Elements' shape: read with all their problems at once, merged with what is stored,
//! understood as `Settings`, and shown again without their secrets. No storing, sealing or exchanging happens here.

pub mod catalogue;
mod document;
mod entries;
mod graph_path;
mod headers;
mod json;
pub mod keys;
mod kinds;
mod legacy;
mod markup;
mod merge;
mod render;
mod resources;
mod secrets;
mod settings;
#[cfg(test)]
mod tests;
mod values;

pub use crate::core::problem::Problem;
pub use document::{Document, parse, read, set};
pub use entries::{entries, entry_of};
pub use graph_path::refuse_detour;
pub use json::{parse as parse_json, parsed_bytes};
pub use keys::SECRET_KEYS;
pub use merge::{merge, replace};
pub use render::render;
pub use secrets::{join, mask, split, withheld};
pub use settings::{NewInstance, check_code, check_new, check_read, notes, settings, zones};
