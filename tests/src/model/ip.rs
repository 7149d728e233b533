//! Addresses of the rules as the standard library's.

use std::net::{IpAddr, Ipv6Addr};

use portsentry_common::address::Address;

/// Returns the address in its own family: an IPv4-mapped IPv6 address stays one.
pub(super) fn ip<A: Address>(address: A) -> IpAddr {
    let mapped = Ipv6Addr::from(address.to_mapped());
    if A::VERSION == 4 { mapped.to_canonical() } else { mapped.into() }
}
