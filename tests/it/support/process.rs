//! The binary as a process: run to its end, or in the background until it is asked to stop or killed.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use deltapost::clock::{Clock, SystemClock};
use serde_json::Value;

use super::PATIENCE;

/// How a run of the binary ended.
#[derive(Debug)]
pub(crate) struct Ran {
    #[expect(dead_code, reason = "an assertion that fails prints it")]
    args: Vec<String>,
    /// `None` when a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    /// Asserts the exit code.
    #[track_caller]
    pub(crate) fn code(self, expect: i32) -> Ran {
        assert_eq!(self.code, Some(expect), "{self:#?}");
        self
    }

    /// Asserts that each of `parts` is in what was said on standard error.
    #[track_caller]
    pub(crate) fn says(self, parts: &[&str]) -> Ran {
        for part in parts {
            assert!(self.stderr.contains(part), "{part:?} is not in {self:#?}");
        }
        self
    }

    /// Asserts one `error: …` line, followed by one `hint: …`, and nothing else that begins so.
    #[track_caller]
    pub(crate) fn one_error_with_a_hint(self) -> Ran {
        let begin = |with: &str| self.stderr.lines().filter(|line| line.starts_with(with)).count();
        assert_eq!((begin("error: "), begin("hint: ")), (1, 1), "{self:#?}");
        self
    }

    /// Standard output, one JSON document.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }
}

fn command(config: &Path, args: &[&str], environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_deltapost"));
    command
        .arg("--config")
        .arg(config)
        .args(args)
        .env_remove("DELTAPOST_CONFIG")
        .env_remove("DELTAPOST_KILL_AT")
        .env_remove("JOURNAL_STREAM")
        .env_remove("CREDENTIALS_DIRECTORY")
        .env_remove("HTTPS_PROXY")
        .env_remove("https_proxy")
        .env_remove("ALL_PROXY")
        .env_remove("all_proxy")
        .env_remove("HTTP_PROXY")
        .env_remove("http_proxy")
        .env_remove("NO_PROXY")
        .env_remove("no_proxy")
        .envs(environment.iter().copied());
    command
}

/// Runs the binary to its end, which has to come.
#[track_caller]
pub(crate) fn run(config: &Path, args: &[&str], environment: &[(&str, &str)], input: &str) -> Ran {
    let mut child = command(config, args, environment)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // A command that does not read its input may be gone before all of it is written.
    if let Err(error) = stdin.write_all(input.as_bytes()) {
        assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
    }
    drop(stdin);
    let (stdout, stderr) = (
        read_along(child.stdout.take().unwrap()),
        read_along(child.stderr.take().unwrap()),
    );
    let code = ended(&mut child);
    if code.is_none() {
        child.kill().unwrap();
    }
    let ran = Ran {
        args: args.iter().map(|arg| (*arg).to_owned()).collect(),
        code: code.flatten(),
        stdout: stdout.join().unwrap(),
        stderr: stderr.join().unwrap(),
    };
    assert!(code.is_some(), "still running after {PATIENCE:?}: {ran:#?}");
    ran
}

fn read_along(mut pipe: impl Read + Send + 'static) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// The exit code of `child`, once it has ended; `None` when it does not in time.
fn ended(child: &mut Child) -> Option<Option<i32>> {
    let deadline = SystemClock.now() + PATIENCE;
    while SystemClock.now() < deadline {
        if let Some(status) = child.try_wait().unwrap() {
            return Some(status.code());
        }
        SystemClock.sleep(Duration::from_millis(2));
    }
    None
}

/// The binary in the background. Dropping it kills it.
pub(crate) struct Agent {
    child: Child,
    log: PathBuf,
}

impl Agent {
    pub(crate) fn spawn(config: &Path, args: &[&str], environment: &[(&str, &str)], log: PathBuf) -> Agent {
        let said = File::create(&log).unwrap();
        let child = command(config, args, environment)
            .stdin(Stdio::null())
            .stdout(said.try_clone().unwrap())
            .stderr(said)
            .spawn()
            .unwrap();
        Agent { child, log }
    }

    pub(crate) fn pid(&self) -> String {
        self.child.id().to_string()
    }

    /// The address that its API listens on.
    #[track_caller]
    pub(crate) fn address(&self) -> std::net::SocketAddr {
        let mut address = None;
        super::eventually("the agent listens", || {
            let log = self.log();
            let told = log.split_once("listening address=").map(|(_, rest)| rest);
            address = told.and_then(|rest| rest.split_whitespace().next()?.parse().ok());
            address.is_some()
        });
        address.unwrap()
    }

    /// What it has said so far.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// Asks it to stop, as `systemctl stop` does.
    #[track_caller]
    pub(crate) fn ask_to_stop(&self) {
        self.signal("TERM");
    }

    /// Sends it the signal of that name.
    #[track_caller]
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("sh")
            .args(["-c", "kill -\"$1\" \"$0\"", &self.pid(), name])
            .status()
            .unwrap();
        assert!(sent.success());
    }

    /// The same, and waits until it has ended. Returns its exit code.
    #[track_caller]
    pub(crate) fn stop(self) -> Option<i32> {
        self.ask_to_stop();
        self.wait()
    }

    /// Ends it by SIGKILL, in the middle of whatever it does.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits until it ends by itself. Returns its exit code, or `None` when a signal ended it.
    #[track_caller]
    pub(crate) fn wait(mut self) -> Option<i32> {
        ended(&mut self.child).unwrap_or_else(|| panic!("it does not end: {}", self.log()))
    }

    /// Whether it is still there.
    pub(crate) fn runs(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // It may have ended by itself; that is no matter here.
        if self.child.try_wait().is_ok_and(|status| status.is_none()) && self.child.kill().is_ok() {
            drop(self.child.wait());
        }
    }
}
