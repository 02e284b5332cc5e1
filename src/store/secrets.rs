//! Sealing: what must not be read from a copied database. ChaCha20-Poly1305, each value bound to its row, so that a
//! sealed value moved to another row does not open. Instances' own tokens are sealed, too, and found by a keyed hash.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use nix::fcntl::OFlag;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hmac;
use rusqlite::Connection;

use super::files::{read_own, refuse_existing, refuse_exposed, write_private};
use super::rows::{Queries, only, row};
use super::{Store, StoreError};
use crate::clock;
use crate::core::model::{Secret, time_text};

/// The part of a token's place behind its instance.
const TOKEN: &str = "token";

const KEY_LEN: usize = 32;

/// The most of a file that is looked at for a key.
const MAX_KEY_BYTES: u64 = 4_096;

/// The key's name within the data directory, and within systemd's credentials.
pub const KEY_FILE: &str = "secret.key";

/// The key of one data directory.
#[derive(Clone)]
pub struct Key {
    bytes: Arc<[u8; KEY_LEN]>,
    sealing: Arc<LessSafeKey>,
    naming: hmac::Key,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key")
    }
}

impl Key {
    fn new(bytes: &[u8; KEY_LEN]) -> Key {
        let sealing = UnboundKey::new(&CHACHA20_POLY1305, bytes).expect("32 bytes are a ChaCha20 key");
        // A second key for names, derived, so that the sealing key is used for one thing only.
        let derived = hmac::sign(
            &hmac::Key::new(hmac::HMAC_SHA256, bytes),
            b"deltapost endpoint names",
        );
        Key {
            bytes: Arc::new(*bytes),
            sealing: Arc::new(LessSafeKey::new(sealing)),
            naming: hmac::Key::new(hmac::HMAC_SHA256, derived.as_ref()),
        }
    }

