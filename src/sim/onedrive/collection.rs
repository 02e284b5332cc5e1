//! Other collections than a drive's items: messages, directory objects, a calendar's view, list items. Each has a delta feed
//! and can be asked for what was updated since a time. Its objects are what a test puts in, in their latest state.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::fault::Fault;
use super::graph::{error_body, gone_reply};
use super::{Gone, decoded};
use crate::httpd::{Reply, Request};

/// How the objects of a collection come in its feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Mail and the like: whole objects with `@odata.etag` and times; removals bear `@removed`.
    Messages,
    /// Users and groups: no tag, no modification time, and of a changed one the changed properties only.
    Directory,
    /// Like messages, but a new enumeration wants `startDateTime` and `endDateTime`.
    CalendarView,
    /// Whole objects with `eTag` and times; removals bear `deleted`.
    ListItems,
}

/// A handle of a collection; clones are the same one.
#[derive(Clone)]
pub struct Collection {
    /// Below the Graph base, such as `/me/messages`.
    path: Arc<str>,
    shape: Shape,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    objects: Vec<Object>,
    /// Each change: the object's place, and the properties that it gave.
    journal: Vec<(usize, Map<String, Value>)>,
    /// Counts the expiries of tokens.
    epoch: usize,
    page_size: usize,
    /// The status that every request is refused with.
    refuses: Option<u16>,
}

struct Object {
    id: String,
    properties: Map<String, Value>,
    version: u64,
    /// `deleted` or `changed`.
    removed: Option<&'static str>,
    /// Not yet found by queries, though it is there.
    hidden: bool,
}

