//! The memory of scans: sources whose first contacts failed.

use std::{fmt, net::IpAddr, path::Path};

use aya::{
    Ebpf,
    maps::{Array, Map, MapData, MapInfo},
};
use ipnet::IpNet;
use portsentry_common::{
    address::Ipv6,
    scan::{
        memory::{Name, Suspects, find},
        state::{Horizon, State},
        suspect::Suspect,
    },
};

use super::{Error, Pins, ScanCount, clock::monotonic_ns, settings_pin, suspects::Places};

/// The map of sources with one failed first contact.
pub(super) const PROBATION: &str = "SCAN_PROBATION";
/// The map of sources with more.
pub(super) const SUSPECTS: &str = "SCAN_SUSPECTS";
/// The map of the memory's state.
pub(super) const STATE: &str = "SCAN_STATE";

type RawState = [u8; size_of::<State>()];
type RawSuspects = [u8; size_of::<Suspects>()];

/// Returns the key of an existing memory, or a new one.
pub(super) fn key(pins: &Pins) -> Result<u64, Error> {
    let all = [PROBATION, SUSPECTS, STATE].map(|name| pins.map(name));
    if all.iter().all(|path| path.exists()) {
        let state: Array<MapData, RawState> = open(&all[2], STATE)?;
        let key = read(&state)?.key;
        if key != 0 {
            return Ok(key);
        }
    }
    getrandom::u64()
        .map_err(|error| Error::System { what: "asking for random numbers", source: error.into() })
}

/// Records the key of the memory in it.
pub(super) fn keep_key(ebpf: &mut Ebpf, key: u64) -> Result<(), Error> {
    let map = ebpf.map_mut(STATE).ok_or_else(|| Error::Missing(STATE.into()))?;
    let mut map: Array<&mut MapData, RawState> = Array::try_from(map).map_err(Error::map(STATE))?;
    let known: State = bytemuck::pod_read_unaligned(&map.get(&0, 0).map_err(Error::map(STATE))?);
    if known.key == key {
        return Ok(());
    }
    map.set(0, bytemuck::cast::<_, RawState>(State { key, ..State::default() }), 0).map_err(Error::map(STATE))
}

fn open<V: aya::Pod>(path: &Path, name: &'static str) -> Result<Array<MapData, V>, Error> {
    MapData::from_pin(path).map(Map::Array).and_then(Array::try_from).map_err(Error::map(name))
}

fn read(map: &Array<MapData, RawState>) -> Result<State, Error> {
    map.get(&0, 0).map(|raw| bytemuck::pod_read_unaligned(&raw)).map_err(Error::map(STATE))
}

/// The memory of scans in a directory of pins, for reading.
pub struct ScanMemory {
    suspects: Array<MapData, RawSuspects>,
    state: Array<MapData, RawState>,
    places: Places,
    mask: u32,
}

impl fmt::Debug for ScanMemory {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("ScanMemory").field("mask", &self.mask).finish_non_exhaustive()
    }
}

impl ScanMemory {
    /// Opens the memory in `directory`. Returns `None` if an earlier version pinned the maps there, or if scans aren't
    /// detected.
    pub fn open(directory: &Path) -> Result<Option<Self>, Error> {
        let path = directory.join(SUSPECTS);
        let fits = MapInfo::from_pin(&path)
            .is_ok_and(|info| info.value_size() as usize == size_of::<Suspects>() && info.max_entries() > 1);
        if !fits || !settings_pin::read(directory)?.detects_scans() {
            return Ok(None);
        }
        Self::pinned(directory).map(Some)
    }

    /// Opens the memory in `directory`, which this version has pinned there.
    pub(super) fn pinned(directory: &Path) -> Result<Self, Error> {
        let suspects = open(&directory.join(SUSPECTS), SUSPECTS)?;
        let mask = suspects.len() - 1;
        let places = Places::open(directory, [SUSPECTS, PROBATION], mask)?;
        Ok(Self { suspects, state: open(&directory.join(STATE), STATE)?, places, mask })
    }

    /// Clears the records of the sources in `network`, which are IPv6 networks of this length. If there may be more
    /// than 65,536, all sources' records are cleared.
    pub fn acquit(&self, network: IpNet, prefix: u8) -> Result<(), Error> {
        self.places.acquit(network, prefix, read(&self.state)?.key);
        Ok(())
    }

    /// Returns the numbers of sources in the memory. That takes milliseconds.
    #[must_use]
    pub fn count(&self) -> ScanCount {
        self.places.count(seconds())
    }

    /// Returns the suspect that is counted as `source`: an address, or an IPv6 network by its first address. A source
    /// with one failed first contact is none.
    pub fn suspect(&self, source: IpNet) -> Result<Option<Suspect>, Error> {
        let address = match source.network() {
            IpAddr::V4(v4) => Ipv6::from(v4.to_ipv6_mapped()),
            IpAddr::V6(v6) => Ipv6::from(v6),
        };
        let name = Name::of(address.halves(), read(&self.state)?.key);
        let raw = self.suspects.get(&name.set(self.mask), 0).map_err(Error::map(SUSPECTS))?;
        let Suspects { places, .. } = bytemuck::pod_read_unaligned(&raw);
        Ok(places.get(find(&places, name.tag(), seconds())).copied())
    }

    /// Returns what the memory can promise now.
    pub fn horizon(&self) -> Result<Horizon, Error> {
        Ok(read(&self.state)?.horizon(seconds()))
    }
}

/// Returns the time in the memory's unit: seconds of `CLOCK_MONOTONIC`.
fn seconds() -> u32 {
    u32::try_from(monotonic_ns().unsigned_abs() / 1_000_000_000).unwrap_or(u32::MAX)
}
