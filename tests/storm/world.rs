//! Who is there: the drives, the instances with their apps, drives and receivers, and how an instance is created while
//! its drive's user goes on working.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::agent::Box;
use super::dice::{Dice, digest, now, pause};
use super::drive::{Drive, Habits, State};
use super::provider::Provider;
use super::receivers::{Receivers, Temper};

/// What an instance is meant to be.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) name: String,
    /// Client id and tenant.
    pub(crate) app: &'static str,
    /// One resource for each drive; the first is the account's own.
    pub(crate) drives: Vec<usize>,
    pub(crate) receiver: String,
    /// Which host its receiver is on.
    pub(crate) host: usize,
    /// Seconds between two polls.
    pub(crate) every: usize,
    /// All that exists is announced.
    pub(crate) emit: bool,
    /// Neither its drives nor its receiver nor its app are ever spoilt, nor is it itself.
    pub(crate) healthy: bool,
}

/// One resource of an instance, as the judge follows it.
#[derive(Clone, Debug)]
pub(crate) struct Observer {
    pub(crate) plan: Plan,
    pub(crate) instance: i64,
    pub(crate) resource: String,
    pub(crate) drive: usize,
    /// What was there when creation answered, and is never announced as new.
    pub(crate) base: BTreeMap<String, State>,
    pub(crate) journal: usize,
    pub(crate) since: f64,
    pub(crate) by_wrong_clock: bool,
    /// Deleted again by the storm: it need not be complete any more.
    pub(crate) deleted: bool,
    /// Nor need what was pending then be delivered.
    pub(crate) discarded: bool,
}

pub(crate) struct World {
    pub(crate) seed: u64,
    pub(crate) without: Vec<String>,
    pub(crate) provider: Arc<Provider>,
    pub(crate) receivers: Receivers,
    pub(crate) home: Box,
    hosts: Vec<std::net::SocketAddr>,
    pub(crate) observers: Mutex<Vec<Observer>>,
    /// What was found to be wrong on the way.
    pub(crate) found: Mutex<Vec<String>>,
    /// When things could not be in time: from, until.
    pub(crate) excuses: Mutex<Vec<(f64, f64)>>,
    /// Places in the outbox by `webhook-id`, and what each repeats, read while the rows are there.
    pub(crate) outbox: Mutex<HashMap<String, Row>>,
    /// Resources that were not polled for so many seconds, and said to be well.
    pub(crate) silences: Mutex<BTreeMap<String, f64>>,
    /// Since when what says ok has not been polled for so long.
    quiet_since: Mutex<BTreeMap<String, f64>>,
    /// Notifications that were dead and were tried again, out of order.
    pub(crate) revived: Mutex<HashSet<String>>,
    secrets: Mutex<Vec<String>>,
    dice: Mutex<Dice>,
    /// Held by whoever changes drives.
    pub(crate) quiet: Mutex<()>,
    pub(crate) diary: Mutex<Vec<String>>,
}

/// A row of the outbox.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) id: i64,
    pub(crate) instance: i64,
    pub(crate) replay: bool,
}

/// The first two drives are never spoilt.
pub(crate) const HEALTHY_DRIVES: usize = 2;

impl World {
    pub(crate) fn new(seed: u64, without: Vec<String>, dir: std::path::PathBuf) -> World {
        let mut dice = Dice::new(seed);
        let drives = (0..6).map(|number| {
            let habits = Habits {
                business: number % 2 == 1,
                page_size: if number < HEALTHY_DRIVES {
                    50
                } else {
                    3 + dice.below(20)
                },
                lists_descendants: dice.one_in(2),
                shows_latest: number >= HEALTHY_DRIVES && dice.one_in(2),
                shuffles: dice.one_in(2),
            };
            let mut drive = Drive::new(number, habits, dice.roll());
            let items = if number < HEALTHY_DRIVES {
                20
            } else {
                20 + dice.below(100)
            };
            (0..items).for_each(|item| drive.create(&format!("old {item}"), item));
            drive.age = 0.0;
            drive
        });
        let provider = Provider::start(drives.collect(), seed);
        let receivers = Receivers::default();
        let world = World {
            seed,
            without,
            home: Box::new(dir, provider.origin()),
            provider,
            hosts: (0..4).map(|_| receivers.host()).collect(),
            receivers,
            observers: Mutex::default(),
            found: Mutex::default(),
            excuses: Mutex::default(),
            outbox: Mutex::default(),
            silences: Mutex::default(),
            quiet_since: Mutex::default(),
            revived: Mutex::default(),
            secrets: Mutex::default(),
            dice: Mutex::new(dice),
            quiet: Mutex::default(),
            diary: Mutex::default(),
        };
        world.note(&format!("seed {seed}"));
        world
    }

    pub(crate) fn checks(&self, class: &str) -> bool {
        !self.without.iter().any(|without| without == class)
    }

    /// Writes down what the storm does, for whoever reads a failure.
    pub(crate) fn note(&self, what: &str) {
        self.diary.lock().unwrap().push(format!("{:.3} {what}", now()));
    }

