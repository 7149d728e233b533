//! Starts the daemon in the foreground. It must not contain what the daemon does.

use std::{io::ErrorKind, path::Path};

use anyhow::Context;

use crate::{
    cli::Cli,
    config::{Config, LoadError, ignore},
    daemon::{self, Options},
    exit::Exit,
};

/// Runs the daemon until it is told to stop. What goes wrong is said on standard error.
#[must_use]
pub fn run(cli: &Cli) -> Exit {
    let options = match options(cli) {
        Ok(options) => options,
        Err(errors) => {
            for error in errors {
                eprintln!("{}", error.to_string().trim_end());
            }
            return Exit::Configuration;
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let ended = runtime
        .context("starting the event loop")
        .and_then(|runtime| runtime.block_on(daemon::run(options)).map_err(Into::into));
    match ended {
        Ok(()) => Exit::Success,
        Err(error) => {
            eprintln!("portsentry: {error:#}");
            let is_kernel = error
                .downcast_ref::<daemon::Error>()
                .is_some_and(|error| matches!(error, daemon::Error::Kernel(_) | daemon::Error::NoInterface));
            if is_kernel { Exit::Kernel } else { Exit::Failure }
        }
    }
}

/// Reads the configuration and the ignore file; the errors of both, if there are any.
fn options(cli: &Cli) -> Result<Options, Vec<LoadError>> {
    let (mut config, warnings) = Config::load(&cli.config_file).map_err(|error| vec![error])?;
    cli.override_config(&mut config);
    let (ignored, more) = match ignore::load(&config.ignore_file) {
        Err(LoadError::Io { path, source }) if is_default(&path) && source.kind() == ErrorKind::NotFound => {
            eprintln!("warning: {} is missing, so nobody is ignored but this host itself", path.display());
            (Vec::new(), None)
        }
        Err(error) => return Err(vec![error]),
        Ok((ignored, report)) => (ignored, Some(report)),
    };
    for report in std::iter::once(warnings).chain(more) {
        if !report.is_empty() {
            eprintln!("{}", report.to_string().trim_end());
        }
    }
    Ok(Options { modes: cli.modes(), config, ignored, debug: cli.debug })
}

/// A file that nobody asked for by name may be missing.
fn is_default(ignore_file: &Path) -> bool {
    ignore_file == Config::default().ignore_file
}
