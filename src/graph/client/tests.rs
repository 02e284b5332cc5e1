//! What fetching promises, over real sockets.

use super::*;
use crate::clock::{FakeClock, SystemClock};
use crate::wire::peer::{Act, Peer, answer};

const TOKEN: &str = "eyJ0.access-token.s3cret";

fn client_of(base: &str, timeout: Duration) -> Client {
    Client::new(&GraphConfig {
        base,
        authority: "https://login.example/common",
        company: "Contoso",
        proxy: None,
        extra_roots: None,
        timeouts: Timeouts::within(timeout),
    })
    .unwrap()
}

/// A client whose base is `/v1.0` at the peer, and a link below it.
fn client(peer: &Peer) -> (Client, Secret) {
    let base = format!("{}/v1.0", peer.url());
    let link = Secret::new(format!("{base}/me/drive/root/delta?token=s3cret-delta"));
    (client_of(&base, Duration::from_secs(20)), link)
}

fn fetch(peer: &Peer) -> Result<Vec<u8>, GraphError> {
    let (client, link) = client(peer);
    let fetched = client.fetch(&link, &Secret::new(TOKEN), Wishes::default(), &SystemClock)?;
    Ok(fetched.body)
}

/// The error of a fetch that the peer performs `acts` for; it tells nothing secret, and has a hint.
#[track_caller]
fn error(acts: Vec<Act>) -> GraphError {
    let error = fetch(&Peer::start(acts)).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("s3cret"), "{error:?}");
    assert!(!error.hint().is_empty());
    error
}

#[track_caller]
fn check(status: u16, headers: &str, body: &str, expect: GraphError) {
    assert_eq!(error(vec![Act::Answer(answer(status, headers, body))]), expect);
}

