//! What the provider may answer wrongly, by name: each one clear error with a hint and its exit code, nothing half-done,
//! and the next healthy poll goes on. What people may write wrongly is in the tests of the command line.

use deltapost::httpd::{Limits, Reply, Running, Server};
use deltapost::sim::onedrive::{Account, App, Endpoint, Fault, Gone, Rules, Tree};
use serde_json::json;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::Site;
use crate::support::ledger::{check_deliveries, check_replay};

/// Somebody else's server: nothing may ever be sent to it.
struct Stranger {
    requests: Arc<AtomicUsize>,
    origin: String,
    _running: Running,
}

impl Stranger {
    fn start() -> Stranger {
        let server = Server::bind((Ipv4Addr::LOCALHOST, 0).into(), Limits::default()).unwrap();
        let origin = format!("http://{}", server.local_addr());
        let requests = Arc::new(AtomicUsize::new(0));
        let count = requests.clone();
        let running = server
            .serve(Arc::new(move |_: &deltapost::httpd::Request| {
                count.fetch_add(1, Ordering::SeqCst);
                Reply::json(200, "{\"value\":[],\"@odata.deltaLink\":\"http://127.0.0.1/\"}")
            }))
            .unwrap();
        Stranger {
            requests,
            origin,
            _running: running,
        }
    }
}

/// Where each resource stands, and how much there is of everything that a poll writes.
fn standing(site: &Site) -> Vec<Vec<String>> {
    let mut rows =
        site.sql("SELECT hex(cursor), cursor_seq, phase, generation, hex(next_cursor) FROM resource");
    for table in [
        "item",
        "staged_deletion",
        "outbox",
        "event",
        "instance",
        "secret",
        "endpoint",
    ] {
        rows.extend(site.sql(&format!("SELECT count(*) FROM {table}")));
    }
    rows
}

/// A page answered with `fault` is one error that says `parts`; it costs nothing but time.
#[track_caller]
fn check_page(fault: Fault, parts: &[&str]) {
    let site = Site::new(Account {
        page_size: 3,
        ..Account::business()
    });
    let drive = site.drive();
    drive.bulk_create(2, 5);
    site.create_instance(
        "Docs",
        json!({"event.poller.configuration": {"events": {"url": "/hubs/documents/events", "baseline": "emit"}}}),
    );
    // The first page of all, one in the middle of the baseline, the first page of changes, and one after that.
    for (healthy, change) in [(0, false), (1, false), (0, true), (1, true)] {
        if change {
            drive.bulk_create(1, 6);
            drive.delete(&drive.tree().into_keys().next().unwrap());
        }
        let before = standing(&site);
        site.cloud.fail_after(Endpoint::Delta, healthy, fault.clone());
        site.cloud.fail_always(Endpoint::Delta, fault.clone());
        let ran = site.poll("Docs", &[]).code(1).one_error_with_a_hint().says(parts);
        assert_eq!(ran.json()["polls"][0]["pages"], healthy, "{ran:#?}");
        if healthy == 0 {
            assert_eq!(standing(&site), before, "half-done by {fault:?}");
        }
        assert_eq!(site.cell("SELECT failures FROM resource"), "1");
        site.cloud.heal(Endpoint::Delta);
        // What asked for a pause is not asked again before its end.
        site.write_sql("DELETE FROM throttle");
        if healthy > 0 || change {
            site.once().code(0);
            assert_eq!(
                site.cell("SELECT failures || ifnull(last_error, '') FROM resource"),
                "0"
            );
        } else {
            // Nothing is known yet: what comes next is the baseline's middle.
            site.write_sql("UPDATE resource SET failures = 0");
        }
    }
    check_deliveries(&site);
    check_replay(&Tree::new(), &site.receiver.events(), &drive.tree());
}

#[test]
fn a_page_that_is_html() {
    check_page(Fault::Html, &["HTML", "proxy"]);
}

#[test]
fn a_page_that_is_not_json() {
    check_page(Fault::NotJson, &["could not read the page of changes"]);
}

#[test]
fn a_page_that_is_truncated() {
    check_page(Fault::Truncate, &["could not fetch from Graph"]);
}

#[test]
fn a_page_whose_json_ends_in_the_middle() {
    check_page(
        Fault::Body(b"{\"value\":[{\"id\":\"A\"".to_vec()),
        &["ends in the middle"],
    );
}

#[test]
fn a_page_that_is_too_large() {
    check_page(Fault::TooLarge, &["16 MiB", "pageSize"]);
}

#[test]
fn a_page_without_a_link() {
    check_page(
        Fault::NoLinks,
        &["neither `@odata.nextLink` nor `@odata.deltaLink`"],
    );
}

#[test]
fn a_page_with_both_links() {
    check_page(
        Fault::BothLinks,
        &["both `@odata.nextLink` and `@odata.deltaLink`"],
    );
}

