//! Arguments of the commands about a fleet.

use clap::{Args, Subcommand};
use ipnet::IpNet;

use crate::{control::PeerAction, inspect::select::network};

/// Arguments of `peers`.
#[derive(Clone, Debug, Args)]
pub struct Peers {
    /// What to do; without it the gateways are listed
    #[command(subcommand)]
    pub action: Option<Judge>,
    /// Print times in UTC
    #[arg(long)]
    pub utc: bool,
    /// Print JSON, for programs
    #[arg(long)]
    pub json: bool,
}

/// What to do about a gateway.
#[derive(Clone, Debug, Subcommand)]
pub enum Judge {
    /// Forget what a gateway said, and release its blocks
    Forget(Gateway),
    /// Ignore a gateway's words, and suspend its blocks
    Hold(Gateway),
    /// Hear a gateway again that is held
    Release(Gateway),
}

impl Judge {
    /// Returns the gateway's name, and the action.
    #[must_use]
    pub fn parts(&self) -> (&str, PeerAction) {
        match self {
            Self::Forget(it) => (&it.gateway, PeerAction::Forget),
            Self::Hold(it) => (&it.gateway, PeerAction::Hold),
            Self::Release(it) => (&it.gateway, PeerAction::Release),
        }
    }
}

/// A gateway.
#[derive(Clone, Debug, Args)]
pub struct Gateway {
    /// Its name in the fleet
    pub gateway: String,
}

/// Arguments of `allow`.
#[derive(Clone, Debug, Args)]
pub struct Allow {
    /// IPv4 or IPv6 addresses, or networks such as 192.0.2.0/24
    #[arg(required = true, value_name = "ADDRESS", value_parser = network)]
    pub networks: Vec<IpNet>,
    /// End the exemption
    #[arg(long)]
    pub remove: bool,
    /// Print JSON, for programs
    #[arg(long)]
    pub json: bool,
}