fn body(code: &str) -> String {
    format!(r#"{{"error":{{"code":"{code}","message":"About s3cret-delta."}}}}"#)
}

#[test]
fn the_request_is_as_documented() {
    let peer = Peer::start(vec![
        Act::Answer(answer(200, "", "{}")),
        Act::Answer(answer(200, "", "{}")),
    ]);
    let (client, link) = client(&peer);
    for exclude_parent in [false, true] {
        let page = client.fetch(
            &link,
            &Secret::new(TOKEN),
            Wishes {
                exclude_parent,
                page_size: None,
                within: None,
            },
            &SystemClock,
        );
        assert_eq!(page.unwrap().body, b"{}");
        let request = peer.request();
        assert!(request.starts_with("GET /v1.0/me/drive/root/delta?token=s3cret-delta HTTP/1.1\r\n"));
        assert!(
            request.contains(&format!("\r\nauthorization: Bearer {TOKEN}\r\n")),
            "{request}"
        );
        let agent = concat!(
            "\r\nuser-agent: NONISV|Contoso|deltapost/",
            env!("CARGO_PKG_VERSION"),
            "\r\n"
        );
        assert!(request.contains(agent), "{request}");
        assert_eq!(
            request
                .to_lowercase()
                .contains("\r\ndeltaexcludeparent: true\r\n"),
            exclude_parent
        );
    }
    assert_eq!(peer.connections(), 1);
}

#[test]
fn a_link_to_another_place_is_not_requested_at_all() {
    let (elsewhere, graph) = (Peer::start(vec![]), Peer::start(vec![]));
    let (client, _) = client(&graph);
    for link in [
        format!("{}/v1.0/me/drive/root/delta", elsewhere.url()),
        format!("{}/beta/me", graph.url()),
        format!("{}/v1.0evil", graph.url()),
        format!("{}/v1.0/../beta", graph.url()),
        graph.url().replace("http://", "http://s3cret@") + "/v1.0/me",
        "/v1.0/me?s3cret".to_owned(),
    ] {
        let error = client.fetch(
            &Secret::new(link.as_str()),
            &Secret::new(TOKEN),
            Wishes::default(),
            &SystemClock,
        );
        let error = error.unwrap_err();
        assert!(
            matches!(error, GraphError::ForeignLink { .. }),
            "{link}: {error:?}"
        );
        assert!(!error.to_string().contains("s3cret"), "{error}");
    }
    assert_eq!((elsewhere.connections(), graph.connections()), (0, 0));
}

#[test]
fn statuses_are_told_apart_by_what_to_do() {
    let refused = |status, code: &str, message: &str| GraphError::Refused {
        status,
        code: code.to_owned(),
        message: message.to_owned(),
    };
    let code = "InvalidAuthenticationToken".to_owned();
    check(
        401,
        "",
        &body(&code),
        GraphError::Unauthorized { code: code.clone() },
    );
    check(
        403,
        "",
        &body("accessDenied"),
        refused(403, "accessDenied", "About ********."),
    );
    check(
        404,
        "",
        &body("itemNotFound"),
        refused(404, "itemNotFound", "About ********."),
    );
    check(400, "", "", refused(400, "", ""));
    check(403, "", "<html>", refused(403, "", "the answer is HTML"));
    let code = "generalException".to_owned();
    check(500, "", &body(&code), GraphError::Server { status: 500, code });
    for status in [408, 502, 507] {
        check(
            status,
            "",
            "oops",
            GraphError::Server {
                status,
                code: String::new(),
            },
        );
    }
    for status in [202, 206, 301, 302, 307, 511] {
        check(
            status,
            "Location: https://portal.example/s3cret\r\n",
            "",
            GraphError::Unexpected { status },
        );
    }
    assert_eq!(
        error(vec![Act::Answer(answer(403, "", &body("accessDenied")))]).to_string(),
        "could not fetch from Graph: it refused (403), `accessDenied`: About ********."
    );
}

#[test]
fn a_pause_is_told_as_seconds_or_from_a_date() {
    for status in [429, 503, 504, 509] {
        let retry_after = Some(Duration::from_secs(7));
        check(
            status,
            "Retry-After: 7\r\n",
            "",
            GraphError::Throttled { status, retry_after },
        );
        check(
            status,
            "",
            "",
            GraphError::Throttled {
                status,
                retry_after: None,
            },
        );
    }
    let date = "Retry-After: Sun, 06 Nov 1994 08:49:37 GMT\r\n";
    let peer = Peer::start(vec![Act::Answer(answer(429, date, ""))]);
    let clock = FakeClock::at("1994-11-06T08:48:37Z".parse().unwrap());
    let (client, link) = client(&peer);
    let retry_after = Some(Duration::from_secs(60));
    let fetched = client.fetch(&link, &Secret::new(TOKEN), Wishes::default(), &clock);
    assert_eq!(
        fetched.map(|fetched| fetched.body),
        Err(GraphError::Throttled {
            status: 429,
            retry_after
        })
    );
}

/// A stale token, with a `Location` relative to the peer's own address.
#[track_caller]
fn gone(status: u16, location: &str, body: &str, expect_code: &str, expect_location: Option<&str>) {
    let headers = if location.is_empty() {
        String::new()
    } else {
        format!("Location: {location}\r\n")
    };
    let peer = Peer::start(vec![Act::Answer(answer(status, &headers, body))]);
    let location = expect_location.map(|path| Secret::new(format!("{}{path}", peer.url())));
    let error = fetch(&peer).unwrap_err();
    let code = expect_code.to_owned();
    assert_eq!(error, GraphError::Gone { location, code });
    assert!(!format!("{error} {error:?}").contains("s3cret"));
}

#[test]
fn a_stale_token_is_known_by_status_or_by_code() {
    let nested = r#"{"error":{"code":"resyncRequired","message":"Resync","innererror":{"code":"resyncChangesUploadDifferences"}}}"#;
    let path = "/v1.0/me/drive/root/delta?token=s3cret-new";
    gone(410, path, nested, "resyncChangesUploadDifferences", Some(path));
    gone(410, "", nested, "resyncChangesUploadDifferences", None);
    gone(410, "", "", "", None);
    gone(400, "", nested, "resyncChangesUploadDifferences", None);
    gone(404, "", &body("syncStateNotFound"), "syncStateNotFound", None);
}

#[test]
fn an_absolute_location_is_kept_as_it_came_and_a_foreign_one_is_left_alone() {
    let foreign = "https://graph.example/v1.0/me/drive/root/delta?token='a%20b'";
    let headers = format!("Location: {foreign}\r\n");
    let (location, code) = (None, String::new());
    check(410, &headers, "", GraphError::Gone { location, code });

    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://127.0.0.1:{}/v1.0", listener.local_addr().unwrap().port());
    let location = format!("{base}/me/drive/root/delta?token='a%20b'&%24top=5");
    let headers = format!("Location: {location}\r\n");
    let peer = Peer::on(listener, vec![Act::Answer(answer(410, &headers, ""))]);
    let code = String::new();
    let location = Some(Secret::new(location));
    assert_eq!(fetch(&peer), Err(GraphError::Gone { location, code }));
}

#[test]
fn a_date_to_wait_for_is_read_by_the_providers_clock() {
    // This box is a day ahead: by its own clock the date is long gone.
    let headers = "Date: Sun, 06 Nov 1994 08:48:37 GMT\r\nRetry-After: Sun, 06 Nov 1994 08:49:37 GMT\r\n";
    let peer = Peer::start(vec![Act::Answer(answer(429, headers, ""))]);
    let clock = FakeClock::at("1994-11-07T08:48:37Z".parse().unwrap());
    let (client, link) = client(&peer);
    assert_eq!(client.clock_skew(), None);
    let error = client
        .fetch(&link, &Secret::new(TOKEN), Wishes::default(), &clock)
        .unwrap_err();
    let (status, retry_after) = (429, Some(Duration::from_secs(60)));
    assert_eq!(error, GraphError::Throttled { status, retry_after });
    assert_eq!(client.clock_skew(), Some(SignedDuration::from_hours(24)));
}

#[test]
fn an_account_that_has_used_up_its_units_pauses() {
    for (headers, seconds) in [
        (
            "RateLimit-Limit: 1200\r\nRateLimit-Remaining: 0\r\nRateLimit-Reset: 7\r\n",
            Some(7),
        ),
        ("RateLimit-Remaining: 1\r\nRateLimit-Reset: 7\r\n", None),
        ("RateLimit-Remaining: 0\r\n", None),
        ("RateLimit-Remaining: 0\r\nRateLimit-Reset: soon\r\n", None),
        ("", None),
    ] {
        let peer = Peer::start(vec![Act::Answer(answer(200, headers, "{}"))]);
        let (client, link) = client(&peer);
        let fetched = client
            .fetch(&link, &Secret::new(TOKEN), Wishes::default(), &SystemClock)
            .unwrap();
        assert_eq!(fetched.pause, seconds.map(Duration::from_secs), "{headers}");
    }
}

/// An answer packed by gzip.
fn packed(body: &[u8]) -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut packer, body).unwrap();
    let packed = packer.finish().unwrap();
    let length = packed.len();
    let head = format!("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {length}\r\n\r\n");
    [head.as_bytes(), &packed].concat()
}

