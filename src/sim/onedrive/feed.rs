//! The delta feed: which items a set holds, in what order, and where its pages are cut. A set is fixed by its first
//! request, so that a link answers the same each time; the items in it are shown in their latest state.

use std::collections::{BTreeMap, HashSet};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;

use super::account::{Gone, Kind, Repeats};
use super::fault::Fault;
use super::item;
use super::state::State;
use crate::sim::dice::{Dice, mix};

/// The feed's own memory.
pub(super) struct Feed {
    seed: u64,
    /// Counts the expiries; a token of an earlier epoch is stale.
    epoch: u64,
    gone: Gone,
    sets: BTreeMap<u64, Set>,
    members_kept: usize,
    sets_opened: u64,
}

/// Members of all kept sets together; beyond it the oldest sets are forgotten, and their links stale.
const MEMBERS_KEPT: usize = 4_000_000;

/// The tail of each token: a client that decodes links, or spells them its own way, is found out.
const TOKEN_TAIL: &str = "%3d";

/// Items that one request sees together, from its first page to its deltaLink.
struct Set {
    members: Vec<Member>,
    /// The journal's length when the set was fixed: where the next set begins.
    upto: usize,
    page_size: usize,
    vary_pages: bool,
    empty_pages: bool,
}

impl Set {
    /// Where the page that begins at `offset` ends, and whether it is the last; `chance` decides what the feed's habits
    /// leave open.
    fn cut(&self, offset: usize, chance: u64) -> (usize, bool) {
        let length = match (self.empty_pages && chance.is_multiple_of(5), self.vary_pages) {
            (true, _) => 0,
            (false, true) => 1 + (chance >> 8) as usize % self.page_size,
            (false, false) => self.page_size,
        };
        let end = self.members.len().min(offset.saturating_add(length));
        // The last page, too, may be an empty one.
        let one_more = self.empty_pages && end > offset && chance.is_multiple_of(7);
        (end, end == self.members.len() && !one_more)
    }
}

#[derive(Clone, Copy)]
struct Member {
    node: usize,
    /// Shown as it was before the last operation on it.
    older: bool,
}

/// What a token says.
#[derive(Clone, Copy)]
enum Position {
    /// The beginning of a full enumeration.
    Start,
    /// The beginning of a set of changes, from this place in the journal.
    From(usize),
    /// A page of a set: its number, and its first member's place.
    Page { set: u64, number: u64, offset: usize },
}

/// One request of the feed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Query<'q> {
    /// The request's own URL up to the query: the links lead back to it.
    pub(super) url: &'q str,
    /// `token`, as it stands in the query.
    pub(super) token: Option<&'q str>,
    /// `$top`.
    pub(super) top: Option<usize>,
    /// `deltaExcludeParent`.
    pub(super) exclude_parents: bool,
    /// Only what lies in this folder.
    pub(super) folder: Option<usize>,
}

/// What the feed answers.
pub(super) enum Answer {
    Page(Vec<u8>),
    Gone {
        code: &'static str,
        location: Option<String>,
    },
    BadToken,
}

impl Feed {
    pub(super) fn new(seed: u64) -> Feed {
        Feed {
            seed,
            epoch: 0,
            gone: Gone::default(),
            sets: BTreeMap::new(),
            members_kept: 0,
            sets_opened: 0,
        }
    }

    pub(super) fn expire(&mut self, gone: Gone) {
        self.epoch += 1;
        self.gone = gone;
        self.sets.clear();
        self.members_kept = 0;
    }

    fn keep(&mut self, set: Set) -> u64 {
        self.members_kept += set.members.len();
        self.sets_opened += 1;
        self.sets.insert(self.sets_opened, set);
        while self.members_kept > MEMBERS_KEPT && self.sets.len() > 1 {
            if let Some((_, oldest)) = self.sets.pop_first() {
                self.members_kept -= oldest.members.len();
            }
        }
        self.sets_opened
    }

    fn link(&self, query: &Query<'_>, position: Position, page_size: usize) -> String {
        let facts = match position {
            Position::Start => [0, 0, 0, 0],
            Position::From(place) => [1, place as u64, 0, 0],
            Position::Page { set, number, offset } => [2, set, number, offset as u64],
        };
        let [kind, a, b, c] = facts;
        let mut text = format!("{}.{page_size}.{kind}.{a}.{b}.{c}", self.epoch).into_bytes();
        self.veil(&mut text);
        format!("{}?token={}{TOKEN_TAIL}", query.url, URL_SAFE_NO_PAD.encode(text))
    }

