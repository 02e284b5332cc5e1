//! The API's description, OpenAPI 3.1: a file, served as it is. That it names each route of the tables, and nothing else,
//! is checked here.

use super::call::Call;
use super::reply::Refusal;
use super::route::{Table, Who, route};
use crate::httpd::Reply;

pub(super) const TABLE: Table = Table {
    base: super::api::BASE,
    routes: &[route("GET", "/openapi.json", Who::Client, document)],
};

const DOCUMENT: &str = include_str!("../../schema/openapi.json");

fn document(_: &Call<'_>) -> Result<Reply, Refusal> {
    Ok(Reply::json(200, DOCUMENT).with("Cache-Control", "no-store"))
}

#[cfg(test)]
mod tests;
