//! One request on its way to its answer: what was found of it, and the readings that answers share.

use std::cell::RefCell;
use std::str::FromStr;

use url::form_urlencoded;

use super::Web;
use super::reply::Refusal;
use crate::commands::House;
use crate::core::model::Instance;
use crate::core::shown::shown;
use crate::httpd::{Held, Request};
use crate::store::InstanceListing;

/// The segments of a path in the place of `{name}`s, decoded, by these names.
pub(super) type Params = Vec<(&'static str, String)>;

/// A request that has been let in.
pub(super) struct Call<'c> {
    pub(super) request: &'c Request<'c>,
    pub(super) house: &'c House,
    pub(super) web: &'c Web,
    pub(super) params: Params,
    /// The instance whose token came with it.
    pub(super) instance: Option<Instance>,
    /// Its place among the large answers, where it needs one.
    pub(super) place: RefCell<Option<Held>>,
}

impl<'c> Call<'c> {
    /// The decoded segment that stands for `{name}`; empty where the route has none of that name.
    pub(super) fn param(&self, name: &str) -> &str {
        let found = self.params.iter().find(|(known, _)| *known == name);
        found.map_or("", |(_, value)| value)
    }

    /// The first value of `name` in the query, decoded.
    pub(super) fn query(&self, name: &str) -> Option<String> {
        self.queries(name).next()
    }

    /// Every value of `name` in the query, decoded.
    pub(super) fn queries(&self, name: &str) -> impl Iterator<Item = String> {
        let pairs = form_urlencoded::parse(self.request.query().as_bytes());
        pairs
            .filter(move |(known, _)| known == name)
            .map(|(_, value)| value.into_owned())
    }

    /// The value of `name` in the query as a `T`, which `expected` describes.
    ///
    /// # Errors
    /// 400 where it is none.
    pub(super) fn query_as<T: FromStr>(&self, name: &str, expected: &str) -> Result<Option<T>, Refusal> {
        let Some(text) = self.query(name).filter(|text| !text.is_empty()) else {
            return Ok(None);
        };
        let wrong = |_| Refusal::bad(format!("`{name}`: expected {expected}, got `{}`", shown(&text)));
        text.parse().map(Some).map_err(wrong)
    }

    /// The name by which the client calls this server, with its port. It has been checked.
    pub(super) fn host(&self) -> &'c str {
        self.request.header("Host").unwrap_or_default()
    }

    /// Each value of the cookie `name`: servers on other ports of this host can set one of the same name.
    pub(super) fn cookies<'n>(&self, name: &'n str) -> impl Iterator<Item = &'c str> + use<'c, 'n> {
        let headers = self
            .request
            .headers()
            .filter(|(header, _)| header.eq_ignore_ascii_case("Cookie"));
        let pairs = headers.flat_map(|(_, cookies)| cookies.split(';'));
        pairs.filter_map(move |pair| pair.trim().strip_prefix(name)?.strip_prefix('='))
    }

    /// Makes room for `bytes` of an answer, or of what is made on the way to it. A request has one place at most, until its
    /// answer is written.
    ///
    /// # Errors
    /// 503 where there is none.
    pub(super) fn make_room(&self, bytes: usize) -> Result<(), Refusal> {
        let mut place = self.place.borrow_mut();
        if place.is_none() {
            *place = self.web.large.enter(bytes)?;
        }
        Ok(())
    }

    /// Gives the place back before a long wait, unless what it is for is kept with the request.
    pub(super) fn leave_room(&self) {
        if self.instance.is_none() {
            self.place.take();
        }
    }

    /// The instance with that id, unless it is being deleted, with room for its configuration.
    ///
    /// # Errors
    /// 404; 503 where there is no room.
    pub(super) fn instance(&self, id: i64) -> Result<Instance, Refusal> {
        let asked = InstanceListing {
            id: Some(id),
            most: 1,
            ..InstanceListing::default()
        };
        let found = self.house.store.listed_instances(&asked)?;
        self.make_room(found.first().map_or(0, |row| row.parsed_bytes))?;
        Ok(self.house.present_instance(id)?)
    }

    /// The body as text.
    ///
    /// # Errors
    /// 400 when it is not UTF-8.
    pub(super) fn text(&self) -> Result<&'c str, Refusal> {
        str::from_utf8(self.request.body).map_err(|_| Refusal::bad("the body is not UTF-8"))
    }
}
