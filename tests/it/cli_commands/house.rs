//! Configuration files and data directories that are not as they should be, and `check`, which finds all of it.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::Command;

use rusqlite::Connection;

use crate::cli_commands::run::Home;
use crate::support::skipped::without_root;

/// Runs commands that open the house; each must say `stderr` and fail with `code`.
#[track_caller]
fn refused(home: &Home, stderr: &str, code: i32) {
    for args in [&["instance", "list"][..], &["once"], &["run"], &["check"]] {
        home.run(args.iter().copied())
            .stdout("")
            .stderr(stderr)
            .code(code);
    }
}

#[test]
fn a_configuration_file_that_was_named_must_be_there() {
    let home = Home::with("");
    fs::remove_file(home.path("deltapost.toml")).unwrap();
    refused(
        &home,
        "error: could not read the configuration file `DIR/deltapost.toml`: No such file or directory (os error 2)\n\
         hint: `deltapost init` writes a commented file; without one, and without naming one, the defaults hold\n",
        2,
    );
}

#[test]
fn the_environment_names_a_configuration_file_as_the_flag_does() {
    let home = Home::initialised("");
    let path = home.path("deltapost.toml");
    home.run_bare(["instance", "list", "--json"])
        .env("DELTAPOST_CONFIG", path.to_str().unwrap())
        .code(0);
    let said = home
        .run_bare(["instance", "list"])
        .env("DELTAPOST_CONFIG", "/nonexistent.toml")
        .stdout("")
        .code(2);
    assert!(said.stderr.contains("`/nonexistent.toml`"), "{said:?}");
}

#[test]
fn a_bad_configuration_is_told_with_all_its_places() {
    let home = Home::with("[delivery]\ntimeout = \"0s\"\nworker = 3\n");
    refused(
        &home,
        "error: DIR/deltapost.toml:3:11: delivery.timeout: expected a duration from \"1s\" to \"5m\", got `\"0s\"`\n\
         DIR/deltapost.toml:4:1: delivery.worker: unknown key, did you mean `delivery.workers`?\n\
         hint: correct these lines; a key that is left out has its default\n",
        2,
    );
}

#[test]
fn roots_that_cannot_be_read_are_a_wrong_configuration() {
    let home = Home::initialised("[network]\nca_file = \"/nonexistent.pem\"\n");
    refused(
        &home,
        "error: could not read the roots in `/nonexistent.pem`: No such file or directory (os error 2)\n\
         hint: correct `ca_file` under `[network]`\n",
        2,
    );
}

#[test]
fn a_missing_database_is_told_what_to_do() {
    let home = Home::initialised("");
    fs::remove_file(home.path("data/deltapost.db")).unwrap();
    refused(
        &home,
        "error: there is no database at `DIR/data/deltapost.db`\nhint: run `deltapost init` to create it\n",
        1,
    );
}

#[test]
fn a_data_directory_that_others_can_read_is_refused() {
    let home = Home::initialised("");
    fs::set_permissions(home.path("data"), fs::Permissions::from_mode(0o755)).unwrap();
    refused(
        &home,
        "error: `DIR/data` has mode 0755, so others can read it; expected at most 0700\n\
         hint: as the owner of the data directory, run `chmod 700 DIR/data`\n",
        1,
    );
}

#[test]
fn a_database_of_a_newer_version_is_left_alone() {
    let home = Home::initialised("");
    let path = home.path("data/deltapost.db");
    Connection::open(&path)
        .unwrap()
        .pragma_update(None, "user_version", 999)
        .unwrap();
    let said = home.run(["instance", "list"]).stdout("").code(1);
    assert!(
        said.stderr
            .starts_with("error: the database `DIR/data/deltapost.db` has schema version 999; ")
    );
    refused(&home, &said.stderr, 1);
}

#[test]
fn what_is_not_a_database_is_left_alone() {
    let home = Home::initialised("");
    let text = "not a database, but long enough to be taken for one by its length alone".repeat(20);
    home.write("data/deltapost.db", &text);
    refused(
        &home,
        "error: `DIR/data/deltapost.db` is not a deltapost database\n\
         hint: nothing was changed; `deltapost restore FILE` puts a backup in place of `DIR/data/deltapost.db`\n",
        1,
    );
    assert_eq!(fs::read_to_string(home.path("data/deltapost.db")).unwrap(), text);
}

