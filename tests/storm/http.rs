//! A small HTTP/1.1 server with bad manners: an answer can be late, cut off, or never come. It shares nothing with the
//! product's own server.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use super::dice::{now, pause};

pub(crate) struct Request {
    pub(crate) method: String,
    /// Path and query.
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self
            .headers
            .iter()
            .find(|(have, _)| have.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    pub(crate) fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// The value of `name` in the query, as it stands there.
    pub(crate) fn query(&self, name: &str) -> Option<&str> {
        let (_, query) = self.target.split_once('?')?;
        let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
    }
}

/// How far an answer gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    Whole,
    /// Half of the body, then the connection closes.
    Half,
    /// The connection closes without a byte.
    Nothing,
    /// Nothing, and the connection stays open until the client gives up.
    Never,
}

pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
    /// Seconds before it begins.
    pub(crate) after: f64,
    pub(crate) reach: Reach,
}

impl Reply {
    pub(crate) fn new(status: u16, body: impl Into<Vec<u8>>) -> Reply {
        Reply {
            status,
            headers: Vec::new(),
            body: body.into(),
            after: 0.0,
            reach: Reach::Whole,
        }
    }

    pub(crate) fn with(mut self, name: &'static str, value: impl ToString) -> Reply {
        self.headers.push((name, value.to_string()));
        self
    }

    pub(crate) fn after(mut self, seconds: f64) -> Reply {
        self.after = seconds;
        self
    }

    pub(crate) fn reaching(mut self, reach: Reach) -> Reply {
        self.reach = reach;
        self
    }
}

/// Serves on a loopback port until the process ends.
pub(crate) fn serve(answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let answer = Arc::new(answer);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let answer = answer.clone();
            let small = thread::Builder::new().stack_size(256 * 1024);
            let served = small.spawn(move || while converse(&stream, &*answer).is_some() {});
            drop(served.unwrap());
        }
    });
    address
}

/// One request and its answer; `None` when the connection is over.
fn converse(stream: &TcpStream, answer: &dyn Fn(&Request) -> Reply) -> Option<()> {
    let request = read(stream)?;
    let reply = answer(&request);
    pause(reply.after);
    match reply.reach {
        Reach::Whole => write(stream, &reply, reply.body.len()),
        Reach::Half => {
            write(stream, &reply, reply.body.len() / 2);
            None
        }
        Reach::Nothing => None,
        Reach::Never => {
            let mut rest = [0; 64];
            let mut stream = stream;
            while stream.read(&mut rest).is_ok_and(|read| read > 0) {}
            None
        }
    }
}

fn read(mut stream: &TcpStream) -> Option<Request> {
    let mut bytes = Vec::new();
    let mut piece = [0; 16 * 1024];
    let head = loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break at;
        }
        match stream.read(&mut piece).ok()? {
            0 => return None,
            read => bytes.extend_from_slice(&piece[..read]),
        }
    };
    let text = String::from_utf8_lossy(&bytes[..head]).into_owned();
    let mut lines = text.split("\r\n");
    let mut first = lines.next()?.split(' ');
    let (method, target) = (first.next()?.to_owned(), first.next()?.to_owned());
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
        .collect();
    let mut request = Request {
        method,
        target,
        headers,
        body: bytes.split_off(head + 4),
    };
    let length = request
        .header("content-length")
        .and_then(|length| length.parse().ok());
    while request.body.len() < length.unwrap_or(0) {
        match stream.read(&mut piece).ok()? {
            0 => return None,
            read => request.body.extend_from_slice(&piece[..read]),
        }
    }
    Some(request)
}

fn write(mut stream: &TcpStream, reply: &Reply, bytes: usize) -> Option<()> {
    // The true time, whatever the box's clock shows.
    let date = jiff::Timestamp::from_second(now() as i64).unwrap();
    let mut out = format!(
        "HTTP/1.1 {} Storm\r\nDate: {}\r\nContent-Length: {}\r\n",
        reply.status,
        date.strftime("%a, %d %b %Y %H:%M:%S GMT"),
        reply.body.len()
    );
    if !reply.headers.iter().any(|(name, _)| *name == "Content-Type") {
        out.push_str("Content-Type: application/json\r\n");
    }
    for (name, value) in &reply.headers {
        out.push_str(&format!("{name}: {value}\r\n"));
    }
    out.push_str("\r\n");
    let mut out = out.into_bytes();
    out.extend_from_slice(&reply.body[..bytes]);
    stream.write_all(&out).ok()
}
