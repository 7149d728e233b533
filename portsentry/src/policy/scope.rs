//! The networks whose ports are watched, and those that are never blocked, from the host's state and the
//! configuration.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use portsentry_common::{
    address::Ipv6,
    environment::{Locality, Relation},
    judge::source_key,
    settings::Settings,
    state::NEIGHBOUR,
};

use super::networks::Networks;
use crate::{config::Config, host::Host};

/// Addresses of several hosts, which never count as destinations: multicast (RFC 5771, RFC 4291) and broadcast (RFC
/// 919).
const SEVERAL: [&str; 3] = ["224.0.0.0/4", "255.255.255.255/32", "ff00::/8"];

/// The reason why a network is never blocked. The numbers are values of the ignored maps.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exempt {
    /// It is in the ignore file.
    Ignored = 1,
    /// It is an address of this host.
    Own = 2,
    /// It is a gateway of this host.
    Gateway = 3,
    /// It is a name server of this host.
    Resolver = 4,
}

/// The configuration of watched networks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Networks behind this host.
    pub protected: Vec<IpNet>,
    /// Only packets to this host and to the protected networks count.
    pub checks_destination: bool,
    /// Packets to a port on which a service listens don't count.
    pub checks_services: bool,
}

impl Rules {
    /// Returns the settings in `config`.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self {
            protected: config.protected_networks.clone(),
            checks_destination: config.checks_destination,
            checks_services: config.checks_services,
        }
    }
}

/// The reasons why a network is exempt, ordered by precedence, with one bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Reasons(u8);

impl Reasons {
    /// An own address takes precedence over the other reasons, and the ignore file comes last.
    const ORDER: [Exempt; 4] = [Exempt::Own, Exempt::Gateway, Exempt::Resolver, Exempt::Ignored];

    fn set(&mut self, reason: Exempt, holds: bool) {
        let bit = 1 << reason as u32;
        self.0 = if holds { self.0 | bit } else { self.0 & !bit };
    }

    fn first(self) -> Option<Exempt> {
        Self::ORDER.into_iter().find(|reason| self.0 & 1 << *reason as u32 != 0)
    }
}

/// The networks that are never blocked, with the reasons: own addresses, local routes, broadcast addresses (which
/// no host owns), gateways and name servers of the host, and ignored networks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exemptions {
    networks: Networks<Reasons>,
    /// The networks for each reason.
    named: BTreeMap<Exempt, BTreeSet<IpNet>>,
    /// IPv6 networks of this host's links. Their addresses are not exempt, but each counts separately.
    neighbours: Networks<()>,
}

impl Exemptions {
    /// Computes the exemptions of `host`, with the `ignored` networks.
    #[must_use]
    pub fn new(host: &Host, ignored: &[IpNet]) -> Self {
        let mut exemptions = Self::default();
        exemptions.follow_host(host);
        exemptions.follow_ignored(ignored);
        exemptions
    }

    /// Updates the exemptions after a change of the host, without those of the ignore file.
    pub fn follow_host(&mut self, host: &Host) {
        let single = |address: &IpAddr| IpNet::from(*address);
        let own = host.broadcasts.iter().chain(&host.addresses).map(single);
        self.name(Exempt::Own, own.chain(host.local_routes.iter().map(IpNet::trunc)).collect());
        self.name(Exempt::Gateway, host.gateways.iter().map(single).collect());
        self.name(Exempt::Resolver, host.resolvers.iter().map(single).collect());
        self.neighbours = host.neighbours.iter().map(|network| (*network, ())).collect();
    }

    /// Updates the exemptions after a change of the ignore file.
    pub fn follow_ignored(&mut self, ignored: &[IpNet]) {
        self.name(Exempt::Ignored, ignored.iter().map(IpNet::trunc).collect());
    }

    /// Replaces the networks that are exempt for this reason. Changes only those that differ.
    fn name(&mut self, reason: Exempt, named: BTreeSet<IpNet>) {
        let before = self.named.insert(reason, named).unwrap_or_default();
        let named = &self.named[&reason];
        let changes = before.symmetric_difference(named).map(|network| (*network, named.contains(network)));
        for (network, holds) in changes {
            let mut reasons = self.networks.get(network).copied().unwrap_or_default();
            reasons.set(reason, holds);
            if reasons == Reasons::default() {
                self.networks.remove(network);
            } else {
                self.networks.insert(network, reasons);
            }
        }
    }

    /// Returns the contents of the kernel's maps.
    #[must_use]
    pub fn entries(&self) -> BTreeMap<IpNet, u32> {
        let exempt = self.exempt().map(|(network, reason)| (network, reason as u32));
        self.neighbours().map(|network| (network, NEIGHBOUR)).chain(exempt).collect()
    }

