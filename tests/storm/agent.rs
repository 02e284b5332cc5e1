//! The binary as people run it: the agent in the background, commands beside it, its configuration, and the clock that
//! both of them see. Everything that it says is kept, to be searched for secrets.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::dice::{now, pause};

/// An on-prem box.
pub(crate) struct Box {
    dir: PathBuf,
    binary: PathBuf,
    /// The library that moves the clock, where there is a C compiler to make it.
    shim: Option<PathBuf>,
    offset: AtomicI64,
    agent: Mutex<Option<Child>>,
    port: u16,
    provider: String,
    spawned: AtomicUsize,
    said: Mutex<File>,
    peak_kib: AtomicU64,
    pub(crate) starts: AtomicUsize,
    up: AtomicBool,
    /// Commands that did not end.
    pub(crate) endless: Mutex<Vec<String>>,
}

/// How a command ended.
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
}

impl Box {
    pub(crate) fn new(dir: PathBuf, provider: String) -> Box {
        let binary = std::env::var_os("DELTAPOST_BIN").map(PathBuf::from);
        let binary = binary.unwrap_or_else(|| env!("CARGO_BIN_EXE_deltapost").into());
        // A port that is free now is free a moment later, too.
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        let home = Box {
            shim: shim(&dir),
            said: Mutex::new(File::create(dir.join("said.log")).unwrap()),
            binary: fs::canonicalize(binary).unwrap(),
            offset: AtomicI64::new(0),
            agent: Mutex::new(None),
            port,
            provider,
            spawned: AtomicUsize::new(0),
            peak_kib: AtomicU64::new(0),
            starts: AtomicUsize::new(0),
            up: AtomicBool::new(false),
            endless: Mutex::default(),
            dir,
        };
        home.set_clock(0);
        home.configure("*/2 * * * * *", "");
        home
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.dir.join("data/deltapost.db")
    }

    pub(crate) fn can_move_clock(&self) -> bool {
        self.shim.is_some()
    }

    /// The box's clock, in seconds from the true one.
    pub(crate) fn clock_offset(&self) -> i64 {
        self.offset.load(Ordering::Relaxed)
    }

    pub(crate) fn set_clock(&self, offset: i64) {
        self.offset.store(offset, Ordering::Relaxed);
        let file = self.dir.join("clock");
        let fresh = self.dir.join("clock.new");
        fs::write(&fresh, offset.to_ne_bytes()).unwrap();
        // The same file all along, since the agent keeps it open.
        if file.exists() {
            let mut file = File::options().write(true).open(&file).unwrap();
            file.write_all(&offset.to_ne_bytes()).unwrap();
        } else {
            fs::rename(&fresh, &file).unwrap();
        }
    }

    /// Writes the configuration file, with further sections.
    pub(crate) fn configure(&self, cron: &str, sections: &str) {
        let (data, provider, port) = (self.dir.join("data"), &self.provider, self.port);
        let text = format!(
            "data_dir = {data:?}\n\
             [listen]\naddress = \"127.0.0.1:{port}\"\n\
             [microsoft]\nauthority = \"{provider}/common\"\ngraph = \"{provider}/v1.0\"\n\
             [schedule]\ncron = \"{cron}\"\njitter = \"0s\"\n\
             [delivery]\ntimeout = \"6s\"\nretry = [\"1s\", \"2s\", \"3s\", \"4s\", \"5s\", \"6s\", \"7s\", \"8s\", \"9s\"]\n\
             [outbox]\nmax_events = 60\n\
             {sections}\n"
        );
        fs::write(self.dir.join("deltapost.toml"), text).unwrap();
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command
            .arg("--config")
            .arg(self.dir.join("deltapost.toml"))
            .args(args);
        for proxy in [
            "HTTPS_PROXY",
            "HTTP_PROXY",
            "ALL_PROXY",
            "https_proxy",
            "http_proxy",
            "all_proxy",
        ] {
            command.env_remove(proxy);
        }
        command
            .env_remove("DELTAPOST_CONFIG")
            .env_remove("CREDENTIALS_DIRECTORY");
        if let Some(shim) = &self.shim {
            command
                .env("LD_PRELOAD", shim)
                .env("STORM_CLOCK", self.dir.join("clock"));
        }
        command
    }

