//! HMAC-SHA256 by somebody else's code: the `openssl` of the machine, as a receiver's developer would try it by hand.

use std::io::Write;
use std::process::{Command, Stdio};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Whether the machine has `openssl`; says so when it has not.
pub(crate) fn is_here() -> bool {
    let found = Command::new("openssl")
        .arg("version")
        .stdout(Stdio::null())
        .status();
    let found = found.is_ok_and(|status| status.success());
    if !found {
        println!("skipped: there is no `openssl` on this machine");
    }
    found
}

/// The base64 of `openssl dgst -sha256` with an HMAC key of these bytes, over `data`.
pub(crate) fn hmac_sha256(key: &[u8], data: &[u8]) -> String {
    let hex: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
    digest(&["-mac", "HMAC", "-macopt", &format!("hexkey:{hex}")], data)
}

/// The same with the key as text, in the short form that documentation shows.
pub(crate) fn hmac_sha256_by_text(key: &str, data: &[u8]) -> String {
    digest(&["-hmac", key], data)
}

fn digest(key: &[&str], data: &[u8]) -> String {
    let mut openssl = Command::new("openssl")
        .args(["dgst", "-sha256", "-binary"])
        .args(key)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    openssl.stdin.take().unwrap().write_all(data).unwrap();
    let output = openssl.wait_with_output().unwrap();
    assert!(output.status.success());
    STANDARD.encode(output.stdout)
}
