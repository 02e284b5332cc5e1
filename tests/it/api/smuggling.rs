//! Requests of which a proxy and the server could each see another end: the vulnerability note beside the packages names this.

use std::io::{Read, Write};
use std::net::TcpStream;

use deltapost::sim::onedrive::Account;

use crate::support::api::Api;
use crate::support::{PATIENCE, Site};

#[test]
fn a_request_with_a_transfer_encoding_is_refused_and_nothing_behind_it_is_read() {
    let site = Site::new(Account::business());
    let agent = site.spawn_run();
    let api = Api::of(&site, agent.address());
    let hidden = format!(
        "GET /healthz HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n\r\n",
        api.token
    );
    for line in [
        "Transfer-Encoding: chunked",
        "transfer-encoding: identity",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding:\tchunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        "Transfer-Encoding : chunked",
        " Transfer-Encoding: chunked",
        "X: a\r\n Transfer-Encoding: chunked",
    ] {
        for length in ["", "Content-Length: 5\r\n", "Content-Length: 0\r\n"] {
            let sent = format!(
                "POST /healthz HTTP/1.1\r\nHost: localhost\r\n{length}{line}\r\n\r\n0\r\n\r\n{hidden}"
            );
            let mut stream = TcpStream::connect(api.address).unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            stream.write_all(sent.as_bytes()).unwrap();
            let mut answers = Vec::new();
            // It may close with what was sent still unread.
            let ended = stream.read_to_end(&mut answers);
            let answers = String::from_utf8(answers).unwrap();
            let what = format!("{line:?} {length:?}: {ended:?} {answers}");
            assert_eq!(answers.matches("HTTP/1.1 ").count(), 1, "{what}");
            let refused = ["HTTP/1.1 400 ", "HTTP/1.1 501 "];
            assert!(refused.iter().any(|begin| answers.starts_with(begin)), "{what}");
        }
    }
    api.get("/elements").status(200);
}
