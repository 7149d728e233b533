//! The networks that are ignored, and those whose ports are watched. It must not know where they come from.

use std::collections::{BTreeMap, BTreeSet};

use aya::maps::{
    MapData, MapError,
    lpm_trie::{Key, LpmTrie},
};
use ipnet::IpNet;

use super::Error;

/// Why a network is never blocked. The numbers are what the ignored maps hold.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exempt {
    /// It stands in the ignore file.
    Ignored = 1,
    /// It is an address of this host's.
    Own = 2,
    /// It is a gateway of this host's.
    Gateway = 3,
    /// It is a resolver of this host's.
    Resolver = 4,
}

/// A pair of longest-prefix maps, one for each address family.
#[derive(Debug)]
pub struct Networks {
    names: [&'static str; 2],
    v4: LpmTrie<MapData, [u8; 4], u32>,
    v6: LpmTrie<MapData, [u8; 16], u32>,
}

impl Networks {
    pub(super) fn new(
        names: [&'static str; 2],
        v4: LpmTrie<MapData, [u8; 4], u32>,
        v6: LpmTrie<MapData, [u8; 16], u32>,
    ) -> Self {
        Self { names, v4, v6 }
    }

    /// Makes the maps hold exactly `wanted`: first adds, then removes, so that what stays is there throughout.
    pub fn replace(&mut self, wanted: &BTreeMap<IpNet, u32>) -> Result<(), Error> {
        for (network, value) in wanted {
            self.insert(network, *value)?;
        }
        for network in self.read()?.difference(&wanted.keys().copied().collect()) {
            self.remove(network)?;
        }
        Ok(())
    }

    /// The networks that the maps hold.
    pub fn read(&self) -> Result<BTreeSet<IpNet>, Error> {
        let [v4, v6] = self.names;
        let v4 = self
            .v4
            .keys()
            .map(|key| key.map(|key| network(key.prefix_len(), key.data())).map_err(Error::map(v4)));
        let v6 = self
            .v6
            .keys()
            .map(|key| key.map(|key| network(key.prefix_len(), key.data())).map_err(Error::map(v6)));
        v4.chain(v6).filter_map(Result::transpose).collect()
    }

    fn insert(&mut self, network: &IpNet, value: u32) -> Result<(), Error> {
        let length = u32::from(network.prefix_len());
        let [v4, v6] = self.names;
        match network {
            IpNet::V4(network) => {
                let key = Key::new(length, network.network().octets());
                self.v4.insert(&key, value, 0).map_err(|source| failure(v4, source))
            }
            IpNet::V6(network) => {
                let key = Key::new(length, network.network().octets());
                self.v6.insert(&key, value, 0).map_err(|source| failure(v6, source))
            }
        }
    }

    fn remove(&mut self, network: &IpNet) -> Result<(), Error> {
        let length = u32::from(network.prefix_len());
        let [v4, v6] = self.names;
        match network {
            IpNet::V4(network) => {
                self.v4.remove(&Key::new(length, network.network().octets())).map_err(Error::map(v4))
            }
            IpNet::V6(network) => {
                self.v6.remove(&Key::new(length, network.network().octets())).map_err(Error::map(v6))
            }
        }
    }
}

/// `None` for a prefix length that the kernel would not have taken.
fn network<T: Into<std::net::IpAddr>>(length: u32, octets: T) -> Option<IpNet> {
    IpNet::new(octets.into(), u8::try_from(length).ok()?).ok()
}

fn failure(map: &'static str, source: MapError) -> Error {
    match super::error::os_error(&source) {
        Some(libc_error) if libc_error == nix::Error::ENOSPC as i32 => {
            Error::Full { map, capacity: 16_384, remedy: "name fewer or larger networks in the ignore file" }
        }
        _ => Error::Map { map, source },
    }
}
