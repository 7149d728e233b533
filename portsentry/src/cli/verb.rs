//! The commands and their arguments.

use std::{net::IpAddr, time::Duration};

use clap::{Args, Subcommand};
use clap_complete::Shell;
use ipnet::IpNet;
use jiff::{Span, SpanRelativeTo};

use super::{
    Explain, Flags,
    fleet::{Allow, Peers},
    learned::{Forget, Served},
    list::{List, Lists},
    report::Report,
    share::Share,
    since::{Since, since},
};
pub use crate::inspect::select::network;
use crate::policy::register::HistoryAction;

/// Longest block that is not permanent, in seconds: a hundred years.
const LONGEST_TERM: u64 = 100 * 365 * 86400;

/// The commands.
#[derive(Clone, Debug, Subcommand)]
#[allow(clippy::doc_markdown, reason = "these comments are the text of --help")]
pub enum Verb {
    /// Watch: what portsentry does without a command, with the same flags
    Run(Box<Flags>),
    /// Validate the configuration, and print what would be watched, blocked and run
    Check(Check),
    /// List blocked and fenced sources, also without a running daemon
    List(List),
    /// Print the block lists (BLOCK_LIST, BLOCK_LISTS), with their entries and the packets that these lost
    Lists(Lists),
    /// Print whether enforcement is attached (exit status 0) or not (1), and the counters
    Status(Status),
    /// Explain the state of an address: whether it is blocked or fenced, why, and the packets that led to it
    Why(Why),
    /// Say what would happen to a packet now, and by which rules, without sending it
    Explain(Explain),
    /// Watch probes and dropped packets live, also without a running daemon
    Top(Top),
    /// Block addresses, also without a running daemon
    Block(Block),
    /// Unblock addresses, also without a running daemon
    Unblock(Unblock),
    /// List the other gateways of the fleet, or forget, hold or release one
    Peers(Peers),
    /// Exempt addresses from blocks in the whole fleet
    Allow(Allow),
    /// List the ports of other hosts that were learned from their answers (ANSWERS)
    Served(Served),
    /// Forget learned ports, until they answer again
    Forget(Forget),
    /// Print past blocks and fences from the history file
    History(History),
    /// Report on a period: when, what, who, how it ended, and what deserves a decision
    Report(Report),
    /// Print events: probes, blocks, fences, releases, errors
    Events(Events),
    /// Have the running daemon read its configuration again; return when it is in effect
    Reload(Reload),
    /// Stop the daemon if one runs, detach from every interface and remove all pins
    Down(Down),
    /// Check before attaching whether PortSentry can run here (exit status 1 if something prevents it)
    Doctor(Doctor),
    /// Arm PortSentry step by step; rolled back unless `portsentry confirm` follows
    Setup(Setup),
    /// Keep the configuration that `portsentry setup` has armed
    Confirm(Confirm),
    /// Group the sources seen so far: scanners, and candidates for the ignore file with the lines to add
    Review(Review),
    /// Send events as mail, webhooks and reports, as notify.conf says (executes portsentry-notify)
    Notify(Notify),
    /// Carry words between the gateways of a fleet, as share.conf says (executes portsentry-share)
    Share(Share),
    /// Print completions for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Print the addresses that are blocked or fenced, for completions
    #[command(hide = true)]
    Held,
    /// Print the manual page, in roff
    Man {
        /// The command to document, or portsentry.conf
        command: Option<String>,
    },
}

/// Arguments of `notify`.
#[derive(Clone, Debug, Args)]
pub struct Notify {
    /// The notifier's configuration file
    #[arg(short, long, value_name = "FILE", default_value = "/etc/portsentry/notify.conf")]
    pub file: std::path::PathBuf,
    /// Validate that file, and end
    #[arg(long, conflicts_with = "test")]
    pub check: bool,
    /// Download the block lists now, and end (exit status 1 if one fails)
    #[arg(long, conflicts_with_all = ["check", "test"])]
    pub fetch: bool,
    /// Send a test message to this channel, or to every one, and end (exit status 1 if one fails)
    #[arg(long, value_name = "CHANNEL", num_args = 0..=1, default_missing_value = "")]
    pub test: Option<String>,
}

