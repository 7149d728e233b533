//! Whether what is pinned is in sight.

use std::sync::Arc;

use tokio::sync::Notify;

use crate::{
    kernel::Kernel,
    policy::trouble::{News, Trouble},
};

/// What was last seen of the pins, and who is told that they were pinned anew.
#[derive(Debug, Default)]
pub(super) struct PinWatch {
    pinned: Arc<Notify>,
    trouble: Trouble,
}

impl PinWatch {
    /// What is told when the maps and links were pinned anew.
    pub(super) fn pinned(&self) -> Arc<Notify> {
        Arc::clone(&self.pinned)
    }

    /// Looks after the pins; returns what is wrong with them, once.
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
