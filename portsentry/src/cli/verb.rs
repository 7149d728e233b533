//! The commands beside the two PortSentrys' flags, and what they take.

use std::{net::IpAddr, str::FromStr, time::Duration};

use clap::{Args, Subcommand, ValueEnum};
use clap_complete::Shell;
use ipnet::IpNet;
use jiff::{Span, SpanRelativeTo, Timestamp, Zoned, civil::DateTime, tz::TimeZone};

use super::Flags;

/// The longest block but one for good, in seconds: a hundred years.
const LONGEST_TERM: u64 = 100 * 365 * 86400;

/// Commands beside the flags of the two PortSentrys.
#[derive(Clone, Debug, Subcommand)]
#[allow(clippy::doc_markdown, reason = "these comments are the text of --help")]
pub enum Verb {
    /// Watch, as without a command, and with the same flags
    Run(Box<Flags>),
    /// Say whether the configuration is right, and what would be watched, blocked and run
    Check(Check),
    /// List the blocked and the fenced sources, also while no daemon runs
    List(List),
    /// Say whether enforcement is attached (exit status 0) or not (1), and what was counted
    Status(Status),
    /// Show everything that is known of an address: whether it is held, why, and the packets that led to it
    Why(Why),
    /// Watch what comes and what is dropped, live, also while no daemon runs
    Top(Top),
    /// Block addresses, also while no daemon runs
    Block(Block),
    /// Unblock addresses, also while no daemon runs
    Unblock(Unblock),
    /// Show what was done to whom, from the history file
    History(History),
    /// End the daemon if one runs, detach from every interface and remove all pins
    Down(Down),
    /// Say before attaching what speaks for and against it here (exit status 1 if something prevents it)
    Doctor(Doctor),
    /// Print completions for a shell
    Completions {
        /// Which
        shell: Shell,
    },
    /// Print the manual page, in roff
    Man {
        /// Of this command alone, or of portsentry.conf
        command: Option<String>,
    },
}

/// What `check` takes.
#[derive(Clone, Copy, Debug, Args)]
pub struct Check {
    /// Print JSON, for programs
    #[arg(long)]
    pub json: bool,
}

/// What `list` takes.
#[derive(Clone, Debug, Args)]
pub struct List {
    /// Only sources in this state
    #[arg(long)]
    pub state: Option<State>,
    /// Only sources in this network, such as 192.0.2.0/24
    #[arg(long, value_parser = network)]
    pub network: Option<IpNet>,
    /// Only sources whose last probe was of a kind whose name has this in it, in any case: syn, xmas, udp
    #[arg(long)]
    pub kind: Option<String>,
    /// In which order
    #[arg(long, value_enum, default_value_t = Sort::Since)]
    pub sort: Sort,
    /// Print JSON, for programs
    #[arg(long)]
    pub json: bool,
}

/// What `status` takes.
#[derive(Clone, Copy, Debug, Args)]
pub struct Status {
    /// Print JSON, for programs
    #[arg(long)]
    pub json: bool,
}

/// What `block` takes.
#[derive(Clone, Debug, Args)]
pub struct Block {
    /// IPv4 or IPv6 addresses, or networks such as 192.0.2.0/24
    #[arg(required = true, value_name = "ADDRESS", value_parser = network)]
    pub addresses: Vec<IpNet>,
    /// For how long, as 90s, 2h or 3days; for good without
    #[arg(long = "for", value_name = "TIME", value_parser = term)]
    pub term: Option<Duration>,
    /// Why, for the blocked file and `why`
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// Print JSON, for programs
    #[arg(long)]
    pub json: bool,
}

/// What `unblock` takes.
#[derive(Clone, Debug, Args)]
pub struct Unblock {
    /// IPv4 or IPv6 addresses, or networks such as 192.0.2.0/24
    #[arg(required = true, value_name = "ADDRESS", value_parser = network)]
    pub addresses: Vec<IpNet>,
    /// Print JSON, for programs
    #[arg(long)]
    pub json: bool,
}

/// What `why` takes.
#[derive(Clone, Copy, Debug, Args)]
pub struct Why {
    /// An IPv4 or IPv6 address
    pub address: IpAddr,
    /// Print JSON, for programs
    #[arg(long)]
    pub json: bool,
}

/// What `top` takes.
#[derive(Clone, Copy, Debug, Args)]
pub struct Top {
    /// Seconds between two looks
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub interval: u64,
    /// Print one frame as text after one interval, and end
    #[arg(long)]
    pub once: bool,
    /// Print that frame as JSON, for programs
    #[arg(long, requires = "once")]
    pub json: bool,
}

/// What `down` takes.
#[derive(Clone, Copy, Debug, Args)]
pub struct Down {
    /// Seconds that the daemon may take to end
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub patience: u64,
    /// Print JSON, for programs
    #[arg(long)]
    pub json: bool,
}

