//! What a client of the API does with single instances: find, change by JSON, pause. An instance that is being deleted is
//! gone for it, though its last notifications are still delivered.

use serde_json::Value;

use super::{Codes, CommandError, House, Outcome};
use crate::core::elements;
use crate::core::model::{Instance, Secret};
use crate::store::StoreError;

/// What a document does to an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edit {
    /// What it names is changed.
    Merge,
    /// The configuration and the tags become what it says; the name stays where it says none.
    Replace,
}

impl House<'_> {
    /// The instances that are not being deleted, by id.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn present_instances(&self) -> Result<Vec<Instance>, CommandError> {
        let leaving = self.store.leaving_instances()?;
        let mut instances = self.store.instances()?;
        instances.retain(|instance| !leaving.contains(&instance.id));
        Ok(instances)
    }

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

    /// The instance whose own token that is, unless it is being deleted.
    ///
    /// # Errors
    /// `NoSuchInstance`.
    pub fn instance_with_token(&self, token: &Secret) -> Result<Instance, CommandError> {
        Ok(self.store.instance_with_token(token)?)
    }

    /// The instance as `shown` shows it, with its own token.
    ///
    /// # Errors
    /// When the token cannot be opened or made: the key is missing.
    pub fn shown_with_token(&self, instance: &Instance) -> Result<Value, CommandError> {
        let mut shown = self.shown(instance);
        shown["token"] = self.store.instance_token(instance.id)?.expose().into();
        Ok(shown)
    }

    /// Changes an instance by the JSON text `document`. A code in it is exchanged; the resources go on from where they
    /// stand.
    ///
    /// # Errors
    /// All problems of the document together; a refused code, which leaves everything as it was.
    pub fn edit_instance(&self, id: i64, document: &str, edit: Edit) -> Result<Outcome, CommandError> {
        let document = elements::parse(document).map_err(CommandError::Invalid)?;
        self.edit(&self.present_instance(id)?, &document, edit)
    }

    pub(super) fn edit(
        &self,
        before: &Instance,
        document: &elements::Document,
        edit: Edit,
    ) -> Result<Outcome, CommandError> {
        let (configuration, tags) = match edit {
            Edit::Merge => {
                let tags = document.tags.clone().unwrap_or_else(|| before.tags.clone());
                (elements::merge(&before.configuration, document), tags)
            }
            Edit::Replace => {
                let tags = document.tags.clone().unwrap_or_default();
                (elements::replace(&before.configuration, document), tags)
            }
        };
        let after = Instance {
            name: document.name.clone().unwrap_or_else(|| before.name.clone()),
            tags,
            configuration: configuration.map_err(CommandError::Invalid)?,
            ..before.clone()
        };
        self.change(before, after, document, Codes::Always)
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
}
