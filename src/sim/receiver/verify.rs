//! The signatures of a notification, checked from the receiver's side: Cloud Elements' and Standard Webhooks'.
//! How old a timestamp is, is not judged: tests turn the clock.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;

/// The notification's id, when its headers are as documented and, with a `key`, both signatures are good. Without one
/// there must be none.
///
/// # Errors
/// The first thing that is wrong, in words.
pub(super) fn check<'r>(
    key: Option<&str>,
    header: impl Fn(&str) -> Option<&'r str>,
    body: &[u8],
) -> Result<&'r str, String> {
    let needed = |name: &str| header(name).ok_or_else(|| format!("`{name}` is missing"));
    let id = needed("webhook-id")?;
    if needed("Elements-Webhook-Id")? != id {
        return Err("`Elements-Webhook-Id` and `webhook-id` differ".to_owned());
    }
    let timestamp = needed("webhook-timestamp")?;
    if timestamp.parse::<u64>().is_err() {
        return Err("`webhook-timestamp` is not a number of seconds".to_owned());
    }
    let Some(key) = key else {
        let signed = ["webhook-signature", "Elements-Webhook-Signature"]
            .into_iter()
            .find(|name| header(name).is_some());
        return signed.map_or(Ok(id), |name| Err(format!("`{name}` came, but there is no key")));
    };
    let elements = hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes());
    check_one(&elements, needed("Elements-Webhook-Signature")?, "sha256=", body)
        .map_err(|problem| format!("`Elements-Webhook-Signature` {problem}"))?;
    let secret = match key.strip_prefix("whsec_") {
        Some(encoded) => STANDARD
            .decode(encoded)
            .map_err(|_| "the key is not base64 after `whsec_`".to_owned())?,
        None => key.as_bytes().to_vec(),
    };
    let standard = hmac::Key::new(hmac::HMAC_SHA256, &secret);
    let signed = [id.as_bytes(), b".", timestamp.as_bytes(), b".", body].concat();
    check_one(&standard, needed("webhook-signature")?, "v1,", &signed)
        .map_err(|problem| format!("`webhook-signature` {problem}"))?;
    Ok(id)
}

/// One of the signatures in `value` must be good: during a rotation there are two.
fn check_one(key: &hmac::Key, value: &str, prefix: &str, signed: &[u8]) -> Result<(), String> {
    for signature in value.split_ascii_whitespace() {
        let encoded = signature
            .strip_prefix(prefix)
            .ok_or_else(|| format!("does not begin with `{prefix}`"))?;
        let tag = STANDARD.decode(encoded).map_err(|_| "is not base64".to_owned())?;
        if hmac::verify(key, signed, &tag).is_ok() {
            return Ok(());
        }
    }
    Err("does not fit the body and the key".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &[u8] = b"{\"test\": 2432232314}";

    /// The example of the Standard Webhooks libraries; the other signature was made with `openssl dgst -hmac`.
    const HEADERS: [(&str, &str); 5] = [
        ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
        ("Elements-Webhook-Id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
        ("webhook-timestamp", "1614265330"),
        (
            "webhook-signature",
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        ),
        (
            "Elements-Webhook-Signature",
            "sha256=gOyKic480iEzoQZsrstNBP6nRnZXyFFNcX7ELDilyUw=",
        ),
    ];
    const KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    #[track_caller]
    fn verdict(
        key: Option<&str>,
        change: (&str, Option<&'static str>),
        body: &[u8],
    ) -> Result<String, String> {
        let header = |name: &str| {
            let known = HEADERS
                .iter()
                .find(|(have, _)| have.eq_ignore_ascii_case(name))
                .map(|(_, value)| *value);
            if change.0 == name { change.1 } else { known }
        };
        check(key, header, body).map(str::to_owned)
    }

    #[test]
    fn the_published_example_is_good() {
        assert_eq!(
            verdict(Some(KEY), ("", None), BODY).as_deref(),
            Ok("msg_p5jXN8AQM9LWM0D4loKWxJek")
        );
    }

    #[test]
    fn whatever_is_changed_is_found() {
        for change in [
            ("webhook-id", Some("other")),
            ("Elements-Webhook-Id", None),
            ("webhook-timestamp", Some("1614265331")),
            ("webhook-timestamp", Some("then")),
            ("webhook-signature", Some("v1,AAAA")),
            ("webhook-signature", Some("g0hM9SsE")),
            ("webhook-signature", None),
            ("Elements-Webhook-Signature", Some("sha256=AAAA")),
            ("Elements-Webhook-Signature", None),
        ] {
            assert!(verdict(Some(KEY), change, BODY).is_err(), "{change:?}");
        }
        assert!(verdict(Some(KEY), ("", None), b"{}").is_err());
        assert!(verdict(Some("another key"), ("", None), BODY).is_err());
        assert!(verdict(None, ("", None), BODY).is_err(), "signed without a key");
    }

    #[test]
    fn one_good_signature_of_several_is_enough() {
        let several = "v1,AAAA v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        assert!(verdict(Some(KEY), ("webhook-signature", Some(several)), BODY).is_ok());
    }
}
