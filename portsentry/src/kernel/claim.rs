//! Who writes which port bitmap. It must not know what is watched.
//!
//! As with 1.2, where each mode was a process of its own, several processes may share one set of maps: the one that
//! holds the pins does the work, and each writes the bitmaps of its own modes.

use std::{
    fs::{DirBuilder, File},
    os::unix::fs::DirBuilderExt,
    path::Path,
};

use aya::maps::{Array, Map, MapData};
use nix::fcntl::{Flock, FlockArg};

use super::{Error, Watched, bitmap};

/// A process's hold on one bitmap, for as long as it lives.
#[derive(Debug)]
pub struct Claim {
    watched: Watched,
    _lock: Flock<File>,
}

impl Claim {
    /// Claims a bitmap among those pinned in `directory`; `None` if another process has it.
    pub fn new(directory: &Path, watched: Watched) -> Result<Option<Self>, Error> {
        let path = directory.join("watchers").join(watched.map());
        let failed = |error: std::io::Error| Error::Pins { path: path.clone(), problem: error.to_string() };
        DirBuilder::new().recursive(true).mode(0o700).create(&path).map_err(failed)?;
        let file = File::open(&path).map_err(failed)?;
        let lock = Flock::lock(file, FlockArg::LockExclusiveNonblock).ok();
        Ok(lock.map(|lock| Self { watched, _lock: lock }))
    }

    /// Which bitmap it is.
    #[must_use]
    pub const fn watched(&self) -> Watched {
        self.watched
    }

    /// Writes the bitmap through its pin.
    pub fn write(&self, directory: &Path, ports: &[u64; 1024]) -> Result<(), Error> {
        let name = self.watched.map();
        let mut data = MapData::from_pin(directory.join(name)).map(Map::Array).map_err(Error::map(name))?;
        let mut array = Array::try_from(&mut data).map_err(Error::map(name))?;
        bitmap::write(&mut array, name, ports)
    }
}
