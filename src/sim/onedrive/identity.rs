//! The identity platform: codes, refresh tokens and access tokens, and who may have which. Tokens do not age here:
//! `expires_in` is only said, and what must die is revoked.

use std::collections::{BTreeMap, HashMap};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use ring::digest;
use serde_json::json;

use crate::clock::{Clock, SystemClock};
use crate::httpd::{Method, Reply, Request};
use crate::sim::dice::Dice;

/// A registered app; when there is one, nothing is issued to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct App {
    /// `oauth.api.key`.
    pub client_id: String,
    /// `None` for a public client, which has none to send.
    pub client_secret: Option<String>,
    /// What codes are issued to; `None` takes any.
    pub redirect_uri: Option<String>,
}

/// How grants are given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// `None` takes every client id and secret for good.
    pub app: Option<App>,
    /// Seconds that an access token claims to live.
    pub expires_in: u64,
    /// A refresh token is good for one use; else older ones stay good.
    pub old_refresh_tokens_die: bool,
    /// Seconds between two polls for a device code.
    pub device_interval: u64,
}

impl Default for Rules {
    fn default() -> Rules {
        Rules {
            app: None,
            expires_in: 3600,
            old_refresh_tokens_die: false,
            device_interval: 5,
        }
    }
}

/// What a person does about a device code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceAnswer {
    /// Signs in as the first account.
    Approve,
    /// Says no.
    Decline,
    /// Nothing, for too long.
    Expire,
}

/// Whom an access token stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// The user of the account with this number.
    User(usize),
    /// The app itself (application permissions): every drive, but no `/me`.
    App,
}

pub(super) struct Identity {
    pub(super) rules: Rules,
    /// Whatever has been given out, in its order.
    pub(super) secrets: Vec<String>,
    dice: Dice,
    codes: HashMap<String, Code>,
    refresh_tokens: HashMap<String, Grant>,
    access_tokens: HashMap<String, Access>,
    device_codes: HashMap<String, DeviceCode>,
}

struct Code {
    account: usize,
    /// `code_challenge` of the request that it was issued for (S256).
    challenge: Option<String>,
    used: bool,
}

#[derive(Default)]
struct DeviceCode {
    answer: Option<DeviceAnswer>,
    asked_at: Option<Timestamp>,
    /// Seconds by which each question that came too fast has made the interval longer.
    slower: u64,
}

struct Grant {
    account: usize,
    alive: bool,
}

type Form = BTreeMap<String, String>;

impl Identity {
    pub(super) fn new(seed: u64) -> Identity {
        Identity {
            rules: Rules::default(),
            secrets: Vec::new(),
            dice: Dice::new(!seed),
            codes: HashMap::new(),
            refresh_tokens: HashMap::new(),
            access_tokens: HashMap::new(),
            device_codes: HashMap::new(),
        }
    }

    pub(super) fn issue_code(&mut self, account: usize, challenge: Option<String>) -> String {
        let code = self.new_secret("M.C532_BAY.2.U.", 40);
        self.codes.insert(
            code.clone(),
            Code {
                account,
                challenge,
                used: false,
            },
        );
        code
    }

    pub(super) fn issue_refresh_token(&mut self, account: usize) -> String {
        let token = self.new_secret("M.C532_BL2.0.U.-", 180);
        self.refresh_tokens
            .insert(token.clone(), Grant { account, alive: true });
        token
    }

    pub(super) fn issue_access_token(&mut self, access: Access) -> String {
        let token = self.new_secret("EwCQA8l6BAAU", 240);
        self.access_tokens.insert(token.clone(), access);
        token
    }

    pub(super) fn access_of(&self, token: &str) -> Option<Access> {
        self.access_tokens.get(token).copied()
    }

    pub(super) fn revoke_access_tokens(&mut self) {
        self.access_tokens.clear();
    }

    pub(super) fn revoke_grants(&mut self) {
        self.refresh_tokens
            .values_mut()
            .for_each(|grant| grant.alive = false);
    }

    pub(super) fn answer_device_codes(&mut self, answer: DeviceAnswer) {
        self.device_codes
            .values_mut()
            .for_each(|code| code.answer = code.answer.or(Some(answer)));
    }

