//! The same agent over TLS: whom it trusts, and that a connection is reused and known to be stale there too.
//! `testdata` holds a root and a certificate for localhost, both valid to 2120; the key signs nothing else.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::peer::answer;
use super::*;

const ROOT: &[u8] = include_bytes!("testdata/root.pem");
const CERTIFICATE: &[u8] = include_bytes!("testdata/localhost.pem");
const KEY: &[u8] = include_bytes!("testdata/localhost.key.pem");

/// The port of a server that, on each connection in turn, reads as many requests as its first number says, and answers
/// as many of them as its second.
fn serve(connections: Vec<(usize, usize)>) -> u16 {
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(CERTIFICATE).unwrap()],
            PrivateKeyDer::from_pem_slice(KEY).unwrap(),
        )
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for (requests, answered) in connections {
            let (tcp, _) = listener.accept().unwrap();
            let tls = ServerConnection::new(config.clone()).unwrap();
            let mut stream = BufReader::new(StreamOwned::new(tls, tcp));
            for number in 0..requests {
                read_head(&mut stream);
                if number < answered {
                    stream.get_mut().write_all(&answer(200, "", "ok")).ok();
                }
            }
        }
    });
    port
}

/// Reads up to an empty line, or to the end: a client that does not trust us says no more.
fn read_head(stream: &mut impl BufRead) {
    let mut line = String::new();
    while line != "\r\n" {
        line.clear();
        if !matches!(stream.read_line(&mut line), Ok(1..)) {
            return;
        }
    }
}

fn agent_trusting(extra_roots: Option<&[u8]>) -> Agent {
    agent(&Setup {
        user_agent: "deltapost/test",
        timeouts: Timeouts::within(Duration::from_secs(20)),
        route: Route::Direct,
        extra_roots,
        idle_per_host: 2,
        idle_in_all: 4,
    })
    .unwrap()
}

fn get(agent: &Agent, url: &str) -> Result<Vec<u8>, NoAnswer> {
    once_more_if_stale(|on_new_connection| {
        let idle = Duration::from_secs(if on_new_connection { 0 } else { 15 });
        agent.get(url).config().max_idle_age(idle).build().call()
    })
    .map(|mut answer| read_body(answer.body_mut(), 10).unwrap())
    .map_err(|error| NoAnswer::from(&error))
}

#[test]
fn roots_of_ones_own_are_trusted_for_the_names_they_certify() {
    let port = serve(vec![(1, 1), (1, 1)]);
    let url = format!("https://localhost:{port}/");
    assert_eq!(get(&agent_trusting(Some(ROOT)), &url), Ok(b"ok".to_vec()));
    let no_answer = get(&agent_trusting(Some(ROOT)), &format!("https://127.0.0.2:{port}/")).unwrap_err();
    assert_eq!(no_answer.reason, Failure::Tls, "{no_answer}");
    assert!(no_answer.detail.contains("not valid for name"), "{no_answer}");
}

#[test]
fn a_certificate_of_nobody_known_is_refused() {
    let port = serve(vec![(1, 1)]);
    let no_answer = get(&agent_trusting(None), &format!("https://localhost:{port}/")).unwrap_err();
    assert_eq!(no_answer.reason, Failure::Tls, "{no_answer}");
    assert!(no_answer.detail.contains("certificate"), "{no_answer}");
}

#[test]
fn a_stale_connection_is_known_under_tls_too() {
    let port = serve(vec![(2, 1), (1, 1), (1, 0)]);
    let url = format!("https://localhost:{port}/");
    let agent = agent_trusting(Some(ROOT));
    assert_eq!(get(&agent, &url), Ok(b"ok".to_vec()));
    assert_eq!(get(&agent, &url), Ok(b"ok".to_vec()));
    let fresh = get(&agent_trusting(Some(ROOT)), &url).unwrap_err();
    assert_eq!(fresh.reason, Failure::Closed);
}
