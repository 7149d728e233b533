//! Blocks that would lock an administrator out, or cut this host off.

use std::{collections::BTreeMap, net::IpAddr};

use ipnet::IpNet;

use super::{
    is_host, name_of,
    scope::{Exempt, Exemptions},
};

/// Returns the reasons against blocking `networks`, one line each. `peers` are those of SSH sessions on this host.
/// Exempt peers stay reachable, so they don't count.
pub fn dangers<'a>(
    networks: impl IntoIterator<Item = &'a IpNet>,
    exempt: &Exemptions,
    peers: &BTreeMap<IpAddr, &'static str>,
) -> Vec<String> {
    let peers = peers.iter().filter(|(peer, _)| !peer.is_loopback() && !exempt.contains(**peer));
    let peers = peers.map(|(peer, what)| (*peer, *what));
    let vital = exempt.networks().filter(|network| is_host(*network)).filter_map(|network| {
        let what = match exempt.why(network.addr())?.1 {
            Exempt::Gateway => "a gateway of this host",
            Exempt::Resolver => "a name server of this host",
            Exempt::Own | Exempt::Ignored => return None,
        };
        Some((network.addr(), what))
    });
    let dangers: BTreeMap<IpAddr, &str> = vital.chain(peers).collect();
    let danger = |network: &IpNet| {
        let (address, what) = dangers.iter().find(|(address, _)| network.contains(*address))?;
        let name = name_of(*network);
        let holds = if is_host(*network) { format!("is {what}") } else { format!("holds {address}, {what}") };
        Some(format!("{name} {holds}: --force blocks it all the same"))
    };
    networks.into_iter().filter_map(danger).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Host;

    #[test]
    fn peers_gateways_and_resolvers_are_not_blocked_by_mistake() {
        let address = |text: &str| -> IpAddr { text.parse().unwrap() };
        let host = Host {
            gateways: [address("192.0.2.1")].into(),
            resolvers: [address("2001:db8::53")].into(),
            addresses: [address("192.0.2.2")].into(),
            ..Host::default()
        };
        let ignored = ["203.0.113.0/24".parse().unwrap()];
        let exempt = Exemptions::new(&host, &ignored);
        let peers = ["198.51.100.7", "203.0.113.9", "127.0.0.1"].map(|text| (address(text), "a peer"));
        let judged = |text: &str| dangers(&[text.parse().unwrap()], &exempt, &peers.into());
        for (network, expected) in [
            ("198.51.100.7/32", Some("198.51.100.7 is a peer: --force")),
            ("198.51.100.0/24", Some("198.51.100.0/24 holds 198.51.100.7, a peer: --force")),
            ("198.51.100.8/32", None),
            ("192.0.2.0/24", Some("192.0.2.0/24 holds 192.0.2.1, a gateway of this host: --force")),
            ("2001:db8::/64", Some("2001:db8::/64 holds 2001:db8::53, a name server of this host: --force")),
            ("203.0.113.0/25", None),
            ("127.0.0.0/8", None),
        ] {
            let said = judged(network);
            assert_eq!(said.is_empty(), expected.is_none(), "{network}: {said:?}");
            assert!(expected.is_none_or(|text| said[0].starts_with(text)), "{network}: {said:?}");
        }
    }
}
