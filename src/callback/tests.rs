//! What a POST promises, over real sockets: here to peers that keep to HTTP; `broken` has those that do not, `reach` the
//! addresses that may be reached, and `tls` the certificates.

mod broken;
mod reach;
mod tls;

use super::*;
use crate::clock::{FakeClock, SystemClock};
use crate::wire::peer::{Act, Peer, answer};

fn sender(timeout: Duration) -> Sender {
    Sender::new(timeout, None, None, &[]).unwrap()
}

const HEADERS: &[(&str, &str)] = &[("Content-Type", "application/json"), ("X-Key", "s3cret")];

fn post(sender: &Sender, peer: &Peer) -> Outcome {
    let url = Secret::new(format!("{}/events?key=s3cret", peer.url()));
    sender.post(&url, HEADERS, b"{\"a\":1}", &SystemClock).outcome
}

/// The outcome of one POST to a peer that performs `acts`.
#[track_caller]
fn outcome(acts: Vec<Act>) -> Outcome {
    let peer = Peer::start(acts);
    let outcome = post(&sender(Duration::from_secs(10)), &peer);
    assert!(!format!("{outcome:?}").contains("s3cret"), "{outcome:?}");
    outcome
}

/// The reason why a POST got no answer.
#[track_caller]
fn failure(outcome: Outcome) -> NoAnswer {
    match outcome {
        Outcome::Failed(no_answer) => no_answer,
        answered => panic!("{answered:?}"),
    }
}

fn plain(status: u16, excerpt: &str) -> Outcome {
    Outcome::Answered {
        status,
        retry_after: None,
        excerpt: excerpt.to_owned(),
    }
}

#[test]
fn the_request_is_what_was_given() {
    let peer = Peer::start(vec![Act::Answer(answer(200, "", ""))]);
    assert_eq!(post(&sender(Duration::from_secs(10)), &peer), plain(200, ""));
    let request = peer.request();
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    assert_eq!(body, "{\"a\":1}");
    let mut lines: Vec<&str> = head.lines().collect();
    assert_eq!(lines.remove(0), "POST /events?key=s3cret HTTP/1.1");
    lines.sort_unstable();
    let host = peer.url().replace("http://", "host: ");
    let agent = concat!("user-agent: deltapost/", env!("CARGO_PKG_VERSION"));
    let expect = [
        "accept: */*",
        "content-length: 7",
        "content-type: application/json",
        &host,
        agent,
        "x-key: s3cret",
    ];
    assert_eq!(lines, expect);
}

#[test]
fn a_body_of_any_length_arrives_whole() {
    // Around the length at which head and body no longer fit one piece.
    for length in [0, 1, 32_000, 32 * 1024, 33_000, 65 * 1024, 3_000_000] {
        let peer = Peer::start(vec![
            Act::Answer(answer(200, "", "")),
            Act::Answer(answer(200, "", "")),
        ]);
        let sender = sender(Duration::from_secs(10));
        let body: String = ('a'..='z').cycle().take(length).collect();
        for _ in 0..2 {
            let answer = sender.post(&Secret::new(peer.url()), &[], body.as_bytes(), &SystemClock);
            assert_eq!(answer.outcome, plain(200, ""));
            let request = peer.request();
            assert!(request.split_once("\r\n\r\n").unwrap().1 == body, "{length}");
        }
        assert_eq!(peer.connections(), 1);
    }
}

#[test]
fn every_status_is_an_answer() {
    for status in [
        200, 201, 202, 204, 301, 302, 307, 400, 401, 404, 410, 413, 429, 500, 503, 599,
    ] {
        let body = if status == 204 { "" } else { "said" };
        let headers = "Location: http://127.0.0.1:1/elsewhere\r\n";
        assert_eq!(
            outcome(vec![Act::Answer(answer(status, headers, body))]),
            plain(status, body)
        );
    }
}

#[test]
fn a_redirect_is_not_followed() {
    let elsewhere = Peer::start(vec![Act::Answer(answer(200, "", ""))]);
    for status in [301, 302, 303, 307, 308] {
        let headers = format!("Location: {}/\r\n", elsewhere.url());
        assert_eq!(
            outcome(vec![Act::Answer(answer(status, &headers, ""))]),
            plain(status, "")
        );
    }
    assert_eq!(elsewhere.unread(), 0);
}

#[test]
fn the_wait_asked_for_is_told() {
    let peer = Peer::start(vec![Act::Answer(answer(
        503,
        "Retry-After: Sun, 06 Nov 1994 08:49:37 GMT\r\n",
        "",
    ))]);
    let clock = FakeClock::at("1994-11-06T08:49:07Z".parse().unwrap());
    let answer = sender(Duration::from_secs(10)).post(&Secret::new(peer.url()), &[], b"", &clock);
    let retry_after = Some(Duration::from_secs(30));
    assert_eq!(
        answer.outcome,
        Outcome::Answered {
            status: 503,
            retry_after,
            excerpt: String::new()
        }
    );
    assert_eq!(answer.elapsed, Duration::ZERO);
}

#[test]
fn an_answer_is_kept_in_part_and_fit_to_be_shown() {
    assert_eq!(
        outcome(vec![Act::Answer(answer(400, "", "no\n\u{1b}[31m"))]),
        plain(400, "no\\n\\u{1b}[31m")
    );
    let long = "é".repeat(700);
    assert_eq!(
        outcome(vec![Act::Answer(answer(400, "", &long))]),
        plain(400, &"é".repeat(512))
    );
    let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
    assert_eq!(outcome(vec![Act::Answer(chunked.to_vec())]), plain(200, "abcde"));
    let until_closed = b"HTTP/1.1 200 OK\r\n\r\nabc";
    assert_eq!(
        outcome(vec![Act::AnswerAndClose(until_closed.to_vec())]),
        plain(200, "abc")
    );
}