    /// `deltapost ARGS`, to its end, with something on its standard input. What it says is kept. A command that does not end
    /// is a fault of its own.
    pub(crate) fn cli(&self, args: &[&str], input: &str) -> Ran {
        let number = self.spawned.fetch_add(1, Ordering::Relaxed);
        let file = |kind: &str| self.dir.join(format!("command-{number:04}.{kind}"));
        fs::write(file("in"), input).unwrap();
        let mut command = self.command(args);
        command.stdin(File::open(file("in")).unwrap());
        command
            .stdout(File::create(file("out")).unwrap())
            .stderr(File::create(file("err")).unwrap());
        let mut child = command.spawn().unwrap();
        let deadline = now() + 90.0;
        let mut code = None;
        while code.is_none() && now() < deadline {
            code = child
                .try_wait()
                .unwrap()
                .map(|status| status.code().unwrap_or(-1));
            pause(0.01);
        }
        let said = [fs::read(file("out")).unwrap(), fs::read(file("err")).unwrap()];
        ["in", "out", "err"]
            .iter()
            .for_each(|kind| fs::remove_file(file(kind)).unwrap());
        let [stdout, stderr] = said.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        let line = format!(
            "{:.3} $ deltapost {} -> {code:?}\n{stdout}{stderr}",
            now(),
            args.join(" ")
        );
        self.said.lock().unwrap().write_all(line.as_bytes()).unwrap();
        if code.is_none() {
            child.kill().unwrap();
            self.endless.lock().unwrap().push(args.join(" "));
        }
        child.wait().unwrap();
        Ran {
            code: code.unwrap_or(-1),
            stdout,
        }
    }

    /// Starts the agent, and returns when it answers. A command beside it may hold the data directory for a while.
    pub(crate) fn start(&self) -> Result<(), String> {
        let number = self.spawned.fetch_add(1, Ordering::Relaxed);
        let log = self.dir.join(format!("agent-{number:04}.log"));
        // A `once` that began while there was no agent polls everything first.
        let deadline = now() + 120.0;
        while now() < deadline {
            if !self.runs() {
                let said = File::options().create(true).append(true).open(&log).unwrap();
                let mut command = self.command(&["run"]);
                command
                    .stdin(Stdio::null())
                    .stdout(said.try_clone().unwrap())
                    .stderr(said);
                *self.agent.lock().unwrap() = Some(command.spawn().unwrap());
            }
            if self.health().is_some() {
                self.starts.fetch_add(1, Ordering::Relaxed);
                self.up.store(true, Ordering::Relaxed);
                return Ok(());
            }
            pause(0.05);
        }
        Err(format!("the agent does not start: {}", log.display()))
    }

    /// Whether it has started and nobody has stopped it since.
    pub(crate) fn is_up(&self) -> bool {
        self.up.load(Ordering::Relaxed)
    }

    pub(crate) fn runs(&self) -> bool {
        let mut agent = self.agent.lock().unwrap();
        agent
            .as_mut()
            .is_some_and(|child| child.try_wait().unwrap().is_none())
    }

    /// SIGKILL, in the middle of whatever it does.
    pub(crate) fn kill(&self) {
        self.up.store(false, Ordering::Relaxed);
        self.note_memory();
        if let Some(mut child) = self.agent.lock().unwrap().take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// SIGTERM; what is under way may take ten seconds more. Says what was wrong about its end.
    pub(crate) fn stop(&self) -> Option<String> {
        self.up.store(false, Ordering::Relaxed);
        self.note_memory();
        let mut child = self.agent.lock().unwrap().take()?;
        kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGTERM).unwrap();
        let asked = now();
        while now() < asked + 13.0 {
            if let Some(status) = child.try_wait().unwrap() {
                return (status.code() != Some(0))
                    .then(|| format!("the agent ended with {status} after SIGTERM"));
            }
            pause(0.01);
        }
        child.kill().unwrap();
        child.wait().unwrap();
        Some("the agent did not end within 13 s of SIGTERM".to_owned())
    }

