//! Routes, nexthop objects and addresses of this host.

use std::{collections::BTreeSet, net::IpAddr};

use ipnet::IpNet;
use nix::libc;

use crate::netlink::{Message, address, attribute, attributes, u16_at, u32_at};

/// Messages about nexthop objects (`include/uapi/linux/rtnetlink.h`).
pub(super) const RTM_NEWNEXTHOP: u16 = 104;
pub(super) const RTM_DELNEXTHOP: u16 = 105;

/// Bytes of `struct rtmsg`, `struct rtnexthop`, `struct nhmsg` and `struct ifaddrmsg`.
const ROUTE: usize = 12;
const HOP: usize = 8;
const NEXTHOP: usize = 8;
const ADDRESS: usize = 8;
/// `NHA_GATEWAY` (`include/uapi/linux/nexthop.h` in the kernel).
const NHA_GATEWAY: u16 = 6;

/// A local route with a prefix this short is not an address of the host, but a transparent proxy's (`ip route add
/// local default`), for packets that a rule selects. The values are the shortest prefixes accepted.
const BROADEST: (u8, u8) = (8, 16);

/// Information from routes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Routes {
    /// Next hops.
    pub gateways: BTreeSet<IpAddr>,
    /// Destinations of local routes.
    pub local: BTreeSet<IpNet>,
    /// Destinations of broadcast routes.
    pub broadcasts: BTreeSet<IpAddr>,
    /// Destinations of IPv6 routes without a next hop: networks of links.
    pub direct: BTreeSet<IpNet>,
}

impl Routes {
    /// Adds the information from a message about an existing route or nexthop object.
    pub fn add(&mut self, message: Message<'_>) {
        match message.kind {
            libc::RTM_NEWROUTE => drop(self.add_route(message.body)),
            RTM_NEWNEXTHOP => self.gateways.extend(gateway_of_object(message.body)),
            _ => {}
        }
    }

    fn add_route(&mut self, body: &[u8]) -> Option<()> {
        let (family, length, kind) = (*body.first()?, *body.get(1)?, *body.get(7)?);
        let rest = body.get(ROUTE..)?;
        match kind {
            // An anycast address is delivered here, too: a router has one in each IPv6 network (RFC 4291 section
            // 2.6.1).
            libc::RTN_LOCAL | libc::RTN_ANYCAST => {
                self.local.extend(destination(family, length, rest).filter(is_own));
            }
            libc::RTN_BROADCAST => {
                self.broadcasts.extend(destination(family, length, rest).map(|network| network.addr()));
            }
            _ => {
                add_hops(&mut self.gateways, rest);
                if kind == libc::RTN_UNICAST && is_direct(rest) {
                    self.direct.extend(destination(family, length, rest).filter(is_link));
                }
            }
        }
        Some(())
    }

    /// Whether `other` adds nothing.
    pub fn holds(&self, other: &Self) -> bool {
        other.gateways.is_subset(&self.gateways)
            && other.local.is_subset(&self.local)
            && other.broadcasts.is_subset(&self.broadcasts)
            && other.direct.is_subset(&self.direct)
    }

    /// Adds the content of `other`.
    pub fn join(&mut self, other: Self) {
        self.gateways.extend(other.gateways);
        self.local.extend(other.local);
        self.broadcasts.extend(other.broadcasts);
        self.direct.extend(other.direct);
    }
}

/// Whether the addresses in a local route's destination are single hosts, and belong to this host for every packet.
fn is_own(network: &IpNet) -> bool {
    let (v4, v6) = BROADEST;
    let broadest = if network.addr().is_ipv4() { v4 } else { v6 };
    network.prefix_len() >= broadest && !network.addr().is_multicast()
}

/// Whether a route leads to its destination without a next hop, by itself or by a nexthop object.
fn is_direct(rest: &[u8]) -> bool {
    /// `RTA_NH_ID` (`include/uapi/linux/rtnetlink.h` in the kernel).
    const RTA_NH_ID: u16 = 30;
    let indirect = [libc::RTA_GATEWAY, libc::RTA_VIA, libc::RTA_MULTIPATH, RTA_NH_ID];
    attributes(rest).all(|(kind, _)| !indirect.contains(&kind))
}

