//! Which facts raise or clear which alert, and what it says. It decides and words; reading the facts, keeping the book
//! and telling anybody is elsewhere. Nothing secret is in an alert: URLs come without their query, answers not at all.

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::bounds::PausedBy;
use super::model::{spelled, time_text};

spelled! {
    /// What needs a person.
    AlertKind {
        EndpointDisabled = "endpoint_disabled",
        LoginRequired = "login_required",
        OutboxFull = "outbox_full",
        ResourceFailing = "resource_failing",
        ResourceHeld = "resource_held",
        ResourceOverdue = "resource_overdue",
        Disk = "disk",
    }
}

spelled! {
    /// Whether it does.
    AlertState { Raised = "raised", Cleared = "cleared" }
}

/// How long a resource fails before somebody is told.
const FAILING: SignedDuration = SignedDuration::from_hours(1);

/// Free space of the file system below which the disk is an alert: this much, or a hundredth of it where that is more.
const LOW_SPACE: u64 = 64 << 20;

/// One change of one alert's state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    /// In the order of the changes.
    pub id: i64,
    pub kind: AlertKind,
    /// What it is about, by an id that is never used again.
    pub key: String,
    /// The same for people.
    pub subject: String,
    pub state: AlertState,
    /// When that began, as far as it is known.
    pub since: Timestamp,
    pub message: String,
}

/// What alerts are decided from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    pub disabled: Vec<DisabledEndpoint>,
    pub logins: Vec<LostLogin>,
    pub paused: Vec<PausedInstance>,
    pub failing: Vec<FailingResource>,
    pub held: Vec<HeldResource>,
    pub overdue: Vec<OverdueResource>,
    pub database: DatabaseSize,
    /// Other processes that have a database open which is at its bound.
    pub users: Vec<String>,
    pub disk: Disk,
}

/// An endpoint that is not tried any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DisabledEndpoint {
    pub id: i64,
    /// Without its query.
    pub url: String,
    pub since: Timestamp,
    /// Of the instances that it belongs to.
    pub waiting_events: u64,
}

/// An instance whose grant cannot be renewed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LostLogin {
    pub instance_id: i64,
    pub instance: String,
    pub error: Option<String>,
}

/// An instance whose polling waits for the outbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PausedInstance {
    pub instance_id: i64,
    pub instance: String,
    pub by: PausedBy,
    pub since: Timestamp,
    pub waiting_events: u64,
}

/// A resource whose last poll failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailingResource {
    pub resource_id: i64,
    pub instance: String,
    pub resource: String,
    /// The first of the failures in a row.
    pub since: Timestamp,
    pub error: Option<String>,
}

/// A resource of which nothing may be believed before a person has looked at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldResource {
    pub resource_id: i64,
    pub instance: String,
    pub resource: String,
    pub error: Option<String>,
}

/// A scheduled resource of which no poll has begun, or gone on, for twice its interval, although nothing keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OverdueResource {
    pub resource_id: i64,
    pub instance: String,
    pub resource: String,
    /// When its last poll began.
    pub last_poll_at: Option<Timestamp>,
    /// When its second run after that was.
    pub since: Timestamp,
    /// It has been so for a while: a machine that slept, or an agent that has just started, takes it up at once.
    pub is_sure: bool,
}

/// How large the database is, for its bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DatabaseSize {
    /// It is at its bound, and what waits for delivery is not why.
    pub is_full_of_items: bool,
    /// It is at 90 % of its bound or above.
    pub is_tight: bool,
}

/// The file system of the data directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Disk {
    /// The data directory.
    pub path: String,
    /// Free for this user, and in all; `None` where the system does not say.
    pub space: Option<(u64, u64)>,
    /// The last write was refused for want of space.
    pub refused: bool,
}

