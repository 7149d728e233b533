//! Receivers of the keeper's state other than the files.

use std::sync::mpsc::Sender;

use super::super::notify::{self, Pulse};

/// Receivers of the keeper's state other than the files.
#[derive(Debug, Default)]
pub(super) struct Outside {
    pub pulse: Pulse,
    /// The last status sent to the supervisor.
    status: String,
    /// Notified when the host's devices have changed.
    pub devices: Option<Sender<()>>,
}

impl Outside {
    /// Sends `status` to the supervisor, if it has changed.
    pub(super) fn set_status(&mut self, status: String) {
        if status != self.status {
            notify::status(&status);
            self.status = status;
        }
    }
}
