//! Reads the pins of a running or ended daemon without changing anything.

use std::{
    collections::BTreeMap,
    fs, io,
    net::IpAddr,
    os::{
        fd::{AsFd, AsRawFd},
        unix::fs::MetadataExt,
    },
    path::{Path, PathBuf},
    time::Duration,
};

use aya::maps::{Array, HashMap, LpmTrie, Map, MapData, MapError, MapInfo, PerCpuArray};
use ipnet::IpNet;
use nix::sys::stat::{major, minor};
use portsentry_common::{block::Block, counter::Counters};

use super::{
    BoundState, Error, Waiting, Watched, bitmap,
    blocked::Raw,
    blocked_networks, bound, counters,
    gate::Gate,
    heartbeat,
    pins::{PROVISIONAL, links_in},
    scan, traffic,
};
use crate::policy::State;

/// A map of sources whose addresses have `N` octets.
type Entries<const N: usize> = HashMap<MapData, [u8; N], Raw>;

/// A directory of pins.
#[derive(Debug)]
pub struct Observer {
    directory: PathBuf,
}

/// Fill level of a pair of maps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Fill {
    /// Sources with IPv4 addresses.
    pub ipv4: usize,
    /// Sources with IPv6 addresses.
    pub ipv6: usize,
    /// Capacity of each family's map.
    pub capacity: u32,
}

/// Number of watched ports, in any mode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Ports {
    /// TCP ports.
    pub tcp: u32,
    /// UDP ports.
    pub udp: u32,
}

/// Returns the names of the maps of the sources in this state.
const fn maps(state: State) -> [&'static str; 2] {
    match state {
        State::Blocked => ["BLOCKED_V4", "BLOCKED_V6"],
        State::Fenced => ["FENCED_V4", "FENCED_V6"],
    }
}

