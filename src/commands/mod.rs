//! What the command line, and every other way in, does with instances: create, apply, update, delete, try. Nothing is
//! half-done: the provider is asked first, and then one transaction writes all. Signing in stands in `login`, what it
//! does with the outbox in `outbox`.

mod edit;
mod error;
mod login;
mod outbox;
mod polls;
mod preview;
mod sign_in;
mod starts;

use std::sync::Arc;

use serde_json::Value;

use crate::callback::{Answer, Sender};
use crate::clock::{self, Clock};
use crate::config::{Config, Live};
use crate::core::elements::keys::{API_KEY, API_SECRET, GRANT, SCOPE, TENANT};
use crate::core::elements::{self, Document, Problem};
use crate::core::model::{Configuration, GrantState, Instance, OutboxState, Settings};
use crate::core::payload::{self, Origin};
use crate::deliver;
use crate::graph::client::Client;
use crate::store::{AgentLock, NewInstance, Rows, Selection, Store, StoreError};
use crate::zones::Zones;

use edit::Codes;
pub use edit::Edit;
pub use error::{CommandError, Fault};
pub use outbox::{OutboxError, Retried, Which};
pub use polls::Asked;
pub use preview::{PlannedRun, runs_after};
pub use sign_in::{SignIn, Subject, UnboundApp};

/// What became of an instance, and what its operator should know about it.
#[derive(Clone, Debug)]
pub struct Written {
    pub instance: Instance,
    pub done: Done,
    pub notes: Vec<String>,
}

/// What was done to an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    Created,
    Changed,
    /// It is as it was.
    Unchanged,
}

/// What becomes of the pending notifications of an instance that is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pending {
    Deliver,
    Discard,
}

/// How a deletion ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deletion {
    Removed,
    /// It is removed when its pending notifications are delivered.
    Draining,
}

/// The opened house: what every command works with. A copy shares it with another thread.
#[derive(Clone, Debug)]
pub struct House {
    /// The settings of the start, which commands go by.
    pub config: Arc<Config>,
    /// Those that hold now, when the agent reads its file again.
    pub live: Arc<Live>,
    pub store: Arc<Store>,
    pub client: Arc<Client>,
    pub sender: Arc<Sender>,
    pub clock: Arc<dyn Clock>,
}

impl House {
    /// Takes the agent's lock.
    ///
    /// # Errors
    /// `Locked` when an agent runs; a file error.
    pub fn take_lock(&self) -> Result<AgentLock, StoreError> {
        AgentLock::take(&self.config.data_dir)
    }

    /// Creates the instance that the JSON text `document` describes, once the provider has granted it tokens.
    ///
    /// # Errors
    /// All problems of the document together; a refused sign-in, which leaves nothing behind.
    pub fn create_instance(&self, document: &str) -> Result<Written, CommandError> {
        let (document, problems) = read(document)?;
        self.create(&document, problems)
    }

    /// Creates the instance, or brings the one of that name to what the document says. A code is exchanged only for a
    /// new instance or one that must sign in: one that was exchanged already is ignored.
    ///
    /// # Errors
    /// As `create_instance`.
    pub fn apply_instance(&self, document: &str) -> Result<Written, CommandError> {
        let (document, problems) = read(document)?;
        let existing = document
            .name
            .as_deref()
            .map(|name| self.store.find_instance(name));
        match existing {
            None | Some(Err(StoreError::NoSuchInstance(_))) => self.create(&document, problems),
            Some(Err(error)) => Err(error.into()),
            Some(Ok(_)) if !problems.is_empty() => Err(CommandError::Invalid(problems)),
            Some(Ok(instance)) => self.edit(instance, &document, Edit::Replace, Codes::WhereWanted),
        }
    }

    /// Changes single keys of an instance; `name`, `tags` and `providerData.code` among them.
    ///
    /// # Errors
    /// All problems together; a code that the provider refuses.
    pub fn update_instance(
        &self,
        id_or_name: &str,
        assignments: &[(String, String)],
    ) -> Result<Written, CommandError> {
        let instance = self.store.find_instance(id_or_name)?;
        let document = elements::set(assignments).map_err(CommandError::Invalid)?;
        self.edit(instance, &document, Edit::Merge, Codes::WhereWanted)
    }

    /// Removes an instance: at once where nothing of it is pending or is to be delivered, else when that has been.
    ///
    /// # Errors
    /// `NoSuchInstance`; when the database cannot be written.
    pub fn delete_instance(&self, id_or_name: &str, pending: Pending) -> Result<Deletion, CommandError> {
        let instance = self.store.find_instance(id_or_name)?;
        self.store.begin_deletion(instance.id, self.clock.now())?;
        if pending == Pending::Discard {
            let pending = Selection {
                instances: vec![instance.id],
                ..Selection::default()
            };
            self.store.discard(OutboxState::Pending, &pending)?;
        }
        let drained = self.store.drained_deletions()?;
        if drained.iter().any(|(id, _)| *id == instance.id) && self.store.remove_instance(instance.id)? {
            return Ok(Deletion::Removed);
        }
        Ok(Deletion::Draining)
    }

