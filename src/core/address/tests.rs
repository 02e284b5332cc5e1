//! Tests of `address`.

use proptest::prelude::*;

use super::*;

#[track_caller]
fn check_read(text: &str, expect: Result<&str, &str>) {
    let read = Network::parse(text);
    let told = read
        .map(|network| network.to_string())
        .map_err(|error| error.to_string());
    assert_eq!(told.as_deref().map_err(String::as_str), expect);
}

#[test]
fn a_network_is_read_and_written_canonically() {
    check_read("10.0.0.0/8", Ok("10.0.0.0/8"));
    check_read("0.0.0.0/0", Ok("0.0.0.0/0"));
    check_read("192.0.2.7", Ok("192.0.2.7/32"));
    check_read("FE80::/10", Ok("fe80::/10"));
    check_read("::/0", Ok("::/0"));
    check_read("fd00:ec2::254/128", Ok("fd00:ec2::254/128"));
    check_read("::ffff:10.0.0.0/104", Ok("10.0.0.0/8"));
    check_read("::ffff:0:0/96", Ok("0.0.0.0/0"));
}

#[test]
fn what_is_no_network_is_refused_with_what_to_write() {
    for text in [
        "",
        "/8",
        "10.0.0.0/",
        "10.0.0.0/+8",
        "10.0.0.0/8/8",
        "10.0.0/8",
        "010.0.0.0/8",
        "10.0.0.0 /8",
        "example.com",
        "fe80::1%eth0",
        "[::1]",
    ] {
        check_read(text, Err(&format!("`{text}` is not an IP address or network")));
    }
    check_read("10.0.0.0/33", Err("`10.0.0.0/33` has a prefix above 32"));
    check_read("::/129", Err("`::/129` has a prefix above 128"));
    check_read("10.0.0.0/999", Err("`10.0.0.0/999` has a prefix above 32"));
    check_read("10.1.2.3/8", Err("`10.1.2.3/8` has bits set beyond its prefix"));
    let hint = Network::parse("10.1.2.3/8").unwrap_err().hint();
    assert_eq!(
        hint,
        "write `10.0.0.0/8` for the network, or the address without its prefix"
    );
}

#[track_caller]
fn check_lies(network: &str, address: &str, expect: bool) {
    let network = Network::parse(network).unwrap();
    assert_eq!(
        network.contains(address.parse().unwrap()),
        expect,
        "{address} in {network}"
    );
}

#[test]
fn an_address_lies_in_the_networks_around_it() {
    check_lies("10.0.0.0/8", "10.255.255.255", true);
    check_lies("10.0.0.0/8", "11.0.0.0", false);
    check_lies("192.0.2.7", "192.0.2.7", true);
    check_lies("192.0.2.7", "192.0.2.6", false);
    check_lies("0.0.0.0/0", "255.255.255.255", true);
    check_lies("fe80::/10", "febf::1", true);
    check_lies("fe80::/10", "fec0::1", false);
    check_lies("::/0", "10.0.0.1", false);
    check_lies("0.0.0.0/0", "2001:db8::1", false);
}

#[test]
fn an_ipv4_address_is_recognised_in_every_dress() {
    for dressed in [
        "169.254.169.254",
        "::ffff:169.254.169.254",
        "::169.254.169.254",
        "::ffff:0:169.254.169.254",
        "64:ff9b::169.254.169.254",
        "64:ff9b:1::169.254.169.254",
        "64:ff9b:1:2:3:4:169.254.169.254",
        "2002:a9fe:a9fe::1",
    ] {
        check_lies("169.254.0.0/16", dressed, true);
        check_lies("169.255.0.0/16", dressed, false);
    }
    check_lies("0.0.0.0/8", "::", true);
    check_lies("0.0.0.0/8", "::1", false);
    check_lies("::1", "::1", true);
    check_lies("64:ff9b::/96", "64:ff9b::10.0.0.1", true);
}

fn any_address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        any::<u32>().prop_map(|bits| IpAddr::V4(Ipv4Addr::from_bits(bits))),
        any::<u128>().prop_map(|bits| IpAddr::V6(Ipv6Addr::from_bits(bits))),
    ]
}

proptest! {
    #[test]
    fn a_network_holds_its_address_and_reads_back(address in any_address(), prefix in 0u8..=128) {
        let network = Network::of(address, prefix.min(width(address))).unmapped();
        prop_assert!(network.contains(address));
        prop_assert_eq!(Network::parse(&network.to_string()), Ok(network));
    }

    #[test]
    fn a_bit_within_the_prefix_leads_out_and_one_beyond_does_not(bits in any::<u32>(), prefix in 0u8..=32, bit in 0u8..32) {
        let network = Network::of(IpAddr::V4(Ipv4Addr::from_bits(bits)), prefix);
        let other = Ipv4Addr::from_bits(bits ^ (1 << (31 - bit)));
        prop_assert_eq!(network.contains(IpAddr::V4(other)), bit >= prefix);
        prop_assert_eq!(network.contains(IpAddr::V6(other.to_ipv6_mapped())), bit >= prefix);
    }

    #[test]
    fn any_text_is_a_network_or_told(text in "[0-9a-f:./]{0,40}|\\PC{0,40}") {
        match Network::parse(&text) {
            Ok(network) => prop_assert_eq!(Network::parse(&network.to_string()), Ok(network)),
            Err(error) => prop_assert!(!error.hint().is_empty()),
        }
    }
}
