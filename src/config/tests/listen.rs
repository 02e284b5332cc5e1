//! `[listen]`: an address that other machines reach must be meant.

use super::*;

#[track_caller]
fn check(text: &str, expect: &[&str]) {
    let problems = Config::parse(text).unwrap_err();
    let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(told, expect);
}

#[test]
fn an_address_that_others_reach_must_be_meant() {
    check(
        "[listen]\naddress = \"0.0.0.0:80\"\n",
        &[
            "2:11: listen.address: `0.0.0.0:80` can be reached from other machines, and whoever has the API token there reads \
             and changes everything; `expose = true` under [listen] says that this is meant",
        ],
    );
    check(
        "[listen]\naddress = \"localhost:80\"\n",
        &[
            "2:11: listen.address: expected an IP address with a port such as \"127.0.0.1:8649\" or \"[::1]:8649\", or \
             \"off\", got `\"localhost:80\"`",
        ],
    );
    let listen = |text: &str| Config::parse(text).unwrap().listen;
    assert_eq!(listen("listen.address = \"off\"").address, None);
    assert_eq!(listen("listen.address = \"[::1]:1\"").exposed(), None);
    let exposed = listen("[listen]\naddress = \"10.0.0.1:1\"\nexpose = true");
    assert_eq!(exposed.exposed(), exposed.address);
}
