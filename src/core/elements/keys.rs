//! The keys of an instance's configuration as data: their names, what their values may be, and which of them are
//! accepted although they mean nothing here. What a value must look like in detail stands in `values` and `resources`.

use crate::core::nearest::nearest;

use crate::core::problem::{listed, quoted};

pub const API_KEY: &str = "oauth.api.key";
pub const API_SECRET: &str = "oauth.api.secret";
pub const REDIRECT_URL: &str = "oauth.callback.url";
pub const REFRESH_TOKEN: &str = "oauth.user.refresh_token";
pub const SCOPE: &str = "oauth.scope";
pub const TENANT: &str = "oauth.tenant";
pub const GRANT: &str = "oauth.grant";
pub const EVENTS_ENABLED: &str = "event.notification.enabled";
pub const CALLBACK_URL: &str = "event.notification.callback.url";
pub const SIGNATURE_KEY: &str = "event.notification.signature.key";
pub const SIGNATURE_KEY_PREVIOUS: &str = "event.notification.signature.key.previous";
pub const HEADERS: &str = "event.notification.headers";
pub const FORMAT: &str = "event.notification.format";
pub const FILTER_TYPES: &str = "event.filter.types";
pub const FILTER_OBJECTS: &str = "event.filter.objects";
pub const FILTER_PATHS: &str = "event.filter.paths";
pub const VENDOR_TYPE: &str = "event.vendor.type";
pub const REFRESH_INTERVAL: &str = "event.poller.refresh_interval";
pub const RESOURCES: &str = "event.poller.configuration";
pub const SCHEDULE: &str = "event.poller.schedule";
pub const TIMEZONE: &str = "event.poller.timezone";
pub const URLS: &str = "event.poller.urls";
const BASIC_USERNAME: &str = "event.notification.basic.username";
const BASIC_PASSWORD: &str = "event.notification.basic.password";

/// The authorization code beside the configuration; with `instance update --set` it is given by this name.
pub const CODE: &str = "providerData.code";

/// The keys whose values must not stand in an argument list, a log, an error or an unsealed column. The query of
/// `event.notification.callback.url` is one more secret, see `mask`.
pub const SECRET_KEYS: &[&str] = &[
    API_KEY,
    API_SECRET,
    REFRESH_TOKEN,
    SIGNATURE_KEY,
    SIGNATURE_KEY_PREVIOUS,
    HEADERS,
    CODE,
];

/// What the value of a key may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Text that is never shown.
    Secret,
    /// The same, but every character counts, and behind `whsec_` it is base64.
    SignatureKey,
    Scope,
    Tenant,
    Boolean,
    /// Minutes, from 1.
    Minutes,
    /// A crontab expression.
    Schedule,
    /// The name of a time zone; whether there is one is for who has a database of them.
    Timezone,
    Choice(&'static [&'static str]),
    /// One value works; another is refused with this reason.
    Only(&'static str, &'static str),
    RedirectUrl,
    CallbackUrl,
    EventTypes,
    ObjectTypes,
    Globs,
    Headers,
    Resources,
    /// The format before that, converted to it.
    Urls,
    /// Part of the contract, not of this version: refused with what to use instead.
    NotYet(&'static str),
}

/// Every key that means something, with what people call it and what its value may be. A new one goes to the end: its place
/// is its number in an instance's list of entries.
pub(super) const KEYS: &[(&str, &str, Kind)] = &[
    (API_KEY, "API Key", Kind::Secret),
    (API_SECRET, "API Secret", Kind::Secret),
    (REDIRECT_URL, "Callback URL", Kind::RedirectUrl),
    (REFRESH_TOKEN, "Refresh Token", Kind::Secret),
    (SCOPE, "Scope", Kind::Scope),
    (TENANT, "Tenant", Kind::Tenant),
    (
        GRANT,
        "Grant",
        Kind::Choice(&["authorization_code", "client_credentials"]),
    ),
    (EVENTS_ENABLED, "Enable Events", Kind::Boolean),
    (CALLBACK_URL, "Event Notification Callback URL", Kind::CallbackUrl),
    (
        SIGNATURE_KEY,
        "Callback Notification Signature Key",
        Kind::SignatureKey,
    ),
    (
        SIGNATURE_KEY_PREVIOUS,
        "Previous Callback Notification Signature Key",
        Kind::SignatureKey,
    ),
    (HEADERS, "Callback Notification Headers", Kind::Headers),
    (
        FORMAT,
        "Callback Notification Format",
        Kind::Choice(&["elements", "cloudevents", "cloudevents-batch"]),
    ),
    (FILTER_TYPES, "Event Types", Kind::EventTypes),
    (FILTER_OBJECTS, "Object Types", Kind::ObjectTypes),
    (FILTER_PATHS, "Paths", Kind::Globs),
    (
        VENDOR_TYPE,
        "Vendor Event Type",
        Kind::Only(
            "polling",
            "webhooks would need an address that Microsoft can reach from outside; this agent polls: use `polling`",
        ),
    ),
    (
        REFRESH_INTERVAL,
        "Event Poller Refresh Interval (mins)",
        Kind::Minutes,
    ),
    (RESOURCES, "Configure Polling", Kind::Resources),
    (SCHEDULE, "Event Poller Schedule", Kind::Schedule),
    (TIMEZONE, "Event Poller Time Zone", Kind::Timezone),
    (URLS, URLS, Kind::Urls),
    (BASIC_USERNAME, BASIC_USERNAME, Kind::NotYet(BASIC)),
    (BASIC_PASSWORD, BASIC_PASSWORD, Kind::NotYet(BASIC)),
];

