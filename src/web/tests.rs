//! Who gets in, over a real socket: each row of the tables, asked by somebody who has neither session nor token.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;

use super::*;
use crate::callback::Sender;
use crate::config::{Config, Live};
use crate::graph::client::{Client, GraphConfig, TIMEOUTS};
use crate::store::{Key, Look, Sharing, Store, TOKEN_FILE};
use std::sync::Arc;

/// What answers anyone, and with which status.
const OPEN: &[(&str, &str)] = &[
    ("GET /signin", "200"),
    ("POST /signin", "401"),
    ("GET /page/style.css", "200"),
    ("GET /page/page.js", "200"),
    ("GET /oauth2callback", "400"),
    ("GET /healthz", "200"),
];

fn house(data_dir: &Path) -> House {
    let mut config = Config::parse("[listen]\naddress = \"127.0.0.1:0\"\n").unwrap();
    config.data_dir = data_dir.to_owned();
    let (key, _) = Key::create(data_dir).unwrap();
    Store::create(data_dir, Sharing::Owner, &key, SystemClock.now()).unwrap();
    fs::write(data_dir.join(TOKEN_FILE), "0123\n").unwrap();
    let client = GraphConfig {
        base: &config.microsoft.graph,
        authority: &config.microsoft.authority,
        company: "",
        proxy: None,
        extra_roots: None,
        timeouts: TIMEOUTS,
    };
    House {
        live: Arc::new(Live::new(&config)),
        store: Arc::new(Store::open(data_dir, Sharing::Owner, Some(key), Look::Brief, client.base).unwrap()),
        client: Arc::new(Client::new(&client).unwrap()),
        sender: Arc::new(Sender::new(config.delivery.timeout, None, None, &[]).unwrap()),
        clock: Arc::new(SystemClock),
        config: Arc::new(config),
    }
}

/// Status and head of the answer to a request without a header but the host.
fn ask(address: SocketAddr, method: &str, path: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    (answer[9..12].to_owned(), answer)
}

#[test]
fn no_row_answers_a_stranger_but_those_that_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let house = house(directory.path());
    let listening = listen(&house, &Arc::default()).unwrap().unwrap();
    let tables = TABLES.iter().chain(page::TABLES);
    let rows = tables.flat_map(|table| table.routes.iter().map(|route| (table.base, route)));
    let mut open = Vec::new();
    for (base, route) in rows {
        let path = format!("{base}{}", route.path).replace('{', "").replace('}', "");
        let row = format!("{} {path}", route.method);
        let (status, answer) = ask(listening.address(), route.method, &path);
        let to_sign_in = status == "303" && answer.contains("\r\nLocation: /signin\r\n");
        match OPEN.iter().find(|(known, _)| *known == row) {
            Some((_, expect)) => open.push((row, status == *expect)),
            None if status == "401" || to_sign_in => {}
            None => panic!("{row} answers a stranger: {answer}"),
        }
    }
    assert_eq!(open.len(), OPEN.len(), "{open:?}");
    assert!(open.iter().all(|(_, as_named)| *as_named), "{open:?}");
}
