//! Why Graph gave no page, told apart by what the caller does about it.

use std::fmt;
use std::time::Duration;

use crate::core::model::Secret;
use crate::wire::NoAnswer;

/// Why a link was not fetched, told apart by what the caller does about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GraphError {
    /// The access token is not accepted: renew it, once.
    #[error("could not fetch from Graph: the access token was not accepted (401){}", Code(.code))]
    Unauthorized { code: String },
    /// The delta token is stale: enumerate in full, from `location` when there is one.
    #[error("could not fetch from Graph: the delta token is stale{}", Code(.code))]
    Gone { location: Option<Secret>, code: String },
    /// Wait as long as asked, with everything that this account does; without a time, back off.
    #[error("could not fetch from Graph: it asks for a pause ({status})")]
    Throttled {
        status: u16,
        retry_after: Option<Duration>,
    },
    /// Asking again changes nothing.
    #[error("could not fetch from Graph: it refused ({status}){}{}", Code(.code), Message(.message))]
    Refused {
        status: u16,
        code: String,
        message: String,
    },
    /// Graph failed: ask again later.
    #[error("could not fetch from Graph: it failed ({status}){}", Code(.code))]
    Server { status: u16, code: String },
    /// Neither a page nor an error: a redirect, most often, which is not followed.
    #[error("could not fetch from Graph: it answered {status}, which is no page")]
    Unexpected { status: u16 },
    #[error("could not fetch from Graph: the page is larger than 16 MiB")]
    TooLarge,
    /// `step` of `LARGE_PAGES` has no place free: take it by `places`, and fetch the page with it.
    #[error("could not fetch from Graph: other large pages take the memory set aside for them")]
    NoRoom { step: usize },
    #[error("could not fetch from Graph: {0}")]
    Unreachable(NoAnswer),
    /// The link is not told whole: its query may hold a session token. Nothing was sent.
    #[error("could not fetch from Graph: the link leads to `{origin}`, not below the Graph base")]
    ForeignLink { origin: String },
}

/// The part of a message that is there only when there is something to say.
struct Code<'a>(&'a str);
pub(super) struct Message<'a>(pub(super) &'a str);

impl fmt::Display for Code<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            Ok(())
        } else {
            write!(f, ", `{}`", self.0)
        }
    }
}

impl fmt::Display for Message<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            Ok(())
        } else {
            write!(f, ": {}", self.0)
        }
    }
}

impl GraphError {
    /// The next thing to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            GraphError::Unauthorized { .. } => {
                "the token is renewed by itself; when that fails, sign in again"
            }
            GraphError::Gone { .. } => "the drive is enumerated in full and compared with what is known",
            GraphError::Throttled { .. } => {
                "polling goes on by itself after the pause; poll less often if it recurs"
            }
            GraphError::Refused { status: 403, .. } => {
                "check the app's permissions (for drives `Files.Read`, or `Files.Read.All` for an application) and its consent"
            }
            GraphError::Refused { status: 404, .. } => {
                "check the resource's `url`, and that the account has a OneDrive"
            }
            GraphError::Refused { .. } => {
                "check the resource's `url`; `deltapost poll NAME --resync` begins there again"
            }
            GraphError::Server { .. } => "Microsoft's side: it is asked again at the next poll",
            GraphError::Unexpected { .. } => {
                "a proxy or a portal may stand between: open the network's way to Graph, or set `proxy` under \
                 `[network]`"
            }
            GraphError::TooLarge => "ask for fewer items by `pageSize`, or fewer fields by `$select`",
            GraphError::NoRoom { .. } => "it is asked for again when they are done",
            GraphError::Unreachable(no_answer) => no_answer.reason.hint(),
            GraphError::ForeignLink { .. } => {
                "the access token goes to the Graph base only: check `graph` under `[microsoft]`"
            }
        }
    }
}
