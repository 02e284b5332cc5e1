//! Sign-ins that have begun in a browser and not come back: a few, for ten minutes, each bound to its browser by a cookie.
//! What a sign-in is for and how it ends is `commands`'.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::codes::{Code, Codes};
use crate::clock;
use crate::commands::SignIn;

/// The cookie that a sign-in's browser holds.
pub(super) const COOKIE: &str = "deltapost_sign_in";

/// The path that the provider sends the browser back to.
pub(super) const CALLBACK: &str = "/oauth2callback";

/// How long a person may take.
const LIFE: Duration = Duration::from_mins(10);

/// Sign-ins under way, at most: the oldest gives way to a new one.
const MOST: usize = 64;

/// The sign-ins under way.
#[derive(Debug, Default)]
pub(super) struct Signing {
    codes: Codes,
    under_way: Mutex<Vec<UnderWay>>,
}

#[derive(Debug)]
struct UnderWay {
    sign_in: SignIn,
    /// Of the browser's secret.
    browser: Code,
    /// The `Host` by which that browser calls this server, where its cookie counts.
    host: String,
    /// By `Clock::uptime`.
    until: Duration,
}

impl Signing {
    /// Keeps `sign_in`. Returns the `Set-Cookie` by which its browser is known when it comes back. The cookie is lax: the
    /// way back leads from the provider's site here.
    pub(super) fn begin(&self, sign_in: SignIn, host: &str, now: Duration) -> String {
        let secret = clock::new_token();
        let browser = self.codes.of(&secret);
        let until = now + LIFE;
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        under_way.retain(|one| one.until > now);
        if under_way.len() >= MOST {
            under_way.remove(0);
        }
        under_way.push(UnderWay {
            sign_in,
            browser,
            host: host.to_owned(),
            until,
        });
        let seconds = LIFE.as_secs();
        format!("{COOKIE}={secret}; Path={CALLBACK}; Max-Age={seconds}; HttpOnly; SameSite=Lax")
    }

    /// Takes the sign-in with that `state`, if it began in the browser that has one of these `cookies`. A state works once.
    ///
    /// # Errors
    /// The host by which the browser called when the sign-in began; `None` where none with that state is under way.
    pub(super) fn finish<'c>(
        &self,
        state: &str,
        mut cookies: impl Iterator<Item = &'c str>,
        now: Duration,
    ) -> Result<SignIn, Option<String>> {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        under_way.retain(|one| one.until > now);
        let found = under_way.iter().position(|one| one.sign_in.state == state);
        let at = found.ok_or(None)?;
        let one = &under_way[at];
        match cookies.any(|cookie| self.codes.is_of(&one.browser, cookie)) {
            true => Ok(under_way.remove(at).sign_in),
            false => Err(Some(one.host.clone())),
        }
    }
}
