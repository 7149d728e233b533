//! The daemon's sign of life in the kernel's maps. It must not know what follows when it fails to come.

use aya::maps::{Array, Map, MapData};

use super::{Error, monotonic_ns};

/// The map's name.
pub(super) const MAP: &str = "HEARTBEAT";

/// Gives a sign of life.
pub(super) fn beat(map: &mut Map) -> Result<(), Error> {
    let mut map: Array<&mut MapData, u64> = Array::try_from(map).map_err(Error::map(MAP))?;
    map.set(0, monotonic_ns().unsigned_abs(), 0).map_err(Error::map(MAP))
}
