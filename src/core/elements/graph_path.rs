//! The `url` of a resource: which Graph path it means, and that it leads nowhere else. The bearer token is sent to
//! whatever comes out of here, so everything doubtful is refused.

mod hubs;
#[cfg(test)]
mod tests;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use percent_encoding::{AsciiSet, CONTROLS, PercentEncode, percent_decode_str, utf8_percent_encode};
use url::Url;

use crate::core::feed::{self, Mode};
use crate::core::window::Template;

use super::values::{authority, refuse_placeholder};
use crate::core::problem::{listed, quoted};
use hubs::ALIASES;

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

/// What a resource's `url` means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct GraphUrl {
    /// The path below the Graph base: an alias resolved, an absolute URL made relative. It begins with `/`. A feed's is
    /// percent-encoded; a collection's is as it was written, since its dates are still to be filled in.
    pub(super) url: String,
    pub(super) mode: Mode,
}

/// What `url` means. A path that ends in `/delta`, before a query, is a feed; any other is a collection, which is polled
/// by dates. `mode` may say so, too, and contradict it.
///
/// `graph_base` is needed to judge an absolute URL; without one, only its form is checked.
///
/// # Errors
/// What is wrong with it. The message repeats neither a query nor a token.
pub(super) fn resolve(url: &str, mode: Option<Mode>, graph_base: Option<&str>) -> Result<GraphUrl, String> {
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
    let feed = |url: String| match mode {
        Some(Mode::Window) => Err(format!(
            "{} is a delta feed, and its changes are not found by dates; leave `mode` out",
            quoted(path)
        )),
        _ => Ok(GraphUrl {
            url,
            mode: Mode::Delta,
        }),
    };
    if hubs::is_alias(path) {
        return feed(DRIVE_FEED.to_owned());
    }
    if hubs::is_one(path) {
        return Err(hubs::refusal(path));
    }
    if path.ends_with("/delta") {
        check_segments(path)?;
        let Some(query) = query else {
            return feed(encoded(path).to_string());
        };
        check_query(path, query)?;
        return feed(format!("{}?{}", encoded(path), encoded(query)));
    }
    refuse_detour(&filled_in(below)?)?;
    if mode == Some(Mode::Delta) {
        return Err(format!(
            "{} is not a delta feed: use a path that ends in `/delta`, such as `{DRIVE_FEED}`, or {}; or poll it by \
             dates, with `mode` = `window`",
            quoted(path),
            listed(ALIASES.iter().copied()),
        ));
    }
    Ok(GraphUrl {
        url: below.to_owned(),
        mode: Mode::Window,
    })
}

/// `url`, a collection's, with some dates filled in. A date's format may hold any text in quotes, so what the url leads to is
/// judged as it is requested.
fn filled_in(url: &str) -> Result<String, String> {
    Template::parse(url)?.expand(Timestamp::UNIX_EPOCH, &TimeZone::UTC, &|_| Some(TimeZone::UTC))
}

/// Refuses a collection's `url`, its dates filled in, that could be read as another one than it looks.
///
/// # Errors
/// What is wrong with it.
pub fn refuse_detour(url: &str) -> Result<(), String> {
    let (path, query) = url.split_once('?').unwrap_or((url, ""));
    check_segments(path)?;
    check_query(path, query)
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
    url.split_once('?').is_some_and(|(path, _)| hubs::is_alias(path))
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
            "dates, `${…}`, belong to collections that are polled by dates, not to a feed".to_owned(),
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
    let is_escape = |rest: &str| rest.bytes().take(2).filter(u8::is_ascii_hexdigit).count() == 2;
    let sound = text.split('%').skip(1).all(is_escape);
    sound.then(|| percent_decode_str(text).collect())
}

/// What a URL may not hold. What is encoded already stays as it is.
const FOREIGN: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'<')
    .add(b'>')
    .add(b'\\')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

fn encoded(text: &str) -> PercentEncode<'_> {
    utf8_percent_encode(text, FOREIGN)
}
