//! The port bitmaps.

use std::{os::fd::AsFd, path::Path};

use aya::maps::{Array, IterableMap, Map, MapData};

use super::{Error, Watched, batch};

/// Writes the bits of 65,536 ports, bit `port % 64` of word `port / 64`.
pub(super) fn write(map: &Array<&mut MapData, u64>, words: &[u64; 1024]) -> Result<(), Error> {
    let entries: Vec<(u32, u64)> = (0..).zip(words.iter().copied()).collect();
    batch::update(map.map().fd().as_fd(), &entries)
        .map_err(|source| Error::System { what: "writing a bitmap of ports", source })
}

/// Writes the bitmap pinned in `directory`.
pub fn set(directory: &Path, watched: Watched, words: &[u64; 1024]) -> Result<(), Error> {
    let name = watched.map();
    let mut data = MapData::from_pin(directory.join(name)).map(Map::Array).map_err(Error::map(name))?;
    write(&Array::try_from(&mut data).map_err(Error::map(name))?, words)
}

/// Whether the bitmap pinned in `directory` holds these bits.
pub fn holds(directory: &Path, watched: Watched, words: &[u64; 1024]) -> Result<bool, Error> {
    let name = watched.map();
    let data = MapData::from_pin(directory.join(name)).map(Map::Array).map_err(Error::map(name))?;
    let map: Array<MapData, u64> = Array::try_from(data).map_err(Error::map(name))?;
    for (index, word) in (0..).zip(words) {
        if map.get(&index, 0).map_err(Error::map(name))? != *word {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Returns the number of ports in either of the bitmaps pinned in `directory`.
pub fn count(directory: &Path, either: [Watched; 2]) -> Result<u32, Error> {
    let open = |watched: Watched| -> Result<Array<MapData, u64>, Error> {
        let name = watched.map();
        let data = MapData::from_pin(directory.join(name)).map(Map::Array).map_err(Error::map(name))?;
        Array::try_from(data).map_err(Error::map(name))
    };
    let [first, second] = either.map(Watched::map);
    let maps = [open(either[0])?, open(either[1])?];
    let mut count = 0;
    for index in 0..maps[0].len() {
        let words = [
            maps[0].get(&index, 0).map_err(Error::map(first))?,
            maps[1].get(&index, 0).map_err(Error::map(second))?,
        ];
        count += (words[0] | words[1]).count_ones();
    }
    Ok(count)
}
