//! The headers by which a receiver knows a notification and its sender: ids, times and HMAC-SHA256 signatures, by
//! Cloud Elements' scheme and by Standard Webhooks'. Bodies come in as bytes; nothing here reads or makes them.

use base64::Engine;
use base64::alphabet;
use base64::engine::general_purpose::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use jiff::Timestamp;
use ring::hmac;

use super::model::Secret;

/// What marks a key as a serialized Standard Webhooks secret.
const SECRET_PREFIX: &str = "whsec_";

/// Reads base64 with and without padding: secrets are copied by hand, and a lost `=` takes nothing from the key.
const ANY_PADDING: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Every header that identifies and signs one attempt at `now` to deliver the notification `event_id`.
///
/// `keys` begins with the current key; others follow while keys are rotated. Without a key the signatures are left
/// out. Cloud Elements' header has room for one signature, the current key's; Standard Webhooks' carries all.
pub fn headers(keys: &[&Secret], event_id: &str, now: Timestamp, body: &[u8]) -> Vec<(&'static str, String)> {
    let unix_seconds = now.as_second();
    let mut headers = vec![
        ("Elements-Webhook-Id", event_id.to_owned()),
        ("webhook-id", event_id.to_owned()),
        ("webhook-timestamp", unix_seconds.to_string()),
    ];
    if let Some(current) = keys.first() {
        headers.push(("Elements-Webhook-Signature", elements_signature(current, body)));
        headers.push((
            "webhook-signature",
            standard_signature(keys, event_id, unix_seconds, body),
        ));
    }
    headers
}

/// The value of `Elements-Webhook-Signature`: `sha256=` and the base64 of the body's HMAC-SHA256 under the key's
/// characters as they are, whatever they look like.
pub fn elements_signature(key: &Secret, body: &[u8]) -> String {
    let tag = hmac::sign(&hmac_key(key.expose().as_bytes()), body);
    format!("sha256={}", STANDARD.encode(tag))
}

/// The value of `webhook-signature` (Standard Webhooks 1.0): for each key `v1,` and the base64 of the HMAC-SHA256 of
/// `{id}.{unix_seconds}.{body}`, separated by spaces, in the order of `keys`.
///
/// A key of `whsec_` and base64 is decoded, padded or not. Any other key is used as its bytes, and so is a whole key
/// whose part behind `whsec_` is empty or no base64: an empty key would sign for everybody.
pub fn standard_signature(keys: &[&Secret], id: &str, unix_seconds: i64, body: &[u8]) -> String {
    let head = format!("{id}.{unix_seconds}.");
    let signatures = keys.iter().map(|key| {
        let mut context = hmac::Context::with_key(&hmac_key(&standard_key_bytes(key)));
        context.update(head.as_bytes());
        context.update(body);
        format!("v1,{}", STANDARD.encode(context.sign()))
    });
    signatures.collect::<Vec<_>>().join(" ")
}

fn hmac_key(bytes: &[u8]) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, bytes)
}

fn standard_key_bytes(key: &Secret) -> Vec<u8> {
    let text = key.expose();
    text.strip_prefix(SECRET_PREFIX)
        .and_then(|encoded| ANY_PADDING.decode(encoded).ok())
        .filter(|bytes| !bytes.is_empty())
        .unwrap_or_else(|| text.as_bytes().to_vec())
}

#[cfg(test)]
mod tests;
