//! The directory on bpffs with the pins of maps and links, and the lock on it.

use std::{
    fs::{self, DirBuilder, File},
    io,
    os::{
        fd::AsRawFd,
        unix::fs::{DirBuilderExt, MetadataExt},
    },
    path::{Path, PathBuf},
    sync::Arc,
};

use nix::{
    fcntl::{Flock, FlockArg},
    sys::statfs::{BPF_FS_MAGIC, statfs},
};

use super::Error;

/// Directory of the marks of provisional programs.
pub(super) const PROVISIONAL: &str = "provisional";

/// State of the directory of pins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PinState {
    /// The path leads to the directory.
    There,
    /// The path leads elsewhere, and the directory still exists: something is mounted over it, or it was unmounted.
    Hidden,
    /// The directory, or the links in it, were removed.
    Removed,
}

pub(super) fn entries(directory: &Path) -> Result<Vec<PathBuf>, Error> {
    let failed = |error: io::Error| Error::Pins { path: directory.into(), problem: error.to_string() };
    let entries = fs::read_dir(directory).map_err(failed)?;
    entries.map(|entry| entry.map(|entry| entry.path()).map_err(failed)).collect()
}

/// The pins of one daemon, locked for as long as one of its clones lives.
#[derive(Clone, Debug)]
pub struct Pins {
    directory: PathBuf,
    lock: Arc<Flock<File>>,
}

impl Pins {
    /// Creates and locks `directory`, which must be on bpffs.
    pub fn open(directory: &Path) -> Result<Self, Error> {
        let at = |path: &Path, problem: String| Error::Pins { path: path.into(), problem };
        let (links, hooks) = (directory.join("links"), directory.join("hooks"));
        let make = |path| DirBuilder::new().recursive(true).mode(0o700).create(path);
        make(&links).and_then(|()| make(&hooks)).map_err(|error| {
            if error.kind() == io::ErrorKind::PermissionDenied {
                Error::Privileges
            } else {
                at(&links, format!("{error}; mount bpffs with `mount -t bpf bpf /sys/fs/bpf`"))
            }
        })?;
        let filesystem = statfs(directory).map_err(|errno| at(directory, errno.to_string()))?;
        if filesystem.filesystem_type() != BPF_FS_MAGIC {
            let problem = "is not on bpffs; mount it with `mount -t bpf bpf /sys/fs/bpf`";
            // Removes directories created on another file system, if they are empty.
            let _ = [links.as_path(), &hooks, directory].map(fs::remove_dir);
            return Err(at(directory, problem.into()));
        }
        let file = File::open(directory).map_err(|error| at(directory, error.to_string()))?;
        let lock = Flock::lock(file, FlockArg::LockExclusiveNonblock)
            .map_err(|(_, _)| Error::Running(directory.into()))?;
        Ok(Self { directory: directory.into(), lock: Arc::new(lock) })
    }

    /// Whether these are the pins in `directory`, which may have been removed or created again.
    #[must_use]
    pub fn are_in(&self, directory: &Path) -> bool {
        self.directory == directory && self.pin_state() == PinState::There
    }

    /// Returns the state of the pins.
    #[must_use]
    pub fn pin_state(&self) -> PinState {
        let locked = self.lock.metadata().ok();
        let number = |metadata: &fs::Metadata| (metadata.dev(), metadata.ino());
        let there = fs::metadata(&self.directory).ok();
        if locked.as_ref().map(number) != there.as_ref().map(number) {
            let is_whole = locked.is_some_and(|metadata| metadata.nlink() > 0);
            return if is_whole { PinState::Hidden } else { PinState::Removed };
        }
        if self.links_directory().is_dir() { PinState::There } else { PinState::Removed }
    }

    /// Returns the directory's path.
    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Returns the directory of the links.
    pub(super) fn links_directory(&self) -> PathBuf {
        self.directory.join("links")
    }

    /// Returns the directory of the bind hooks' links.
    pub(super) fn hooks_directory(&self) -> PathBuf {
        self.directory.join("hooks")
    }

    /// Returns a path to the locked directory, even if its own path leads elsewhere (`proc_pid_fd(5)`).
    pub(super) fn behind(&self) -> PathBuf {
        format!("/proc/self/fd/{}", self.lock.as_raw_fd()).into()
    }

    /// Returns the path at which the map called `name` is pinned.
    #[must_use]
    pub fn map(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Returns the path at which the link of the interface with this index is pinned. (A name may contain dots,
    /// which bpffs refuses.)
    #[must_use]
    pub fn link(&self, interface: u32) -> PathBuf {
        self.links_directory().join(interface.to_string())
    }

    /// Returns the path of the directory that marks the program on the interface with this index as one that is generic only until
    /// the interface is configured.
    pub(super) fn provisional(&self, interface: u32) -> PathBuf {
        self.directory.join(PROVISIONAL).join(interface.to_string())
    }

    /// Marks the program on the interface with this index as provisional.
    pub(super) fn mark_provisional(&self, interface: u32) -> Result<(), Error> {
        let path = self.provisional(interface);
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&path);
        made.map_err(|error| Error::Pins { path, problem: error.to_string() })
    }

    /// Removes that mark, if it is there.
    pub(super) fn unmark_provisional(&self, interface: u32) -> Result<(), Error> {
        let path = self.provisional(interface);
        match fs::remove_dir(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(Error::Pins { path, problem: error.to_string() })
            }
            _ => Ok(()),
        }
    }

    /// Returns the interface indices for which links are pinned.
    pub fn links(&self) -> impl Iterator<Item = u32> {
        links_in(&self.links_directory())
    }
}

/// Returns the interface indices in the names of this directory's entries.
pub(super) fn links_in(directory: &Path) -> impl Iterator<Item = u32> + use<> {
    let entries = fs::read_dir(directory).into_iter().flatten();
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}
