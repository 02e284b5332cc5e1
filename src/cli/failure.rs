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

/// Why a command failed: at least one problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) code: u8,
    pub(super) problems: Vec<Problem>,
}

impl Failure {
    /// The command could not be done.
    pub(super) fn failed(message: impl Into<String>, hint: Option<String>) -> Failure {
        Failure::coded(FAILED, message, hint)
    }

    /// The command or the configuration is wrong.
    pub(super) fn wrong(message: impl Into<String>, hint: Option<String>) -> Failure {
        Failure::coded(WRONG, message, hint)
    }

    fn coded(code: u8, message: impl Into<String>, hint: Option<String>) -> Failure {
        let message = message.into();
        Failure {
            code,
            problems: vec![Problem { message, hint }],
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
        Failure::coded(code_of(&error), error.to_string(), error.hint())
    }
}

impl From<CommandError> for Failure {
    fn from(error: CommandError) -> Failure {
        let code = match &error {
            CommandError::Store(error) => code_of(error),
            error if error.is_usage() => WRONG,
            _ => FAILED,
        };
        Failure::coded(code, error.to_string(), error.hint())
    }
}

impl From<PollError> for Failure {
    fn from(error: PollError) -> Failure {
        Failure::failed(error.to_string(), error.hint())
    }
}

/// Errors of a configuration or a start, each of which knows its hint.
macro_rules! failures {
    ($($error:ty => $kind:ident),+ $(,)?) => {
        $(impl From<$error> for Failure {
            fn from(error: $error) -> Failure {
                Failure::$kind(error.to_string(), Some(error.hint().to_owned()))
            }
        })+
    };
}

failures! {
    ConfigError => wrong,
    client::ConfigError => wrong,
    SetupError => wrong,
    WebError => failed,
}
