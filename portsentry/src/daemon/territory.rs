//! Whose ports are watched and who is never blocked, from the host's state and the configuration.
//!
//! It must not read either: it says what the kernel's network maps are to hold.

use std::{collections::BTreeMap, net::IpAddr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use portsentry_common::world::Locality;

use super::host::Host;
use crate::{config::Config, kernel::Exempt};

/// Addresses of several hosts, to which nothing counts: multicast (RFC 5771, RFC 4291) and broadcast (RFC 919).
const SEVERAL: [&str; 3] = ["224.0.0.0/4", "255.255.255.255/32", "ff00::/8"];

/// What the configuration says of whose ports are watched.
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

/// The networks that are never blocked, and why: who has a broadcast address is nobody, and it is among the host's own. An address of the host's own outranks the other reasons.
#[must_use]
pub fn exempt(host: &Host, ignored: &[IpNet]) -> BTreeMap<IpNet, u32> {
    let mut networks = BTreeMap::new();
    let mut add = |network: IpNet, reason: Exempt| networks.insert(network.trunc(), reason as u32);
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
    networks
}

/// Whether `address` is in one of `networks`.
#[must_use]
pub fn is_exempt(networks: &BTreeMap<IpNet, u32>, address: IpAddr) -> bool {
    networks.keys().any(|network| network.contains(&address))
}

/// The networks whose ports are watched: the host's own addresses, and protected ones less the network and
/// broadcast addresses of IPv4 (RFC 919), to which nothing counts.
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
    // Without a look at the services an own address is like one behind this host.
    let own = if rules.checks_services { Locality::Own } else { Locality::Protected };
    for address in &host.addresses {
        networks.insert((*address).into(), own as u32);
    }
    networks
}

/// The network and broadcast address, of networks that have them (RFC 3021: not of a /31).
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
        let networks = exempt(&host(), &[network("198.51.100.7/24")]);
        let expected = [
            ("192.0.2.1/32", Exempt::Own),
            ("192.0.2.53/32", Exempt::Resolver),
            ("192.0.2.254/32", Exempt::Gateway),
            ("192.0.2.255/32", Exempt::Own),
            ("198.51.100.0/24", Exempt::Ignored),
            ("2001:db8::1/128", Exempt::Own),
        ];
        assert_eq!(networks, expected.map(|(text, reason)| (network(text), reason as u32)).into());
        assert!(is_exempt(&networks, address("198.51.100.99")));
        assert!(!is_exempt(&networks, address("192.0.2.2")));
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
