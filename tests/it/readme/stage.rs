//! A box on which a page's commands are run: a home of its own, the simulated OneDrive, a receiver, and stand-ins for the
//! programs that a test cannot run.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use deltapost::sim::onedrive::Account;
use serde_json::json;

use crate::readme::page::{Block, Page};
use crate::support::Site;

/// What the pages call the receiver's key, and all of them use.
const KEY: &str = "a key that your receiver knows";

/// A program that is not run as it is: its name, what is run instead, and why. A page that needs another one needs a row.
struct StandIn {
    name: &'static str,
    script: &'static str,
    #[expect(dead_code, reason = "for who reads the table")]
    because: &'static str,
}

const STAND_INS: &[StandIn] = &[
    StandIn {
        name: "deltapost",
        script: r#"[ "$1" = run ] || exec "$BINARY" "$@"
"$BINARY" "$@" >>"$BOX/agent.log" 2>&1 &
echo $! >"$BOX/agent.pid"
for _ in $(seq 600); do
    grep -qs "listening address" "$BOX/agent.log" && exit
    kill -0 $! || break
    sleep 0.1
done
cat "$BOX/agent.log" >&2
exit 1"#,
        because: "`run` stays in the foreground, and the page goes on in another terminal",
    },
    StandIn {
        name: "cargo",
        script: r#"case "$*" in
    "run --release -- demo") exec "$BINARY" demo --seconds 1 ;;
    "build --release") mkdir -p target/release && cp "$BINARY" target/release/ ;;
    test | "bench --bench figures"*) ;;
    *) echo "cargo $* is not known here" >&2 && exit 1 ;;
esac"#,
        because: "these commands are what builds and runs this test; figures take minutes and a release build",
    },
    StandIn {
        name: "packaging/build",
        script: r#"mkdir -p target && : >"target/deltapost_${VERSION}_amd64.deb""#,
        because: "it takes minutes and fetches Zig: tests/real/packages runs it",
    },
    StandIn {
        name: "apt",
        script: r#"[ "$1" = install ] && [ -e "$2" ]"#,
        because: "it changes the machine: tests/real/packages installs the package with dpkg",
    },
    StandIn {
        name: "systemctl",
        script: r#"case "$1" in
    start) [ "$2" = deltapost ] && exec deltapost run ;;
    stop) [ "$2" = deltapost ] && [ -e "$BOX/agent.pid" ] || exit 0
        kill "$(cat "$BOX/agent.pid")"
        while kill -0 "$(cat "$BOX/agent.pid")" 2>/dev/null; do sleep 0.1; done
        rm "$BOX/agent.pid" "$BOX/agent.log" ;;
    *) exit 1 ;;
esac"#,
        because: "the machine's services are not ours; the unit is tried by tests/it/service.rs and tests/real/packages",
    },
    StandIn {
        name: "litestream",
        script: r#"case "$1" in
    replicate) deltapost backup "$BOX/replica" ;;
    restore) systemctl stop deltapost && cp "$BOX/replica" "$5" ;;
    *) exit 1 ;;
esac"#,
        because: "it is another project's, and has no S3 here: tests/real/litestream has it replicate into files",
    },
    StandIn {
        name: "curl",
        script: r#"exec "$CURL" --fail --silent --show-error "$@""#,
        because: "curl alone ends well whatever the answer's status is",
    },
];

/// The programs that are run as they are. There are no others on the stage, so that a page's new command does nothing to the
/// machine before somebody has given it a row here or above.
const PROGRAMS: &[&str] = &[
    "bash", "cat", "cp", "grep", "mkdir", "rm", "seq", "sleep", "sqlite3", "timeout",
];

/// What a page says, what stands there instead when it is run, and why.
const REPLACED: &[(&str, &str, &str)] = &[
    (
        "the code from the redirect",
        "{code}",
        "only a person can sign in at Microsoft",
    ),
    (
        "https://example.com/events",
        "{receiver}",
        "the receiver of this test",
    ),
    (
        "https://example.com/new",
        "{receiver}",
        "the receiver of this test",
    ),
    (
        "127.0.0.1:8649",
        "{address}",
        "the machine may have an agent on that port",
    ),
    ("localhost:8649/elements", "{address}/elements", "the same"),
    (
        "data_dir = \"$HOME/deltapost/data\"",
        "{config}",
        "the provider is simulated",
    ),
    (
        "/usr/local/bin/",
        "{box}/bin-installed/",
        "the machine is left alone",
    ),
    (
        "/var/lib/deltapost",
        "{box}/home/deltapost/data",
        "the machine is left alone",
    ),
    ("/mnt/", "{box}/mnt/", "the machine is left alone"),
    ("/root/", "{box}/root/", "the machine is left alone"),
    ("/safe/", "{box}/safe/", "the machine is left alone"),
];

pub(crate) struct Stage {
    site: Site,
    home: tempfile::TempDir,
    address: String,
}

