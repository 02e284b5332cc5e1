//! POSTs to peers that refuse, break off, drag on or never end.

use jiff::{SignedDuration, Timestamp};

use super::*;

/// More than the buffers between two sockets take.
fn large() -> Vec<u8> {
    vec![b'x'; 32 * 1024 * 1024]
}

fn post_body(sender: &Sender, peer: &Peer, body: &[u8]) -> Answer {
    sender.post(&Secret::new(peer.url()), &[], body, &SystemClock)
}

#[track_caller]
fn check_failure(act: Act, expect: Failure) {
    let peer = Peer::start(vec![act]);
    let no_answer = failure(post(&sender(Duration::from_secs(10)), &peer));
    assert_eq!(no_answer.reason, expect, "{no_answer}");
}

#[test]
fn whatever_breaks_off_before_the_head_is_whole_is_a_failure() {
    check_failure(Act::Close, Failure::Closed);
    check_failure(Act::Reset, Failure::Closed);
    check_failure(Act::ResetAfterBody, Failure::Closed);
    check_failure(
        Act::AnswerAndClose(b"HTTP/1.1 200 OK\r\nContent-Le".to_vec()),
        Failure::Closed,
    );
}

#[test]
fn a_reset_while_the_body_is_sent_is_a_failure() {
    let peer = Peer::start(vec![Act::AnswerEarly(Vec::new())]);
    let answer = post_body(&sender(Duration::from_secs(10)), &peer, &large());
    assert_eq!(failure(answer.outcome).reason, Failure::Closed);
}

#[test]
fn an_answer_is_heard_though_the_peer_hung_up_on_the_body() {
    let told = answer(413, "Connection: close\r\n", "one event at a time, please");
    let peer = Peer::start(vec![Act::AnswerEarly(told)]);
    let answer = post_body(&sender(Duration::from_secs(10)), &peer, &large());
    assert_eq!(answer.outcome, plain(413, "one event at a time, please"));
}

#[test]
fn a_connection_that_was_hung_up_on_is_not_used_again() {
    let peer = Peer::start(vec![
        Act::AnswerEarly(answer(413, "", "")),
        Act::Answer(answer(200, "", "")),
    ]);
    let sender = sender(Duration::from_secs(10));
    assert_eq!(post_body(&sender, &peer, &large()).outcome, plain(413, ""));
    assert_eq!(post(&sender, &peer), plain(200, ""));
    assert_eq!(peer.connections(), 2);
}

#[test]
fn a_reused_connection_that_is_reset_is_tried_again_only_before_the_answer() {
    for (begun, expect) in [("", Ok(200)), ("HTTP/1.1 2", Err(Failure::Closed))] {
        let peer = Peer::start(vec![
            Act::Answer(answer(200, "", "")),
            Act::AnswerEarly(begun.as_bytes().to_vec()),
            Act::Answer(answer(200, "", "again")),
        ]);
        let sender = sender(Duration::from_secs(10));
        assert_eq!(post(&sender, &peer), plain(200, ""));
        let came = match post_body(&sender, &peer, &large()).outcome {
            Outcome::Answered { status, .. } => Ok(status),
            Outcome::Failed(no_answer) => Err(no_answer.reason),
        };
        assert_eq!(came, expect, "{begun:?}");
    }
}

#[test]
fn interim_answers_are_passed_over() {
    for interim in [
        "HTTP/1.1 100 Continue\r\n\r\n",
        "HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n",
        "HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n",
    ] {
        let mut bytes = interim.as_bytes().to_vec();
        bytes.extend(answer(202, "", "done"));
        assert_eq!(
            outcome(vec![Act::Answer(bytes)]),
            plain(202, "done"),
            "{interim:?}"
        );
    }
}

#[test]
fn a_chunked_answer_that_is_cut_or_endless_still_has_its_status() {
    let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let cut = [head, b"5\r\nabc".as_slice()].concat();
    assert_eq!(outcome(vec![Act::AnswerAndClose(cut)]), plain(200, "abc"));
    let chunk = b"400\r\n"
        .iter()
        .copied()
        .chain([b'x'; 1024])
        .chain(*b"\r\n")
        .collect();
    assert_eq!(
        outcome(vec![Act::Endless(head.to_vec(), chunk)]),
        plain(200, &"x".repeat(KEPT_BYTES))
    );
    let no_chunk = [head, b"fffffffffffffffff\r\nabc".as_slice()].concat();
    assert_eq!(outcome(vec![Act::AnswerAndClose(no_chunk)]), plain(200, ""));
}

#[test]
fn an_answer_of_ten_gibibytes_is_hung_up_on() {
    let head = b"HTTP/1.1 200 OK\r\nContent-Length: 10737418240\r\n\r\n".to_vec();
    let peer = Peer::start(vec![
        Act::Endless(head, vec![b'x'; READ_BYTES as usize]),
        Act::Answer(answer(200, "", "second")),
    ]);
    let sender = sender(Duration::from_secs(10));
    assert_eq!(post(&sender, &peer), plain(200, &"x".repeat(KEPT_BYTES)));
    assert_eq!(post(&sender, &peer), plain(200, "second"));
    assert_eq!(peer.connections(), 2);
}

#[test]
fn a_head_without_bounds_is_refused() {
    for (line, times) in [("X: y\r\n", 200), ("X: yyyyyyyy\r\n", 100_000)] {
        let head = format!("HTTP/1.1 200 OK\r\n{}\r\n", line.repeat(times));
        check_failure(Act::AnswerAndHang(head.into_bytes()), Failure::Protocol);
    }
    let long = format!("X: {}\r\n", "y".repeat(1024 * 1024));
    check_failure(Act::AnswerAndHang(answer(200, &long, "")), Failure::Protocol);
    let endless = Act::Endless(b"HTTP/1.1 200 OK\r\nX: ".to_vec(), vec![b'y'; 4096]);
    check_failure(endless, Failure::Protocol);
    let interim = b"HTTP/1.1 103 Early Hints\r\nX: ".to_vec();
    check_failure(Act::Endless(interim, vec![b'y'; 4096]), Failure::Protocol);
}

