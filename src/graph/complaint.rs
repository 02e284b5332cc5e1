//! The body of a Graph error: `{"error": {"code", "message", "innerError": {"code", "innerError": …}}}`.
//! What a status means is decided by `client`.

use serde_json::Value;

use crate::core::redacted::redacted;
use crate::core::shown::shown;

/// Codes whose meaning is documented: the deepest of them says what happened. The outer ones are often as general
/// as `invalidRequest`, and the innermost may be one that nobody knows.
const KNOWN: &[&str] = &[
    "accessDenied",
    "accessRestricted",
    "activityLimitReached",
    "authenticationError",
    "generalException",
    "InvalidAuthenticationToken",
    "invalidRange",
    "invalidRequest",
    "itemNotFound",
    "malwareDetected",
    "nameAlreadyExists",
    "notAllowed",
    "notSupported",
    "quotaLimitReached",
    "resourceModified",
    "resyncApplyDifferences",
    "resyncChangesApplyDifferences",
    "resyncChangesUploadDifferences",
    "resyncRequired",
    "resyncUploadDifferences",
    "serviceNotAvailable",
    "syncStateInvalid",
    "syncStateNotFound",
    "throttledRequest",
    "unauthenticated",
];

/// Documented to nest two or three deep.
const MAX_DEPTH: usize = 16;

/// What an error's body says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Complaint {
    /// The deepest known code, else the first; empty when there is none.
    pub(super) code: String,
    /// For people: nothing may depend on it. Empty when there is none.
    pub(super) message: String,
    /// One of the codes says that the delta token is stale.
    pub(super) resync: bool,
}

impl Complaint {
    /// Reads `body`, which may be anything. `secrets` of the request do not come out again.
    pub(super) fn read(body: &[u8], secrets: &[&str]) -> Complaint {
        let safe = |text: &str| shown(&redacted(text, secrets));
        let Ok(body) = serde_json::from_slice::<Value>(body) else {
            let html = body.trim_ascii_start().starts_with(b"<");
            return Complaint {
                message: if html {
                    "the answer is HTML".to_owned()
                } else {
                    String::new()
                },
                ..Complaint::default()
            };
        };
        let error = body.get("error");
        let mut codes = Vec::new();
        let mut level = error;
        while let Some(inner) = level.filter(|_| codes.len() < MAX_DEPTH) {
            codes.push(inner.get("code").and_then(Value::as_str).unwrap_or_default());
            level = inner.get("innerError").or_else(|| inner.get("innererror"));
        }
        let code = codes.iter().rev().find(|code| is_known(code)).or(codes.first());
        let message = error
            .and_then(|error| error.get("message"))
            .and_then(Value::as_str);
        Complaint {
            code: code.map_or_else(String::new, |code| safe(code)),
            message: message.map_or_else(String::new, safe),
            resync: codes.iter().any(|code| is_resync(code)),
        }
    }
}

/// Whether the documentation names `code`, so that it holds nothing else.
pub(super) fn is_known(code: &str) -> bool {
    KNOWN.iter().any(|known| known.eq_ignore_ascii_case(code))
}

fn is_resync(code: &str) -> bool {
    let code = code.to_ascii_lowercase();
    code.starts_with("resync") || code == "syncstatenotfound" || code == "syncstateinvalid"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(body: &str, code: &str, message: &str, resync: bool) {
        let (code, message) = (code.to_owned(), message.to_owned());
        assert_eq!(
            Complaint::read(body.as_bytes(), &["s3cret"]),
            Complaint {
                code,
                message,
                resync
            },
            "{body}"
        );
    }

    #[test]
    fn the_deepest_known_code_counts() {
        check(
            r#"{"error":{"code":"resyncRequired","message":"Resync.","innerError":{"code":"resyncChangesApplyDifferences","date":"…","innererror":{"code":"whoKnows"}}}}"#,
            "resyncChangesApplyDifferences",
            "Resync.",
            true,
        );
        check(
            r#"{"error":{"code":"invalidRequest","message":"Bad.","innererror":{"innerError":{"code":"resyncUploadDifferences"}}}}"#,
            "resyncUploadDifferences",
            "Bad.",
            true,
        );
        check(
            r#"{"error":{"code":"SyncStateNotFound"}}"#,
            "SyncStateNotFound",
            "",
            true,
        );
        check(
            r#"{"error":{"code":"odd","innerError":{"code":"odder"}}}"#,
            "odd",
            "",
            false,
        );
    }

    #[test]
    fn a_body_may_be_anything() {
        check("", "", "", false);
        check("nonsense", "", "", false);
        check(" <html>", "", "the answer is HTML", false);
        check("[]", "", "", false);
        check(r#"{"error":null}"#, "", "", false);
        check(r#"{"error":"invalid"}"#, "", "", false);
        check(
            r#"{"error":{"code":5,"message":[],"innerError":7}}"#,
            "",
            "",
            false,
        );
        check(&"[".repeat(50_000), "", "", false);
        let deep = format!(
            "{}{}",
            r#"{"error":{"innerError":"#,
            r#"{"innerError":"#.repeat(60)
        );
        check(&format!("{deep}1{}", "}".repeat(62)), "", "", false);
    }

    #[test]
    fn what_it_says_is_bounded_and_tells_no_secret() {
        let long = "x".repeat(300);
        let body = format!(r#"{{"error":{{"code":"s3cret\n","message":"{long}"}}}}"#);
        check(&body, "********\\n", &format!("{}…", &long[..200]), false);
    }
}