    /// So many seconds from now by the box's clock, as text.
    pub(crate) fn instant(&self, seconds: f64) -> String {
        let at = now() + seconds + self.home.clock_offset() as f64;
        jiff::Timestamp::from_microsecond((at * 1e6) as i64)
            .unwrap()
            .to_string()
    }

    pub(crate) fn excuse(&self, from: f64, until: f64) {
        self.excuses.lock().unwrap().push((from, until));
    }

    /// Reads the places of what has been written to the outbox.
    pub(crate) fn note_outbox(&self) {
        let mut outbox = self.outbox.lock().unwrap();
        let last = outbox.values().map(|row| row.id).max().unwrap_or(0);
        let query = format!(
            "SELECT id, event_id, coalesce(replay_of, ''), instance_id FROM outbox WHERE id > {last}"
        );
        for row in self.home.sql(&query) {
            let place = Row {
                id: row[0].parse().unwrap(),
                instance: row[3].parse().unwrap(),
                replay: !row[2].is_empty(),
            };
            outbox.insert(row[1].clone(), place);
        }
    }

    /// Notes what has not been polled for twice its interval while its health is said to be ok.
    pub(crate) fn note_silence(&self) {
        let query = "SELECT instance, resource FROM instance_health WHERE health = 'ok'";
        let well = self.home.sql(query);
        let excused = self
            .excuses
            .lock()
            .unwrap()
            .iter()
            .any(|excuse| excuse.1 + 20.0 > now());
        let excused = excused || !self.home.is_up();
        let mut quiet = self.quiet_since.lock().unwrap();
        for observer in self
            .observers
            .lock()
            .unwrap()
            .iter()
            .filter(|observer| !observer.deleted)
        {
            let asked = self.provider.last_asked(&observer.plan.name, observer.drive);
            let ago = now() - asked.unwrap_or(observer.since);
            let says_ok = well
                .iter()
                .any(|row| row[0] == observer.plan.name && row[1] == observer.resource);
            let who = format!("{}, {}", observer.plan.name, observer.resource);
            let silent = says_ok && !excused && ago > 2.0 * observer.plan.every.max(3) as f64 + 8.0;
            // What could not be polled for a full outbox is due at once when there is room again: it has three seconds.
            let since = *quiet.entry(who.clone()).or_insert(now());
            match silent {
                false => drop(quiet.remove(&who)),
                true if now() - since > 3.0 => drop(self.silences.lock().unwrap().insert(who, ago)),
                true => {}
            }
        }
    }

    /// Tries what is dead again.
    pub(crate) fn revive(&self) {
        for row in self
            .home
            .sql("SELECT id, event_id FROM outbox WHERE state = 'dead'")
        {
            self.revived.lock().unwrap().insert(row[1].clone());
            self.home.cli(&["outbox", "retry", &row[0]], "");
        }
    }

    /// Opens what has been disabled.
    pub(crate) fn resume(&self) {
        for row in self.home.sql("SELECT id FROM endpoint WHERE state = 'disabled'") {
            self.home.cli(&["outbox", "resume", &row[0]], "");
        }
    }

    pub(crate) fn secrets(&self) -> Vec<String> {
        let mut secrets = self.secrets.lock().unwrap().clone();
        secrets.extend(self.provider.secrets());
        secrets
    }

    fn secret(&self, what: &str) -> String {
        let secret = self.dice.lock().unwrap().canary(what);
        self.secrets.lock().unwrap().push(secret.clone());
        secret
    }

    /// The key and query of a receiver follow from its name, since instances may share it.
    fn shared_secret(&self, receiver: &str, what: &str) -> String {
        let secret = format!("CANARY{what}{:016x}", digest(receiver) ^ self.seed);
        let mut secrets = self.secrets.lock().unwrap();
        if !secrets.contains(&secret) {
            secrets.push(secret.clone());
        }
        secret
    }

    /// Its instance JSON, with a fresh code.
    pub(crate) fn document(&self, plan: &Plan) -> Value {
        let key = self.shared_secret(&plan.receiver, "key");
        self.receivers.expect_key(&plan.receiver, &key);
        // Some receivers have their secret in the path, as Slack has it.
        let query = match plan.receiver.as_str() {
            "moody-0" => format!("/services/T0/B0/{}", self.shared_secret(&plan.receiver, "path")),
            receiver => format!("?t={}", self.shared_secret(receiver, "query")),
        };
        let mut resources = serde_json::Map::new();
        for (at, drive) in plan.drives.iter().enumerate() {
            let url = match at {
                0 => "/hubs/documents/events".to_owned(),
                _ => format!("/drives/{}/root/delta", self.provider.drive(*drive).id),
            };
            let baseline = if plan.emit { "emit" } else { "snapshot" };
            resources.insert(format!("r{at}"), json!({"url": url, "baseline": baseline}));
        }
        json!({
            "element": {"key": "onedrivev2"},
            "providerData": {"code": self.provider.issue_code(&plan.name, plan.app, &plan.drives)},
            "name": plan.name,
            "tags": ["storm"],
            "configuration": {
                "oauth.api.key": plan.app,
                "oauth.api.secret": self.secret("app"),
                "oauth.callback.url": "https://www.example.com/oauth2callback",
                "event.notification.enabled": true,
                "event.vendor.type": "polling",
                "event.notification.callback.url": format!("http://{}/{}{query}", self.hosts[plan.host], plan.receiver),
                "event.notification.signature.key": key,
                "event.notification.headers": {"X-Storm": self.secret("header")},
                "event.poller.schedule": format!("*/{} * * * * *", plan.every),
                "event.poller.configuration": resources,
            },
        })
    }