    /// POSTs an instance to the agent's API.
    pub(crate) fn post_instance(&self, document: &str) -> Ran {
        let token = fs::read_to_string(self.dir.join("data/api.token")).unwrap();
        let url = format!("http://127.0.0.1:{}/elements/api-v2/instances", self.port);
        let request = client().post(&url).header("Content-Type", "application/json");
        let request = request.header(
            "Authorization",
            format!("User {}, Organization storm", token.trim()),
        );
        let sent = request.send(document).and_then(|mut answer| {
            let stdout = answer.body_mut().read_to_string()?;
            let code = i32::from(answer.status().as_u16() >= 300);
            Ok(Ran { code, stdout })
        });
        match sent {
            Ok(ran) => ran,
            // The agent was killed before the answer was whole: nothing is known of that instance.
            Err(_) => Ran {
                code: -1,
                stdout: String::new(),
            },
        }
    }

    pub(crate) fn hang_up(&self) {
        if let Some(child) = &*self.agent.lock().unwrap() {
            kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGHUP).unwrap();
        }
    }

    /// The status and body of `/healthz`; `None` when nobody answers.
    pub(crate) fn health(&self) -> Option<(u16, String)> {
        let url = format!("http://127.0.0.1:{}/healthz", self.port);
        let mut answer = client().get(&url).call().ok()?;
        let body = answer.body_mut().read_to_string().ok()?;
        Some((answer.status().as_u16(), body))
    }

    /// Remembers the most memory that an agent has used.
    pub(crate) fn note_memory(&self) {
        let Some(pid) = self.agent.lock().unwrap().as_ref().map(Child::id) else {
            return;
        };
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
        self.peak_kib.fetch_max(kib.unwrap_or(0), Ordering::Relaxed);
    }

    pub(crate) fn peak_mib(&self) -> u64 {
        self.peak_kib.load(Ordering::Relaxed) / 1024
    }

    /// The rows that `query` finds, each cell as text.
    pub(crate) fn sql(&self, query: &str) -> Vec<Vec<String>> {
        let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
        let connection = rusqlite::Connection::open_with_flags(self.database(), flags).unwrap();
        connection
            .busy_timeout(std::time::Duration::from_secs(10))
            .unwrap();
        let mut statement = connection.prepare(query).unwrap();
        let columns = statement.column_count();
        let text = |row: &rusqlite::Row<'_>, at| {
            row.get::<_, rusqlite::types::Value>(at).map(|cell| match cell {
                rusqlite::types::Value::Text(text) => text,
                rusqlite::types::Value::Integer(number) => number.to_string(),
                _ => String::new(),
            })
        };
        let read = |row: &rusqlite::Row<'_>| (0..columns).map(|at| text(row, at)).collect();
        statement
            .query_map([], read)
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap()
    }
}

impl Drop for Box {
    fn drop(&mut self) {
        self.kill();
    }
}

fn client() -> ureq::Agent {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(std::time::Duration::from_secs(30)))
        .build()
        .new_agent()
}

/// Builds the library that moves the clock.
fn shim(dir: &Path) -> Option<PathBuf> {
    let library = dir.join("clock.so");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/storm/clock.c");
    let mut compiler = Command::new("cc");
    compiler
        .args(["-shared", "-fPIC", "-O2", "-o"])
        .arg(&library)
        .arg(source);
    compiler
        .status()
        .is_ok_and(|status| status.success())
        .then_some(library)
}
