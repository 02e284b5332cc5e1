//! The `url` of a resource: which Graph path it means, and that it leads nowhere else. The bearer token is sent to
//! whatever comes out of here, so everything doubtful is refused.

use url::Url;

use crate::core::feed;

use super::hubs::{self, ALIASES};
use super::problem::{listed, quoted};
use super::values::{authority, refuse_placeholder};

/// The delta feed of the signed-in user's drive.
pub(super) const DRIVE_FEED: &str = "/me/drive/root/delta";

/// The longest URL that is accepted, in characters.
const LONGEST: usize = 2048;

/// What `$select` may not leave out on a drive's feed: without these, changes are not told apart.
const NEEDED: &[&str] = &["id", "name", "parentReference", "file", "folder", "deleted"];

/// The query options of a drive's feed that pass through to the provider.
const OPTIONS: &[&str] = &["$select", "$expand"];

/// The query options that are the agent's own everywhere: paging and tokens.
const OWN: &[&str] = &[
    "$top",
    "$skip",
    "$skiptoken",
    "$deltatoken",
    "token",
    "$count",
    "$format",
];

/// The path below the Graph base that `url` means: an alias resolved, an absolute URL made relative, percent-encoded.
/// It begins with `/` and ends, before a query, with `/delta`.
///
/// `graph_base` is needed to judge an absolute URL; without one, only its form is checked.
///
/// # Errors
/// What is wrong with it. The message repeats neither a query nor a token.
pub(super) fn resolve(url: &str, graph_base: Option<&str>) -> Result<String, String> {
    refuse_placeholder(url)?;
    if url.chars().count() > LONGEST {
        return Err(format!("longer than {LONGEST} characters"));
    }
    if url.contains(|letter: char| letter.is_control() || letter == '\\' || letter == '#') {
        return Err("holds a control character, `\\` or `#`".to_owned());
    }
    let below = if url.contains("://") {
        below_base(url, graph_base)?
    } else {
        url
    };
    let (path, query) = match below.split_once('?') {
        Some((path, query)) => (path, Some(query).filter(|query| !query.is_empty())),
        None => (below, None),
    };
    if ALIASES.contains(&path) {
        return Ok(DRIVE_FEED.to_owned());
    }
    if hubs::is_one(path) {
        return Err(hubs::refusal(path));
    }
    check_segments(path)?;
    if !path.ends_with("/delta") {
        return Err(format!(
            "{} is not a delta feed: polling by dates is not supported by this version; use a path that ends in \
             `/delta`, such as `{DRIVE_FEED}`, or {}",
            quoted(path),
            listed(ALIASES.iter().copied()),
        ));
    }
    let Some(query) = query else {
        return Ok(encoded(path));
    };
    check_query(path, query)?;
    Ok(format!("{}?{}", encoded(path), encoded(query)))
}

/// Whether `path` belongs to whoever has signed in, and so means nothing to an application without a user.
pub(super) fn is_personal(path: &str) -> bool {
    let first = path
        .trim_start_matches('/')
        .split(['/', '?'])
        .next()
        .unwrap_or("");
    first.eq_ignore_ascii_case("me")
}

/// Whether `url` is an alias with a query, which is dropped.
pub(super) fn drops_query(url: &str) -> bool {
    url.split_once('?')
        .is_some_and(|(path, _)| ALIASES.contains(&path))
}

/// The part of an absolute `url` below the Graph base.
fn below_base<'a>(url: &'a str, graph_base: Option<&str>) -> Result<&'a str, String> {
    let parsed = Url::parse(url).map_err(|error| format!("not a URL: {error}"))?;
    let authority = authority(url);
    if authority.contains('@') {
        return Err("must not hold a user name or password".to_owned());
    }
    let rest = url
        .split_once("://")
        .and_then(|(_, rest)| rest.strip_prefix(authority))
        .unwrap_or("");
    let Some(graph_base) = graph_base else {
        return Ok(rest);
    };
    let base =
        Url::parse(graph_base).map_err(|error| format!("the configured Graph base is not a URL: {error}"))?;
    let same_server = parsed.scheme() == base.scheme()
        && parsed.host_str() == base.host_str()
        && parsed.port_or_known_default() == base.port_or_known_default();
    let below = rest
        .strip_prefix(base.path().trim_end_matches('/'))
        .filter(|below| below.starts_with('/'));
    match below {
        Some(below) if same_server => Ok(below),
        _ => Err(format!(
            "{} is not below the Graph base {}, and the access token goes nowhere else; use a path such as `{DRIVE_FEED}`",
            quoted(url.split(['?', '#']).next().unwrap_or("")),
            quoted(graph_base),
        )),
    }
}

