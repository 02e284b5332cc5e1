//! The code of docs/receivers.md, taken from the page and run on notifications that the binary has delivered, in each
//! language whose runtime is here. What needs packages (Python, Node) and openssl's script are tried by `tests/real/run`.

use std::fs;
use std::path::Path;
use std::process::Command;

use deltapost::clock::{Clock, SystemClock};
use deltapost::sim::onedrive::Account;
use deltapost::sim::receiver::Delivery;
use serde_json::json;

use crate::support::{Site, openssl};

const PAGE: &str = include_str!("../../docs/receivers.md");

/// A key in characters beyond ASCII, and one as Standard Webhooks writes them.
const KEYS: [&str; 2] = ["Schlüssel 123456", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"];

/// A language of the page: the fence of its code, the file that the code becomes, what goes beside it, and how the two are
/// run in their directory, the first word being what must be installed.
struct Language {
    fence: &'static str,
    file: &'static str,
    driver: (&'static str, &'static str),
    compile: &'static [&'static str],
    run: &'static [&'static str],
}

const LANGUAGES: [Language; 4] = [
    Language {
        fence: "go",
        file: "verify.go",
        driver: ("driver.go", include_str!("receivers/driver.go")),
        compile: &["go", "build", "-o", "driver", "verify.go", "driver.go"],
        run: &["./driver"],
    },
    Language {
        fence: "java",
        file: "Signatures.java",
        driver: ("Driver.java", include_str!("receivers/Driver.java")),
        compile: &[
            "javac",
            "-encoding",
            "UTF-8",
            "--release",
            "11",
            "Signatures.java",
            "Driver.java",
        ],
        run: &["java", "-Dfile.encoding=UTF-8", "-cp", ".", "Driver"],
    },
    Language {
        fence: "ruby",
        file: "verify.rb",
        driver: ("driver.rb", include_str!("receivers/driver.rb")),
        compile: &["ruby", "-c", "verify.rb"],
        run: &["ruby", "driver.rb"],
    },
    Language {
        fence: "php",
        file: "verify.php",
        driver: ("driver.php", include_str!("receivers/driver.php")),
        compile: &["php", "-l", "verify.php"],
        run: &["php", "driver.php"],
    },
];

/// A request, the key that it is looked at with, and what must be said of its two signatures.
struct Case {
    what: &'static str,
    key: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    expect: (bool, bool),
}

impl Case {
    fn new(what: &'static str, key: &str, delivery: &Delivery, expect: (bool, bool)) -> Case {
        Case {
            what,
            key: key.to_owned(),
            headers: delivery.headers.clone(),
            body: delivery.body.clone(),
            expect,
        }
    }

    /// Gives a header another value.
    fn with(mut self, name: &str, value: &str) -> Case {
        let header = self
            .headers
            .iter_mut()
            .find(|header| header.0.eq_ignore_ascii_case(name));
        value.clone_into(&mut header.unwrap().1);
        self
    }

    fn without_headers(mut self) -> Case {
        self.headers.truncate(1);
        self
    }

    fn with_body(mut self, more: &[u8]) -> Case {
        self.body.extend_from_slice(more);
        self
    }

    fn write(&self, place: &Path) {
        let headers: String = self
            .headers
            .iter()
            .map(|(name, value)| format!("{name}: {value}\n"))
            .collect();
        fs::write(place.with_extension("key"), &self.key).unwrap();
        fs::write(place.with_extension("headers"), headers).unwrap();
        fs::write(place.with_extension("body"), &self.body).unwrap();
    }
}

/// The signature of `delivery` as it would have been ten minutes ago, and when that was.
fn ten_minutes_old(delivery: &Delivery) -> (String, String) {
    let at = (SystemClock.now().as_second() - 600).to_string();
    let mut signed = format!("{}.{at}.", delivery.id).into_bytes();
    signed.extend_from_slice(&delivery.body);
    let tag = openssl::hmac_sha256(KEYS[0].as_bytes(), &signed);
    (at, format!("v1,{tag}"))
}

