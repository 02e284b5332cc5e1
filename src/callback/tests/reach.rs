//! Which addresses a POST reaches: names that are looked up, denied networks, proxies.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};

use super::*;
use crate::wire::Lookup;

/// A sender for which names have the addresses that `lookup` tells.
pub(super) fn sender_with(
    proxy: Option<&str>,
    extra_roots: Option<&[u8]>,
    deny: &[&str],
    lookup: Arc<Lookup>,
) -> Sender {
    let deny: Vec<Network> = deny.iter().map(|text| Network::parse(text).unwrap()).collect();
    let timeout = Duration::from_secs(10);
    let agent = wire::agent_with(&setup(timeout, proxy, extra_roots, &deny), lookup).unwrap();
    Sender { agent, timeout }
}

/// A lookup that gives its answers one after the other, and the names that it was asked for.
fn scripted(answers: Vec<io::Result<Vec<&'static str>>>) -> (Arc<Lookup>, Arc<Mutex<Vec<String>>>) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let (answers, names) = (Mutex::new(answers.into_iter()), asked.clone());
    let lookup = move |name: &str, port: u16| {
        names.lock().unwrap().push(format!("{name}:{port}"));
        let addresses = answers.lock().unwrap().next().unwrap()?;
        let with_port = |address: &str| SocketAddr::new(address.parse().unwrap(), port);
        Ok(addresses.into_iter().map(with_port).collect())
    };
    (Arc::new(lookup), asked)
}

fn no_lookup() -> Arc<Lookup> {
    Arc::new(|name, _| panic!("{name} was looked up"))
}

fn post_to(sender: &Sender, host: &str, port: u16) -> Outcome {
    let url = Secret::new(format!("http://{host}:{port}/events?key=s3cret"));
    sender.post(&url, &[], b"x", &SystemClock).outcome
}

#[test]
fn a_name_that_is_not_found_is_a_failure_until_it_is_found() {
    let peer = Peer::start(vec![Act::Answer(answer(200, "", ""))]);
    let not_found = io::Error::other("temporary failure in name resolution");
    let (lookup, asked) = scripted(vec![Err(not_found), Ok(vec![]), Ok(vec!["127.0.0.1"])]);
    let sender = sender_with(None, None, &[], lookup);
    let mut told = Vec::new();
    for _ in 0..2 {
        let no_answer = failure(post_to(&sender, "hooks.example", peer.port()));
        assert_eq!(no_answer.reason, Failure::Dns);
        told.push(no_answer.detail);
    }
    assert_eq!(
        told,
        ["temporary failure in name resolution", "it has no address"]
    );
    assert_eq!(post_to(&sender, "hooks.example", peer.port()), plain(200, ""));
    assert!(
        peer.request()
            .contains(&format!("host: hooks.example:{}\r\n", peer.port()))
    );
    assert_eq!(asked.lock().unwrap().len(), 3);
}

#[test]
fn a_lookup_that_does_not_end_is_waited_for_no_longer_than_the_time_out() {
    let (release, held) = std::sync::mpsc::channel::<()>();
    let held = Mutex::new(held);
    let lookup = move |_: &str, _| {
        held.lock().unwrap().recv().ok();
        Ok(Vec::new())
    };
    let timeout = Duration::from_millis(100);
    let agent = wire::agent_with(&setup(timeout, None, None, &[]), Arc::new(lookup)).unwrap();
    let no_answer = failure(post_to(&Sender { agent, timeout }, "hooks.example", 80));
    assert_eq!(
        no_answer.to_string(),
        "the host's name was not resolved: timed out"
    );
    drop(release);
}

#[test]
fn a_name_is_looked_up_once_for_a_connection() {
    let ok = || Act::Answer(answer(200, "", ""));
    let peer = Peer::start(vec![
        ok(),
        ok(),
        Act::AnswerAndClose(answer(200, "Connection: close\r\n", "")),
        ok(),
    ]);
    let (lookup, asked) = scripted(vec![Ok(vec!["127.0.0.1"]), Ok(vec!["127.0.0.1"])]);
    let sender = sender_with(None, None, &[], lookup);
    for _ in 0..4 {
        assert_eq!(post_to(&sender, "hooks.example", peer.port()), plain(200, ""));
    }
    assert_eq!((peer.connections(), asked.lock().unwrap().len()), (2, 2));
}

#[test]
fn the_next_address_is_tried_when_one_refuses() {
    let peer = Peer::start(vec![Act::Answer(answer(200, "", ""))]);
    // Nobody listens at the first: it is loopback too, but not what the peer is bound to.
    let (lookup, _) = scripted(vec![Ok(vec!["127.0.0.2", "127.0.0.1"])]);
    let sender = sender_with(None, None, &["169.254.0.0/16"], lookup);
    assert_eq!(post_to(&sender, "hooks.example", peer.port()), plain(200, ""));
}