#[test]
fn a_feed_that_repeats_itself() {
    for healthy in [0, 2] {
        let site = Site::new(Account {
            page_size: 3,
            ..Account::business()
        });
        site.drive().bulk_create(2, 8);
        site.create_instance(
            "Docs",
            json!({"event.poller.configuration": {"events": {"url": "/hubs/documents/events", "baseline": "emit"}}}),
        );
        site.cloud
            .fail_after(Endpoint::Delta, healthy, Fault::SamePageAgain);
        site.cloud.fail_always(Endpoint::Delta, Fault::SamePageAgain);
        let ran = site.poll("Docs", &[]).code(1).one_error_with_a_hint();
        ran.says(&["the feed repeats itself"]);
        assert!(site.cloud.count(Endpoint::Delta) < 10);
        site.cloud.heal(Endpoint::Delta);
        site.once().code(0);
        check_deliveries(&site);
        check_replay(&Tree::new(), &site.receiver.events(), &site.drive().tree());
    }
}

#[test]
fn a_page_without_its_items() {
    check_page(
        Fault::Body(b"{\"@odata.deltaLink\":\"http://127.0.0.1/\"}".to_vec()),
        &["it has no `value`"],
    );
}

#[test]
fn a_page_that_is_no_object() {
    check_page(Fault::Body(b"[]".to_vec()), &["not of a page's shape"]);
    check_page(Fault::Body(b"".to_vec()), &["ends in the middle, after 0 bytes"]);
    check_page(Fault::Body(b"{\"value\":[\"\xff\"]}".to_vec()), &["not UTF-8"]);
}

#[test]
fn an_item_without_an_id() {
    check_page(Fault::ItemWithoutId, &["`value[0]` has no `id`"]);
}

#[test]
fn a_connection_that_closes_without_an_answer() {
    check_page(Fault::Close, &["could not fetch from Graph"]);
    check_page(Fault::LostAnswer, &["could not fetch from Graph"]);
}

#[test]
fn a_status_that_is_no_page() {
    for (status, parts) in [
        (500, &["it failed (500)"][..]),
        (403, &["refused (403)", "permissions"]),
        (404, &["refused (404)", "url"]),
        (400, &["refused (400)"]),
        (204, &["204"]),
        (503, &["asks for a pause (503)"]),
    ] {
        check_page(Fault::status(status), parts);
    }
}

#[test]
fn a_link_to_another_host_is_refused_and_the_host_never_contacted() {
    let stranger = Stranger::start();
    let link = format!("{}/v1.0/me/drive/root/delta?token=x", stranger.origin);
    let body = |name: &str| json!({"value": [], name: link}).to_string().into_bytes();
    let moved = |code| Fault::Status {
        code,
        headers: vec![("Location", link.clone())],
        body: "{}".to_owned(),
    };
    for (fault, part) in [
        (Fault::ForeignNextLink(link.clone()), "`@odata.nextLink`"),
        (Fault::Body(body("@odata.nextLink")), "nextLink"),
        (Fault::Body(body("@odata.deltaLink")), "deltaLink"),
        (moved(302), "302"),
        (moved(307), "307"),
    ] {
        let part = part.trim_matches('`');
        check_page(fault, &[part]);
    }
    // Nor is a stale token's `Location`: everything is read again from the start.
    let site = Site::new(Account::business());
    site.create_instance("Docs", json!({}));
    site.once().code(0);
    site.cloud.fail_next(Endpoint::Delta, moved(410));
    site.once().code(0);
    assert_eq!(stranger.requests.load(Ordering::SeqCst), 0);
}

#[test]
fn a_feed_that_is_always_stale_ends_a_poll_with_an_error() {
    let site = Site::new(Account::business());
    site.create_instance("Docs", json!({}));
    site.once().code(0);
    site.cloud
        .fail_always(Endpoint::Delta, Fault::Gone(Gone::default()));
    site.poll("Docs", &[])
        .code(1)
        .one_error_with_a_hint()
        .says(&["stale"]);
    site.cloud.heal(Endpoint::Delta);
    let drive = site.drive();
    drive.create_file(&drive.root_id(), "x.txt", 1);
    site.once().code(0);
    assert_eq!(site.receiver.counts().events, 1);
}

/// What the token endpoint may answer instead of tokens, and what is said of it.
fn refusals() -> Vec<(Fault, &'static str)> {
    let refused = |code, error: &str| {
        Fault::Status {
        code,
        headers: vec![],
        body: json!({"error": error, "error_description": format!("AADSTS70000: no \u{1b}[31m{error}"), "error_codes": [70000]})
            .to_string(),
    }
    };
    vec![
        (
            refused(401, "invalid_client"),
            "the app was not accepted, `invalid_client`: AADSTS70000",
        ),
        (
            refused(400, "invalid_grant"),
            "a new sign-in is needed, `invalid_grant`: AADSTS70000",
        ),
        (
            refused(400, "invalid_scope"),
            "it was refused, `invalid_scope`: AADSTS70000",
        ),
        (Fault::Html, "the answer (200) is not OAuth"),
        (Fault::NotJson, "the answer (200) is not OAuth"),
        (Fault::Body(b"{}".to_vec()), "the answer (200) is not OAuth"),
        (
            Fault::Body(b"{\"token_type\":\"Bearer\",\"access_token\":\"\"}".to_vec()),
            "the answer (200) is not OAuth",
        ),
        (Fault::Truncate, "could not get an access token"),
        (Fault::TooLarge, "could not get an access token"),
        (Fault::Close, "could not get an access token"),
        (Fault::LostAnswer, "could not get an access token"),
        (Fault::status(500), "the token endpoint failed (500)"),
        (Fault::throttle(7), "the token endpoint asks for a pause"),
    ]
}

