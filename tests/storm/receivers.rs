//! Receivers of all tempers. Each path of a host is one receiver; everything that arrives is kept, with what was answered
//! and whether its signatures are good.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use serde_json::Value;

use super::dice::{digest, now};
use super::http::{Reach, Reply, Request, serve};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Temper {
    Healthy,
    /// Accepts the connection and never answers.
    Hangs,
    /// 200, after three seconds.
    Slow,
    Fails(u16),
    /// 400 for one notification in so many, always the same ones.
    Poisoned(u64),
    /// 429 with `Retry-After`.
    Busy(u64),
    Redirects,
    /// Breaks off in the middle of its answer.
    Cut,
    /// 500 with everything that was sent.
    Echoes,
}

/// A request that arrived.
#[derive(Clone, Debug)]
pub(crate) struct Arrival {
    pub(crate) at: f64,
    pub(crate) receiver: String,
    pub(crate) id: String,
    pub(crate) body: Arc<Value>,
    pub(crate) bytes: u64,
    pub(crate) verdict: Result<(), String>,
    pub(crate) accepted: bool,
}

#[derive(Default)]
struct State {
    tempers: HashMap<String, Temper>,
    keys: HashMap<String, String>,
    arrivals: Vec<Arrival>,
}

#[derive(Clone, Default)]
pub(crate) struct Receivers {
    state: Arc<Mutex<State>>,
}

impl Receivers {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Another host with receivers of its own.
    pub(crate) fn host(&self) -> SocketAddr {
        let receivers = self.clone();
        serve(move |request| receivers.answer(request))
    }

    pub(crate) fn set(&self, receiver: &str, temper: Temper) {
        self.lock().tempers.insert(receiver.to_owned(), temper);
    }

    /// From now on what comes to `receiver` must be signed with that key.
    pub(crate) fn expect_key(&self, receiver: &str, key: &str) {
        self.lock().keys.insert(receiver.to_owned(), key.to_owned());
    }

    /// Everything heals.
    pub(crate) fn heal(&self) {
        self.lock().tempers.clear();
    }

    pub(crate) fn arrivals(&self) -> Vec<Arrival> {
        self.lock().arrivals.clone()
    }

    fn answer(&self, request: &Request) -> Reply {
        let receiver = request.path().split('/').nth(1).unwrap_or_default().to_owned();
        let mut state = self.lock();
        let temper = state.tempers.get(&receiver).copied().unwrap_or(Temper::Healthy);
        let id = request.header("webhook-id").unwrap_or_default().to_owned();
        let refused = matches!(temper, Temper::Poisoned(n) if digest(&id).is_multiple_of(n));
        let accepts = matches!(temper, Temper::Healthy | Temper::Slow | Temper::Poisoned(_)) && !refused;
        let key = state.keys.get(&receiver).cloned().unwrap_or_default();
        let verdict = verify(&key, request);
        state.arrivals.push(Arrival {
            at: now(),
            receiver,
            id,
            body: Arc::new(serde_json::from_slice(&request.body).unwrap_or_default()),
            bytes: digest(&String::from_utf8_lossy(&request.body)),
            verdict,
            accepted: accepts,
        });
        drop(state);
        reply(temper, refused, request)
    }
}

fn reply(temper: Temper, refused: bool, request: &Request) -> Reply {
    let fine = Reply::new(200, "ok");
    match temper {
        _ if refused => Reply::new(400, "I do not like this one"),
        Temper::Healthy | Temper::Poisoned(_) => fine,
        Temper::Hangs => fine.reaching(Reach::Never),
        Temper::Slow => fine.after(3.0),
        Temper::Fails(status) => Reply::new(status, "out of order"),
        Temper::Busy(seconds) => Reply::new(429, "later").with("Retry-After", seconds),
        Temper::Redirects => {
            Reply::new(301, "moved").with("Location", format!("http://127.0.0.1:1{}", request.target))
        }
        Temper::Cut => Reply::new(500, "x".repeat(4000)).reaching(Reach::Half),
        Temper::Echoes => {
            let headers: Vec<String> = request
                .headers
                .iter()
                .map(|(name, value)| format!("{name}: {value}"))
                .collect();
            let said = format!(
                "you sent {} {}\n{}",
                request.method,
                request.target,
                headers.join("\n")
            );
            Reply::new(500, said)
        }
    }
}

/// Both signatures, by the protocols' texts.
fn verify(key: &str, request: &Request) -> Result<(), String> {
    let header = |name: &str| request.header(name).ok_or_else(|| format!("`{name}` is missing"));
    let (id, time) = (header("webhook-id")?, header("webhook-timestamp")?);
    if header("Elements-Webhook-Id")? != id {
        return Err("the two ids differ".to_owned());
    }
    let key = hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes());
    let good = |signed: &[u8], text: &str, prefix: &str| {
        let tag = text
            .strip_prefix(prefix)
            .and_then(|text| STANDARD.decode(text).ok());
        tag.is_some_and(|tag| hmac::verify(&key, signed, &tag).is_ok())
    };
    if !good(&request.body, header("Elements-Webhook-Signature")?, "sha256=") {
        return Err("`Elements-Webhook-Signature` is wrong".to_owned());
    }
    let signed = [id.as_bytes(), b".", time.as_bytes(), b".", &request.body].concat();
    let standard = header("webhook-signature")?;
    match standard.split(' ').any(|one| good(&signed, one, "v1,")) {
        true => Ok(()),
        false => Err("`webhook-signature` is wrong".to_owned()),
    }
}
