//! What a handler answers, and its printing. A reply is an ordinary response, or bytes that go out as they are, for
//! those who must show a client what a broken server looks like.

use std::any::Any;
use std::fmt;
use std::io;
use std::sync::Arc;

use tiny_http::{HTTPVersion, Header, Response, StatusCode};

/// The answer to one request.
#[derive(Clone, Debug)]
pub struct Reply {
    status: u16,
    headers: Vec<Header>,
    body: Vec<u8>,
    /// The body instead, where it is written as it goes out.
    written: Option<Written>,
    verbatim: Option<Then>,
    held: Option<Held>,
}

/// What is dropped when a reply is written, or its client is given up.
pub type Held = Arc<dyn Any + Send + Sync>;

/// Writes a body. It is called twice, first to learn how long the body is.
pub(super) type Write = Arc<dyn Fn(&mut dyn io::Write) -> io::Result<()> + Send + Sync>;

/// A body that is too large to be held.
#[derive(Clone)]
pub(super) struct Written {
    length: usize,
    pub(super) write: Write,
}

impl fmt::Debug for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Written({} bytes)", self.length)
    }
}

/// Counts what is written to it.
struct Counted(usize);

impl io::Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What becomes of the connection after a verbatim reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// It is closed.
    Close,
    /// Nothing more is sent until the client closes it or the server stops.
    Hang,
}

impl Reply {
    /// A response without a body.
    pub fn empty(status: u16) -> Reply {
        Reply {
            status,
            headers: Vec::new(),
            body: Vec::new(),
            written: None,
            verbatim: None,
            held: None,
        }
    }

    /// A response with `body` of the media type `content_type`.
    pub fn new(status: u16, content_type: &'static str, body: impl Into<Vec<u8>>) -> Reply {
        Reply {
            body: body.into(),
            ..Reply::empty(status)
        }
        .with("Content-Type", content_type)
    }

    /// A response whose body `write` writes piece by piece, and the same each time, so that all of it is never in memory.
    ///
    /// # Errors
    /// What `write` fails with.
    pub fn written(
        status: u16,
        content_type: &'static str,
        write: impl Fn(&mut dyn io::Write) -> io::Result<()> + Send + Sync + 'static,
    ) -> io::Result<Reply> {
        let mut counted = Counted(0);
        write(&mut counted)?;
        Ok(Reply {
            written: Some(Written {
                length: counted.0,
                write: Arc::new(write),
            }),
            ..Reply::new(status, content_type, Vec::new())
        })
    }

    /// A response of plain text.
    pub fn text(status: u16, body: impl Into<String>) -> Reply {
        Reply::new(status, "text/plain; charset=utf-8", body.into())
    }

    /// A response of JSON that has been written already.
    pub fn json(status: u16, body: impl Into<Vec<u8>>) -> Reply {
        Reply::new(status, "application/json", body)
    }

    /// `bytes` instead of a response, no head before them, and then what `then` says.
    pub fn verbatim(bytes: impl Into<Vec<u8>>, then: Then) -> Reply {
        Reply {
            body: bytes.into(),
            verbatim: Some(then),
            ..Reply::empty(0)
        }
    }

