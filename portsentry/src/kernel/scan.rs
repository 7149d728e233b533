//! The memory of scans: sources whose first contacts failed.

use std::{borrow::Borrow, fmt, path::Path};

use aya::{
    Ebpf,
    maps::{Array, Map, MapData, MapInfo},
};
use ipnet::IpNet;
use portsentry_common::{
    counter::Counters,
    scan::{
        Evidence, Verdict,
        memory::Suspects,
        state::{Horizon, State},
        suspect::Suspect,
    },
};

use super::{
    Error, Pins, ScanCount, clock::monotonic_ns, learned::random_key, settings_pin, suspects::Places,
};

/// The map of sources with one failed first contact.
pub(super) const PROBATION: &str = "SCAN_PROBATION";
/// The map of sources with more.
pub(super) const SUSPECTS: &str = "SCAN_SUSPECTS";
/// The map of the memory's state.
pub(super) const STATE: &str = "SCAN_STATE";

pub(super) type RawState = [u8; size_of::<State>()];

/// Returns the state of the memory of a loaded program.
pub(super) fn loaded(ebpf: &Ebpf) -> Result<Array<&MapData, RawState>, Error> {
    let map = ebpf.map(STATE).ok_or_else(|| Error::Missing(STATE.into()))?;
    Array::try_from(map).map_err(Error::map(STATE))
}

/// Adds the scans that the daemon judged to the kernel program's counters.
pub(super) fn with_judged(
    counters: &Counters,
    state: &Array<impl Borrow<MapData>, RawState>,
) -> Result<Counters, Error> {
    let State { reports, fences, .. } = read(state)?;
    Ok(Counters {
        scan_reports: counters.scan_reports + reports,
        scan_fences: counters.scan_fences + fences,
        ..*counters
    })
}

/// Returns the state of the memory in `directory`, unless an earlier version made it.
pub(super) fn state(directory: &Path) -> Option<Array<MapData, RawState>> {
    open(&directory.join(STATE), STATE).ok()
}

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
    random_key()
}

/// Records the key of the memory in it. The scans that the daemon judged with an earlier one still count.
pub(super) fn keep_key(ebpf: &mut Ebpf, key: u64) -> Result<(), Error> {
    let map = ebpf.map_mut(STATE).ok_or_else(|| Error::Missing(STATE.into()))?;
    let mut map: Array<&mut MapData, RawState> = Array::try_from(map).map_err(Error::map(STATE))?;
    let known: State = bytemuck::pod_read_unaligned(&map.get(&0, 0).map_err(Error::map(STATE))?);
    if known.key == key {
        return Ok(());
    }
    let state = State { key, reports: known.reports, fences: known.fences, ..State::default() };
    map.set(0, bytemuck::cast::<_, RawState>(state), 0).map_err(Error::map(STATE))
}

fn open<V: aya::Pod>(path: &Path, name: &'static str) -> Result<Array<MapData, V>, Error> {
    MapData::from_pin(path).map(Map::Array).and_then(Array::try_from).map_err(Error::map(name))
}

fn read(map: &Array<impl Borrow<MapData>, RawState>) -> Result<State, Error> {
    map.get(&0, 0).map(|raw| bytemuck::pod_read_unaligned(&raw)).map_err(Error::map(STATE))
}

/// The memory of scans in a directory of pins, for reading.
pub struct ScanMemory {
    state: Array<MapData, RawState>,
    places: Places,
}

impl fmt::Debug for ScanMemory {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("ScanMemory").field("places", &self.places).finish_non_exhaustive()
    }
}

impl ScanMemory {
    /// Opens the memory in `directory`. Returns `None` if an earlier version pinned the maps there, or if scans aren't
    /// detected.
    pub fn open(directory: &Path) -> Result<Option<Self>, Error> {
        let path = directory.join(SUSPECTS);
        let fits = MapInfo::from_pin(&path)
            .is_ok_and(|info| info.value_size() as usize == size_of::<Suspects>() && info.max_entries() > 1);
        // Without the settings of a program, nothing is detected.
        if !fits || !settings_pin::read(directory).is_ok_and(|settings| settings.detects_scans()) {
            return Ok(None);
        }
        Self::pinned(directory).map(Some)
    }

    /// Opens the memory in `directory`, which this version has pinned there.
    pub(super) fn pinned(directory: &Path) -> Result<Self, Error> {
        let places = Places::open(directory, [SUSPECTS, PROBATION])?;
        Ok(Self { state: open(&directory.join(STATE), STATE)?, places })
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
        Ok(self.places.suspect(source.network(), read(&self.state)?.key, seconds()))
    }

    /// Returns the verdict on `source` as of now, with the evidence, or `None` if it is no suspect:
    /// [`Suspect::judge_at`].
    pub fn judge(&self, source: IpNet, fences: bool) -> Result<Option<(Verdict, Evidence)>, Error> {
        let suspect = self.suspect(source)?;
        Ok(suspect.map(|suspect| (suspect.judge_at(seconds(), fences), suspect.evidence())))
    }

    /// Records a verdict on `source`, if it is a suspect.
    pub fn convict(&self, source: IpNet, verdict: Verdict) -> Result<(), Error> {
        self.places.convict(source.network(), verdict, read(&self.state)?.key);
        Ok(())
    }

    /// Raises the score of `source`, if it is a suspect, because this many of its first failures belong to a distributed
    /// scan.
    pub fn raise(&self, source: IpNet, pairs: u8) -> Result<(), Error> {
        self.places.raise(source.network(), pairs, read(&self.state)?.key);
        Ok(())
    }

    /// Counts a scan that the daemon fenced or reported.
    pub fn count_judged(&mut self, is_fenced: bool) -> Result<(), Error> {
        let mut state = read(&self.state)?;
        let count = if is_fenced { &mut state.fences } else { &mut state.reports };
        *count += 1;
        // The kernel program may measure at the same moment. Then one displaced entry less counts.
        self.state.set(0, bytemuck::cast::<_, RawState>(state), 0).map_err(Error::map(STATE))
    }

    /// Returns the memory's horizon.
    pub fn horizon(&self) -> Result<Horizon, Error> {
        Ok(self.state()?.horizon(seconds()))
    }

    /// Returns the state of the memory.
    pub fn state(&self) -> Result<State, Error> {
        read(&self.state)
    }
}

/// Returns the time in the memory's unit: seconds of `CLOCK_MONOTONIC`.
fn seconds() -> u32 {
    u32::try_from(monotonic_ns().unsigned_abs() / 1_000_000_000).unwrap_or(u32::MAX)
}
