//! Each thing that users get wrong: it is named, nothing secret is repeated, and the exit code tells whose fault it is.

use crate::cli_commands::run::Home;

/// Runs `instance create -` with `document`, which must be refused with `problems`, one a line.
#[track_caller]
fn refused(document: &str, problems: &str) {
    let home = Home::initialised("");
    let problems: String = problems.lines().map(|line| format!("  {line}\n")).collect();
    home.run(["instance", "create", "-"])
        .stdin(document)
        .stdout("")
        .stderr(&format!(
            "error: the instance is not valid:\n{problems}hint: correct all of these; nothing was changed\n"
        ))
        .code(2);
    home.run(["instance", "list", "--json"])
        .stdout("{\n  \"instances\": []\n}\n")
        .code(0);
}

const SOUND: &str = r#"{"element": {"key": "onedrivev2"}, "name": "Docs", "providerData": {"code": "c0de"},
    "configuration": {"oauth.api.key": "app", "oauth.callback.url": "https://example.com/back"MORE}}"#;

/// A sound document with `more` in its configuration.
fn with(more: &str) -> String {
    SOUND.replace("MORE", more)
}

#[test]
fn what_is_not_json_is_told_with_its_place() {
    refused(
        "{\"name\": \n  oops}",
        "not valid JSON: expected value at line 2 column 3",
    );
}

#[test]
fn a_document_of_the_wrong_shape_is_told_what_it_is() {
    refused(
        "[1]",
        "expected an object with `element`, `configuration` and `name`, got a list",
    );
}

#[test]
fn an_unknown_element_is_told_the_known_ones() {
    refused(
        &with("").replace("onedrivev2", "onedrive"),
        "`element.key`: expected one of `onedrivev2`, `onedrivebusiness`, got `onedrive`",
    );
}

#[test]
fn an_unknown_key_is_told_its_nearest() {
    refused(
        &with(r#", "event.notification.enable": true"#),
        "`event.notification.enable`: unknown key; did you mean `event.notification.enabled`?",
    );
}

#[test]
fn a_bad_callback_url_is_refused() {
    let home = Home::initialised("");
    let document =
        with(r#", "event.notification.enabled": true, "event.notification.callback.url": "ftp://x/y""#);
    let said = home
        .run(["instance", "create", "-"])
        .stdin(document)
        .stdout("")
        .code(2);
    assert!(
        said.stderr.contains("`event.notification.callback.url`: "),
        "{said:?}"
    );
}

#[test]
fn all_problems_are_told_together() {
    let document =
        with(r#", "nonsense": 1, "event.vendor.type": "webhooks", "event.poller.refresh_interval": 0"#);
    let home = Home::initialised("");
    let said = home.run(["instance", "create", "-"]).stdin(document).code(2);
    for key in ["nonsense", "event.vendor.type", "event.poller.refresh_interval"] {
        assert!(said.stderr.contains(&format!("\n  `{key}`: ")), "{said:?}");
    }
}

#[test]
fn a_document_that_cannot_be_read_is_told_why() {
    let home = Home::initialised("");
    home.run(["instance", "create", "DIR/none.json"])
        .stderr("error: could not read `DIR/none.json`: No such file or directory (os error 2)\n")
        .code(2);
    home.run(["instance", "create", "-"])
        .stdin(vec![b' '; 256 * 1024 + 1])
        .stderr("error: could not read standard input: it is larger than 256 KiB\n")
        .code(2);
    home.run(["instance", "create", "-"])
        .stdin(b"\xff")
        .stderr("error: could not read standard input: it is not UTF-8 text\n")
        .code(2);
}

#[test]
fn a_secret_on_the_command_line_is_refused_without_repeating_it() {
    let home = Home::initialised("");
    home.run(["instance", "update", "1", "--set", "oauth.api.secret=hunter2"])
        .stdout("")
        .stderr(
            "error: `oauth.api.secret` is a secret: on the command line other users of this machine could see it\n\
             hint: put it into a file that only you can read, and write `--set oauth.api.secret=@FILE`; \
             `oauth.api.secret=-` reads standard input\n",
        )
        .code(2);
    let said = home
        .run(["instance", "update", "1", "--set", "hunter2"])
        .stdout("")
        .code(2);
    assert!(!said.stderr.contains("hunter2"), "{said:?}");
    home.run([
        "instance",
        "update",
        "1",
        "--set",
        "oauth.api.key=-",
        "oauth.api.secret=-",
    ])
    .stdin("once")
    .stderr(
        "error: standard input can be read for one value only\n\
             hint: use KEY=@FILE for the others\n",
    )
    .code(2);
}

#[test]
fn an_instance_that_does_not_exist_is_wrong_usage() {
    let home = Home::initialised("");
    for command in ["show", "enable", "disable", "delete", "ping"] {
        home.run(["instance", command, "Nobody"])
            .stdout("")
            .stderr("error: there is no instance `Nobody`\nhint: `deltapost instance list` shows them\n")
            .code(2);
    }
    home.run(["poll", "7"]).stdout("").code(2);
    home.run(["outbox", "list", "--instance", "7"]).stdout("").code(2);
    home.run(["outbox", "show", "7"])
        .stderr(
            "error: there is no notification `7`\n\
             hint: `deltapost outbox list` shows them; delivered ones are not kept for ever\n",
        )
        .code(2);
}

#[test]
fn an_unknown_word_or_flag_is_wrong_usage() {
    let home = Home::with("");
    for args in [
        &["polish"][..],
        &["poll"],
        &["poll", "1", "--resync", "--rebaseline"],
        &["-v", "-q", "check"],
        &["outbox", "list", "--state", "lost"],
        &["outbox", "list", "--limit", "-1"],
        &["instance", "update", "1"],
    ] {
        let said = home.run(args.iter().copied()).stdout("").code(2);
        assert!(said.stderr.starts_with("error: "), "{args:?}: {said:?}");
    }
}

#[test]
fn what_a_terminal_would_obey_is_not_repeated() {
    let home = Home::initialised("");
    let said = home.run(["instance", "show", "\u{1b}[31mred"]).code(2);
    assert!(!said.stderr.contains('\u{1b}'), "{said:?}");
}