#[test]
fn a_failed_code_exchange_leaves_no_row_behind() {
    let site = Site::new(Account::business());
    let nothing = standing(&site);
    for (fault, part) in refusals() {
        site.cloud.fail_next(Endpoint::Token, fault);
        let document = site.document("Docs", json!({}));
        site.try_create(&document)
            .code(1)
            .one_error_with_a_hint()
            .says(&["could not sign in", part]);
        assert_eq!(standing(&site), nothing, "{part}");
    }
    // Whom the provider refuses by itself: another secret, a code that was used before.
    let app = App {
        client_id: "app-id".to_owned(),
        client_secret: Some("app-secret".to_owned()),
        redirect_uri: None,
    };
    site.cloud.set_rules(Rules {
        app: Some(app),
        ..Rules::default()
    });
    let document = site.document("Docs", json!({"oauth.api.secret": "guess"}));
    site.try_create(&document)
        .code(1)
        .one_error_with_a_hint()
        .says(&["invalid_client", "oauth.api.secret"]);
    assert_eq!(standing(&site), nothing);
    let document = site.document("Docs", json!({}));
    site.try_create(&document).code(0);
    let one = standing(&site);
    let mut again = document;
    again["name"] = "Again".into();
    site.try_create(&again)
        .code(1)
        .one_error_with_a_hint()
        .says(&["invalid_grant", "providerData.code"]);
    assert_eq!(standing(&site), one);
}

#[test]
fn a_failed_renewal_costs_nothing_but_time() {
    for (fault, part) in refusals() {
        let site = Site::new(Account::business());
        site.cloud.set_rules(Rules {
            expires_in: 100,
            ..Rules::default()
        });
        site.create_instance("Docs", json!({}));
        site.once().code(0);
        let drive = site.drive();
        drive.create_file(&drive.root_id(), "x.txt", 1);
        let before = standing(&site);
        let asked = site.cloud.count(Endpoint::Delta);
        site.cloud.fail_next(Endpoint::Token, fault);
        site.poll("Docs", &[])
            .code(1)
            .one_error_with_a_hint()
            .says(&[part]);
        assert_eq!(standing(&site), before, "{part}");
        assert_eq!(
            site.cloud.count(Endpoint::Delta),
            asked,
            "nothing is asked without a token"
        );
        if part.contains("invalid_client") || part.contains("invalid_grant") {
            assert_eq!(site.cell("SELECT grant_state FROM instance"), "login_required");
            let code = site.file("code", &site.cloud.issue_code());
            let set = format!("providerData.code=@{}", code.display());
            site.cli(&["instance", "update", "Docs", "--set", &set]).code(0);
        }
        // As if the pause were over, where one was asked for.
        site.write_sql("DELETE FROM throttle");
        site.once().code(0);
        assert_eq!(site.cell("SELECT grant_state FROM instance"), "ok");
        assert_eq!(site.receiver.counts().events, 1, "{part}");
    }
}

#[test]
fn no_secret_is_told_by_any_of_these_errors() {
    let site = Site::new(Account::business());
    site.cloud.set_rules(Rules {
        expires_in: 100,
        ..Rules::default()
    });
    site.create_instance(
        "Docs",
        json!({"event.notification.signature.key": "a-key-nobody-may-see"}),
    );
    site.once().code(0);
    let mut said = String::new();
    for (fault, _) in refusals().into_iter().skip(2) {
        site.cloud.fail_next(Endpoint::Token, fault);
        let ran = site.cli(&["-v", "once"]).code(1);
        said += &format!("{}{}", ran.stdout, ran.stderr);
    }
    site.write_sql("DELETE FROM throttle");
    for fault in [
        Fault::Html,
        Fault::NoLinks,
        Fault::Truncate,
        Fault::status(401),
        Fault::status(500),
    ] {
        site.cloud.fail_next(Endpoint::Delta, fault);
        let ran = site.cli(&["-v", "once"]);
        said += &format!("{}{}", ran.stdout, ran.stderr);
    }
    said += &site.sql("SELECT ifnull(error, '') FROM poll").concat().concat();
    let links = site.delta_requests().into_iter().filter_map(|seen| {
        seen.target
            .split_once("token=")
            .map(|(_, token)| token.to_owned())
    });
    let secrets = site.cloud.secrets().into_iter().chain(links);
    for secret in secrets.chain(["app-secret".to_owned(), "a-key-nobody-may-see".to_owned()]) {
        assert!(!said.contains(&secret), "{secret} is in {said}");
    }
    assert!(!said.contains('\u{1b}'), "{said:?}");
}