/// Arguments of `check`.
#[derive(Clone, Copy, Debug, Args)]
pub struct Check {
    /// Take warnings as errors (exit status 3)
    #[arg(long)]
    pub strict: bool,
    /// Print JSON, for programs
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `status`.
#[derive(Clone, Copy, Debug, Args)]
pub struct Status {
    /// Print JSON, for programs
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `block`.
#[derive(Clone, Debug, Args)]
pub struct Block {
    /// IPv4 or IPv6 addresses, or networks such as 192.0.2.0/24; - reads a list from standard input
    #[arg(required = true, value_name = "ADDRESS", value_parser = target)]
    pub addresses: Vec<Target>,
    /// Duration, such as 90s, 2h or 3days; without it the block is permanent
    #[arg(long = "for", value_name = "TIME", value_parser = term)]
    pub term: Option<Duration>,
    /// Reason, for the blocked file and `why`
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// Also block the peer of an SSH session, or a network that holds one, a gateway or a name server
    #[arg(long)]
    pub force: bool,
    /// Print JSON, for programs
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `unblock`.
#[expect(clippy::struct_excessive_bools, reason = "they are flags")]
#[allow(clippy::doc_markdown, reason = "these comments are the text of --help")]
#[derive(Clone, Debug, Args)]
pub struct Unblock {
    /// IPv4 or IPv6 addresses, or networks such as 192.0.2.0/24 with everything in them; - reads a list from standard
    /// input
    #[arg(required_unless_present = "all", value_name = "ADDRESS", value_parser = target)]
    pub addresses: Vec<Target>,
    /// Unblock every source and network, except those of BLOCK_LIST
    #[arg(long, conflicts_with = "addresses")]
    pub all: bool,
    /// Confirm --all
    #[arg(long, requires = "all")]
    pub yes: bool,
    /// Reason, for the history, the log and `why`
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// Unblock only here, not at the other gateways of the fleet
    #[arg(long)]
    pub here: bool,
    /// Print JSON, for programs
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `why`.
#[derive(Clone, Copy, Debug, Args)]
pub struct Why {
    /// An IPv4 or IPv6 address
    pub address: IpAddr,
    /// Print times in UTC
    #[arg(long)]
    pub utc: bool,
    /// Print JSON, for programs
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `top`.
#[derive(Clone, Copy, Debug, Args)]
pub struct Top {
    /// Seconds between updates
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub interval: u64,
    /// Print one frame as text after one interval, and exit
    #[arg(long)]
    pub once: bool,
    /// Print that frame as JSON, for programs
    #[arg(long, requires = "once")]
    pub json: bool,
}

/// Arguments of `down`.
#[derive(Clone, Copy, Debug, Args)]
pub struct Down {
    /// Seconds to wait for the daemon to stop
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub patience: u64,
    /// Print JSON, for programs
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `reload`.
#[derive(Clone, Copy, Debug, Args)]
pub struct Reload {
    /// Print JSON, for programs
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `history`.
#[allow(clippy::doc_markdown, reason = "these comments are the text of --help")]
#[derive(Clone, Debug, Args)]
pub struct History {
    /// Only this address, or addresses in this network
    #[arg(long, value_parser = network)]
    pub address: Option<IpNet>,
    /// Only entries since this time (2026-11-23, 2026-11-23T10:00, with or without Z) or for this long (2h, 3days)
    #[arg(long, value_name = "TIME", value_parser = since)]
    pub since: Option<Since>,
    /// Only probes whose kind contains this text, in any case: syn, xmas, udp (for 1.2's lines it is read from
    /// `EVIDENCE_FILE`)
    #[arg(long)]
    pub kind: Option<String>,
    /// Only entries of this action
    #[arg(long, alias = "deed")]
    pub action: Option<HistoryAction>,
    /// Only the last entries
    #[arg(long, value_name = "NUMBER")]
    pub limit: Option<usize>,
    /// Print times in UTC, and read those without a zone as UTC
    #[arg(long)]
    pub utc: bool,
    /// Print JSON, for programs
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `events`.
#[derive(Clone, Debug, Args)]
pub struct Events {
    /// Also print later events, until interrupted; waits for the daemon if it restarts
    #[arg(short, long)]
    pub follow: bool,
    /// Only events with this action: probe, block, fence, lift, error and so on
    #[arg(long)]
    pub action: Option<String>,
    /// Only events about sources in this network, such as 192.0.2.0/24
    #[arg(long, alias = "address", value_parser = network)]
    pub network: Option<IpNet>,
    /// Only probes whose kind contains this text, in any case: syn, xmas, udp
    #[arg(long)]
    pub kind: Option<String>,
    /// Only probes to this port, and what follows from them
    #[arg(long)]
    pub port: Option<u16>,
    /// Only the last events; with --follow before the later ones
    #[arg(long, value_name = "NUMBER")]
    pub limit: Option<usize>,
    /// Only events behind the one with this number (event.sequence in JSON)
    #[arg(long, value_name = "SEQUENCE", conflicts_with = "limit")]
    pub after: Option<u64>,
    /// Print times in UTC
    #[arg(long)]
    pub utc: bool,
    /// Print JSON, for programs: one event a line
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `doctor`.
#[derive(Clone, Copy, Debug, Args)]
pub struct Doctor {
    /// Print JSON, for programs
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `confirm`.
#[derive(Clone, Copy, Debug, Args)]
pub struct Confirm {
    /// Roll the configuration back now
    #[arg(long)]
    pub roll_back: bool,
}

/// Arguments of `review`.
#[derive(Clone, Copy, Debug, Args)]
pub struct Review {
    /// Only packets since this time (2026-11-23, 2026-11-23T10:00, with or without Z) or for this long (2h, 3days)
    #[arg(long, value_name = "TIME", value_parser = since)]
    pub since: Option<Since>,
    /// Print times in UTC, and read those without a zone as UTC
    #[arg(long)]
    pub utc: bool,
    /// Print JSON, for programs
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `setup`.
#[allow(clippy::doc_markdown, reason = "these comments are the text of --help")]
#[derive(Clone, Debug, Args)]
pub struct Setup {
    /// Take every proposal without asking
    #[arg(long)]
    pub yes: bool,
    /// Never block this address or network; may be given several times
    #[arg(long, value_name = "ADDRESS", value_parser = network)]
    pub ignore: Vec<IpNet>,
    /// Watch these interfaces, separated by commas, or ALL or ALL_NLO
    #[arg(long, value_name = "LIST")]
    pub interfaces: Option<String>,
    /// Time for `portsentry confirm` before the configuration is rolled back
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = term)]
    pub confirm_within: Duration,
    /// Arm for good, without a time to roll back
    #[arg(long)]
    pub confirmed: bool,
    /// Wait for the confirmation, and roll back without it
    #[arg(long, hide = true)]
    pub wait_for_confirmation: bool,
}

/// What a command is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// A host or network.
    Network(IpNet),
    /// A list on standard input.
    Input,
}

impl Target {
    /// Returns the host or network; `None` for standard input.
    #[must_use]
    pub const fn network(&self) -> Option<IpNet> {
        match self {
            Self::Network(network) => Some(*network),
            Self::Input => None,
        }
    }
}

fn target(text: &str) -> Result<Target, String> {
    if text == "-" { Ok(Target::Input) } else { network(text).map(Target::Network) }
}

/// Reads a duration in whole seconds; days have 24 hours.
fn term(text: &str) -> Result<Duration, String> {
    let read = || {
        let span: Span = text.parse().ok()?;
        let exact = span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()?;
        u64::try_from(exact.as_secs()).ok().filter(|seconds| (1..=LONGEST_TERM).contains(seconds))
    };
    read().map(Duration::from_secs).ok_or_else(|| "write how long, such as 90s, 2h or 3days".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_are_whole_seconds() {
        for (text, expected) in [
            ("90s", Some(90)),
            ("2h", Some(7200)),
            ("1h 30m", Some(5400)),
            ("3days", Some(3 * 86400)),
            ("2 weeks", Some(14 * 86400)),
            ("PT5M", Some(300)),
            ("0s", None),
            ("-2h", None),
            ("1 month", None),
            ("200 years", None),
            ("90", None),
            ("soon", None),
        ] {
            assert_eq!(term(text).ok(), expected.map(Duration::from_secs), "{text}");
        }
    }
}
