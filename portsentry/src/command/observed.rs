//! The way of every command that looks at the pinned maps: configuration, pins, and what is said where they fail.

use serde::Serialize;

use crate::{
    cli::Cli,
    config::Config,
    exit::Exit,
    kernel::{self, Observer},
};

/// The configuration, or the exit code where it is wrong, which has been said then.
pub(super) fn config(cli: &Cli) -> Result<Config, Exit> {
    match Config::load(&cli.config_file) {
        Ok((config, _)) => Ok(config),
        Err(error) => {
            eprintln!("{}", error.to_string().trim_end());
            Err(Exit::Configuration)
        }
    }
}

/// What is pinned where the configuration says, if anything is.
pub(super) fn observer(config: &Config) -> Result<Option<Observer>, Exit> {
    Observer::open(&config.pin_path).map_err(|error| failure(&error))
}

/// Says what went wrong at the kernel boundary.
pub(super) fn failure(error: &kernel::Error) -> Exit {
    eprintln!("portsentry: {error}");
    Exit::Kernel
}

/// The JSON of `value` and a line end.
pub(super) fn json(value: &impl Serialize) -> String {
    // What is serialized has string keys and no failing parts.
    serde_json::to_string_pretty(value).unwrap_or_default() + "\n"
}
