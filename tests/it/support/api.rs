//! A client of the local API over a plain socket: it sends what it is told, also what no library would.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use serde_json::Value;

use super::{PATIENCE, Site};

/// Who asks, and where.
#[derive(Clone, Debug)]
pub(crate) struct Api {
    pub(crate) address: SocketAddr,
    pub(crate) token: String,
    /// The `Element` token that goes with each request, if any.
    pub(crate) element: Option<String>,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    /// Asserts the status.
    #[track_caller]
    pub(crate) fn status(self, expect: u16) -> Answer {
        assert_eq!(self.status, expect, "{self:#?}");
        self
    }

    /// The body, one JSON document.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }

    /// Asserts an error in its one shape, whose message holds `parts`.
    #[track_caller]
    pub(crate) fn refused(self, status: u16, parts: &[&str]) -> Answer {
        let answer = self.status(status);
        let json = answer.json();
        let keys: Vec<_> = json.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["requestId", "message"], "{answer:#?}");
        let message = json["message"].as_str().unwrap();
        for part in parts {
            assert!(message.contains(part), "{part:?} is not in {message:?}");
        }
        answer
    }

    /// The value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        let mut values = lines.filter(|(known, _)| known.eq_ignore_ascii_case(name));
        values.next().map(|(_, value)| value)
    }
}

impl Api {
    /// The API of the agent at `address`, with the token of `site`.
    pub(crate) fn of(site: &Site, address: SocketAddr) -> Api {
        let token = std::fs::read_to_string(site.data_dir().join("api.token")).unwrap();
        Api {
            address,
            token: token.trim().to_owned(),
            element: None,
        }
    }

    /// The same as the instance with that token.
    pub(crate) fn as_instance(&self, token: &str) -> Api {
        Api {
            element: Some(token.to_owned()),
            ..self.clone()
        }
    }

    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> Answer {
        self.send("GET", path, "")
    }

    /// A request below `/elements/api-v2` with its `Authorization`.
    #[track_caller]
    pub(crate) fn send(&self, method: &str, path: &str, body: &str) -> Answer {
        let element = self
            .element
            .as_ref()
            .map_or_else(String::new, |token| format!(", Element {token}"));
        let authorization = format!("Authorization: User {}, Organization any{element}", self.token);
        let host = format!("Host: {}", self.address);
        self.raw(
            method,
            &format!("/elements/api-v2{path}"),
            &[&host, &authorization],
            body,
        )
    }

    #[track_caller]
    pub(crate) fn send_json(&self, method: &str, path: &str, body: &Value) -> Answer {
        self.send(method, path, &body.to_string())
    }

    /// A request with these headers and no others but for its length.
    #[track_caller]
    pub(crate) fn raw(&self, method: &str, target: &str, headers: &[&str], body: &str) -> Answer {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
        let length = body.len();
        write!(
            stream,
            "{method} {target} HTTP/1.1\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        Answer {
            status: head.split(' ').nth(1).unwrap().parse().unwrap(),
            head: head.to_owned(),
            body: body.to_owned(),
        }
    }
}
