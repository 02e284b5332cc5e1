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
mod tests;