    /// Sends a signed notification without events to the instance's endpoint, and returns its answer.
    ///
    /// # Errors
    /// `NoEndpoint` where nothing may be sent.
    pub fn ping(&self, id_or_name: &str) -> Result<(Instance, Answer), CommandError> {
        let instance = self.store.find_instance(id_or_name)?;
        let now = self.clock.now();
        let origin = Origin {
            instance_id: instance.id,
            instance_name: &instance.name,
            instance_tags: &instance.tags,
            element: instance.element,
            resource: "ping",
            poll_date: now,
        };
        let ping = payload::ping(&origin, clock::new_event_id(now));
        let answer = deliver::send_once(&self.sender, &*self.clock, &instance, &ping).map_err(|reason| {
            CommandError::NoEndpoint {
                instance: instance.name.clone(),
                reason,
            }
        })?;
        Ok((instance, answer))
    }

    /// The resources that are polled at all, by id: those of enabled instances that want events, unless the configuration
    /// file disables them.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn polled_resources(&self) -> Result<Vec<i64>, StoreError> {
        let mut polled = Vec::new();
        self.store.planned(Rows::All, |row| {
            if row.polled && self.config.polling.plan(&row.subject).disabled_by.is_none() {
                polled.push(row.id);
            }
        })?;
        Ok(polled)
    }

    /// The instance as `instance show` and GET show it, without its token.
    pub fn shown(&self, instance: &Instance) -> Value {
        elements::render(instance)
    }

    /// The instance that a document describes, which was read with `problems`, where it can be created.
    fn checked(
        &self,
        document: &Document,
        problems: Vec<Problem>,
    ) -> Result<elements::NewInstance, CommandError> {
        let unknown = unknown_zones(&document.configuration);
        let new = elements::check_read(document, problems, unknown, self.client.base())
            .map_err(CommandError::Invalid)?;
        match self.store.find_instance(&new.name) {
            Ok(taken) => Err(StoreError::NameTaken(taken.name).into()),
            Err(_) => Ok(new),
        }
    }

    fn create(&self, document: &Document, problems: Vec<Problem>) -> Result<Written, CommandError> {
        let new = self.checked(document, problems)?;
        // The key is looked for before the code is spent: a grant that could not be sealed would be lost.
        self.store.key()?;
        let grant = self.grant_of(
            &new.settings,
            document.code.as_ref(),
            document.code_verifier.as_ref(),
        )?;
        let (starts, pause) = self.starts(&new.settings.resources, grant.access_token.as_ref());
        let id = self.store.create_instance(
            &NewInstance {
                name: &new.name,
                element: new.element,
                tags: document.tags.as_deref().unwrap_or_default(),
                configuration: &document.configuration,
                settings: &new.settings,
                grant: &grant,
                starts: &starts,
            },
            self.clock.now(),
        )?;
        self.keep_pause(id, &new.settings, pause);
        let instance = self.store.instance(id)?;
        let mut notes = notes(document, &new.settings);
        if instance.grant_state == GrantState::LoginRequired {
            notes.push(format!("nobody has signed in yet: `deltapost login {id}`"));
        }
        Ok(Written {
            instance,
            done: Done::Created,
            notes,
        })
    }
}

/// Reads an instance document as far as it is sound, with the problems of the rest.
fn read(document: &str) -> Result<(Document, Vec<Problem>), CommandError> {
    elements::read(document).map_err(|problem| CommandError::Invalid(vec![problem]))
}

fn unknown_zones(configuration: &Configuration) -> Vec<Problem> {
    let databases = Zones::of_system();
    let unknown = elements::zones(configuration)
        .into_iter()
        .filter_map(|(key, name)| {
            let error = databases.find(&name).err()?;
            let hint = error.hint().map_or_else(String::new, |hint| format!("; {hint}"));
            Some(Problem {
                key,
                message: format!("{error}{hint}"),
            })
        });
    unknown.collect()
}

fn notes(document: &Document, settings: &Settings) -> Vec<String> {
    let ignored = document
        .ignored
        .iter()
        .map(|key| format!("`{key}` means nothing here and is ignored"));
    let own = document.notes.iter().cloned().chain(elements::notes(settings));
    own.chain(ignored).collect()
}

/// An instance's element is what it was created with.
fn other_element(before: &Instance, document: &Document) -> Option<Problem> {
    let element = document.element.filter(|element| *element != before.element)?;
    Some(Problem {
        key: "element.key".to_owned(),
        message: format!(
            "instance `{}` is of `{}`, which cannot become `{element}`",
            before.name, before.element
        ),
    })
}

/// Whether another app asks for tokens now, or the same one with another secret.
fn other_app(before: &Instance, after: &Instance) -> bool {
    let app = |instance: &Instance| {
        [API_KEY, API_SECRET, TENANT, SCOPE, GRANT].map(|key| instance.configuration.get(key).cloned())
    };
    app(before) != app(after)
}
