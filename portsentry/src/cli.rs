//! The command line: the flags of PortSentry 1.2 and of 2.x.

mod explain;
mod fleet;
mod learned;
mod list;
mod report;
mod share;
mod since;
mod verb;

use std::{ffi::OsString, path::PathBuf};

use clap::{Args, Parser, ValueEnum};

pub use self::explain::Explain;
pub use self::fleet::{Allow, Judge, Peers};
pub use self::learned::{Forget, Served};
pub use self::list::{Format, List, Lists, Selection};
pub use self::report::Report;
pub use self::share::{Share, ShareAction, ShareInit};
pub use self::since::Since;
pub use self::verb::{
    Block, Check, Confirm, Doctor, Down, Events, History, Notify, Reload, Review, Setup, Status, Target, Top,
    Unblock, Verb, Why, network,
};
use crate::{
    config::{Config, Interfaces, LogFormat, LogOutput},
    modes::{Mode, Modes},
    systemd::Service,
};

/// PortSentry 1.2's modes: a single dash and more than one letter.
const CLASSIC: [&str; 6] = ["-tcp", "-udp", "-stcp", "-sudp", "-atcp", "-audp"];
const DEFAULT_CONFIG: &str = "/etc/portsentry/portsentry.conf";

/// Detects port scans in the kernel and blocks their sources
#[derive(Clone, Debug, Parser)]
#[allow(clippy::doc_markdown, reason = "these comments are the text of --help")]
#[command(
    version,
    disable_version_flag = true,
    max_term_width = 100,
    // As with getopt_long, which 2.x uses.
    args_override_self = true,
    infer_long_args = true,
    after_help = "Modes of PortSentry 1.2, any number of them:\n  \
        -stcp, -sudp  watch TCP_PORTS, UDP_PORTS\n  \
        -tcp, -udp    accept connections to TCP_PORTS, datagrams to UDP_PORTS\n  \
        -atcp         watch every TCP port below ADVANCED_PORTS_TCP but ADVANCED_EXCLUDE_TCP\n  \
        -audp         watch every UDP port below ADVANCED_PORTS_UDP but ADVANCED_EXCLUDE_UDP\n\
        Without one, TCP_PORTS and UDP_PORTS are watched. A port on which a service listens is never\n\
        a trap.\n\n\
        Exit status: 0 success, 1 failure, 2 wrong command line, 3 wrong configuration,\n\
        4 kernel, interface or privileges"
)]
pub struct Cli {
    #[command(flatten)]
    flags: Flags,
    /// The configuration file
    #[arg(short = 'c', long = "configfile", value_name = "FILE", default_value = DEFAULT_CONFIG, global = true)]
    pub config_file: PathBuf,
    /// Directory of the pinned maps; overrides PIN_PATH, for a configuration that can't be read
    #[arg(long, value_name = "DIRECTORY", global = true)]
    pin_path: Option<PathBuf>,
    /// Path of the control socket, or off; overrides CONTROL_SOCKET
    #[arg(long, value_name = "FILE", global = true)]
    control_socket: Option<PathBuf>,
    /// Print the version
    #[arg(short = 'V', long, action = clap::ArgAction::Version)]
    version: Option<bool>,
    /// The service manager's part in this process.
    #[arg(skip)]
    pub service: Service,
    /// The command; without one, watch.
    #[command(subcommand)]
    pub verb: Option<Verb>,
}

/// The flags of both PortSentrys: the watched ports, and the way of watching them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args)]
#[expect(clippy::struct_excessive_bools, reason = "they are flags")]
#[allow(clippy::doc_markdown, reason = "these comments are the text of --help")]
pub struct Flags {
    #[arg(long, hide = true)]
    tcp: bool,
    #[arg(long, hide = true)]
    udp: bool,
    #[arg(long, hide = true)]
    stcp: bool,
    #[arg(long, hide = true)]
    sudp: bool,
    #[arg(long, hide = true)]
    atcp: bool,
    #[arg(long, hide = true)]
    audp: bool,
    /// Watch TCP_PORTS and UDP_PORTS without binding them (the default)
    #[arg(long)]
    stealth: bool,
    /// Accept connections to TCP_PORTS and datagrams to UDP_PORTS, and send PORT_BANNER
    #[arg(long, conflicts_with = "stealth")]
    connect: bool,
    /// Accepted for 2.x and ignored: capture is by XDP
    #[arg(short, long, value_name = "METHOD", hide = true)]
    method: Option<Method>,
    /// Watch this interface; ALL, ALL_NLO (all but loopback) or a name, repeatable
    #[arg(short, long = "interface", value_name = "INTERFACE")]
    interfaces: Vec<String>,
    /// Where to log, repeatable
    #[arg(short = 'l', long = "logoutput", value_name = "OUTPUT")]
    log_outputs: Vec<Output>,
    /// Also report packets whose source is their destination
    #[arg(short = 'L', long = "disable-local-check")]
    no_local_check: bool,
    /// Count packets to any address, not only to this host's
    #[arg(long)]
    any_destination: bool,
    /// Also count packets to ports on which a service listens
    #[arg(short = 'S', long = "disable-service-check")]
    no_service_check: bool,
    /// Run in the background, and log to syslog unless -l says otherwise
    #[arg(short = 'D', long)]
    daemon: bool,
    /// Log the kernel program's debug messages
    #[arg(short, long)]
    debug: bool,
    /// Also log probes without consequences, as 2.x does
    #[arg(short, long)]
    verbose: bool,
}

/// 2.x's capture methods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Method {
    Pcap,
    Raw,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    Stdout,
    Syslog,
    Journald,
}

impl Output {
    const fn target(self) -> LogOutput {
        match self {
            Self::Stdout => LogOutput::Stdout,
            Self::Syslog => LogOutput::Syslog,
            Self::Journald => LogOutput::Journald,
        }
    }
}

