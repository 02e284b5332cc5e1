//! Who is signed in to the page: random session ids in memory, known by their codes only, each with the token that its forms
//! bear. The API token itself is never kept in a browser. Times are those of `Clock::uptime`, which nobody can set.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::super::codes::{Code, Codes};
use crate::clock::{self, Clock};

/// The cookie that a signed-in browser holds.
pub(crate) const COOKIE: &str = "deltapost_session";

/// How long a session lasts.
const LIFE: Duration = Duration::from_hours(12);

/// Sessions at the same time, at most: the one that was idle for the longest gives way.
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
    /// Of the API token that it was opened with.
    api_token: Code,
    form_token: String,
    opened_at: Duration,
    last_seen: Duration,
}

impl Sessions {
    /// Opens a session for who has shown `api_token`. Returns the `Set-Cookie` for its browser.
    pub(super) fn open(&self, api_token: &str, clock: &dyn Clock) -> String {
        let (id, now) = (clock::new_token(), clock.uptime());
        let mut open = self.lock(api_token, now);
        if open.len() >= MOST
            && let Some(oldest) = (0..open.len()).min_by_key(|at| open[*at].last_seen)
        {
            open.remove(oldest);
        }
        open.push(Session {
            id: self.codes.of(&id),
            api_token: self.codes.of(api_token),
            form_token: clock::new_token(),
            opened_at: now,
            last_seen: now,
        });
        let seconds = LIFE.as_secs();
        format!("{COOKIE}={id}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict")
    }

    /// The token for the forms of the first session that one of `cookies` names; `None` where there is none any more.
    /// `api_token` is the one that counts now.
    pub(super) fn form_token<'c>(
        &self,
        mut cookies: impl Iterator<Item = &'c str>,
        api_token: &str,
        clock: &dyn Clock,
    ) -> Option<String> {
        let now = clock.uptime();
        let mut open = self.lock(api_token, now);
        let at = cookies.find_map(|cookie| self.position(&open, cookie))?;
        open[at].last_seen = now;
        Some(open[at].form_token.clone())
    }

    /// How many sessions are open.
    pub(super) fn count(&self, api_token: &str, clock: &dyn Clock) -> usize {
        self.lock(api_token, clock.uptime()).len()
    }

    /// Ends the sessions that `cookies` name. Returns the `Set-Cookie` that takes the browser's away.
    pub(super) fn close<'c>(&self, cookies: impl Iterator<Item = &'c str>) -> String {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        for cookie in cookies {
            open.retain(|session| !self.codes.is_of(&session.id, cookie));
        }
        format!("{COOKIE}=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict")
    }

    fn position(&self, open: &[Session], cookie: &str) -> Option<usize> {
        open.iter()
            .position(|session| self.codes.is_of(&session.id, cookie))
    }

    /// Whether a form bears the token of its session, in a time that tells nothing.
    pub(super) fn is_form_token(&self, ours: &str, theirs: &str) -> bool {
        self.codes.is_of(&self.codes.of(ours), theirs)
    }

    /// The sessions that are open at `now`: those that are not too old, and were opened with the API token that counts
    /// now.
    fn lock(&self, api_token: &str, now: Duration) -> MutexGuard<'_, Vec<Session>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|session| now.saturating_sub(session.opened_at) < LIFE);
        let before = open.len();
        open.retain(|session| self.codes.is_of(&session.api_token, api_token));
        if before > open.len() {
            let ended = before - open.len();
            log::info!("ended the page's sessions, since the API token is another now sessions={ended}");
        }
        open
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::clock::FakeClock;

    const TOKEN: &str = "the API token";

    fn id(cookie: &str) -> &str {
        cookie.split(['=', ';']).nth(1).unwrap()
    }

    fn seen(sessions: &Sessions, cookie: &str, clock: &FakeClock) -> Option<String> {
        sessions.form_token([id(cookie)].into_iter(), TOKEN, clock)
    }

    fn clock() -> FakeClock {
        FakeClock::at(Timestamp::UNIX_EPOCH)
    }

    const HOUR: Duration = Duration::from_hours(1);

    #[test]
    fn a_session_lasts_until_it_is_closed_and_twelve_hours_at_most() {
        let (sessions, clock) = (Sessions::default(), clock());
        let cookie = sessions.open(TOKEN, &clock);
        clock.advance(11 * HOUR);
        let token = seen(&sessions, &cookie, &clock).unwrap();
        assert_eq!(seen(&sessions, &cookie, &clock), Some(token.clone()));
        assert!(sessions.is_form_token(&token, &token) && !sessions.is_form_token(&token, ""));
        assert_eq!(sessions.form_token([""].into_iter(), TOKEN, &clock), None);
        clock.advance(HOUR);
        assert_eq!(seen(&sessions, &cookie, &clock), None);
        let cookie = sessions.open(TOKEN, &clock);
        sessions.close([id(&cookie)].into_iter());
        assert_eq!(seen(&sessions, &cookie, &clock), None);
    }

    #[test]
    fn setting_the_date_neither_ends_a_session_nor_makes_it_longer() {
        let (sessions, clock) = (Sessions::default(), clock());
        let cookie = sessions.open(TOKEN, &clock);
        clock.set(Timestamp::MAX);
        assert!(seen(&sessions, &cookie, &clock).is_some());
        clock.set(Timestamp::MIN);
        clock.advance(12 * HOUR);
        assert_eq!(seen(&sessions, &cookie, &clock), None);
    }

    #[test]
    fn a_session_ends_with_the_token_that_it_was_opened_with() {
        let (sessions, clock) = (Sessions::default(), clock());
        let cookie = sessions.open(TOKEN, &clock);
        assert_eq!(sessions.count(TOKEN, &clock), 1);
        assert_eq!(
            sessions.form_token([id(&cookie)].into_iter(), "another", &clock),
            None
        );
        assert_eq!(seen(&sessions, &cookie, &clock), None, "it does not come back");
    }

    #[test]
    fn there_are_only_so_many_and_the_idlest_gives_way() {
        let (sessions, clock) = (Sessions::default(), clock());
        let open = || {
            clock.advance(Duration::from_secs(1));
            sessions.open(TOKEN, &clock)
        };
        let (first, second) = (open(), open());
        clock.advance(Duration::from_secs(1));
        seen(&sessions, &first, &clock).unwrap();
        for _ in 1..MOST {
            open();
        }
        assert!(seen(&sessions, &first, &clock).is_some());
        assert_eq!(seen(&sessions, &second, &clock), None);
    }
}
