//! The nouns of deltapost, one type each, named as the database, the JSON and the command line name them.
//! No behaviour beyond reading and writing their names: decisions stand in the sibling modules.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::feed::Feed;
use super::problem::Problem;

/// What stands in for a secret wherever it is shown; in a document that comes in it means "unchanged".
pub const MASK: &str = "********";

/// A string that must not reach a log, an error, a terminal or an unsealed column. `Debug` shows the mask.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps `value`.
    pub fn new(value: impl Into<String>) -> Secret {
        Secret(value.into())
    }

    /// The secret itself. Every caller is a place where it leaves on purpose: sealing, signing, a request.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

/// Declares an enum whose variants each have one fixed spelling, the same in SQL, JSON, CLI and logs.
macro_rules! spelled {
    ($(#[$meta:meta])* $name:ident { $($(#[$vmeta:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
        pub enum $name { $($(#[$vmeta])* $variant),+ }

        impl $name {
            /// Every value, in declaration order.
            pub const ALL: &'static [$name] = &[$($name::$variant),+];

            /// The one spelling of this value.
            pub fn as_str(self) -> &'static str {
                match self { $($name::$variant => $text),+ }
            }

            /// The value spelled `text`, if there is one.
            pub fn from_text(text: &str) -> Option<$name> {
                match text { $($text => Some($name::$variant),)+ _ => None }
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}
pub(super) use spelled;

spelled! {
    /// The Cloud Elements elements that deltapost stands in for.
    ElementKey {
        OneDriveV2 = "onedrivev2",
        OneDriveBusiness = "onedrivebusiness",
    }
}

impl ElementKey {
    /// The hub that the element belongs to, as notifications name it.
    pub fn hub(self) -> &'static str {
        "documents"
    }

    /// The name of the one resource that is polled when the configuration names none.
    pub fn default_resource(self) -> &'static str {
        match self {
            ElementKey::OneDriveV2 => "events",
            ElementKey::OneDriveBusiness => "documents",
        }
    }
}

spelled! {
    /// How an account's access tokens are obtained (`oauth.grant`).
    GrantKind {
        AuthorizationCode = "authorization_code",
        ClientCredentials = "client_credentials",
    }
}

spelled! {
    /// What happened to an object.
    EventType { Created = "CREATED", Updated = "UPDATED", Deleted = "DELETED" }
}

spelled! {
    /// What moved in an updated object.
    Aspect { Content = "content", Name = "name", Parent = "parent", Metadata = "metadata" }
}

spelled! {
    /// What a resource does about the objects that exist when it is first polled.
    BaselineMode {
        /// Learn them silently, until the first deltaLink.
        Snapshot = "snapshot",
        /// Announce each as CREATED.
        Emit = "emit",
        /// Ask for nothing older than now; learn ids as they come by.
        Latest = "latest",
    }
}

spelled! {
    /// Where a resource stands between two transactions.
    Phase {
        /// Reading the first full enumeration.
        Baseline = "baseline",
        /// Reading changes.
        Following = "following",
        /// Reading a full enumeration again, to compare it with the known items.
        Enumerating = "enumerating",
        /// The set is read; its deletions are being worked through.
        Sweeping = "sweeping",
    }
}

spelled! {
    /// What a drive item is: the first of its facets in this order, or `Object` for other feeds' objects.
    ItemKind {
        Root = "root",
        RemoteItem = "remoteItem",
        Package = "package",
        Folder = "folder",
        File = "file",
        Object = "object",
    }
}

spelled! {
    /// How far a notification is.
    OutboxState { Pending = "pending", Delivered = "delivered", Dead = "dead" }
}

spelled! {
    /// How a notification's body is written (`event.notification.format`).
    Format {
        /// Cloud Elements' own.
        Elements = "elements",
        /// One CloudEvent a request.
        CloudEvents = "cloudevents",
        /// A JSON array of CloudEvents.
        CloudEventsBatch = "cloudevents-batch",
    }
}

impl Format {
    /// The body's `Content-Type` (CloudEvents 1.0, HTTP binding, structured and batched mode).
    pub fn content_type(self) -> &'static str {
        match self {
            Format::Elements => "application/json",
            Format::CloudEvents => "application/cloudevents+json",
            Format::CloudEventsBatch => "application/cloudevents-batch+json",
        }
    }
}

spelled! {
    /// Whether an endpoint is tried.
    EndpointState {
        Active = "active",
        /// It failed: one notification at a time tries it.
        BackingOff = "backing_off",
        /// It failed for the whole schedule, or wants no more: a probe a day, or by hand.
        Disabled = "disabled",
    }
}

spelled! {
    /// Whether an instance can renew its access token.
    GrantState { Ok = "ok", LoginRequired = "login_required" }
}

/// Which events of an instance become notifications. An empty list lets everything through.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    pub types: Vec<EventType>,
    /// `objectType`s.
    pub objects: Vec<String>,
    /// Globs on the path: `*` within a name, `**` across folders, `?` one character.
    pub paths: Vec<String>,
}

/// One polled feed of an instance, as its configuration describes it.
#[derive(Clone, Debug, PartialEq)]
pub struct ResourceSettings {
    pub name: String,
    /// A Graph path that begins with `/`, an alias already resolved.
    pub url: String,
    pub feed: Feed,
    pub baseline: BaselineMode,
    /// Objects in a page, when given.
    pub page_size: Option<u32>,
    /// A cron expression, as `schedule::Schedule` writes it, instead of the instance's.
    pub schedule: Option<String>,
    /// The zone that its schedule is read in, instead of the instance's.
    pub timezone: Option<String>,
}

/// How often an instance's resources are polled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interval {
    Every(Duration),
    /// `event.poller.refresh_interval` above 44640 minutes: only on request.
    Never,
}

/// The configuration of an instance, key by key, in canonical JSON types. Secrets are in it in the clear; it is split
/// before it is stored, see `elements::mask`.
pub type Configuration = BTreeMap<String, Value>;

/// The typed reading of a `Configuration` that has been checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// `oauth.api.key`, the registered app's client id.
    pub api_key: Option<Secret>,
    /// `oauth.api.secret`.
    pub api_secret: Option<Secret>,
    /// `oauth.callback.url`, the redirect URI that the code was issued for.
    pub redirect_url: Option<String>,
    pub scope: Option<String>,
    pub tenant: Option<String>,
    pub grant: GrantKind,
    /// `oauth.user.refresh_token`, an existing grant to import.
    pub refresh_token: Option<Secret>,
    /// `event.notification.enabled`.
    pub events_enabled: bool,
    /// The endpoint, whole. Its query may hold credentials: show `shown_url` instead.
    pub callback_url: Option<Secret>,
    pub signature_key: Option<Secret>,
    pub signature_key_previous: Option<Secret>,
    /// `event.notification.headers`: name and value of extra request headers.
    pub headers: Vec<(String, Secret)>,
    pub format: Format,
    pub filter: Filter,
    /// `event.poller.schedule`, as `schedule::Schedule` writes it. It goes before the interval.
    pub schedule: Option<String>,
    /// `event.poller.timezone`. Whether there is such a zone is not known here.
    pub timezone: Option<String>,
    /// `event.poller.refresh_interval`.
    pub interval: Option<Interval>,
    pub resources: Vec<ResourceSettings>,
}

