//! Links of Graph: where an access token may be sent, and the first link of a resource. The links that Graph gives are
//! opaque: they are checked, and go back as they came.

use ureq::http::Uri;
use url::Url;

use crate::core::feed::{self, Feed};
use crate::core::model::{BaselineMode, Secret};
use crate::core::shown::shown;
use crate::graph::error::GraphError;

/// The first request of a resource: `url`, a path below `base` or an absolute URL there, with `$top` for a page size
/// (feeds other than a drive's are asked by a header), and `token=latest`, or what its feed has for that, when nothing older than
/// now is wanted. What `url` itself says of either stands.
///
/// # Errors
/// When the result does not lie below `base`.
pub fn first_link(
    base: &str,
    url: &str,
    feed: &Feed,
    baseline: BaselineMode,
    page_size: Option<u32>,
) -> Result<Secret, GraphError> {
    let whole = if url.starts_with('/') {
        format!("{}{url}", base.trim_end_matches('/'))
    } else {
        url.to_owned()
    };
    let foreign = || GraphError::ForeignLink {
        origin: shown_origin(&whole),
    };
    // Writing the URL anew is what encodes the spaces and letters of a folder's name.
    let mut link = Url::parse(&whole).map_err(|_| foreign())?;
    link.set_fragment(None);
    let has = |name: &str| link.query_pairs().any(|(key, _)| key.eq_ignore_ascii_case(name));
    let mut queries: Vec<String> = link.query().map(str::to_owned).into_iter().collect();
    if let Some(size) = page_size.filter(|_| !matches!(feed, Feed::Objects { .. }) && !has("$top")) {
        queries.push(format!("$top={size}"));
    }
    let latest = match feed {
        Feed::Drive => Some("token"),
        Feed::Objects { .. } => feed::latest_option(url),
        Feed::Window(_) => None,
    };
    if let Some(option) = latest.filter(|option| !has(option))
        && baseline == BaselineMode::Latest
        && !link.path().contains("(token=")
    {
        queries.push(format!("{option}=latest"));
    }
    queries.retain(|query| !query.is_empty());
    link.set_query((!queries.is_empty()).then(|| queries.join("&")).as_deref());
    if lies_below(base, link.as_str()) {
        Ok(Secret::new(link))
    } else {
        Err(foreign())
    }
}

/// The request that gives a cursor which begins at now, where the feed has one and `url` does not say otherwise.
pub fn link_at_now(base: &str, url: &str, feed: &Feed, page_size: Option<u32>) -> Option<Secret> {
    let latest = first_link(base, url, feed, BaselineMode::Latest, page_size).ok()?;
    let plain = first_link(base, url, feed, BaselineMode::Snapshot, page_size).ok()?;
    (latest.expose() != plain.expose()).then_some(latest)
}

/// Whether `link` may be sent the access token for `base`: the same scheme, host and port, and a path that is the
/// base's or continues it at a `/`.
///
/// Links are sent as they came, by ureq, which reads them by another rule book than `url`, whose reading is the one
/// that knows of `..` and `%2e`: both must find the same host, so that no spelling leads past this check.
pub(crate) fn lies_below(base: &str, link: &str) -> bool {
    let (Ok(base), Ok(sent), Ok(link)) = (Url::parse(base), link.parse::<Uri>(), Url::parse(link)) else {
        return false;
    };
    let (Some(host), Some(sent_host)) = (base.host_str(), sent.host()) else {
        return false;
    };
    let root = base.path().trim_end_matches('/');
    link.scheme() == base.scheme()
        && link.host_str() == Some(host)
        && sent_host.eq_ignore_ascii_case(host)
        && link.port() == base.port()
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
        check("https://%67raph.microsoft.com/v1.0/me", false);
        check("https://\u{ff47}raph.microsoft.com/v1.0/me", false);
        check("https://graph.microsoft.com/v1.0\\..\\beta", false);
        check("https://graph.microsoft.com#@evil.example/v1.0/me", false);
        check("https://graph.microsoft.com?@evil.example/v1.0/me", false);
        check("//graph.microsoft.com/v1.0/me", false);
        check("/v1.0/me", false);
        check("data:text/plain,v1.0", false);
        check("", false);
    }

    #[test]
    fn another_feed_begins_at_now_in_its_own_way() {
        let feed = Feed::Objects { id_field: None };
        for (url, expect) in [
            ("/users/delta", "/users/delta?$deltatoken=latest"),
            (
                "/groups/delta?$select=id",
                "/groups/delta?$select=id&$deltatoken=latest",
            ),
            (
                "/sites/s/lists/l/items/delta",
                "/sites/s/lists/l/items/delta?token=latest",
            ),
        ] {
            let link =
                first_link("https://graph.example", url, &feed, BaselineMode::Latest, Some(5)).unwrap();
            assert_eq!(link.expose(), format!("https://graph.example{expect}"));
        }
    }

    #[test]
    fn an_origin_tells_nothing_of_the_rest() {
        assert_eq!(
            shown_origin("https://u:p@evil.example:8443/a?token=secret#f"),
            "https://evil.example:8443"
        );
        assert_eq!(shown_origin("token=secret"), "what is no web address");
    }

    #[test]
    fn the_first_link_asks_for_what_the_settings_say() {
        use BaselineMode::{Emit, Latest, Snapshot};
        for (url, baseline, size, expect) in [
            ("/me/drive/root/delta", Snapshot, None, "/me/drive/root/delta"),
            (
                "/me/drive/root/delta",
                Emit,
                Some(500),
                "/me/drive/root/delta?$top=500",
            ),
            (
                "/me/drive/root/delta",
                Latest,
                None,
                "/me/drive/root/delta?token=latest",
            ),
            (
                "/x?$select=id,name",
                Latest,
                Some(5),
                "/x?$select=id,name&$top=5&token=latest",
            ),
            (
                "/x?$top=7&token=2026-01-01T00:00:00Z",
                Latest,
                Some(5),
                "/x?$top=7&token=2026-01-01T00:00:00Z",
            ),
            ("/x?%24top=7", Snapshot, Some(5), "/x?%24top=7"),
            (
                "/root/delta(token='latest')",
                Latest,
                None,
                "/root/delta(token='latest')",
            ),
            ("/x?", Snapshot, None, "/x"),
            ("/x#part", Snapshot, Some(5), "/x?$top=5"),
            (
                "/root:/Größe a/b:/delta",
                Snapshot,
                None,
                "/root:/Gr%C3%B6%C3%9Fe%20a/b:/delta",
            ),
            (
                "https://graph.example/v1.0/me/delta",
                Snapshot,
                Some(5),
                "/me/delta?$top=5",
            ),
        ] {
            for base in ["https://graph.example/v1.0", "https://graph.example/v1.0/"] {
                let link = first_link(base, url, &Feed::Drive, baseline, size).unwrap();
                assert_eq!(
                    link.expose(),
                    format!("https://graph.example/v1.0{expect}"),
                    "{url}"
                );
            }
        }
        for url in [
            "https://evil.example/v1.0/me?token=s3cret",
            "/../beta/me",
            "me/drive",
            "",
            "https://graph.example/beta",
        ] {
            let error =
                first_link("https://graph.example/v1.0", url, &Feed::Drive, Snapshot, None).unwrap_err();
            assert!(matches!(error, GraphError::ForeignLink { .. }), "{url}");
            assert!(!error.to_string().contains("s3cret"));
        }
    }
}
