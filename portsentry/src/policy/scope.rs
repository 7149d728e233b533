//! The networks whose ports are watched, and those that are never blocked, from the host's state and the
//! configuration.

use std::{collections::BTreeMap, net::IpAddr};

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

/// Addresses of several hosts, which never count: multicast (RFC 5771, RFC 4291) and broadcast (RFC 919).
const SEVERAL: [&str; 3] = ["224.0.0.0/4", "255.255.255.255/32", "ff00::/8"];

/// Why a network is never blocked. The numbers are values of the ignored maps.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    /// As `config` says.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self {
            protected: config.protected_networks.clone(),
            checks_destination: config.checks_destination,
            checks_services: config.checks_services,
        }
    }
}

/// The networks that are never blocked, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exemptions {
    networks: Networks<Exempt>,
    /// IPv6 networks of this host's links. Their addresses are not exempt, but each is held separately.
    neighbours: Vec<IpNet>,
}

impl Exemptions {
    /// Computes the exemptions: own addresses, local routes, broadcast addresses (which no host owns), gateways and
    /// name servers of `host`, and `ignored` networks. An own address takes precedence over the other reasons.
    #[must_use]
    pub fn new(host: &Host, ignored: &[IpNet]) -> Self {
        let mut networks = Networks::default();
        let mut add = |network: IpNet, reason: Exempt| networks.insert(network, reason);
        for network in ignored {
            add(*network, Exempt::Ignored);
        }
        for resolver in &host.resolvers {
            add((*resolver).into(), Exempt::Resolver);
        }
        for gateway in &host.gateways {
            add((*gateway).into(), Exempt::Gateway);
        }
        for address in host.broadcasts.iter().chain(&host.addresses) {
            add((*address).into(), Exempt::Own);
        }
        for network in &host.local_routes {
            add(*network, Exempt::Own);
        }
        Self { networks, neighbours: host.neighbours.iter().map(IpNet::trunc).collect() }
    }

    /// Returns the contents of the kernel's maps.
    #[must_use]
    pub fn entries(&self) -> BTreeMap<IpNet, u32> {
        let exempt = self.networks.iter().map(|(network, reason)| (*network, *reason as u32));
        self.neighbours().map(|network| (network, NEIGHBOUR)).chain(exempt).collect()
    }

    /// Returns the networks of this host's links, except those that are exempt as a whole.
    fn neighbours(&self) -> impl Iterator<Item = IpNet> + '_ {
        let is_exempt = |network: &IpNet| self.networks().any(|exempt| exempt.contains(network));
        self.neighbours.iter().filter(move |network| !is_exempt(network)).copied()
    }

    /// Returns the length of the IPv6 network by which `source` is held, given the configured `prefix`; 0 for the
    /// source alone.
    #[must_use]
    pub fn prefix_of(&self, source: IpAddr, prefix: u8) -> u8 {
        let IpAddr::V6(address) = source else { return 0 };
        let is_near = self.neighbours.iter().any(|network| network.contains(&source));
        let relation = if is_near { Relation::Neighbour } else { Relation::Stranger };
        source_key(Ipv6::from(address), relation, &Settings::UNSET.held_by(prefix)).prefix
    }

    /// Returns the essential ones if not all fit, most important first: without its gateway or name server a host is
    /// cut off.
    #[must_use]
    pub fn essential(&self) -> Vec<(IpNet, u32)> {
        let rank = |reason: Exempt| match reason {
            Exempt::Gateway => 0,
            Exempt::Resolver => 1,
            Exempt::Own => 2,
            Exempt::Ignored => 3,
        };
        let essential = self.networks.iter().filter(|(_, reason)| rank(**reason) < 3);
        let mut essential: Vec<_> = essential.map(|(network, reason)| (*network, *reason)).collect();
        essential.sort_by_key(|(_, reason)| rank(*reason));
        let neighbours = self.neighbours().map(|network| (network, NEIGHBOUR));
        essential.into_iter().map(|(network, reason)| (network, reason as u32)).chain(neighbours).collect()
    }

    /// Returns the narrowest of them that contains `address`, with the reason.
    #[must_use]
    pub fn why(&self, address: IpAddr) -> Option<(IpNet, Exempt)> {
        self.networks.find(address).map(|(network, reason)| (*network, *reason))
    }

    /// Whether `address` is in one of them.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.why(address).is_some()
    }

    /// Whether one of them contains all of `network`. A network that only contains an exempt host doesn't count.
    #[must_use]
    pub fn cover(&self, network: IpNet) -> bool {
        self.networks.cover(network)
    }

    /// The networks.
    pub fn networks(&self) -> impl Iterator<Item = &IpNet> {
        self.networks.iter().map(|(network, _)| network)
    }
}