/// What was delivered under each key, and what somebody could make of it.
fn cases() -> Vec<Case> {
    let site = Site::new(Account::business());
    for key in KEYS {
        site.receiver.set_key(Some(key.to_owned()));
        site.create_instance(key, json!({"event.notification.signature.key": key}));
        site.cli(&["instance", "ping", key]).code(0);
    }
    let rotated = json!({"event.notification.signature.key": KEYS[1], "event.notification.signature.key.previous": KEYS[0]});
    site.create_instance("rotated", rotated);
    site.cli(&["instance", "ping", "rotated"]).code(0);
    let deliveries = site.receiver.deliveries();
    let [plain, whsec, rotated] = &deliveries[..] else {
        panic!("{deliveries:?}");
    };
    let mut cases = vec![
        Case::new("a plain key", KEYS[0], plain, (true, true)),
        Case::new("a key in base64", KEYS[1], whsec, (true, true)),
        Case::new("the new one of two keys", KEYS[1], rotated, (true, true)),
        Case::new("the previous one of two keys", KEYS[0], rotated, (true, false)),
        Case::new("another key", "another", plain, (false, false)),
        Case::new("another body", KEYS[0], plain, (false, false)).with_body(b" "),
        Case::new("another id", KEYS[0], plain, (false, true)).with("webhook-id", "1"),
        Case::new("no time", KEYS[0], plain, (false, true)).with("webhook-timestamp", "soon"),
        Case::new("no signatures", KEYS[0], plain, (false, false)).without_headers(),
    ];
    if openssl::is_here() {
        let (at, signature) = ten_minutes_old(plain);
        let old = Case::new("an old request", KEYS[0], plain, (false, true));
        cases.push(
            old.with("webhook-timestamp", &at)
                .with("webhook-signature", &signature),
        );
    }
    cases
}

/// The code of the page's one block of a language.
fn code(fence: &str) -> &'static str {
    let begin = format!("\n```{fence}\n");
    let mut blocks = PAGE.split(&begin).skip(1);
    let block = blocks.next().unwrap_or_else(|| panic!("the page has no {fence}"));
    assert!(blocks.next().is_none(), "more than one block of {fence}");
    block.split_once("\n```").unwrap().0
}

/// What a command prints that has to succeed; `None` where it is not installed.
fn run(directory: &Path, words: &[&str], more: &[String]) -> Option<String> {
    let mut command = Command::new(words[0]);
    let output = match command
        .args(&words[1..])
        .args(more)
        .current_dir(directory)
        .output()
    {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
        output => output.unwrap(),
    };
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words:?}: {said}");
    Some(String::from_utf8(output.stdout).unwrap())
}

#[test]
fn each_language_of_the_page_tells_genuine_requests_from_all_others() {
    let cases = cases();
    for language in LANGUAGES {
        let directory = tempfile::tempdir().unwrap();
        let here = directory.path();
        fs::write(here.join(language.file), code(language.fence)).unwrap();
        fs::write(here.join(language.driver.0), language.driver.1).unwrap();
        if run(here, language.compile, &[]).is_none() {
            eprintln!(
                "skipped: {}, since there is no `{}`",
                language.fence, language.compile[0]
            );
            continue;
        }
        let places: Vec<String> = (0..cases.len()).map(|number| format!("case{number}")).collect();
        for (place, case) in places.iter().zip(&cases) {
            case.write(&here.join(place));
        }
        let said = run(here, language.run, &places).expect("what compiled it is installed");
        assert_eq!(said.lines().count(), cases.len(), "{said}");
        for (case, said) in cases.iter().zip(said.lines()) {
            let expect = format!("{} {}", case.expect.0, case.expect.1);
            assert_eq!(said, expect, "{}: {}", language.fence, case.what);
        }
    }
}