impl Stage {
    /// A box with nothing on it but the stand-ins.
    pub(crate) fn bare(number: u8) -> Stage {
        let site = Site::bare(Account::business(), "");
        site.receiver.set_key(Some(KEY.to_owned()));
        let stage = Stage {
            site,
            home: tempfile::tempdir().unwrap(),
            address: loopback(number),
        };
        for directory in ["home", "bin", "bin-installed", "mnt/backup", "root", "safe"] {
            fs::create_dir_all(stage.path(directory)).unwrap();
        }
        for stand_in in STAND_INS {
            let place = match stand_in.name.contains('/') {
                true => format!("home/{}", stand_in.name),
                false => format!("bin/{}", stand_in.name),
            };
            stage.write(&place, &format!("#!/bin/sh\n{}\n", stand_in.script));
            fs::set_permissions(stage.path(&place), fs::Permissions::from_mode(0o755)).unwrap();
        }
        for program in PROGRAMS {
            symlink(which(program), stage.path("bin").join(program)).unwrap();
        }
        stage
    }

    /// The same with the agent initialised, one instance that has delivered an event, and the files that pages mention.
    pub(crate) fn settled(number: u8) -> Stage {
        let stage = Stage::bare(number);
        stage.write("home/deltapost/deltapost.toml", &stage.config());
        stage.write("home/old.key", KEY);
        stage.write("home/new.key", "another key");
        stage.write("first.json", &stage.instance("Finance OneDrive"));
        stage.write("home/instance.json", &stage.instance("Sales OneDrive"));
        let begin = "deltapost init\n\
                     cp ~/deltapost/data/secret.key \"$BOX/safe/\"\n\
                     deltapost instance create \"$BOX/first.json\"\n\
                     deltapost once\n";
        stage.run("the beginning", begin);
        let drive = stage.site.drive();
        drive.create_file(&drive.root_id(), "report.xlsx", 1200);
        stage.run("the first event", "deltapost once\n");
        assert_eq!(stage.site.receiver.events().len(), 1);
        stage
    }

    /// Runs a page's commands from its first to its last in one shell, which must not fail in any, after those of `begin`.
    #[track_caller]
    pub(crate) fn run_page(&self, page: &Page, begin: &str, blocks: &[&Block]) {
        let mut script = begin.to_owned();
        for block in blocks {
            let text = self.replaced(&block.text);
            script.push_str(&format!("echo '== {}:{}' >&2\n{text}\n", page.path, block.line));
        }
        self.run(page.path, &script);
    }

    #[track_caller]
    fn run(&self, what: &str, script: &str) {
        let config = self.path("home/deltapost/deltapost.toml");
        let whole = format!("set -euo pipefail\ntrap 'systemctl stop deltapost' EXIT\n{script}");
        // So that a command that waits for ever fails, and is told of.
        let output = Command::new("timeout")
            .args(["300", "bash", "-c", &whole])
            .current_dir(self.path("home"))
            .stdin(Stdio::null())
            .env_clear()
            .env("PATH", self.path("bin"))
            .env("HOME", self.path("home"))
            .env("BOX", self.home.path())
            .env("BINARY", env!("CARGO_BIN_EXE_deltapost"))
            .env("VERSION", env!("CARGO_PKG_VERSION"))
            .env("CURL", which("curl"))
            .env("DELTAPOST_CONFIG", config)
            .output()
            .unwrap();
        let told = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(
            output.status.success(),
            "{what}: {}\n{}\n{}",
            output.status,
            told(&output.stdout),
            told(&output.stderr)
        );
    }

    fn replaced(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (from, to, _) in REPLACED {
            let to = to
                .replace("{code}", &self.site.cloud.issue_code())
                .replace("{receiver}", &self.site.receiver.url())
                .replace("{address}", &self.address)
                .replace("{config}", &self.config())
                .replace("{box}", &self.home.path().display().to_string());
            text = text.replace(from, &to);
        }
        text
    }

    /// What the tables have rows for: each must be on some page.
    pub(crate) fn rows() -> impl Iterator<Item = &'static str> {
        let replaced = REPLACED.iter().map(|row| row.0);
        STAND_INS.iter().map(|row| row.name).chain(replaced)
    }

    fn config(&self) -> String {
        let data = self.path("home/deltapost/data");
        let (authority, graph) = (self.site.cloud.authority(), self.site.cloud.graph_base());
        format!(
            "data_dir = {data:?}\n[listen]\naddress = {:?}\n[microsoft]\nauthority = {authority:?}\ngraph = {graph:?}\n",
            self.address
        )
    }

    pub(crate) fn instance(&self, name: &str) -> String {
        let key = json!({"event.notification.signature.key": KEY});
        self.site.document(name, key).to_string()
    }

    fn write(&self, place: &str, text: &str) {
        let path = self.path(place);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn path(&self, place: &str) -> PathBuf {
        self.home.path().join(place)
    }
}

/// A loopback address that no other test of this machine has: 127.0.0.0/8 is ours as a whole, so the pid finds a free one.
fn loopback(number: u8) -> String {
    let [.., high, low] = std::process::id().to_be_bytes();
    format!("127.{}.{high}.{low}:8649", 100 + number)
}

/// Where a program of the machine is.
fn which(program: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap();
    let found = std::env::split_paths(&path)
        .map(|directory| directory.join(program))
        .find(|place| place.is_file());
    found.unwrap_or_else(|| PathBuf::from("/usr/bin").join(program))
}
