//! Root's commands in another user's data directory: they act as that user, and lead nobody to a file of root's.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

use deltapost::sim::onedrive::Account;

use crate::adverse::place::{NOBODY, is_root, let_in};
use crate::adverse::{hurried, polled};
use crate::support::{Site, eventually, process};

/// A site whose data directory is another user's; `None` where the tests do not run as root.
fn site_of_another_user() -> Option<Site> {
    let (account, sections) = hurried();
    let site = Site::configured(account, sections);
    if !is_root(&site) || !let_in(&site) {
        return None;
    }
    polled(&site);
    give_away(&site.data_dir());
    Some(site)
}

fn give_away(data_dir: &Path) {
    give_away_to(data_dir, NOBODY);
}

fn give_away_to(data_dir: &Path, owner: u32) {
    for entry in fs::read_dir(data_dir).unwrap() {
        chown(entry.unwrap().path(), Some(owner), Some(owner)).unwrap();
    }
    chown(data_dir, Some(owner), Some(owner)).unwrap();
}

fn owners(data_dir: &Path) -> Vec<(PathBuf, u32)> {
    let entries = fs::read_dir(data_dir).unwrap().map(Result::unwrap);
    entries
        .map(|entry| (entry.path(), entry.metadata().unwrap().uid()))
        .collect()
}

const SECRET: &str = "root:*:20000:0:99999:7:::\n";

/// A file that nobody but root may read or change, alone in its directory.
struct Victim(PathBuf);

impl Victim {
    fn of(site: &Site) -> Victim {
        let directory = site.file("etc", "").with_file_name("root");
        fs::create_dir(&directory).unwrap();
        let path = directory.join("shadow");
        fs::write(&path, SECRET).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        Victim(path)
    }

    #[track_caller]
    fn is_unharmed(&self, what: &str) {
        let found = fs::metadata(&self.0).unwrap();
        let mode = found.permissions().mode() & 0o7777;
        assert_eq!((found.uid(), found.gid(), mode), (0, 0, 0o600), "{what}");
        assert_eq!(fs::read_to_string(&self.0).unwrap(), SECRET, "{what}");
        let beside = fs::read_dir(self.0.parent().unwrap()).unwrap();
        assert_eq!(beside.count(), 1, "{what}: a file was made");
    }
}

const COMMANDS: [&[&str]; 7] = [
    &["init"],
    &["check"],
    &["once"],
    &["poll", "Docs"],
    &["restore", "COPY"],
    &["token", "rotate"],
    &["backup", "NEW"],
];

#[test]
fn whatever_the_owner_links_to_root_changes_nothing_there() {
    let Some(site) = site_of_another_user() else {
        return;
    };
    let victim = Victim::of(&site);
    let copy = site.file("unused", "").with_file_name("copy.db");
    site.cli(&["backup", copy.to_str().unwrap()]).code(0);
    let away = site.data_dir().with_file_name("away");
    let names = [
        "api.token",
        "secret.key",
        "agent.lock",
        "database.lock",
        "deltapost.db",
        "deltapost.db-wal",
        "deltapost.db-shm",
        "deltapost.db.new",
    ];
    let link: fn(&Path, &Path) = |victim, name| symlink(victim, name).unwrap();
    let second_name: fn(&Path, &Path) = |victim, name| fs::hard_link(victim, name).unwrap();
    let dangling: fn(&Path, &Path) = |victim, name| symlink(victim.with_file_name("made"), name).unwrap();
    for (kind, place) in [
        ("link", link),
        ("second name", second_name),
        ("dangling", dangling),
    ] {
        for name in names {
            let path = site.data_dir().join(name);
            for command in COMMANDS {
                let what = format!("{kind} {name}: {command:?}");
                fs::rename(site.data_dir(), &away).unwrap();
                copy_directory(&away, &site.data_dir());
                if path.exists() {
                    fs::remove_file(&path).unwrap();
                }
                place(&victim.0, &path);
                let new = copy.with_file_name("new.db");
                let args = command.iter().map(|arg| match *arg {
                    "COPY" => copy.to_str().unwrap(),
                    "NEW" => new.to_str().unwrap(),
                    arg => arg,
                });
                site.cli(&args.collect::<Vec<_>>());
                victim.is_unharmed(&what);
                fs::remove_dir_all(site.data_dir()).unwrap();
                fs::rename(&away, site.data_dir()).unwrap();
                if new.exists() {
                    fs::remove_file(&new).unwrap();
                }
            }
        }
    }
    site.once().code(0);
}