    /// Creates the instance, and lets something happen on its drives the moment that creation has answered. False when the
    /// provider or the box would not have it now.
    pub(crate) fn create(&self, plan: &Plan, by_api: bool) -> bool {
        let document = self.document(plan).to_string();
        // Nobody works on a drive while creation is under way: what that finds is open.
        let output = {
            let quiet = self.quiet.lock().unwrap();
            let output = match by_api {
                true => self.home.post_instance(&document),
                false => self.home.cli(&["--json", "instance", "create", "-"], &document),
            };
            if output.code == 0 {
                if !self.checks("creation") {
                    self.wait_for_reading(&plan.name);
                }
                self.follow(plan, &output.stdout);
            }
            drop(quiet);
            output
        };
        if output.code == 0 {
            for drive in &plan.drives {
                self.provider.drive(*drive).step();
            }
        }
        self.note(&format!(
            "create {} on drives {:?}: {}",
            plan.name, plan.drives, output.code
        ));
        output.code == 0
    }

    /// Until the first reading has ended, at most for a while.
    fn wait_for_reading(&self, instance: &str) {
        let unread = format!(
            "SELECT 1 FROM resource r JOIN instance i ON i.id = r.instance_id
              WHERE i.name = '{instance}' AND (r.last_success_at IS NULL OR r.phase <> 'following')"
        );
        let deadline = now() + 20.0;
        while now() < deadline && !self.home.sql(&unread).is_empty() {
            pause(0.05);
        }
    }

    fn follow(&self, plan: &Plan, stdout: &str) {
        let instance: Value = serde_json::from_str(stdout).unwrap();
        let mut observers = self.observers.lock().unwrap();
        for (at, drive) in plan.drives.iter().enumerate() {
            let there = self.provider.drive(*drive);
            let journal = there.journal_length();
            observers.push(Observer {
                plan: plan.clone(),
                instance: instance["id"].as_i64().unwrap(),
                resource: format!("r{at}"),
                drive: *drive,
                base: if plan.emit {
                    BTreeMap::new()
                } else {
                    there.known_at(journal)
                },
                journal,
                since: now(),
                by_wrong_clock: self.home.clock_offset() != 0,
                deleted: false,
                discarded: false,
            });
        }
    }
}

/// The instances of a storm: healthy ones, dozens whose receivers hang, and one of each other temper.
pub(crate) fn plans(hanging: usize) -> Vec<(Plan, Temper)> {
    let plan = |name: &str, app, drives: &[usize], receiver: &str, host, every| Plan {
        name: name.to_owned(),
        app,
        drives: drives.to_vec(),
        receiver: receiver.to_owned(),
        host,
        every,
        emit: false,
        healthy: false,
    };
    let healthy = |name: &str, app, drives: &[usize], receiver: &str, every| Plan {
        healthy: true,
        ..plan(name, app, drives, receiver, 0, every)
    };
    let mut plans = vec![
        (healthy("well-0", "app-0", &[0], "well", 1), Temper::Healthy),
        (healthy("well-1", "app-0", &[1, 0], "well", 2), Temper::Healthy),
        (healthy("well-2", "app-1", &[1], "well-2", 3), Temper::Healthy),
        (
            Plan {
                emit: true,
                ..plan("gusty-2", "app-2", &[2, 3], "gusty", 0, 2)
            },
            Temper::Healthy,
        ),
        (plan("gusty-3", "app-2", &[3], "gusty", 0, 2), Temper::Healthy),
        (
            plan("gusty-4", "app-3", &[4, 5], "gusty-4", 0, 3),
            Temper::Healthy,
        ),
        (plan("gusty-5", "app-4", &[5], "moody-5", 1, 2), Temper::Healthy),
        (
            plan("poisoned", "app-1", &[0], "poisoned", 1, 2),
            Temper::Poisoned(4),
        ),
        (plan("slow", "app-1", &[1], "slow", 1, 3), Temper::Slow),
        (plan("moody-0", "app-1", &[0, 1], "moody-0", 1, 2), Temper::Echoes),
        (
            plan("moody-1", "app-1", &[1], "moody-1", 1, 2),
            Temper::Fails(500),
        ),
        (
            plan("moody-2", "app-1", &[0], "moody-1", 1, 2),
            Temper::Fails(500),
        ),
    ];
    for number in 0..hanging {
        let (name, receiver) = (
            format!("hanging-{number}"),
            format!("hanging-{}", number - number % 2),
        );
        plans.push((
            plan(&name, "app-1", &[number % 2], &receiver, 2 + number % 2, 5),
            Temper::Hangs,
        ));
    }
    plans
}