#[test]
fn another_key_opens_nothing_and_is_told() {
    let (home, other) = (Home::initialised(""), Home::initialised(""));
    fs::copy(other.path("data/secret.key"), home.path("data/secret.key")).unwrap();
    let stderr = "error: what is sealed in the database cannot be opened: its key is missing or is another one\n\
                  hint: put the secret.key that belongs to this database back into the data directory\n";
    let document = r#"{"element": {"key": "onedrivev2"}, "name": "Docs", "providerData": {"code": "c0de"},
        "configuration": {"oauth.api.key": "app", "oauth.callback.url": "https://example.com/back"}}"#;
    home.run(["instance", "create", "-"])
        .stdin(document)
        .stdout("")
        .stderr(stderr)
        .code(1);
    home.run(["check"]).stdout("").stderr(stderr).code(1);
    home.run(["init"]).stdout("").stderr(stderr).code(1);
    home.write("data/secret.key", "c2hvcnQ=\n");
    home.run(["check"])
        .stderr(
            "error: `DIR/data/secret.key` does not hold a key of 32 bytes in base64\n\
             hint: put the secret.key that belongs to this database back into the data directory\n",
        )
        .code(1);
}

#[test]
fn the_key_can_come_from_systemds_credentials() {
    let home = Home::initialised("");
    fs::create_dir(home.path("credentials")).unwrap();
    fs::rename(home.path("data/secret.key"), home.path("credentials/secret.key")).unwrap();
    let credentials = home.path("credentials");
    home.run(["check"])
        .env("CREDENTIALS_DIRECTORY", credentials.to_str().unwrap())
        .stderr("")
        .code(0);
    home.run(["check"]).code(1);
}

#[test]
fn a_read_only_database_is_told() {
    let home = Home::initialised("");
    let data = home.path("data");
    // Root writes to every file, but not to a file system that is mounted read-only.
    let is_root = fs::metadata(&data).unwrap().uid() == 0;
    if is_root {
        let mount = |args: &[&str]| Command::new("mount").args(args).arg(&data).output();
        let mounted = mount(&["--bind", data.to_str().unwrap()]).is_ok_and(|output| output.status.success());
        if !mounted || !mount(&["-o", "remount,ro,bind"]).is_ok_and(|output| output.status.success()) {
            without_root("root cannot mount here, and can write to every file");
            return;
        }
    } else {
        fs::set_permissions(data.join("deltapost.db"), fs::Permissions::from_mode(0o400)).unwrap();
    }
    let said = home.run(["instance", "list"]);
    let output = { said }.code_of();
    if is_root {
        let unmounted = Command::new("umount").arg(&data).status();
        assert!(unmounted.unwrap().success());
    }
    let (code, said) = output;
    assert_eq!(code, Some(1));
    assert_eq!(
        said.stderr,
        "error: the database `DIR/data/deltapost.db` is read-only\n\
         hint: run as the owner of the data directory, on a disk that can be written\n"
    );
}

#[test]
fn check_finds_every_problem() {
    let home = Home::initialised("");
    for (name, mode) in [
        ("data", 0o750),
        ("data/deltapost.db", 0o644),
        ("data/secret.key", 0o640),
    ] {
        fs::set_permissions(home.path(name), fs::Permissions::from_mode(mode)).unwrap();
    }
    fs::remove_file(home.path("data/api.token")).unwrap();
    let said = home
        .run(["check", "--json"])
        .stderr(
            "error: `DIR/data` has mode 0750, so others can read it; expected at most 0700\n\
             hint: as the owner of the data directory, run `chmod 700 DIR/data`\n\
             error: `DIR/data/deltapost.db` has mode 0644, so others can read it; expected at most 0600\n\
             hint: as the owner of the data directory, run `chmod 600 DIR/data/deltapost.db`\n\
             error: could not look at `DIR/data/api.token`: No such file or directory (os error 2)\n\
             hint: run `deltapost init` to create it\n\
             error: `DIR/data/secret.key` has mode 0640, so others can read it; expected at most 0600\n\
             hint: as the owner of the data directory, run `chmod 600 DIR/data/secret.key`\n",
        )
        .code(1);
    assert_eq!(said.json()["problems"].as_array().unwrap().len(), 4);
}

#[test]
fn check_looks_at_an_earlier_database_without_changing_it() {
    let home = Home::initialised("");
    let path = home.path("data/deltapost.db");
    Connection::open(&path)
        .unwrap()
        .pragma_update(None, "user_version", 0)
        .unwrap();
    home.run(["check"])
        .stdout("the database is of an earlier version; the next start brings it up to date\n")
        .stderr("")
        .code(0);
    let version: i64 = Connection::open(&path)
        .unwrap()
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .unwrap();
    assert_eq!(version, 0);
}
