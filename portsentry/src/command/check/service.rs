//! The command line of the service, which `/etc/default/portsentry` sets.

use std::{ffi::OsString, fs, io::ErrorKind, path::Path};

use crate::{cli::Cli, systemd::Service};

/// The unit's `EnvironmentFile`.
const FILE: &str = "/etc/default/portsentry";

/// Returns the service's command line, and what it was read from; `None` if `cli` has flags or a file of its own, or
/// there is no such file.
pub(super) fn command_line(cli: &Cli) -> Result<Option<(Cli, String)>, String> {
    if !cli.is_plain() {
        return Ok(None);
    }
    match fs::read_to_string(Path::new(FILE)) {
        Ok(text) => {
            let flags = flags(&text);
            let read =
                Cli::read(std::iter::once("portsentry".to_owned()).chain(flags.clone()).map(OsString::from));
            let problem = |error: clap::Error| format!("{FILE}: {}", error.to_string().trim_end());
            read.map_err(problem).map(|mut cli| {
                cli.service = Service::UNIT;
                Some((cli, format!("{} (from {FILE})", flags.join(" "))))
            })
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("{FILE} can't be read: {error}")),
    }
}

/// Returns the flags, as the unit's `ExecStart` has them.
fn flags(text: &str) -> Vec<String> {
    let value = |key: &str, default: &str| {
        // As systemd reads it: the last line takes precedence (systemd.exec(5)).
        let lines = text.lines().map(str::trim).filter(|line| !line.starts_with(['#', ';']));
        let mut values = lines.filter_map(|line| line.split_once('=').filter(|(name, _)| name.trim() == key));
        values.next_back().map_or_else(|| default.to_owned(), |(_, value)| unquoted(value.trim()).to_owned())
    };
    let modes = [value("TCP_MODE", "stcp"), value("UDP_MODE", "sudp")].map(|mode| format!("-{mode}"));
    let options = value("OPTIONS", "");
    modes.into_iter().chain(options.split_ascii_whitespace().map(str::to_owned)).collect()
}

fn unquoted(value: &str) -> &str {
    let inner = |quote| value.strip_prefix(quote)?.strip_suffix(quote);
    inner('"').or_else(|| inner('\'')).unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flags_are_those_of_the_unit() {
        for (text, expected) in [
            ("", "-stcp -sudp"),
            ("TCP_MODE=\"atcp\"\nUDP_MODE='audp'\n", "-atcp -audp"),
            ("# TCP_MODE=\"tcp\"\nTCP_MODE=tcp\nOPTIONS=\"-i eth0  -v\"", "-tcp -sudp -i eth0 -v"),
            ("TCP_MODE=\"tcp\"\nTCP_MODE=\"atcp\"\nTCP_MODES=\"x\"", "-atcp -sudp"),
        ] {
            assert_eq!(flags(text).join(" "), expected, "{text}");
        }
    }
}
