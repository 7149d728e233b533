//! What routes, nexthop objects and addresses say of this host.

use std::{collections::BTreeSet, net::IpAddr};

use ipnet::IpNet;
use nix::libc;

use crate::netlink::{Message, address, attribute, attributes, u16_at, u32_at};

/// Bytes of `struct rtmsg`, `struct rtnexthop`, `struct nhmsg` and `struct ifaddrmsg`.
const ROUTE: usize = 12;
const HOP: usize = 8;
const NEXTHOP: usize = 8;
const ADDRESS: usize = 8;
/// `NHA_GATEWAY` of `include/uapi/linux/nexthop.h`.
const NHA_GATEWAY: u16 = 6;

/// A local route as broad as this is no address of the host's, but a transparent proxy's (`ip route add local default`):
/// it holds only for packets that a rule selects. The prefix lengths are those of the broadest networks taken.
const BROADEST: (u8, u8) = (8, 16);

/// What routes say.
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
    /// Adds what a message tells of a route or nexthop object that there is.
    pub fn add(&mut self, message: Message<'_>) {
        match message.kind {
            libc::RTM_NEWROUTE => drop(self.add_route(message.body)),
            super::observer::RTM_NEWNEXTHOP => self.gateways.extend(gateway_of_object(message.body)),
            _ => {}
        }
    }

    fn add_route(&mut self, body: &[u8]) -> Option<()> {
        let (family, length, kind) = (*body.first()?, *body.get(1)?, *body.get(7)?);
        let rest = body.get(ROUTE..)?;
        match kind {
            // An anycast address is delivered here, too: a router has one in each IPv6 network (RFC 4291 section 2.6.1).
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

    /// Whether `other` holds nothing that isn't here.
    pub fn holds(&self, other: &Self) -> bool {
        other.gateways.is_subset(&self.gateways)
            && other.local.is_subset(&self.local)
            && other.broadcasts.is_subset(&self.broadcasts)
            && other.direct.is_subset(&self.direct)
    }

    /// Takes over what `other` holds.
    pub fn join(&mut self, other: Self) {
        self.gateways.extend(other.gateways);
        self.local.extend(other.local);
        self.broadcasts.extend(other.broadcasts);
        self.direct.extend(other.direct);
    }
}

/// Whether addresses in a local route's destination are single hosts', and this host's for whatever comes in.
fn is_own(network: &IpNet) -> bool {
    let (v4, v6) = BROADEST;
    let broadest = if network.addr().is_ipv4() { v4 } else { v6 };
    network.prefix_len() >= broadest && !network.addr().is_multicast()
}

/// Whether a route leads to its destination without a next hop, by itself or by a nexthop object.
fn is_direct(rest: &[u8]) -> bool {
    /// `RTA_NH_ID` of `include/uapi/linux/rtnetlink.h`.
    const RTA_NH_ID: u16 = 30;
    let indirect = [libc::RTA_GATEWAY, libc::RTA_VIA, libc::RTA_MULTIPATH, RTA_NH_ID];
    attributes(rest).all(|(kind, _)| !indirect.contains(&kind))
}

/// Whether it may be an IPv6 network of a link: a longer prefix is a host, and a shorter one leads to many links.
fn is_link(network: &IpNet) -> bool {
    network.addr().is_ipv6() && (48..128).contains(&network.prefix_len())
}

/// A route's destination; one without is the default.
fn destination(family: u8, length: u8, rest: &[u8]) -> Option<IpNet> {
    let any = if i32::from(family) == libc::AF_INET { &[0; 4][..] } else { &[0; 16][..] };
    let destination = attribute(rest, libc::RTA_DST).unwrap_or(any);
    IpNet::new(address(destination)?, length).ok().map(|network| network.trunc())
}

/// Adds the next hops among a route's attributes, and among those of its paths.
fn add_hops(hops: &mut BTreeSet<IpAddr>, rest: &[u8]) {
    for (kind, value) in attributes(rest) {
        match kind {
            libc::RTA_GATEWAY => hops.extend(address(value)),
            // The address family, and the address: a next hop over the other family (RFC 5549).
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
    /// The host's own address; on a point-to-point link not the peer's.
    pub address: IpAddr,
    /// Bits of the prefix.
    pub length: u8,
    /// The broadcast address that was set.
    pub broadcast: Option<IpAddr>,
}

impl Assigned {
    /// The address that a message tells of.
    pub fn read(message: Message<'_>) -> Option<Self> {
        let body = message.body;
        let rest = body.get(ADDRESS..)?;
        // On a point-to-point link `IFA_ADDRESS` is the peer's, and `IFA_LOCAL` our own.
        let own = attribute(rest, libc::IFA_LOCAL).or_else(|| attribute(rest, libc::IFA_ADDRESS));
        Some(Self {
            index: u32_at(body, 4)?,
            address: address(own?)?,
            length: *body.get(1)?,
            broadcast: attribute(rest, libc::IFA_BROADCAST).and_then(address),
        })
    }

    /// The broadcast addresses of its network, RFC 919's and the older one (RFC 1122, section 3.3.6); a /31 has none
    /// (RFC 3021).
    pub fn broadcasts(&self) -> impl Iterator<Item = IpAddr> {
        let ends = match IpNet::new(self.address, self.length) {
            Ok(IpNet::V4(network)) if self.length <= 30 => {
                [Some(network.broadcast().into()), Some(network.network().into())]
            }
            _ => [None, None],
        };
        ends.into_iter().flatten().chain(self.broadcast)
    }

    /// Whether it is an address beyond the link's own.
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