    /// Answers `{tenant}/oauth2/v2.0/{action}`.
    pub(super) fn answer(&mut self, action: &str, origin: &str, request: &Request<'_>) -> Reply {
        let form: Form = url::form_urlencoded::parse(request.body).into_owned().collect();
        match (request.method, action) {
            (Method::Get, "authorize") => self.authorize(request.query()),
            (Method::Post, "token") => self.token(&form).unwrap_or_else(|refusal| refusal),
            (Method::Post, "devicecode") => self.device_code(origin),
            _ => Reply::text(404, "no such page\n"),
        }
    }

    fn new_secret(&mut self, prefix: &str, length: usize) -> String {
        let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!*";
        let secret = format!("{prefix}{}", self.dice.word(alphabet, length));
        self.secrets.push(secret.clone());
        secret
    }

    /// The sign-in page, with a person who always agrees.
    fn authorize(&mut self, query: &str) -> Reply {
        let asked: Form = url::form_urlencoded::parse(query.as_bytes())
            .into_owned()
            .collect();
        let known = self.rules.app.as_ref().is_none_or(|app| {
            asked.get("client_id") == Some(&app.client_id)
                && app
                    .redirect_uri
                    .as_ref()
                    .is_none_or(|uri| asked.get("redirect_uri") == Some(uri))
        });
        let Some(redirect) = asked.get("redirect_uri").filter(|_| known) else {
            return Reply::text(400, "AADSTS50011: the redirect URI does not match\n");
        };
        let Ok(mut target) = url::Url::parse(redirect) else {
            return Reply::text(400, "AADSTS50011: the redirect URI is not a URL\n");
        };
        let code = self.issue_code(0, asked.get("code_challenge").cloned());
        target.query_pairs_mut().append_pair("code", &code);
        if let Some(state) = asked.get("state") {
            target.query_pairs_mut().append_pair("state", state);
        }
        Reply::empty(302).with("Location", target.as_str())
    }

    fn token(&mut self, form: &Form) -> Result<Reply, Reply> {
        let value = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
        self.check_app(form)?;
        match value("grant_type") {
            "authorization_code" => {
                let account = self.redeem(form)?;
                Ok(self.grant(account))
            }
            "refresh_token" => {
                let token = value("refresh_token");
                let rotate = self.rules.old_refresh_tokens_die;
                let Some(grant) = self.refresh_tokens.get_mut(token) else {
                    return Err(refuse(
                        400,
                        "invalid_grant",
                        9_002_313,
                        "the refresh token is malformed",
                    ));
                };
                if !grant.alive {
                    return Err(refuse(
                        400,
                        "invalid_grant",
                        700_082,
                        "the refresh token has expired or was revoked",
                    ));
                }
                grant.alive = !rotate;
                let account = grant.account;
                Ok(self.grant(account))
            }
            "client_credentials" => {
                if value("scope").is_empty() {
                    return Err(refuse(
                        400,
                        "invalid_scope",
                        70_011,
                        "the scope must end in /.default",
                    ));
                }
                let token = self.issue_access_token(Access::App);
                let body = json!({"token_type": "Bearer", "expires_in": self.rules.expires_in, "access_token": token});
                Ok(Reply::json(200, body.to_string()))
            }
            "urn:ietf:params:oauth:grant-type:device_code" => self.redeem_device_code(value("device_code")),
            "" => Err(refuse(400, "invalid_request", 900_144, "`grant_type` is missing")),
            _ => Err(refuse(
                400,
                "unsupported_grant_type",
                70_003,
                "the grant type is not supported",
            )),
        }
    }

    fn check_app(&self, form: &Form) -> Result<(), Reply> {
        let Some(app) = &self.rules.app else { return Ok(()) };
        if form.get("client_id") != Some(&app.client_id) {
            return Err(refuse(
                400,
                "unauthorized_client",
                700_016,
                "the application was not found",
            ));
        }
        if app.client_secret.is_some() && form.get("client_secret") != app.client_secret.as_ref() {
            return Err(refuse(
                401,
                "invalid_client",
                7_000_215,
                "invalid client secret provided",
            ));
        }
        Ok(())
    }

