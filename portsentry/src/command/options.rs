//! Combines the configuration file, the ignore file and the command line.

use std::path::Path;

use ipnet::IpNet;

use crate::{
    cli::Cli,
    config::{BlockList, Config, Diagnostic, Loaded, Report, block_list, ignore, salvage_ignored},
    daemon::Options,
    policy::{kills, without_ports},
    sanitize::sanitize,
    sink::origins::Origins,
};

/// Number of errors shown by a command that continues.
const SHOWN: usize = 5;

/// Reads a daemon's options and the warnings; if a file is invalid, returns all errors and warnings, line by line.
pub fn read(cli: &Cli) -> Result<(Options, Vec<String>), Vec<String>> {
    let mut findings = Findings::default();
    let read = Config::read(&cli.config_file);
    // A file that can't be read names no other files.
    let Loaded { mut config, report, refused, settings } =
        read.map_err(|error| lines(&[error.to_string()]))?;
    findings.add(&report);
    refused.iter().for_each(|problem| findings.fail(problem));
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
    let (origins, problems) = Origins::open(&config);
    problems.iter().chain(&origins.verify()).for_each(|problem| findings.fail(problem));
    let Findings { is_wrong, mut texts, warnings } = findings;
    if is_wrong {
        return Err(lines(&texts));
    }
    let modes = cli.modes();
    texts.extend(without_ports(&config, modes).into_iter().map(|lack| format!("warning: {lack}")));
    texts.extend(kills::lasting(&config, modes).map(|lasting| format!("warning: {lasting}")));
    Ok((Options { modes, config, ignored, listed, debug: cli.is_debugged(), warnings, settings }, texts))
}

/// Reads the valid parts of the same files, with defaults for the rest, so that no typo disables the commands that
/// show and lift blocks. Prints the errors.
pub fn salvage(cli: &Cli) -> Options {
    let (options, problems) = salvaged(cli);
    print(&problems, &options.config);
    options
}

/// Like [`salvage`], but returns the errors, one line each.
pub fn salvaged(cli: &Cli) -> (Options, Vec<String>) {
    let (mut config, settings, mut problems) = Config::salvage(&cli.config_file);
    cli.override_config(&mut config);
    let (ignored, more) = salvage_ignored(&config.ignore_file);
    problems.extend(more);
    let (listed, more) = BlockList::salvage(&config.block_list);
    problems.extend(more);
    let debug = cli.is_debugged();
    (Options { modes: cli.modes(), config, ignored, listed, debug, warnings: Vec::new(), settings }, problems)
}

/// Like [`salvage`], for the configuration file alone, without the command line's flags but those for paths.
pub fn config(cli: &Cli) -> Config {
    let (mut config, _, problems) = Config::salvage(&cli.config_file);
    cli.override_paths(&mut config);
    print(&problems, &config);
    config
}

/// Opens the files with the origins of sources. Prints the errors.
pub fn origins(config: &Config) -> Origins {
    let (origins, problems) = Origins::open(config);
    problems.iter().for_each(|problem| eprintln!("portsentry: {problem}; sources are shown without it"));
    origins
}

fn print(problems: &[String], config: &Config) {
    problems.iter().take(SHOWN).for_each(|problem| eprintln!("portsentry: {}", sanitize(problem)));
    if problems.len() > SHOWN {
        eprintln!("portsentry: {} more; `portsentry check` shows them", problems.len() - SHOWN);
    }
    if !problems.is_empty() {
        let socket = config.control_socket.as_ref().map(|path| path.display().to_string());
        eprintln!(
            "portsentry: continuing with all that is valid, and defaults: PIN_PATH {} (--pin-path), CONTROL_SOCKET {} \
             (--control-socket)",
            config.pin_path.display(),
            socket.as_deref().unwrap_or("off"),
        );
    }
}

fn ignored(file: &Path, findings: &mut Findings) -> Vec<IpNet> {
    match ignore::load(file) {
        Ok(ignored) => {
            ignored.reports.iter().for_each(|report| findings.add(report));
            if ignored.is_missing {
                findings.warn(format!(
                    "warning: {} is missing: only this host, its gateways and name servers are ignored",
                    file.display()
                ));
            }
            ignored.networks
        }
        Err(error) => {
            findings.fail(&error);
            Vec::new()
        }
    }
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

    fn fail(&mut self, error: &impl std::fmt::Display) {
        self.is_wrong = true;
        self.texts.push(error.to_string());
    }
}

fn lines(texts: &[String]) -> Vec<String> {
    texts.iter().flat_map(|text| text.trim_end().lines().map(str::to_owned)).collect()
}
