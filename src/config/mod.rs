//! The configuration file: TOML text to a `Config` that is complete and within its ranges, or all its problems at
//! once, each with line and column. It reads one file; when to read it again, and what then changes, is the agent's.

mod live;
mod problem;
mod reader;
#[cfg(test)]
mod tests;
mod value;

use std::fs::File;
use std::io::{self, Read};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::de::DeValue;

use crate::core::address;
use crate::core::bounds::OutboxLimits;
use crate::core::plan::{Polling, Rule, Whose};
use crate::core::schedule;
pub use live::Live;
pub use problem::{ConfigError, ConfigProblem, Fault};
use reader::Reader;

/// The commented file that `init` writes. Its settings, uncommented, are the defaults.
pub const TEMPLATE: &str = include_str!("../../packaging/deltapost.toml");

/// A larger file is somebody's mistake, and not read into memory.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// The settings of the agent, as the file gives them or by default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where database, key and token live; absolute.
    pub data_dir: PathBuf,
    /// The group whose members may read the database.
    pub group: Option<String>,
    pub listen: Listen,
    /// `[schedule]` and `[[poll]]`: when resources are polled.
    pub polling: Polling,
    pub schedule: Schedule,
    pub delivery: Delivery,
    pub outbox: OutboxLimits,
    pub alerts: Alerts,
    pub microsoft: Microsoft,
    pub network: Network,
}

/// `[listen]`: where the local API and page are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listen {
    /// `None`: nowhere. Loopback, unless `expose` is true; port 0 lets the system choose one.
    pub address: Option<SocketAddr>,
    /// An address that others than this box can reach is meant.
    pub expose: bool,
}

impl Listen {
    /// The address where it is one that others than this box can reach.
    pub fn exposed(&self) -> Option<SocketAddr> {
        self.address.filter(|address| !address.ip().is_loopback())
    }
}

/// `[schedule]`, as far as it is not about when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// Polls at the same time, 1 to 64.
    pub workers: usize,
}

/// `[delivery]`: how the outbox is drained.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    pub ordering: Ordering,
    /// Requests at the same time, 1 to 64; those without an answer for a moment are not counted.
    pub workers: usize,
    /// To one endpoint, 1 to 64.
    pub per_endpoint: usize,
    /// How long a receiver may take to answer, 1 s to 5 min.
    pub timeout: Duration,
    /// Events per notification, 1 to 100.
    pub batch: usize,
    /// The waits between attempts, 1 to 32 of them, each 1 s to 30 d.
    pub retry: Vec<Duration>,
    pub on_failure: OnFailure,
    /// Networks that no callback is sent to.
    pub deny: Vec<address::Network>,
    /// An HTTP proxy for callbacks; without one they go direct.
    pub proxy: Option<String>,
    /// How long after it was disabled an endpoint is tried again, 1 min to 30 d. `None`: only by hand.
    pub probe_disabled: Option<Duration>,
}

/// Whether an instance's notifications wait for each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ordering {
    /// One at a time, in the order of detection.
    Instance,
    /// As many at a time as there are workers, in no order.
    None,
}

/// What the first failure of an endpoint does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFailure {
    /// It backs off, by `retry`.
    Retry,
    /// It is disabled; what comes for it is queued.
    Queue,
}

/// `[alerts]`: who is told when something needs a person.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Alerts {
    /// Alerts are POSTed there.
    pub url: Option<String>,
    /// Or given to this command on its standard input.
    pub command: Option<String>,
}

/// `[microsoft]`: where the provider is, and who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Microsoft {
    /// The base of the identity platform's URLs, without a slash at its end.
    pub authority: String,
    /// The base of Microsoft Graph's URLs, without a slash at its end.
    pub graph: String,
    /// Goes into the User-Agent; printable ASCII without `|`.
    pub company: Option<String>,
}

/// `[network]`: the way to the provider, and whom callbacks trust.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Network {
    /// An HTTP proxy to go through; its URL may hold credentials. Without one, the environment's.
    pub proxy: Option<String>,
    /// Roots in PEM that are trusted beside the system's, also by callbacks; absolute. Whether it can be read is not checked here.
    pub ca_file: Option<PathBuf>,
}

