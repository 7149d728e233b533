//! The directory on bpffs where maps and links are pinned, and the lock on it.
//!
//! It must not look into what is pinned.

use std::{
    fs::{self, DirBuilder, File},
    io,
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::{Path, PathBuf},
    sync::Arc,
};

use nix::{
    fcntl::{Flock, FlockArg},
    sys::statfs::{BPF_FS_MAGIC, statfs},
};

use super::Error;

/// What was removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// Links, each of which held the program to an interface.
    pub links: usize,
    /// Maps.
    pub maps: usize,
}

fn entries(directory: &Path) -> Result<Vec<PathBuf>, Error> {
    let failed = |error: io::Error| Error::Pins { path: directory.into(), problem: error.to_string() };
    let entries = fs::read_dir(directory).map_err(failed)?;
    entries.map(|entry| entry.map(|entry| entry.path()).map_err(failed)).collect()
}

/// Somebody else may have removed it meanwhile.
fn remove<'a>(path: &'a Path, by: fn(&'a Path) -> io::Result<()>) -> Result<(), Error> {
    match by(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Error::Pins { path: path.into(), problem: error.to_string() })
        }
        _ => Ok(()),
    }
}

/// The pins of one daemon, locked against a second for as long as one of its clones lives.
#[derive(Clone, Debug)]
pub struct Pins {
    directory: PathBuf,
    lock: Arc<Flock<File>>,
}

impl Pins {
    /// Makes and locks `directory`, which must be on bpffs.
    pub fn open(directory: &Path) -> Result<Self, Error> {
        let at = |path: &Path, problem: String| Error::Pins { path: path.into(), problem };
        let links = directory.join("links");
        DirBuilder::new().recursive(true).mode(0o700).create(&links).map_err(|error| {
            if error.kind() == io::ErrorKind::PermissionDenied {
                Error::Privileges
            } else {
                at(&links, format!("{error}; mount bpffs with `mount -t bpf bpf /sys/fs/bpf`"))
            }
        })?;
        let filesystem = statfs(directory).map_err(|errno| at(directory, errno.to_string()))?;
        if filesystem.filesystem_type() != BPF_FS_MAGIC {
            let problem = "is not on bpffs; mount it with `mount -t bpf bpf /sys/fs/bpf`";
            // What was made on another file system is taken away again, if nothing else is there.
            let _ = fs::remove_dir(&links).and_then(|()| fs::remove_dir(directory));
            return Err(at(directory, problem.into()));
        }
        let file = File::open(directory).map_err(|error| at(directory, error.to_string()))?;
        let lock = Flock::lock(file, FlockArg::LockExclusiveNonblock)
            .map_err(|(_, _)| Error::Running(directory.into()))?;
        Ok(Self { directory: directory.into(), lock: Arc::new(lock) })
    }

    /// Whether these are the pins in `directory`, which somebody may have removed or made anew.
    #[must_use]
    pub fn are_in(&self, directory: &Path) -> bool {
        let number = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
        let [locked, there] =
            [self.lock.metadata(), fs::metadata(directory)].map(|found| found.ok().map(number));
        self.directory == directory && locked == there && directory.join("links").is_dir()
    }

    /// Where the map of that name is pinned.
    #[must_use]
    pub fn map(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Where the link of the interface with that index is pinned. (A name may hold dots, which bpffs refuses.)
    #[must_use]
    pub fn link(&self, interface: u32) -> PathBuf {
        self.directory.join("links").join(interface.to_string())
    }

    /// Removes everything, the links first, as nothing must be enforced by maps that are half gone. The names of what
    /// was removed. The lock goes with the directory.
    pub fn remove_all(&self) -> Result<Removed, Error> {
        let mut removed = Removed::default();
        let links = self.directory.join("links");
        for path in entries(&links)? {
            remove(&path, fs::remove_file)?;
            removed.links += 1;
        }
        for path in entries(&self.directory)? {
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
        match fs::remove_dir(&self.directory) {
            // A daemon that has given up its privileges leaves the directory, empty.
            Err(error)
                if ![io::ErrorKind::NotFound, io::ErrorKind::PermissionDenied].contains(&error.kind()) =>
            {
                Err(Error::Pins { path: self.directory.clone(), problem: error.to_string() })
            }
            _ => Ok(removed),
        }
    }

    /// The interface indices for which links are pinned.
    pub fn links(&self) -> impl Iterator<Item = u32> {
        let entries = fs::read_dir(self.directory.join("links")).into_iter().flatten();
        entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
    }
}