#[test]
fn a_name_with_a_denied_address_is_refused_whatever_its_others_are() {
    for addresses in [
        vec!["169.254.169.254"],
        vec!["127.0.0.1", "169.254.169.254"],
        vec!["::ffff:169.254.169.254"],
        vec!["64:ff9b::a9fe:a9fe"],
    ] {
        let peer = Peer::start(vec![Act::Answer(answer(200, "", ""))]);
        let denied: IpAddr = addresses[addresses.len() - 1].parse().unwrap();
        let (lookup, _) = scripted(vec![Ok(addresses)]);
        let sender = sender_with(None, None, &["10.0.0.0/8", "169.254.0.0/16"], lookup);
        let no_answer = failure(post_to(&sender, "hooks.example", peer.port()));
        assert_eq!(no_answer.reason, Failure::Denied);
        assert_eq!(no_answer.detail, format!("`{denied}` lies in `169.254.0.0/16`"));
        assert!(no_answer.reason.hint().contains("`[delivery] deny`"));
        assert_eq!(peer.connections(), 0);
    }
}

#[test]
fn more_addresses_than_are_tried_are_all_checked() {
    let mut addresses = vec!["127.0.0.2"; 40];
    addresses.push("169.254.169.254");
    let (lookup, _) = scripted(vec![Ok(addresses)]);
    let sender = sender_with(None, None, &["169.254.0.0/16"], lookup);
    assert_eq!(
        failure(post_to(&sender, "hooks.example", 80)).reason,
        Failure::Denied
    );
}

#[test]
fn a_connection_goes_to_the_address_that_was_checked() {
    let peer = Peer::start(vec![Act::AnswerAndClose(answer(
        200,
        "Connection: close\r\n",
        "",
    ))]);
    // Rebinding: the next lookup would lead to where the first was not let.
    let (lookup, asked) = scripted(vec![Ok(vec!["127.0.0.1"]), Ok(vec!["169.254.169.254"])]);
    let sender = sender_with(None, None, &["169.254.0.0/16"], lookup);
    assert_eq!(post_to(&sender, "hooks.example", peer.port()), plain(200, ""));
    assert_eq!(asked.lock().unwrap().len(), 1);
    assert_eq!(
        failure(post_to(&sender, "hooks.example", peer.port())).reason,
        Failure::Denied
    );
}

/// Ways to write 127.0.0.1.
const SPELLINGS: &[&str] = &[
    "127.0.0.1",
    "127.1",
    "0x7f.1",
    "0x7F000001",
    "2130706433",
    "0177.0.0.01",
    "017700000001",
    "127.0.0.1.",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[0:0:0:0:0:ffff:7f00:0001]",
    "[64:ff9b::7f00:1]",
    "[2002:7f00:1::]",
];

#[test]
fn a_denied_address_is_refused_however_the_url_spells_it() {
    let sender = sender_with(None, None, &["127.0.0.0/8"], no_lookup());
    for spelling in SPELLINGS {
        let no_answer = failure(post_to(&sender, spelling, 80));
        assert_eq!(no_answer.reason, Failure::Denied, "{spelling}: {no_answer}");
    }
}

#[test]
fn an_address_that_is_let_is_reached_however_the_url_spells_it() {
    for spelling in &SPELLINGS[..8] {
        let peer = Peer::start(vec![Act::Answer(answer(200, "", ""))]);
        let sender = sender_with(None, None, &["127.0.0.2"], no_lookup());
        assert_eq!(
            post_to(&sender, spelling, peer.port()),
            plain(200, ""),
            "{spelling}"
        );
    }
}

#[test]
fn a_host_that_is_nearly_an_address_is_refused() {
    let sender = sender_with(None, None, &[], no_lookup());
    for host in [
        "256.0.0.1",
        "1.2.3.4.5",
        "0x100000000",
        "hooks.1",
        "[fe80::1%25eth0]",
        "[::1",
        "",
    ] {
        let no_answer = failure(post_to(&sender, host, 80));
        assert_eq!(no_answer.reason, Failure::Request, "{host}: {no_answer}");
    }
}

#[test]
fn behind_a_proxy_names_are_the_proxys_and_addresses_are_checked() {
    let tunnel = || Act::Answer(b"HTTP/1.1 200 OK\r\n\r\n".to_vec());
    let proxy = Peer::start(vec![tunnel(), Act::Answer(answer(200, "", ""))]);
    let url = proxy.url();
    // The proxy itself lies in a denied network: it was named by the operator.
    let sender = sender_with(Some(&url), None, &["127.0.0.0/8"], no_lookup());
    for spelling in SPELLINGS {
        let no_answer = failure(post_to(&sender, spelling, 80));
        assert_eq!(no_answer.reason, Failure::Denied, "{spelling}: {no_answer}");
    }
    assert_eq!(proxy.connections(), 0);
    assert_eq!(post_to(&sender, "hooks.example", 80), plain(200, ""));
    assert!(
        proxy
            .request()
            .starts_with("CONNECT hooks.example:80 HTTP/1.1\r\n")
    );
}

#[test]
fn a_proxy_that_is_not_reached_is_told_as_such() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (lookup, _) = scripted(vec![Err(io::Error::other("no such host"))]);
    for (proxy, expect) in [
        (
            format!("http://user:s3cret@{free}"),
            "no connection: Connection refused",
        ),
        (
            "http://proxy.example:3128".to_owned(),
            "the host's name was not resolved: no such host",
        ),
    ] {
        let sender = sender_with(Some(&proxy), None, &[], lookup.clone());
        let no_answer = failure(post_to(&sender, "hooks.example", 80));
        assert_eq!(no_answer.reason, Failure::Proxy);
        assert!(no_answer.detail.starts_with(expect), "{no_answer}");
        assert!(!no_answer.to_string().contains("s3cret"), "{no_answer}");
    }
}