#[test]
fn what_is_not_http_is_refused() {
    for bytes in [
        "SSH-2.0-OpenSSH_9\r\n\r\n",
        "HTTP/2.0 200 OK\r\n\r\n",
        "HTTP/1.1 2000 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
    ] {
        check_failure(Act::AnswerAndHang(bytes.as_bytes().to_vec()), Failure::Protocol);
    }
}

/// How long a POST to a peer that performs `act` took, which is allowed a third of a second and would take a minute.
fn drag(act: Act, body: &[u8]) -> Answer {
    let peer = Peer::start(vec![act]);
    let timeout = Duration::from_millis(333);
    let answer = post_body(&sender(timeout), &peer, body);
    // The upper bound leaves room for a machine that is busy with other tests.
    let bounds = Duration::from_millis(330)..Duration::from_secs(3);
    assert!(bounds.contains(&answer.elapsed), "{:?}", answer.elapsed);
    answer
}

#[test]
fn a_peer_that_drags_on_is_given_no_more_than_the_time_out() {
    let head = answer(200, &format!("X: {}\r\n", "y".repeat(12_000)), "");
    let interim = b"HTTP/1.1 102 Processing\r\n\r\n".repeat(500);
    for (act, body) in [
        (Act::Drip(Vec::new(), head), b"x".to_vec()),
        (Act::Drip(Vec::new(), interim), b"x".to_vec()),
        (Act::ReadSlowly, large()),
        (Act::Ignore, large()),
    ] {
        // What the time ran out in is not known when it did so between two bytes.
        let reason = failure(drag(act, &body).outcome).reason;
        assert!(matches!(reason, Failure::Timeout(_)), "{reason}");
    }
    let head = b"HTTP/1.1 200 OK\r\nContent-Length: 12000\r\n\r\n".to_vec();
    let act = Act::Drip(head, vec![b'y'; 12_000]);
    assert_eq!(drag(act, b"x").status(), Some(200));
}

#[test]
fn trying_again_takes_no_more_than_the_time_that_is_left() {
    let peer = Peer::start(vec![Act::Answer(answer(200, "", "")), Act::Close, Act::Close]);
    let clock = FakeClock::at("2026-03-01T09:30:00Z".parse().unwrap());
    let sender = sender(Duration::from_secs(2));
    let url = Secret::new(peer.url());
    assert_eq!(sender.post(&url, &[], b"x", &clock).status(), Some(200));
    let slow = Slow(clock);
    let answer = sender.post(&url, &[], b"x", &slow);
    assert!(matches!(failure(answer.outcome).reason, Failure::Timeout(_)));
}

/// A clock on which most of a second passes each time it is measured by.
#[derive(Debug)]
struct Slow(FakeClock);

impl Clock for Slow {
    fn now(&self) -> Timestamp {
        self.0.now()
    }

    fn uptime(&self) -> Duration {
        self.0.advance(Duration::from_millis(900));
        self.0.uptime()
    }

    fn sleep(&self, wait: Duration) {
        self.0.advance(wait);
    }
}

#[test]
fn a_wait_asked_for_is_told_as_it_is() {
    let clock = FakeClock::at("2026-03-01T09:30:00Z".parse().unwrap());
    let sender = sender(Duration::from_secs(10));
    for (value, expect) in [
        ("0", Some(0)),
        ("5", Some(5)),
        ("31536000", Some(31_536_000)),
        ("Sun, 01 Mar 2026 09:29:00 GMT", Some(0)),
        ("Sun, 01 Mar 2026 09:30:05 GMT", Some(5)),
        ("Mon, 01 Mar 2027 09:30:00 GMT", Some(31_536_000)),
        ("tomorrow", None),
    ] {
        let headers = format!("Retry-After: {value}\r\n");
        let peer = Peer::start(vec![Act::Answer(answer(429, &headers, ""))]);
        let answer = sender.post(&Secret::new(peer.url()), &[], b"x", &clock);
        assert_eq!(answer.retry_after(), expect.map(Duration::from_secs), "{value}");
    }
}

/// A clock that is an hour further ahead each time it is looked at.
#[derive(Debug)]
struct Leaping(FakeClock);

impl Clock for Leaping {
    fn now(&self) -> Timestamp {
        self.0.set(self.0.now() + SignedDuration::from_hours(1));
        self.0.now()
    }

    fn uptime(&self) -> Duration {
        self.0.uptime()
    }

    fn sleep(&self, wait: Duration) {
        self.0.sleep(wait);
    }
}

#[test]
fn a_clock_that_is_set_meanwhile_takes_no_time_from_the_second_try() {
    let peer = Peer::start(vec![
        Act::AnswerAndClose(answer(200, "", "")),
        Act::Answer(answer(200, "", "again")),
    ]);
    let (sender, clock) = (
        sender(Duration::from_secs(10)),
        Leaping(FakeClock::at(Timestamp::UNIX_EPOCH)),
    );
    let url = Secret::new(peer.url());
    let post = || sender.post(&url, &[], b"{}", &clock);
    assert_eq!(post().outcome, plain(200, ""));
    let second = post();
    assert_eq!(second.outcome, plain(200, "again"));
    assert_eq!(second.elapsed, Duration::ZERO);
}
