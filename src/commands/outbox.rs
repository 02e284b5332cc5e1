//! What an operator does about notifications that were not delivered, or were delivered in vain: retry, discard and
//! replay them, and reactivate their endpoint. All of it is written to the database at once; the agent, if one runs,
//! sees it within a second.

use jiff::Timestamp;

use super::{CommandError, House};
use crate::clock;
use crate::config::Ordering;
use crate::core::model::{EndpointState, OutboxState};
use crate::core::nearest::nearest;
use crate::core::outbox::{Endpoint, Entry, Tallied};
use crate::core::payload;
use crate::core::shown::{shown, shown_url};
use crate::store::{Replayed, Selection};

/// Which notifications are meant; all that is given must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Which {
    /// The notification's id, or its event id.
    pub id: Option<String>,
    /// The instance's id or name.
    pub instance: Option<String>,
    /// The endpoint's id, or its URL; a query is not looked at.
    pub endpoint: Option<String>,
    /// Not before this: for delivered ones their delivery, for others when they were written.
    pub since: Option<Timestamp>,
    /// Before this.
    pub until: Option<Timestamp>,
}

/// What came of a retry.
#[derive(Clone, Debug)]
pub struct Retried {
    /// The notification, where a single one was named, as it was.
    pub named: Option<Entry>,
    /// The pending one that goes out before it.
    pub behind: Option<i64>,
    /// Dead ones that are pending again.
    pub revived: Tallied,
    /// Pending ones that had to wait and are due now.
    pub hastened: Tallied,
    /// Where they go, as it was before.
    pub endpoints: Vec<Endpoint>,
}

/// Why nothing was done about notifications.
#[derive(Debug, thiserror::Error)]
pub enum OutboxError {
    /// None has that id or event id.
    #[error("there is no notification `{}`", shown(.0))]
    NoSuchNotification(String),
    /// No endpoint has that id or URL.
    #[error("there is no endpoint `{}`", shown(.named))]
    NoSuchEndpoint { named: String, meant: Option<String> },
    /// More than one endpoint is shown with that URL.
    #[error("{} endpoints are shown as `{}`", .ids.len(), shown(.named))]
    ManyEndpoints { named: String, ids: Vec<i64> },
    /// What is asked for is not done with notifications of that state.
    #[error("notification {id} is {state}; only {expected} ones can be {asked}")]
    WrongState {
        id: i64,
        state: OutboxState,
        expected: &'static str,
        asked: &'static str,
    },
    /// A replay is not replayed.
    #[error("notification {id} is a replay itself, of `{of}`")]
    IsReplay { id: i64, of: String },
    /// Nothing is added to an instance that is being deleted.
    #[error("instance `{}` is being deleted, and nothing is added to its outbox", shown(.0))]
    Leaving(String),
    /// Nothing can lie between two times.
    #[error("nothing is between {since:.3} and {until:.3}")]
    EmptySpan { since: Timestamp, until: Timestamp },
}

impl OutboxError {
    /// The next thing to do about it.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            OutboxError::NoSuchNotification(_) => {
                "`deltapost outbox list` shows them; delivered ones are not kept for ever".to_owned()
            }
            OutboxError::NoSuchEndpoint { meant: Some(url), .. } => format!("did you mean `{}`?", shown(url)),
            OutboxError::ManyEndpoints { ids, .. } => {
                let ids: Vec<String> = ids.iter().map(i64::to_string).collect();
                format!("name one by its whole URL, or by its id: {}", ids.join(", "))
            }
            OutboxError::NoSuchEndpoint { meant: None, .. } => {
                "`deltapost outbox --json` lists them".to_owned()
            }
            OutboxError::WrongState { id, state, .. } => match state {
                OutboxState::Delivered => {
                    format!("`deltapost outbox replay {id}` sends it again, under a new id")
                }
                OutboxState::Dead => format!("`deltapost outbox retry {id}` tries it again"),
                OutboxState::Pending => "it goes out by itself".to_owned(),
            },
            OutboxError::IsReplay { of, .. } => {
                format!("replay what it repeats: `deltapost outbox replay {of}`")
            }
            OutboxError::Leaving(_) => return None,
            OutboxError::EmptySpan { .. } => "`--since` must be before `--until`".to_owned(),
        })
    }
}

