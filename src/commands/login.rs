//! Signing in: what an instance's document offers for it, and the device code of `login`. The grant is written here, not by
//! a running agent: the person stands before this terminal, the code must be shown there at once, and the agent reads a
//! grant anew before each use. What the two must share is that only one of them replaces it at a time.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::{CommandError, House};
use crate::core::model::{GrantKind, Instance, Secret, Settings};
use crate::grants::{Grants, granted};
use crate::graph::auth::{App, AuthError, Tokens};
use crate::graph::device::{DeviceAnswer, DeviceCode};
use crate::store::Grant;

/// What a question that came too fast adds to every wait after it (RFC 8628, 3.5).
const SLOWER: Duration = Duration::from_secs(5);

/// How often a wait looks whether it is to stop.
const LOOK: Duration = Duration::from_millis(200);

impl House {
    /// Signs an instance in by device code. `show` is told what the person has to do. The resources go on from where
    /// they stand.
    ///
    /// # Errors
    /// `NoSignIn` where this is no way for the instance; what the provider or the person refused. Nothing is changed then.
    pub fn login(
        &self,
        id_or_name: &str,
        stop: &AtomicBool,
        show: &mut dyn FnMut(&Instance, &DeviceCode),
    ) -> Result<Instance, CommandError> {
        let instance = self.store.find_instance(id_or_name)?;
        // The key is looked for before anybody takes the trouble: a grant that could not be sealed would be lost.
        self.store.key()?;
        let settings = instance.settings.as_ref();
        let settings = settings.map_err(|problems| CommandError::Invalid(problems.clone()))?;
        let refuse = |reason, hint| CommandError::NoSignIn {
            instance: instance.name.clone(),
            reason,
            hint,
        };
        if settings.grant == GrantKind::ClientCredentials {
            return Err(refuse(
                "its app signs in by itself",
                "correct `oauth.api.key`, `oauth.api.secret` or `oauth.tenant` with `deltapost instance update`",
            ));
        }
        let app = App::of(settings).ok_or_else(|| {
            refuse(
                "it names no app",
                "set it: `deltapost instance update NAME --set oauth.api.key=@FILE`",
            )
        })?;
        let code = self.client.device_code(&app, &*self.clock)?;
        show(&instance, &code);
        let tokens = self.await_sign_in(&app, &code, stop)?;
        let grants = Grants::for_command(&self.store, &self.client, &*self.clock);
        grants.alone(&instance, || -> Result<(), CommandError> {
            let now = self.clock.now();
            self.store.sign_in(instance.id, &granted(tokens, now), now)?;
            grants.note_app(instance.id, settings)?;
            Ok(self.store.lift_pause(instance.id, now)?)
        })?;
        Ok(self.store.instance(instance.id)?)
    }

    /// Asks until the person has signed in, as often as the provider likes it.
    fn await_sign_in(
        &self,
        app: &App<'_>,
        code: &DeviceCode,
        stop: &AtomicBool,
    ) -> Result<Tokens, CommandError> {
        let (mut waited, mut interval) = (Duration::ZERO, code.interval);
        loop {
            self.wait(interval, stop)?;
            waited += interval;
            match self.client.redeem_device_code(app, &code.code, &*self.clock) {
                Ok(DeviceAnswer::Granted(tokens)) => return Ok(tokens),
                Ok(DeviceAnswer::Pending) => {}
                Ok(DeviceAnswer::SlowDown) => interval += SLOWER,
                // Nothing is lost by asking again, more slowly: the code works until it has been redeemed.
                Err(AuthError::Unreachable(_) | AuthError::Server { .. }) => interval *= 2,
                Err(AuthError::Throttled { retry_after }) => {
                    interval = retry_after.unwrap_or_default().max(interval + SLOWER);
                }
                Err(error) => return Err(error.into()),
            }
            if waited >= code.expires_in {
                return Err(AuthError::NotSignedIn { expired: true }.into());
            }
        }
    }

    /// Waits, whatever is done to the clock meanwhile.
    fn wait(&self, wait: Duration, stop: &AtomicBool) -> Result<(), CommandError> {
        let mut left = wait;
        while !left.is_zero() {
            if stop.load(Ordering::Relaxed) {
                return Err(CommandError::Stopped);
            }
            let some = left.min(LOOK);
            self.clock.sleep(some);
            left -= some;
        }
        Ok(())
    }

    /// Asks the provider for tokens: for a code, with an imported refresh token, or with the app's own credentials.
    pub(super) fn grant_of(
        &self,
        settings: &Settings,
        code: Option<&Secret>,
        verifier: Option<&Secret>,
    ) -> Result<Grant, AuthError> {
        // `elements` has seen to it that what a sign-in needs is there.
        let Some(app) = App::of(settings) else {
            return Ok(Grant::default());
        };
        let redirect_url = settings.redirect_url.as_deref().unwrap_or_default();
        let tokens = match (settings.grant, code, &settings.refresh_token) {
            (GrantKind::ClientCredentials, _, _) => self.client.client_credentials(&app, &*self.clock)?,
            (GrantKind::AuthorizationCode, Some(code), _) => {
                self.client
                    .exchange_code(&app, code, redirect_url, verifier, &*self.clock)?
            }
            (GrantKind::AuthorizationCode, None, Some(token)) => {
                let mut tokens = self.client.refresh(&app, token, &*self.clock)?;
                tokens.refresh_token.get_or_insert_with(|| token.clone());
                tokens
            }
            (GrantKind::AuthorizationCode, None, None) => return Ok(Grant::default()),
        };
        Ok(granted(tokens, self.clock.now()))
    }
}
