//! Who is signed in to the page: random session ids in memory, known by their codes only, each with the token that its forms
//! bear. The API token itself is never kept in a browser.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::super::codes::{Code, Codes};
use crate::clock;
use jiff::{SignedDuration, Timestamp};

/// The cookie that a signed-in browser holds.
pub(crate) const COOKIE: &str = "deltapost_session";

/// How long a session lasts without a request.
const IDLE: SignedDuration = SignedDuration::from_hours(12);

/// Sessions at the same time, at most: the one that was idle for longest gives way.
const MOST: usize = 32;

/// The sessions.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    codes: Codes,
    open: Mutex<Vec<Session>>,
}

#[derive(Debug)]
struct Session {
    id: Code,
    form_token: String,
    last_seen: Timestamp,
}

impl Sessions {
    /// Opens a session. Returns the `Set-Cookie` for its browser.
    pub(super) fn open(&self, now: Timestamp) -> String {
        let id = clock::new_token();
        let mut open = self.lock(now);
        if open.len() >= MOST
            && let Some(oldest) = (0..open.len()).min_by_key(|at| open[*at].last_seen)
        {
            open.remove(oldest);
        }
        open.push(Session {
            id: self.codes.of(&id),
            form_token: clock::new_token(),
            last_seen: now,
        });
        let seconds = IDLE.as_secs();
        format!("{COOKIE}={id}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict")
    }

    /// The token for the forms of the session that `cookie` names; `None` where there is no such session any more.
    pub(super) fn form_token(&self, cookie: &str, now: Timestamp) -> Option<String> {
        let mut open = self.lock(now);
        let session = open
            .iter_mut()
            .find(|session| self.codes.is_of(&session.id, cookie))?;
        session.last_seen = now;
        Some(session.form_token.clone())
    }

    /// Ends the session. Returns the `Set-Cookie` that takes the browser's away.
    pub(super) fn close(&self, cookie: &str, now: Timestamp) -> String {
        self.lock(now)
            .retain(|session| !self.codes.is_of(&session.id, cookie));
        format!("{COOKIE}=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict")
    }

    /// Whether a form bears the token of its session, in a time that tells nothing.
    pub(super) fn is_form_token(&self, ours: &str, theirs: &str) -> bool {
        self.codes.is_of(&self.codes.of(ours), theirs)
    }

    /// The sessions that are open at `now`. One from a time to come was opened before the clock was set back.
    fn lock(&self, now: Timestamp) -> MutexGuard<'_, Vec<Session>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|session| now.duration_since(session.last_seen) < IDLE);
        open
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(cookie: &str) -> &str {
        cookie.split(['=', ';']).nth(1).unwrap()
    }

    #[test]
    fn a_session_lasts_until_it_is_closed_or_idle_for_twelve_hours() {
        let sessions = Sessions::default();
        let now = Timestamp::UNIX_EPOCH;
        let later = |hours| now + SignedDuration::from_hours(hours);
        let cookie = sessions.open(now);
        let token = sessions.form_token(id(&cookie), later(11)).unwrap();
        assert_eq!(sessions.form_token(id(&cookie), later(22)), Some(token.clone()));
        assert!(sessions.is_form_token(&token, &token) && !sessions.is_form_token(&token, ""));
        assert_eq!(sessions.form_token("", later(22)), None);
        assert_eq!(sessions.form_token(id(&cookie), later(34)), None);
        let cookie = sessions.open(now);
        sessions.close(id(&cookie), now);
        assert_eq!(sessions.form_token(id(&cookie), now), None);
    }

    #[test]
    fn there_are_only_so_many_and_the_idlest_gives_way() {
        let sessions = Sessions::default();
        let at = |second| Timestamp::from_second(second).unwrap();
        let first = sessions.open(at(0));
        let second = sessions.open(at(1));
        sessions.form_token(id(&first), at(2)).unwrap();
        for second in 3..2 + MOST as i64 {
            sessions.open(at(second));
        }
        assert!(sessions.form_token(id(&first), at(100)).is_some());
        assert_eq!(sessions.form_token(id(&second), at(100)), None);
    }
}
