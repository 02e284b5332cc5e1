//! Answers in their two shapes: JSON, and the error that Cloud Elements' clients know, `{"requestId", "message"}`. Here,
//! and only here, errors of the other rooms get their status.

use std::io;

use serde::Serialize;
use serde_json::json;
use serde_json::value::{RawValue, to_raw_value};

use crate::commands::{CommandError, Fault};
use crate::core::elements::Problem;
use crate::core::shown::shown;
use crate::httpd::Reply;
use crate::store::StoreError;

/// `value` as an answer that nobody keeps.
pub(super) fn json(status: u16, value: &impl Serialize) -> Reply {
    let json = serde_json::to_vec(value).expect("strings, numbers and maps of them are JSON");
    Reply::json(status, json).with("Cache-Control", "no-store")
}

/// `value` as JSON that a larger answer takes up as it is.
pub(super) fn raw(value: &impl Serialize) -> Box<RawValue> {
    to_raw_value(value).expect("strings, numbers and maps of them are JSON")
}

/// What `write` writes as an answer that nobody keeps and that is never in memory as a whole.
pub(super) fn json_written(
    write: impl Fn(&mut dyn io::Write) -> serde_json::Result<()> + Send + Sync + 'static,
) -> Reply {
    let reply = Reply::written(200, "application/json", move |out| Ok(write(out)?));
    reply
        .expect("strings, numbers and maps of them are JSON")
        .with("Cache-Control", "no-store")
}

/// Why a request is not answered as it wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) message: String,
    /// Headers beside it, as 401 and 405 have them.
    headers: Vec<(&'static str, String)>,
}

impl Refusal {
    /// With a message that is bounded and holds no secret.
    pub(super) fn new(status: u16, message: impl Into<String>) -> Refusal {
        Refusal {
            status,
            message: message.into(),
            headers: Vec::new(),
        }
    }

    /// 400: the request says something that it must not.
    pub(super) fn bad(message: impl Into<String>) -> Refusal {
        Refusal::new(400, message)
    }

    /// 400: `key` is given a word that is none of `known`.
    pub(super) fn not_one_of(key: &str, known: &[&str], given: &str) -> Refusal {
        let (known, given) = (known.join(", "), shown(given));
        Refusal::bad(format!("`{key}`: expected one of {known}, got `{given}`"))
    }

    /// 404.
    pub(super) fn not_found(message: impl Into<String>) -> Refusal {
        Refusal::new(404, message)
    }

    /// 400: a document with these problems, all of them.
    pub(super) fn invalid(problems: Vec<Problem>) -> Refusal {
        Refusal::from(CommandError::Invalid(problems))
    }

    /// 403: what its own token asks of an instance that is paused.
    pub(super) fn disabled() -> Refusal {
        Refusal::new(
            403,
            "the instance is disabled: `PUT /instances/enabled` resumes it",
        )
    }

    /// The same with a header.
    pub(super) fn with(mut self, name: &'static str, value: impl Into<String>) -> Refusal {
        self.headers.push((name, value.into()));
        self
    }

    /// As it goes to the client.
    pub(super) fn reply(&self, request_id: &str) -> Reply {
        let body = json!({"requestId": request_id, "message": self.message});
        let reply = json(self.status, &body);
        self.headers
            .iter()
            .fold(reply, |reply, (name, value)| reply.with(name, value))
    }
}

impl From<CommandError> for Refusal {
    fn from(error: CommandError) -> Refusal {
        let status = match error.fault() {
            Fault::Input => 400,
            Fault::Missing => 404,
            Fault::Conflict => 409,
            Fault::Provider => 502,
            Fault::Busy => 503,
            Fault::House => 500,
        };
        let message = match error.hint() {
            Some(hint) => format!("{error}\nhint: {hint}"),
            None => error.to_string(),
        };
        Refusal::new(status, message)
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Refusal {
        Refusal::from(CommandError::from(error))
    }
}
