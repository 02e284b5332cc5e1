//! Directories that are missing, taken away, another user's, or not to be written.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output};

use deltapost::sim::onedrive::Account;

use crate::adverse::{hurried, nothing_is_lost, polled};
use crate::support::skipped::without_root;
use crate::support::{Site, eventually};

/// The user that everybody has.
pub(crate) const NOBODY: u32 = 65_534;

#[test]
fn a_missing_directory_is_told_and_one_that_returns_serves() {
    let (account, sections) = hurried();
    let site = Site::configured(account, sections);
    polled(&site);
    let away = site.data_dir().with_file_name("away");
    fs::rename(site.data_dir(), &away).unwrap();
    for args in [&["run"][..], &["once"], &["outbox"]] {
        site.cli(args)
            .code(1)
            .says(&["error: there is no database at `", "hint: run `deltapost init`"]);
    }
    assert!(!site.data_dir().exists(), "nothing is made in its place");
    fs::rename(&away, site.data_dir()).unwrap();
    site.once().code(0);
    nothing_is_lost(&site);
}

#[test]
fn an_agent_whose_database_is_taken_away_ends_before_it_writes_for_nobody() {
    let (account, sections) = hurried();
    let site = Site::configured(account, sections);
    polled(&site);
    let drive = site.drive();
    drive.create_file(&drive.root_id(), "before.xlsx", 1_200);
    let mut agent = site.spawn_run();
    eventually("the first event is there", || site.receiver.events().len() == 1);
    let away = site.data_dir().with_file_name("away");
    fs::rename(site.data_dir(), &away).unwrap();
    eventually("it has ended", || !agent.runs());
    let log = agent.log();
    assert!(
        log.contains("was removed or replaced while it was in use"),
        "{log}"
    );
    assert_eq!(agent.wait(), Some(1));
    fs::rename(&away, site.data_dir()).unwrap();
    drive.create_file(&drive.root_id(), "after.xlsx", 1_200);
    site.once().code(0);
    nothing_is_lost(&site);
}

/// `deltapost ARGS` as another user, in a namespace of its own where `prepare` was done first.
fn run(site: &Site, prepare: &str, user: Option<u32>, args: &[&str]) -> Output {
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", &format!("{prepare}; exec \"$@\""), "sh"]);
    if let Some(user) = user {
        command = Command::new(env!("CARGO_BIN_EXE_deltapost"));
        command.uid(user).gid(user);
    } else {
        command.arg(env!("CARGO_BIN_EXE_deltapost"));
    }
    command.arg("--config").arg(site.config_file()).args(args);
    command.env_remove("DELTAPOST_CONFIG").output().unwrap()
}

#[track_caller]
pub(crate) fn is_root(site: &Site) -> bool {
    let root = fs::metadata(site.config_file()).unwrap().uid() == 0;
    let may = root
        && Command::new("unshare")
            .args(["-m", "true"])
            .status()
            .is_ok_and(|s| s.success());
    if !may {
        without_root("only root, with a mount namespace of its own, can be somebody else");
    }
    may
}

#[track_caller]
fn says(output: &Output, parts: &[&str]) {
    let said = String::from_utf8_lossy(&output.stderr);
    for part in parts {
        assert!(said.contains(part), "{part:?} is not in {said}");
    }
}