    fn exempt(&self) -> impl Iterator<Item = (IpNet, Exempt)> {
        self.networks.iter().filter_map(|(network, reasons)| Some((network, reasons.first()?)))
    }

    /// Returns the networks of this host's links, except those that are exempt as a whole.
    fn neighbours(&self) -> impl Iterator<Item = IpNet> {
        self.neighbours.iter().map(|(network, ())| network).filter(|network| !self.cover(*network))
    }

    /// Returns the length of the IPv6 network by which `source` is counted and blocked, given the configured
    /// `prefix`. Returns 0 for the source alone.
    #[must_use]
    pub fn prefix_of(&self, source: IpAddr, prefix: u8) -> u8 {
        let IpAddr::V6(address) = source else { return 0 };
        let is_near = self.neighbours.find(source).is_some();
        let relation = if is_near { Relation::Neighbour } else { Relation::Stranger };
        source_key(Ipv6::from(address), relation, &Settings::UNSET.held_by(prefix)).prefix
    }

    /// Returns the essential exemptions if not all fit, most important first. Without its gateway or name server a
    /// host is cut off.
    #[must_use]
    pub fn essential(&self) -> Vec<(IpNet, u32)> {
        let rank = |reason: Exempt| match reason {
            Exempt::Gateway => 0,
            Exempt::Resolver => 1,
            Exempt::Own => 2,
            Exempt::Ignored => 3,
        };
        let mut essential: Vec<_> = self.exempt().filter(|(_, reason)| rank(*reason) < 3).collect();
        essential.sort_by_key(|(_, reason)| rank(*reason));
        let neighbours = self.neighbours().map(|network| (network, NEIGHBOUR));
        essential.into_iter().map(|(network, reason)| (network, reason as u32)).chain(neighbours).collect()
    }

    /// Returns the narrowest exempt network that contains `address`, with the reason.
    #[must_use]
    pub fn why(&self, address: IpAddr) -> Option<(IpNet, Exempt)> {
        let (network, reasons) = self.networks.find(address)?;
        Some((network, reasons.first()?))
    }

    /// Whether `address` is in one of them.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.cover(address.into())
    }

    /// Whether one of them contains all of `network`. A network that only contains an exempt host is not exempt.
    #[must_use]
    pub fn cover(&self, network: IpNet) -> bool {
        self.networks.cover(network)
    }

    /// Whether `network` contains one of them, other than itself.
    #[must_use]
    pub fn are_within(&self, network: IpNet) -> bool {
        let inside =
            |named: &BTreeSet<IpNet>| named.range(network..).next().is_some_and(|it| network.contains(it));
        self.named.values().any(inside)
    }

    /// The networks.
    pub fn networks(&self) -> impl Iterator<Item = IpNet> {
        self.networks.iter().map(|(network, _)| network)
    }
}

/// Returns the watched networks: the host's own addresses and local routes, and protected networks. Excludes IPv4
/// network and broadcast addresses (RFC 919), which never count.
#[must_use]
pub fn local(host: &Host, rules: &Rules) -> BTreeMap<IpNet, u32> {
    let mut networks = BTreeMap::new();
    if !rules.checks_destination {
        networks.insert(IpNet::V4(Ipv4Net::default()), Locality::Protected as u32);
        networks.insert(IpNet::V6(Ipv6Net::default()), Locality::Protected as u32);
        for several in SEVERAL {
            networks.extend(several.parse::<IpNet>().map(|network| (network, Locality::Foreign as u32)));
        }
    }
    for network in &rules.protected {
        networks.insert(network.trunc(), Locality::Protected as u32);
        if let IpNet::V4(network) = network {
            for address in ends(*network) {
                networks.insert(address, Locality::Foreign as u32);
            }
        }
    }
    // If services are not checked, an own address counts like that of a host behind this one.
    let own = if rules.checks_services { Locality::Own } else { Locality::Protected };
    for network in &host.local_routes {
        networks.insert(*network, own as u32);
    }
    // Broadcast addresses of a network whose other addresses may all be own ones.
    let routes: Networks<()> = host.local_routes.iter().map(|network| (*network, ())).collect();
    let is_local = |address: &&IpAddr| routes.find(**address).is_some();
    for address in host.broadcasts.iter().filter(is_local) {
        networks.insert((*address).into(), Locality::Foreign as u32);
    }
    for address in &host.addresses {
        networks.insert((*address).into(), own as u32);
    }
    networks
}

/// Returns the network and broadcast address, if the network has them. (A /31 doesn't: RFC 3021.)
fn ends(network: Ipv4Net) -> Vec<IpNet> {
    if network.prefix_len() > 30 {
        return Vec::new();
    }
    [network.network(), network.broadcast()].map(|address| IpAddr::V4(address).into()).into()
}

#[cfg(test)]
mod tests;
