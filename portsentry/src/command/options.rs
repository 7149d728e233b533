//! The configuration file, the ignore file and the command line, put together. It must not act on them.

use std::{io::ErrorKind, path::Path};

use crate::{
    cli::Cli,
    config::{Config, LoadError, block_list, ignore},
    daemon::Options,
};

/// Reads everything that a daemon needs to know, and what is to be warned of; or what is wrong with it.
pub fn read(cli: &Cli) -> Result<(Options, Vec<String>), Vec<LoadError>> {
    let (mut config, report) = Config::load(&cli.config_file).map_err(|error| vec![error])?;
    cli.override_config(&mut config);
    let mut warnings = Vec::new();
    if !report.is_empty() {
        warnings.push(report.to_string().trim_end().to_owned());
    }
    let ignored = match ignore::load(&config.ignore_file) {
        Err(LoadError::Io { path, source }) if is_default(&path) && source.kind() == ErrorKind::NotFound => {
            warnings.push(format!(
                "warning: {} is missing, so nobody is ignored but this host, its gateways and resolvers",
                path.display()
            ));
            Vec::new()
        }
        Err(error) => return Err(vec![error]),
        Ok((ignored, report)) => {
            if !report.is_empty() {
                warnings.push(report.to_string().trim_end().to_owned());
            }
            ignored
        }
    };
    let listed = block_list::load(&config.block_list).map_err(|error| vec![error])?;
    Ok((Options { modes: cli.modes(), config, ignored, listed, debug: cli.is_debugged() }, warnings))
}

/// What is wrong, line by line.
pub fn lines(errors: &[LoadError]) -> Vec<String> {
    errors
        .iter()
        .flat_map(|error| error.to_string().trim_end().lines().map(str::to_owned).collect::<Vec<_>>())
        .collect()
}

/// A file that nobody asked for by name may be missing.
fn is_default(ignore_file: &Path) -> bool {
    ignore_file == Config::default().ignore_file
}
