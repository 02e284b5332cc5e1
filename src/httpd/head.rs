//! The head of a request: bytes in, a checked head or the refusal out. Pure; knows no socket.
//! What could make two readers of the same bytes disagree about where a request ends is refused, not interpreted.

use std::net::SocketAddr;

use tiny_http::Method;

/// Headers of one request, at most.
pub(super) const MAX_HEADERS: usize = 64;

/// A complete request, borrowed from the connection's buffers.
#[derive(Debug)]
pub struct Request<'a> {
    /// The method, whatever it is.
    pub method: &'a Method,
    /// Path and query as they came; begins with `/`.
    pub target: &'a str,
    /// All of the body; empty when there is none.
    pub body: &'a [u8],
    /// The address of the client.
    pub peer: SocketAddr,
    pub(super) headers: &'a [httparse::Header<'a>],
}

impl<'a> Request<'a> {
    /// The path, not decoded: the target up to the `?`.
    pub fn path(&self) -> &'a str {
        self.target.split_once('?').map_or(self.target, |(path, _)| path)
    }

    /// The query, not decoded: what follows the `?`; empty when there is none.
    pub fn query(&self) -> &'a str {
        self.target.split_once('?').map_or("", |(_, query)| query)
    }

    /// The value of the first header called `name`, in any case.
    pub fn header(&self, name: &str) -> Option<&'a str> {
        self.headers()
            .find(|(have, _)| have.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    /// Names and values of all headers, as they came and in their order.
    pub fn headers(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        // `read` has refused every head with another value.
        self.headers
            .iter()
            .map(|header| (header.name, str::from_utf8(header.value).unwrap_or_default()))
    }
}

/// Why a request is not served: a status and one sentence for the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) why: &'static str,
}

impl Refusal {
    pub(super) const fn new(status: u16, why: &'static str) -> Refusal {
        Refusal { status, why }
    }
}

/// A head that has been checked.
#[derive(Debug)]
pub(super) struct Head<'a> {
    pub(super) method: Method,
    pub(super) target: &'a str,
    pub(super) headers: &'a [httparse::Header<'a>],
    pub(super) body_bytes: usize,
    /// The minor version of HTTP/1: 0 or 1.
    pub(super) minor: u8,
    pub(super) keep_alive: bool,
    /// The client waits for `100 Continue` before it sends the body.
    pub(super) expects_continue: bool,
}

/// The length of the head that begins `input`, its empty line included; `None` while it is incomplete. The first
/// `seen` bytes have been searched before.
pub(super) fn end(input: &[u8], seen: usize) -> Option<usize> {
    const EMPTY_LINE: &[u8] = b"\r\n\r\n";
    let from = seen.saturating_sub(EMPTY_LINE.len() - 1);
    input[from..]
        .windows(EMPTY_LINE.len())
        .position(|window| window == EMPTY_LINE)
        .map(|at| from + at + EMPTY_LINE.len())
}

/// Reads `head`, whose end `end` has found; `slots` is room for its headers.
pub(super) fn read<'a>(
    head: &'a [u8],
    slots: &'a mut [httparse::Header<'a>; MAX_HEADERS],
    max_body_bytes: usize,
) -> Result<Head<'a>, Refusal> {
    // The parser takes a lone LF for the end of a line, and others do not.
    let lone = |at: usize| head[at] == b'\n' && (at == 0 || head[at - 1] != b'\r');
    if (0..head.len()).any(lone) {
        return Err(Refusal::new(
            400,
            "malformed request head: line ends must be CR LF",
        ));
    }
    let mut parsed = httparse::Request::new(slots);
    match parsed.parse(head) {
        Ok(httparse::Status::Complete(bytes)) if bytes == head.len() => {}
        Ok(_) => return Err(Refusal::new(400, "malformed request head")),
        Err(httparse::Error::TooManyHeaders) => return Err(Refusal::new(431, "more than 64 headers")),
        Err(httparse::Error::Version) => {
            return Err(Refusal::new(505, "only HTTP/1.0 and HTTP/1.1 are spoken"));
        }
        Err(_) => return Err(Refusal::new(400, "malformed request head")),
    }
    let httparse::Request {
        method: Some(method),
        path: Some(target),
        version: Some(minor),
        headers,
    } = parsed
    else {
        return Err(Refusal::new(400, "malformed request head"));
    };
    let headers: &'a [httparse::Header<'a>] = headers;
    if !target.starts_with('/') {
        return Err(Refusal::new(400, "the request target must begin with `/`"));
    }
    if headers.iter().any(|header| str::from_utf8(header.value).is_err()) {
        return Err(Refusal::new(400, "a header's value is not UTF-8"));
    }
    let method = method
        .parse()
        .map_err(|()| Refusal::new(400, "malformed method"))?;
    if values(headers, "host").count() != 1 {
        return Err(Refusal::new(400, "exactly one `Host` header is needed"));
    }
    Ok(Head {
        method,
        target,
        headers,
        body_bytes: body_bytes(headers, max_body_bytes)?,
        minor,
        keep_alive: keep_alive(headers, minor),
        expects_continue: expects_continue(headers)?,
    })
}

/// The values of the headers called `name`.
fn values<'a>(headers: &'a [httparse::Header<'a>], name: &'static str) -> impl Iterator<Item = &'a [u8]> {
    headers
        .iter()
        .filter(move |header| header.name.eq_ignore_ascii_case(name))
        .map(|header| header.value)
}