    /// Adds a header. Whatever could end the header early, or is not ASCII, becomes `?`. `Connection`,
    /// `Content-Length` and `Transfer-Encoding` are the server's own and left out.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl AsRef<str>) -> Reply {
        let tame = |text: &str| -> String {
            text.chars()
                .map(|c| {
                    if c == '\t' || (c.is_ascii() && !c.is_ascii_control()) {
                        c
                    } else {
                        '?'
                    }
                })
                .collect()
        };
        let own = ["Connection", "Content-Length", "Transfer-Encoding"];
        let own = own.iter().any(|own| name.eq_ignore_ascii_case(own));
        if !own && let Ok(header) = Header::from_bytes(tame(name), tame(value.as_ref())) {
            self.headers.push(header);
        }
        self
    }

    /// The status; 0 for a verbatim reply.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The body; for a verbatim reply, all there is.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// The same with another body.
    #[must_use]
    pub fn with_body(self, body: impl Into<Vec<u8>>) -> Reply {
        Reply {
            body: body.into(),
            ..self
        }
    }

    /// Keeps `held` until the reply is written or the client is given up: what its memory is counted by, say.
    #[must_use]
    pub fn holding(self, held: Option<Held>) -> Reply {
        Reply { held, ..self }
    }

    /// What is kept with it.
    pub(super) fn held(&self) -> Option<Held> {
        self.held.clone()
    }

    /// What writes the body behind that which `print` prints.
    pub(super) fn writer(&self) -> Option<Write> {
        self.written.as_ref().map(|written| written.write.clone())
    }

    /// For a verbatim reply, what follows it.
    pub(super) fn then(&self) -> Option<Then> {
        self.verbatim
    }

    /// Appends the reply to `out` as it goes over the wire, in HTTP/1.`minor`.
    pub(super) fn print(
        mut self,
        out: &mut Vec<u8>,
        minor: u8,
        head_only: bool,
        keep_alive: bool,
    ) -> io::Result<()> {
        if self.verbatim.is_some() {
            out.append(&mut self.body);
            return Ok(());
        }
        let bodiless = matches!(self.status, 100..=199 | 204 | 304);
        let named = Header::from_bytes("Server", env!("CARGO_PKG_NAME")).ok();
        self.headers.extend(named);
        Response::new(
            StatusCode(self.status),
            self.headers,
            io::empty(),
            Some(
                self.written
                    .as_ref()
                    .map_or(self.body.len(), |written| written.length),
            ),
            None,
        )
        .with_chunked_threshold(usize::MAX)
        .raw_print(&mut *out, HTTPVersion(1, minor), &[], true, None)?;
        // What is printed ends with `Content-Length` and an empty line: responses that have no body must not bear the
        // one, and the other waits until `Connection` is said.
        let end = out.len() - b"\r\n".len();
        out.truncate(end);
        if bodiless
            && let Some(line) = out
                .windows(b"Content-Length".len())
                .rposition(|w| w == b"Content-Length")
        {
            out.truncate(line);
        }
        match (minor, keep_alive) {
            (_, false) => out.extend_from_slice(b"Connection: close\r\n"),
            (0, true) => out.extend_from_slice(b"Connection: keep-alive\r\n"),
            (_, true) => {}
        }
        out.extend_from_slice(b"\r\n");
        if !head_only && !bodiless {
            out.append(&mut self.body);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(reply: Reply, head_only: bool, keep_alive: bool, present: &[&str], absent: &[&str]) {
        let mut out = Vec::new();
        reply.print(&mut out, 1, head_only, keep_alive).unwrap();
        let text = String::from_utf8(out).unwrap();
        present
            .iter()
            .for_each(|part| assert!(text.contains(part), "{part:?} in {text:?}"));
        absent
            .iter()
            .for_each(|part| assert!(!text.contains(part), "no {part:?} in {text:?}"));
    }

    #[test]
    fn a_reply_is_printed_with_the_head_that_its_status_allows() {
        let whole = [
            "HTTP/1.1 200 OK\r\n",
            "Content-Length: 2\r\n",
            "Date: ",
            "\r\n\r\nhi",
        ];
        check(
            Reply::text(200, "hi"),
            false,
            true,
            &whole,
            &["Connection", "tiny"],
        );
        check(
            Reply::text(200, "hi"),
            true,
            true,
            &["Content-Length: 2\r\n"],
            &["hi"],
        );
        check(
            Reply::empty(200),
            false,
            false,
            &["Content-Length: 0\r\nConnection: close\r\n\r\n"],
            &[],
        );
        check(
            Reply::text(204, "hi"),
            false,
            true,
            &["204 No Content\r\n"],
            &["Content-Length", "\r\n\r\nhi"],
        );
        let large = Reply::new(200, "text/plain", vec![b'x'; 100_000]);
        check(large, false, true, &["Content-Length: 100000\r\n"], &["chunked"]);
    }

    #[test]
    fn a_header_cannot_begin_another_one() {
        let reply = Reply::empty(302)
            .with("Location", "/a\r\nSet-Cookie: ü")
            .with("Content-Length", "7");
        check(
            reply,
            false,
            true,
            &["Location: /a??Set-Cookie: ?\r\n", "Content-Length: 0\r\n"],
            &["\nSet-Cookie"],
        );
    }
}