impl House {
    /// Makes dead notifications pending again, as if they had never been tried, and pending ones due now; an endpoint
    /// of theirs that backs off is tried now, too.
    ///
    /// # Errors
    /// When nothing like what is named exists, or the one that is named is delivered.
    pub fn retry(&self, which: &Which) -> Result<Retried, CommandError> {
        let (chosen, named) = self.chosen(which)?;
        refuse(named.as_ref(), "pending or dead", "retried", |state| {
            state != OutboxState::Delivered
        })?;
        let now = self.clock.now();
        let revived = self.store.revive(&chosen, now)?;
        let hastened = self.store.hasten(&chosen, now)?;
        let endpoints = self.endpoints_of_pending(&chosen)?;
        for endpoint in &endpoints {
            self.store.probe_at(endpoint.id, now)?;
        }
        let ordered = self.config.delivery.ordering == Ordering::Instance;
        let behind = match named.as_ref().filter(|_| ordered) {
            Some(entry) => self
                .store
                .first_pending(entry.instance_id)?
                .filter(|first| *first < entry.id),
            None => None,
        };
        Ok(Retried {
            named,
            behind,
            revived,
            hastened,
            endpoints,
        })
    }

    /// Counts what `discard` would remove.
    ///
    /// # Errors
    /// As `discard`.
    pub fn would_discard(&self, which: &Which, state: OutboxState) -> Result<Tallied, CommandError> {
        let (chosen, state) = self.undelivered(which, state)?;
        Ok(self.store.tally(state, &chosen)?)
    }

    /// Removes notifications of `state`, pending or dead, for good; a single one that is named whichever of both it is.
    ///
    /// # Errors
    /// When nothing like what is named exists, or the one that is named is delivered.
    pub fn discard(&self, which: &Which, state: OutboxState) -> Result<Tallied, CommandError> {
        let (chosen, state) = self.undelivered(which, state)?;
        Ok(self.store.discard(state, &chosen)?)
    }

    /// Writes delivered notifications again, in their order, each with a new id and the one that it repeats in its
    /// body. Replays are not repeated, nor is anything whose replay waits still: it is safe to repeat the command.
    ///
    /// # Errors
    /// When nothing like what is named exists, or the one that is named cannot be replayed.
    pub fn replay(&self, which: &Which) -> Result<Replayed, CommandError> {
        let (chosen, named) = self.chosen(which)?;
        refuse(named.as_ref(), "delivered", "replayed", |state| {
            state == OutboxState::Delivered
        })?;
        if let Some(Entry {
            id,
            instance,
            leaving,
            replay_of,
            ..
        }) = named
        {
            if let Some(of) = replay_of {
                return Err(OutboxError::IsReplay { id, of }.into());
            }
            if leaving {
                return Err(OutboxError::Leaving(instance).into());
            }
        }
        let now = self.clock.now();
        let repeat = &mut |earlier: &_| payload::replay(earlier, clock::new_event_id(now));
        Ok(self.store.replay(&chosen, now, repeat)?)
    }

    /// Reactivates every endpoint that is shown as `url`, or has it as its id, and makes what is pending for it due.
    /// Returns them as they were.
    ///
    /// # Errors
    /// When there is none.
    pub fn resume(&self, url: &str) -> Result<Vec<Endpoint>, CommandError> {
        let endpoints = self.endpoints_named(url)?;
        let (chosen, _) = self.chosen(&Which {
            endpoint: Some(url.to_owned()),
            ..Which::default()
        })?;
        let now = self.clock.now();
        for endpoint in &endpoints {
            self.store.reactivate(endpoint.id, now)?;
        }
        self.store.hasten(&chosen, now)?;
        for instance in &chosen.instances {
            self.store.lift_pause(*instance, now)?;
        }
        Ok(endpoints)
    }

    /// Delivers what is not tried any more by itself: reactivates the disabled endpoints among those that have `id`, are
    /// shown as `url` and belong to `instance`, as far as these are given, and makes dead notifications of theirs pending again. Returns how
    /// many notifications, and events in them, are under way again by that. Where there is nothing, nothing is done.
    ///
    /// # Errors
    /// When the database cannot be read or written.
    pub fn deliver_queued(
        &self,
        instance: Option<i64>,
        id: Option<i64>,
        url: Option<&str>,
    ) -> Result<Tallied, CommandError> {
        let now = self.clock.now();
        let mut endpoints = self.store.endpoints()?;
        endpoints.retain(|row| {
            id.is_none_or(|id| row.id == id) && url.is_none_or(|url| row.url == shown_url(url))
        });
        let mut instances = self.store.instance_endpoints()?;
        instances.retain(|(of, _)| instance.is_none_or(|instance| *of == instance));
        endpoints.retain(|row| instances.iter().any(|(_, of)| *of == Some(row.id)));
        let mut all = Tallied::default();
        for endpoint in endpoints {
            let own = instances.iter().filter(|(_, of)| *of == Some(endpoint.id));
            let chosen = Selection {
                instances: own.map(|(instance, _)| *instance).collect(),
                ..Selection::default()
            };
            let waiting = self.store.tally(OutboxState::Pending, &chosen)?;
            let dead = self.store.tally(OutboxState::Dead, &chosen)?;
            if waiting.notifications + dead.notifications == 0 {
                continue;
            }
            if endpoint.state == EndpointState::Disabled {
                self.store.reactivate(endpoint.id, now)?;
                self.store.hasten(&chosen, now)?;
                all += waiting;
            }
            all += self.store.revive(&chosen, now)?;
        }
        Ok(all)
    }

