//! A real proxy between this box and the provider: CONNECT, TLS through it by a root of one's own, and when it is passed
//! by. `testdata` holds a root and a certificate for graph.test and login.test; the key signs nothing else.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use deltapost::sim::onedrive::Account;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::json;

use crate::support::Site;

const CERTIFICATE: &[u8] = include_bytes!("testdata/graph.pem");
const KEY: &[u8] = include_bytes!("testdata/graph.key.pem");

/// A listener that speaks TLS as graph.test and hands what it hears to `plain`, an HTTP service. Returns its port.
fn tls_front(plain: u16) -> u16 {
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
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for tcp in listener.incoming() {
            let tls = ServerConnection::new(config.clone()).unwrap();
            let stream = StreamOwned::new(tls, tcp.unwrap());
            thread::spawn(move || serve(stream, plain));
        }
    });
    port
}

/// Hands requests over one by one: each is read whole, and so is its answer.
fn serve(stream: StreamOwned<ServerConnection, TcpStream>, plain: u16) -> io::Result<()> {
    let mut outer = BufReader::new(stream);
    let mut inner = BufReader::new(TcpStream::connect(("127.0.0.1", plain))?);
    loop {
        let request = read_message(&mut outer)?;
        inner.get_mut().write_all(&request)?;
        let answer = read_message(&mut inner)?;
        outer.get_mut().write_all(&answer)?;
        outer.get_mut().flush()?;
    }
}

/// A head and the body that its `Content-Length` announces.
fn read_message(stream: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut message = Vec::new();
    let mut length = 0;
    loop {
        let begin = message.len();
        if stream.read_until(b'\n', &mut message)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let line = String::from_utf8_lossy(&message[begin..]).to_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line == "\r\n" {
            break;
        }
    }
    let head = message.len();
    message.resize(head + length, 0);
    stream.read_exact(&mut message[head..])?;
    Ok(message)
}

/// An HTTP proxy that knows CONNECT, and that every name leads to `target`. It tells the heads of what it is asked.
fn proxy(target: u16, answer: &'static str) -> (u16, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (asked, heads) = channel();
    let asked = Mutex::new(asked);
    thread::spawn(move || {
        for client in listener.incoming() {
            let client = client.unwrap();
            let head = read_head(&client);
            // The test may be over.
            asked.lock().unwrap().send(head).ok();
            let mut reply = &client;
            reply.write_all(answer.as_bytes()).ok();
            if answer.contains(" 200 ") {
                let server = TcpStream::connect(("127.0.0.1", target)).unwrap();
                join(client, server);
            }
        }
    });
    (port, heads)
}

fn read_head(mut client: &TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && client.read_exact(&mut byte).is_ok() {
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

fn join(one: TcpStream, other: TcpStream) {
    for (from, to) in [
        (one.try_clone().unwrap(), other.try_clone().unwrap()),
        (other, one),
    ] {
        thread::spawn(move || {
            io::copy(&mut &from, &mut &to).ok();
            to.shutdown(Shutdown::Both).ok();
        });
    }
}

/// A box whose provider is `https://graph.test`, behind TLS of a root of one's own. Returns the port of its TLS, too.
fn site(network: &str) -> (Site, u16) {
    let site = Site::new(Account::business());
    let base = site.cloud.graph_base();
    let port: u16 = base
        .trim_end_matches("/v1.0")
        .rsplit(':')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    site.cloud.stand_behind("https://graph.test");
    let front = tls_front(port);
    site.configure_provider("https://login.test/common", "https://graph.test/v1.0", network);
    (site, front)
}

fn ca_file() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/provider/testdata/root.pem");
    format!("ca_file = {root:?}\n")
}

/// The targets of CONNECT so far.
fn connects(heads: &Receiver<String>) -> Vec<String> {
    heads
        .try_iter()
        .map(|head| head.lines().next().unwrap().to_owned())
        .collect()
}

fn check_delivery(site: &Site, environment: &[(&str, &str)]) {
    let document = site.document("Docs", json!({})).to_string();
    let file = site.file("docs.json", &document);
    let file = file.display().to_string();
    site.cli_in(environment, &["instance", "create", &file]).code(0);
    site.cli_in(environment, &["once"]).code(0);
    site.drive().create_file(&site.drive().root_id(), "new", 1);
    site.cli_in(environment, &["once"]).code(0);
    // The callback is on this machine, and went there without the proxy.
    assert_eq!(site.receiver.events().len(), 1);
}

#[test]
fn everything_to_the_provider_goes_through_the_configured_proxy() {
    let (site, front) = site("");
    let (port, heads) = proxy(front, "HTTP/1.1 200 Connection established\r\n\r\n");
    let network = format!(
        "[network]\nproxy = \"http://user:pass-0123@127.0.0.1:{port}\"\n{}",
        ca_file()
    );
    site.configure_provider("https://login.test/common", "https://graph.test/v1.0", &network);
    check_delivery(&site, &[("NO_PROXY", "*")]);
    let asked: Vec<String> = heads.try_iter().collect();
    assert!(asked.len() >= 3, "{asked:?}");
    for head in &asked {
        assert!(
            head.starts_with("CONNECT graph.test:443 ") || head.starts_with("CONNECT login.test:443 "),
            "{head}"
        );
        let credentials = "proxy-authorization: basic dxnlcjpwyxnzltaxmjm=";
        assert!(head.to_lowercase().contains(credentials), "{head}");
    }
}

#[test]
fn a_proxy_of_the_environment_is_used_unless_it_says_otherwise() {
    let (site, front) = site(&format!("[network]\n{}", ca_file()));
    let (port, heads) = proxy(front, "HTTP/1.1 200 Connection established\r\n\r\n");
    let proxy = format!("http://127.0.0.1:{port}");
    check_delivery(&site, &[("HTTPS_PROXY", &proxy)]);
    assert!(!connects(&heads).is_empty());
    // Without the proxy nobody knows the name.
    let past = [("HTTPS_PROXY", proxy.as_str()), ("NO_PROXY", "graph.test,.test")];
    site.cli_in(&past, &["once"]).code(1).says(&["name"]);
    assert_eq!(connects(&heads), [] as [&str; 0]);
}

#[test]
fn a_root_of_ones_own_is_needed_and_said_so() {
    let (site, front) = site("");
    let (port, _heads) = proxy(front, "HTTP/1.1 200 Connection established\r\n\r\n");
    let document = site.document("Docs", json!({})).to_string();
    let file = site.file("docs.json", &document);
    let environment = [("HTTPS_PROXY", format!("http://127.0.0.1:{port}"))];
    let environment = [(environment[0].0, environment[0].1.as_str())];
    site.cli_in(&environment, &["instance", "create", &file.display().to_string()])
        .code(1)
        .says(&["certificate", "`ca_file` under `[network]`"]);
}

#[test]
fn a_proxy_that_refuses_is_named_as_the_one_that_does() {
    let (site, front) = site("");
    let (port, heads) = proxy(
        front,
        "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n",
    );
    let network = format!("[network]\nproxy = \"http://127.0.0.1:{port}\"\n");
    site.configure_provider("https://login.test/common", "https://graph.test/v1.0", &network);
    let document = site.document("Docs", json!({})).to_string();
    let file = site.file("docs.json", &document);
    site.cli_in(&[], &["instance", "create", &file.display().to_string()])
        .code(1)
        .says(&["proxy"]);
    heads.recv_timeout(Duration::from_secs(20)).unwrap();
}