const BASIC: &str = "give an `Authorization` header in `event.notification.headers`";

/// Keys that Cloud Elements' clients send, or that a returned instance holds, and that mean nothing here.
const IGNORED: &[&str] = &[
    "authentication.type",
    "base.url",
    "converged_app",
    "create.bulk.properties",
    "document.tagging",
    "event.helper.key",
    "event.metadata",
    "event.notification.instance.finder",
    "event.notification.subscription.id",
    "event.objects",
    "event.raw.enabled",
    "expose.ce.metadata",
    "filter.response.nulls",
    "instance.variables",
    "oauth.authorization.url",
    "oauth.basic.header",
    "oauth.token.refresh_url",
    "oauth.token.revoke_url",
    "oauth.token.url",
    "oauth.user.refresh_interval",
    "oauth.user.refresh_time",
    "oauth.user.token",
    "pagination",
    "redirect.uri",
];

/// Beginnings of further such keys.
const IGNORED_FAMILIES: &[&str] = &[
    "bulk.",
    "externalAuthentication",
    "onedrivebusiness.site.",
    "pagination.",
    "site.",
];

/// Fields of a document beside those that mean something: what a returned instance holds and only the agent decides.
pub(super) const READ_ONLY_FIELDS: &[&str] = &[
    "accountId",
    "cacheTimeToLive",
    "cachingEnabled",
    "createdDate",
    "description",
    "disabled",
    "elementId",
    "eventsEnabled",
    "externalAuthentication",
    "hub",
    "id",
    "loaded",
    "maxCacheSize",
    "ownerAccountId",
    "provisionInteractions",
    "retrieveObjectsAfterInstantiation",
    "signature",
    "token",
    "traceLoggingEnabled",
    "updatedDate",
    "user",
    "userId",
    "valid",
];

/// What the value of `key` may be; `None` for an unknown key.
pub(super) fn kind(key: &str) -> Option<Kind> {
    KEYS.iter()
        .find(|(name, ..)| *name == key)
        .map(|(.., kind)| *kind)
}

/// Whether `key` is accepted although it means nothing here.
pub(super) fn is_ignored(key: &str) -> bool {
    IGNORED.contains(&key) || IGNORED_FAMILIES.iter().any(|family| key.starts_with(family))
}

/// The names of the keys of a configuration.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    KEYS.iter().map(|(name, ..)| *name)
}

/// The message for a key that is none of `known`, with the one that was probably meant, or all where they are few.
pub(super) fn unknown<'a>(what: &str, name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.into_iter().collect();
    match nearest(name, known.iter().copied()) {
        Some(meant) => format!("unknown {what}; did you mean {}?", quoted(meant)),
        None if known.len() <= 8 => {
            format!("unknown {what}; known are {}", listed(known.iter().copied()))
        }
        None => format!("unknown {what}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::model::GrantKind;

    #[test]
    fn every_key_stands_in_the_table_once_and_is_not_ignored_too() {
        for (position, (name, ..)) in KEYS.iter().enumerate() {
            assert!(!is_ignored(name), "{name} is ignored too");
            assert!(
                names().skip(position + 1).all(|other| other != *name),
                "{name} stands twice"
            );
        }
    }

    #[test]
    fn what_the_table_calls_secret_is_a_secret_key() {
        for (name, _, kind) in KEYS {
            let secret = matches!(kind, Kind::Secret | Kind::SignatureKey | Kind::Headers);
            assert_eq!(SECRET_KEYS.contains(name), secret, "{name}");
        }
    }

    #[test]
    fn the_grants_of_the_table_are_those_of_the_model() {
        let spelled: Vec<&str> = GrantKind::ALL.iter().map(|grant| grant.as_str()).collect();
        assert_eq!(
            kind(GRANT),
            Some(Kind::Choice(&["authorization_code", "client_credentials"]))
        );
        assert_eq!(spelled, ["authorization_code", "client_credentials"]);
    }
}