/// Refuses whatever could be read as another path than it looks: empty and dot segments, encoded or not.
fn check_segments(path: &str) -> Result<(), String> {
    let Some(segments) = path.strip_prefix('/') else {
        return Err(format!(
            "expected a Graph path that begins with `/`, such as `{DRIVE_FEED}`, got {}",
            quoted(path)
        ));
    };
    if path.contains("${") {
        return Err(
            "placeholders belong to polling by dates, which is not supported by this version".to_owned(),
        );
    }
    if let Some(brace) = path.find(['{', '}']) {
        return Err(format!(
            "the placeholder {} is still there; replace it",
            quoted(&path[brace..])
        ));
    }
    for segment in segments.split('/') {
        let decoded = percent_decoded(segment)
            .ok_or_else(|| format!("{} holds `%` without two hexadecimal digits", quoted(segment)))?;
        if decoded.is_empty() {
            return Err(format!(
                "{} holds an empty segment (`//`, or `/` at the end)",
                quoted(path)
            ));
        }
        if decoded
            .iter()
            .any(|byte| byte.is_ascii_control() || *byte == b'/' || *byte == b'\\')
        {
            return Err(format!(
                "{} holds an encoded slash or control character",
                quoted(segment)
            ));
        }
        let name: Vec<u8> = decoded.iter().copied().filter(|byte| *byte != b':').collect();
        if name == b"." || name == b".." {
            return Err(format!("{} holds a `.` or `..` segment", quoted(path)));
        }
    }
    Ok(())
}

fn check_query(path: &str, query: &str) -> Result<(), String> {
    for option in query.split('&').filter(|option| !option.is_empty()) {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        let decoded = percent_decoded(name)
            .and_then(|bytes| String::from_utf8(bytes).ok())
            .unwrap_or_default();
        let of_a_drive = feed::is_of_a_drive(path);
        if of_a_drive && !OPTIONS.contains(&decoded.as_str()) {
            return Err(format!(
                "the query option {} is not supported; supported are {} (a page's size is `pageSize`)",
                quoted(name),
                listed(OPTIONS.iter().copied()),
            ));
        }
        if OWN.iter().any(|own| own.eq_ignore_ascii_case(&decoded)) {
            return Err(format!(
                "the query option {} is the agent's own (a page's size is `pageSize`)",
                quoted(name)
            ));
        }
        let value = percent_decoded(value).ok_or("its query holds `%` without two hexadecimal digits")?;
        if decoded == "$select" && of_a_drive {
            let selected = String::from_utf8_lossy(&value);
            let missing = NEEDED
                .iter()
                .filter(|needed| !selected.split(',').any(|name| name.trim() == **needed));
            let missing: Vec<&str> = missing.copied().collect();
            if !missing.is_empty() {
                return Err(format!(
                    "`$select` leaves out {}, which the agent needs",
                    listed(missing)
                ));
            }
        }
    }
    Ok(())
}

/// The bytes that `text` stands for; `None` when a `%` is not followed by two hexadecimal digits.
fn percent_decoded(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let high = char::from(rest.next()?).to_digit(16)?;
        let low = char::from(rest.next()?).to_digit(16)?;
        bytes.push(u8::try_from(high * 16 + low).ok()?);
    }
    Some(bytes)
}

