//! Why a command did nothing, and what to do about it. Exit codes and HTTP statuses are made of it elsewhere.

use super::outbox::OutboxError;
use crate::core::elements::Problem;
use crate::grants::GrantError;
use crate::graph::auth::AuthError;
use crate::store::StoreError;

/// Whose fault it is that a command did nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// What was asked for is not valid: the same again fails again.
    Input,
    /// It is about something that does not exist.
    Missing,
    /// It contradicts what is.
    Conflict,
    /// The provider did not do its part.
    Provider,
    /// It may be possible later.
    Busy,
    /// This box is at fault.
    House,
}

/// Why a command did nothing.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The document or the assignments are not valid; every problem of them.
    #[error("the instance is not valid:\n{}", listed(.0))]
    Invalid(Vec<Problem>),
    #[error("could not sign in: {0}")]
    SignIn(#[from] AuthError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Grant(#[from] GrantError),
    /// The instance signs in in another way, or lacks what a sign-in needs.
    #[error("could not sign in to instance `{instance}`: {reason}")]
    NoSignIn {
        instance: String,
        reason: &'static str,
        hint: &'static str,
    },
    /// The person at the terminal has broken off.
    #[error("the sign-in was stopped by a signal; nothing was changed")]
    Stopped,
    /// What is asked of the outbox cannot be done.
    #[error(transparent)]
    Outbox(#[from] OutboxError),
    /// Nothing can be sent to the instance's endpoint.
    #[error("could not ping instance `{instance}`: {reason}")]
    NoEndpoint { instance: String, reason: String },
    /// Polling an instance that does not want events.
    #[error("events are off for instance `{0}`, so there is nothing to poll")]
    EventsOff(String),
    /// No resource of that name.
    #[error("instance `{instance}` has no resource `{resource}`; it has {known}")]
    NoSuchResource {
        instance: String,
        resource: String,
        known: String,
    },
}

impl CommandError {
    /// The next thing to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            CommandError::Invalid(_) => Some("correct all of these; nothing was changed".to_owned()),
            CommandError::SignIn(error) => Some(error.hint().to_owned()),
            CommandError::Store(error) => error.hint(),
            CommandError::Grant(error) => error.hint(),
            CommandError::NoSignIn { hint, .. } => Some((*hint).to_owned()),
            CommandError::Stopped => None,
            CommandError::Outbox(error) => error.hint(),
            CommandError::NoEndpoint { .. } => Some("set it with `deltapost instance update`".to_owned()),
            CommandError::EventsOff(name) => Some(format!(
                "turn them on: `deltapost instance update '{name}' --set event.notification.enabled=true`"
            )),
            CommandError::NoSuchResource { .. } => None,
        }
    }

    /// Whose fault it is, for whoever answers by a status.
    pub fn fault(&self) -> Fault {
        match self {
            CommandError::Store(error) | CommandError::Grant(GrantError::Store(error)) => {
                fault_of_store(error)
            }
            CommandError::SignIn(error) | CommandError::Grant(GrantError::Auth(error)) => {
                fault_of_sign_in(error)
            }
            CommandError::Grant(GrantError::Busy(_)) | CommandError::Stopped => Fault::Busy,
            CommandError::Outbox(OutboxError::NoSuchNotification(_) | OutboxError::NoSuchEndpoint { .. })
            | CommandError::NoSuchResource { .. } => Fault::Missing,
            CommandError::Grant(GrantError::LoginRequired(_))
            | CommandError::Outbox(
                OutboxError::WrongState { .. } | OutboxError::IsReplay { .. } | OutboxError::Leaving(_),
            ) => Fault::Conflict,
            CommandError::Outbox(OutboxError::EmptySpan { .. } | OutboxError::ManyEndpoints { .. }) => {
                Fault::Input
            }
            CommandError::Grant(GrantError::Incomplete { .. })
            | CommandError::Invalid(_)
            | CommandError::NoSignIn { .. }
            | CommandError::NoEndpoint { .. }
            | CommandError::EventsOff(_) => Fault::Input,
        }
    }

    /// Whether there is no instance like the one that was asked for.
    pub fn is_unknown_instance(&self) -> bool {
        matches!(self, CommandError::Store(StoreError::NoSuchInstance(_)))
    }

    /// Whether the input was at fault, not the world.
    pub fn is_usage(&self) -> bool {
        matches!(
            self,
            CommandError::Invalid(_)
                | CommandError::Outbox(_)
                | CommandError::EventsOff(_)
                | CommandError::NoSuchResource { .. }
                | CommandError::NoSignIn { .. }
        )
    }
}

/// A name that is taken and an instance that does not exist lie with the caller, all else with this box.
fn fault_of_store(error: &StoreError) -> Fault {
    match error {
        StoreError::NoSuchInstance(_) => Fault::Missing,
        StoreError::NameTaken(_) | StoreError::Superseded => Fault::Conflict,
        StoreError::Busy | StoreError::DiskFull => Fault::Busy,
        _ => Fault::House,
    }
}

/// What the provider refuses was given by the caller: a code, an app. That it does not answer is its own fault.
fn fault_of_sign_in(error: &AuthError) -> Fault {
    match error {
        AuthError::LoginRequired { .. }
        | AuthError::InvalidClient { .. }
        | AuthError::Refused { .. }
        | AuthError::NotSignedIn { .. } => Fault::Input,
        AuthError::Throttled { .. } => Fault::Busy,
        AuthError::NotOAuth { .. } | AuthError::Server { .. } | AuthError::Unreachable(_) => Fault::Provider,
    }
}

fn listed(problems: &[Problem]) -> String {
    problems
        .iter()
        .map(|problem| format!("  {problem}"))
        .collect::<Vec<_>>()
        .join("\n")
}
