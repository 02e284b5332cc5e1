//! A usable access token for an account: renewed early, by one at a time in all processes, and kept durably before it is
//! first used, since the provider may take the old refresh token out of use with the renewal.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::clock::{self, Clock};
use crate::core::backoff;
use crate::core::model::{GrantKind, GrantState, Instance, Secret, Settings};
use crate::graph::auth::{App, AuthError, LONGEST_REQUEST, Tokens};
use crate::graph::client::Client;
use crate::killpoint;
use crate::store::{Grant, RENEWAL_RIGHT, Store, StoreError};

/// How long before its end an access token is renewed.
const EARLY: SignedDuration = SignedDuration::from_mins(5);

/// The right to renew a grant lasts longer than a request, the lookup of a name included.
const _: () = assert!(LONGEST_REQUEST.as_secs() * 2 <= RENEWAL_RIGHT.as_secs());

/// How often it is looked whether another process has finished.
const LOOK: Duration = Duration::from_millis(50);

/// A grant that nobody uses is renewed this often; the provider lets it die after 90 idle days.
const IDLE: SignedDuration = SignedDuration::from_hours(7 * 24);

/// Whoever holds the data directory's lock renews under this name: there is one such process at a time, and a new one
/// takes up at once what a dead one has left.
const AGENT: &str = "agent";

/// Why there is no access token.
#[derive(Debug, thiserror::Error)]
pub enum GrantError {
    /// A person must act first; nothing was requested.
    #[error("instance `{0}` must sign in again")]
    LoginRequired(String),
    /// The configuration lacks what a renewal needs.
    #[error("instance `{instance}` has no {what}")]
    Incomplete { instance: String, what: &'static str },
    /// The provider refused or did not answer.
    #[error(transparent)]
    Auth(#[from] AuthError),
    /// Another process has been replacing the grant for too long.
    #[error("the grant of instance `{0}` is being replaced by another process")]
    Busy(String),
    /// The grant could not be read or kept.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl GrantError {
    /// The next thing to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            GrantError::LoginRequired(name) => Some(format!(
                "`deltapost instance show '{name}'` says why; `deltapost login '{name}'`, or pass a new code: \
                 `deltapost instance update '{name}' --set providerData.code=@FILE`; where the app was refused, its new \
                 secret: `--set oauth.api.secret=@FILE`"
            )),
            GrantError::Incomplete { .. } => Some("add it with `deltapost instance update`".to_owned()),
            GrantError::Auth(error) => Some(error.hint().to_owned()),
            GrantError::Busy(_) => Some("it is tried again at the next poll".to_owned()),
            GrantError::Store(error) => error.hint(),
        }
    }
}

/// The grants of all instances.
#[derive(Debug)]
pub struct Grants<'a> {
    store: &'a Store,
    client: &'a Client,
    clock: &'a dyn Clock,
    /// Under which name this process renews.
    holder: String,
    /// One lock an instance, held while its grant is renewed: threads of one process share a name.
    renewals: Mutex<HashMap<i64, Arc<Mutex<()>>>>,
}

impl<'a> Grants<'a> {
    /// Grants kept in `store`, renewed through `client`, for the process that holds the data directory's lock.
    pub fn new(store: &'a Store, client: &'a Client, clock: &'a dyn Clock) -> Grants<'a> {
        Grants {
            store,
            client,
            clock,
            holder: AGENT.to_owned(),
            renewals: Mutex::default(),
        }
    }

    /// The same for a command, which may run beside the agent.
    pub fn for_command(store: &'a Store, client: &'a Client, clock: &'a dyn Clock) -> Grants<'a> {
        Grants {
            holder: clock::new_token(),
            ..Grants::new(store, client, clock)
        }
    }

    /// An access token of the instance's account: the one at hand, unless it ends within five minutes or is `refused`,
    /// the one that the provider has just answered with 401.
    ///
    /// # Errors
    /// `LoginRequired` when a person must act; the instance is marked so, and nothing is requested until then.
    pub fn access_token(&self, instance: &Instance, refused: Option<&Secret>) -> Result<Secret, GrantError> {
        let at_hand = || -> Result<(Grant, Option<Secret>), GrantError> {
            let grant = self.store.grant(instance.id)?;
            let token = usable(&grant, self.clock.now())
                .filter(|token| Some(*token) != refused)
                .cloned();
            Ok((grant, token))
        };
        if self.store.grant_state(instance.id)? == GrantState::LoginRequired {
            return Err(GrantError::LoginRequired(instance.name.clone()));
        }
        if let (_, Some(token)) = at_hand()? {
            return Ok(token);
        }
        self.alone(instance, || {
            // Looked at again behind the lock: another poll of this account, or a command, may have been faster.
            if self.store.grant_state(instance.id)? == GrantState::LoginRequired {
                return Err(GrantError::LoginRequired(instance.name.clone()));
            }
            match at_hand()? {
                (_, Some(token)) => Ok(token),
                (grant, None) => self.renew(instance, &grant),
            }
        })
    }

    /// Runs `work` while nobody else renews or replaces the grant of `instance`, in whichever process.
    ///
    /// # Errors
    /// `Busy` when another process does not come to an end; those of `work`.
    pub fn alone<T, E: From<GrantError> + From<StoreError>>(
        &self,
        instance: &Instance,
        work: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        let renewal = self.renewal_of(instance.id);
        let _alone = renewal.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let give_up = self.clock.uptime() + RENEWAL_RIGHT;
        let take = || {
            self.store
                .take_renewal(instance.id, &self.holder, self.clock.now())
        };
        while !take()? {
            if self.clock.uptime() >= give_up {
                return Err(GrantError::Busy(instance.name.clone()).into());
            }
            self.clock.sleep(LOOK);
        }
        let done = work();
        self.store.give_renewal_up(instance.id, &self.holder)?;
        done
    }

    /// Renews the grants that nobody has used for a week, those of paused instances most of all. What fails is logged,
    /// and marked like any failed renewal.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn renew_idle(&self, stop: &AtomicBool) -> Result<(), StoreError> {
        let now = self.clock.now();
        let before = now.saturating_sub(IDLE).unwrap_or(Timestamp::MIN);
        for id in self.store.idle_grants(before, now)? {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            let instance = self.store.instance(id)?;
            let renewed = self.alone(&instance, || {
                let grant = self.store.grant(id)?;
                self.renew(&instance, &grant)
            });
            match renewed {
                Ok(_) => log::info!("idle grant renewed instance={:?}", instance.name),
                Err(GrantError::Store(error)) => return Err(error),
                Err(error) => log::warn!(
                    "idle grant not renewed instance={:?} error={:?}",
                    instance.name,
                    error.to_string()
                ),
            }
        }
        Ok(())
    }

    /// Keeps that the provider has turned a request of this instance's app away, Graph or the token endpoint, `asked` for so
    /// long a pause or not for how long. Returns its end.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn leave_alone(&self, instance_id: i64, asked: Option<Duration>) -> Result<Timestamp, StoreError> {
        let throttles = self.store.throttling(instance_id)?.throttles;
        let wait = backoff::pause(asked, throttles, clock::draw());
        let now = self.clock.now();
        let until = now.saturating_add(wait).unwrap_or(Timestamp::MAX);
        self.store.throttle(instance_id, (now, until), true)?;
        Ok(until)
    }

