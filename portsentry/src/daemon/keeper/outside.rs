//! Who beside the files is told of the keeper's state.

use std::sync::mpsc::Sender;

use super::super::notify::{self, Pulse};

/// Who beside the files is told of the keeper's state.
#[derive(Debug, Default)]
pub(super) struct Outside {
    pub pulse: Pulse,
    /// What the supervisor was last told.
    status: String,
    /// Who is told that the host's devices have changed.
    pub devices: Option<Sender<()>>,
}

impl Outside {
    /// Tells the supervisor of `status`, if it is another than before.
    pub(super) fn set_status(&mut self, status: String) {
        if status != self.status {
            notify::status(&status);
            self.status = status;
        }
    }
}
