//! What the agent promises, over real sockets.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;

use super::peer::{Act, Peer, answer};
use super::*;
use crate::clock::FakeClock;
use crate::core::address::is_loopback;

fn setup(route: Route<'_>) -> Setup<'_> {
    Setup {
        user_agent: "deltapost/test",
        timeouts: Timeouts::within(Duration::from_secs(10)),
        route,
        extra_roots: None,
        deny: &[],
        buffer_bytes: MIN_BUFFER_BYTES,
        idle_per_host: 2,
        idle_in_all: 4,
    }
}

fn get(setup: &Setup<'_>, url: &str) -> Result<u16, NoAnswer> {
    let answer = agent(setup)
        .unwrap()
        .get(url)
        .call()
        .map_err(|e| NoAnswer::from(&e))?;
    Ok(answer.status().as_u16())
}

#[track_caller]
fn fails(url: &str, expect: Failure) -> NoAnswer {
    let no_answer = get(&setup(Route::Direct), url).unwrap_err();
    assert_eq!(no_answer.reason, expect, "{no_answer}");
    assert!(!no_answer.to_string().contains("secret"), "{no_answer}");
    no_answer
}

#[test]
fn each_failure_is_told_by_its_reason() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = closed.local_addr().unwrap().port();
    drop(closed);
    let refused = fails(&format!("http://127.0.0.1:{port}/?secret"), Failure::Connect);
    assert!(refused.detail.contains("refused"), "{refused}");
    fails("http://nowhere.invalid/?secret", Failure::Dns);
    fails("ftp://nowhere.invalid/?secret", Failure::Request);
    fails("/only/a/path?secret", Failure::Request);
    fails("http://nowhere.invalid/?secret with spaces", Failure::Request);

    let peer = Peer::start(vec![Act::Close]);
    fails(&peer.url(), Failure::Closed);
    let peer = Peer::start(vec![Act::AnswerAndClose(b"HTTP/1.1 200 O".to_vec())]);
    fails(&peer.url(), Failure::Closed);
    let peer = Peer::start(vec![Act::Answer(b"SSH-2.0-OpenSSH_9\r\n\r\n".to_vec())]);
    fails(&peer.url(), Failure::Protocol);
    let peer = Peer::start(vec![Act::Blurt(answer(400, "", "this is plain HTTP"))]);
    fails(&peer.url().replace("http:", "https:"), Failure::Tls);
    let long = format!("X: {}\r\n", "a".repeat(MAX_HEAD_BYTES));
    let peer = Peer::start(vec![Act::AnswerAndHang(answer(200, &long, ""))]);
    fails(&peer.url(), Failure::Protocol);
}

#[test]
fn a_time_out_tells_what_the_time_ran_out_in() {
    for (act, expect) in [
        (Act::AnswerAndHang(Vec::new()), Stage::Waiting),
        (
            Act::AnswerAndHang(b"HTTP/1.1 200 OK\r\nContent-Le".to_vec()),
            Stage::Reading,
        ),
    ] {
        let peer = Peer::start(vec![act]);
        let mut setup = setup(Route::Direct);
        setup.timeouts = Timeouts::within(Duration::from_millis(250));
        let no_answer = get(&setup, &peer.url()).unwrap_err();
        assert_eq!(no_answer.reason, Failure::Timeout(expect));
    }
}

#[test]
fn a_proxy_is_asked_for_a_tunnel_and_its_refusal_told() {
    let peer = Peer::start(vec![Act::Answer(answer(407, "", ""))]);
    let proxy = peer.url();
    let no_answer = get(&setup(Route::Through(&proxy)), "http://nowhere.invalid/?secret").unwrap_err();
    assert_eq!(no_answer.reason, Failure::Proxy, "{no_answer}");
    assert!(
        peer.request()
            .starts_with("CONNECT nowhere.invalid:80 HTTP/1.1\r\n")
    );
}

#[test]
fn a_tunnel_through_a_proxy_is_a_fresh_connection() {
    let peer = Peer::start(vec![
        Act::Answer(b"HTTP/1.1 200 OK\r\n\r\n".to_vec()),
        Act::Answer(answer(204, "", "")),
        Act::Close,
    ]);
    let proxy = peer.url();
    let agent = agent(&setup(Route::Through(&proxy))).unwrap();
    let stale = |_| {
        let error = agent.get("http://nowhere.invalid/").call().err()?;
        Some(failure::is_stale(&error))
    };
    assert_eq!([(), ()].map(stale), [None, Some(true)]);

    let peer = Peer::start(vec![Act::Answer(b"HTTP/1.1 200 OK\r\n\r\n".to_vec()), Act::Close]);
    let proxy = peer.url();
    let fresh = get(&setup(Route::Through(&proxy)), "http://nowhere.invalid/").unwrap_err();
    assert_eq!(fresh.reason, Failure::Closed);
    assert!(peer.request().starts_with("CONNECT"));
    assert!(peer.request().starts_with("GET"));
}

