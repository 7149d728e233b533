//! Ends the enforcement: detaches the program, or removes all pins.

use std::{fs, io, path::Path};

use serde::Serialize;

use super::{Error, Pins, link, pins::entries, traffic};

/// Numbers of removed pins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Removed {
    /// Links, each of which attached the program to an interface.
    pub links: usize,
    /// Maps.
    pub maps: usize,
}

impl Pins {
    /// Detaches the program from every interface whose index is not in `keep`.
    pub fn detach_all_but(&self, keep: &[u32]) -> Result<(), Error> {
        self.links().filter(|index| !keep.contains(index)).try_for_each(|index| {
            link::detach(self, index)?;
            traffic::HOOKS.into_iter().try_for_each(|hook| traffic::detach(self, hook, index))
        })
    }

    /// Removes everything, the links first, because a partial set of maps must not be enforced. Returns the numbers.
    /// The lock is released with the directory.
    pub fn remove_all(&self) -> Result<Removed, Error> {
        let mut removed = Removed::default();
        let links = self.links_directory();
        for index in self.links() {
            traffic::HOOKS.into_iter().try_for_each(|hook| traffic::detach(self, hook, index))?;
        }
        for path in entries(&links)? {
            remove(&path, fs::remove_file)?;
            removed.links += 1;
        }
        for path in entries(self.directory())? {
            if path.is_dir() {
                for inner in entries(&path)? {
                    remove(&inner, if inner.is_dir() { fs::remove_dir } else { fs::remove_file })?;
                }
                remove(&path, fs::remove_dir)?;
            } else {
                remove(&path, fs::remove_file)?;
                removed.maps += 1;
            }
        }
        match fs::remove_dir(self.directory()) {
            // A daemon without privileges leaves the empty directory.
            Err(error)
                if ![io::ErrorKind::NotFound, io::ErrorKind::PermissionDenied].contains(&error.kind()) =>
            {
                Err(Error::Pins { path: self.directory().into(), problem: error.to_string() })
            }
            _ => Ok(removed),
        }
    }
}

/// Another process may have removed it meanwhile.
fn remove<'a>(path: &'a Path, by: fn(&'a Path) -> io::Result<()>) -> Result<(), Error> {
    match by(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Error::Pins { path: path.into(), problem: error.to_string() })
        }
        _ => Ok(()),
    }
}
