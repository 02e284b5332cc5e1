//! Polls on request, by the running agent: asked for through the database, as the command line does it. Who waits for the
//! answers, and for how long, is the caller's.

use jiff::SignedDuration;

use super::{CommandError, House};
use crate::core::model::Instance;
use crate::core::poll::Poll;
use crate::core::shown::shown;
use crate::store::Depth;

/// An answer that nobody has fetched for this long is nobody's any more.
const KEPT: SignedDuration = SignedDuration::from_hours(1);

/// A poll that the agent was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    pub request: i64,
    pub resource: String,
}

impl House {
    /// The resources of an instance that are polled on request, or the one that is `named`; all by id and name.
    ///
    /// # Errors
    /// `EventsOff`, `NoSuchResource`; when the database cannot be read.
    pub fn resources_to_poll(
        &self,
        instance: &Instance,
        named: Option<&str>,
    ) -> Result<Vec<(i64, String)>, CommandError> {
        // A configuration that is not valid is told by the poll.
        if let Ok(settings) = &instance.settings
            && !settings.events_enabled
        {
            return Err(CommandError::EventsOff(instance.name.clone()));
        }
        let mut resources = self.store.resources_of(instance.id)?;
        let Some(named) = named else { return Ok(resources) };
        let known: Vec<String> = resources
            .iter()
            .map(|(_, name)| format!("`{}`", shown(name)))
            .collect();
        resources.retain(|(_, name)| name == named);
        if resources.is_empty() {
            return Err(CommandError::NoSuchResource {
                instance: instance.name.clone(),
                resource: shown(named),
                known: known.join(", "),
            });
        }
        Ok(resources)
    }

    /// Asks the agent to poll all resources of an instance, or the one that is `named`.
    ///
    /// # Errors
    /// As `resources_to_poll`; when the database cannot be written.
    pub fn ask_for_polls(
        &self,
        instance: &Instance,
        named: Option<&str>,
        depth: Depth,
    ) -> Result<Vec<Asked>, CommandError> {
        let resources = self.resources_to_poll(instance, named)?;
        let now = self.clock.now();
        self.store
            .forget_answers(now.saturating_sub(KEPT).unwrap_or(now))?;
        let ask = |(id, resource)| {
            let request = self.store.ask_for_poll(id, depth, now)?;
            Ok(Asked { request, resource })
        };
        resources.into_iter().map(ask).collect()
    }

    /// The agent's answer, once there is one; it is taken out of the database. A request whose resource was removed never
    /// gets one.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn poll_answer(&self, asked: &Asked) -> Result<Option<Poll>, CommandError> {
        let answer = self.store.answer_to(asked.request)?;
        if answer.is_some() {
            self.store.withdraw_request(asked.request)?;
        }
        Ok(answer)
    }
}
