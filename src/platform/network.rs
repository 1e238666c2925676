//! Addresses of callers.

use std::net::{IpAddr, Ipv6Addr};

/// Whom an address belongs to: itself, or the /64 that one IPv6 subscriber has.
pub fn subscriber(source: IpAddr) -> IpAddr {
    match source {
        IpAddr::V4(_) => source,
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}
