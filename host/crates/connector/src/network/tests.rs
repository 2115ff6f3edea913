//! The list of hosts, the addresses that need to be named, and the two together.

use std::net::IpAddr;
use std::sync::Arc;

use proptest::prelude::*;
use url::Host;

use super::{Activity, AllowList, Authority, Network, forbidden, host_of};

fn permits(rules: &[&str], host: &str, port: u16) -> bool {
    let rules: Vec<Authority> = rules.iter().map(|&rule| rule.into()).collect();
    host_of(host).is_some_and(|host| AllowList::new(&rules).permits(&host, Some(port)))
}

#[test]
fn a_host_is_permitted_as_it_is_named() {
    let cases: [(&[&str], &str, u16, bool); 22] = [
        (&["api.example.com"], "api.example.com", 443, true),
        (&["api.example.com"], "API.Example.COM.", 80, true),
        (&["API.Example.COM."], "api.example.com", 80, true),
        (&["api.example.com"], "example.com", 443, false),
        (&["api.example.com"], "evil-api.example.com", 443, false),
        (&["api.example.com"], "api.example.com.evil.org", 443, false),
        (&["api.example.com:8443"], "api.example.com", 8443, true),
        (&["api.example.com:8443"], "api.example.com", 443, false),
        (&["bücher.example"], "xn--bcher-kva.example", 443, true),
        (&["*.example.com"], "a.b.example.com", 443, true),
        (&["*.example.com"], "example.com", 443, false),
        (&["*.example.com"], "badexample.com", 443, false),
        (&["127.0.0.1"], "127.0.0.1", 1883, true),
        (&["127.0.0.1"], "0x7f.1", 80, true),
        (&["127.0.0.1"], "localhost", 80, false),
        (&["localhost"], "127.0.0.1", 80, false),
        (&["[::1]:1883"], "::1", 1883, true),
        (&["::1"], "[::1]", 1, true),
        (&["127.0.0.1"], "::ffff:127.0.0.1", 80, true),
        (&["169.254.169.254"], "169.254.169.254", 80, true),
        (&[], "example.com", 443, false),
        (&["", "a b", "http://x"], "x", 80, false),
    ];
    for (rules, host, port, expected) in cases {
        assert_eq!(permits(rules, host, port), expected, "{host}:{port} by {rules:?}");
    }
}

#[test]
fn any_host_is_not_any_address() {
    assert!(permits(&["*"], "example.com", 443));
    assert!(permits(&["*"], "10.0.0.1", 443));
    for address in ["169.254.169.254", "fe80::1", "fd00:ec2::254", "0.0.0.0", "2852039166", "[::ffff:a9fe:a9fe]"] {
        assert!(!permits(&["*"], address, 80), "{address}");
    }
}

#[test]
fn addresses_that_no_name_may_lead_to() {
    let addresses =
        |texts: &[&str]| -> Vec<IpAddr> { texts.iter().map(|text| text.parse().expect("an address")).collect() };
    let bad = [
        "169.254.0.1",
        "169.254.169.254",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
        "0.0.0.0",
        "0.1.2.3",
        "224.0.0.1",
        "255.255.255.255",
        "fe80::1",
        "febf::1",
        "ff02::1",
        "::",
        "fd00:ec2::254",
        "fd20:ce::254",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "::169.254.169.254",
    ];
    for address in addresses(&bad) {
        assert!(forbidden(address), "{address}");
    }
    let good =
        ["127.0.0.1", "::1", "10.1.2.3", "192.168.1.1", "93.184.216.34", "fd00::1", "2606:4700::1", "64:ff9b::808:808"];
    for address in addresses(&good) {
        assert!(!forbidden(address), "{address}");
    }
}

#[test]
fn a_socket_may_go_where_a_lookup_led() {
    let activity = Arc::new(Activity::default());
    let network = Network::new(&["broker.example:1883".into(), "other.example:80".into()], activity.clone());
    let address: IpAddr = "10.0.0.7".parse().expect("an address");
    let broker = Host::Domain("broker.example".to_owned());
    assert!(!network.permit_connect((address, 1883).into()), "nobody has looked it up yet");
    assert!(network.permit_lookup(&broker));
    network.learn(&broker, &[address]);
    assert!(network.permit_connect((address, 1883).into()));
    assert!(!network.permit_connect((address, 80).into()), "the port goes with the name");
    assert!(!network.permit_lookup(&Host::Domain("evil.example".to_owned())));
    let allowed: Vec<_> = activity.snapshot().into_iter().filter(|access| access.allowed).collect();
    assert_eq!((allowed.len(), allowed[0].authority.as_str()), (1, "broker.example:1883"));
}

#[test]
fn learnt_addresses_are_bounded() {
    let network = Network::new(&["many.example".into()], Arc::default());
    let many = Host::Domain("many.example".to_owned());
    let address = |n: u32| IpAddr::V4(std::net::Ipv4Addr::from_bits(0x0a00_0000 + n));
    for n in 0..5000 {
        network.learn(&many, &[address(n)]);
    }
    assert!(!network.permit_connect((address(0), 1).into()));
    assert!(network.permit_connect((address(4999), 1).into()));
}

#[test]
fn activity_is_bounded() {
    let activity = Activity::default();
    for n in 0..3000 {
        activity.record(&format!("host-{n}"), false);
    }
    let lines = activity.snapshot();
    assert_eq!(lines.len(), 1001);
    assert_eq!(lines.iter().map(|line| line.count).sum::<u64>(), 3000);
}

proptest! {
    #[test]
    fn an_authority_is_read_back(host in "[a-z][a-z0-9-]{0,20}(\\.[a-z]{2,5}){0,3}|10\\.0\\.0\\.[1-9]|fd00::[1-9]", port in proptest::option::of(1u16..)) {
        let authority = Authority::new(host.clone(), port);
        let read = Authority::from(authority.to_string().as_str());
        prop_assert_eq!(read.port, port);
        prop_assert_eq!(host_of(&read.host), host_of(&host));
    }

    #[test]
    fn no_text_breaks_the_list(rule in ".{0,40}", host in ".{0,40}", port: u16) {
        permits(&[&rule], &host, port);
    }

    #[test]
    fn a_listed_name_permits_only_itself(name in "[a-z]{1,8}\\.example", other in "[a-z.]{1,16}") {
        prop_assert_eq!(permits(&[&name], &other, 1), host_of(&other) == host_of(&name));
    }
}
