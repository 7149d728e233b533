//! Combines the configuration file, the ignore file and the command line.

use std::{io::ErrorKind, path::Path};

use ipnet::IpNet;

use crate::{
    cli::Cli,
    config::{BlockList, Config, Diagnostic, LoadError, Report, block_list, ignore},
    daemon::Options,
    policy::without_ports,
};

/// Reads a daemon's options and the warnings; if a file is invalid, returns all errors and warnings, line by line.
pub fn read(cli: &Cli) -> Result<(Options, Vec<String>), Vec<String>> {
    let mut findings = Findings::default();
    let read = Config::read(&cli.config_file);
    // A file that can't be read names no other files.
    let (mut config, report) = read.map_err(|error| lines(&[error.to_string()]))?;
    findings.add(&report);
    cli.override_config(&mut config);
    if config.fence != config.fence_in_effect() {
        findings.warn(
            "warning: FENCE=\"open\" is without effect: it has PortSentry answer for ports that nobody serves, and CHALLENGE is \
             off; set CHALLENGE=\"1\""
                .into(),
        );
    }
    let ignored = ignored(&config.ignore_file, &mut findings);
    let listed = block_list::load(&config.block_list).unwrap_or_else(|error| {
        findings.fail(&error);
        BlockList::default()
    });
    let Findings { is_wrong, mut texts, warnings } = findings;
    if is_wrong {
        return Err(lines(&texts));
    }
    let modes = cli.modes();
    texts.extend(without_ports(&config, modes).into_iter().map(|lack| format!("warning: {lack}")));
    Ok((Options { modes, config, ignored, listed, debug: cli.is_debugged(), warnings }, texts))
}

fn ignored(file: &Path, findings: &mut Findings) -> Vec<IpNet> {
    match ignore::load(file) {
        Ok((ignored, report)) => {
            findings.add(&report);
            return ignored;
        }
        Err(LoadError::Io { path, source }) if is_default(&path) && source.kind() == ErrorKind::NotFound => {
            findings.warn(format!(
                "warning: {} is missing: only this host, its gateways and name servers are ignored",
                path.display()
            ));
        }
        Err(error) => findings.fail(&error),
    }
    Vec::new()
}

/// Errors and warnings about the files.
#[derive(Default)]
struct Findings {
    is_wrong: bool,
    /// All of them, formatted for a terminal.
    texts: Vec<String>,
    /// The warnings in single lines, for a log.
    warnings: Vec<String>,
}

impl Findings {
    fn add(&mut self, report: &Report) {
        self.is_wrong |= report.has_errors();
        if !report.is_empty() {
            self.texts.push(report.to_string().trim_end().to_owned());
            self.warnings.extend(report.iter().map(Diagnostic::in_one_line));
        }
    }

    fn warn(&mut self, warning: String) {
        self.texts.push(warning.clone());
        self.warnings.push(warning);
    }

    fn fail(&mut self, error: &LoadError) {
        self.is_wrong = true;
        self.texts.push(error.to_string());
    }
}

fn lines(texts: &[String]) -> Vec<String> {
    texts.iter().flat_map(|text| text.trim_end().lines().map(str::to_owned)).collect()
}

/// The default file may be missing.
fn is_default(ignore_file: &Path) -> bool {
    ignore_file == Config::default().ignore_file
}