fn copy_directory(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    fs::set_permissions(to, fs::metadata(from).unwrap().permissions()).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
    give_away(to);
}

#[test]
fn root_works_as_the_directorys_owner_with_files_that_only_root_can_reach() {
    let Some(site) = site_of_another_user() else {
        return;
    };
    let private = site.file("unused", "").with_file_name("root");
    fs::create_dir(&private).unwrap();
    fs::set_permissions(&private, fs::Permissions::from_mode(0o700)).unwrap();
    let in_private = |name: &str| private.join(name).to_str().unwrap().to_owned();
    let document = site.document("Second", serde_json::json!({}));
    fs::write(in_private("second.json"), document.to_string()).unwrap();
    site.cli(&["instance", "create", &in_private("second.json")])
        .code(0);
    site.once().code(0);
    site.cli(&["backup", &in_private("copy.db"), "--with-key"])
        .code(0);
    for name in ["copy.db", "copy.db.key"] {
        let made = fs::metadata(in_private(name)).unwrap();
        assert_eq!(
            (made.uid(), made.permissions().mode() & 0o777),
            (0, 0o600),
            "{name}"
        );
    }
    // What somebody else has made beforehand would be his to read; what a failure left is taken.
    let foreign = site.file("foreign.db", "");
    chown(&foreign, Some(1), Some(1)).unwrap();
    site.cli(&["backup", foreign.to_str().unwrap()])
        .code(1)
        .says(&["exists already"]);
    fs::write(in_private("again.db"), "").unwrap();
    site.cli(&["backup", &in_private("again.db")]).code(0);
    // On another box, with another key.
    for name in ["deltapost.db", "secret.key"] {
        fs::remove_file(site.data_dir().join(name)).unwrap();
    }
    site.cli(&["init"]).code(0);
    site.cli(&["restore", &in_private("copy.db")]).code(0);
    site.cli(&["token", "rotate"]).code(0);
    site.cli(&["check"]).code(0);
    let listed = site.cli(&["instance", "list"]).code(0).stdout;
    assert!(listed.contains("Second"), "{listed}");
    let agent = site.spawn_run();
    let status = fs::read_to_string(format!("/proc/{}/status", agent.pid())).unwrap();
    assert!(
        status.contains(&format!("Uid:\t{NOBODY}\t{NOBODY}\t{NOBODY}\t{NOBODY}\n")),
        "{status}"
    );
    eventually("it works", || agent.log().contains("started"));
    assert_eq!(agent.stop(), Some(0));
    for (path, owner) in owners(&site.data_dir()) {
        assert_eq!(owner, NOBODY, "{}", path.display());
    }
}

#[test]
fn a_directory_that_others_can_exchange_is_no_place_for_root() {
    let site = Site::new(Account::business());
    if !is_root(&site) || !let_in(&site) {
        return;
    }
    let above = site.data_dir().parent().unwrap().join("above");
    fs::create_dir(&above).unwrap();
    fs::rename(site.data_dir(), above.join("data")).unwrap();
    symlink(above.join("data"), site.data_dir()).unwrap();
    site.once().code(0);
    for (owner, group, mode) in [(NOBODY, NOBODY, 0o755), (0, 1, 0o775)] {
        chown(&above, Some(owner), Some(group)).unwrap();
        fs::set_permissions(&above, fs::Permissions::from_mode(mode)).unwrap();
        for args in [&["once"][..], &["init"], &["check"], &["token", "rotate"]] {
            site.cli(args).code(1).says(&[
                "error: root does not work in `",
                "other users can change `",
                "hint: run as the owner of the data directory",
            ]);
        }
    }
}

#[test]
fn root_gives_the_group_what_it_may_read_though_the_owner_is_no_member() {
    let Some(site) = site_of_another_user() else {
        return;
    };
    let text = fs::read_to_string(site.config_file()).unwrap();
    fs::write(site.config_file(), format!("group = \"daemon\"\n{text}")).unwrap();
    site.cli(&["init"]).code(0);
    let agent = site.spawn_run();
    let look = |name: &str| {
        let found = fs::metadata(site.data_dir().join(name)).unwrap();
        (found.uid(), found.gid(), found.permissions().mode() & 0o777)
    };
    for name in ["deltapost.db", "deltapost.db-wal", "deltapost.db-shm"] {
        assert_eq!(look(name), (NOBODY, 1, 0o640), "{name}");
    }
    assert_eq!(look("."), (NOBODY, 1, 0o750));
    assert_eq!(agent.stop(), Some(0));
}