#[test]
fn the_status_counts_even_when_the_body_does_not_come() {
    let cut = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc".to_vec();
    assert_eq!(outcome(vec![Act::AnswerAndClose(cut.clone())]), plain(200, "abc"));
    let peer = Peer::start(vec![Act::AnswerAndHang(cut)]);
    assert_eq!(
        post(&sender(Duration::from_millis(200)), &peer),
        plain(200, "abc")
    );
}

#[test]
fn an_endless_answer_is_read_in_part() {
    let mut endless = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n".to_vec();
    endless.resize(endless.len() + 4 * READ_BYTES as usize, b'x');
    assert_eq!(
        outcome(vec![Act::AnswerAndHang(endless)]),
        plain(200, &"x".repeat(KEPT_BYTES))
    );
}

#[test]
fn connections_are_used_again_whatever_was_answered() {
    let body = "x".repeat(READ_BYTES as usize - 1);
    let statuses = [200, 204, 302, 404, 500];
    let acts = statuses.map(|status| Act::Answer(answer(status, "", if status == 204 { "" } else { &body })));
    let peer = Peer::start(acts.into());
    let sender = sender(Duration::from_secs(10));
    for expect in statuses {
        assert!(matches!(post(&sender, &peer), Outcome::Answered { status, .. } if status == expect));
    }
    assert_eq!((peer.unread(), peer.connections()), (statuses.len(), 1));
}

#[test]
fn a_reused_connection_that_dies_before_the_answer_is_tried_again_once() {
    let peer = Peer::start(vec![
        Act::Answer(answer(200, "", "first")),
        Act::Close,
        Act::Answer(answer(200, "", "second")),
        Act::Close,
        Act::Close,
    ]);
    let sender = sender(Duration::from_secs(10));
    assert_eq!(post(&sender, &peer), plain(200, "first"));
    assert_eq!(post(&sender, &peer), plain(200, "second"));
    assert_eq!(peer.unread(), 3);
    let Outcome::Failed(no_answer) = post(&sender, &peer) else {
        panic!("it was answered")
    };
    assert_eq!(no_answer.reason, Failure::Closed);
    assert_eq!(peer.unread(), 2);
}

#[test]
fn a_new_connection_that_dies_is_not_tried_again() {
    let peer = Peer::start(vec![Act::Close, Act::Answer(answer(200, "", ""))]);
    let Outcome::Failed(no_answer) = post(&sender(Duration::from_secs(10)), &peer) else {
        panic!("it was answered")
    };
    assert_eq!(no_answer.reason, Failure::Closed);
    assert_eq!(peer.unread(), 1);
}

#[test]
fn a_reused_connection_that_dies_within_the_answer_is_not_tried_again() {
    let peer = Peer::start(vec![
        Act::Answer(answer(200, "", "")),
        Act::AnswerAndClose(b"HTTP/1.1 2".to_vec()),
        Act::Answer(answer(200, "", "")),
    ]);
    let sender = sender(Duration::from_secs(10));
    assert_eq!(post(&sender, &peer), plain(200, ""));
    let Outcome::Failed(no_answer) = post(&sender, &peer) else {
        panic!("it was answered")
    };
    assert_eq!(no_answer.reason, Failure::Closed);
    assert_eq!(peer.unread(), 2);
}

#[test]
fn all_parts_together_take_the_time_out_at_most() {
    use Stage::{Reading, Sending, Unknown, Waiting};
    for (act, length, stages) in [
        (Act::AnswerAndHang(Vec::new()), 1, [Waiting, Waiting]),
        (Act::AnswerAndHang(b"HTTP/1.1 2".to_vec()), 1, [Reading, Reading]),
        (Act::Ignore, 16_000_000, [Sending, Unknown]),
    ] {
        let peer = Peer::start(vec![act]);
        let body = vec![b'x'; length];
        let answer =
            sender(Duration::from_millis(250)).post(&Secret::new(peer.url()), &[], &body, &SystemClock);
        let Outcome::Failed(no_answer) = answer.outcome else {
            panic!("it was answered")
        };
        let expected = stages.map(Failure::Timeout).contains(&no_answer.reason);
        assert!(expected, "{no_answer:?}");
        assert!(
            answer.elapsed >= Duration::from_millis(240),
            "{:?}",
            answer.elapsed
        );
    }
}

#[test]
fn what_cannot_be_sent_is_told_without_its_secrets() {
    let sender = sender(Duration::from_secs(1));
    for (url, headers) in [
        ("no url: s3cret", HEADERS),
        ("ftp://s3cret.example/", HEADERS),
        (
            "http://127.0.0.1:1/",
            &[("X-Key", "s3cret\r\nHost: evil")] as &[_],
        ),
        ("http://127.0.0.1:1/", &[("X Key", "s3cret")]),
    ] {
        let outcome = sender
            .post(&Secret::new(url), headers, b"x", &SystemClock)
            .outcome;
        let Outcome::Failed(no_answer) = &outcome else {
            panic!("it was answered")
        };
        assert_eq!(no_answer.reason, Failure::Request, "{url}");
        assert!(
            !format!("{outcome:?} {no_answer}").contains("s3cret"),
            "{outcome:?}"
        );
    }
}
