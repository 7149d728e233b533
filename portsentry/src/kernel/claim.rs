//! Claims of modes by processes.
//!
//! Several processes may share one set of maps, as with 1.2, where each mode was a separate process. The one that
//! locked the pins works for all, and each claims its own modes for as long as it lives.

use std::{
    fs::{DirBuilder, File},
    io::ErrorKind,
    os::unix::fs::DirBuilderExt,
    path::Path,
};

use nix::fcntl::{Flock, FlockArg};

use super::Error;

/// A process's claim on a name, for as long as it lives.
#[derive(Debug)]
pub struct Claim(#[expect(dead_code, reason = "held, not used")] Flock<File>);

impl Claim {
    /// Claims `name` among the processes that share the pins in `directory`. Returns `None` if another process has
    /// it.
    pub fn new(directory: &Path, name: &str) -> Result<Option<Self>, Error> {
        let path = directory.join("watchers").join(name);
        let failed = |error: std::io::Error| Error::Pins { path: path.clone(), problem: error.to_string() };
        DirBuilder::new().recursive(true).mode(0o700).create(&path).map_err(failed)?;
        let file = File::open(&path).map_err(failed)?;
        Ok(Flock::lock(file, FlockArg::LockExclusiveNonblock).ok().map(Self))
    }

    /// Whether a process has claimed `name`. Doesn't create the claim's file.
    pub fn is_taken(directory: &Path, name: &str) -> Result<bool, Error> {
        let path = directory.join("watchers").join(name);
        match File::open(&path) {
            // Shared, so that two processes that check at the same time don't take each other for the owner.
            Ok(file) => Ok(Flock::lock(file, FlockArg::LockSharedNonblock).is_err()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(Error::Pins { path, problem: error.to_string() }),
        }
    }
}