    /// Takes a code for the account it was issued for.
    fn redeem(&mut self, form: &Form) -> Result<usize, Reply> {
        let expected_uri = self.rules.app.as_ref().and_then(|app| app.redirect_uri.as_ref());
        if expected_uri.is_some() && form.get("redirect_uri") != expected_uri {
            return Err(refuse(
                400,
                "invalid_grant",
                500_112,
                "the reply address does not match",
            ));
        }
        let Some(code) = form.get("code").and_then(|code| self.codes.get_mut(code)) else {
            return Err(refuse(
                400,
                "invalid_grant",
                70_000,
                "the code is malformed or expired",
            ));
        };
        if code.used {
            return Err(refuse(
                400,
                "invalid_grant",
                54_005,
                "the code was already redeemed",
            ));
        }
        let verifier = form
            .get("code_verifier")
            .map(|verifier| digest::digest(&digest::SHA256, verifier.as_bytes()));
        if code.challenge.is_some() && code.challenge != verifier.map(|hash| URL_SAFE_NO_PAD.encode(hash)) {
            return Err(refuse(
                400,
                "invalid_grant",
                501_481,
                "the code verifier does not match the challenge",
            ));
        }
        code.used = true;
        Ok(code.account)
    }

    fn device_code(&mut self, origin: &str) -> Reply {
        let device_code = self.new_secret("GAQABAAEAAAD", 120);
        let user_code = self.dice.word(b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789", 9);
        self.device_codes
            .insert(device_code.clone(), DeviceCode::default());
        let page = format!("{origin}/devicelogin");
        let body = json!({
            "message": format!("To sign in, open {page} and enter the code {user_code}."),
            "device_code": device_code,
            "user_code": user_code,
            "verification_uri": page,
            "expires_in": 900,
            "interval": self.rules.device_interval,
        });
        Reply::json(200, body.to_string())
    }

    fn redeem_device_code(&mut self, code: &str) -> Result<Reply, Reply> {
        let interval = self.rules.device_interval;
        let Some(asked) = self.device_codes.get_mut(code) else {
            return Err(refuse(
                400,
                "bad_verification_code",
                70_000,
                "the device code is not known",
            ));
        };
        let now = SystemClock.now();
        let since = asked.asked_at.replace(now).map(|last| now.duration_since(last));
        if since.is_some_and(|since| since.as_secs_f64() < (interval + asked.slower) as f64 * 0.9) {
            asked.slower += 5;
            return Err(refuse(400, "slow_down", 70_019, "the questions come too fast"));
        }
        match asked.answer {
            None => Err(refuse(
                400,
                "authorization_pending",
                70_016,
                "the user has not signed in yet",
            )),
            Some(DeviceAnswer::Decline) => Err(refuse(
                400,
                "authorization_declined",
                70_018,
                "the user has declined",
            )),
            Some(DeviceAnswer::Expire) => {
                Err(refuse(400, "expired_token", 70_020, "the device code expired"))
            }
            Some(DeviceAnswer::Approve) => {
                self.device_codes.remove(code);
                Ok(self.grant(0))
            }
        }
    }

    /// A new pair of tokens.
    fn grant(&mut self, account: usize) -> Reply {
        let body = json!({
            "token_type": "Bearer",
            "scope": "Files.Read",
            "expires_in": self.rules.expires_in,
            "ext_expires_in": self.rules.expires_in,
            "access_token": self.issue_access_token(Access::User(account)),
            "refresh_token": self.issue_refresh_token(account),
        });
        Reply::json(200, body.to_string())
    }
}

/// An error as the token endpoint words it.
fn refuse(status: u16, error: &str, number: u32, why: &str) -> Reply {
    let body = json!({
        "error": error,
        "error_description": format!("AADSTS{number}: {why}. Trace ID: 0f0f0f0f Timestamp: 2026-03-02 08:00:00Z"),
        "error_codes": [number],
        "timestamp": "2026-03-02 08:00:00Z",
        "trace_id": "0f0f0f0f-0000-4000-8000-000000000000",
        "correlation_id": "0e0e0e0e-0000-4000-8000-000000000000",
    });
    Reply::json(status, body.to_string())
}
