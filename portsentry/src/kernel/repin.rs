//! Restores pins whose path leads elsewhere because bpffs was unmounted or something was mounted over it. The lock
//! keeps the directory open, with everything pinned there. Once bpffs is mounted again, everything is pinned at the
//! path again.

use std::{fs, os::unix::fs::MetadataExt, path::Path};

use aya::{
    maps::MapData,
    programs::links::{FdLink, PinnedLink},
};
use nix::{
    sys::statfs::{BPF_FS_MAGIC, statfs},
    unistd::geteuid,
};

use super::{
    Error, Pins,
    pins::{PROVISIONAL, PinState, entries, links_in},
    traffic,
};

impl Pins {
    /// Whether the pins are in place. An error describes the problem and the remedy. Restores hidden pins if
    /// possible: then the result is `Ok(false)`, and users of these pins must open them again.
    pub(super) fn keep(&self) -> Result<bool, Error> {
        let path = self.directory();
        let failed = |problem: &str| Error::Pins { path: path.into(), problem: problem.into() };
        match self.pin_state() {
            PinState::There => return Ok(true),
            PinState::Removed => {
                return Err(failed(
                    "was removed while the daemon was running, which detached the program; SIGHUP attaches \
                        it again",
                ));
            }
            PinState::Hidden => {}
        }
        if !path.ancestors().find(|at| at.exists()).is_some_and(is_bpffs) {
            return Err(failed(
                "is hidden because bpffs was unmounted: enforcement ends with this process. Mount bpffs \
                    (`mount -t bpf bpf /sys/fs/bpf`), and everything is pinned there again",
            ));
        }
        let new = Self::open(path).map_err(|error| match error {
            Error::Privileges => failed(&format!(
                "this process may not create it; `install -d -m 700 -o {} {}` does",
                geteuid(),
                path.display()
            )),
            error => error,
        })?;
        self.copy_to(&new).map(|()| false)
    }

    /// Pins maps and links in the directory of `new`. The links come last: the maps that they enforce must be
    /// complete.
    fn copy_to(&self, new: &Self) -> Result<(), Error> {
        let failed = |path: &Path, problem: &dyn ToString| Error::Pins {
            path: path.into(),
            problem: problem.to_string(),
        };
        let old = self.behind();
        let traffic =
            traffic::HOOKS.map(|hook| (old.join(hook.directory()), new.directory().join(hook.directory())));
        let links = [(old.join("links"), new.links_directory())];
        for (from, to) in [(old.clone(), new.directory().to_owned())].into_iter().chain(traffic).chain(links)
        {
            let is_link = from != old;
            if !from.is_dir() {
                continue;
            }
            fs::create_dir_all(&to).map_err(|error| failed(&to, &error))?;
            for path in entries(&from)?.into_iter().filter(|path| !path.is_dir()) {
                let Some(at) = path.file_name().map(|name| to.join(name)).filter(|at| !at.exists()) else {
                    continue;
                };
                if is_link {
                    let link = PinnedLink::from_pin(&path).map_err(|error| failed(&path, &error))?;
                    FdLink::from(link).pin(&at).map_err(|error| failed(&at, &error))?;
                } else {
                    let map = MapData::from_pin(&path).map_err(|error| failed(&path, &error))?;
                    map.pin(&at).map_err(|error| failed(&at, &error))?;
                }
            }
        }
        links_in(&old.join(PROVISIONAL)).try_for_each(|index| new.mark_provisional(index))
    }
}

fn is_bpffs(path: &Path) -> bool {
    statfs(path).is_ok_and(|filesystem| filesystem.filesystem_type() == BPF_FS_MAGIC)
}

/// Returns the directory that contains the mount point of `path`'s file system. A later mount appears in it.
#[must_use]
pub fn mounted_in(path: &Path) -> Option<&Path> {
    let device = |at: &Path| fs::metadata(at).map(|metadata| metadata.dev()).ok();
    let own = device(path)?;
    path.ancestors().find(|at| device(at) != Some(own))
}
