//! Tests of `sign`.

use super::*;

const BODY: &[u8] = br#"{"test": 2432232314}"#;
const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
const SECONDS: i64 = 1_614_265_330;
const WHSEC: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

#[test]
fn the_elements_signature_is_what_openssl_computes() {
    // printf BODY | openssl dgst -sha256 -hmac KEY -binary | base64
    for (key, body, expect) in [
        (
            "abc123-my secret",
            BODY,
            "sha256=txCVtvqUtrlRWtekViRcFM4oNiCjC75rmVPdUDaNKuk=",
        ),
        (
            "Schlüssel",
            BODY,
            "sha256=grRNZtRF6uZGn8kIPrGZnW0xdlUqMU2zW2oiW+Z8j9o=",
        ),
        (WHSEC, BODY, "sha256=gOyKic480iEzoQZsrstNBP6nRnZXyFFNcX7ELDilyUw="),
        ("k", b"", "sha256=i7mQxAp9YcuXWXqUISUCW+UKyL63RDbjc1uYiTp/ZiA="),
    ] {
        assert_eq!(elements_signature(&Secret::new(key), body), expect, "key {key:?}");
    }
}

#[track_caller]
fn check_standard(key: &str, expect: &str) {
    let key = Secret::new(key);
    assert_eq!(standard_signature(&[&key], ID, SECONDS, BODY), expect);
}

#[test]
fn the_standard_signature_is_the_published_one() {
    // The example of the reference libraries of Standard Webhooks, and the one of Svix's documentation.
    check_standard(WHSEC, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    let signed = standard_signature(
        &[&Secret::new("whsec_plJ3nmyCDGBKInavdOK15jsl")],
        "msg_loFOjxBNrRLzqYUf",
        1_731_705_121,
        br#"{"event_type":"ping","data":{"success":true}}"#,
    );
    assert_eq!(signed, "v1,rAvfW3dJ/X/qxhsaXPOyyCGmRKsaKWcsNccKXlIktD0=");
}

#[test]
fn a_key_that_is_no_standard_secret_signs_with_its_bytes() {
    // printf ID.SECONDS.BODY | openssl dgst -sha256 -hmac KEY -binary | base64
    for (key, expect) in [
        (
            "abc123-my secret",
            "v1,C/O/wWPNlRqToP/qsEQrYcP2EvY8WA+ctEcw/64rwfw=",
        ),
        (
            "whsec_not base64!",
            "v1,yUD2RuJUXJQ8HKsyjzbAMVmj4/ZkDavgvNxmEyGpKuU=",
        ),
        ("whsec_", "v1,AUsemtRPIzthQtHnPgmHPUvj8jasw1M2BdSl+bqqaVQ="),
        ("Schlüssel", "v1,lPl4atbP2wkQ5fwv9y9peIplDf5bfWomeNgdX/s7Cns="),
    ] {
        check_standard(key, expect);
    }
}

#[test]
fn a_lost_padding_does_not_change_the_key() {
    let sign = |key: &str| standard_signature(&[&Secret::new(key)], ID, SECONDS, BODY);
    assert_eq!(sign("whsec_c2VjcmV0MQ=="), sign("secret1"));
    assert_eq!(sign("whsec_c2VjcmV0MQ"), sign("secret1"));
}

#[track_caller]
fn check_headers(keys: &[&str], expect: &[(&str, &str)]) {
    let keys: Vec<Secret> = keys.iter().copied().map(Secret::new).collect();
    let keys: Vec<&Secret> = keys.iter().collect();
    let now = Timestamp::new(SECONDS, 999_000_000).unwrap();
    let headers = headers(&keys, ID, now, BODY);
    let headers: Vec<(&str, &str)> = headers
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    assert_eq!(headers, expect);
}

#[test]
fn without_a_key_a_notification_still_has_its_id_and_time() {
    check_headers(
        &[],
        &[
            ("Elements-Webhook-Id", ID),
            ("webhook-id", ID),
            ("webhook-timestamp", "1614265330"),
        ],
    );
}

#[test]
fn during_a_rotation_both_keys_sign_where_two_signatures_have_room() {
    check_headers(
        &[WHSEC, "abc123-my secret"],
        &[
            ("Elements-Webhook-Id", ID),
            ("webhook-id", ID),
            ("webhook-timestamp", "1614265330"),
            (
                "Elements-Webhook-Signature",
                "sha256=gOyKic480iEzoQZsrstNBP6nRnZXyFFNcX7ELDilyUw=",
            ),
            (
                "webhook-signature",
                "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE= v1,C/O/wWPNlRqToP/qsEQrYcP2EvY8WA+ctEcw/64rwfw=",
            ),
        ],
    );
}