/// Whether that user can reach the binary and the site at all.
#[track_caller]
pub(crate) fn let_in(site: &Site) -> bool {
    let home = site.config_file();
    let home = home.parent().unwrap();
    fs::set_permissions(home, fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(site.config_file(), fs::Permissions::from_mode(0o644)).unwrap();
    let may = Command::new(env!("CARGO_BIN_EXE_deltapost"))
        .arg("--version")
        .uid(NOBODY)
        .output()
        .is_ok();
    if !may {
        without_root("other users cannot reach the binary");
    }
    may
}

#[test]
fn the_wrong_user_is_told_whose_turn_it_is() {
    let site = Site::new(Account::business());
    if !is_root(&site) || !let_in(&site) {
        return;
    }
    for args in [&["run"][..], &["once"], &["outbox"], &["check"]] {
        let ran = run(&site, "", Some(NOBODY), args);
        assert_eq!(ran.status.code(), Some(1), "{ran:?}");
        says(
            &ran,
            &[
                "Permission denied",
                "hint: run as the user who owns the data directory",
            ],
        );
    }
}

#[test]
fn a_file_of_the_wrong_owner_is_named() {
    let site = Site::new(Account::business());
    if !is_root(&site) || !let_in(&site) {
        return;
    }
    for entry in fs::read_dir(site.data_dir()).unwrap() {
        chown(entry.unwrap().path(), Some(NOBODY), Some(NOBODY)).unwrap();
    }
    chown(site.data_dir(), Some(NOBODY), Some(NOBODY)).unwrap();
    assert_eq!(run(&site, "", Some(NOBODY), &["once"]).status.code(), Some(0));
    for name in ["deltapost.db", "secret.key", "database.lock"] {
        let path = site.data_dir().join(name);
        chown(&path, Some(0), Some(0)).unwrap();
        for args in [&["run"][..], &["check"]] {
            let ran = run(&site, "", Some(NOBODY), args);
            assert_eq!(ran.status.code(), Some(1), "{ran:?}");
            says(&ran, &[path.to_str().unwrap(), "hint: "]);
        }
        // Root's `init` gives back what is the owner's.
        site.cli(&["init"]).code(0);
        assert_eq!(fs::metadata(&path).unwrap().uid(), NOBODY);
        assert_eq!(run(&site, "", Some(NOBODY), &["once"]).status.code(), Some(0));
    }
}

#[test]
fn without_time_zone_data_the_built_in_zones_serve() {
    let (account, sections) = hurried();
    let site = Site::configured(account, sections);
    if !is_root(&site) {
        return;
    }
    let hide = "for d in /usr/share/zoneinfo /usr/share/lib/zoneinfo /etc/zoneinfo; do [ ! -d $d ] || mount -t tmpfs none $d; done";
    let args = [
        "schedule",
        "--cron",
        "30 2 * * *",
        "--timezone",
        "Europe/Berlin",
        "--from",
        "2026-03-28",
    ];
    let with = site.cli(&args).code(0).stdout;
    let without = run(&site, hide, None, &args);
    assert_eq!(String::from_utf8_lossy(&without.stdout), with, "{without:?}");
    let check = run(&site, hide, None, &["check"]);
    let said = String::from_utf8_lossy(&check.stdout).into_owned();
    assert!(
        said.contains("time zones: built in, since this system has none"),
        "{check:?}"
    );
}

#[test]
fn without_a_temporary_directory_only_the_demonstration_wants_one() {
    let (account, sections) = hurried();
    let site = Site::configured(account, sections);
    if !is_root(&site) {
        return;
    }
    polled(&site);
    let drive = site.drive();
    drive.create_file(&drive.root_id(), "report.xlsx", 1_200);
    // The site itself lies in the temporary directory: it is read-only except for that.
    let home = site.config_file();
    let home = home.parent().unwrap().display().to_string();
    let top = Path::new(&home).parent().unwrap().display().to_string();
    let close = format!(
        "set -e; mkdir -p {home}; for d in /tmp /var/tmp /dev/shm {top}; do [ ! -d $d ] || mount --bind $d $d; \
         [ ! -d $d ] || mount -o remount,bind,ro $d; done; mount --bind {home} {home}; mount -o remount,bind,rw {home}; cd /"
    );
    for args in [
        &["once"][..],
        &["outbox", "list"],
        &["check"],
        &["backup", &format!("{home}/copy.db")],
    ] {
        let ran = run(&site, &close, None, args);
        assert_eq!(ran.status.code(), Some(0), "{ran:?}");
    }
    let demo = run(&site, &close, None, &["demo", "--seconds", "1"]);
    assert_eq!(demo.status.code(), Some(1), "{demo:?}");
    says(
        &demo,
        &[
            "could not create a temporary directory: ",
            "hint: name a directory that can be written in TMPDIR",
        ],
    );
    nothing_is_lost(&site);
}
