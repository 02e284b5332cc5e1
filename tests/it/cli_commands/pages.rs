//! `man` and `completions`: that they can be read, and that they say what the commands and pages say.

use std::process::{Command, Stdio};

use crate::cli_commands::run::Home;

const PAGES: [&str; 3] = ["deltapost", "deltapost.toml", "deltapost-schema"];

fn page(name: &str) -> String {
    Home::with("").run(["man", name]).stderr("").code(0).stdout
}

#[test]
fn the_pages_are_sound_roff() {
    for name in PAGES {
        let page = page(name);
        assert!(page.starts_with(".TH \""), "{name}");
        // What is left of Markdown's marks would be told as it is.
        for mark in ["](", "\n#", "\n|"] {
            assert!(!page.contains(mark), "{name} has {mark:?}");
        }
        let Ok(mut groff) = Command::new("groff")
            .args(["-man", "-Tutf8", "-ww", "-z"])
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
        else {
            eprintln!("skipped: there is no groff");
            continue;
        };
        std::io::Write::write_all(&mut groff.stdin.take().unwrap(), page.as_bytes()).unwrap();
        let said = groff.wait_with_output().unwrap();
        assert_eq!(String::from_utf8_lossy(&said.stderr), "", "{name}");
    }
}

#[test]
fn each_command_key_and_table_has_its_place_in_a_page() {
    let commands = page("deltapost");
    for heading in [
        "init",
        "instance update",
        "outbox replay",
        "schedule",
        "completions",
        "man",
    ] {
        assert!(commands.contains(&format!(".SS \"{heading}")), "{heading}");
    }
    assert!(
        commands.contains("Show what was written to the outbox"),
        "{commands}"
    );
    let keys = page("deltapost.toml");
    for key in deltapost::config::TEMPLATE
        .lines()
        .filter_map(|line| line.strip_prefix('#'))
    {
        let Some((key, _)) = key.split_once(" = ").filter(|(key, _)| !key.contains(' ')) else {
            continue;
        };
        assert!(keys.contains(&format!("\\fB{key} = ")), "{key}");
    }
    let schema = page("deltapost-schema");
    for line in include_str!("../../../schema/README.md").lines() {
        if let Some(table) = line.strip_prefix("### ") {
            let title = table.replace('\'', "\\(aq");
            assert!(schema.contains(&format!(".SS \"{title}\"\n")), "{table}");
        }
    }
}

#[test]
fn each_shell_gets_completions_of_every_command() {
    for (shell, begins) in [
        ("bash", "_deltapost() {"),
        ("zsh", "#compdef deltapost"),
        ("fish", "# Print an optspec"),
    ] {
        let said = Home::with("")
            .run(["completions", shell])
            .stderr("")
            .code(0)
            .stdout;
        assert!(said.starts_with(begins), "{shell}: {said:.100}");
        assert!(said.contains("rebaseline"), "{shell}");
    }
}
