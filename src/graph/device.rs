//! Signing in on a box without a browser: the device authorization grant (RFC 8628). One request a call; when to ask
//! again, and for how long, is the caller's.

use std::time::Duration;

use serde::Deserialize;

use crate::clock::Clock;
use crate::core::model::Secret;
use crate::core::shown::shown;
use crate::graph::auth::{App, AuthError, DELEGATED_SCOPE, Tokens};
use crate::graph::client::Client;

const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// Between two questions, where the endpoint does not say (RFC 8628, 3.2).
const DEFAULT_INTERVAL: u64 = 5;

/// No code is waited for longer.
const LONGEST_LIFE: u64 = 60 * 60;

/// What a person is asked to do, and how its outcome is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceCode {
    /// Fetches the tokens once the person has signed in.
    pub code: Secret,
    /// To be entered at `page`; bounded and escaped, as is that.
    pub user_code: String,
    pub page: String,
    /// How long the person has, an hour at most.
    pub expires_in: Duration,
    /// How long to wait before each question.
    pub interval: Duration,
}

/// How a sign-in by device code stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeviceAnswer {
    Granted(Tokens),
    /// The person has not signed in yet.
    Pending,
    /// The same, and the questions come too fast: wait 5 s longer before each.
    SlowDown,
}

#[derive(Deserialize)]
struct CodeAnswer {
    device_code: String,
    user_code: String,
    #[serde(alias = "verification_url")]
    verification_uri: String,
    expires_in: u64,
    interval: Option<u64>,
}

impl Client {
    /// Begins a sign-in.
    ///
    /// # Errors
    /// When there is no code; none tells the app's id.
    pub fn device_code(&self, app: &App<'_>, clock: &dyn Clock) -> Result<DeviceCode, AuthError> {
        let fields = [("scope", app.scope.unwrap_or(DELEGATED_SCOPE))];
        let body = self.ask("devicecode", app, &fields, clock)?;
        let answer: CodeAnswer =
            serde_json::from_slice(&body).map_err(|_| AuthError::NotOAuth { status: 200 })?;
        Ok(DeviceCode {
            code: Secret::new(answer.device_code),
            user_code: shown(&answer.user_code),
            page: shown(&answer.verification_uri),
            expires_in: Duration::from_secs(answer.expires_in.min(LONGEST_LIFE)),
            interval: Duration::from_secs(answer.interval.unwrap_or(DEFAULT_INTERVAL).clamp(1, LONGEST_LIFE)),
        })
    }

    /// Asks whether the person has signed in.
    ///
    /// # Errors
    /// `NotSignedIn` when nobody will any more; as for other tokens; none tells the code.
    pub fn redeem_device_code(
        &self,
        app: &App<'_>,
        code: &Secret,
        clock: &dyn Clock,
    ) -> Result<DeviceAnswer, AuthError> {
        let fields = [("grant_type", GRANT_TYPE), ("device_code", code.expose())];
        match self.request_tokens(app, &fields, clock) {
            Ok(tokens) => Ok(DeviceAnswer::Granted(tokens)),
            Err(AuthError::Refused { code, .. }) if code == "authorization_pending" => {
                Ok(DeviceAnswer::Pending)
            }
            Err(AuthError::Refused { code, .. }) if code == "slow_down" => Ok(DeviceAnswer::SlowDown),
            Err(error) => Err(error),
        }
    }
}