impl Observer {
    /// Opens `directory`. Returns `None` if it has no pins of PortSentry.
    pub fn open(directory: &Path) -> Result<Option<Self>, Error> {
        match fs::read_dir(directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                return Err(Error::Denied(directory.into()));
            }
            Err(error) => {
                return Err(Error::Pins { path: directory.into(), problem: error.to_string() });
            }
            Ok(_) => {}
        }
        let observer = Self { directory: directory.into() };
        Ok(observer.pin("COUNTERS").exists().then_some(observer))
    }

    /// Returns the directory.
    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Returns the sources in a pair of maps, including expired entries, ordered by address.
    pub fn sources(&self, state: State) -> Result<BTreeMap<IpAddr, Block>, Error> {
        let mut sources = BTreeMap::new();
        self.walk(state, |source, block| {
            sources.insert(source, block);
        })?;
        Ok(sources)
    }

    /// Passes each source in a pair of maps to `each`, including expired entries, in no order. An entry may be passed
    /// twice if others are removed at the same time.
    pub fn walk(&self, state: State, mut each: impl FnMut(IpAddr, Block)) -> Result<(), Error> {
        let [v4, v6] = maps(state);
        self.walk_one::<4>(v4, &mut each)?;
        self.walk_one::<16>(v6, &mut each)
    }

    /// Returns the fill level of a pair of maps.
    pub fn fill(&self, state: State) -> Result<Fill, Error> {
        let [v4, v6] = maps(state);
        Ok(Fill {
            ipv4: self.keys::<4>(v4)?,
            ipv6: self.keys::<16>(v6)?,
            capacity: self.info(v4)?.max_entries(),
        })
    }

    /// Returns the ring's size in bytes.
    pub fn ring_size(&self) -> Result<u32, Error> {
        Ok(self.info("EVENTS")?.max_entries())
    }

    /// Returns the memory of the pinned maps in bytes, as accounted by the kernel (`memlock` in proc(5)'s fdinfo).
    pub fn memory(&self) -> Result<u64, Error> {
        let failed = |source| Error::System { what: "reading the pinned maps' sizes", source };
        let mut sum = 0;
        for entry in fs::read_dir(&self.directory).map_err(failed)? {
            let Ok(map) = MapData::from_pin(entry.map_err(failed)?.path()) else { continue };
            let number = map.fd().as_fd().as_raw_fd();
            let text = fs::read_to_string(format!("/proc/self/fdinfo/{number}")).map_err(failed)?;
            let memory =
                text.lines().find_map(|line| line.strip_prefix("memlock:")?.trim().parse::<u64>().ok());
            sum += memory.unwrap_or_default();
        }
        Ok(sum)
    }

    /// Returns the blocked networks.
    pub fn networks(&self) -> Result<BTreeMap<IpNet, Block>, Error> {
        let map = LpmTrie::try_from(Map::LpmTrie(self.data(blocked_networks::MAP)?));
        blocked_networks::read(&map.map_err(Error::map(blocked_networks::MAP))?)
    }

    /// Returns the number of watched ports.
    pub fn ports(&self) -> Result<Ports, Error> {
        let count = |listed, advanced| bitmap::count(&self.directory, [listed, advanced]);
        Ok(Ports {
            tcp: count(Watched::ListedTcp, Watched::AdvancedTcp)?,
            udp: count(Watched::ListedUdp, Watched::AdvancedUdp)?,
        })
    }

    /// Returns the number of set bits in the gates, IPv4 and IPv6 together. Packets of sources with a set bit cost
    /// look-ups.
    pub fn gate_bits(&self) -> Result<usize, Error> {
        Ok(Gate::pinned(&self.directory)?.count())
    }

    /// Returns the time since a daemon's last heartbeat; `None` if there never was one.
    pub fn silence(&self) -> Result<Option<Duration>, Error> {
        heartbeat::silence(self.data(heartbeat::MAP)?)
    }

    /// Returns the state of the table of bound ports. Without a pinned table, from an earlier version, returns the
    /// state before the first dump.
    pub fn bound(&self) -> Result<BoundState, Error> {
        if !self.pin(bound::HORIZON).exists() {
            return Ok(BoundState::default());
        }
        let map = Array::try_from(Map::Array(self.data(bound::HORIZON)?));
        BoundState::read(&map.map_err(Error::map(bound::HORIZON))?)
    }

    /// Whether the kernel opens connections of fenced sources for the program's answers (`FENCE="open"`, Linux
    /// 6.9).
    #[must_use]
    pub fn accepts(&self) -> bool {
        let links = self.directory.join(traffic::Hook::Accept.directory());
        fs::read_dir(links).is_ok_and(|mut links| links.next().is_some())
    }

    /// Returns the ring's size and its unread data.
    pub fn ring(&self) -> Result<Waiting, Error> {
        super::ring::waiting(&self.pin("EVENTS"))
    }

    /// Returns the counters since the maps were created, summed over the CPUs, and with the scans that the daemon
    /// judged.
    pub fn counters(&self) -> Result<Counters, Error> {
        const NAME: &str = "COUNTERS";
        let map = Map::PerCpuArray(self.data(NAME)?);
        let counted = counters::read(&PerCpuArray::try_from(map).map_err(Error::map(NAME))?)?;
        let state = scan::state(&self.directory);
        state.map_or(Ok(counted), |state| scan::with_judged(&counted, &state))
    }

    /// Returns the indices of the interfaces with pinned links, in order.
    #[must_use]
    pub fn links(&self) -> Vec<u32> {
        let mut links: Vec<u32> = links_in(&self.directory.join("links")).collect();
        links.sort_unstable();
        links
    }

    /// Returns the indices of the interfaces whose programs are generic only until the interface is configured.
    #[must_use]
    pub fn provisional(&self) -> Vec<u32> {
        links_in(&self.directory.join(PROVISIONAL)).collect()
    }

    /// Returns the process that holds the lock: the running daemon.
    #[must_use]
    pub fn daemon(&self) -> Option<i32> {
        Self::locked_by(&self.directory)
    }

    /// Returns the process that holds the lock on `directory`, even if nothing is pinned there.
    #[must_use]
    pub fn locked_by(directory: &Path) -> Option<i32> {
        let directory = fs::metadata(directory).ok()?;
        let locks = fs::read_to_string("/proc/locks").ok()?;
        holder(&locks, (major(directory.dev()), minor(directory.dev()), directory.ino()))
    }

    fn pin(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    fn data(&self, name: &'static str) -> Result<MapData, Error> {
        MapData::from_pin(self.pin(name)).map_err(Error::map(name))
    }

    fn info(&self, name: &'static str) -> Result<MapInfo, Error> {
        MapInfo::from_pin(self.pin(name)).map_err(Error::map(name))
    }

    /// Returns the map, and the maximum number of entries to read.
    fn hash<const N: usize>(&self, name: &'static str) -> Result<(Entries<N>, usize), Error> {
        let data = self.data(name)?;
        let info = data.info().map_err(Error::map(name))?;
        let is_lru = matches!(info.map_type(), Ok(aya::maps::MapType::LruHash));
        let map = if is_lru { Map::LruHashMap(data) } else { Map::HashMap(data) };
        let map = HashMap::try_from(map).map_err(|error| match error {
            MapError::InvalidKeySize { .. } | MapError::InvalidValueSize { .. } => {
                Error::of_another_version(self.pin(name))
            }
            source => Error::Map { map: name, source },
        })?;
        // The kernel restarts a walk if entries disappear; twice the map's size is a sufficient limit.
        Ok((map, 2 * info.max_entries() as usize))
    }

    fn walk_one<const N: usize>(
        &self,
        name: &'static str,
        each: &mut impl FnMut(IpAddr, Block),
    ) -> Result<(), Error>
    where
        IpAddr: From<[u8; N]>,
    {
        let (map, most) = self.hash::<N>(name)?;
        for entry in map.iter().take(most) {
            let (octets, value) = entry.map_err(Error::map(name))?;
            each(IpAddr::from(octets), bytemuck::pod_read_unaligned(&value));
        }
        Ok(())
    }

    fn keys<const N: usize>(&self, name: &'static str) -> Result<usize, Error> {
        let (map, most) = self.hash::<N>(name)?;
        let keys: Result<std::collections::HashSet<[u8; N]>, MapError> = map.keys().take(most).collect();
        keys.map(|keys| keys.len()).map_err(Error::map(name))
    }
}

