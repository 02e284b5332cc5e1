//! The builder that all of these tests go through: a directory with a configuration, commands run in it, and what they
//! say compared whole. `DIR` stands for the directory in every text.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use deltapost::clock::{Clock, SystemClock};
use serde_json::Value;
use tempfile::TempDir;

/// Longer than anything here takes, unless it is broken.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A directory of its own for one test: `deltapost.toml`, and what `init` makes in `data`.
pub(crate) struct Home(TempDir);

impl Home {
    /// With a configuration file that names `data`, followed by `configuration`.
    pub(crate) fn with(configuration: &str) -> Home {
        let home = Home(tempfile::tempdir().unwrap());
        let data_dir = home.path("data");
        home.write(
            "deltapost.toml",
            &format!("data_dir = {data_dir:?}\n{configuration}\n[listen]\naddress = \"127.0.0.1:0\"\n"),
        );
        home
    }

    /// The same after `init`.
    #[track_caller]
    pub(crate) fn initialised(configuration: &str) -> Home {
        let home = Home::with(configuration);
        home.run(["init"]).code(0);
        home
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        path
    }

    /// The command line `deltapost --config DIR/deltapost.toml ARGS`, not yet run.
    pub(crate) fn run<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> Run {
        let mut command = self.command();
        command.arg("--config").arg(self.path("deltapost.toml"));
        command.args(args.into_iter().map(|arg| self.here(arg)));
        Run {
            command,
            home: self.0.path().to_owned(),
            stdin: Vec::new(),
            stdout: None,
            stderr: None,
        }
    }

    /// The same without `--config`.
    pub(crate) fn run_bare<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> Run {
        let mut run = self.run([]);
        run.command = self.command();
        run.command.args(args.into_iter().map(|arg| self.here(arg)));
        run
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_deltapost"));
        for variable in ["DELTAPOST_CONFIG", "CREDENTIALS_DIRECTORY", "JOURNAL_STREAM"] {
            command.env_remove(variable);
        }
        command.current_dir(self.0.path());
        command
    }

    fn here(&self, text: &str) -> String {
        text.replace("DIR", self.0.path().to_str().unwrap())
    }
}

/// One run of the binary, and what is expected of it. `code` runs it.
pub(crate) struct Run {
    pub(crate) command: Command,
    home: PathBuf,
    stdin: Vec<u8>,
    stdout: Option<String>,
    stderr: Option<String>,
}

impl Run {
    pub(crate) fn stdin(mut self, text: impl AsRef<[u8]>) -> Run {
        self.stdin = text.as_ref().to_vec();
        self
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Run {
        self.command.env(name, value);
        self
    }

    /// Expects exactly this on standard output.
    pub(crate) fn stdout(mut self, text: &str) -> Run {
        self.stdout = Some(text.to_owned());
        self
    }

    /// Expects exactly this on standard error.
    pub(crate) fn stderr(mut self, text: &str) -> Run {
        self.stderr = Some(text.to_owned());
        self
    }

    /// Runs it, holds what it says and its exit code against what is expected, and returns what it said.
    #[track_caller]
    pub(crate) fn code(self, expect: i32) -> Said {
        let (stdout, stderr) = (self.stdout.clone(), self.stderr.clone());
        let (code, said) = self.code_of();
        assert_eq!(code, Some(expect), "{said:?}");
        if let Some(expect) = stdout {
            assert_eq!(said.stdout, expect, "standard output");
        }
        if let Some(expect) = stderr {
            assert_eq!(said.stderr, expect, "standard error");
        }
        said
    }

    /// Runs it, and returns its exit code, unless a signal ended it, and what it said.
    pub(crate) fn code_of(mut self) -> (Option<i32>, Said) {
        let (stdin, stdout, stderr) = (Stdio::piped(), Stdio::piped(), Stdio::piped());
        let mut child = self
            .command
            .stdin(stdin)
            .stdout(stdout)
            .stderr(stderr)
            .spawn()
            .unwrap();
        let input = std::mem::take(&mut self.stdin);
        let mut stdin = child.stdin.take().unwrap();
        // The other end may close without having read: that is some tests' point.
        let feeding = thread::spawn(move || stdin.write_all(&input).ok());
        let output = child.wait_with_output().unwrap();
        feeding.join().unwrap();
        let text = |bytes| {
            String::from_utf8(bytes)
                .unwrap()
                .replace(self.home.to_str().unwrap(), "DIR")
        };
        let said = Said {
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        };
        (output.status.code(), said)
    }

    /// Starts it in the background.
    pub(crate) fn start(mut self) -> Background {
        let (stdout, stderr) = (Stdio::null(), Stdio::piped());
        let mut child = self
            .command
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(stderr)
            .spawn()
            .unwrap();
        let reader = BufReader::new(child.stderr.take().unwrap());
        let (told, lines) = channel();
        thread::spawn(move || {
            reader
                .lines()
                .map_while(Result::ok)
                .try_for_each(|line| told.send(line))
        });
        Background { child, lines }
    }
}

/// What a run said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Said {
    /// Standard output as the one JSON document that it must be.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// A run in the background. It is killed when this is dropped.
pub(crate) struct Background {
    child: Child,
    lines: Receiver<String>,
}

impl Background {
    /// The next line on standard error that has `part` in it.
    #[track_caller]
    pub(crate) fn wait_for_line(&self, part: &str) -> String {
        loop {
            let line = self
                .lines
                .recv_timeout(PATIENCE)
                .unwrap_or_else(|_| panic!("no line with {part:?} came"));
            if line.contains(part) {
                return line;
            }
        }
    }

    /// The first line that a process writes into the file that is its standard error.
    #[track_caller]
    pub(crate) fn first_line(path: &Path) -> String {
        let deadline = SystemClock.now() + PATIENCE;
        loop {
            let text = fs::read_to_string(path).unwrap();
            if let Some((line, _)) = text.split_once('\n') {
                return line.to_owned();
            }
            assert!(SystemClock.now() < deadline, "no line came");
            SystemClock.sleep(Duration::from_millis(5));
        }
    }

    /// Sends the signal of that name, as in `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("sh")
            .arg("-c")
            .arg(format!("kill -{name} {}", self.child.id()))
            .status();
        assert!(sent.unwrap().success());
    }

    /// Whether it has not ended yet.
    pub(crate) fn runs(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits until it has ended.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // It may have ended by itself.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
