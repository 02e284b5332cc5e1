//! One place for a test of the whole agent: a data directory with its configuration, the simulated OneDrive, the
//! receiver, and the binary as people run it. Random drives are in `storm`, what deliveries must be in `ledger`.

pub(crate) mod api;
pub(crate) mod hanging;
pub(crate) mod ledger;
pub(crate) mod openssl;
pub(crate) mod process;
pub(crate) mod skipped;
pub(crate) mod storm;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use deltapost::clock::{Clock, SystemClock};
use deltapost::sim::onedrive::{Account, Drive, OneDrive, Seen};
use deltapost::sim::receiver::Receiver;
use rusqlite::types::Value as Cell;
use serde_json::{Value, json};
use tempfile::TempDir;

use process::{Agent, Ran};

/// The signature key of every instance that is not given another.
pub(crate) const KEY: &str = "123456";

/// How long anything may take that is waited for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// An on-prem box with deltapost on it, and the two services it talks to.
pub(crate) struct Site {
    pub(crate) cloud: OneDrive,
    pub(crate) receiver: Receiver,
    dir: TempDir,
    agents: AtomicUsize,
}

impl Site {
    /// A box whose agent is initialised and has no instance yet.
    pub(crate) fn new(account: Account) -> Site {
        Site::configured(account, "")
    }

    /// The same, with more lines for its configuration file: whole sections other than `[microsoft]` and `[listen]`.
    #[track_caller]
    pub(crate) fn configured(account: Account, sections: &str) -> Site {
        let site = Site::bare(account, sections);
        site.cli(&["init"]).code(0);
        site
    }

    /// The same before `init`.
    pub(crate) fn bare(account: Account, sections: &str) -> Site {
        let site = Site {
            cloud: OneDrive::start(account).unwrap(),
            receiver: Receiver::start(Some(KEY.to_owned())).unwrap(),
            dir: tempfile::tempdir().unwrap(),
            agents: AtomicUsize::new(0),
        };
        site.configure(sections);
        site
    }

    /// Writes the configuration file anew.
    pub(crate) fn configure(&self, sections: &str) {
        self.configure_provider(&self.cloud.authority(), &self.cloud.graph_base(), sections);
    }

    /// The same with a provider that is called otherwise.
    pub(crate) fn configure_provider(&self, authority: &str, graph: &str, sections: &str) {
        let data_dir = self.data_dir();
        let text = format!(
            "data_dir = {data_dir:?}\n\n[microsoft]\nauthority = {authority:?}\ngraph = {graph:?}\n\n{sections}\n\n[listen]\naddress = \"127.0.0.1:0\"\n"
        );
        fs::write(self.config_file(), text).unwrap();
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.data_dir().join("deltapost.db")
    }

    pub(crate) fn config_file(&self) -> PathBuf {
        self.dir.path().join("deltapost.toml")
    }

