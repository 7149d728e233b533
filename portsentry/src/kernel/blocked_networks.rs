//! The map of blocked networks, and its gates.

use std::{collections::BTreeMap, net::Ipv6Addr, sync::Arc};

use aya::maps::{
    MapData, MapError,
    lpm_trie::{Key, LpmTrie},
};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use portsentry_common::{block::Block, state::NetworkKey};

use super::{Error, blocked::Raw, gate::Gate};

pub(super) const MAP: &str = "BLOCKED_NETWORKS";
/// The octets of a [`NetworkKey`].
type Octets = [u8; size_of::<NetworkKey>()];

/// Bits of the prefix of IPv4-mapped IPv6 addresses (RFC 4291, section 2.5.5.2).
const MAPPED: u8 = 96;

/// Blocked networks of both families.
#[derive(Debug)]
pub struct BlockedNetworks {
    map: LpmTrie<MapData, Octets, Raw>,
    gate: Arc<Gate>,
    capacity: u32,
}

impl BlockedNetworks {
    pub(super) fn new(map: LpmTrie<MapData, Octets, Raw>, gate: Arc<Gate>, capacity: u32) -> Self {
        Self { map, gate, capacity }
    }

    /// Makes the map hold exactly `wanted`: first adds, then removes. Common entries stay unchanged, with their
    /// packet counts.
    pub fn replace(&mut self, wanted: &BTreeMap<IpNet, Block>) -> Result<(), Error> {
        let held = self.read()?;
        // Set before the first network is added, and cleared after the last is removed.
        self.gate.set_networks(true);
        for (network, block) in wanted.iter().filter(|(network, _)| !held.contains_key(network)) {
            let value: Raw = bytemuck::cast(*block);
            self.map.insert(&key(*network), value, 0).map_err(|error| self.failure(error))?;
            self.gate.set_network(*network);
        }
        for network in held.keys().filter(|network| !wanted.contains_key(network)) {
            self.map.remove(&key(*network)).map_err(Error::map(MAP))?;
        }
        self.gate.set_networks(!wanted.is_empty());
        Ok(())
    }

    /// Returns the entry of exactly `network`, even if it has expired.
    pub fn get(&self, network: IpNet) -> Result<Option<Block>, Error> {
        // A look-up finds the narrowest network that contains this one. An administrator's entry holds its length.
        let is_it = |block: &Block| block.prefix == network.prefix_len();
        match self.map.get(&key(network), 0) {
            Ok(value) => Ok(Some(bytemuck::pod_read_unaligned(&value)).filter(is_it)),
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(Error::Map { map: MAP, source: error }),
        }
    }

    /// Enters or replaces a network's block.
    pub fn insert(&mut self, network: IpNet, block: &Block) -> Result<(), Error> {
        self.gate.set_networks(true);
        let value: Raw = bytemuck::cast(*block);
        self.map.insert(&key(network), value, 0).map_err(|error| self.failure(error))?;
        self.gate.set_network(network);
        Ok(())
    }

    /// Lifts a network's block; a missing block is no error. The gate keeps its bit, which costs a look-up, until
    /// it is renewed.
    pub fn remove(&mut self, network: IpNet) -> Result<(), Error> {
        match self.map.remove(&key(network)) {
            Err(error) if !is_absent(&error) => return Err(Error::Map { map: MAP, source: error }),
            _ => {}
        }
        self.gate.set_networks(self.map.keys().next().is_some());
        Ok(())
    }

    /// Reads the networks and their entries.
    pub fn read(&self) -> Result<BTreeMap<IpNet, Block>, Error> {
        read(&self.map)
    }

    /// Sets the gate's bits of every network.
    pub(super) fn fill_gate(&self) -> Result<(), Error> {
        let networks = self.read()?;
        self.gate.set_networks(!networks.is_empty());
        networks.into_keys().for_each(|network| self.gate.set_network(network));
        Ok(())
    }

    fn failure(&self, source: MapError) -> Error {
        match super::error::os_error(&source) {
            Some(number) if number == nix::Error::ENOSPC as i32 => {
                Error::Full { map: MAP, capacity: self.capacity, remedy: "raise MAX_NETWORKS, or list fewer" }
            }
            _ => Error::Map { map: MAP, source },
        }
    }
}

fn is_absent(error: &MapError) -> bool {
    matches!(error, MapError::KeyNotFound) || super::error::os_error(error) == Some(nix::Error::ENOENT as i32)
}

pub(super) fn read(map: &LpmTrie<MapData, Octets, Raw>) -> Result<BTreeMap<IpNet, Block>, Error> {
    let entries = map.iter().map(|entry| {
        let (key, value) = entry.map_err(Error::map(MAP))?;
        Ok(network(&key).map(|network| (network, bytemuck::pod_read_unaligned(&value))))
    });
    entries.filter_map(Result::transpose).collect()
}

fn key(network: IpNet) -> Key<Octets> {
    let (version, address, length) = match network {
        IpNet::V4(network) => (4, network.network().to_ipv6_mapped(), network.prefix_len() + MAPPED),
        IpNet::V6(network) => (6, network.network(), network.prefix_len()),
    };
    let key = NetworkKey { version, address: address.into() };
    Key::new(NetworkKey::VERSION_BITS + u32::from(length), key.octets())
}

/// Returns `None` for a key of another form.
fn network(key: &Key<Octets>) -> Option<IpNet> {
    of(key.prefix_len(), key.data())
}

/// Returns the network of a key with this prefix length.
pub(super) fn of(length: u32, octets: Octets) -> Option<IpNet> {
    let NetworkKey { version, address } = bytemuck::pod_read_unaligned(&octets);
    let length = u8::try_from(length.checked_sub(NetworkKey::VERSION_BITS)?).ok()?;
    let address = Ipv6Addr::from(address);
    match version {
        4 => Ipv4Net::new(address.to_ipv4_mapped()?, length.checked_sub(MAPPED)?).map(IpNet::V4).ok(),
        _ => Ipv6Net::new(address, length).map(IpNet::V6).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_keys_and_back() {
        for text in [
            "192.0.2.0/24",
            "0.0.0.0/0",
            "192.0.2.1/32",
            "2001:db8::/32",
            "2001:db8::1/128",
            "::/0",
            "::ffff:0:0/96",
        ] {
            let expected: IpNet = text.parse().unwrap();
            assert_eq!(network(&key(expected)), Some(expected));
        }
        assert_eq!(key("192.0.2.0/24".parse().unwrap()).prefix_len(), 64 + 120);
    }
}