/// Everything that needs a person at `now`. What `stands` already is given up later than it was raised, so that a value
/// that wavers about its bound tells nobody twice.
pub fn standing(facts: &Facts, stands: impl Fn(AlertKind, &str) -> bool, now: Timestamp) -> Vec<Alert> {
    let mut all: Vec<Alert> = facts.disabled.iter().map(DisabledEndpoint::standing).collect();
    all.extend(facts.logins.iter().map(|login| login.standing(now)));
    all.extend(facts.paused.iter().map(PausedInstance::standing));
    let long = |resource: &&FailingResource| now.duration_since(resource.since) >= FAILING;
    all.extend(facts.failing.iter().filter(long).map(FailingResource::standing));
    all.extend(facts.held.iter().map(|held| held.standing(now)));
    let sure = |late: &&OverdueResource| late.is_sure || stands(AlertKind::ResourceOverdue, &late.key());
    all.extend(facts.overdue.iter().filter(sure).map(OverdueResource::standing));
    let database = facts.database;
    if database.is_full_of_items || (database.is_tight && stands(AlertKind::OutboxFull, DATABASE)) {
        all.push(full_of_items(now));
    }
    if !facts.users.is_empty() {
        let users = format!(
            "; a long read keeps it from shrinking, and it is also open in {}",
            facts.users.join(", ")
        );
        let full = all.iter_mut().filter(|one| one.kind == AlertKind::OutboxFull);
        full.for_each(|one| one.message.push_str(&users));
    }
    all.extend(facts.disk.standing(stands(AlertKind::Disk, DISK), now));
    all
}

/// The changes from what `stood`, the last change of each subject, to what is `standing` now. Their ids count from
/// `next_id`.
pub fn changes<'a>(
    stood: impl Iterator<Item = &'a Alert> + Clone,
    standing: &[Alert],
    next_id: i64,
    now: Timestamp,
) -> Vec<Alert> {
    let raised = standing.iter().filter(|new| {
        !stood
            .clone()
            .any(|old| (old.kind, &old.key) == (new.kind, &new.key))
    });
    let over = stood.clone().filter(|old| {
        !standing
            .iter()
            .any(|new| (old.kind, &old.key) == (new.kind, &new.key))
    });
    let cleared = over.map(|old| Alert {
        state: AlertState::Cleared,
        since: now,
        message: all_clear(old.kind).to_owned(),
        ..old.clone()
    });
    let mut changes: Vec<Alert> = cleared.chain(raised.cloned()).collect();
    for (id, change) in (next_id..).zip(&mut changes) {
        change.id = id;
    }
    changes
}

impl Alert {
    /// The JSON that is posted, or given to the command, in UTF-8; `host` is the machine that tells it.
    pub fn json(&self, host: Option<&str>) -> String {
        let mut json = json!({
            "alert": self.kind.as_str(),
            "state": self.state.as_str(),
            "subject": self.subject,
            "message": self.message,
            "since": time_text(self.since),
        });
        if let (Some(host), Some(fields)) = (host, json.as_object_mut()) {
            fields.insert("host".to_owned(), host.into());
        }
        json.to_string()
    }
}

/// An alert that has no number yet.
fn raised(kind: AlertKind, key: String, subject: String, since: Timestamp, message: String) -> Alert {
    Alert {
        id: 0,
        kind,
        key,
        subject,
        state: AlertState::Raised,
        since,
        message,
    }
}

const DATABASE: &str = "database";
const DISK: &str = "disk";

impl DisabledEndpoint {
    fn standing(&self) -> Alert {
        raised(
            AlertKind::EndpointDisabled,
            format!("endpoint/{}", self.id),
            self.url.clone(),
            self.since,
            format!(
                "nothing is delivered to this URL until it accepts a probe, or `deltapost outbox resume`; {} {} there",
                counted(self.waiting_events, "event"),
                wait(self.waiting_events)
            ),
        )
    }
}

impl LostLogin {
    fn standing(&self, now: Timestamp) -> Alert {
        let because = self
            .error
            .as_ref()
            .map_or_else(String::new, |error| format!(": {error}"));
        raised(
            AlertKind::LoginRequired,
            format!("instance/{}", self.instance_id),
            self.instance.clone(),
            now,
            format!("nothing is polled until somebody signs in, with `deltapost login`{because}"),
        )
    }
}