impl Cli {
    /// Reads the program's arguments, starting with its name. `clap` words the errors.
    pub fn read(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        let mut cli = Self::try_parse_from(arguments.into_iter().map(|argument| {
            let is_classic = CLASSIC.iter().any(|mode| argument == *mode);
            if is_classic { OsString::from(format!("-{}", argument.to_string_lossy())) } else { argument }
        }))?;
        if let Some(Verb::Run(flags)) = cli.verb.take_if(|verb| matches!(verb, Verb::Run(_))) {
            cli.flags.add(*flags);
        }
        // A background process reads the file again from another directory.
        for path in [Some(&mut cli.config_file), cli.pin_path.as_mut()].into_iter().flatten() {
            if let Ok(absolute) = std::path::absolute(&*path) {
                *path = absolute;
            }
        }
        Ok(cli)
    }

    /// Returns the requested modes: 2.x's, unless the flags name one of 1.2's.
    #[must_use]
    pub fn modes(&self) -> Modes {
        let classic = [
            (self.flags.tcp, Mode::Tcp),
            (self.flags.udp, Mode::Udp),
            (self.flags.stcp, Mode::Stcp),
            (self.flags.sudp, Mode::Sudp),
            (self.flags.atcp, Mode::Atcp),
            (self.flags.audp, Mode::Audp),
        ];
        let named = classic.into_iter().filter(|(is_on, _)| *is_on).map(|(_, mode)| mode);
        let connect = [Mode::Tcp, Mode::Udp].into_iter().filter(|_| self.flags.connect);
        let is_stealth = self.flags.stealth || !(self.is_classic() || self.flags.connect);
        let stealth = [Mode::Stcp, Mode::Sudp].into_iter().filter(|_| is_stealth);
        named.chain(connect).chain(stealth).collect()
    }

    /// Whether there are neither flags nor another configuration file than the default one.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.flags == Flags::default() && self.config_file == std::path::Path::new(DEFAULT_CONFIG)
    }

    /// Overrides `config` with the command line.
    pub fn override_config(&self, config: &mut Config) {
        // A keyword covers more than any name given with it.
        let has = |word: &str| self.flags.interfaces.iter().any(|name| name == word);
        if has("ALL") || has("any") {
            config.interfaces = Interfaces::All;
        } else if has("ALL_NLO") {
            config.interfaces = Interfaces::AllButLoopback;
        } else if !self.flags.interfaces.is_empty() {
            config.interfaces = Interfaces::Named(self.flags.interfaces.clone());
        }
        let mut outputs: Vec<LogOutput> = Vec::new();
        for output in self.flags.log_outputs.iter().copied().map(Output::target) {
            outputs.extend((!outputs.contains(&output)).then_some(output));
        }
        if let [first, others @ ..] = &outputs[..] {
            config.log_output = *first;
            config.also_log = others.to_vec();
        }
        if config.log_output == LogOutput::Auto {
            config.log_output = if self.service.has_journal {
                LogOutput::Journald
            } else if self.is_classic() || self.flags.daemon {
                LogOutput::Syslog
            } else {
                LogOutput::Stdout
            };
        }
        self.override_paths(config);
        config.log_notices |= self.flags.verbose;
        config.checks_services &= !self.flags.no_service_check;
        config.checks_destination &= !self.flags.any_destination;
        config.skips_own &= !self.flags.no_local_check;
        if config.log_format == LogFormat::Auto {
            config.log_format = if self.is_classic() { LogFormat::Classic } else { LogFormat::Revival };
        }
    }

    /// Replaces the paths by which commands reach the kernel's maps and the daemon.
    pub fn override_paths(&self, config: &mut Config) {
        if let Some(path) = &self.pin_path {
            config.pin_path.clone_from(path);
        }
        if let Some(path) = &self.control_socket {
            config.control_socket = (path.as_os_str() != "off").then(|| path.clone());
        }
    }

    /// Whether to run in the background: on request, and with 1.2's flags unless the log goes to standard output. A
    /// service manager that waits for the process would take that for its end.
    #[must_use]
    pub fn is_background(&self, config: &Config) -> bool {
        let is_wanted = self.flags.daemon || (self.is_classic() && !config.logs_to(LogOutput::Stdout));
        is_wanted && !self.service.awaits_readiness
    }

    /// Whether to log the kernel program's debug messages.
    #[must_use]
    pub const fn is_debugged(&self) -> bool {
        self.flags.debug
    }

    const fn is_classic(&self) -> bool {
        let Flags { tcp, udp, stcp, sudp, atcp, audp, .. } = self.flags;
        tcp || udp || stcp || sudp || atcp || audp
    }
}

impl Flags {
    /// Adds the flags after `run` to those before it.
    fn add(&mut self, behind: Self) {
        for (flag, more) in [
            (&mut self.tcp, behind.tcp),
            (&mut self.udp, behind.udp),
            (&mut self.stcp, behind.stcp),
            (&mut self.sudp, behind.sudp),
            (&mut self.atcp, behind.atcp),
            (&mut self.audp, behind.audp),
            (&mut self.stealth, behind.stealth),
            (&mut self.connect, behind.connect),
            (&mut self.no_local_check, behind.no_local_check),
            (&mut self.any_destination, behind.any_destination),
            (&mut self.no_service_check, behind.no_service_check),
            (&mut self.daemon, behind.daemon),
            (&mut self.debug, behind.debug),
            (&mut self.verbose, behind.verbose),
        ] {
            *flag |= more;
        }
        self.interfaces.extend(behind.interfaces);
        self.log_outputs.extend(behind.log_outputs);
    }
}

#[cfg(test)]
mod tests;