    /// The epoch, page size and position in a token of this drive's feed.
    fn read(&self, token: &str) -> Option<(u64, usize, Position)> {
        let mut text = URL_SAFE_NO_PAD.decode(token.strip_suffix(TOKEN_TAIL)?).ok()?;
        self.veil(&mut text);
        let text = String::from_utf8(text).ok()?;
        let numbers = text
            .split('.')
            .map(|number| number.parse().ok())
            .collect::<Option<Vec<u64>>>()?;
        let [epoch, page_size, kind, a, b, c] = numbers[..] else {
            return None;
        };
        let position = match kind {
            0 => Position::Start,
            1 => Position::From(usize::try_from(a).ok()?),
            2 => Position::Page {
                set: a,
                number: b,
                offset: usize::try_from(c).ok()?,
            },
            _ => return None,
        };
        Some((epoch, usize::try_from(page_size).ok()?, position))
    }

    /// Makes a token unreadable, or readable again: nobody should come to depend on what is in it.
    fn veil(&self, text: &mut [u8]) {
        for (n, byte) in text.iter_mut().enumerate() {
            *byte ^= mix(self.seed ^ mix(n as u64)).to_le_bytes()[0];
        }
    }
}

impl State {
    /// Answers one request of the feed. `fault` may spoil the page.
    pub(super) fn page(&mut self, query: &Query<'_>, fault: Option<&Fault>) -> Answer {
        let own_size = query
            .top
            .map_or(self.page_size, |top| top.min(self.page_size))
            .max(1);
        let (page_size, position) = match query.token {
            None => (own_size, Position::Start),
            Some("latest") => (own_size, Position::From(self.journal.len())),
            Some(token) => match (self.feed.read(token), self.place_at(token)) {
                (Some((epoch, _, _)), _) if epoch < self.feed.epoch => return self.gone(query),
                (Some((_, page_size, position)), _) => (page_size, position),
                (None, Some(place)) => (own_size, Position::From(place)),
                (None, None) => return Answer::BadToken,
            },
        };
        let (set, number, offset) = match position {
            Position::Start => (self.open_set(None, page_size, query), 0, 0),
            Position::From(place) => (self.open_set(Some(place), page_size, query), 0, 0),
            Position::Page { set, number, offset } => (set, number, offset),
        };
        match self.feed.sets.get(&set) {
            Some(_) => Answer::Page(self.render(query, set, number, offset, fault)),
            None => self.gone(query),
        }
    }

    /// Whether a token was given out by this feed.
    pub(super) fn knows_token(&self, token: &str) -> bool {
        self.feed.read(token).is_some()
    }

    /// A stale token's answer, in the shape that was asked for.
    pub(super) fn gone(&self, query: &Query<'_>) -> Answer {
        self.gone_as(query, &self.feed.gone)
    }

    pub(super) fn gone_as(&self, query: &Query<'_>, gone: &Gone) -> Answer {
        let location = gone
            .location
            .then(|| self.feed.link(query, Position::Start, self.page_size));
        Answer::Gone {
            code: gone.code,
            location,
        }
    }

    /// Where the journal stood at the time that `token` spells; on Business a token may be a timestamp.
    fn place_at(&self, token: &str) -> Option<usize> {
        let decoded = token.replace("%3A", ":").replace("%3a", ":").replace("%2B", "+");
        let time: Timestamp = decoded.parse().ok()?;
        let place = self
            .journal
            .partition_point(|touch| touch.time <= time.as_second());
        (self.kind == Kind::Business).then_some(place)
    }

    /// Fixes a new set: the changes from a place in the journal on, or all live items.
    fn open_set(&mut self, from: Option<usize>, page_size: usize, query: &Query<'_>) -> u64 {
        let mut nodes: Vec<usize> = match from {
            None => self.enumeration(query.exclude_parents),
            Some(from) => self.changed_since(from, query.exclude_parents),
        };
        if let Some(folder) = query.folder {
            nodes.retain(|node| self.lies_in(*node, folder));
        }
        let mut members: Vec<Member> = nodes
            .into_iter()
            .map(|node| Member { node, older: false })
            .collect();
        let mut dice = Dice::new(self.feed.seed ^ mix(self.feed.sets_opened + 1));
        if self.habits.shuffle {
            dice.shuffle(&mut members);
        }
        if self.habits.repeats != Repeats::None {
            members = repeat_some(&members, self.habits.repeats == Repeats::OlderFirst, &mut dice);
        }
        self.feed.keep(Set {
            members,
            upto: self.journal.len(),
            page_size,
            vary_pages: self.habits.vary_pages,
            empty_pages: self.habits.empty_pages,
        })
    }