    /// Keeps which app an instance of these `settings` makes its requests as: a pause belongs to the app.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn note_app(&self, instance_id: i64, settings: &Settings) -> Result<(), StoreError> {
        match App::of(settings) {
            Some(app) => self.store.note_app(instance_id, &self.client.name_of(&app)),
            None => Ok(()),
        }
    }

    fn renew(&self, instance: &Instance, grant: &Grant) -> Result<Secret, GrantError> {
        let lacks = |what| GrantError::Incomplete {
            instance: instance.name.clone(),
            what,
        };
        // Read anew: the poll may have begun hours ago, and the app have another secret by now.
        let settings = self.store.instance(instance.id)?.settings;
        let settings = settings.map_err(|_| lacks("valid configuration"))?;
        let app = App::of(&settings).ok_or_else(|| lacks("oauth.api.key"))?;
        let now = self.clock.now();
        self.note_app(instance.id, &settings)?;
        let pause = self.store.throttling(instance.id)?.until;
        if let Some(until) = pause.filter(|until| *until > now) {
            let retry_after = until.duration_since(now).try_into().ok();
            return Err(AuthError::Throttled { retry_after }.into());
        }
        killpoint::reached("renewing");
        let renewed = match (settings.grant, &grant.refresh_token) {
            (GrantKind::ClientCredentials, _) => self.client.client_credentials(&app, self.clock),
            (GrantKind::AuthorizationCode, Some(token)) => {
                let renewed = self.client.refresh(&app, token, self.clock);
                // An answer without a new one leaves the old one in use, and fresh.
                renewed.map(|mut tokens| {
                    tokens.refresh_token.get_or_insert_with(|| token.clone());
                    tokens
                })
            }
            (GrantKind::AuthorizationCode, None) => {
                let reason = "it holds no refresh token: sign in with the scope `offline_access`";
                self.store.require_login(instance.id, &self.holder, reason)?;
                return Err(lacks("refresh token"));
            }
        };
        let tokens = match renewed {
            Err(error @ (AuthError::LoginRequired { .. } | AuthError::InvalidClient { .. })) => {
                let reason = format!("{error}; {}", error.hint());
                self.store.require_login(instance.id, &self.holder, &reason)?;
                log::error!("login required instance={:?} error={reason:?}", instance.name);
                return Err(error.into());
            }
            Err(AuthError::Throttled { retry_after }) => {
                self.leave_alone(instance.id, retry_after)?;
                return Err(AuthError::Throttled { retry_after }.into());
            }
            other => other?,
        };
        killpoint::reached("renewed");
        let now = self.clock.now();
        let renewed = granted(tokens, now);
        self.store.save_grant(instance.id, &self.holder, &renewed, now)?;
        killpoint::reached("grant kept");
        log::debug!("grant renewed instance={:?}", instance.name);
        renewed
            .access_token
            .ok_or_else(|| GrantError::LoginRequired(instance.name.clone()))
    }

    fn renewal_of(&self, instance_id: i64) -> Arc<Mutex<()>> {
        let mut renewals = self
            .renewals
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        Arc::clone(renewals.entry(instance_id).or_default())
    }
}

/// What the provider's answer is as a grant to keep.
pub fn granted(tokens: Tokens, now: Timestamp) -> Grant {
    Grant {
        refresh_token: tokens.refresh_token,
        access_token: Some(tokens.access_token),
        expires_at: Some(now.saturating_add(tokens.expires_in).unwrap_or(Timestamp::MAX)),
    }
}

fn usable(grant: &Grant, now: Timestamp) -> Option<&Secret> {
    let renew_at = grant.expires_at?.saturating_sub(EARLY).unwrap_or(Timestamp::MIN);
    grant.access_token.as_ref().filter(|_| now < renew_at)
}
