//! Which addresses are on the public internet. Everything in the IANA special-purpose address registries (RFC 6890) is not,
//! whether or not the registry calls it globally reachable.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// IANA IPv4 Special-Purpose Address Registry, with multicast, and one that is special in fact.
const SPECIAL_V4: [(Ipv4Addr, u32); 20] = [
    (Ipv4Addr::UNSPECIFIED, 8),            // this network; RFC 791
    (Ipv4Addr::new(10, 0, 0, 0), 8),       // private use; RFC 1918
    (Ipv4Addr::new(100, 64, 0, 0), 10),    // shared address space; RFC 6598
    (Ipv4Addr::new(127, 0, 0, 0), 8),      // loopback; RFC 1122
    (Ipv4Addr::new(168, 63, 129, 16), 32), // looks public, and is the host agent of every machine at Azure
    (Ipv4Addr::new(169, 254, 0, 0), 16),   // link local, and cloud metadata; RFC 3927
    (Ipv4Addr::new(172, 16, 0, 0), 12),    // private use; RFC 1918
    (Ipv4Addr::new(192, 0, 0, 0), 24),     // protocol assignments; RFC 6890
    (Ipv4Addr::new(192, 0, 2, 0), 24),     // documentation; RFC 5737
    (Ipv4Addr::new(192, 31, 196, 0), 24),  // AS112; RFC 7535
    (Ipv4Addr::new(192, 52, 193, 0), 24),  // AMT; RFC 7450
    (Ipv4Addr::new(192, 88, 99, 0), 24),   // 6to4 relays, deprecated; RFC 7526
    (Ipv4Addr::new(192, 168, 0, 0), 16),   // private use; RFC 1918
    (Ipv4Addr::new(192, 175, 48, 0), 24),  // AS112; RFC 7534
    (Ipv4Addr::new(198, 18, 0, 0), 15),    // benchmarking; RFC 2544
    (Ipv4Addr::new(198, 51, 100, 0), 24),  // documentation; RFC 5737
    (Ipv4Addr::new(203, 0, 113, 0), 24),   // documentation; RFC 5737
    (Ipv4Addr::new(224, 0, 0, 0), 4),      // multicast; RFC 5771
    (Ipv4Addr::new(240, 0, 0, 0), 4),      // reserved; RFC 1112
    (Ipv4Addr::BROADCAST, 32),             // limited broadcast; RFC 8190
];

/// All that is global unicast today (RFC 4291 §2.4, IANA IPv6 Global Unicast Address Assignments). Outside of it lie, among
/// others, `::`, `::1`, mapped IPv4 (`::ffff:0:0/96`), NAT64 (`64:ff9b::/96`, `64:ff9b:1::/48`), discard only (`100::/64`),
/// segment routing (`5f00::/16`), unique local (`fc00::/7`), link local (`fe80::/10`) and multicast (`ff00::/8`).
const GLOBAL_V6: (Ipv6Addr, u32) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);

/// IANA IPv6 Special-Purpose Address Registry, as far as it lies inside of [`GLOBAL_V6`].
const SPECIAL_V6: [(Ipv6Addr, u32); 5] = [
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23), // protocol assignments: Teredo, benchmarking, AMT, ORCHID, drone ids; RFC 2928
    (Ipv6Addr::new(0x2001, 0x0db8, 0, 0, 0, 0, 0, 0), 32), // documentation; RFC 3849
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16), // 6to4, which carries an IPv4 address; RFC 3056
    (Ipv6Addr::new(0x2620, 0x004f, 0x8000, 0, 0, 0, 0, 0), 48), // AS112; RFC 7534
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20), // documentation; RFC 9637
];

/// Whether an address is a host on the public internet and nothing else. An IPv6 address that carries an IPv4 address, mapped
/// or translated, is not: who means a public host says so without a disguise.
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            !SPECIAL_V4.iter().any(|(network, length)| same_start(v4.to_bits().into(), network.to_bits().into(), length + 96))
        }
        IpAddr::V6(v6) => within(v6, GLOBAL_V6) && !SPECIAL_V6.iter().any(|network| within(v6, *network)),
    }
}

/// Whether an address is one host at all: what an operator may point to by name.
pub fn is_one_host(address: IpAddr) -> bool {
    let broadcast = matches!(address, IpAddr::V4(v4) if v4.is_broadcast());
    !address.is_unspecified() && !address.is_multicast() && !broadcast
}

