//! The commands beside the two PortSentrys' flags, and what they take. It must not do them.

use std::{net::IpAddr, str::FromStr};

use clap::{Args, Subcommand, ValueEnum};
use ipnet::IpNet;

/// Commands beside the flags of the two PortSentrys.
#[derive(Clone, Debug, Subcommand)]
#[allow(clippy::doc_markdown, reason = "these comments are the text of --help")]
pub enum Verb {
    /// Say whether the configuration is right, and what would be watched, blocked and run
    Check,
    /// List the blocked and the fenced sources, also while no daemon runs
    List(List),
    /// Say whether enforcement is attached (exit status 0) or not (1), and what was counted
    Status(Status),
    /// Block addresses by way of the blocked file, which the daemon follows
    Block(Hold),
    /// Unblock addresses by way of the blocked file, which the daemon follows
    Unblock(Hold),
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

/// What `block` and `unblock` take.
#[derive(Clone, Debug, Args)]
pub struct Hold {
    /// IPv4 or IPv6 addresses
    #[arg(required = true, value_name = "ADDRESS")]
    pub addresses: Vec<IpAddr>,
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
}

/// An address or a network; of an address, the network that holds it alone.
fn network(text: &str) -> Result<IpNet, String> {
    let host = IpAddr::from_str(text).map(|address| IpNet::from(address.to_canonical()));
    host.or_else(|_| text.parse().map(|network: IpNet| network.trunc()))
        .map_err(|_| "write 192.0.2.7, 192.0.2.0/24, 2001:db8::7 or 2001:db8::/32".into())
}
