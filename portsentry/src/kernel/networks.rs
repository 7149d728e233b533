//! The maps of ignored networks and of networks whose ports are watched.

use std::collections::BTreeMap;

use aya::maps::{
    MapData, MapError,
    lpm_trie::{Key, LpmTrie},
};
use ipnet::IpNet;

use super::{Error, local_hosts::LocalHosts, near_ignored::Bitmaps};

/// Room beyond `MAX_ADDRESSES` for essential addresses, if not all addresses fit.
const RESERVE: u32 = 1024;

/// Returns the capacity of a map for `most` networks, so that new ones fit next to all old ones. Tries take memory
/// only for existing entries.
pub(super) const fn capacity(most: u32) -> u32 {
    most.saturating_mul(2).saturating_add(RESERVE)
}

/// A pair of longest-prefix maps, one for each address family.
#[derive(Debug)]
pub struct Networks {
    names: [&'static str; 2],
    v4: LpmTrie<MapData, [u8; 4], u32>,
    v6: LpmTrie<MapData, [u8; 16], u32>,
    /// `MAX_ADDRESSES`, for each family.
    most: u32,
    /// The contents of the maps.
    held: BTreeMap<IpNet, u32>,
    /// The bitmaps before the maps, if they have any.
    near: Option<Bitmaps>,
    /// The table of single addresses before the maps, if they have one.
    hosts: Option<LocalHosts>,
}

impl Networks {
    pub(super) fn new(
        names: [&'static str; 2],
        v4: LpmTrie<MapData, [u8; 4], u32>,
        v6: LpmTrie<MapData, [u8; 16], u32>,
        most: u32,
    ) -> Result<Self, Error> {
        let mut networks = Self { names, v4, v6, most, held: BTreeMap::new(), near: None, hosts: None };
        networks.held = networks.read()?;
        Ok(networks)
    }

    /// Returns the same maps with these bitmaps before them.
    pub(super) fn behind(mut self, mut near: Bitmaps) -> Result<Self, Error> {
        near.show(self.held.keys())?;
        self.near = Some(near);
        Ok(self)
    }

    /// Returns the same maps with this table of single addresses before them.
    pub(super) fn behind_hosts(mut self, mut hosts: LocalHosts) -> Result<Self, Error> {
        hosts.show(&self.held)?;
        self.hosts = Some(hosts);
        Ok(self)
    }

    /// Returns an error if there are more networks than the maps may hold.
    pub fn check(&self, wanted: &BTreeMap<IpNet, u32>) -> Result<(), Error> {
        for (map, is_v4) in self.names.into_iter().zip([true, false]) {
            let count = wanted.keys().filter(|network| network.addr().is_ipv4() == is_v4).count();
            if count > self.most as usize {
                return Err(Error::TooMany { map, count, most: self.most });
            }
        }
        Ok(())
    }

    /// Makes the maps hold exactly `wanted`, or leaves them unchanged on failure. First adds, then removes, so that
    /// common entries are always there.
    pub fn replace(&mut self, wanted: &BTreeMap<IpNet, u32>) -> Result<(), Error> {
        self.check(wanted)?;
        let replaced = self.replace_entries(wanted);
        let shown = self.hosts.as_mut().map_or(Ok(()), |hosts| hosts.show(&self.held));
        replaced.and(shown)
    }

    fn replace_entries(&mut self, wanted: &BTreeMap<IpNet, u32>) -> Result<(), Error> {
        self.add(wanted.iter().map(|(network, value)| (*network, *value)))?;
        let stale: Vec<IpNet> =
            self.held.keys().filter(|network| !wanted.contains_key(network)).copied().collect();
        for network in stale {
            self.remove(&network)?;
            self.held.remove(&network);
        }
        match &mut self.near {
            Some(near) => near.show(self.held.keys()),
            None => Ok(()),
        }
    }

    /// Adds networks beyond `MAX_ADDRESSES`, in their order, while there is room.
    pub fn add_essential(&mut self, essential: &[(IpNet, u32)]) -> Result<(), Error> {
        for entry in essential {
            match self.add([*entry].into_iter()) {
                Err(Error::Full { .. }) => return Ok(()),
                added => added?,
            }
        }
        Ok(())
    }

    /// Adds all of `entries`, or none.
    fn add(&mut self, entries: impl Iterator<Item = (IpNet, u32)> + Clone) -> Result<(), Error> {
        if let Some(near) = &mut self.near {
            let new: Vec<IpNet> = entries.clone().map(|(network, _)| network).collect();
            near.show(self.held.keys().chain(&new))?;
        }
        let mut done: Vec<(IpNet, Option<u32>)> = Vec::new();
        for (network, value) in entries {
            let before = self.held.get(&network).copied();
            if before == Some(value) {
                continue;
            }
            if let Err(error) = self.insert(&network, value) {
                for (network, before) in done {
                    match before {
                        Some(before) => self.insert(&network, before)?,
                        None => self.remove(&network)?,
                    }
                    self.remember(network, before);
                }
                return Err(error);
            }
            self.remember(network, Some(value));
            done.push((network, before));
        }
        Ok(())
    }

    fn remember(&mut self, network: IpNet, value: Option<u32>) {
        match value {
            Some(value) => self.held.insert(network, value),
            None => self.held.remove(&network),
        };
    }

    /// Reads the networks and their values.
    pub fn read(&self) -> Result<BTreeMap<IpNet, u32>, Error> {
        let [v4, v6] = self.names;
        let v4 = self.v4.iter().map(|entry| {
            let (key, value) = entry.map_err(Error::map(v4))?;
            Ok(network(key.prefix_len(), key.data()).map(|network| (network, value)))
        });
        let v6 = self.v6.iter().map(|entry| {
            let (key, value) = entry.map_err(Error::map(v6))?;
            Ok(network(key.prefix_len(), key.data()).map(|network| (network, value)))
        });
        v4.chain(v6).filter_map(Result::transpose).collect()
    }

    fn insert(&mut self, network: &IpNet, value: u32) -> Result<(), Error> {
        let length = u32::from(network.prefix_len());
        let [v4, v6] = self.names;
        let most = self.most;
        match network {
            IpNet::V4(network) => {
                let key = Key::new(length, network.network().octets());
                self.v4.insert(&key, value, 0).map_err(|source| failure(v4, most, source))
            }
            IpNet::V6(network) => {
                let key = Key::new(length, network.network().octets());
                self.v6.insert(&key, value, 0).map_err(|source| failure(v6, most, source))
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

/// Returns `None` for an impossible prefix length.
fn network<T: Into<std::net::IpAddr>>(length: u32, octets: T) -> Option<IpNet> {
    IpNet::new(octets.into(), u8::try_from(length).ok()?).ok()
}

fn failure(map: &'static str, most: u32, source: MapError) -> Error {
    match super::error::os_error(&source) {
        Some(number) if number == nix::Error::ENOSPC as i32 => {
            Error::Full { map, capacity: capacity(most), remedy: "raise MAX_ADDRESSES" }
        }
        _ => Error::Map { map, source },
    }
}