    /// The key of `data_dir`: `credential` where it came from elsewhere, else the one in its file. `None` where there is none.
    ///
    /// # Errors
    /// When it is there but cannot be read, others can read it, or it is not a key.
    pub fn load(data_dir: &Path, credential: Option<Key>) -> Result<Option<Key>, StoreError> {
        if credential.is_some() {
            return Ok(credential);
        }
        let path = data_dir.join(KEY_FILE);
        match read_own(&path) {
            Ok(text) => {
                refuse_exposed(&path, 0o600)?;
                Key::parse(&text, &path).map(Some)
            }
            Err(StoreError::File { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Reads the key in the file `path`, which is none of the data directory's.
    ///
    /// # Errors
    /// When it cannot be read, or is not a key.
    pub fn read(path: &Path) -> Result<Key, StoreError> {
        let read = || {
            // Whoever made it may have made something of it that is never read to its end.
            let file = OpenOptions::new()
                .read(true)
                .custom_flags(OFlag::O_NONBLOCK.bits())
                .open(path)?;
            let mut text = String::new();
            file.take(MAX_KEY_BYTES).read_to_string(&mut text).map(|_| text)
        };
        let text = read().map_err(|source| StoreError::file("read", path, source))?;
        Key::parse(&text, path)
    }

    fn parse(text: &str, path: &Path) -> Result<Key, StoreError> {
        let bytes = STANDARD.decode(text.trim()).ok();
        match bytes.and_then(|bytes| <[u8; KEY_LEN]>::try_from(bytes).ok()) {
            Some(bytes) => Ok(Key::new(&bytes)),
            None => Err(StoreError::BadKey(path.to_owned())),
        }
    }

    /// What a file with this key holds.
    pub(super) fn text(&self) -> String {
        format!("{}\n", STANDARD.encode(*self.bytes))
    }

    /// Makes a new key and writes it into the data directory, readable by its owner only, whole or not at all, durably.
    ///
    /// # Errors
    /// When the file cannot be written, or is there already.
    pub fn create(data_dir: &Path) -> Result<(Key, PathBuf), StoreError> {
        let path = data_dir.join(KEY_FILE);
        let key = Key::new(&clock::random_bytes());
        refuse_existing(&path)?;
        // Half a key would be taken for one at the next try.
        write_private(&path, key.text().as_bytes())?;
        Ok((key, path))
    }

    /// Seals `plain` for the place that `context` names. The result begins with its nonce.
    pub(super) fn seal(&self, context: &str, plain: &[u8]) -> Vec<u8> {
        let nonce = clock::random_bytes::<NONCE_LEN>();
        let mut sealed = plain.to_vec();
        self.sealing
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(context.as_bytes()),
                &mut sealed,
            )
            .expect("a value of the size of a configuration can be sealed");
        [&nonce[..], &sealed].concat()
    }

    /// Opens what `seal` sealed for the same context.
    pub(super) fn open(&self, context: &str, sealed: &[u8]) -> Result<Secret, StoreError> {
        let open = || {
            let (nonce, sealed) = sealed.split_at_checked(NONCE_LEN)?;
            let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
            let mut plain = sealed.to_vec();
            let plain = self
                .sealing
                .open_in_place(nonce, Aad::from(context.as_bytes()), &mut plain)
                .ok()?;
            String::from_utf8(plain.to_vec()).ok()
        };
        open().map(Secret::new).ok_or(StoreError::NoKey)
    }

    /// A name for `text` that does not give it away: equal texts have equal names.
    pub(super) fn name(&self, text: &str) -> Vec<u8> {
        hmac::sign(&self.naming, text.as_bytes()).as_ref().to_vec()
    }
}

impl Store {
    /// Seals an instance's secrets and writes them, over those of the same keys.
    pub(super) fn put_secrets(
        &self,
        connection: &Connection,
        instance_id: i64,
        secrets: &BTreeMap<String, Secret>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let put = "INSERT INTO secret (instance_id, key, sealed, updated_at) VALUES (?1, ?2, ?3, ?4)
                   ON CONFLICT (instance_id, key)
                   DO UPDATE SET sealed = excluded.sealed, updated_at = excluded.updated_at";
        for (key, secret) in secrets {
            let sealed = self
                .key()?
                .seal(&place(instance_id, key), secret.expose().as_bytes());
            connection.run(put, (instance_id, key, sealed, time_text(now)))?;
        }
        Ok(())
    }

    /// The token of the instance `id`, made where it has none yet.
    ///
    /// # Errors
    /// `NoSuchInstance`; `NoKey`.
    pub fn instance_token(&self, id: i64) -> Result<Secret, StoreError> {
        if let Some(token) = self.read(|connection| self.token_of(connection, id))? {
            return Ok(token);
        }
        self.write(|connection| {
            // Looked at again behind the lock: another may have made it in the meantime.
            if let Some(token) = self.token_of(connection, id)? {
                return Ok(token);
            }
            let token = Secret::new(clock::new_token());
            let sealed = self.key()?.seal(&place(id, TOKEN), token.expose().as_bytes());
            connection.change(
                "UPDATE instance SET token = ?2, token_mac = ?3 WHERE id = ?1",
                (id, sealed, self.key()?.name(token.expose())),
            )?;
            Ok(token)
        })
    }

    /// The id of the instance whose token that is, unless it is being deleted.
    ///
    /// # Errors
    /// `NoSuchInstance`, which does not tell the token; `NoKey`.
    pub fn instance_with_token(&self, token: &Secret) -> Result<i64, StoreError> {
        let mac = self.key()?.name(token.expose());
        let id = self.first(
            "SELECT id FROM instance WHERE token_mac = ?1 AND deleting_since IS NULL",
            [mac],
            only,
        )?;
        id.ok_or_else(|| StoreError::NoSuchInstance("of this token".to_owned()))
    }

    fn token_of(&self, connection: &Connection, id: i64) -> Result<Option<Secret>, StoreError> {
        let sealed: Option<Option<Vec<u8>>> =
            connection.first("SELECT token FROM instance WHERE id = ?1", [id], only)?;
        match sealed {
            None => Err(StoreError::NoSuchInstance(id.to_string())),
            Some(None) => Ok(None),
            Some(Some(sealed)) => self.key()?.open(&place(id, TOKEN), &sealed).map(Some),
        }
    }
}

/// An instance's secrets as they are sealed, by key.
pub(super) fn secrets_of(
    connection: &Connection,
    instance_id: i64,
) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
    connection.all(
        "SELECT key, sealed FROM secret WHERE instance_id = ?1",
        [instance_id],
        row!(key, sealed),
    )
}

/// The place that a secret is bound to.
pub(super) fn place(instance_id: i64, key: &str) -> String {
    format!("instance/{instance_id}/{key}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_value_opens_only_in_its_own_place() {
        let key = Key::new(&[7; KEY_LEN]);
        let sealed = key.seal("instance/1/oauth.api.secret", b"hunter2");
        assert_eq!(
            key.open("instance/1/oauth.api.secret", &sealed).unwrap().expose(),
            "hunter2"
        );
        assert!(key.open("instance/2/oauth.api.secret", &sealed).is_err());
        assert!(
            Key::new(&[8; KEY_LEN])
                .open("instance/1/oauth.api.secret", &sealed)
                .is_err()
        );
        assert!(key.open("instance/1/oauth.api.secret", &sealed[..5]).is_err());
    }
}
