//! Single instances: found, changed by a document, paused. For a client of the API, an instance that is being deleted is gone,
//! though its last notifications are still delivered.

use serde_json::Value;

use super::{CommandError, Done, House, Written, notes, other_app, other_element, unknown_zones};
use crate::core::elements::keys::REFRESH_TOKEN;
use crate::core::elements::{self, Document};
use crate::core::model::{GrantState, Instance, ResourceSettings, Secret, Settings};
use crate::grants::Grants;
use crate::store::{Grant, StoreError};

/// Which authorization codes of a change are exchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Codes {
    /// Those for instances that must sign in: a document that is applied again holds one that is spent.
    WhereWanted,
    /// Each one.
    Always,
}

/// How often a change is made anew of what others have changed meanwhile.
const TRIES: u32 = 10;

/// What a document does to an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edit {
    /// What it names is changed.
    Merge,
    /// The configuration and the tags become what it says; the name stays where it says none.
    Replace,
}

impl House {
    /// The instance with that id, unless it is being deleted.
    ///
    /// # Errors
    /// `NoSuchInstance`.
    pub fn present_instance(&self, id: i64) -> Result<Instance, CommandError> {
        match self.store.leaving_instances()?.contains(&id) {
            true => Err(StoreError::NoSuchInstance(id.to_string()).into()),
            false => Ok(self.store.instance(id)?),
        }
    }

    /// The id of the instance whose own token that is, unless it is being deleted.
    ///
    /// # Errors
    /// `NoSuchInstance`.
    pub fn instance_with_token(&self, token: &Secret) -> Result<i64, CommandError> {
        Ok(self.store.instance_with_token(token)?)
    }

    /// The instance as `shown` shows it, with its own token; without the key that opens it, with none.
    ///
    /// # Errors
    /// When the database cannot be read, or written where it has no token yet.
    pub fn shown_with_token(&self, instance: &Instance) -> Result<Value, CommandError> {
        let mut shown = self.shown(instance);
        shown["token"] = match self.store.instance_token(instance.id) {
            Ok(token) => token.expose().into(),
            Err(StoreError::NoKey) => Value::Null,
            Err(error) => return Err(error.into()),
        };
        Ok(shown)
    }

    /// Changes an instance by the JSON text `document`. A code in it is exchanged; the resources go on from where they
    /// stand.
    ///
    /// # Errors
    /// All problems of the document together; a refused code, which leaves everything as it was.
    pub fn edit_instance(&self, id: i64, document: &str, edit: Edit) -> Result<Written, CommandError> {
        let document = elements::parse(document).map_err(CommandError::Invalid)?;
        self.edit(self.present_instance(id)?, &document, edit, Codes::Always)
    }

    /// Changes `before` by `document`; where somebody else changes it at the same time, what they have left is changed.
    pub(super) fn edit(
        &self,
        mut before: Instance,
        document: &Document,
        edit: Edit,
        codes: Codes,
    ) -> Result<Written, CommandError> {
        // A code is good for one sign-in: what it brought is kept for the next try.
        let mut granted = None;
        for _ in 1..TRIES {
            match self.change(&before, document, edit, codes, &mut granted) {
                Err(CommandError::Store(StoreError::Superseded)) => {
                    before = self.store.instance(before.id)?
                }
                other => return other,
            }
        }
        self.change(&before, document, edit, codes, &mut granted)
    }

    /// Pauses or resumes polling of an instance; what is pending is delivered all the same. Returns it as it is then.
    ///
    /// # Errors
    /// `NoSuchInstance`; when the database cannot be written.
    pub fn enable_instance(&self, id: i64, enabled: bool) -> Result<Instance, CommandError> {
        self.present_instance(id)?;
        self.store.enable_instance(id, enabled, self.clock.now())?;
        Ok(self.store.instance(id)?)
    }

