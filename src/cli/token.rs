//! `token rotate`: another API token in the place of the one there is. Who uses it reads the file anew each time.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::{Value, json};

use super::args::Args;
use super::failure::Failure;
use super::house;
use super::reply::Reply;
use crate::clock;
use crate::store::{self, AgentLock, StoreError, TOKEN_FILE};

/// Replaces the token, durably and at once: whoever reads the file finds the old one or the new one.
pub(super) fn rotate(args: &Args) -> Result<Reply, Failure> {
    let config = house::read_config(args)?;
    house::enter(&config)?;
    let path = config.data_dir.join(TOKEN_FILE);
    // With the old token, and only while an agent runs: whoever else listened there would learn a token that is still good
    // if the new one could not be written.
    let agent_runs = matches!(AgentLock::take(&config.data_dir), Err(StoreError::Locked { .. }));
    let sessions = store::read_own(&path)
        .ok()
        .filter(|_| agent_runs)
        .zip(config.listen.address)
        .and_then(|(old, address)| open_sessions(address, old.trim()));
    let token = format!("{}\n", clock::new_token());
    store::write_whole("replace", &path, 0o600, token.as_bytes()).map_err(|error| {
        Failure::failed(
            error.to_string(),
            Some("run as the user who owns the data directory, after `deltapost init`".to_owned()),
        )
    })?;
    let json = json!({"token": path, "sessions": sessions});
    Ok(Reply::either(args, &json, || {
        format!(
            "the new API token is in `{}`; the old one is refused from now on\n{}\n",
            path.display(),
            match sessions {
                Some(1) => "1 session of the page has ended with it".to_owned(),
                Some(count) => format!("{count} sessions of the page have ended with it"),
                None =>
                    "no running agent answered: sessions of its page, if there are any, have ended with it"
                        .to_owned(),
            }
        )
    }))
}

/// How long a running agent may take to say how many sessions its page has.
const PATIENCE: Duration = Duration::from_secs(2);

/// How many people are signed in to the page of the agent that listens on `address`; `None` where none answers.
fn open_sessions(mut address: SocketAddr, token: &str) -> Option<u64> {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    stream.set_write_timeout(Some(PATIENCE)).ok()?;
    let request = format!(
        "GET /page/sessions HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = Vec::new();
    let asked_usec = clock::monotonic_usec();
    while read_some(&mut stream, &mut answer)? > 0 && answer.len() < MAX_ANSWER {
        if clock::monotonic_usec() - asked_usec > PATIENCE.as_micros() as u64 {
            return None;
        }
    }
    let answer = String::from_utf8(answer).ok()?;
    let (_, body) = answer.split_once("\r\n\r\n")?;
    serde_json::from_str::<Value>(body).ok()?["open"].as_u64()
}

/// The most of the answer that is read.
const MAX_ANSWER: usize = 4_096;

/// Reads what has arrived, and returns how much that was; `None` where nothing did in time.
fn read_some(stream: &mut TcpStream, answer: &mut Vec<u8>) -> Option<usize> {
    let mut piece = [0; 512];
    let read = stream.read(&mut piece).ok()?;
    answer.extend_from_slice(&piece[..read]);
    Some(read)
}