#[test]
fn a_packed_page_is_unpacked_within_the_same_bounds() {
    let peer = Peer::start(vec![Act::Answer(packed(b"{\"value\":[]}"))]);
    assert_eq!(fetch(&peer).unwrap(), b"{\"value\":[]}");
    assert!(
        peer.request()
            .to_lowercase()
            .contains("\r\naccept-encoding: gzip\r\n")
    );
    let largest = fetch(&Peer::start(vec![Act::Answer(packed(&vec![
        b' ';
        MAX_PAGE_BYTES
            as usize
    ]))]));
    assert_eq!(largest.unwrap().len() as u64, MAX_PAGE_BYTES);
    // A few KiB that become a GiB, if one lets them.
    let bomb = packed(&vec![b' '; 4 * MAX_PAGE_BYTES as usize]);
    assert!(bomb.len() < 1 << 20);
    assert_eq!(error(vec![Act::Answer(bomb)]), GraphError::TooLarge);
}

#[test]
fn a_page_whose_packing_is_broken_is_an_error() {
    let whole = packed(&[b'x'; 5_000]);
    let head = whole.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4;
    let mut flipped = whole.clone();
    flipped[head + 12] ^= 0x55;
    let mut cut = whole.clone();
    cut.truncate(whole.len() - 9);
    for broken in [flipped, cut] {
        let error = error(vec![Act::AnswerAndClose(broken)]);
        assert!(matches!(error, GraphError::Unreachable(_)), "{error:?}");
    }
}

