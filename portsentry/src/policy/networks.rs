//! Networks, searched by address.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use ipnet::IpNet;

/// Networks, each with a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Networks<T> {
    entries: BTreeMap<IpNet, T>,
    /// The prefix lengths of IPv4 and IPv6: a search looks for each, the longest first.
    lengths: [BTreeSet<u8>; 2],
}

impl<T> Default for Networks<T> {
    fn default() -> Self {
        Self { entries: BTreeMap::new(), lengths: Default::default() }
    }
}

impl<T> Networks<T> {
    /// Enters a network, replacing an earlier value.
    pub fn insert(&mut self, network: IpNet, value: T) {
        self.lengths[family(network.addr())].insert(network.prefix_len());
        self.entries.insert(network.trunc(), value);
    }

    /// Returns the narrowest network that contains `address`.
    #[must_use]
    pub fn find(&self, address: IpAddr) -> Option<(&IpNet, &T)> {
        let lengths = self.lengths[family(address)].iter().rev();
        let networks = lengths.filter_map(|length| IpNet::new(address, *length).ok());
        networks.map(|network| network.trunc()).find_map(|network| self.entries.get_key_value(&network))
    }

    /// Whether one of them contains the whole of `network`.
    #[must_use]
    pub fn cover(&self, network: IpNet) -> bool {
        let lengths = self.lengths[family(network.addr())].range(..=network.prefix_len());
        let wider = lengths.filter_map(|length| IpNet::new(network.addr(), *length).ok());
        wider.map(|wider| wider.trunc()).any(|wider| self.entries.contains_key(&wider))
    }

    /// Returns all networks, ordered by address.
    pub fn iter(&self) -> impl Iterator<Item = (&IpNet, &T)> {
        self.entries.iter()
    }
}

impl<T> FromIterator<(IpNet, T)> for Networks<T> {
    fn from_iter<I: IntoIterator<Item = (IpNet, T)>>(entries: I) -> Self {
        let mut networks = Self::default();
        entries.into_iter().for_each(|(network, value)| networks.insert(network, value));
        networks
    }
}

fn family(address: IpAddr) -> usize {
    usize::from(address.is_ipv6())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_narrowest_is_found(
            entries in prop::collection::vec((any::<[u8; 2]>(), 0..=32_u8), 0..20),
            address: [u8; 2],
        ) {
            let at = |[a, b]: [u8; 2]| IpAddr::from([a & 0x81, 0, 0, b & 0x0f]);
            let entries = entries.into_iter().map(|(address, length)| IpNet::new(at(address), length).unwrap());
            let entries: BTreeSet<IpNet> = entries.map(|network| network.trunc()).collect();
            let networks: Networks<()> = entries.iter().map(|network| (*network, ())).collect();
            let address = at(address);
            let expected = entries.iter().filter(|network| network.contains(&address));
            let expected = expected.max_by_key(|network| network.prefix_len());
            prop_assert_eq!(networks.find(address).map(|(network, ())| network), expected);
        }
    }

    #[test]
    fn families_are_kept_apart() {
        let networks: Networks<u8> = [("0.0.0.0/0".parse().unwrap(), 4)].into_iter().collect();
        assert_eq!(networks.find("192.0.2.1".parse().unwrap()).map(|(_, value)| *value), Some(4));
        assert_eq!(networks.find("2001:db8::1".parse().unwrap()), None);
    }
}