/// Whether it may be an IPv6 network of a link: a longer prefix is a host, and a shorter one covers many links.
fn is_link(network: &IpNet) -> bool {
    network.addr().is_ipv6() && (48..128).contains(&network.prefix_len())
}

/// Returns a route's destination; without one it is the default route.
fn destination(family: u8, length: u8, rest: &[u8]) -> Option<IpNet> {
    let any = if i32::from(family) == libc::AF_INET { &[0; 4][..] } else { &[0; 16][..] };
    let destination = attribute(rest, libc::RTA_DST).unwrap_or(any);
    IpNet::new(address(destination)?, length).ok().map(|network| network.trunc())
}

/// Adds the next hops in a route's attributes, and in those of its paths.
fn add_hops(hops: &mut BTreeSet<IpAddr>, rest: &[u8]) {
    for (kind, value) in attributes(rest) {
        match kind {
            libc::RTA_GATEWAY => hops.extend(address(value)),
            // The address family, then the address: a next hop of the other family (RFC 5549).
            libc::RTA_VIA => hops.extend(value.get(2..).and_then(address)),
            libc::RTA_MULTIPATH => add_paths(hops, value),
            _ => {}
        }
    }
}

fn add_paths(hops: &mut BTreeSet<IpAddr>, mut paths: &[u8]) {
    while let Some(length) = u16_at(paths, 0).map(usize::from)
        && let Some(path) = paths.get(HOP..length)
    {
        for (kind, value) in attributes(path) {
            match kind {
                libc::RTA_GATEWAY => hops.extend(address(value)),
                libc::RTA_VIA => hops.extend(value.get(2..).and_then(address)),
                _ => {}
            }
        }
        paths = paths.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
}

fn gateway_of_object(body: &[u8]) -> Option<IpAddr> {
    attribute(body.get(NEXTHOP..)?, NHA_GATEWAY).and_then(address)
}

/// An address on an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Assigned {
    /// The interface's index.
    pub index: u32,
    /// The host's own address, also on a point-to-point link, where the peer has another.
    pub address: IpAddr,
    /// Length of the prefix.
    pub length: u8,
    /// The configured broadcast address.
    pub broadcast: Option<IpAddr>,
}

impl Assigned {
    /// Reads the address in a message.
    pub fn read(message: Message<'_>) -> Option<Self> {
        let body = message.body;
        let rest = body.get(ADDRESS..)?;
        // On a point-to-point link `IFA_ADDRESS` is the peer's address, and `IFA_LOCAL` the host's own.
        let own = attribute(rest, libc::IFA_LOCAL).or_else(|| attribute(rest, libc::IFA_ADDRESS));
        Some(Self {
            index: u32_at(body, 4)?,
            address: address(own?)?,
            length: *body.get(1)?,
            broadcast: attribute(rest, libc::IFA_BROADCAST).and_then(address),
        })
    }

    /// Returns the broadcast addresses of its network, RFC 919's and the older form (RFC 1122 section 3.3.6); a /31
    /// has none (RFC 3021).
    pub fn broadcasts(&self) -> impl Iterator<Item = IpAddr> {
        let ends = match IpNet::new(self.address, self.length) {
            Ok(IpNet::V4(network)) if self.length <= 30 => {
                [Some(network.broadcast().into()), Some(network.network().into())]
            }
            _ => [None, None],
        };
        ends.into_iter().flatten().chain(self.broadcast)
    }

    /// Whether it is not a link-local address.
    pub fn is_beyond_link(&self) -> bool {
        match self.address {
            IpAddr::V4(address) => !address.is_link_local(),
            IpAddr::V6(address) => !address.is_unicast_link_local(),
        }
    }
}

#[cfg(test)]
#[path = "route/tests.rs"]
mod tests;