#[test]
fn a_page_too_large_is_refused_whether_it_says_so_or_not() {
    let said = format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n",
        MAX_PAGE_BYTES + 1
    );
    assert_eq!(
        error(vec![Act::AnswerAndHang(said.into_bytes())]),
        GraphError::TooLarge
    );
    let mut unsaid = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n".to_vec();
    unsaid.resize(unsaid.len() + MAX_PAGE_BYTES as usize + 1, b' ');
    assert_eq!(error(vec![Act::AnswerAndHang(unsaid)]), GraphError::TooLarge);
}

#[test]
fn the_largest_page_is_read_whole() {
    let body = " ".repeat(MAX_PAGE_BYTES as usize);
    let page = fetch(&Peer::start(vec![Act::Answer(answer(200, "", &body))])).unwrap();
    assert_eq!(page.len() as u64, MAX_PAGE_BYTES);
}

#[test]
fn a_page_cut_short_is_an_error() {
    let cut = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"value\":".to_vec();
    let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n{\"value\":\r\n".to_vec();
    for cut in [cut, chunked] {
        let GraphError::Unreachable(no_answer) = error(vec![Act::AnswerAndClose(cut.clone())]) else {
            panic!("it was fetched: {}", String::from_utf8_lossy(&cut))
        };
        assert_eq!(no_answer.reason, Failure::Closed);
    }
}

#[test]
fn silence_ends_in_a_time_out_that_tells_which() {
    for (sent, stage) in [
        ("", Stage::Waiting),
        ("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", Stage::Reading),
    ] {
        let peer = Peer::start(vec![Act::AnswerAndHang(sent.as_bytes().to_vec())]);
        let base = format!("{}/v1.0", peer.url());
        let client = client_of(&base, Duration::from_millis(250));
        let error = client.fetch(
            &Secret::new(base.as_str()),
            &Secret::new(TOKEN),
            Wishes::default(),
            &SystemClock,
        );
        let reason = Failure::Timeout(stage);
        let detail = String::new();
        assert_eq!(
            error.unwrap_err(),
            GraphError::Unreachable(NoAnswer { reason, detail })
        );
    }
}

#[test]
fn a_connection_closed_while_it_was_idle_costs_nothing() {
    let peer = Peer::start(vec![
        Act::Answer(answer(404, "", "{}")),
        Act::Close,
        Act::Answer(answer(200, "", "{}")),
    ]);
    let (client, link) = client(&peer);
    let fetch = || client.fetch(&link, &Secret::new(TOKEN), Wishes::default(), &SystemClock);
    assert!(fetch().is_err());
    assert_eq!(fetch().unwrap().body, b"{}");
    assert_eq!((peer.unread(), peer.connections()), (3, 2));
}

#[test]
fn a_client_speaks_https_or_to_this_machine() {
    let config = |base, authority| GraphConfig {
        base,
        authority,
        company: "",
        proxy: None,
        extra_roots: None,
        timeouts: TIMEOUTS,
    };
    let good = "https://graph.example/v1.0";
    for base in [good, "http://localhost:5/v1.0", "http://[::1]/"] {
        assert!(Client::new(&config(base, good)).is_ok(), "{base}");
    }
    for bad in [
        "http://graph.example",
        "ftp://localhost",
        "graph.example",
        "",
        "https://u:s3cret@x.example/",
        "https://x.example/?a",
    ] {
        let name = "graph";
        assert_eq!(
            Client::new(&config(bad, good)).err(),
            Some(ConfigError::NotHttps { name }),
            "{bad}"
        );
        let name = "authority";
        assert_eq!(
            Client::new(&config(good, bad)).err(),
            Some(ConfigError::NotHttps { name }),
            "{bad}"
        );
    }
}
