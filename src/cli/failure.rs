//! What went wrong, as the command line tells it: problems with their hints, and the exit code. The one place where
//! errors of the other rooms get their codes.

use crate::callback::SetupError;
use crate::commands::CommandError;
use crate::config::ConfigError;
use crate::graph::client;
use crate::poll::PollError;
use crate::store::StoreError;
use crate::web::WebError;

/// The command was right and could not be done.
const FAILED: u8 = 1;
/// The command or the configuration is wrong: the same again fails again.
const WRONG: u8 = 2;

/// One thing that went wrong, and the next thing to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) message: String,
    pub(super) hint: Option<String>,
}

impl Problem {
    pub(super) fn new(message: impl Into<String>, hint: Option<String>) -> Problem {
        Problem {
            message: message.into(),
            hint,
        }
    }
}

/// Why a command failed: at least one problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) code: u8,
    pub(super) problems: Vec<Problem>,
}

impl Failure {
    /// The command could not be done.
    pub(super) fn failed(message: impl Into<String>, hint: Option<String>) -> Failure {
        Failure {
            code: FAILED,
            problems: vec![Problem::new(message, hint)],
        }
    }

    /// The command or the configuration is wrong.
    pub(super) fn wrong(message: impl Into<String>, hint: Option<String>) -> Failure {
        Failure {
            code: WRONG,
            problems: vec![Problem::new(message, hint)],
        }
    }

    /// All of `failures` in one, with the code of the gravest; `None` where there are none.
    pub(super) fn all(failures: impl IntoIterator<Item = Failure>) -> Option<Failure> {
        failures.into_iter().reduce(|mut all, one| {
            all.code = all.code.max(one.code);
            all.problems.extend(one.problems);
            all
        })
    }
}

/// A name or an id that the user gave and that does not exist is wrong usage; all else lies in the world.
fn code_of(error: &StoreError) -> u8 {
    match error {
        StoreError::NoSuchInstance(_) | StoreError::NameTaken(_) => WRONG,
        _ => FAILED,
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Failure {
        Failure {
            code: code_of(&error),
            problems: vec![Problem::new(error.to_string(), error.hint())],
        }
    }
}

impl From<CommandError> for Failure {
    fn from(error: CommandError) -> Failure {
        let code = match &error {
            CommandError::Store(error) => code_of(error),
            error if error.is_usage() => WRONG,
            _ => FAILED,
        };
        Failure {
            code,
            problems: vec![Problem::new(error.to_string(), error.hint())],
        }
    }
}

impl From<PollError> for Failure {
    fn from(error: PollError) -> Failure {
        Failure::failed(error.to_string(), error.hint())
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Failure {
        Failure::wrong(error.to_string(), Some(error.hint().to_owned()))
    }
}

impl From<client::ConfigError> for Failure {
    fn from(error: client::ConfigError) -> Failure {
        Failure::wrong(error.to_string(), Some(error.hint().to_owned()))
    }
}

impl From<WebError> for Failure {
    fn from(error: WebError) -> Failure {
        Failure::failed(error.to_string(), Some(error.hint().to_owned()))
    }
}

impl From<SetupError> for Failure {
    fn from(error: SetupError) -> Failure {
        Failure::wrong(error.to_string(), Some(error.hint().to_owned()))
    }
}
