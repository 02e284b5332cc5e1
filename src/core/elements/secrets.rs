//! Which part of a configuration is secret: masked for showing, split off for sealing, joined again after unsealing.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::core::model::{Configuration, MASK, Secret};
use crate::core::shown::shown_url;

use super::keys::{CALLBACK_URL, HEADERS, SECRET_KEYS};

/// `configuration` as it may be shown and stored unsealed: a secret is `********`, a header keeps its name, and the
/// callback URL is shown by `shown_url`, with `?********` for what is not. Read back as a document, it changes nothing.
pub fn mask(configuration: &Configuration) -> Configuration {
    split(configuration).0
}

/// The part of `configuration` that may be shown, and the secrets to seal, by key: their text; for the headers the JSON
/// of all of them; for a callback URL of which not all is shown the whole URL.
///
/// What is masked already, because it could not be unsealed, is no secret to seal: what was sealed before stays valid.
pub fn split(configuration: &Configuration) -> (Configuration, BTreeMap<String, Secret>) {
    let mut shown = configuration.clone();
    let mut secrets = BTreeMap::new();
    for key in SECRET_KEYS.iter().chain([&CALLBACK_URL]) {
        let Some(value) = shown.get_mut(*key) else {
            continue;
        };
        let masked = masked(key, value);
        if masked == *value {
            continue;
        }
        let secret = match &*value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        secrets.insert((*key).to_owned(), Secret::new(secret));
        *value = masked;
    }
    (shown, secrets)
}

/// The configuration that `split` took apart. Secrets that are missing, since they could not be unsealed, stay masked.
pub fn join(mut configuration: Configuration, secrets: &BTreeMap<String, Secret>) -> Configuration {
    for (key, secret) in secrets {
        let value = if key == HEADERS {
            // What was sealed is what `split` wrote; if it were not JSON, the headers would stay masked, thus withheld.
            match serde_json::from_str(secret.expose()) {
                Ok(headers) => headers,
                Err(_) => continue,
            }
        } else {
            Value::from(secret.expose())
        };
        configuration.insert(key.clone(), value);
    }
    configuration
}

/// The keys whose secret is not here: in a configuration from the store, those that could not be unsealed. While there
/// is one of the notification's among them, nothing may be sent.
pub fn withheld(configuration: &Configuration) -> Vec<&str> {
    configuration
        .iter()
        .filter(|(key, value)| is_masked(key, value))
        .map(|(key, _)| key.as_str())
        .collect()
}

/// Whether `value` of `key` is the mask, or holds it in the place of a header's value or of what is not shown of the URL.
pub(super) fn is_masked(key: &str, value: &Value) -> bool {
    match value {
        Value::Object(headers) if key == HEADERS => headers.values().any(|header| header == MASK),
        Value::String(url) if key == CALLBACK_URL => {
            url == MASK || url.split_once('?').is_some_and(|(_, query)| query == MASK)
        }
        other => other == MASK,
    }
}

/// `value` of the secret `key` as it may be shown.
pub(super) fn masked(key: &str, value: &Value) -> Value {
    match value {
        Value::Object(headers) if key == HEADERS => {
            let names = headers.keys().map(|name| (name.clone(), Value::from(MASK)));
            Value::Object(names.collect::<Map<_, _>>())
        }
        Value::String(url) if key == CALLBACK_URL && url != MASK => {
            let shown = shown_url(url);
            if shown == *url {
                value.clone()
            } else {
                Value::from(format!("{shown}?{MASK}"))
            }
        }
        _ => Value::from(MASK),
    }
}
