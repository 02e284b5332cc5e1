//! The provider's wire: `client` fetches, `page` reads what came, `auth` obtains the tokens to fetch with.
//! What a page means, when to poll, and where tokens are kept are not decided here.

pub mod auth;
pub mod client;
mod complaint;
pub mod page;

use url::Url;

use crate::core::shown::shown;

/// Whether `link` may be sent the access token for `base`: the same scheme, host and port, and a path that is the
/// base's or continues it at a `/`.
///
/// Links are sent as they came while this check reads them as `url` does, so whatever the two could read differently
/// (white space, control characters, a backslash, credentials before the host) is refused.
pub(crate) fn lies_below(base: &str, link: &str) -> bool {
    if link
        .chars()
        .any(|c| c.is_whitespace() || c.is_control() || c == '\\')
    {
        return false;
    }
    let (Ok(base), Ok(link)) = (Url::parse(base), Url::parse(link)) else {
        return false;
    };
    let root = base.path().trim_end_matches('/');
    link.has_host()
        && link.scheme() == base.scheme()
        && link.host() == base.host()
        && link.port_or_known_default() == base.port_or_known_default()
        && link.username().is_empty()
        && link.password().is_none()
        && link
            .path()
            .strip_prefix(root)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Scheme, host and port of a link, which may be told; its path and query may hold a session token.
pub(crate) fn shown_origin(link: &str) -> String {
    match Url::parse(link) {
        Ok(url) if url.has_host() => shown(&url.origin().ascii_serialization()),
        _ => "what is no web address".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(link: &str, expect: bool) {
        assert_eq!(
            lies_below("https://graph.microsoft.com/v1.0", link),
            expect,
            "{link}"
        );
    }

    #[test]
    fn a_token_goes_to_the_graph_base_and_nowhere_else() {
        check(
            "https://graph.microsoft.com/v1.0/me/drive/root/delta?token=x",
            true,
        );
        check("https://graph.microsoft.com:443/v1.0/me", true);
        check("HTTPS://GRAPH.microsoft.com/v1.0", true);
        check("https://graph.microsoft.com/v1.0?x", true);
        check("https://graph.microsoft.com/v1.0/root:/M%C3%BCll:/delta", true);
        check("http://graph.microsoft.com/v1.0/me", false);
        check("https://graph.microsoft.com:8443/v1.0/me", false);
        check("https://graph.microsoft.com.evil.example/v1.0/me", false);
        check("https://evil.example/https://graph.microsoft.com/v1.0/me", false);
        check("https://graph.microsoft.com/v1.0evil/me", false);
        check("https://graph.microsoft.com/beta/me", false);
        check("https://graph.microsoft.com/v1.0/../beta/me", false);
        check("https://graph.microsoft.com/v1.0/%2e%2e/beta/me", false);
        check("https://graph.microsoft.com@evil.example/v1.0/me", false);
        check("https://user@graph.microsoft.com/v1.0/me", false);
        check("https://graph.microsoft.com\\@evil.example/v1.0/me", false);
        check("https://graph.micro\tsoft.com/v1.0/me", false);
        check(" https://graph.microsoft.com/v1.0/me", false);
        check("//graph.microsoft.com/v1.0/me", false);
        check("/v1.0/me", false);
        check("data:text/plain,v1.0", false);
        check("", false);
    }

    #[test]
    fn an_origin_tells_nothing_of_the_rest() {
        assert_eq!(
            shown_origin("https://u:p@evil.example:8443/a?token=secret#f"),
            "https://evil.example:8443"
        );
        assert_eq!(shown_origin("token=secret"), "what is no web address");
    }
}
