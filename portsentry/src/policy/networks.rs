//! Networks, searched by address.

use std::net::IpAddr;

use ipnet::IpNet;
use prefix_trie::joint::JointPrefixMap;

/// Networks of both address families, each with a value. They form a trie, so that a look-up takes at most as many
/// steps as an address has bits, however many networks there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Networks<T>(JointPrefixMap<IpNet, T>);

impl<T> Default for Networks<T> {
    fn default() -> Self {
        Self(JointPrefixMap::new())
    }
}

impl<T> Networks<T> {
    /// Enters a network, replacing an earlier value.
    pub fn insert(&mut self, network: IpNet, value: T) {
        self.0.insert(network.trunc(), value);
    }

    /// Removes a network. Narrower and wider ones stay.
    pub fn remove(&mut self, network: IpNet) {
        self.0.remove(&network.trunc());
    }

    /// Returns the value of exactly this network.
    #[must_use]
    pub fn get(&self, network: IpNet) -> Option<&T> {
        self.0.get(&network.trunc())
    }

    /// Returns the narrowest network that contains `address`.
    #[must_use]
    pub fn find(&self, address: IpAddr) -> Option<(IpNet, &T)> {
        self.0.get_lpm(&address.into())
    }

    /// Returns the value of the narrowest network that contains all of `network`.
    #[must_use]
    pub fn around(&self, network: IpNet) -> Option<&T> {
        self.0.get_lpm(&network.trunc()).map(|(_, value)| value)
    }

    /// Whether one of the networks contains all of `network`.
    #[must_use]
    pub fn cover(&self, network: IpNet) -> bool {
        self.0.get_lpm(&network.trunc()).is_some()
    }

    /// Returns all networks, ordered by address.
    pub fn iter(&self) -> impl Iterator<Item = (IpNet, &T)> {
        self.0.iter()
    }
}

impl<T> FromIterator<(IpNet, T)> for Networks<T> {
    fn from_iter<I: IntoIterator<Item = (IpNet, T)>>(entries: I) -> Self {
        let mut networks = Self::default();
        entries.into_iter().for_each(|(network, value)| networks.insert(network, value));
        networks
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// Returns networks of both families that often contain each other.
    fn network() -> impl Strategy<Value = IpNet> {
        let v4 = (any::<[u8; 2]>(), 0..=32_u8)
            .prop_map(|([a, b], length)| IpNet::new(IpAddr::from([a & 0x81, 0, 0, b & 0x0f]), length));
        let v6 = (any::<[u8; 2]>(), 0..=128_u8).prop_map(|([a, b], length)| {
            let mut octets = [0; 16];
            (octets[0], octets[15]) = (a & 0x81, b & 0x0f);
            IpNet::new(IpAddr::from(octets), length)
        });
        prop_oneof![v4, v6].prop_map(|network| network.expect("a possible length"))
    }

    proptest! {
        #[test]
        fn look_ups_agree_with_a_scan_of_all_networks(
            changes in prop::collection::vec((network(), any::<Option<u8>>()), 0..60),
            asked in prop::collection::vec(network(), 1..20),
        ) {
            let (mut trie, mut list) = (Networks::default(), BTreeMap::new());
            for (network, value) in changes {
                // Networks are also removed, and entered without truncation.
                if let Some(value) = value {
                    trie.insert(network, value);
                    list.insert(network.trunc(), value);
                } else {
                    trie.remove(network);
                    list.remove(&network.trunc());
                }
            }
            let entries: BTreeMap<IpNet, u8> = trie.iter().map(|(network, value)| (network, *value)).collect();
            prop_assert_eq!(&entries, &list);
            for asked in asked {
                let address = asked.addr();
                let narrowest = list
                    .iter()
                    .filter(|(network, _)| network.contains(&address))
                    .max_by_key(|(network, _)| network.prefix_len());
                prop_assert_eq!(trie.find(address), narrowest.map(|(network, value)| (*network, value)));
                prop_assert_eq!(trie.cover(asked), list.keys().any(|network| network.contains(&asked)));
                prop_assert_eq!(trie.get(asked), list.get(&asked.trunc()));
            }
        }
    }

    #[test]
    fn families_are_kept_apart() {
        let networks: Networks<u8> = [("0.0.0.0/0".parse().unwrap(), 4)].into_iter().collect();
        assert_eq!(networks.find("192.0.2.1".parse().unwrap()).map(|(_, value)| *value), Some(4));
        assert_eq!(networks.find("2001:db8::1".parse().unwrap()), None);
    }
}