/// `text` with what a URL may not hold percent-encoded; what is encoded already stays as it is.
fn encoded(text: &str) -> String {
    let mut url = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte) {
            url.push(char::from(byte));
        } else {
            url.push_str(&format!("%{byte:02X}"));
        }
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: &str = "https://graph.microsoft.com/v1.0";

    #[track_caller]
    fn check(url: &str, expect: &str) {
        assert_eq!(resolve(url, Some(BASE)).as_deref(), Ok(expect));
        assert_eq!(
            resolve(expect, Some(BASE)).as_deref(),
            Ok(expect),
            "resolving is stable"
        );
    }

    #[track_caller]
    fn check_refused(url: &str, expect: &str) {
        let message = resolve(url, Some(BASE)).expect_err(url);
        assert!(message.contains(expect), "{url}: {message}");
    }

    #[test]
    fn an_empty_query_is_none() {
        let path = "/drives/1/root/delta";
        assert_eq!(resolve(&format!("{path}?"), Some(BASE)).as_deref(), Ok(path));
    }

    #[test]
    fn aliases_are_the_drives_feed() {
        check("/hubs/documents/events", "/me/drive/root/delta");
        check("/hubs/documents/changes", "/me/drive/root/delta");
        check("/hubs/documents/events?where=x='${date}'", "/me/drive/root/delta");
    }

    #[test]
    fn paths_stay_and_absolute_urls_below_the_base_become_paths() {
        check("/drives/b!a-1/root/delta", "/drives/b!a-1/root/delta");
        check(
            "/me/drive/root:/Finance Ü/2026:/delta",
            "/me/drive/root:/Finance%20%C3%9C/2026:/delta",
        );
        check(
            "/sites/s/lists/l/items/delta?$expand=fields",
            "/sites/s/lists/l/items/delta?$expand=fields",
        );
        check(
            "https://graph.microsoft.com/v1.0/users/u/drive/root/delta",
            "/users/u/drive/root/delta",
        );
        check(
            "HTTPS://Graph.Microsoft.com:443/v1.0/me/drive/root/delta",
            "/me/drive/root/delta",
        );
    }

    #[test]
    fn the_token_goes_nowhere_but_below_the_base() {
        for url in [
            "https://graph.microsoft.com/v1.0.evil/root/delta",
            "https://graph.microsoft.com/beta/me/drive/root/delta",
            "https://graph.microsoft.com.evil.example/v1.0/root/delta",
            "https://graph.microsoft.com./v1.0/root/delta",
            "https://graph.microsoft.com:8443/v1.0/root/delta",
            "http://graph.microsoft.com/v1.0/root/delta",
            "https://evil.example/v1.0/root/delta",
            "https://evil.example?https://graph.microsoft.com/v1.0/root/delta",
            "ftp://graph.microsoft.com/v1.0/root/delta",
        ] {
            check_refused(url, "is not below the Graph base");
        }
        check_refused(
            "https://graph.microsoft.com@evil.example/v1.0/root/delta",
            "user name",
        );
        check_refused("https://@graph.microsoft.com/v1.0/root/delta", "user name");
        check_refused(
            "https:\\\\evil.example/v1.0/root/delta",
            "holds a control character",
        );
        check_refused("//evil.example/root/delta", "empty segment");
    }

    #[test]
    fn no_path_climbs_out_of_the_base() {
        for url in [
            "/../beta/me/drive/root/delta",
            "/me/%2e%2e/%2E%2E/beta/delta",
            "/me/.%2e/delta",
            "/me/./delta",
            "/me/drive/root:/a/..:/delta",
            "https://graph.microsoft.com/v1.0/../beta/delta",
            "https://graph.microsoft.com/v1.0/%2e%2e/beta/delta",
        ] {
            check_refused(url, "segment");
        }
        check_refused("/me/a%2fb/delta", "encoded slash");
        check_refused("/me/a%5Cb/delta", "encoded slash");
        check_refused("/me/a%00/delta", "encoded slash or control");
        check_refused("/me/a%2/delta", "two hexadecimal digits");
        check_refused("/me//delta", "empty segment");
        check_refused("/me/drive/root/delta/", "empty segment");
        check_refused("/me\n/delta", "control character");
        check_refused("me/drive/root/delta", "begins with `/`");
    }

    #[test]
    fn what_this_version_cannot_poll_is_refused_with_what_can_be_used() {
        check_refused("/me/messages", "use a path that ends in `/delta`");
        check_refused("/hubs/documents/files", "`/hubs/documents/events`");
        check_refused("/me/${date}/delta", "polling by dates");
        check_refused(
            "/drives/{id}/root/delta",
            "the placeholder `{id}/root/delta` is still there",
        );
        check_refused("<SEE_BELOW>", "placeholder");
        check_refused("/me/drive/root/delta?token=latest", "`token` is not supported");
        check_refused("/me/drive/root/delta?%24top=5", "`%24top` is not supported");
        check_refused(
            "/me/drive/root/delta?$select=id,name,file,folder,deleted",
            "leaves out `parentReference`",
        );
    }

    #[test]
    fn a_refusal_repeats_no_token() {
        let message = resolve("https://evil.example/a/delta?token=hunter2", Some(BASE)).unwrap_err();
        assert!(!message.contains("hunter2"), "{message}");
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_accepted_is_a_plain_path(url in "(https://graph.microsoft.com/v1.0)?[/.:%2eE5cCé a?&=$#@\\\\]{0,30}(/delta)?") {
            if let Ok(path) = resolve(&url, Some(BASE)) {
                let whole = Url::parse(&format!("{BASE}{path}")).unwrap();
                proptest::prop_assert_eq!(whole.as_str(), format!("{}{}", BASE, path));
                proptest::prop_assert!(path.starts_with('/') && !path.starts_with("//"));
            }
        }

        #[test]
        fn resolving_is_stable(url in "/[a-zé% :!.]{1,12}/delta") {
            if let Ok(path) = resolve(&url, Some(BASE)) {
                proptest::prop_assert_eq!(resolve(&path, Some(BASE)), Ok(path.clone()));
            }
        }
    }
}
