//! Checks whether the pins are in place.

use std::sync::Arc;

use tokio::sync::Notify;

use crate::{
    kernel::Kernel,
    policy::trouble::{News, Trouble},
};

/// The last state of the pins, and the notification that they were restored.
#[derive(Debug, Default)]
pub(super) struct PinWatch {
    pinned: Arc<Notify>,
    trouble: Trouble,
}

impl PinWatch {
    /// Returns the notification that maps and links were restored.
    pub(super) fn pinned(&self) -> Arc<Notify> {
        Arc::clone(&self.pinned)
    }

    /// Checks the pins. Returns each problem once.
    pub(super) fn keep(&mut self, kernel: &Kernel) -> Option<String> {
        let problem = match kernel.keep_pins() {
            Ok(true) => None,
            Ok(false) => {
                self.pinned.notify_one();
                return None;
            }
            Err(error) => Some(error.to_string()),
        };
        match self.trouble.note(problem)? {
            News::Begun(problem) => Some(problem),
            News::Over => None,
        }
    }
}