/// Returns the process that holds a flock on the file of this device and inode, from the text of `/proc/locks`
/// (proc(5)).
fn holder(locks: &str, (major, minor, inode): (u64, u64, u64)) -> Option<i32> {
    let file = format!("{major:02x}:{minor:02x}:{inode}");
    locks.lines().find_map(|line| match *line.split_ascii_whitespace().collect::<Vec<_>>().as_slice() {
        [_, "FLOCK", _, "WRITE", process, locked, ..] if locked == file => process.parse().ok(),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCKS: &str = "1: POSIX  ADVISORY  WRITE 314 fd:00:17 0 EOF\n\
                         2: FLOCK  ADVISORY  WRITE 4711 00:1d:17 0 EOF\n\
                         2: -> FLOCK  ADVISORY  WRITE 4712 00:1d:18 0 EOF\n\
                         3: FLOCK  ADVISORY  READ 999 00:1d:19 0 EOF\n";

    #[test]
    fn the_holder_of_a_lock_is_found_by_its_file() {
        for (file, expected) in [
            ((0, 0x1d, 17), Some(4711)),
            ((0xfd, 0, 17), None),
            ((0, 0x1d, 1), None),
            ((0, 0x1d, 18), None),
            ((0, 0x1d, 19), None),
        ] {
            assert_eq!(holder(LOCKS, file), expected, "{file:?}");
        }
    }

    #[test]
    fn nothing_is_observed_where_nothing_is_pinned() {
        let directory = tempfile::tempdir().unwrap();
        assert!(Observer::open(directory.path()).unwrap().is_none());
        assert!(Observer::open(&directory.path().join("missing")).unwrap().is_none());
    }
}