impl Collection {
    pub(super) fn new(path: &str, shape: Shape) -> Collection {
        let state = State {
            page_size: 10,
            ..State::default()
        };
        Collection {
            path: path.into(),
            shape,
            state: Arc::new(Mutex::new(state)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Creates the object `id`, or gives it other properties. One that was removed is there again.
    pub fn put(&self, id: &str, properties: Value) {
        let Value::Object(properties) = properties else {
            panic!("properties are an object")
        };
        let mut state = self.lock();
        let at = state.objects.iter().position(|object| object.id == id);
        let at = at.unwrap_or_else(|| {
            state.objects.push(Object {
                id: id.to_owned(),
                properties: Map::new(),
                version: 0,
                removed: None,
                hidden: false,
            });
            state.objects.len() - 1
        });
        let object = &mut state.objects[at];
        let mut told = properties.clone();
        if object.removed.take().is_some() {
            told = object.properties.clone();
            told.extend(properties.clone());
        }
        object.properties.extend(properties);
        object.version += 1;
        state.journal.push((at, told));
    }

    /// Removes the object `id`; `reason` is `deleted` or `changed`.
    pub fn remove(&self, id: &str, reason: &'static str) {
        let mut state = self.lock();
        let at = state.objects.iter().position(|object| object.id == id);
        let at = at.expect("only what exists is removed");
        state.objects[at].removed = Some(reason);
        state.journal.push((at, Map::new()));
    }

    /// Keeps the object `id` out of what queries find, or lets them find it, as when its indexing is late. The delta feed
    /// does not care.
    pub fn hide(&self, id: &str, hidden: bool) {
        let mut state = self.lock();
        let found = state.objects.iter_mut().find(|object| object.id == id);
        found.expect("only what exists is hidden").hidden = hidden;
    }

    /// Objects in a page that is not asked to have another size.
    pub fn set_page_size(&self, page_size: usize) {
        self.lock().page_size = page_size.max(1);
    }

    /// Refuses every request with that status, until it is taken back.
    pub fn refuse(&self, status: Option<u16>) {
        self.lock().refuses = status;
    }

    /// Every link given out until now is stale from now on.
    pub fn expire_tokens(&self) {
        self.lock().epoch += 1;
    }

    /// The answer when `path`, decoded, is the collection or its feed.
    pub(super) fn answer(
        &self,
        path: &str,
        origin: &str,
        request: &Request<'_>,
        fault: Option<&Fault>,
    ) -> Option<Reply> {
        let query = Query::read(request);
        let state = self.lock();
        let rest = path.strip_prefix(&*self.path)?;
        let url = format!("{origin}{}", request.path());
        if let Some(status) = state.refuses.filter(|_| matches!(rest, "" | "/delta")) {
            return Some(Reply::json(status, error_body("accessDenied", "Access denied")));
        }
        match (rest, fault) {
            ("/delta", Some(Fault::Gone(gone))) => Some(gone_reply(gone.code, None)),
            ("/delta", _) => Some(state.delta(self.shape, &url, &query, fault)),
            ("", _) => Some(state.find(self.shape, &url, request.query(), &query, fault)),
            _ => None,
        }
    }
}

/// The options of a request.
struct Query {
    options: Vec<(String, String)>,
    page_size: Option<usize>,
}

impl Query {
    fn read(request: &Request<'_>) -> Query {
        let pairs = request.query().split('&').filter_map(|pair| pair.split_once('='));
        let options = pairs.map(|(key, value)| (decoded(key), decoded(value)));
        let prefer = request.header("prefer").unwrap_or_default();
        let mut query = Query {
            options: options.collect(),
            page_size: prefer
                .strip_prefix("odata.maxpagesize=")
                .and_then(|size| size.parse().ok()),
        };
        let top = query.option("$top").and_then(|top| top.parse().ok());
        query.page_size = query.page_size.or(top);
        query
    }

    fn option(&self, name: &str) -> Option<&str> {
        let found = self.options.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// Where a page of a feed begins: in the set between two places of the journal.
#[derive(Clone, Copy)]
struct Place {
    epoch: usize,
    from: usize,
    upto: usize,
    offset: usize,
}

impl Place {
    fn token(self) -> String {
        let Place {
            epoch,
            from,
            upto,
            offset,
        } = self;
        URL_SAFE_NO_PAD.encode(format!("{epoch}.{from}.{upto}.{offset}"))
    }

    fn read(token: &str) -> Option<Place> {
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(token).ok()?).ok()?;
        let numbers: Vec<usize> = text
            .split('.')
            .map(|number| number.parse().ok())
            .collect::<Option<_>>()?;
        let [epoch, from, upto, offset] = numbers[..] else {
            return None;
        };
        Some(Place {
            epoch,
            from,
            upto,
            offset,
        })
    }
}

impl State {
    fn delta(&self, shape: Shape, url: &str, query: &Query, fault: Option<&Fault>) -> Reply {
        let upto = self.journal.len();
        let token = query.option("$skiptoken").or(query.option("$deltatoken"));
        let place = match token {
            None | Some("latest") => Place {
                epoch: self.epoch,
                from: if token.is_some() { upto } else { 0 },
                upto,
                offset: 0,
            },
            Some(token) => match Place::read(token) {
                Some(place) if place.epoch == self.epoch => place,
                Some(_) => return gone_reply(Gone::default().code, None),
                None => return refused("The token is not one of this feed's"),
            },
        };
        let spans = query.option("startDateTime").and(query.option("endDateTime"));
        if shape == Shape::CalendarView && token.is_none() && spans.is_none() {
            return refused("This request requires a time window specified by startDateTime and endDateTime");
        }
        // The set of a deltaLink is fixed when it is first asked for.
        let upto = if place.upto == place.from {
            upto
        } else {
            place.upto
        };
        let members = self.members(place.from, upto);
        let size = query.page_size.unwrap_or(self.page_size).max(1);
        let end = members.len().min(place.offset + size);
        let objects = members[place.offset.min(end)..end]
            .iter()
            .map(|at| self.in_feed(shape, *at, place.from, upto));
        let at = |from, offset| Place {
            epoch: self.epoch,
            from,
            upto,
            offset,
        };
        let link = match fault {
            Some(Fault::SamePageAgain) => Some(("nextLink", "$skiptoken", at(place.from, place.offset))),
            Some(Fault::NoLinks) => None,
            _ if end < members.len() => Some(("nextLink", "$skiptoken", at(place.from, end))),
            _ => Some(("deltaLink", "$deltatoken", at(upto, 0))),
        };
        let mut page = json!({"@odata.context": "…", "value": objects.collect::<Vec<_>>()});
        if let Some((name, option, place)) = link {
            page[format!("@odata.{name}")] = format!("{url}?{option}={}", place.token()).into();
        }
        Reply::json(200, page.to_string())
    }

    /// The objects changed between two places, each once, by its last change; of a full enumeration those that are there.
    fn members(&self, from: usize, upto: usize) -> Vec<usize> {
        let touched: Vec<usize> = self.journal[from..upto].iter().map(|(at, _)| *at).collect();
        let last = |place: usize, at: &usize| touched[place + 1..].iter().all(|later| later != at);
        let each = touched.iter().enumerate().filter(|(place, at)| last(*place, at));
        each.map(|(_, at)| *at)
            .filter(|at| from > 0 || self.objects[*at].removed.is_none())
            .collect()
    }

    fn in_feed(&self, shape: Shape, at: usize, from: usize, upto: usize) -> Value {
        let object = &self.objects[at];
        match (object.removed, shape) {
            (Some(_), Shape::ListItems) => {
                return json!({"id": object.id, "deleted": {"state": "deleted"}});
            }
            (Some(reason), _) => return json!({"id": object.id, "@removed": {"reason": reason}}),
            (None, _) => {}
        }
        if shape == Shape::Directory && from > 0 {
            let own = self.journal[from..upto]
                .iter()
                .filter(|(touched, _)| *touched == at);
            let mut shown = json!({"id": object.id});
            for (name, value) in own.flat_map(|(_, told)| told) {
                shown[name] = value.clone();
            }
            return shown;
        }
        object.whole(shape)
    }

    /// What is asked for by a filter on one date, such as `lastModifiedDateTime ge 2026-03-01T09:30:00Z`.
    fn find(
        &self,
        shape: Shape,
        url: &str,
        whole_query: &str,
        query: &Query,
        fault: Option<&Fault>,
    ) -> Reply {
        let found: Vec<&Object> = self
            .objects
            .iter()
            .filter(|object| object.removed.is_none() && !object.hidden)
            .filter(|object| query.option("$filter").is_none_or(|filter| object.passes(filter)))
            .collect();
        let offset = match query.option("$skiptoken").map(Place::read) {
            None => 0,
            Some(Some(place)) if place.epoch == self.epoch => place.offset,
            Some(_) => return refused("The skip token is not valid"),
        };
        let size = query.page_size.unwrap_or(self.page_size).max(1);
        let end = found.len().min(offset + size);
        let objects: Vec<Value> = found[offset.min(end)..end]
            .iter()
            .map(|object| object.whole(shape))
            .collect();
        let mut page = json!({"@odata.context": "…", "value": objects});
        let again = matches!(fault, Some(Fault::SamePageAgain));
        if end < found.len() || again {
            let place = Place {
                epoch: self.epoch,
                from: 0,
                upto: 0,
                offset: if again { offset } else { end },
            };
            let kept = whole_query
                .split('&')
                .filter(|pair| !pair.starts_with("$skiptoken="));
            let kept = kept.collect::<Vec<_>>().join("&");
            page["@odata.nextLink"] = format!("{url}?{kept}&$skiptoken={}", place.token()).into();
        }
        Reply::json(200, page.to_string())
    }
}

impl Object {
    fn whole(&self, shape: Shape) -> Value {
        let mut whole = json!({});
        match shape {
            Shape::Messages | Shape::CalendarView => {
                whole["@odata.etag"] = format!("W/\"{}\"", self.version).into();
            }
            Shape::ListItems => whole["eTag"] = format!("\"{},{}\"", self.id, self.version).into(),
            Shape::Directory => {}
        }
        whole["id"] = self.id.as_str().into();
        for (name, value) in &self.properties {
            whole[name] = value.clone();
        }
        whole
    }

    /// Whether the object passes a filter of the form `FIELD ge|gt TIME`, `TIME` quoted or not. One whose date cannot be
    /// read passes: no service is as odd as its oldest records.
    fn passes(&self, filter: &str) -> bool {
        let words: Vec<&str> = filter.split(' ').collect();
        let [field, operator, time] = words[..] else {
            return true;
        };
        let properties = Value::Object(self.properties.clone());
        let date = properties.pointer(&format!("/{field}")).and_then(Value::as_str);
        let date = date.and_then(|text| text.parse::<Timestamp>().ok());
        let bound = time.trim_matches('\'').parse::<Timestamp>().ok();
        match (date, bound) {
            (Some(date), Some(bound)) if operator == "gt" => date > bound,
            (Some(date), Some(bound)) => date >= bound,
            _ => true,
        }
    }
}

fn refused(message: &str) -> Reply {
    Reply::json(400, error_body("BadRequest", message))
}