fn within(address: Ipv6Addr, (network, length): (Ipv6Addr, u32)) -> bool {
    same_start(address.to_bits(), network.to_bits(), length)
}

/// Whether the first `length` of 128 bits are the same.
fn same_start(one: u128, other: u128, length: u32) -> bool {
    (one ^ other).leading_zeros() >= length
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every row of both registries, and what else must never be dialled: first and last address, and the neighbours that
    /// are public, where they are.
    const REGISTRIES: &[(&str, &str, &str)] = &[
        ("this network", "0.0.0.0", "0.255.255.255"),
        ("this host on this network", "0.0.0.0", "0.0.0.0"),
        ("private use", "10.0.0.0", "10.255.255.255"),
        ("shared address space", "100.64.0.0", "100.127.255.255"),
        ("loopback", "127.0.0.0", "127.255.255.255"),
        ("link local", "169.254.0.0", "169.254.255.255"),
        ("cloud metadata", "169.254.169.254", "169.254.169.254"),
        ("the host agent at Azure", "168.63.129.16", "168.63.129.16"),
        ("private use", "172.16.0.0", "172.31.255.255"),
        ("IETF protocol assignments", "192.0.0.0", "192.0.0.255"),
        ("IPv4 service continuity prefix", "192.0.0.0", "192.0.0.7"),
        ("IPv4 dummy address", "192.0.0.8", "192.0.0.8"),
        ("port control protocol anycast", "192.0.0.9", "192.0.0.9"),
        ("TURN anycast", "192.0.0.10", "192.0.0.10"),
        ("NAT64 and DNS64 discovery", "192.0.0.170", "192.0.0.171"),
        ("documentation", "192.0.2.0", "192.0.2.255"),
        ("AS112-v4", "192.31.196.0", "192.31.196.255"),
        ("AMT", "192.52.193.0", "192.52.193.255"),
        ("deprecated 6to4 relay anycast", "192.88.99.0", "192.88.99.255"),
        ("private use", "192.168.0.0", "192.168.255.255"),
        ("direct delegation AS112", "192.175.48.0", "192.175.48.255"),
        ("benchmarking", "198.18.0.0", "198.19.255.255"),
        ("documentation", "198.51.100.0", "198.51.100.255"),
        ("documentation", "203.0.113.0", "203.0.113.255"),
        ("multicast", "224.0.0.0", "239.255.255.255"),
        ("reserved", "240.0.0.0", "255.255.255.254"),
        ("limited broadcast", "255.255.255.255", "255.255.255.255"),
        ("unspecified", "::", "::"),
        ("loopback", "::1", "::1"),
        ("IPv4 compatible, deprecated", "::2", "::ffff:ffff"),
        ("IPv4 mapped", "::ffff:0:0", "::ffff:ffff:ffff"),
        ("IPv4 mapped loopback", "::ffff:127.0.0.1", "::ffff:127.0.0.1"),
        ("IPv4 mapped public", "::ffff:93.184.215.14", "::ffff:93.184.215.14"),
        ("IPv4 translated", "::ffff:0:0:0", "::ffff:0:ffff:ffff"),
        ("NAT64", "64:ff9b::", "64:ff9b::ffff:ffff"),
        ("NAT64 of loopback", "64:ff9b::127.0.0.1", "64:ff9b::7f00:1"),
        ("local NAT64", "64:ff9b:1::", "64:ff9b:1:ffff:ffff:ffff:ffff:ffff"),
        ("discard only", "100::", "100::ffff:ffff:ffff:ffff"),
        ("dummy prefix", "100:0:0:1::", "100:0:0:1:ffff:ffff:ffff:ffff"),
        ("IETF protocol assignments", "2001::", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff"),
        ("Teredo", "2001::", "2001:0:ffff:ffff:ffff:ffff:ffff:ffff"),
        ("port control protocol anycast", "2001:1::1", "2001:1::1"),
        ("TURN anycast", "2001:1::2", "2001:1::2"),
        ("DNS-SD service registration anycast", "2001:1::3", "2001:1::3"),
        ("benchmarking", "2001:2::", "2001:2:0:ffff:ffff:ffff:ffff:ffff"),
        ("AMT", "2001:3::", "2001:3:ffff:ffff:ffff:ffff:ffff:ffff"),
        ("AS112-v6", "2001:4:112::", "2001:4:112:ffff:ffff:ffff:ffff:ffff"),
        ("deprecated ORCHID", "2001:10::", "2001:1f:ffff:ffff:ffff:ffff:ffff:ffff"),
        ("ORCHIDv2", "2001:20::", "2001:2f:ffff:ffff:ffff:ffff:ffff:ffff"),
        ("drone remote ids", "2001:30::", "2001:3f:ffff:ffff:ffff:ffff:ffff:ffff"),
        ("documentation", "2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff"),
        ("6to4", "2002::", "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
        ("6to4 of loopback", "2002:7f00:1::", "2002:7f00:1::1"),
        ("direct delegation AS112", "2620:4f:8000::", "2620:4f:8000:ffff:ffff:ffff:ffff:ffff"),
        ("documentation", "3fff::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff"),
        ("segment routing", "5f00::", "5f00:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
        ("not assigned", "4000::", "fbff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
        ("unique local", "fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
        ("cloud metadata", "fd00:ec2::254", "fd00:ec2::254"),
        ("link local", "fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
        ("site local, deprecated", "fec0::", "feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
        ("multicast", "ff00::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ];

    const PUBLIC: &[&str] = &[
        "1.0.0.0",
        "9.255.255.255",
        "11.0.0.0",
        "93.184.215.14",
        "100.63.255.255",
        "100.128.0.0",
        "126.255.255.255",
        "128.0.0.0",
        "168.63.129.15",
        "168.63.129.17",
        "169.253.255.255",
        "169.255.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "191.255.255.255",
        "192.0.1.0",
        "192.0.3.0",
        "192.31.195.255",
        "192.31.197.0",
        "192.52.192.255",
        "192.52.194.0",
        "192.88.98.255",
        "192.88.100.0",
        "192.167.255.255",
        "192.169.0.0",
        "192.175.47.255",
        "192.175.49.0",
        "198.17.255.255",
        "198.20.0.0",
        "198.51.99.255",
        "198.51.101.0",
        "203.0.112.255",
        "203.0.114.0",
        "223.255.255.255",
        "2000::",
        "2001:200::",
        "2001:db7:ffff:ffff:ffff:ffff:ffff:ffff",
        "2001:db9::",
        "2003::",
        "2606:4700::1111",
        "2620:4f:7fff:ffff:ffff:ffff:ffff:ffff",
        "2620:4f:8001::",
        "2a00:1450::1",
        "3ffe:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
        "3fff:1000::",
        "3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    ];

    /// MUST NOT, CIMD §6.5.
    #[test]
    fn c21_no_row_of_the_special_purpose_registries_is_public() {
        for (name, first, last) in REGISTRIES {
            for text in [first, last] {
                assert!(!is_public(text.parse().unwrap()), "{name}: {text}");
            }
        }
        for text in PUBLIC {
            assert!(is_public(text.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn an_operator_may_point_to_one_host_and_not_to_many() {
        for text in ["127.0.0.1", "10.1.2.3", "fd00::1", "fe80::1", "93.184.215.14"] {
            assert!(is_one_host(text.parse().unwrap()), "{text}");
        }
        for text in ["0.0.0.0", "::", "224.0.0.1", "ff02::1", "255.255.255.255"] {
            assert!(!is_one_host(text.parse().unwrap()), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn whatever_the_standard_library_calls_special_is_not_public(bits: u128, short: u32) {
            let (v4, v6) = (Ipv4Addr::from_bits(short), Ipv6Addr::from_bits(bits));
            if v4.is_private() || v4.is_loopback() || v4.is_link_local() || v4.is_broadcast() || v4.is_documentation() || v4.is_multicast() || v4.is_unspecified() {
                proptest::prop_assert!(!is_public(v4.into()));
            }
            if v6.is_loopback() || v6.is_unspecified() || v6.is_multicast() || v6.is_unique_local() || v6.is_unicast_link_local() {
                proptest::prop_assert!(!is_public(v6.into()));
            }
            proptest::prop_assert!(!is_public(v4.to_ipv6_mapped().into()));
            proptest::prop_assert!(!is_public(v4.to_ipv6_compatible().into()));
        }
    }
}