impl Default for Config {
    fn default() -> Config {
        // The x-th retry comes 4^x s after the first failure, as Cloud Elements has it; these are the differences.
        let retry = [4, 12, 48, 192, 768, 3_072, 12_288, 49_152, 196_608];
        Config {
            data_dir: PathBuf::from("/var/lib/deltapost"),
            group: None,
            listen: Listen {
                address: Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 8649))),
                expose: false,
            },
            polling: Polling {
                polls: Vec::new(),
                cron: schedule::Schedule::parse("*/15 * * * *").expect("it is in the language"),
                timezone: "UTC".to_owned(),
                jitter: Duration::from_secs(30),
            },
            schedule: Schedule { workers: 4 },
            delivery: Delivery {
                ordering: Ordering::Instance,
                workers: 4,
                per_endpoint: 2,
                timeout: Duration::from_secs(30),
                batch: 10,
                retry: retry.map(Duration::from_secs).to_vec(),
                on_failure: OnFailure::Retry,
                probe_disabled: Some(Duration::from_secs(24 * 60 * 60)),
                deny: denied_by_default(),
                proxy: None,
            },
            outbox: OutboxLimits {
                max_events: 1_000_000,
                max_bytes: 2 << 30,
                keep_delivered: Duration::from_secs(7 * 24 * 60 * 60),
            },
            alerts: Alerts::default(),
            microsoft: Microsoft {
                authority: "https://login.microsoftonline.com/common".to_owned(),
                graph: "https://graph.microsoft.com/v1.0".to_owned(),
                company: None,
            },
            network: Network::default(),
        }
    }
}