/// An element instance, with its configuration in the clear. `Debug` shows the configuration's keys only, and no settings.
#[derive(Clone, PartialEq)]
pub struct Instance {
    pub id: i64,
    pub name: String,
    pub element: ElementKey,
    pub tags: Vec<String>,
    /// False while polling is paused by the operator.
    pub enabled: bool,
    pub grant_state: GrantState,
    pub created_at: Timestamp,
    pub configuration: Configuration,
    /// The typed reading of `configuration`, or everything that is wrong with it.
    pub settings: Result<Settings, Vec<Problem>>,
}

impl fmt::Debug for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Instance")
            .field("id", &self.id)
            .field("name", &self.name)
            .field("element", &self.element)
            .field("tags", &self.tags)
            .field("enabled", &self.enabled)
            .field("grant_state", &self.grant_state)
            .field("created_at", &self.created_at)
            .field("configuration", &self.configuration.keys())
            .finish()
    }
}

/// The most bytes of an id, of a name and of a path. A longer name is cut, and a longer path is not told.
pub const LONGEST: usize = 4096;

/// An object as the store knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    pub id: String,
    /// What events call it, where that is not `id` (`idField`).
    pub announced_id: Option<String>,
    pub name: Option<String>,
    pub parent_id: Option<String>,
    pub kind: ItemKind,
    /// Encoded fingerprints, see `core::fingerprint`.
    pub content: Vec<u8>,
    pub metadata: Vec<u8>,
}

