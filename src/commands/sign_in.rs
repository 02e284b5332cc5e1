//! A sign-in in a browser, in two halves: where the person is sent, and what the code that comes back is good for. What lies
//! between, and whose browser it is, is kept by the caller.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest;

use super::edit::Codes;
use super::{CommandError, Edit, House, Written, read};
use crate::clock;
use crate::core::elements::{self, Problem};
use crate::core::model::{GrantKind, Secret, Settings};
use crate::graph::auth::App;

/// Whom a sign-in is for.
#[derive(Clone, Debug)]
pub enum Subject {
    /// The instance that is created once it has come through, as this JSON text without a code describes it.
    New(Secret),
    /// An instance that is there.
    Existing(i64),
}

/// A sign-in that has begun.
#[derive(Clone, Debug)]
pub struct SignIn {
    pub subject: Subject,
    /// Comes back with the code; not to be guessed.
    pub state: String,
    /// What the code works together with only (RFC 7636).
    verifier: Secret,
}

/// A registered app, as `oauth/url` is told of it.
#[derive(Clone, Copy, Debug)]
pub struct UnboundApp<'a> {
    pub api_key: &'a Secret,
    /// Takes the place of the authority's last path segment.
    pub tenant: Option<&'a str>,
    /// Takes the place of the least that is needed.
    pub scope: Option<&'a str>,
}

/// A code that stands for the one that comes, where a document is checked before it is there.
const STANDS_FOR_THE_CODE: &str = "to come";

impl House {
    /// Begins a sign-in for `subject`. Returns it with the URL that the person is to open.
    ///
    /// # Errors
    /// Everything that would refuse the instance later; a grant for which nobody signs in.
    pub fn begin_sign_in(&self, subject: Subject) -> Result<(SignIn, String), CommandError> {
        let settings = match &subject {
            Subject::New(document) => self.settings_to_come(document.expose())?,
            Subject::Existing(id) => self
                .present_instance(*id)?
                .settings
                .map_err(CommandError::Invalid)?,
        };
        self.store.key()?;
        let sign_in = SignIn {
            subject,
            state: clock::new_token(),
            verifier: Secret::new(clock::new_token()),
        };
        let challenge = digest::digest(&digest::SHA256, sign_in.verifier.expose().as_bytes());
        let challenge = URL_SAFE_NO_PAD.encode(challenge);
        let refused = |key: &str, message: &str| {
            let problem = Problem {
                key: key.to_owned(),
                message: message.to_owned(),
            };
            CommandError::Invalid(vec![problem])
        };
        if settings.grant == GrantKind::ClientCredentials {
            return Err(refused(
                elements::keys::GRANT,
                "this app signs in by itself, and nobody for it",
            ));
        }
        let (Some(app), Some(redirect_url)) = (App::of(&settings), &settings.redirect_url) else {
            return Err(refused(
                elements::keys::REDIRECT_URL,
                "a sign-in in a browser needs it, and the app's key",
            ));
        };
        let url = self
            .client
            .authorize_url(&app, redirect_url, &sign_in.state, Some(&challenge));
        Ok((sign_in, url))
    }

    /// Ends a sign-in with the code that came back: creates the instance, or renews the grant of the one that is there, which
    /// goes on from where it stands.
    ///
    /// # Errors
    /// What the provider refuses, and whatever creating an instance may meet.
    pub fn finish_sign_in(&self, sign_in: &SignIn, code: &str) -> Result<Written, CommandError> {
        let (code, verifier) = (Some(Secret::new(code)), Some(sign_in.verifier.clone()));
        match &sign_in.subject {
            Subject::Existing(id) => {
                let document = elements::Document {
                    code,
                    code_verifier: verifier,
                    ..elements::Document::default()
                };
                self.edit(self.present_instance(*id)?, &document, Edit::Merge, Codes::Always)
            }
            Subject::New(text) => {
                let (mut document, problems) = read(text.expose())?;
                document.code = code;
                document.code_verifier = verifier;
                self.create(&document, problems)
            }
        }
    }

    /// Where a person signs in to `app`, which is not an instance's yet; the code goes to whoever `redirect_url` leads to.
    pub fn oauth_url(&self, app: &UnboundApp<'_>, redirect_url: &str, state: &str) -> String {
        let app = App {
            client_id: app.api_key,
            client_secret: None,
            tenant: app.tenant,
            scope: app.scope,
        };
        self.client.authorize_url(&app, redirect_url, state, None)
    }

    /// The settings of the instance that `text` describes, checked as if the code were there already.
    fn settings_to_come(&self, text: &str) -> Result<Settings, CommandError> {
        let (mut document, problems) = read(text)?;
        document.code = Some(Secret::new(STANDS_FOR_THE_CODE));
        Ok(self.checked(&document, problems)?.settings)
    }
}
