//! What requests for tokens promise, over real sockets.

use super::*;
use crate::clock::{FakeClock, SystemClock};
use crate::graph::client::GraphConfig;
use crate::wire::peer::{Act, Peer, answer};
use crate::wire::{Failure, Timeouts};

const TOKENS: &str = r#"{"token_type":"Bearer","scope":"Files.Read","expires_in":4242,
    "access_token":"access-s3cret","refresh_token":"refresh-s3cret"}"#;

fn client(peer: &Peer) -> Client {
    Client::new(&GraphConfig {
        base: "http://127.0.0.1:1/v1.0",
        authority: &format!("{}/common", peer.url()),
        company: "",
        proxy: None,
        extra_roots: None,
        timeouts: Timeouts::within(Duration::from_secs(20)),
    })
    .unwrap()
}

/// What the peer's `answer` to a refresh comes to; whatever it is, it tells nothing secret.
#[track_caller]
fn refresh(act: Act) -> Result<Tokens, AuthError> {
    let peer = Peer::start(vec![act]);
    let id = Secret::new("client-s3cret");
    let key = Secret::new("key-s3cret");
    let app = App {
        client_id: &id,
        client_secret: Some(&key),
        tenant: None,
        scope: None,
    };
    let outcome = client(&peer).refresh(&app, &Secret::new("grant-s3cret"), &SystemClock);
    assert!(!format!("{outcome:?}").contains("s3cret"), "{outcome:?}");
    if let Err(error) = &outcome {
        assert!(!error.to_string().contains("s3cret"), "{error}");
        assert!(!error.hint().is_empty());
    }
    outcome
}

#[track_caller]
fn check(status: u16, body: &str, expect: AuthError) {
    assert_eq!(
        refresh(Act::Answer(answer(status, "", body))),
        Err(expect),
        "{status} {body}"
    );
}

/// Head and form of the one request that `ask` makes.
fn request(ask: impl Fn(&Client)) -> (String, Vec<(String, String)>) {
    let peer = Peer::start(vec![Act::Answer(answer(200, "", TOKENS))]);
    ask(&client(&peer));
    let request = peer.request();
    let (head, form) = request.split_once("\r\n\r\n").unwrap();
    let mut fields: Vec<(String, String)> = url::form_urlencoded::parse(form.as_bytes())
        .into_owned()
        .collect();
    fields.sort_unstable();
    (head.to_owned(), fields)
}