impl PausedInstance {
    fn standing(&self) -> Alert {
        raised(
            AlertKind::OutboxFull,
            format!("instance/{}", self.instance_id),
            self.instance.clone(),
            self.since,
            format!(
                "polling waits until the outbox is below 90 % of `[outbox] {}`; {} {} for delivery",
                self.by,
                counted(self.waiting_events, "event"),
                wait(self.waiting_events)
            ),
        )
    }
}

impl FailingResource {
    fn standing(&self) -> Alert {
        let error = self.error.as_deref().unwrap_or("for a reason that is not known");
        raised(
            AlertKind::ResourceFailing,
            format!("resource/{}", self.resource_id),
            format!("{} / {}", self.instance, self.resource),
            self.since,
            format!("every poll has failed for an hour or more: {error}"),
        )
    }
}

impl HeldResource {
    fn standing(&self, now: Timestamp) -> Alert {
        let error = self.error.as_deref().unwrap_or("for a reason that is not known");
        raised(
            AlertKind::ResourceHeld,
            format!("resource/{}", self.resource_id),
            format!("{} / {}", self.instance, self.resource),
            now,
            format!("it waits for a person, and `deltapost poll` says what to do: {error}"),
        )
    }
}

impl OverdueResource {
    fn key(&self) -> String {
        format!("resource/{}", self.resource_id)
    }

    fn standing(&self) -> Alert {
        let last = self.last_poll_at.map_or_else(
            || "it has never been polled".to_owned(),
            |last| format!("its last poll began at {}", time_text(last)),
        );
        raised(
            AlertKind::ResourceOverdue,
            self.key(),
            format!("{} / {}", self.instance, self.resource),
            self.since,
            format!(
                "it is scheduled and is not polled, {last}: restart the agent, and report it with its log if it recurs"
            ),
        )
    }
}

impl Disk {
    fn standing(&self, stands: bool, now: Timestamp) -> Option<Alert> {
        let low = self.space.is_some_and(|(free, total)| {
            let floor = LOW_SPACE.max(total / 100);
            free < if stands { floor + floor / 4 } else { floor }
        });
        let free = self.space.map_or_else(
            || "free space is not known".to_owned(),
            |(free, _)| format!("{} MiB are free", free >> 20),
        );
        let message = match (self.refused, low) {
            (true, _) => format!("the database could not be written for want of space; {free}"),
            (false, true) => format!("space runs short; {free}"),
            (false, false) => return None,
        };
        Some(raised(
            AlertKind::Disk,
            DISK.to_owned(),
            self.path.clone(),
            now,
            message,
        ))
    }
}

fn full_of_items(now: Timestamp) -> Alert {
    let message = "the database is at `[outbox] max_bytes`, and what it knows of the drives takes the room, not what waits \
                   for delivery: polling goes on, so raise the bound";
    let database = || DATABASE.to_owned();
    raised(
        AlertKind::OutboxFull,
        database(),
        database(),
        now,
        message.to_owned(),
    )
}

fn all_clear(kind: AlertKind) -> &'static str {
    match kind {
        AlertKind::EndpointDisabled => "it is no longer disabled",
        AlertKind::LoginRequired => "a sign-in is no longer required",
        AlertKind::OutboxFull => "the outbox has room again",
        AlertKind::ResourceFailing => "its polls no longer fail",
        AlertKind::ResourceHeld => "it is no longer held",
        AlertKind::ResourceOverdue => "it is polled again, or no longer scheduled",
        AlertKind::Disk => "there is space again",
    }
}

fn counted(count: u64, noun: &str) -> String {
    match count {
        1 => format!("1 {noun}"),
        _ => format!("{count} {noun}s"),
    }
}

fn wait(count: u64) -> &'static str {
    if count == 1 { "waits" } else { "wait" }
}

#[cfg(test)]
mod tests;
