//! What makes each resource be polled: the `[[poll]]` entries of the configuration file over the resource's own keys, over
//! its instance's, over `[schedule]`, key by key. It knows neither the file nor the database; when a poll is due is
//! `schedule`'s.

use std::fmt;
use std::time::Duration;

use super::model::Interval;
use super::schedule::Schedule;

/// What the configuration file says about when resources are polled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Polling {
    /// `[[poll]]`, in the order of the file.
    pub polls: Vec<Rule>,
    /// `[schedule] cron`.
    pub cron: Schedule,
    /// `[schedule] timezone`, the name of a zone that there was when the file was read.
    pub timezone: String,
    /// `[schedule] jitter`: a cron run comes later by up to this, by always the same for one resource.
    pub jitter: Duration,
}

/// One `[[poll]]`: which resources it is about, and what it says of them. A key that it leaves out is for those below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Where it stands in the file, from 1.
    pub line: usize,
    pub instance: Whose,
    /// The name of a resource; `None` for all.
    pub resource: Option<String>,
    pub cron: Option<Schedule>,
    pub timezone: Option<String>,
    pub enabled: Option<bool>,
}

/// Whose resources a rule is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whose {
    /// `*`
    Everybodys,
    /// `tag:NAME`
    Tagged(String),
    /// The instance of that name, or else of that id.
    Named(String),
}

impl Whose {
    /// Reads the value of `instance` in the configuration file.
    pub fn from_text(text: &str) -> Whose {
        match (text, text.strip_prefix("tag:")) {
            ("*", _) => Whose::Everybodys,
            (_, Some(tag)) => Whose::Tagged(tag.to_owned()),
            (name, None) => Whose::Named(name.to_owned()),
        }
    }
}

/// A resource, and what its instance's configuration says about when it is polled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    pub instance_id: i64,
    pub instance: String,
    pub tags: Vec<String>,
    pub resource: String,
    /// The resource's own keys.
    pub own: Keys,
    /// Its instance's.
    pub of_instance: Keys,
    /// `event.poller.refresh_interval`, which an instance's schedule goes before.
    pub interval: Option<Interval>,
}

/// The two keys that can stand at a resource and at an instance.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keys {
    /// A cron expression as `Schedule` writes it.
    pub schedule: Option<String>,
    /// The name of a zone.
    pub timezone: Option<String>,
}

/// What makes a resource be polled, and who says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    pub cadence: Cadence,
    pub source: Source,
    /// Who names the zone; it matters to a schedule only.
    pub timezone_source: Source,
    /// The `[[poll]]` that says it is not polled at all.
    pub disabled_by: Option<Source>,
}

/// How often a resource is polled.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Cadence {
    /// A cron expression as `Schedule` writes it, and the name of the zone whose clocks it goes by.
    Cron {
        schedule: String,
        timezone: String,
    },
    Every(Duration),
    /// On request only.
    Never,
}

/// Who says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The `[[poll]]` at that line of the configuration file.
    Poll {
        line: usize,
    },
    Resource,
    Instance,
    /// `[schedule]`, or what it is by default.
    Default,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Poll { line } => write!(f, "[[poll]] line {line}"),
            Source::Resource => f.write_str("resource"),
            Source::Instance => f.write_str("instance"),
            Source::Default => f.write_str("default"),
        }
    }
}

impl fmt::Display for Cadence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cadence::Cron { schedule, timezone } => write!(f, "{schedule} in {timezone}"),
            Cadence::Every(interval) => write!(f, "every {} min", interval.as_secs() / 60),
            Cadence::Never => f.write_str("on request only"),
        }
    }
}

impl Rule {
    /// Whether it is about `subject`. A name of digits is an id, since no instance's name is all digits.
    pub fn is_about(&self, subject: &Subject) -> bool {
        let instance = match &self.instance {
            Whose::Everybodys => true,
            Whose::Tagged(tag) => subject.tags.contains(tag),
            Whose::Named(name) => *name == subject.instance || *name == subject.instance_id.to_string(),
        };
        instance
            && self
                .resource
                .as_ref()
                .is_none_or(|resource| *resource == subject.resource)
    }
}

impl Polling {
    /// What makes `subject` be polled. Each of cron, zone and `enabled` comes from the first that says it: the `[[poll]]`
    /// entries that are about it in their order, the resource, its instance, `[schedule]`.
    pub fn plan(&self, subject: &Subject) -> Plan {
        let said = |line| Source::Poll { line };
        let mut about = self.polls.iter().filter(|rule| rule.is_about(subject));
        let (mut cron, mut timezone, mut enabled) = (None, None, None);
        for rule in about.by_ref() {
            let source = said(rule.line);
            cron = cron.or_else(|| Some((rule.cron.as_ref()?.to_string(), source)));
            timezone = timezone.or_else(|| Some((rule.timezone.clone()?, source)));
            enabled = enabled.or_else(|| Some((rule.enabled?, source)));
        }
        let (timezone, timezone_source) = timezone
            .or_else(|| Some((subject.own.timezone.clone()?, Source::Resource)))
            .or_else(|| Some((subject.of_instance.timezone.clone()?, Source::Instance)))
            .unwrap_or_else(|| (self.timezone.clone(), Source::Default));
        let by_cron = |(schedule, source)| (Cadence::Cron { schedule, timezone }, source);
        let cron = cron
            .or_else(|| Some((subject.own.schedule.clone()?, Source::Resource)))
            .or_else(|| Some((subject.of_instance.schedule.clone()?, Source::Instance)));
        let (cadence, source) = match (cron, subject.interval) {
            (Some(cron), _) => by_cron(cron),
            (None, Some(Interval::Every(interval))) => (Cadence::Every(interval), Source::Instance),
            (None, Some(Interval::Never)) => (Cadence::Never, Source::Instance),
            (None, None) => by_cron((self.cron.to_string(), Source::Default)),
        };
        Plan {
            cadence,
            source,
            timezone_source,
            disabled_by: enabled.and_then(|(enabled, source)| (!enabled).then_some(source)),
        }
    }
}

#[cfg(test)]
mod tests;