#[test]
fn a_connection_that_dies_after_a_while_is_not_taken_for_a_stale_one() {
    for (lasts, expect) in [(0, true), (900, true), (1_100, false)] {
        let peer = Peer::start(vec![
            Act::Answer(answer(204, "", "")),
            Act::Close,
            Act::Answer(answer(204, "", "")),
        ]);
        let agent = agent(&setup(Route::Direct)).unwrap();
        let clock = FakeClock::at(Timestamp::UNIX_EPOCH);
        agent.get(peer.url()).call().unwrap();
        let again = once_more_if_stale(&clock, |_| {
            let outcome = agent.get(peer.url()).call();
            clock.advance(Duration::from_millis(lasts));
            outcome
        });
        assert_eq!(again.is_ok(), expect, "{lasts} ms");
    }
}

#[test]
fn what_cannot_be_set_up_is_refused_and_not_told() {
    for (url, expect) in [
        ("socks5://user:secret@proxy.example:1080", SetupError::SocksProxy),
        ("http://user:secret@", SetupError::BadProxy),
        ("", SetupError::BadProxy),
    ] {
        let error = agent(&setup(Route::Through(url))).err().unwrap();
        assert_eq!(error, expect);
        assert!(!format!("{error} {error:?}").contains("secret"));
    }
    for pem in [
        "",
        "nonsense",
        "-----BEGIN CERTIFICATE-----\n?\n-----END CERTIFICATE-----\n",
    ] {
        let mut setup = setup(Route::Direct);
        setup.extra_roots = Some(pem.as_bytes());
        assert_eq!(agent(&setup).err(), Some(SetupError::BadRoots), "{pem}");
    }
}

#[test]
fn a_user_agent_of_any_letters_is_sent_and_a_redirect_is_not_followed() {
    let peer = Peer::start(vec![Act::Answer(answer(302, "Location: /elsewhere\r\n", ""))]);
    let mut setup = setup(Route::Direct);
    setup.user_agent = "NONISV|Müller\r\n|deltapost/1";
    assert_eq!(get(&setup, &peer.url()), Ok(302));
    assert!(
        peer.request()
            .contains("user-agent: NONISV|M_ller__|deltapost/1\r\n")
    );
    assert_eq!(peer.unread(), 0);
}

#[test]
fn head_and_body_leave_in_one_piece() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let first_read = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut piece = vec![0; 64 * 1024];
        let length = stream.read(&mut piece).unwrap();
        stream.write_all(&answer(200, "", "")).unwrap();
        String::from_utf8_lossy(&piece[..length]).into_owned()
    });
    let answered = agent(&setup(Route::Direct))
        .unwrap()
        .post(&url)
        .send("the body")
        .unwrap();
    assert_eq!(answered.status(), 200);
    let piece = first_read.join().unwrap();
    assert!(
        piece.starts_with("POST / HTTP/1.1\r\n") && piece.ends_with("\r\n\r\nthe body"),
        "{piece}"
    );
}

#[test]
fn a_wait_is_told_in_seconds_or_as_a_date() {
    let now: Timestamp = "1994-11-06T08:49:07.5Z".parse().unwrap();
    for (value, expect) in [
        ("0", Some(Duration::ZERO)),
        (" 120 ", Some(Duration::from_secs(120))),
        ("99999999999999999999999", Some(Duration::from_secs(u64::MAX))),
        (
            "Sun, 06 Nov 1994 08:49:37 GMT",
            Some(Duration::from_millis(29_500)),
        ),
        (
            "Sunday, 06-Nov-94 08:49:37 GMT",
            Some(Duration::from_millis(29_500)),
        ),
        ("Sun Nov  6 08:49:37 1994", Some(Duration::from_millis(29_500))),
        (
            "Mon, 06 Nov 1994 08:49:37 GMT",
            Some(Duration::from_millis(29_500)),
        ),
        ("Sun, 06 Nov 1994 08:49:00 GMT", Some(Duration::ZERO)),
        ("Sun, 06 Nov 1994", None),
        ("-1", None),
        ("1.5", None),
        ("soon", None),
        ("", None),
    ] {
        let mut headers = HeaderMap::new();
        headers.insert("retry-after", value.parse().unwrap());
        assert_eq!(retry_after(&headers, || now), expect, "{value:?}");
    }
    assert_eq!(retry_after(&HeaderMap::new(), || now), None);
}

#[test]
fn loopback_is_known_by_name_and_address() {
    for (url, expect) in [
        ("http://127.0.0.1:5/", true),
        ("http://127.9.9.9/", true),
        ("http://[::1]:5/", true),
        ("http://localhost/", true),
        ("http://graph.localhost/", false),
        ("http://localhost.evil.example/", false),
        ("http://10.0.0.1/", false),
        ("http://127.0.0.1.evil.example/", false),
    ] {
        assert_eq!(is_loopback(&url.parse().unwrap()), expect, "{url}");
    }
}