    fn enumeration(&self, exclude_parents: bool) -> Vec<usize> {
        let live = (0..self.nodes.len()).filter(|at| self.nodes[*at].facts.deleted_by.is_none());
        live.filter(|at| !exclude_parents || self.children(*at).next().is_none())
            .collect()
    }

    /// Each changed item once, in the order of the last changes.
    fn changed_since(&self, from: usize, exclude_parents: bool) -> Vec<usize> {
        let touches = self.journal.get(from..).unwrap_or_default().iter().rev();
        let mut seen = HashSet::new();
        let listed = touches.filter(|touch| !(exclude_parents && touch.through_child));
        let mut nodes: Vec<usize> = listed
            .map(|touch| touch.node)
            .filter(|node| seen.insert(*node))
            .collect();
        nodes.reverse();
        nodes
    }

    fn render(
        &self,
        query: &Query<'_>,
        set_id: u64,
        number: u64,
        offset: usize,
        fault: Option<&Fault>,
    ) -> Vec<u8> {
        let set = &self.feed.sets[&set_id];
        let chance = mix(self.feed.seed ^ mix(set_id) ^ mix(number).rotate_left(17));
        let (end, complete) = set.cut(offset, chance);
        let page = |number, offset| {
            let position = Position::Page {
                set: set_id,
                number,
                offset,
            };
            ("@odata.nextLink", self.feed.link(query, position, set.page_size))
        };
        let next = || page(number + 1, end);
        let delta = || {
            let link = self.feed.link(query, Position::From(set.upto), set.page_size);
            ("@odata.deltaLink", link)
        };
        let links = match fault {
            Some(Fault::NoLinks) => vec![],
            Some(Fault::BothLinks) => vec![next(), delta()],
            Some(Fault::ForeignNextLink(url)) => vec![("@odata.nextLink", url.clone())],
            Some(Fault::SamePageAgain) => vec![page(number, offset)],
            _ if complete => vec![delta()],
            _ => vec![next()],
        };
        let members = set.members.get(offset..end).unwrap_or_default();
        let first_is_anonymous = matches!(fault, Some(Fault::ItemWithoutId));
        self.page_json(&links, members, first_is_anonymous)
    }

    fn page_json(&self, links: &[(&str, String)], members: &[Member], first_is_anonymous: bool) -> Vec<u8> {
        let context = "https://graph.microsoft.com/v1.0/$metadata#Collection(driveItem)";
        let mut out = Vec::with_capacity(700 * members.len() + 700);
        out.extend_from_slice(format!("{{\"@odata.context\":\"{context}\",").as_bytes());
        for (name, link) in links {
            let link = serde_json::Value::from(link.as_str());
            out.extend_from_slice(format!("\"{name}\":{link},").as_bytes());
        }
        out.extend_from_slice(b"\"value\":[");
        for (n, member) in members.iter().enumerate() {
            if n > 0 {
                out.push(b',');
            }
            let node = &self.nodes[member.node];
            let older = node.before.as_deref().filter(|_| member.older);
            let facts = older.unwrap_or(&node.facts);
            item::write(&mut out, self, member.node, facts, first_is_anonymous && n == 0);
        }
        out.extend_from_slice(b"]}");
        out
    }
}

/// The same members, some of them a second time, somewhere earlier.
fn repeat_some(members: &[Member], older: bool, dice: &mut Dice) -> Vec<Member> {
    let mut places = Vec::with_capacity(members.len() + members.len() / 4);
    for (at, member) in members.iter().enumerate() {
        if dice.one_in(6) {
            places.push((dice.below(at + 1), 0, Member { older, ..*member }));
        }
        places.push((at, 1, *member));
    }
    places.sort_by_key(|(at, rank, _)| (*at, *rank));
    places.into_iter().map(|(_, _, member)| member).collect()
}
