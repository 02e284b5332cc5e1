//! The agent's rooms taken out of the agent: a data directory, the simulated service, and a clock turned by hand. One
//! poll is one call.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use deltapost::agent;
use deltapost::callback::Sender;
use deltapost::clock::{Clock, FakeClock, SystemClock};
use deltapost::commands::{CommandError, House, Written};
use deltapost::config::{Config, Live};
use deltapost::core::poll::Poll;
use deltapost::graph::client::{Client, GraphConfig, TIMEOUTS};
use deltapost::poll::PollError;
use deltapost::sim::onedrive::{Account, Drive, Endpoint, OneDrive};
use deltapost::sim::receiver::{Received, Receiver};
use deltapost::store::{Depth, Key, Look, Rows, Sharing, Store};
use deltapost::wire::Timeouts;
use serde_json::{Value, json};
use tempfile::TempDir;

/// The signature key of every instance.
const KEY: &str = "123456";

pub(crate) static GO_ON: AtomicBool = AtomicBool::new(false);

pub(crate) struct Bench {
    pub(crate) cloud: OneDrive,
    pub(crate) receiver: Receiver,
    pub(crate) clock: Arc<FakeClock>,
    pub(crate) store: Arc<Store>,
    pub(crate) client: Arc<Client>,
    sender: Arc<Sender>,
    config: Arc<Config>,
    _dir: TempDir,
}

impl Bench {
    pub(crate) fn new(account: Account) -> Bench {
        Bench::patient(account, TIMEOUTS)
    }

    /// The same with a client that waits no longer than `timeouts`.
    pub(crate) fn patient(account: Account, timeouts: Timeouts) -> Bench {
        let cloud = OneDrive::start(account).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(FakeClock::at(SystemClock.now()));
        let data_dir = dir.path().join("data");
        std::fs::create_dir(&data_dir).unwrap();
        let (key, _) = Key::create(&data_dir).unwrap();
        assert!(Store::create(&data_dir, Sharing::Owner, &key, clock.now()).unwrap());
        let client = Client::new(&GraphConfig {
            base: &cloud.graph_base(),
            authority: &cloud.authority(),
            company: "Contoso",
            proxy: None,
            extra_roots: None,
            timeouts,
        });
        let config = Arc::new(Config {
            data_dir: data_dir.clone(),
            ..Config::default()
        });
        Bench {
            store: Arc::new(
                Store::open(
                    &data_dir,
                    Sharing::Owner,
                    Some(key),
                    Look::Brief,
                    &cloud.graph_base(),
                )
                .unwrap(),
            ),
            client: Arc::new(client.unwrap()),
            sender: Arc::new(Sender::new(Duration::from_secs(30), None, None, &[]).unwrap()),
            receiver: Receiver::start(Some(KEY.to_owned())).unwrap(),
            cloud,
            clock,
            config,
            _dir: dir,
        }
    }

    pub(crate) fn drive(&self) -> Drive {
        self.cloud.drive()
    }

    pub(crate) fn house(&self) -> House {
        House {
            live: Arc::new(Live::new(&self.config)),
            config: Arc::clone(&self.config),
            store: Arc::clone(&self.store),
            client: Arc::clone(&self.client),
            sender: Arc::clone(&self.sender),
            clock: self.clock.clone(),
        }
    }

    /// The database opened once more, as by another process, or after a restart.
    pub(crate) fn opened_again(&self) -> Arc<Store> {
        let key = Key::load(&self.config.data_dir, None).unwrap();
        let store = Store::open(
            &self.config.data_dir,
            Sharing::Owner,
            key,
            Look::Brief,
            self.client.base(),
        );
        Arc::new(store.unwrap())
    }

    /// An instance of the account that `drive` belongs to; `extra` replaces keys of its configuration.
    pub(crate) fn document(&self, drive: &Drive, name: &str, extra: Value) -> Value {
        let mut configuration = json!({
            "oauth.api.key": "app-id-0123",
            "oauth.api.secret": "app-secret-0123",
            "oauth.callback.url": "https://www.example.com/oauth2callback",
            "event.notification.enabled": true,
            "event.notification.callback.url": self.receiver.url(),
            "event.notification.signature.key": KEY,
        });
        for (key, value) in extra.as_object().unwrap() {
            configuration[key] = value.clone();
        }
        json!({
            "element": {"key": "onedrivev2"},
            "providerData": {"code": self.cloud.issue_code_of(drive)},
            "configuration": configuration,
            "name": name,
        })
    }

    /// Creates an instance of the first account and returns its id, which is also its first resource's in a new bench.
    pub(crate) fn create(&self, name: &str, extra: Value) -> i64 {
        self.create_of(&self.drive(), name, extra)
    }

    pub(crate) fn create_of(&self, drive: &Drive, name: &str, extra: Value) -> i64 {
        let document = self.document(drive, name, extra).to_string();
        self.house().create_instance(&document).unwrap().instance.id
    }

    pub(crate) fn update(&self, name: &str, key: &str, value: &str) -> Result<Written, CommandError> {
        let assignment = (key.to_owned(), value.to_owned());
        self.house().update_instance(name, &[assignment])
    }

    pub(crate) fn poll(&self, resource: i64) -> Result<Poll, PollError> {
        self.poll_at(resource, Depth::Changes)
    }

    pub(crate) fn poll_at(&self, resource: i64, depth: Depth) -> Result<Poll, PollError> {
        agent::poll(&self.house(), &GO_ON, resource, depth, &mut |_| {})
    }

    /// Everything that was ever announced, as it arrives.
    pub(crate) fn events(&self) -> Vec<Received> {
        agent::drain(&self.house(), &GO_ON).unwrap();
        let counts = self.receiver.counts();
        assert_eq!((counts.duplicates, counts.changed, counts.unverified), (0, 0, 0));
        self.receiver.events()
    }

    /// What `instance_health` says of a resource.
    pub(crate) fn health(&self, instance: &str) -> String {
        self.store.health(instance).unwrap()[0].health.clone()
    }

    pub(crate) fn last_error(&self, instance: &str) -> String {
        self.store.health(instance).unwrap()[0]
            .last_error
            .clone()
            .unwrap_or_default()
    }

    /// The one cell that `query` finds, as text.
    pub(crate) fn cell(&self, query: &str) -> String {
        let connection = rusqlite::Connection::open(self.store.path()).unwrap();
        let cell: rusqlite::types::Value = connection.query_row(query, [], |row| row.get(0)).unwrap();
        match cell {
            rusqlite::types::Value::Text(text) => text,
            rusqlite::types::Value::Integer(number) => number.to_string(),
            rusqlite::types::Value::Null => String::new(),
            other => format!("{other:?}"),
        }
    }

    /// The resources that are due by now.
    pub(crate) fn due(&self) -> Vec<i64> {
        agent::show_next_polls(&self.house(), Rows::All).unwrap();
        let mut due = Vec::new();
        let planned = self.store.planned(Rows::All, |row| {
            if row.next_poll_at.is_some_and(|at| at <= self.clock.now()) {
                due.push(row.id);
            }
        });
        planned.unwrap();
        due
    }

    /// Changes rows by hand.
    pub(crate) fn write_sql(&self, statement: &str) {
        let connection = rusqlite::Connection::open(self.store.path()).unwrap();
        connection.execute_batch(statement).unwrap();
    }

    /// Requests so far: for pages, and for tokens.
    pub(crate) fn requests(&self) -> (u64, u64) {
        (
            self.cloud.count(Endpoint::Delta),
            self.cloud.count(Endpoint::Token),
        )
    }

    pub(crate) fn pass(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }
}
