//! Shared by commands that read the pinned maps: configuration, pins, and error messages.

use serde::Serialize;

use crate::{
    cli::Cli,
    config::Config,
    exit::Exit,
    kernel::{self, Observer},
};

/// Returns the configuration; if it is invalid, prints that and returns the exit code.
pub(super) fn config(cli: &Cli) -> Result<Config, Exit> {
    match Config::load(&cli.config_file) {
        Ok((config, _)) => Ok(config),
        Err(error) => {
            eprintln!("{}", error.to_string().trim_end());
            Err(Exit::Configuration)
        }
    }
}

/// Returns the pinned maps of the configured directory, if there are any.
pub(super) fn observer(config: &Config) -> Result<Option<Observer>, Exit> {
    Observer::open(&config.pin_path).map_err(|error| failure(&error))
}

/// Prints an error at the kernel boundary.
pub(super) fn failure(error: &kernel::Error) -> Exit {
    eprintln!("portsentry: {error}");
    Exit::Kernel
}

/// Returns `value` as JSON with a line end.
pub(super) fn json(value: &impl Serialize) -> String {
    // Serialisation can't fail: keys are strings, and no part of it can fail.
    serde_json::to_string_pretty(value).unwrap_or_default() + "\n"
}
