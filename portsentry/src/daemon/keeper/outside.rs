//! Receivers of the keeper's state other than the files.

use std::sync::mpsc::Sender;

use super::{
    super::notify::{self, Pulse},
    fleet::Fleet,
};
use crate::config::Config;

/// Receivers of the keeper's state other than the files.
#[derive(Debug)]
pub(super) struct Outside {
    pub pulse: Pulse,
    /// The last status sent to the supervisor.
    status: String,
    /// Notified when the host's devices have changed.
    pub devices: Option<Sender<()>>,
    pub fleet: Fleet,
}

impl Outside {
    pub(super) fn new(config: &Config) -> Self {
        Self { pulse: Pulse::default(), status: String::new(), devices: None, fleet: Fleet::new(config) }
    }

    /// Sends `status` to the supervisor, if it has changed.
    pub(super) fn set_status(&mut self, status: String) {
        if status != self.status {
            notify::status(&status);
            self.status = status;
        }
    }
}