    /// Writes a file beside the data directory, for `KEY=@FILE`.
    pub(crate) fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }

    /// The drive of the first account.
    pub(crate) fn drive(&self) -> Drive {
        self.cloud.drive()
    }

    /// The instance JSON as people write it, with a fresh code; `extra` replaces keys of the configuration, and takes
    /// those away that it gives as null.
    pub(crate) fn document(&self, name: &str, extra: Value) -> Value {
        self.document_of(&self.drive(), name, extra)
    }

    pub(crate) fn document_of(&self, drive: &Drive, name: &str, extra: Value) -> Value {
        let mut configuration = json!({
            "oauth.api.key": "app-id",
            "oauth.api.secret": "app-secret",
            "oauth.callback.url": "https://www.example.com/oauth2callback",
            "event.notification.enabled": "true",
            "event.vendor.type": "polling",
            "event.notification.callback.url": self.receiver.url(),
            "event.notification.signature.key": KEY,
            "event.poller.refresh_interval": "15",
        });
        for (key, value) in extra.as_object().expect("extra keys are an object") {
            let keys = configuration.as_object_mut().expect("it is an object");
            match value {
                Value::Null => drop(keys.remove(key)),
                value => drop(keys.insert(key.clone(), value.clone())),
            }
        }
        json!({
            "element": {"key": "onedrivev2"},
            "providerData": {"code": self.cloud.issue_code_of(drive)},
            "configuration": configuration,
            "tags": ["Docs"],
            "name": name,
        })
    }

    /// Creates an instance for the first account's drive.
    #[track_caller]
    pub(crate) fn create_instance(&self, name: &str, extra: Value) {
        self.try_create(&self.document(name, extra)).code(0);
    }

    /// Creates an instance for another account's drive.
    #[track_caller]
    pub(crate) fn create_instance_of(&self, drive: &Drive, name: &str, extra: Value) {
        self.try_create(&self.document_of(drive, name, extra)).code(0);
    }

    pub(crate) fn try_create(&self, document: &Value) -> Ran {
        self.cli_fed(&["instance", "create", "-"], &document.to_string())
    }

    /// `deltapost ARGS`, to its end.
    #[track_caller]
    pub(crate) fn cli(&self, args: &[&str]) -> Ran {
        self.cli_fed(args, "")
    }

    /// The same, with something on its standard input.
    #[track_caller]
    pub(crate) fn cli_fed(&self, args: &[&str], input: &str) -> Ran {
        process::run(&self.config_file(), args, &[], input)
    }

    /// The same, with additions to its environment.
    #[track_caller]
    pub(crate) fn cli_in(&self, environment: &[(&str, &str)], args: &[&str]) -> Ran {
        process::run(&self.config_file(), args, environment, "")
    }

    /// `deltapost once`.
    #[track_caller]
    pub(crate) fn once(&self) -> Ran {
        self.cli(&["once"])
    }

    /// `deltapost --json poll NAME FLAGS`.
    #[track_caller]
    pub(crate) fn poll(&self, name: &str, flags: &[&str]) -> Ran {
        self.cli(&[&["--json", "poll", name], flags].concat())
    }

    /// `deltapost run` in the background, from when it holds the data directory. It is killed when the handle is dropped.
    #[track_caller]
    pub(crate) fn spawn_run(&self) -> Agent {
        self.spawn_agent(&[])
    }

    /// The same, with additions to its environment.
    #[track_caller]
    pub(crate) fn spawn_agent(&self, environment: &[(&str, &str)]) -> Agent {
        let mut agent = self.spawn(&["run"], environment);
        let holder = self.data_dir().join("agent.lock");
        eventually("the agent holds the data directory", || {
            assert!(agent.runs(), "{}", agent.log());
            fs::read_to_string(&holder).is_ok_and(|pid| pid.trim() == agent.pid())
        });
        agent
    }

    /// `deltapost ARGS` in the background, with additions to its environment. What it says goes into a file beside the
    /// data directory.
    pub(crate) fn spawn(&self, args: &[&str], environment: &[(&str, &str)]) -> Agent {
        let number = self.agents.fetch_add(1, Ordering::Relaxed);
        let log = self.dir.path().join(format!("agent-{number}.log"));
        Agent::spawn(&self.config_file(), args, environment, log)
    }

    /// The rows that `query` finds, each cell as text; `NULL` is empty.
    #[track_caller]
    pub(crate) fn sql(&self, query: &str) -> Vec<Vec<String>> {
        rows(&self.database(), query)
    }

    /// The one cell that `query` finds, as text.
    #[track_caller]
    pub(crate) fn cell(&self, query: &str) -> String {
        let rows = self.sql(query);
        match &rows[..] {
            [row] if row.len() == 1 => row[0].clone(),
            rows => panic!("not one cell but {rows:?}: {query}"),
        }
    }

    /// Changes rows by hand, as when time had passed.
    #[track_caller]
    pub(crate) fn write_sql(&self, statement: &str) {
        let connection = rusqlite::Connection::open(self.database()).unwrap();
        connection.busy_timeout(PATIENCE).unwrap();
        connection.execute_batch(statement).unwrap();
    }

    /// The requests for pages of the feed that have arrived so far.
    pub(crate) fn delta_requests(&self) -> Vec<Seen> {
        let mut requests = self.cloud.requests();
        requests.retain(|request| request.endpoint == deltapost::sim::onedrive::Endpoint::Delta);
        requests
    }
}

impl Drop for Site {
    /// A test that fails leaves everything where it is, for whoever wants to know why.
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.dir.disable_cleanup(true);
            eprintln!("kept for a look: {}", self.database().display());
        }
    }
}

/// Waits until `is_so`; fails with `what` when it is not in time.
#[track_caller]
pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = SystemClock.now() + PATIENCE;
    while !is_so() {
        assert!(SystemClock.now() < deadline, "in vain waited for: {what}");
        SystemClock.sleep(Duration::from_millis(10));
    }
}

#[track_caller]
fn rows(database: &Path, query: &str) -> Vec<Vec<String>> {
    let connection =
        rusqlite::Connection::open_with_flags(database, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    connection.busy_timeout(PATIENCE).unwrap();
    let mut statement = connection
        .prepare(query)
        .unwrap_or_else(|error| panic!("{error}: {query}"));
    let columns = statement.column_count();
    let read = |row: &rusqlite::Row<'_>| (0..columns).map(|at| Ok(text(row.get(at)?))).collect();
    statement
        .query_map([], read)
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap()
}

fn text(cell: Cell) -> String {
    match cell {
        Cell::Null => String::new(),
        Cell::Integer(number) => number.to_string(),
        Cell::Real(number) => number.to_string(),
        Cell::Text(text) => text,
        Cell::Blob(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
    }
}
