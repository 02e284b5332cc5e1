//! One connection of a peer, with or without TLS: what it reads and writes. When to do what is the script's.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::PATIENCE;

/// The root that the certificates of `served_with` are by, except the one signed by itself. `make.sh` beside it tells
/// how they were made.
pub(crate) const ROOT: &[u8] = include_bytes!("../../../tests/fixtures/tls/root.pem");
const KEY: &[u8] = include_bytes!("../../../tests/fixtures/tls/key.pem");

/// A server's TLS with one of the certificates of `tests/fixtures/tls`.
pub(crate) fn served_with(certificate: &str) -> Arc<ServerConfig> {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/tls");
    let certificate = CertificateDer::from_pem_file(format!("{directory}/{certificate}.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_slice(KEY).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key);
    Arc::new(config.unwrap())
}

trait Stream: Read + Write + Send {}

impl<S: Read + Write + Send> Stream for S {}

pub(super) struct Connection {
    stream: Box<dyn Stream>,
    /// The same connection, below TLS.
    socket: TcpStream,
}

impl Connection {
    pub(super) fn new(socket: TcpStream, tls: Option<&Arc<ServerConfig>>) -> Connection {
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.set_nodelay(true).unwrap();
        let same = socket.try_clone().unwrap();
        let stream: Box<dyn Stream> = match tls {
            None => Box::new(same),
            Some(config) => {
                let server = ServerConnection::new(config.clone()).unwrap();
                Box::new(StreamOwned::new(server, same))
            }
        };
        Connection { stream, socket }
    }

    /// Whether all of it was written.
    pub(super) fn write(&mut self, bytes: &[u8]) -> bool {
        let written = self.stream.write_all(bytes);
        written.and_then(|()| self.stream.flush()).is_ok()
    }

    /// Some bytes, 8 KiB at most; none when the other side is gone.
    pub(super) fn read(&mut self) -> Option<Vec<u8>> {
        let mut chunk = vec![0; 8 * 1024];
        match self.stream.read(&mut chunk) {
            Ok(0) | Err(_) => None,
            Ok(n) => Some(chunk[..n].to_vec()),
        }
    }

    /// One request, or none when the other side closed the connection first.
    pub(super) fn read_request(&mut self) -> Option<String> {
        let mut bytes = self.read_head()?;
        while bytes.len() < whole(&bytes) {
            bytes.extend(self.read()?);
        }
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// A head, and what of the body came with it.
    pub(super) fn read_head(&mut self) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        while !bytes.windows(4).any(|window| window == b"\r\n\r\n") {
            bytes.extend(self.read()?);
        }
        Some(bytes)
    }

    /// Returns when there is something to be read.
    pub(super) fn await_unread(&mut self) {
        self.socket.peek(&mut [0]).unwrap();
    }

    /// Reads a request but its last byte, and returns when that has come.
    pub(super) fn read_all_but_one_byte(&mut self) {
        let mut bytes = Vec::new();
        while !bytes.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            self.stream.read_exact(&mut byte).unwrap();
            bytes.extend(byte);
        }
        let mut body = vec![0; whole(&bytes) - bytes.len() - 1];
        self.stream.read_exact(&mut body).unwrap();
        self.await_unread();
    }
}

/// The length of the request that begins with `bytes`, which hold its head.
fn whole(bytes: &[u8]) -> usize {
    let head = bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    let text = String::from_utf8_lossy(&bytes[..head]).to_lowercase();
    let length = text
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    head + 4 + length.map_or(0, |length| length.parse().unwrap())
}
