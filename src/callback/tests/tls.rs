//! POSTs over TLS: whose certificate is trusted, and what is told when it is not.

use std::net::SocketAddr;
use std::sync::Arc;

use super::*;
use crate::wire::peer::{ROOT, served_with};

/// A sender that trusts the tests' root, to which every name is this machine.
fn sender() -> Sender {
    let lookup = |_: &str, port| Ok(vec![SocketAddr::from(([127, 0, 0, 1], port))]);
    reach::sender_with(None, Some(ROOT), &[], Arc::new(lookup))
}

fn peer(certificate: &str, acts: Vec<Act>) -> Peer {
    Peer::with_tls(served_with(certificate), acts)
}

fn post(sender: &Sender, peer: &Peer, body: &[u8]) -> Outcome {
    let url = Secret::new(format!("https://hooks.example:{}/events?key=s3cret", peer.port()));
    sender.post(&url, &[], body, &SystemClock).outcome
}

#[test]
fn a_certificate_by_a_root_of_ones_own_is_trusted_and_its_connection_kept() {
    let peer = peer(
        "sound",
        vec![
            Act::Answer(answer(200, "", "a")),
            Act::Answer(answer(200, "", "b")),
        ],
    );
    let sender = sender();
    assert_eq!(post(&sender, &peer, b"x"), plain(200, "a"));
    assert_eq!(post(&sender, &peer, b"x"), plain(200, "b"));
    assert_eq!(peer.connections(), 1);
}

#[test]
fn a_certificate_that_does_not_hold_is_told_by_its_fault() {
    for (certificate, expect) in [
        ("expired", "expired"),
        ("other-name", "not valid for name \"hooks.example\""),
        ("self-signed", "UnknownIssuer"),
    ] {
        let peer = peer(certificate, vec![Act::Answer(answer(200, "", ""))]);
        let no_answer = failure(post(&sender(), &peer, b"x"));
        assert_eq!(no_answer.reason, Failure::Tls);
        assert!(no_answer.detail.contains(expect), "{certificate}: {no_answer}");
        assert!(no_answer.reason.hint().contains("`ca_file`"));
        assert_eq!(peer.unread(), 0, "{certificate}: the request was sent");
    }
}

#[test]
fn a_root_of_ones_own_is_trusted_only_where_it_is_named() {
    let peer = peer("sound", vec![Act::Answer(answer(200, "", ""))]);
    let lookup = |_: &str, port| Ok(vec![SocketAddr::from(([127, 0, 0, 1], port))]);
    let sender = reach::sender_with(None, None, &[], Arc::new(lookup));
    let no_answer = failure(post(&sender, &peer, b"x"));
    assert_eq!(no_answer.reason, Failure::Tls);
}

#[test]
fn a_handshake_that_drags_on_is_given_no_more_than_the_time_out() {
    // A record of a handshake that is as long as a record may be.
    let handshake = [vec![0x16, 3, 3, 0x40, 0], vec![0; 16 * 1024]].concat();
    for act in [Act::Ignore, Act::Drip(Vec::new(), handshake)] {
        let peer = Peer::start(vec![act]);
        let timeout = Duration::from_millis(200);
        let sender = Sender::new(timeout, None, Some(ROOT), &[]).unwrap();
        let url = Secret::new(peer.url().replace("http:", "https:"));
        let answer = sender.post(&url, &[], b"x", &SystemClock);
        let no_answer = failure(answer.outcome);
        assert_eq!(
            no_answer.reason,
            Failure::Timeout(Stage::Connecting),
            "{no_answer}"
        );
        assert!(answer.elapsed < Duration::from_secs(3), "{:?}", answer.elapsed);
    }
}

#[test]
fn a_handshake_that_is_broken_off_is_a_failure() {
    for act in [Act::Reset, Act::Blurt(vec![0x15, 3, 3, 0, 2, 2, 40])] {
        let peer = Peer::start(vec![act]);
        let url = Secret::new(peer.url().replace("http:", "https:"));
        let reason = failure(sender().post(&url, &[], b"x", &SystemClock).outcome).reason;
        assert!(matches!(reason, Failure::Closed | Failure::Tls), "{reason}");
    }
}

#[test]
fn a_stale_connection_is_noticed_under_tls_too() {
    let peer = peer(
        "sound",
        vec![
            Act::Answer(answer(200, "", "")),
            Act::Close,
            Act::Answer(answer(200, "", "again")),
        ],
    );
    let sender = sender();
    assert_eq!(post(&sender, &peer, b"x"), plain(200, ""));
    assert_eq!(post(&sender, &peer, b"x"), plain(200, "again"));
    assert_eq!((peer.unread(), peer.connections()), (3, 2));
}

#[test]
fn an_answer_is_heard_under_tls_though_the_peer_hung_up_on_the_body() {
    let peer = peer("sound", vec![Act::AnswerEarly(answer(413, "", "too large"))]);
    let body = vec![b'x'; 32 * 1024 * 1024];
    assert_eq!(post(&sender(), &peer, &body), plain(413, "too large"));
}

#[test]
fn an_answer_that_is_cut_under_tls_still_has_its_status() {
    let cut = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc".to_vec();
    let peer = peer("sound", vec![Act::AnswerAndClose(cut)]);
    assert_eq!(post(&sender(), &peer, b"x"), plain(200, "abc"));
}
