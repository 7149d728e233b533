//! The modes that this process claims among those that share one set of maps.

use std::{path::Path, thread, time::Duration};

use super::Error;
use crate::{
    kernel::{self, Claim},
    modes::{MODES, Modes},
};

/// Number of attempts to claim a mode, and the pause between them.
const LOOKS: usize = 10;
const LOOK: Duration = Duration::from_millis(10);

/// The modes of this process.
#[derive(Debug, Default)]
pub struct Claims {
    modes: Modes,
    held: Vec<Claim>,
}

impl Claims {
    /// Claims exactly `modes`. Returns an error if another process has one of them.
    pub fn set(&mut self, directory: &Path, modes: Modes) -> Result<(), Error> {
        if self.modes == modes && !modes.is_empty() {
            return Ok(());
        }
        *self = Self::default();
        for mode in modes.iter() {
            // A process that checks a mode holds its lock for a moment.
            let mut attempts = (0..LOOKS).map(|_| {
                let claim = Claim::new(directory, mode.name());
                if matches!(claim, Ok(None)) {
                    thread::sleep(LOOK);
                }
                claim
            });
            let claim = attempts.find_map(Result::transpose).transpose()?;
            self.held.push(claim.ok_or_else(|| kernel::Error::Running(directory.into()))?);
        }
        self.modes = modes;
        Ok(())
    }

    /// Returns the modes of other processes.
    pub fn others(&self, directory: &Path) -> Result<Modes, Error> {
        let mut others = Vec::new();
        for mode in MODES {
            if !self.modes.has(mode) && Claim::is_taken(directory, mode.name())? {
                others.push(mode);
            }
        }
        Ok(others.into_iter().collect())
    }
}