    fn change(
        &self,
        before: &Instance,
        document: &Document,
        edit: Edit,
        codes: Codes,
        granted: &mut Option<Grant>,
    ) -> Result<Written, CommandError> {
        let after = self.edited(before, document, edit)?;
        let unknown = unknown_zones(&after.configuration);
        let settings = match after.settings.clone() {
            Ok(settings) if unknown.is_empty() => settings,
            checked => {
                let problems = checked.err().into_iter().flatten().chain(unknown);
                return Err(CommandError::Invalid(problems.collect()));
            }
        };
        let mut problems = elements::check_code(document, &settings);
        problems.extend(other_element(before, document));
        if !problems.is_empty() {
            return Err(CommandError::Invalid(problems));
        }
        let mut notes = notes(document, &settings);
        // A grant that is of no use any more is replaced by a code; one that is in use is not put at risk.
        let wanting =
            before.grant_state == GrantState::LoginRequired || self.store.shows_another_drive(before.id)?;
        let taken = wanting || codes == Codes::Always;
        if document.code.is_some() && !taken {
            notes.push("`providerData.code` is ignored: the instance is signed in".to_owned());
        }
        let code = document.code.as_ref().filter(|_| taken);
        // It may have been the app that was refused, and not the grant: what there is stays and is tried again.
        let app_corrected = wanting && code.is_none() && other_app(before, &after);
        let token_changed = settings.refresh_token.is_some()
            && before.configuration.get(REFRESH_TOKEN) != after.configuration.get(REFRESH_TOKEN);
        if app_corrected && !token_changed {
            notes.push("the next poll tries to sign in with the changed app".to_owned());
        }
        if *before == after && code.is_none() && !token_changed {
            return Ok(Written {
                instance: after,
                done: Done::Unchanged,
                notes,
            });
        }
        let signs_in = code.is_some() || token_changed;
        let learns = self.to_be_learnt(before, &settings);
        let token = (!signs_in && !learns.is_empty())
            .then(|| self.token_at_hand(before))
            .flatten();
        let mut write = || -> Result<Vec<String>, CommandError> {
            if signs_in && granted.is_none() {
                *granted = Some(self.grant_of(&settings, code, document.code_verifier.as_ref())?);
            }
            let grant = granted.as_ref().filter(|_| signs_in);
            let token = grant.map_or(token.as_ref(), |grant| grant.access_token.as_ref());
            let (starts, pause) = self.starts(learns.iter().copied(), token);
            let now = self.clock.now();
            let written = self
                .store
                .update_instance(before, &after, &settings, grant, &starts, now)?;
            let grants = Grants::for_command(&self.store, &self.client, &*self.clock);
            if other_app(before, &after) {
                self.store.forget_app(before.id)?;
            }
            grants.note_app(before.id, &settings)?;
            if grant.is_some() {
                self.store.lift_pause(before.id, now)?;
            }
            self.keep_pause(before.id, &settings, pause);
            if grant.is_none() && app_corrected {
                self.store.try_grant_again(before.id)?;
            }
            Ok(written)
        };
        notes.extend(if signs_in || other_app(before, &after) {
            Grants::for_command(&self.store, &self.client, &*self.clock).alone(before, write)?
        } else {
            write()?
        });
        Ok(Written {
            instance: self.store.instance(before.id)?,
            done: Done::Changed,
            notes,
        })
    }

    /// The resources that are new in `settings`, or read something else than before.
    fn to_be_learnt<'s>(&self, before: &Instance, settings: &'s Settings) -> Vec<&'s ResourceSettings> {
        let before = before.settings.iter().flat_map(|settings| &settings.resources);
        let reads = |one: &ResourceSettings| (one.url.clone(), one.feed.mode(), one.baseline);
        let is_known = |wanted: &&ResourceSettings| {
            let same = before.clone().find(|one| one.name == wanted.name);
            same.is_some_and(|same| reads(same) == reads(wanted))
        };
        settings
            .resources
            .iter()
            .filter(|wanted| !is_known(wanted))
            .collect()
    }

    /// The account's access token, unless the provider has asked to be left alone or gives none.
    fn token_at_hand(&self, instance: &Instance) -> Option<Secret> {
        let throttling = self.store.throttling(instance.id).ok()?;
        if throttling.until.is_some_and(|until| until > self.clock.now()) {
            return None;
        }
        let grants = Grants::for_command(&self.store, &self.client, &*self.clock);
        let token = grants.access_token(instance, None);
        token
            .inspect_err(|error| log::debug!("no access token: {error}"))
            .ok()
    }

    /// `before` as `document` wants it.
    fn edited(&self, before: &Instance, document: &Document, edit: Edit) -> Result<Instance, CommandError> {
        let tags = document.tags.clone();
        let (configuration, tags) = match edit {
            Edit::Merge => (
                elements::merge(&before.configuration, document),
                tags.unwrap_or_else(|| before.tags.clone()),
            ),
            Edit::Replace => (
                elements::replace(&before.configuration, document),
                tags.unwrap_or_default(),
            ),
        };
        let configuration = configuration.map_err(CommandError::Invalid)?;
        Ok(Instance {
            name: document.name.clone().unwrap_or_else(|| before.name.clone()),
            tags,
            settings: elements::settings(before.element, &configuration, self.client.base()),
            configuration,
            ..before.clone()
        })
    }
}