impl Config {
    /// The configuration in the file at `path`. Where there is no such file, it is the defaults, unless the path was
    /// named explicitly.
    ///
    /// # Errors
    /// [`ConfigError::Unreadable`] when the file is named but missing, cannot be read, is not UTF-8 or larger than
    /// 1 MiB; [`ConfigError::Invalid`] with every problem in it.
    pub fn load(path: &Path, explicit: bool) -> Result<Config, ConfigError> {
        match read_text(path) {
            Ok(text) => Config::parse(&text).map_err(|problems| ConfigError::Invalid {
                path: path.to_owned(),
                problems,
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound && !explicit => Ok(Config::default()),
            Err(source) => Err(ConfigError::Unreadable {
                path: path.to_owned(),
                source,
            }),
        }
    }

    /// The configuration that the file at `path` holds by now, in the place of `self`, which it held before.
    ///
    /// # Errors
    /// As `load`; and [`ConfigError::Lost`] when the file is gone or empty, unless all is by default anyway.
    pub fn load_again(&self, path: &Path) -> Result<Config, ConfigError> {
        let lost = |missing| match *self == Config::default() {
            true => Ok(Config::default()),
            false => Err(ConfigError::Lost {
                path: path.to_owned(),
                missing,
            }),
        };
        match read_text(path) {
            Ok(text) if text.trim().is_empty() => lost(false),
            Err(error) if error.kind() == io::ErrorKind::NotFound => lost(true),
            _ => Config::load(path, true),
        }
    }

    /// The configuration that `text` describes; what it leaves out has its default.
    ///
    /// # Errors
    /// Every problem in `text`, in the order of their places.
    pub fn parse(text: &str) -> Result<Config, Vec<ConfigProblem>> {
        let mut reader = Reader::new(text);
        let mut config = Config::default();
        read_settings(&mut reader, &mut config);
        let problems = reader.finish();
        if problems.is_empty() {
            Ok(config)
        } else {
            Err(problems)
        }
    }
}

/// Where a callback has no business: this host by its unnamed address, link-local ones (the metadata services of clouds
/// among them), and many hosts at once.
fn denied_by_default() -> Vec<address::Network> {
    let networks = [
        "0.0.0.0/8",
        "169.254.0.0/16",
        "fe80::/10",
        "fd00:ec2::254/128",
        "224.0.0.0/4",
        "ff00::/8",
    ];
    networks
        .into_iter()
        .filter_map(|network| address::Network::parse(network).ok())
        .collect()
}

/// The keys of this version: what is not read here is refused.
fn read_settings(reader: &mut Reader, config: &mut Config) {
    reader.one("data_dir", value::directory, &mut config.data_dir);
    reader.one("group", value::group, &mut config.group);

    let listen = &mut config.listen;
    reader.one("listen.address", value::address, &mut listen.address);
    reader.one("listen.expose", value::boolean, &mut listen.expose);
    if let Some(address) = listen.exposed().filter(|_| !listen.expose) {
        let words = format!(
            "`{address}` can be reached from other machines, and whoever has the API token there reads and changes \
             everything; `expose = true` under [listen] says that this is meant"
        );
        reader.refuse("listen.address", words);
    }

    let polling = &mut config.polling;
    reader.one("schedule.cron", value::cron, &mut polling.cron);
    reader.one("schedule.timezone", value::timezone, &mut polling.timezone);
    let jitter = value::duration("0s", "1h");
    reader.one("schedule.jitter", jitter, &mut polling.jitter);
    for (index, line) in reader.tables("poll", &POLL).into_iter().enumerate() {
        polling.polls.push(read_rule(reader, index, line));
    }
    let workers = value::count(1..=64);
    reader.one("schedule.workers", &workers, &mut config.schedule.workers);

    let delivery = &mut config.delivery;
    let orders = value::choice(&[("instance", Ordering::Instance), ("none", Ordering::None)]);
    reader.one("delivery.ordering", orders, &mut delivery.ordering);
    reader.one("delivery.workers", &workers, &mut delivery.workers);
    reader.one("delivery.per_endpoint", &workers, &mut delivery.per_endpoint);
    reader.one(
        "delivery.timeout",
        value::duration("1s", "5m"),
        &mut delivery.timeout,
    );
    reader.one("delivery.batch", value::count(1..=100), &mut delivery.batch);
    let wait = value::duration("1s", "30d");
    reader.list("delivery.retry", 1..=32, wait, &mut delivery.retry);
    let failures = value::choice(&[("retry", OnFailure::Retry), ("queue", OnFailure::Queue)]);
    reader.one("delivery.on_failure", failures, &mut delivery.on_failure);
    reader.one(
        "delivery.probe_disabled",
        value::duration_or_off("1m", "30d"),
        &mut delivery.probe_disabled,
    );

    reader.list("delivery.deny", 0..=256, value::network, &mut delivery.deny);
    reader.one("delivery.proxy", value::proxy, &mut delivery.proxy);

    let outbox = &mut config.outbox;
    reader.one(
        "outbox.max_events",
        value::number(1..=1_000_000_000),
        &mut outbox.max_events,
    );
    reader.one(
        "outbox.max_bytes",
        value::bytes("16MiB", "1024GiB"),
        &mut outbox.max_bytes,
    );
    reader.one(
        "outbox.keep_delivered",
        value::duration("0s", "3650d"),
        &mut outbox.keep_delivered,
    );

    reader.one("alerts.url", value::callback_url, &mut config.alerts.url);
    reader.one("alerts.command", value::command, &mut config.alerts.command);

    let microsoft = &mut config.microsoft;
    reader.one("microsoft.authority", value::base_url, &mut microsoft.authority);
    reader.one("microsoft.graph", value::base_url, &mut microsoft.graph);
    reader.one("microsoft.company", value::company, &mut microsoft.company);

    reader.one("network.proxy", value::proxy, &mut config.network.proxy);
    reader.one("network.ca_file", value::file, &mut config.network.ca_file);
}

/// The keys of `[[poll]]`.
const POLL: [&str; 5] = [
    "poll.instance",
    "poll.resource",
    "poll.cron",
    "poll.timezone",
    "poll.enabled",
];

fn read_rule(reader: &mut Reader, index: usize, line: usize) -> Rule {
    let mut rule = Rule {
        line,
        instance: Whose::Everybodys,
        resource: None,
        cron: None,
        timezone: None,
        enabled: None,
    };
    let cron = |value: &DeValue| value::cron(value).map(Some);
    let timezone = |value: &DeValue| value::timezone(value).map(Some);
    let enabled = |value: &DeValue| value::boolean(value).map(Some);
    reader.one_in(index, "poll.instance", value::whose, &mut rule.instance);
    reader.one_in(index, "poll.resource", value::resource, &mut rule.resource);
    reader.one_in(index, "poll.cron", cron, &mut rule.cron);
    reader.one_in(index, "poll.timezone", timezone, &mut rule.timezone);
    reader.one_in(index, "poll.enabled", enabled, &mut rule.enabled);
    reader.demand_one_of(index, "poll", &["cron", "timezone", "enabled"]);
    rule
}

fn read_text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?
        .take(MAX_FILE_BYTES + 1)
        .read_to_string(&mut text)?;
    if text.len() as u64 > MAX_FILE_BYTES {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            "it is larger than 1 MiB",
        ));
    }
    Ok(text)
}