/// A directory of root's that members of `group` may write.
fn shared_with(site: &Site, group: u32) -> PathBuf {
    let shared = site.file("unused", "").with_file_name(format!("shared-{group}"));
    fs::create_dir(&shared).unwrap();
    chown(&shared, None, Some(group)).unwrap();
    fs::set_permissions(&shared, fs::Permissions::from_mode(0o775)).unwrap();
    shared
}

#[test]
fn who_may_write_to_a_directory_redirects_no_backup_of_roots() {
    let Some(site) = site_of_another_user() else {
        return;
    };
    let victim = Victim::of(&site);
    let empty = victim.0.with_file_name("empty");
    let shared = shared_with(&site, 1);
    symlink(victim.0.parent().unwrap(), shared.join("out")).unwrap();
    symlink(victim.0.with_file_name("made"), shared.join("link.db")).unwrap();
    let backup = |name: &str| site.cli(&["backup", shared.join(name).to_str().unwrap()]);
    for whose in [NOBODY, 0] {
        for name in ["out/copy.db", "link.db"] {
            backup(name).code(1);
            victim.is_unharmed(name);
        }
        fs::write(&empty, "").unwrap();
        fs::hard_link(&empty, shared.join("second.db")).unwrap();
        backup("second.db").code(1);
        assert_eq!(fs::metadata(&empty).unwrap().len(), 0);
        fs::remove_file(&empty).unwrap();
        fs::remove_file(shared.join("second.db")).unwrap();
        backup(&format!("{whose}.db")).code(0);
        let made = fs::metadata(shared.join(format!("{whose}.db"))).unwrap();
        assert_eq!((made.uid(), made.mode() & 0o777), (0, 0o600));
        give_away_to(&site.data_dir(), 0);
    }
}

#[test]
fn root_reads_for_the_owner_only_what_the_owner_could_not_have_put_there() {
    let Some(site) = site_of_another_user() else {
        return;
    };
    let private = site.file("unused", "").with_file_name("root");
    fs::create_dir(&private).unwrap();
    fs::set_permissions(&private, fs::Permissions::from_mode(0o700)).unwrap();
    let copy = private.join("copy.db");
    site.cli(&["backup", copy.to_str().unwrap(), "--with-key"])
        .code(0);
    let shared = shared_with(&site, NOBODY);
    symlink(&copy, shared.join("copy.db")).unwrap();
    site.cli(&["restore", shared.join("copy.db").to_str().unwrap()])
        .code(1)
        .says(&["Permission denied"]);
    site.cli(&["restore", copy.to_str().unwrap()]).code(0);
}

#[test]
fn root_obeys_no_configuration_that_others_can_change() {
    let Some(site) = site_of_another_user() else {
        return;
    };
    let above = site.data_dir().with_file_name("above");
    fs::create_dir(&above).unwrap();
    let config = above.join("deltapost.toml");
    fs::copy(site.config_file(), &config).unwrap();
    let ran = |args: &[&str]| process::run(&config, args, &[], "");
    let set = |path: &Path, owner, group, mode| {
        chown(path, Some(owner), Some(group)).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    set(&config, 0, NOBODY, 0o640);
    ran(&["once"]).code(0);
    for (path, owner, group, mode, good) in [
        (&config, NOBODY, 0, 0o640, 0o640),
        (&config, 0, NOBODY, 0o660, 0o640),
        (&config, 0, 0, 0o646, 0o640),
        (&above, NOBODY, 0, 0o755, 0o755),
        (&above, 0, NOBODY, 0o775, 0o755),
        (&above, 0, 0, 0o757, 0o755),
    ] {
        set(path, owner, group, mode);
        for args in [
            &["once"][..],
            &["init"],
            &["check"],
            &["token", "rotate"],
            &["outbox"],
        ] {
            ran(args).code(1).says(&[
                "error: root does not use the configuration `",
                &format!("other users can change `{}`", path.display()),
                "hint: ",
            ]);
        }
        set(path, 0, 0, good);
        ran(&["check"]).code(0);
    }
    // Nor is a new one made where others can exchange it.
    set(&above, NOBODY, 0, 0o755);
    fs::remove_file(&config).unwrap();
    ran(&["init"])
        .code(1)
        .says(&["root does not use the configuration `"]);
    assert!(!config.exists());
}