/// The facts of one object in a page of the feed. `raw` is the provider's text of it, byte for byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedItem<'page> {
    pub raw: &'page str,
    pub id: String,
    /// What events call it, where that is not `id` (`idField`).
    pub announced_id: Option<String>,
    pub name: Option<String>,
    pub parent_id: Option<String>,
    pub drive_id: Option<String>,
    pub kind: ItemKind,
    /// The `deleted` facet, or `@removed`.
    pub deleted: bool,
    /// Decimal text, as the provider wrote it.
    pub size: Option<String>,
    /// One of `file.hashes`, `quickXorHash` before the others, named with its algorithm.
    pub hash: Option<String>,
    pub etag: Option<String>,
    pub created: Option<Timestamp>,
    pub modified: Option<Timestamp>,
}

/// Where a page says to go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PageEnd {
    /// `@odata.nextLink`: more pages of this set.
    Next(Secret),
    /// `@odata.deltaLink`: the set is complete; this is the next poll's request.
    Delta(Secret),
    /// More of the same page: the cursor stays before it.
    More,
}

/// One page of a feed, or a piece of one, borrowed from the bytes it came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<'page> {
    pub items: Vec<FeedItem<'page>>,
    pub end: PageEnd,
}

/// What an object was when it was last known; told with a deletion.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Previous {
    pub name: Option<String>,
    pub parent_id: Option<String>,
    pub path: Option<String>,
}

/// One change of one object, before it has a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub event_type: EventType,
    pub object_id: String,
    pub object_type: String,
    /// When it happened, by the provider; the poll's time where the provider does not say.
    pub date: Timestamp,
    pub path: Option<String>,
    /// For an update: what moved.
    pub aspects: Vec<Aspect>,
    /// For a deletion.
    pub previous: Option<Previous>,
    /// The provider's object; `None` for a deletion that the feed did not list.
    pub raw: Option<String>,
}

/// One event row: what it says and where its object lies in the body of its notification.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    pub event_type: EventType,
    pub object_type: String,
    pub object_id: String,
    pub path: Option<String>,
    /// Byte offset and length within the body.
    #[serde(skip)]
    pub raw: Option<(usize, usize)>,
}

/// A body to be sent, with the events it carries. Written once; it never changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    pub format: Format,
    /// UUID version 7, lower case: `message.eventId`, `Elements-Webhook-Id`, `webhook-id`.
    pub event_id: String,
    pub body: Vec<u8>,
    pub events: Vec<Event>,
}

/// `YYYY-MM-DDTHH:MM:SS.sssZ`: UTC with exactly three decimals, so that text order is time order.
pub fn time_text(time: Timestamp) -> String {
    format!("{time:.3}")
}

/// Reads what `time_text` writes, or any RFC 3339 time.
pub fn time_from_text(text: &str) -> Option<Timestamp> {
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_three_decimals_always() {
        for (input, expect) in [
            ("2026-03-01T09:30:00Z", "2026-03-01T09:30:00.000Z"),
            ("2026-03-01T09:30:00.1239+01:00", "2026-03-01T08:30:00.123Z"),
        ] {
            assert_eq!(time_text(time_from_text(input).unwrap()), expect);
        }
    }

    #[test]
    fn a_secret_is_not_shown_by_debug() {
        assert_eq!(format!("{:?}", Secret::new("hunter2")), MASK);
    }
}