/// Returns the watched networks: the host's own addresses and local routes, and protected networks without IPv4
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
    // If services are not checked, an own address counts like one behind this host.
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

/// Returns the network and broadcast address, if the network has them (RFC 3021: a /31 has not).
fn ends(network: Ipv4Net) -> Vec<IpNet> {
    if network.prefix_len() > 30 {
        return Vec::new();
    }
    [network.network(), network.broadcast()].map(|address| IpAddr::V4(address).into()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn network(text: &str) -> IpNet {
        text.parse().unwrap()
    }

    fn host() -> Host {
        Host {
            addresses: [address("192.0.2.1"), address("2001:db8::1")].into(),
            broadcasts: [address("192.0.2.255")].into(),
            gateways: [address("192.0.2.254"), address("192.0.2.1")].into(),
            resolvers: [address("192.0.2.53")].into(),
            ..Host::default()
        }
    }

    #[test]
    fn own_and_broadcast_addresses_gateways_resolvers_and_ignored_networks_are_exempt() {
        let exemptions = Exemptions::new(&host(), &[network("198.51.100.7/24")]);
        let expected = [
            ("192.0.2.1/32", Exempt::Own),
            ("192.0.2.53/32", Exempt::Resolver),
            ("192.0.2.254/32", Exempt::Gateway),
            ("192.0.2.255/32", Exempt::Own),
            ("198.51.100.0/24", Exempt::Ignored),
            ("2001:db8::1/128", Exempt::Own),
        ];
        let expected: BTreeMap<_, _> = expected.map(|(text, reason)| (network(text), reason as u32)).into();
        assert_eq!(exemptions.entries(), expected);
        let ignored = exemptions.why(address("198.51.100.99"));
        assert_eq!(ignored, Some((network("198.51.100.0/24"), Exempt::Ignored)));
        assert!(!exemptions.contains(address("192.0.2.2")));
        assert!(!exemptions.contains(address("2001:db8::2")));
        for (held, expected) in [
            ("192.0.2.1/32", true),
            ("192.0.2.2/32", false),
            ("2001:db8::1/128", true),
            ("2001:db8::/64", false),
            ("198.51.100.0/25", true),
            ("198.51.100.0/23", false),
        ] {
            assert_eq!(exemptions.cover(network(held)), expected, "{held}");
        }
    }

    #[test]
    fn neighbours_are_held_alone_unless_they_are_ignored() {
        let host = Host { neighbours: [network("2001:db8:1::/64")].into(), ..host() };
        let exemptions = Exemptions::new(&host, &[]);
        assert_eq!(exemptions.entries().get(&network("2001:db8:1::/64")), Some(&NEIGHBOUR));
        assert!(!exemptions.contains(address("2001:db8:1::9")));
        let ignored = Exemptions::new(&host, &[network("2001:db8::/32")]);
        assert_eq!(ignored.entries().get(&network("2001:db8:1::/64")), None);
        for (source, prefix, expected) in [
            ("2001:db8:1::9", 64, 0),
            ("2001:db8:2::9", 64, 64),
            ("2001:db8:2::9", 56, 56),
            ("2001:db8:2::9", 128, 0),
            ("fe80::9", 64, 0),
            ("64:ff9b::192.0.2.9", 64, 0),
            ("192.0.2.9", 64, 0),
        ] {
            assert_eq!(exemptions.prefix_of(address(source), prefix), expected, "{source} {prefix}");
        }
    }

    #[test]
    fn gateways_and_resolvers_come_first_where_there_is_no_room() {
        let exemptions = Exemptions::new(&host(), &[network("198.51.100.0/24")]);
        let essential: Vec<_> = exemptions.essential().into_iter().map(|(network, _)| network).collect();
        let expected = ["192.0.2.254", "192.0.2.53", "192.0.2.1", "192.0.2.255", "2001:db8::1"];
        assert_eq!(essential, expected.map(|text| IpNet::from(address(text))));
    }

    #[test]
    fn the_narrowest_network_says_why() {
        let host = Host { local_routes: [network("198.51.100.0/24")].into(), ..host() };
        let exemptions = Exemptions::new(&host, &[network("198.51.0.0/16"), network("::/0")]);
        for (text, expected) in [
            ("198.51.100.7", Some(Exempt::Own)),
            ("198.51.101.7", Some(Exempt::Ignored)),
            ("198.52.0.1", None),
            ("2001:db8::1", Some(Exempt::Own)),
            ("2001:db8::2", Some(Exempt::Ignored)),
        ] {
            assert_eq!(exemptions.why(address(text)).map(|(_, reason)| reason), expected, "{text}");
        }
    }

    #[test]
    fn addresses_of_local_routes_are_own_ones_but_for_broadcast() {
        let host = Host {
            local_routes: [network("192.0.2.0/24"), network("2001:db8:1::/64")].into(),
            broadcasts: [address("192.0.2.255"), address("203.0.113.255")].into(),
            ..host()
        };
        let rules = Rules { protected: vec![], checks_destination: true, checks_services: true };
        let expected = [
            ("192.0.2.0/24", Locality::Own),
            ("192.0.2.255/32", Locality::Foreign),
            ("192.0.2.1/32", Locality::Own),
            ("2001:db8::1/128", Locality::Own),
            ("2001:db8:1::/64", Locality::Own),
        ];
        assert_eq!(local(&host, &rules), expected.map(|(text, kind)| (network(text), kind as u32)).into());
    }

    fn rules() -> Rules {
        let protected = vec![network("192.0.2.0/24"), network("198.51.100.2/31")];
        Rules { protected, checks_destination: true, checks_services: true }
    }

    #[test]
    fn protected_networks_lose_their_ends_and_keep_own_addresses_apart() {
        let networks = local(&host(), &rules());
        let expected = [
            ("192.0.2.0/24", Locality::Protected),
            ("192.0.2.0/32", Locality::Foreign),
            ("192.0.2.255/32", Locality::Foreign),
            ("192.0.2.1/32", Locality::Own),
            ("198.51.100.2/31", Locality::Protected),
            ("2001:db8::1/128", Locality::Own),
        ];
        assert_eq!(networks, expected.map(|(text, kind)| (network(text), kind as u32)).into());
    }

    #[test]
    fn without_the_local_check_every_single_host_counts() {
        let networks = local(&host(), &Rules { checks_destination: false, ..rules() });
        for (text, kind) in [
            ("0.0.0.0/0", Locality::Protected),
            ("::/0", Locality::Protected),
            ("224.0.0.0/4", Locality::Foreign),
            ("255.255.255.255/32", Locality::Foreign),
            ("ff00::/8", Locality::Foreign),
            ("192.0.2.1/32", Locality::Own),
        ] {
            assert_eq!(networks.get(&network(text)), Some(&(kind as u32)), "{text}");
        }
    }

    #[test]
    fn without_the_service_check_own_addresses_are_like_those_behind() {
        let networks = local(&host(), &Rules { checks_services: false, ..rules() });
        assert_eq!(networks.get(&network("192.0.2.1/32")), Some(&(Locality::Protected as u32)));
    }
}
