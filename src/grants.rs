//! A usable access token for an account: renewed early, by one at a time, and kept durably before it is first used,
//! since the provider may take the old refresh token out of use with the renewal.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use jiff::{SignedDuration, Timestamp};

use crate::clock::Clock;
use crate::core::model::{GrantKind, GrantState, Instance, Secret, Settings};
use crate::graph::auth::{App, AuthError, Tokens};
use crate::graph::client::Client;
use crate::killpoint;
use crate::store::{Grant, Store, StoreError};

/// How long before its end an access token is renewed.
const EARLY: SignedDuration = SignedDuration::from_mins(5);

/// Why there is no access token.
#[derive(Debug, thiserror::Error)]
pub enum GrantError {
    /// A person must sign in again; nothing was requested.
    #[error("instance `{0}` must sign in again")]
    LoginRequired(String),
    /// The configuration lacks what a renewal needs.
    #[error("instance `{instance}` has no {what}")]
    Incomplete { instance: String, what: &'static str },
    /// The provider refused or did not answer.
    #[error(transparent)]
    Auth(#[from] AuthError),
    /// The grant could not be read or kept.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl GrantError {
    /// The next thing to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            GrantError::LoginRequired(name) => Some(format!(
                "sign in again and pass the new code: `deltapost instance update '{name}' --set providerData.code=@FILE`"
            )),
            GrantError::Incomplete { .. } => Some("add it with `deltapost instance update`".to_owned()),
            GrantError::Auth(error) => Some(error.hint().to_owned()),
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
    /// One lock an instance, held while its grant is renewed.
    renewals: Mutex<HashMap<i64, Arc<Mutex<()>>>>,
}

impl<'a> Grants<'a> {
    /// Grants kept in `store`, renewed through `client`.
    pub fn new(store: &'a Store, client: &'a Client, clock: &'a dyn Clock) -> Grants<'a> {
        Grants {
            store,
            client,
            clock,
            renewals: Mutex::default(),
        }
    }

    /// An access token of the instance's account: the one at hand, unless it ends within five minutes or is `refused`,
    /// the one that the provider has just answered with 401.
    ///
    /// # Errors
    /// `LoginRequired` when a person must sign in; the instance is marked so, and nothing is requested until then.
    pub fn access_token(
        &self,
        instance: &Instance,
        settings: &Settings,
        refused: Option<&Secret>,
    ) -> Result<Secret, GrantError> {
        if instance.grant_state == GrantState::LoginRequired {
            return Err(GrantError::LoginRequired(instance.name.clone()));
        }
        let renewal = self.renewal_of(instance.id);
        let _alone = renewal.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        // Read behind the lock: another poll of this account may just have renewed it.
        let grant = self.store.grant(instance.id)?;
        let now = self.clock.now();
        match usable(&grant, now).filter(|token| Some(*token) != refused) {
            Some(token) => Ok(token.clone()),
            None => self.renew(instance, settings, &grant),
        }
    }

    fn renew(&self, instance: &Instance, settings: &Settings, grant: &Grant) -> Result<Secret, GrantError> {
        let lacks = |what| GrantError::Incomplete {
            instance: instance.name.clone(),
            what,
        };
        let app = App::of(settings).ok_or_else(|| lacks("oauth.api.key"))?;
        let renewed = match settings.grant {
            GrantKind::ClientCredentials => self.client.client_credentials(&app, self.clock),
            GrantKind::AuthorizationCode => {
                let token = grant
                    .refresh_token
                    .as_ref()
                    .ok_or_else(|| lacks("refresh token"))?;
                self.client.refresh(&app, token, self.clock)
            }
        };
        let tokens = match renewed {
            Err(error @ (AuthError::LoginRequired { .. } | AuthError::InvalidClient { .. })) => {
                self.store.require_login(instance.id, &error.to_string())?;
                log::error!(
                    "login required instance={:?} error={:?}",
                    instance.name,
                    error.to_string()
                );
                return Err(error.into());
            }
            Err(
                error @ AuthError::Throttled {
                    retry_after: Some(wait),
                },
            ) => {
                let until = self.clock.now().saturating_add(wait).unwrap_or(Timestamp::MAX);
                self.store.throttle(instance.id, until)?;
                return Err(error.into());
            }
            other => other?,
        };
        killpoint::reached("renewed");
        let now = self.clock.now();
        let renewed = granted(tokens, now);
        self.store.save_grant(instance.id, &renewed, now)?;
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