fn pairs(fields: &[(&str, &str)]) -> Vec<(String, String)> {
    fields
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

#[test]
fn a_code_is_exchanged_as_documented() {
    let id = Secret::new("id & more");
    let key = Secret::new("key=+/");
    let app = App {
        client_id: &id,
        client_secret: Some(&key),
        tenant: None,
        scope: None,
    };
    let (head, fields) = request(|client| {
        let code = Secret::new("M.C1_code!*");
        let tokens = client.exchange_code(&app, &code, "https://app.example/cb?x", None, &SystemClock);
        let expect = Tokens {
            access_token: Secret::new("access-s3cret"),
            refresh_token: Some(Secret::new("refresh-s3cret")),
            expires_in: Duration::from_secs(4242),
        };
        assert_eq!(tokens, Ok(expect));
    });
    assert!(
        head.starts_with("POST /common/oauth2/v2.0/token HTTP/1.1\r\n"),
        "{head}"
    );
    assert!(
        head.contains("\r\ncontent-type: application/x-www-form-urlencoded"),
        "{head}"
    );
    assert!(
        head.contains("\r\nuser-agent: NONISV|deltapost|deltapost/"),
        "{head}"
    );
    let expect = pairs(&[
        ("client_id", "id & more"),
        ("client_secret", "key=+/"),
        ("code", "M.C1_code!*"),
        ("grant_type", "authorization_code"),
        ("redirect_uri", "https://app.example/cb?x"),
        ("scope", "Files.Read offline_access"),
    ]);
    assert_eq!(fields, expect);
}

#[test]
fn a_grant_is_renewed_by_a_public_client_in_its_own_scope() {
    let id = Secret::new("id");
    let app = App {
        client_id: &id,
        client_secret: None,
        tenant: None,
        scope: Some("Files.Read.All offline_access"),
    };
    let (_, fields) = request(|client| {
        client.refresh(&app, &Secret::new("0.AX"), &SystemClock).unwrap();
    });
    let expect = pairs(&[
        ("client_id", "id"),
        ("grant_type", "refresh_token"),
        ("refresh_token", "0.AX"),
        ("scope", "Files.Read.All offline_access"),
    ]);
    assert_eq!(fields, expect);
}

#[test]
fn an_app_asks_its_tenant_for_all_that_it_may() {
    let (id, key) = (Secret::new("id"), Secret::new("key"));
    let app = App {
        client_id: &id,
        client_secret: Some(&key),
        tenant: Some("contoso.example"),
        scope: None,
    };
    let (head, fields) = request(|client| {
        client.client_credentials(&app, &SystemClock).unwrap();
    });
    assert!(
        head.starts_with("POST /contoso.example/oauth2/v2.0/token HTTP/1.1\r\n"),
        "{head}"
    );
    let expect = pairs(&[
        ("client_id", "id"),
        ("client_secret", "key"),
        ("grant_type", "client_credentials"),
        ("scope", "http://127.0.0.1:1/.default"),
    ]);
    assert_eq!(fields, expect);
}

#[test]
fn the_tenant_replaces_the_last_segment_and_nothing_else() {
    for (authority, tenant, expect) in [
        (
            "https://login.example/common",
            None,
            "https://login.example/common/oauth2/v2.0/token",
        ),
        (
            "https://login.example/common/",
            Some("a-b"),
            "https://login.example/a-b/oauth2/v2.0/token",
        ),
        (
            "https://login.example/x/common",
            Some("t"),
            "https://login.example/x/t/oauth2/v2.0/token",
        ),
        (
            "https://login.example",
            Some("t"),
            "https://login.example/t/oauth2/v2.0/token",
        ),
        (
            "https://login.example/common",
            Some("../e?#/"),
            "https://login.example/..%2Fe%3F%23%2F/oauth2/v2.0/token",
        ),
    ] {
        let endpoint = super::endpoint(&authority.parse().unwrap(), tenant, "token");
        assert_eq!(endpoint.as_str(), expect);
    }
}

#[test]
fn a_life_is_read_in_either_spelling_and_bounded() {
    for (life, expect) in [
        ("\"expires_in\":3599", 3599),
        ("\"expires_in\":\"3599\"", 3599),
        ("\"expires_in\":null", 3600),
        ("\"expires_in\":-5", 3600),
        ("\"expires_in\":\"soon\"", 3600),
        ("\"x\":1", 3600),
        ("\"expires_in\":0", 60),
        ("\"expires_in\":18446744073709551615", 86_400),
    ] {
        let body = format!(r#"{{"access_token":"a","refresh_token":"",{life}}}"#);
        let tokens = refresh(Act::Answer(answer(200, "", &body))).unwrap();
        assert_eq!(tokens.expires_in, Duration::from_secs(expect), "{life}");
        assert_eq!(tokens.refresh_token, None);
    }
}

#[test]
fn errors_are_told_apart_by_what_to_do() {
    let body = |code: &str| {
        format!(
            r#"{{"error":"{code}","error_description":"AADSTS7: about grant-s3cret and key-s3cret.\r\nTrace ID: 1"}}"#
        )
    };
    let description = "AADSTS7: about ******** and ********.".to_owned();
    for code in [
        "invalid_grant",
        "interaction_required",
        "consent_required",
        "login_required",
    ] {
        let (description, name) = (description.clone(), code.to_owned());
        check(
            400,
            &body(code),
            AuthError::LoginRequired {
                code: name,
                description,
            },
        );
    }
    for code in ["invalid_client", "unauthorized_client"] {
        let (description, name) = (description.clone(), code.to_owned());
        check(
            401,
            &body(code),
            AuthError::InvalidClient {
                code: name,
                description,
            },
        );
    }
    let code = "invalid_scope".to_owned();
    check(
        400,
        &body(&code),
        AuthError::Refused {
            code: code.clone(),
            description,
        },
    );
    check(
        400,
        &body("temporarily_unavailable"),
        AuthError::Server { status: 400 },
    );
    check(500, &body("anything"), AuthError::Server { status: 500 });
    check(502, "<html>", AuthError::Server { status: 502 });
    let description = String::new();
    check(
        400,
        r#"{"error":"invalid_scope"}"#,
        AuthError::Refused { code, description },
    );
}

#[test]
fn an_error_reads_well_with_and_without_a_description() {
    let error = |description: &str| AuthError::InvalidClient {
        code: "invalid_client".to_owned(),
        description: description.to_owned(),
    };
    let told = "could not get an access token: the app was not accepted, `invalid_client`";
    assert_eq!(error("").to_string(), told);
    assert_eq!(
        error("AADSTS7000222: expired").to_string(),
        format!("{told}: AADSTS7000222: expired")
    );
}

#[test]
fn what_is_not_oauth_is_told_as_such() {
    for (status, body) in [
        (200, "<html>Sign in to the hotel</html>"),
        (200, "{}"),
        (200, r#"{"access_token":""}"#),
        (200, r#"{"access_token":5}"#),
        (302, ""),
        (400, "<html>"),
        (404, "{\"error\":{}}"),
    ] {
        check(status, body, AuthError::NotOAuth { status });
    }
    let large = format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n",
        MAX_ANSWER_BYTES + 1
    );
    assert_eq!(
        refresh(Act::AnswerAndHang(large.into_bytes())),
        Err(AuthError::NotOAuth { status: 200 })
    );
}

#[test]
fn a_pause_and_a_failure_to_reach_are_told() {
    let date = "Retry-After: Sun, 06 Nov 1994 08:49:37 GMT\r\n";
    let peer = Peer::start(vec![Act::Answer(answer(429, date, ""))]);
    let clock = FakeClock::at("1994-11-06T08:49:07Z".parse().unwrap());
    let id = Secret::new("id");
    let app = App {
        client_id: &id,
        client_secret: None,
        tenant: None,
        scope: None,
    };
    let error = client(&peer).refresh(&app, &Secret::new("grant"), &clock);
    let retry_after = Some(Duration::from_secs(30));
    assert_eq!(error, Err(AuthError::Throttled { retry_after }));
    check(503, "", AuthError::Throttled { retry_after: None });
    for act in [
        Act::Close,
        Act::AnswerAndClose(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{".to_vec()),
    ] {
        let Err(AuthError::Unreachable(no_answer)) = refresh(act) else {
            panic!("it was reached")
        };
        assert_eq!(no_answer.reason, Failure::Closed);
    }
}

#[test]
fn an_app_is_read_from_the_settings_that_name_one() {
    let mut settings = Settings {
        api_key: None,
        api_secret: Some(Secret::new("key")),
        redirect_url: None,
        scope: Some("s".to_owned()),
        tenant: Some("t".to_owned()),
        grant: crate::core::model::GrantKind::AuthorizationCode,
        refresh_token: None,
        events_enabled: false,
        callback_url: None,
        signature_key: None,
        signature_key_previous: None,
        headers: Vec::new(),
        format: crate::core::model::Format::Elements,
        filter: Default::default(),
        schedule: None,
        timezone: None,
        interval: None,
        resources: Vec::new(),
    };
    assert!(App::of(&settings).is_none());
    settings.api_key = Some(Secret::new("id"));
    let app = App::of(&settings).unwrap();
    assert_eq!(
        (app.client_id.expose(), app.tenant, app.scope),
        ("id", Some("t"), Some("s"))
    );
    assert_eq!(app.client_secret.map(Secret::expose), Some("key"));
}
