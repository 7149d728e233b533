//! Reads single entries of pinned maps.

use std::path::PathBuf;

use aya::maps::{
    Array, HashMap, Map, MapData, MapError, MapType, PerCpuArray,
    lpm_trie::{Key, LpmTrie},
};

use super::super::{Error, error::os_error};

/// A network in a map: the length of its prefix, its octets, and its value.
pub(super) type Prefix<const K: usize, const V: usize> = (u32, [u8; K], [u8; V]);

/// A directory of pins.
#[derive(Clone, Debug)]
pub(super) struct Pinned(pub(super) PathBuf);

impl Pinned {
    fn data(&self, name: &'static str) -> Result<MapData, Error> {
        MapData::from_pin(self.0.join(name)).map_err(Error::map(name))
    }

    /// Returns an element of an array.
    pub(super) fn element<const V: usize>(&self, name: &'static str, index: usize) -> Result<[u8; V], Error> {
        let array = Array::try_from(Map::Array(self.data(name)?)).map_err(Error::map(name))?;
        array.get(&u32::try_from(index).unwrap_or(u32::MAX), 0).map_err(Error::map(name))
    }

    /// Returns an entry of a hash map, LRU or not.
    pub(super) fn entry<const K: usize, const V: usize>(
        &self,
        name: &'static str,
        key: [u8; K],
    ) -> Result<Option<[u8; V]>, Error> {
        let data = self.data(name)?;
        let kind = data.info().and_then(|info| info.map_type()).map_err(Error::map(name))?;
        let map = if kind == MapType::LruHash { Map::LruHashMap(data) } else { Map::HashMap(data) };
        let map = HashMap::<_, [u8; K], [u8; V]>::try_from(map).map_err(Error::map(name))?;
        found(name, map.get(&key, 0))
    }

    /// Returns the entry of the narrowest network that contains an address, given all `bits` bits of its key.
    pub(super) fn narrowest<const K: usize, const V: usize>(
        &self,
        name: &'static str,
        bits: u32,
        key: [u8; K],
    ) -> Result<Option<[u8; V]>, Error> {
        let map = LpmTrie::<_, [u8; K], [u8; V]>::try_from(Map::LpmTrie(self.data(name)?));
        found(name, map.map_err(Error::map(name))?.get(&Key::new(bits, key), 0))
    }

    /// Returns the prefixes in a map of networks, as lengths and octets, with their values.
    pub(super) fn prefixes<const K: usize, const V: usize>(
        &self,
        name: &'static str,
    ) -> Result<Vec<Prefix<K, V>>, Error> {
        let map = LpmTrie::<_, [u8; K], [u8; V]>::try_from(Map::LpmTrie(self.data(name)?));
        let map = map.map_err(Error::map(name))?;
        let entry = |entry: Result<(Key<[u8; K]>, [u8; V]), MapError>| {
            entry.map(|(key, value)| (key.prefix_len(), key.data(), value)).map_err(Error::map(name))
        };
        map.iter().map(entry).collect()
    }

    /// Returns the values of a per-CPU map with a single element.
    pub(super) fn of_cpus<const V: usize>(&self, name: &'static str) -> Result<Vec<[u8; V]>, Error> {
        let map = PerCpuArray::<_, [u8; V]>::try_from(Map::PerCpuArray(self.data(name)?));
        let values = map.map_err(Error::map(name))?.get(&0, 0).map_err(Error::map(name))?;
        Ok(values.iter().copied().collect())
    }

    /// Returns the number of entries of a hash map and its capacity.
    pub(super) fn fill<const K: usize, const V: usize>(
        &self,
        name: &'static str,
    ) -> Result<(usize, usize), Error> {
        let data = self.data(name)?;
        let capacity = data.info().map_err(Error::map(name))?.max_entries() as usize;
        let map = HashMap::<_, [u8; K], [u8; V]>::try_from(Map::HashMap(data)).map_err(Error::map(name))?;
        Ok((map.keys().take(capacity).flatten().count(), capacity))
    }
}

fn found<T>(name: &'static str, value: Result<T, MapError>) -> Result<Option<T>, Error> {
    match value {
        Ok(value) => Ok(Some(value)),
        Err(MapError::KeyNotFound) => Ok(None),
        Err(error) if os_error(&error) == Some(nix::Error::ENOENT as i32) => Ok(None),
        Err(source) => Err(Error::Map { map: name, source }),
    }
}
