//! What is said when a test cannot run here.

use std::env;
use std::io::Write;

/// `.ci/run` sets it where it runs as root: then no test that needs root may be left out.
const ROOT_IS_EXPECTED: &str = "DELTAPOST_TESTS_AS_ROOT";

/// Leaves out a test that needs root: says so past the captured output, and fails where root is expected.
#[track_caller]
pub(crate) fn without_root(why: &str) {
    assert!(
        env::var_os(ROOT_IS_EXPECTED).is_none(),
        "{ROOT_IS_EXPECTED} is set, and this test cannot run: {why}"
    );
    let test = std::thread::current();
    let line = format!("SKIPPED {}: {why}\n", test.name().unwrap_or_default());
    std::io::stderr().write_all(line.as_bytes()).unwrap();
}
