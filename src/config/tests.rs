//! What a configuration file may say, what it may not, and how that is told.

mod listen;
mod schedule;

use super::*;

#[track_caller]
pub(super) fn check(text: &str, expect: &[&str]) {
    let problems = Config::parse(text).map_or_else(|problems| problems, |_| Vec::new());
    let told: Vec<String> = problems.iter().map(ConfigProblem::to_string).collect();
    assert_eq!(told, expect, "of {text:?}");
}

fn uncommented(template: &str) -> String {
    let lines = template.lines().map(|line| match line.strip_prefix('#') {
        Some(setting) if !setting.is_empty() && !setting.starts_with(' ') => setting,
        _ => line,
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn nothing_said_is_the_defaults() {
    assert_eq!(Config::parse("").unwrap(), Config::default());
    assert_eq!(Config::parse("\u{feff}# nothing\n").unwrap(), Config::default());
}

#[test]
fn the_template_says_the_defaults_and_leaves_no_key_out() {
    assert_eq!(Config::parse(TEMPLATE).unwrap(), Config::default());
    let uncommented = uncommented(TEMPLATE);
    assert_eq!(Config::parse(&uncommented).unwrap(), Config::default());
    assert_eq!(
        Config::default().delivery.deny.len(),
        6,
        "each of them is a network"
    );

    let mut reader = Reader::new("");
    read_settings(&mut reader, &mut Config::default());
    let document: toml::Table = uncommented.parse().unwrap();
    for key in reader.known() {
        if let Some(key) = key.strip_prefix("poll.") {
            // What is an example and no default stands behind `# `.
            let example = format!("\n# {key} = ");
            assert!(
                TEMPLATE.contains(&example),
                "`[[poll]] {key}` is missing in packaging/deltapost.toml"
            );
            continue;
        } else if *key == "poll" {
            continue;
        }
        let mut parts = key.split('.');
        let first = document.get(parts.next().unwrap());
        let value = parts.fold(first, |value, part| value?.get(part));
        assert!(value.is_some(), "`{key}` is missing in packaging/deltapost.toml");
    }
}

#[test]
fn every_key_reaches_its_field() {
    let text = r#"
        data_dir = "/srv/post"
        group = "ops"
        [schedule]
        cron = "@daily"
        timezone = "Asia/Kathmandu"
        jitter = "0s"
        workers = 0x40
        [[poll]]
        instance = "Finance"
        resource = "events"
        cron = "*/5 7-19 * * 1-5"
        timezone = "Europe/Berlin"
        enabled = false
        [[poll]]
        instance = "tag:emea"
        resource = "*"
        enabled = true
        [delivery]
        ordering = "none"
        workers = 1
        per_endpoint = 3
        timeout = "5m"
        batch = 1_00
        retry = ["1s", "2m", "12h", "30d"]
        on_failure = "queue"
        probe_disabled = "off"
        deny = ["10.0.0.0/8"]
        proxy = "http://proxy.example:3128"
        [outbox]
        max_events = 5
        max_bytes = "64MiB"
        keep_delivered = "0s"
        [alerts]
        url = "https://example.com/alerts?key=1"
        command = "logger"
        [microsoft]
        authority = "https://login.microsoftonline.us/Tenant/"
        graph = "http://127.0.0.1:8080//"
        company = "Example & Sons"
        [network]
        proxy = "http://user:key@proxy.example:3128"
        ca_file = "/etc/ssl/proxy.pem"
    "#;
    let seconds = |seconds| Duration::from_secs(seconds);
    let expect = Config {
        listen: Config::default().listen,
        data_dir: PathBuf::from("/srv/post"),
        group: Some("ops".to_owned()),
        polling: Polling {
            polls: vec![
                Rule {
                    line: 9,
                    instance: Whose::Named("Finance".to_owned()),
                    resource: Some("events".to_owned()),
                    cron: Some("*/5 7-19 * * Mon-Fri".parse().unwrap()),
                    timezone: Some("Europe/Berlin".to_owned()),
                    enabled: Some(false),
                },
                Rule {
                    line: 15,
                    instance: Whose::Tagged("emea".to_owned()),
                    resource: None,
                    cron: None,
                    timezone: None,
                    enabled: Some(true),
                },
            ],
            cron: "0 0 * * *".parse().unwrap(),
            timezone: "Asia/Kathmandu".to_owned(),
            jitter: Duration::ZERO,
        },
        schedule: Schedule { workers: 64 },
        delivery: Delivery {
            ordering: Ordering::None,
            workers: 1,
            per_endpoint: 3,
            timeout: seconds(300),
            batch: 100,
            retry: vec![seconds(1), seconds(120), seconds(43_200), seconds(2_592_000)],
            on_failure: OnFailure::Queue,
            probe_disabled: None,
            deny: vec![crate::core::address::Network::parse("10.0.0.0/8").unwrap()],
            proxy: Some("http://proxy.example:3128".to_owned()),
        },
        outbox: OutboxLimits {
            max_events: 5,
            max_bytes: 64 << 20,
            keep_delivered: Duration::ZERO,
        },
        alerts: Alerts {
            url: Some("https://example.com/alerts?key=1".to_owned()),
            command: Some("logger".to_owned()),
        },
        microsoft: Microsoft {
            authority: "https://login.microsoftonline.us/Tenant".to_owned(),
            graph: "http://127.0.0.1:8080".to_owned(),
            company: Some("Example & Sons".to_owned()),
        },
        network: Network {
            proxy: Some("http://user:key@proxy.example:3128".to_owned()),
            ca_file: Some(PathBuf::from("/etc/ssl/proxy.pem")),
        },
    };
    assert_eq!(Config::parse(text).unwrap(), expect);
}

#[test]
fn all_problems_are_told_together_in_order() {
    check(
        "data_dir = \"var\"\n[delivery]\nbatc = 3\nworkers = 65\nretry = [\"4s\", 5,\n  \"0s\"]\n[delivry]\n",
        &[
            "1:12: data_dir: expected an absolute path, got `\"var\"`",
            "3:1: delivery.batc: unknown key, did you mean `delivery.batch`?",
            "4:11: delivery.workers: expected a whole number from 1 to 64, got `65`",
            "5:16: delivery.retry[1]: expected a duration from \"1s\" to \"30d\", got `5`",
            "6:3: delivery.retry[2]: expected a duration from \"1s\" to \"30d\", got `\"0s\"`",
            "7:2: delivry: unknown key, did you mean `delivery`?",
        ],
    );
}

#[test]
fn an_unknown_key_names_the_key_that_was_meant() {
    check(
        "datadir = 1",
        &["1:1: datadir: unknown key, did you mean `data_dir`?"],
    );
    check("colour = 1", &["1:1: colour: unknown key"]);
    check(
        "timeout = 1",
        &["1:1: timeout: unknown key, did you mean `delivery.timeout`?"],
    );
    check(
        "[microsoft]\ndata_dir = 1",
        &["2:1: microsoft.data_dir: unknown key, did you mean `data_dir`?"],
    );
    check(
        "[Delivery]\nbatch = 2",
        &["1:2: Delivery: unknown key, did you mean `delivery`?"],
    );
    check("\"\\u001b[31m\" = 1", &["1:1: \\u{1b}[31m: unknown key"]);
}

#[test]
fn a_proxy_and_a_file_of_roots_are_checked() {
    check(
        "[network]\nproxy = \"x\"\nca_file = \"x\"\n",
        &[
            "2:9: network.proxy: expected the http URL of a proxy, or \"\" for none, got one that is not shown here, since it may \
             hold a secret",
            "3:11: network.ca_file: expected an absolute path, or \"\" for none, got `\"x\"`",
        ],
    );
}

#[test]
fn a_value_of_another_type_is_told_with_its_place() {
    check(
        "group = 1",
        &["1:9: group: expected the name of a group, or \"\" for none, got `1`"],
    );
    check(
        "\"ä\".b = 1\n  delivery = 3",
        &[
            "1:1: ä: unknown key",
            "2:3: delivery: expected a table, as under [delivery], got `3`",
        ],
    );
    check(
        "[[delivery]]",
        &["1:3: delivery: expected a table, as under [delivery], got `[[delivery]]`"],
    );
    check(
        "delivery.batch.x = 1",
        &["1:10: delivery.batch: expected a whole number from 1 to 100, got a table"],
    );
    check(
        "delivery = { retry = [\"äöü\", 1] }",
        &[
            "1:23: delivery.retry[0]: expected a duration from \"1s\" to \"30d\", got `\"äöü\"`",
            "1:30: delivery.retry[1]: expected a duration from \"1s\" to \"30d\", got `1`",
        ],
    );
}

#[test]
fn a_count_is_a_whole_number_in_its_range() {
    for good in ["1", "100", "0b11", "+7"] {
        check(&format!("delivery.batch = {good}"), &[]);
    }
    for bad in ["0", "101", "-1", "1.0", "true", "99999999999999999999999999"] {
        let told = format!("1:18: delivery.batch: expected a whole number from 1 to 100, got `{bad}`");
        check(&format!("delivery.batch = {bad}"), &[&told]);
    }
}

#[test]
fn a_duration_is_a_whole_number_and_a_unit_in_its_range() {
    for good in ["1s", "300s", "5m", "05s"] {
        check(&format!("delivery.timeout = {good:?}"), &[]);
    }
    for bad in [
        "",
        "s",
        "5",
        "0s",
        "301s",
        "6m",
        "1h",
        "+5s",
        "5 s",
        "1m30s",
        "1.5s",
        "5ü",
        "5S",
        "99999999999999999999s",
        "18446744073709551615d",
    ] {
        let told =
            format!("1:20: delivery.timeout: expected a duration from \"1s\" to \"5m\", got `{bad:?}`");
        check(&format!("delivery.timeout = {bad:?}"), &[&told]);
    }
}

#[test]
fn a_list_of_waits_is_neither_empty_nor_endless() {
    let thirty_three = format!("[{}]", vec!["\"1s\""; 33].join(","));
    for bad in ["[]", "\"1s\"", &thirty_three] {
        let shown: String = bad.chars().take(200).collect();
        let told = format!("1:18: delivery.retry: expected a list of 1 to 32 values, got `{shown}`");
        check(&format!("delivery.retry = {bad}"), &[&told]);
    }
}

#[test]
fn tokens_travel_by_https_or_stay_on_the_machine() {
    for (given, expect) in [
        (
            "https://graph.microsoft.com/v1.0/",
            "https://graph.microsoft.com/v1.0",
        ),
        ("HTTPS://Graph.Example:443", "https://graph.example"),
        ("http://localhost:1/a", "http://localhost:1/a"),
        ("http://127.9.9.9:1", "http://127.9.9.9:1"),
        ("http://[::1]:1", "http://[::1]:1"),
    ] {
        let config = Config::parse(&format!("microsoft.graph = {given:?}")).unwrap();
        assert_eq!(config.microsoft.graph, expect);
    }
    for bad in [
        "http://graph.example",
        "http://localhost.example",
        "http://10.0.0.1",
        "ftp://graph.example",
        "graph.example",
        "/v1.0",
        "",
        "https://",
    ] {
        let told = format!(
            "1:19: microsoft.graph: expected an https URL (http only to a loopback host) without credentials, \
             query or fragment, got `{bad:?}`"
        );
        check(&format!("microsoft.graph = {bad:?}"), &[&told]);
    }
}

#[test]
fn what_may_hold_a_secret_is_not_shown() {
    for bad in [
        "https://user:hunter2@graph.example",
        "https://hunter2@graph.example",
        "https://graph.example/?key=hunter2",
        "https://graph.example/#hunter2",
        "://user:hunter2@",
    ] {
        let problems = Config::parse(&format!("microsoft.authority = {bad:?}")).unwrap_err();
        assert_eq!(problems.len(), 1, "{bad:?}");
        assert!(!format!("{problems:?}").contains("hunter2"), "{problems:?}");
    }
}

#[test]
fn a_company_cannot_break_the_user_agent() {
    for bad in ["a|b", "a\tb", "Ä", &"x".repeat(65)] {
        let told = format!(
            "1:21: microsoft.company: expected at most 64 characters of ASCII without `|`, got `\"{}\"`",
            bad.escape_debug()
        );
        check(&format!("microsoft.company = \"{bad}\""), &[&told]);
    }
    assert_eq!(
        Config::parse("microsoft.company = \"\"")
            .unwrap()
            .microsoft
            .company,
        None
    );
}

#[test]
fn a_received_value_is_bounded_and_escaped() {
    let long = "x".repeat(500);
    let told = format!(
        "1:12: data_dir: expected an absolute path, got `\"{}…`",
        "x".repeat(199)
    );
    check(&format!("data_dir = {long:?}"), &[&told]);
    check(
        "data_dir = \"\u{202e}gnp\"",
        &["1:12: data_dir: expected an absolute path, got `\"\\u{202e}gnp\"`"],
    );
}

#[test]
fn broken_toml_hides_no_wrong_value_on_another_line() {
    check(
        "data_dir = /srv\ngroup = \"a b\"\n[delivery]\nbatch = 0\nnonsense = 1\n",
        &[
            "1:12: string values must be quoted, expected literal string",
            "2:9: group: expected the name of a group, or \"\" for none, got `\"a b\"`",
            "4:9: delivery.batch: expected a whole number from 1 to 100, got `0`",
        ],
    );
    check("group = \"a\"\ngroup = \"b\"", &["2:1: duplicate key"]);
    check("[delivery\nbatch = 5", &["1:10: unclosed table, expected `]`"]);
}

#[test]
fn a_missing_file_is_the_defaults_unless_it_was_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("deltapost.toml");
    assert_eq!(Config::load(&path, false).unwrap(), Config::default());
    let error = Config::load(&path, true).unwrap_err();
    let start = format!("could not read the configuration file `{}`: ", path.display());
    assert!(error.to_string().starts_with(&start), "{error}");
    assert!(error.hint().contains("deltapost init"));
}

#[test]
fn an_invalid_file_is_told_with_its_name_on_every_line() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("deltapost.toml");
    std::fs::write(&path, "group = 1\ncolour = 2\n").unwrap();
    let told = Config::load(&path, false).unwrap_err().to_string();
    let shown = path.display();
    assert_eq!(
        told,
        format!(
            "{shown}:1:9: group: expected the name of a group, or \"\" for none, got `1`\n{shown}:2:1: colour: unknown key"
        )
    );
}

#[test]
fn a_file_that_cannot_be_a_configuration_is_an_error_even_where_none_is_needed() {
    let directory = tempfile::tempdir().unwrap();
    assert!(matches!(
        Config::load(directory.path(), false),
        Err(ConfigError::Unreadable { .. })
    ));
    for content in [vec![b'#'; MAX_FILE_BYTES as usize + 1], vec![0xff, 0xfe]] {
        let path = directory.path().join("deltapost.toml");
        std::fs::write(&path, content).unwrap();
        assert!(matches!(
            Config::load(&path, false),
            Err(ConfigError::Unreadable { .. })
        ));
    }
}
