//! Which process stands for which mode.
//!
//! As with 1.2, where each mode was a process of its own, several processes may share one set of maps: the one that
//! holds the pins does the work for all, and each stands for its own modes as long as it lives.

use std::{
    fs::{DirBuilder, File},
    os::unix::fs::DirBuilderExt,
    path::Path,
};

use nix::fcntl::{Flock, FlockArg};

use super::Error;

/// A process's hold on a name, for as long as it lives.
#[derive(Debug)]
pub struct Claim(#[expect(dead_code, reason = "held, not used")] Flock<File>);

impl Claim {
    /// Claims `name` among those that share the pins in `directory`; `None` if another process has it.
    pub fn new(directory: &Path, name: &str) -> Result<Option<Self>, Error> {
        let path = directory.join("watchers").join(name);
        let failed = |error: std::io::Error| Error::Pins { path: path.clone(), problem: error.to_string() };
        DirBuilder::new().recursive(true).mode(0o700).create(&path).map_err(failed)?;
        let file = File::open(&path).map_err(failed)?;
        Ok(Flock::lock(file, FlockArg::LockExclusiveNonblock).ok().map(Self))
    }

    /// Whether a process has `name`. Nothing is made for it where nobody ever had.
    pub fn is_taken(directory: &Path, name: &str) -> Result<bool, Error> {
        if !directory.join("watchers").join(name).exists() {
            return Ok(false);
        }
        Self::new(directory, name).map(|claim| claim.is_none())
    }
}