    /// What is pending or dead of what is meant, and of which state it is.
    fn undelivered(
        &self,
        which: &Which,
        state: OutboxState,
    ) -> Result<(Selection, OutboxState), CommandError> {
        let (chosen, named) = self.chosen(which)?;
        refuse(named.as_ref(), "pending or dead", "discarded", |state| {
            state != OutboxState::Delivered
        })?;
        Ok((chosen, named.map_or(state, |entry| entry.state)))
    }

    /// Finds what is meant; the notification itself where a single one is named.
    fn chosen(&self, which: &Which) -> Result<(Selection, Option<Entry>), CommandError> {
        if let (Some(since), Some(until)) = (which.since, which.until)
            && since >= until
        {
            return Err(OutboxError::EmptySpan { since, until }.into());
        }
        let named = match &which.id {
            Some(id) => {
                let found = self.store.find_notification(id)?;
                Some(found.ok_or_else(|| OutboxError::NoSuchNotification(id.clone()))?)
            }
            None => None,
        };
        let mut instances = self.store.instance_endpoints()?;
        if let Some(entry) = &named {
            instances.retain(|(id, _)| *id == entry.instance_id);
        }
        if let Some(name) = &which.instance {
            let instance = self.store.find_instance(name)?;
            instances.retain(|(id, _)| *id == instance.id);
        }
        if let Some(url) = &which.endpoint {
            let endpoints = self.endpoints_named(url)?;
            let is_one = |id: Option<i64>| endpoints.iter().any(|row| Some(row.id) == id);
            instances.retain(|(_, endpoint)| is_one(*endpoint));
        }
        let chosen = Selection {
            instances: instances.into_iter().map(|(id, _)| id).collect(),
            id: named.as_ref().map(|entry| entry.id),
            since: which.since,
            until: which.until,
        };
        Ok((chosen, named))
    }

    /// The endpoint with that id or whole URL, else those shown with that URL. Where what is not shown of a path tells them
    /// apart, one must be meant.
    fn endpoints_named(&self, url: &str) -> Result<Vec<Endpoint>, CommandError> {
        let all = self.store.endpoints()?;
        let whole = self.store.endpoint_at(url)?;
        let is_named = |row: &&Endpoint| match whole {
            Some(id) => row.id == id,
            None => row.url == shown_url(url) || row.id.to_string() == url,
        };
        let named: Vec<Endpoint> = all.iter().filter(is_named).cloned().collect();
        if named.len() > 1 && named[0].url.contains('…') {
            let ids = named.iter().map(|row| row.id).collect();
            let named = shown_url(url);
            return Err(OutboxError::ManyEndpoints { named, ids }.into());
        }
        if named.is_empty() {
            let named = shown_url(url);
            let meant = nearest(&named, all.iter().map(|row| row.url.as_str())).map(str::to_owned);
            return Err(OutboxError::NoSuchEndpoint { named, meant }.into());
        }
        Ok(named)
    }

    /// The endpoints to which something that is chosen and pending goes.
    fn endpoints_of_pending(&self, chosen: &Selection) -> Result<Vec<Endpoint>, CommandError> {
        let mut waited_for = Vec::new();
        for (instance, endpoint) in self.store.instance_endpoints()? {
            let of_instance = Selection {
                instances: vec![instance],
                ..chosen.clone()
            };
            if chosen.instances.contains(&instance) && self.store.any_pending(&of_instance)? {
                waited_for.extend(endpoint);
            }
        }
        let mut endpoints = self.store.endpoints()?;
        endpoints.retain(|row| waited_for.contains(&row.id));
        Ok(endpoints)
    }
}

/// Refuses a named notification whose state is not one of those that the command is for.
fn refuse(
    named: Option<&Entry>,
    expected: &'static str,
    asked: &'static str,
    is_right: impl Fn(OutboxState) -> bool,
) -> Result<(), OutboxError> {
    match named {
        Some(Entry { id, state, .. }) if !is_right(*state) => Err(OutboxError::WrongState {
            id: *id,
            state: *state,
            expected,
            asked,
        }),
        _ => Ok(()),
    }
}
