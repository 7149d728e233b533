//! The daemon's heartbeat in the kernel's maps.

use std::time::Duration;

use aya::maps::{Array, Map, MapData};

use super::{Error, monotonic_ns};

/// The map's name.
pub(super) const MAP: &str = "HEARTBEAT";

/// Returns the time since the last heartbeat, or `None` if there never was one.
pub(super) fn silence(data: MapData) -> Result<Option<Duration>, Error> {
    let map: Array<MapData, u64> = Array::try_from(Map::Array(data)).map_err(Error::map(MAP))?;
    let beaten = map.get(&0, 0).map_err(Error::map(MAP))?;
    let since = monotonic_ns().unsigned_abs().saturating_sub(beaten);
    Ok((beaten != 0).then_some(Duration::from_nanos(since)))
}

/// Writes a heartbeat.
pub(super) fn beat(map: &mut Map) -> Result<(), Error> {
    let mut map: Array<&mut MapData, u64> = Array::try_from(map).map_err(Error::map(MAP))?;
    map.set(0, monotonic_ns().unsigned_abs(), 0).map_err(Error::map(MAP))
}