fn body_bytes(headers: &[httparse::Header<'_>], max: usize) -> Result<usize, Refusal> {
    if values(headers, "transfer-encoding").next().is_some() {
        return Err(Refusal::new(
            501,
            "`Transfer-Encoding` is not accepted: send a `Content-Length`",
        ));
    }
    let mut lengths = values(headers, "content-length");
    let Some(length) = lengths.next() else {
        return Ok(0);
    };
    if lengths.next().is_some() || length.is_empty() || !length.iter().all(u8::is_ascii_digit) {
        return Err(Refusal::new(400, "`Content-Length` must be one decimal number"));
    }
    // Only digits are left, so that what does not parse is a number beyond every limit.
    str::from_utf8(length)
        .ok()
        .and_then(|digits| digits.parse().ok())
        .filter(|bytes| *bytes <= max)
        .ok_or(Refusal::new(413, "the body is larger than this server takes"))
}

fn keep_alive(headers: &[httparse::Header<'_>], minor: u8) -> bool {
    let asks = |wanted: &str| {
        values(headers, "connection")
            .flat_map(|value| value.split(|byte| *byte == b','))
            .any(|token| token.trim_ascii().eq_ignore_ascii_case(wanted.as_bytes()))
    };
    !asks("close") && (minor == 1 || asks("keep-alive"))
}

fn expects_continue(headers: &[httparse::Header<'_>]) -> Result<bool, Refusal> {
    match values(headers, "expect").next() {
        None => Ok(false),
        Some(value) if value.eq_ignore_ascii_case(b"100-continue") => Ok(true),
        Some(_) => Err(Refusal::new(
            417,
            "the only expectation that is met is `100-continue`",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(head: &str, expect: Result<(usize, bool), u16>) {
        let bytes = head.replace('\n', "\r\n");
        let mut slots = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let read = read(bytes.as_bytes(), &mut slots, 100);
        let read = read
            .map(|head| (head.body_bytes, head.keep_alive))
            .map_err(|refusal| refusal.status);
        assert_eq!(read, expect, "{head}");
    }

    #[test]
    fn a_head_is_served_or_refused_with_the_fitting_status() {
        check("GET / HTTP/1.1\nHost: a\n\n", Ok((0, true)));
        check("GET / HTTP/1.0\nHost: a\n\n", Ok((0, false)));
        check(
            "GET / HTTP/1.0\nHost: a\nConnection: Keep-Alive\n\n",
            Ok((0, true)),
        );
        check(
            "GET / HTTP/1.1\nHost: a\nConnection: x, Close\n\n",
            Ok((0, false)),
        );
        check(
            "POST / HTTP/1.1\nhost: a\ncontent-length: 100\n\n",
            Ok((100, true)),
        );
        check("POST / HTTP/1.1\nHost: a\nContent-Length: 101\n\n", Err(413));
        check(
            "POST / HTTP/1.1\nHost: a\nContent-Length: 1000000000000\n\n",
            Err(413),
        );
        check(
            "POST / HTTP/1.1\nHost: a\nContent-Length: 99999999999999999999999\n\n",
            Err(413),
        );
        check("POST / HTTP/1.1\nHost: a\nContent-Length: +1\n\n", Err(400));
        check("POST / HTTP/1.1\nHost: a\nContent-Length:\n\n", Err(400));
        check(
            "POST / HTTP/1.1\nHost: a\nContent-Length: 1\nContent-Length: 1\n\n",
            Err(400),
        );
        check(
            "POST / HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\n\n",
            Err(501),
        );
        check("POST / HTTP/1.1\nHost: a\nExpect: tea\n\n", Err(417));
        check("GET / HTTP/1.1\n\n", Err(400));
        check("GET / HTTP/1.1\nHost: a\nHost: a\n\n", Err(400));
        check("GET / HTTP/2.0\nHost: a\n\n", Err(505));
        check("GET http://a/ HTTP/1.1\nHost: a\n\n", Err(400));
        check("GET / HTTP/1.1\nHost: a\nX : y\n\n", Err(400));
        check("GET / HTTP/1.1\nHost: a\nX: y\n z\n\n", Err(400));
        check("\u{7f}\n\n", Err(400));
        check(
            &format!("GET / HTTP/1.1\nHost: a\n{}\n", "X: y\n".repeat(63)),
            Ok((0, true)),
        );
        check(
            &format!("GET / HTTP/1.1\nHost: a\n{}\n", "X: y\n".repeat(64)),
            Err(431),
        );
    }

    #[test]
    fn a_head_with_other_line_ends_for_another_reader_is_refused() {
        for head in [
            "GET / HTTP/1.1\nHost: a\n\nGET /x HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n",
            "GET / HTTP/1.1\nHost: a\r\n\r\n",
        ] {
            let mut slots = [httparse::EMPTY_HEADER; MAX_HEADERS];
            let read = read(head.as_bytes(), &mut slots, 0);
            let status = read.map(|head| head.body_bytes).map_err(|refusal| refusal.status);
            assert_eq!(status, Err(400), "{head:?}");
        }
    }

    #[test]
    fn the_end_is_found_across_any_two_reads() {
        let input = b"GET / HTTP/1.1\r\nHost: a\r\n\r\nrest";
        for seen in 0..27 {
            assert_eq!(end(input, seen), Some(27), "{seen}");
            assert_eq!(end(&input[..seen], 0), None, "{seen}");
        }
    }
}
