//! The line that `-v` logs of each request. It tells where the request went, never with what.

use std::time::Duration;

use ureq::http::Response;
use url::Url;

use super::failure::NoAnswer;
use crate::core::shown::shown;

/// Logs a request that is over: its method, host and path, the status or why there was none, and how long it took.
pub(crate) fn log_request<B>(
    method: &str,
    url: &str,
    answer: &Result<Response<B>, ureq::Error>,
    elapsed: Duration,
) {
    if !log::log_enabled!(log::Level::Debug) {
        return;
    }
    let (url, ms) = (place(url), elapsed.as_millis());
    match answer {
        Ok(answer) => {
            let status = answer.status().as_u16();
            log::debug!("request method={method} url={url:?} status={status} ms={ms}");
        }
        Err(error) => {
            let error = NoAnswer::from(error).to_string();
            log::debug!("request method={method} url={url:?} error={error:?} ms={ms}");
        }
    }
}

/// Host and path of `url`, without what may be secret in it: user, query, and the arguments that Graph's functions have in
/// their path, as in `delta(token='…')`.
fn place(url: &str) -> String {
    let Ok(url) = Url::parse(url) else {
        return String::new();
    };
    let path = url.path();
    let path = path.find(['(', ';']).map_or(path, |end| &path[..end]);
    let path = path
        .to_ascii_lowercase()
        .find("%28")
        .map_or(path, |end| &path[..end]);
    shown(&format!("{}{path}", url.origin().ascii_serialization()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(url: &str, expect: &str) {
        assert_eq!(place(url), expect);
    }

    #[test]
    fn a_request_is_told_without_what_may_be_secret() {
        check(
            "https://graph.microsoft.com/v1.0/me/drive/root/delta?token=secret#secret",
            "https://graph.microsoft.com/v1.0/me/drive/root/delta",
        );
        for opened in ["(", "%28"] {
            check(
                &format!("https://graph.microsoft.com/v1.0/me/drive/root/delta{opened}token='secret')"),
                "https://graph.microsoft.com/v1.0/me/drive/root/delta",
            );
        }
        check(
            "http://user:secret@127.0.0.1:8000/events?key=secret",
            "http://127.0.0.1:8000/events",
        );
        check("no url with a secret", "");
    }
}
