//! Secrets known and compared by their codes under a key of this process alone: how long that takes tells nothing about them,
//! and what is kept gives none of them away.

use ring::hmac;

use crate::clock;

/// The key.
#[derive(Debug)]
pub(super) struct Codes(hmac::Key);

/// What is kept of a secret.
#[derive(Clone, Copy, Debug)]
pub(super) struct Code(hmac::Tag);

impl Default for Codes {
    fn default() -> Codes {
        Codes(hmac::Key::new(hmac::HMAC_SHA256, &clock::random_bytes::<32>()))
    }
}

impl Codes {
    pub(super) fn of(&self, secret: &str) -> Code {
        Code(hmac::sign(&self.0, secret.as_bytes()))
    }

    /// Whether `code` is that of `secret`.
    pub(super) fn is_of(&self, code: &Code, secret: &str) -> bool {
        hmac::verify(&self.0, secret.as_bytes(), code.0.as_ref()).is_ok()
    }
}
