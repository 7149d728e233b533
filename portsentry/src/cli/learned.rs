//! Arguments of the commands about learned ports.

use clap::Args;
use ipnet::IpNet;

use crate::inspect::select::network;

/// Arguments of `served`.
#[derive(Clone, Debug, Args)]
pub struct Served {
    /// Only this address, or addresses in this network
    #[arg(long, value_parser = network)]
    pub network: Option<IpNet>,
    /// Print times in UTC
    #[arg(long)]
    pub utc: bool,
    /// Print JSON, for programs
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `forget`.
#[derive(Clone, Debug, Args)]
pub struct Forget {
    /// An IPv4 or IPv6 address, or a network such as 192.0.2.0/24
    #[arg(value_name = "ADDRESS", value_parser = network)]
    pub network: IpNet,
    /// Only this port, of either protocol
    #[arg(long)]
    pub port: Option<u16>,
}
