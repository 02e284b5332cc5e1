//! `init`: what it makes, what it leaves alone, and what it refuses.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};

use crate::cli_commands::run::Home;
use crate::support::skipped::without_root;

fn mode(home: &Home, name: &str) -> String {
    format!(
        "{:o}",
        fs::metadata(home.path(name)).unwrap().permissions().mode() & 0o7777
    )
}

/// Whether the tests run as root, who alone can give files away.
#[track_caller]
fn is_root(home: &Home) -> bool {
    let is_root = fs::metadata(home.path(".")).unwrap().uid() == 0;
    if !is_root {
        without_root("only root can give files away");
    }
    is_root
}

#[test]
fn init_makes_everything_and_is_safe_to_repeat() {
    let home = Home::with("");
    home.run(["init"])
        .stdout(
            "created  DIR/data\n\
             created  DIR/data/secret.key\n\
             created  DIR/data/api.token\n\
             created  DIR/data/deltapost.db\n\
             exists   DIR/deltapost.toml\n\
             next: describe an instance in a file and run `deltapost instance create FILE`\n",
        )
        .stderr("")
        .code(0);
    let names = ["data", "data/secret.key", "data/deltapost.db", "data/api.token"];
    assert_eq!(names.map(|name| mode(&home, name)), ["700", "600", "600", "600"]);
    let key = fs::read(home.path("data/secret.key")).unwrap();
    let token = fs::read(home.path("data/api.token")).unwrap();
    let again = home.run(["--json", "init"]).stderr("").code(0).json();
    assert_eq!(again["created"], serde_json::json!([]));
    assert_eq!(again["existing"].as_array().unwrap().len(), 5);
    assert_eq!(fs::read(home.path("data/secret.key")).unwrap(), key);
    assert_eq!(fs::read(home.path("data/api.token")).unwrap(), token);
    let said = home.run(["check"]).stderr("").code(0).stdout;
    let told = "all is well: 0 instances in `DIR/data/deltapost.db`\ntime zones: ";
    assert!(said.starts_with(told), "{said}");
}

#[test]
fn a_database_without_its_key_gets_no_other() {
    let home = Home::initialised("");
    fs::remove_file(home.path("data/secret.key")).unwrap();
    home.run(["init"])
        .stdout("")
        .stderr(
            "error: what is sealed in the database cannot be opened: its key is missing or is another one\n\
             hint: put the secret.key that belongs to this database back into the data directory\n",
        )
        .code(1);
    assert!(!home.path("data/secret.key").exists());
}

#[test]
fn a_key_that_was_made_before_a_crash_is_taken_up() {
    let home = Home::initialised("");
    let key = fs::read(home.path("data/secret.key")).unwrap();
    for name in ["deltapost.db", "api.token"] {
        fs::remove_file(home.path("data").join(name)).unwrap();
    }
    home.write("data/deltapost.db.new", "half a database");
    home.write("data/api.token.new", "half");
    home.run(["init"]).stderr("").code(0);
    home.run(["check"]).code(0);
    assert_eq!(fs::read(home.path("data/secret.key")).unwrap(), key);
    assert!(fs::read_to_string(home.path("data/api.token")).unwrap().len() > 60);
    assert!(!home.path("data/api.token.new").exists());
}

#[test]
fn a_directory_with_other_files_is_left_alone() {
    let home = Home::with("");
    fs::create_dir(home.path("data")).unwrap();
    fs::set_permissions(home.path("data"), fs::Permissions::from_mode(0o755)).unwrap();
    home.write("data/letter.txt", "Dear all");
    home.run(["init"])
        .stdout("")
        .stderr(
            "error: `DIR/data` holds other files and no database of deltapost\n\
             hint: name a new or an empty directory as `data_dir`\n",
        )
        .code(2);
    assert_eq!(mode(&home, "data"), "755");
}

#[test]
fn an_unknown_group_is_a_wrong_configuration() {
    let home = Home::with("group = \"no-such-group\"\n");
    let said = "error: there is no group `no-such-group`\n\
                hint: correct `group` in the configuration file, or create the group\n";
    home.run(["init"]).stdout("").stderr(said).code(2);
    assert!(!home.path("data").exists());
}

#[test]
fn members_of_the_group_may_read_the_database_and_nothing_else() {
    let home = Home::with("group = \"daemon\"\n");
    if !is_root(&home) {
        return;
    }
    home.run(["init"]).stderr("").code(0);
    let names = ["data", "data/secret.key", "data/deltapost.db", "data/api.token"];
    assert_eq!(names.map(|name| mode(&home, name)), ["750", "600", "640", "600"]);
    let groups = names.map(|name| fs::metadata(home.path(name)).unwrap().gid());
    assert_eq!(groups, [1, 0, 1, 0]);
    // Whoever can open a lock's file can hold it against the owner.
    home.run(["once"]).code(0);
    let locks = ["data/agent.lock", "data/database.lock"];
    assert_eq!(locks.map(|name| mode(&home, name)), ["600", "600"]);
    home.run(["check"]).code(0);
    // A group that is taken back takes the rights back.
    home.write("deltapost.toml", &format!("data_dir = {:?}\n", home.path("data")));
    home.run(["init"]).code(0);
    assert_eq!(names.map(|name| mode(&home, name)), ["700", "600", "600", "600"]);
}

#[test]
fn root_hands_its_files_to_the_owner_of_the_directory() {
    let home = Home::with("");
    if !is_root(&home) {
        return;
    }
    fs::create_dir(home.path("data")).unwrap();
    chown(home.path("data"), Some(1), Some(1)).unwrap();
    home.run(["init"]).stderr("").code(0);
    home.run(["once"]).stderr("").code(0);
    for entry in fs::read_dir(home.path("data")).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().uid(), 1, "{:?}", entry.path());
    }
}
