//! The attached program's settings, pinned so that commands can read them.

use std::{fs, path::Path};

use aya::maps::{Array, IterableMap, Map, MapData, MapInfo};
use portsentry_common::settings::Settings;

use super::{Error, Pins};

const NAME: &str = "SETTINGS";
const NEXT: &str = "SETTINGS_NEXT";

type Raw = [u8; size_of::<Settings>()];

/// Pins the settings of the program that has just been attached, replacing those of an earlier one at once.
pub(super) fn publish(pins: &Pins, settings: &Settings) -> Result<(), Error> {
    let failed =
        |path: &Path, problem: &dyn ToString| Error::Pins { path: path.into(), problem: problem.to_string() };
    let (next, path) = (pins.map(NEXT), pins.map(NAME));
    // It is from a daemon that died before renaming it.
    if next.exists() {
        fs::remove_file(&next).map_err(|error| failed(&next, &error))?;
    }
    let mut map = Array::<_, Raw>::create(1, 0).map_err(Error::map(NAME))?;
    map.set(0, bytemuck::cast::<Settings, Raw>(*settings), 0).map_err(Error::map(NAME))?;
    map.map().pin(&next).map_err(|error| failed(&next, &error))?;
    fs::rename(&next, &path).map_err(|error| failed(&next, &error))
}

/// Reads the settings of the attached program, or of the last one. Fails if another version pinned them.
pub(super) fn read(directory: &Path) -> Result<Settings, Error> {
    let path = directory.join(NAME);
    let fits = MapInfo::from_pin(&path)
        .is_ok_and(|info| info.value_size() as usize == size_of::<Settings>() && info.max_entries() == 1);
    if !fits {
        let problem =
            "is missing or of another version of portsentry; a restart or reload of the daemon writes it";
        return Err(Error::Pins { path, problem: problem.into() });
    }
    let map: Array<MapData, Raw> =
        MapData::from_pin(&path).map(Map::Array).and_then(Array::try_from).map_err(Error::map(NAME))?;
    map.get(&0, 0).map(|raw| bytemuck::pod_read_unaligned(&raw)).map_err(Error::map(NAME))
}
