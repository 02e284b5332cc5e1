//! Sign-ins that have begun in a browser and not come back: a few, for ten minutes, each bound to its browser by a cookie.
//! What a sign-in is for and how it ends is `commands`'.

use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use ring::hmac;

use crate::clock;
use crate::commands::SignIn;

/// The cookie that a sign-in's browser holds.
pub(super) const COOKIE: &str = "deltapost_sign_in";

/// The path that the provider sends the browser back to.
pub(super) const CALLBACK: &str = "/oauth2callback";

/// How long a person may take.
const LIFE: SignedDuration = SignedDuration::from_mins(10);

/// Sign-ins under way, at most: the oldest gives way to a new one.
const MOST: usize = 64;

/// The sign-ins under way.
#[derive(Debug, Default)]
pub(super) struct Signing(Mutex<Vec<UnderWay>>);

#[derive(Debug)]
struct UnderWay {
    sign_in: SignIn,
    /// The code of the browser's secret under a key of its own: comparing it takes the same time always.
    browser: (hmac::Key, hmac::Tag),
    until: Timestamp,
}

impl Signing {
    /// Keeps `sign_in`. Returns the `Set-Cookie` by which its browser is known when it comes back. The cookie is lax: the
    /// way back leads from the provider's site here.
    pub(super) fn begin(&self, sign_in: SignIn, now: Timestamp) -> String {
        let secret = clock::new_token();
        let key = hmac::Key::new(hmac::HMAC_SHA256, &clock::random_bytes::<32>());
        let browser = (key.clone(), hmac::sign(&key, secret.as_bytes()));
        let until = now.saturating_add(LIFE).unwrap_or(Timestamp::MAX);
        let mut under_way = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        under_way.retain(|one| one.until > now);
        if under_way.len() >= MOST {
            under_way.remove(0);
        }
        under_way.push(UnderWay {
            sign_in,
            browser,
            until,
        });
        let seconds = LIFE.as_secs();
        format!("{COOKIE}={secret}; Path={CALLBACK}; Max-Age={seconds}; HttpOnly; SameSite=Lax")
    }

    /// Takes the sign-in with that `state`, if it began in the browser with that `cookie`. A state works once.
    pub(super) fn finish(&self, state: &str, cookie: &str, now: Timestamp) -> Option<SignIn> {
        let mut under_way = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        under_way.retain(|one| one.until > now);
        let at = under_way.iter().position(|one| one.sign_in.state == state)?;
        let (key, tag) = &under_way[at].browser;
        hmac::verify(key, cookie.as_bytes(), tag.as_ref()).ok()?;
        Some(under_way.remove(at).sign_in)
    }
}
