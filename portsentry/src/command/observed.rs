//! Opens the pinned maps for commands that read them, and prints errors.

use serde::Serialize;

use crate::{
    config::Config,
    exit::Exit,
    inspect::error::Error,
    kernel::{self, Observer},
};

/// Returns the pinned maps of the configured directory, if there are any.
pub(super) fn observer(config: &Config) -> Result<Option<Observer>, Exit> {
    Observer::open(&config.pin_path).map_err(|error| failure(&error))
}

/// Prints an error at the kernel boundary.
pub(super) fn failure(error: &kernel::Error) -> Exit {
    eprintln!("portsentry: {error}");
    Exit::Kernel
}

/// Prints an error of reading state.
pub(super) fn unreadable(error: &Error) -> Exit {
    eprintln!("portsentry: {error}");
    if error.is_of_kernel() { Exit::Kernel } else { Exit::Failure }
}

/// Returns `value` as JSON with a line end.
pub(super) fn json(value: &impl Serialize) -> String {
    // Serialisation can't fail: keys are strings, and no part of it can fail.
    serde_json::to_string_pretty(value).unwrap_or_default() + "\n"
}