/// What `history` takes.
#[allow(clippy::doc_markdown, reason = "these comments are the text of --help")]
#[derive(Clone, Debug, Args)]
pub struct History {
    /// Only this address, or addresses in this network
    #[arg(long, value_parser = network)]
    pub address: Option<IpNet>,
    /// Only what came later: a time (2026-11-23, 2026-11-23T10:00, with or without Z) or how long ago (2h, 3days)
    #[arg(long, value_name = "TIME", value_parser = since)]
    pub since: Option<Timestamp>,
    /// Only probes of a kind whose name has this in it, in any case: syn, xmas, udp; that of 1.2's lines is in `EVIDENCE_FILE`
    #[arg(long)]
    pub kind: Option<String>,
    /// Only entries of this action
    #[arg(long, alias = "deed")]
    pub action: Option<HistoryAction>,
    /// Print JSON, for programs
    #[arg(long)]
    pub json: bool,
}

/// What `doctor` takes.
#[derive(Clone, Copy, Debug, Args)]
pub struct Doctor {
    /// Print JSON, for programs
    #[arg(long)]
    pub json: bool,
}

/// What the history tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum HistoryAction {
    /// All packets were dropped from then on
    Blocked,
    /// It could open nothing from then on
    Fenced,
    /// It was left alone, as configured
    Reported,
}

/// What may be done to a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// All its packets are dropped
    Blocked,
    /// It can open nothing; what it has open goes on
    Fenced,
}

/// Orders of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Sort {
    /// The oldest first
    Since,
    /// Whose packets were dropped most first
    Dropped,
    /// By address, IPv4 first
    Address,
    /// Who is let in first; those held for good last
    Until,
    /// Who probed most first
    Hits,
}

/// An address or a network; of an address, the network that holds it alone.
fn network(text: &str) -> Result<IpNet, String> {
    let host = IpAddr::from_str(text).map(|address| IpNet::from(address.to_canonical()));
    host.or_else(|_| text.parse().map(|network: IpNet| network.trunc()))
        .map_err(|_| "write 192.0.2.7, 192.0.2.0/24, 2001:db8::7 or 2001:db8::/32".into())
}

/// How long, in whole seconds; days have 24 hours.
fn term(text: &str) -> Result<Duration, String> {
    let read = || {
        let span: Span = text.parse().ok()?;
        let exact = span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()?;
        u64::try_from(exact.as_secs()).ok().filter(|seconds| (1..=LONGEST_TERM).contains(seconds))
    };
    read().map(Duration::from_secs).ok_or_else(|| "write how long, such as 90s, 2h or 3days".into())
}

/// A moment, on the local clock unless it says which; or the time that has gone by since.
fn since(text: &str) -> Result<Timestamp, String> {
    moment(text, &Zoned::now()).ok_or_else(|| {
        "write a time such as 2026-11-23, 2026-11-23T10:00 or 2026-11-23T10:00Z, or how long ago: 2h, 3days".into()
    })
}

fn moment(text: &str, now: &Zoned) -> Option<Timestamp> {
    let exact = || text.parse::<Timestamp>().ok();
    let local =
        |zone: &TimeZone| Some(text.parse::<DateTime>().ok()?.to_zoned(zone.clone()).ok()?.timestamp());
    let ago = || Some(now.checked_sub(text.parse::<Span>().ok()?.abs()).ok()?.timestamp());
    exact().or_else(|| local(now.time_zone())).or_else(ago)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_times_or_how_long_ago() {
        let now: Zoned = "2026-11-23T12:00:00+01:00[+01:00]".parse().unwrap();
        for (text, expected) in [
            ("2026-11-23T10:00:00Z", Some("2026-11-23T10:00:00Z")),
            ("2026-11-23T10:00", Some("2026-11-23T09:00:00Z")),
            ("2026-11-23 10:00:30", Some("2026-11-23T09:00:30Z")),
            ("2026-11-23", Some("2026-11-22T23:00:00Z")),
            ("2h", Some("2026-11-23T09:00:00Z")),
            ("3days", Some("2026-11-20T11:00:00Z")),
            ("1d 2h", Some("2026-11-22T09:00:00Z")),
            ("yesterday", None),
            ("", None),
        ] {
            let expected = expected.map(|text| text.parse().unwrap());
            assert_eq!(moment(text, &now), expected, "{text}");
        }
    }

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

    #[test]
    fn networks_are_addresses_or_prefixes() {
        for (text, expected) in [
            ("192.0.2.7", Some("192.0.2.7/32")),
            ("192.0.2.7/24", Some("192.0.2.0/24")),
            ("::ffff:192.0.2.7", Some("192.0.2.7/32")),
            ("2001:db8::7", Some("2001:db8::7/128")),
            ("host.example", None),
            ("192.0.2.7/33", None),
        ] {
            assert_eq!(
                network(text).ok().map(|network| network.to_string()),
                expected.map(Into::into),
                "{text}"
            );
        }
    }
}
