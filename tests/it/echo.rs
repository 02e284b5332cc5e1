//! Receivers and a provider that repeat what they were sent: nothing secret of it is kept or shown anywhere.

use std::fs;

use deltapost::sim::onedrive::Account;
use deltapost::sim::receiver::Answer;
use serde_json::json;

use crate::support::Site;

/// Pieces of what is secret here, none of which stands in any other text; the short ones may in sealed bytes.
const SECRETS: [&str; 9] = [
    "k3y",
    "s3cret",
    "pa55",
    "dXNlcjpwYTU1",
    "T00000001",
    "Zz9Zz9",
    "c0de",
    "s1gn1ng",
    "q9z",
];

const TOKEN: &str = "Zz9Zz9Zz9Zz9Zz9Zz9Zz9Zz9";

fn url(site: &Site, token: &str) -> String {
    let base = site.receiver.url().replace("/callback", "");
    format!("{base}/services/T00000001/{token}/in?code=c0de%2Fx&n=q9z")
}

fn site() -> Site {
    let site = Site::configured(Account::business(), "[delivery]\nretry = [\"1s\"]\n");
    let wanted = json!({
        "event.notification.callback.url": url(&site, TOKEN),
        "event.notification.headers": {"X-Api-Key": "k3y/+s3cret&\"", "X-Pin": "q9z", "Authorization": "Basic dXNlcjpwYTU1"},
        "event.notification.signature.key": "s1gn1ng-k3y",
    });
    site.create_instance("Docs", wanted);
    site.once().code(0);
    site
}

#[track_caller]
fn check(text: &str, whence: &str) {
    let whole_bytes = text.contains('\0');
    for secret in SECRETS.iter().filter(|secret| secret.len() > 3 || !whole_bytes) {
        assert!(!text.contains(secret), "{secret} in {whence}: {text}");
    }
}

/// What lies in the data directory, but for the key.
#[track_caller]
fn check_files(site: &Site) {
    site.write_sql("PRAGMA wal_checkpoint(TRUNCATE)");
    for file in fs::read_dir(site.data_dir()).unwrap() {
        let path = file.unwrap().path();
        check(
            &String::from_utf8_lossy(&fs::read(&path).unwrap_or_default()),
            path.to_str().unwrap(),
        );
    }
}

#[test]
fn what_a_receiver_repeats_is_kept_and_shown_without_secrets() {
    let site = site();
    let echoes = [
        format!(
            "POST {}: X-Api-Key: k3y/+s3cret&\" X-Pin: q9z Authorization: Basic dXNlcjpwYTU1",
            url(&site, TOKEN)
        ),
        "key k3y%2F%2Bs3cret%26%22 k3y\\/+s3cret\\u0026\\\" k3y/+s3cret&amp;&quot; user:pa55 pa55".to_owned(),
        "expected a signature by s1gn1ng-k3y, code c0de/x".to_owned(),
        format!("{}k3y/+s3cret&\"", "x".repeat(1_020)),
        format!("{}k3y/+s3c", "k3y/+s3cret&\"".repeat(340)),
    ];
    for (at, body) in echoes.into_iter().enumerate() {
        let headers = vec![("Location", url(&site, TOKEN))];
        site.receiver.answer_always(Answer::Full {
            status: if at == 0 { 301 } else { 503 },
            headers,
            body,
        });
        let drive = site.drive();
        drive.create_file(&drive.root_id(), &format!("{at}.txt"), 7);
        site.write_sql("UPDATE outbox SET next_attempt_at = created_at WHERE state = 'pending'; UPDATE endpoint SET state = 'active', next_probe_at = NULL");
        for (name, args) in [
            ("once", &["-v", "once"][..]),
            ("ping", &["instance", "ping", "Docs"]),
            ("list", &["outbox", "list"]),
            ("show", &["--json", "outbox", "show", "1"]),
            ("outbox", &["--json", "outbox"]),
            ("instance", &["--json", "instance", "show", "Docs"]),
        ] {
            let ran = site.cli(args);
            check(&format!("{ran:?}"), name);
        }
    }
    assert!(
        site.cell("SELECT group_concat(error) FROM attempt")
            .contains("********")
    );
    assert!(
        site.cell("SELECT url FROM endpoint")
            .ends_with("/services/…/…/in")
    );
    check_files(&site);
}

#[test]
fn an_endpoint_is_named_by_its_whole_url_or_by_what_is_shown_where_that_is_one() {
    let site = site();
    let shown = site.cell("SELECT url FROM endpoint");
    site.cli(&["outbox", "resume", &url(&site, TOKEN)]).code(0);
    site.cli(&["outbox", "resume", &shown]).code(0);
    let other = url(&site, "Zz9Zz9Zz9Zz9Zz9Zz9Zz9Zz8");
    site.create_instance("Other", json!({"event.notification.callback.url": other}));
    let ambiguous = site.cli(&["outbox", "resume", &shown]);
    assert!(
        format!("{ambiguous:?}").contains("2 endpoints are shown as"),
        "{ambiguous:?}"
    );
    ambiguous.code(2);
    site.write_sql("UPDATE endpoint SET state = 'disabled'");
    site.cli(&["outbox", "resume", &other]).code(0);
    let states = "SELECT group_concat(state) FROM (SELECT state FROM endpoint ORDER BY id)";
    assert_eq!(site.cell(states), "disabled,active");
}

#[test]
fn what_an_older_version_stored_in_the_clear_is_sealed() {
    let site = site();
    let clear = format!(
        "{}/services/T00000001/{TOKEN}/in",
        site.receiver.url().replace("/callback", "")
    );
    let key = "event.notification.callback.url";
    site.write_sql(&format!(
        "UPDATE endpoint SET url = '{clear}';
         UPDATE instance SET configuration = json_set(configuration, '$.\"{key}\"', '{clear}');
         DELETE FROM secret WHERE key = '{key}';
         UPDATE meta SET paths_sealed = 0;
         PRAGMA wal_checkpoint(TRUNCATE)"
    ));
    site.cli(&["instance", "list"]).code(0);
    check_files(&site);
    let drive = site.drive();
    drive.create_file(&drive.root_id(), "new.txt", 7);
    site.once().code(0);
    let sent = site.receiver.deliveries().pop().unwrap();
    assert_eq!(sent.target, format!("/services/T00000001/{TOKEN}/in"));
}
