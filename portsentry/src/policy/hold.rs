//! A block or fence in the register and the files.

use std::{
    net::IpAddr,
    ops::RangeInclusive,
    time::{Duration, SystemTime},
};

use ipnet::IpNet;
use portsentry_common::{block::Proof, classify::Protocol};

/// Start, end and cause of a block or fence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hold {
    /// Start of the block or fence.
    pub since: SystemTime,
    /// End; `None` for never.
    pub until: Option<SystemTime>,
    /// Port of the probe; 0 for an administrator's block.
    pub port: u16,
    /// Transport protocol of the probe.
    pub protocol: Protocol,
    /// The proof that the source itself sent it.
    pub proof: Proof,
    /// Whether it is a fence, not a block.
    pub is_fence: bool,
}

impl Hold {
    /// Returns a permanent block without proof.
    #[must_use]
    pub const fn for_good(since: SystemTime, port: u16, protocol: Protocol) -> Self {
        Self { since, until: None, port, protocol, proof: Proof::None, is_fence: false }
    }

    /// Returns an administrator's block.
    #[must_use]
    pub const fn ordered(since: SystemTime, until: Option<SystemTime>) -> Self {
        Self { until, proof: Proof::Administrator, ..Self::for_good(since, 0, Protocol::Tcp) }
    }

    /// Whether an administrator has set another end than in `other`.
    #[must_use]
    pub fn has_other_terms_than(&self, other: &Self) -> bool {
        let Some(until) = self.until.filter(|_| self.proof == Proof::Administrator) else { return false };
        !other.until.is_some_and(|other| is_same_moment(until, other))
    }

    /// Whether it has another start than `other`.
    #[must_use]
    pub fn is_apart_from(&self, other: &Self) -> bool {
        !is_same_moment(self.since, other.since)
    }

    /// Whether it has expired at `now`.
    #[must_use]
    pub fn is_over(&self, now: SystemTime) -> bool {
        self.until.is_some_and(|until| until <= now)
    }
}

/// State of a source.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// All its packets are dropped
    Blocked,
    /// New connections are dropped; established ones continue
    Fenced,
}

impl State {
    /// Returns the state's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Blocked => "blocked",
            Self::Fenced => "fenced",
        }
    }
}

/// Maximum difference between two times of one block: one may come from the kernel, and files have whole seconds.
pub(super) const ROUNDING: Duration = Duration::from_secs(2);

/// Whether two times, each possibly rounded to a second, are the same start or end of a block.
#[must_use]
pub fn is_same_moment(one: SystemTime, other: SystemTime) -> bool {
    one.duration_since(other).unwrap_or_else(|error| error.duration()) < ROUNDING
}

/// A blocked or fenced network. A host is a network with a single address, a /32 or /128.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// The network.
    pub network: IpNet,
    /// Start, end and cause.
    pub hold: Hold,
}

impl Record {
    /// Returns the network's first address: the host itself, if it is one.
    #[must_use]
    pub const fn source(&self) -> IpAddr {
        match self.network {
            IpNet::V4(network) => IpAddr::V4(network.addr()),
            IpNet::V6(network) => IpAddr::V6(network.addr()),
        }
    }

    /// Returns the usual notation.
    #[must_use]
    pub fn name(&self) -> String {
        name_of(self.network)
    }
}

/// Whether the network is a single host.
#[must_use]
pub fn is_host(network: IpNet) -> bool {
    network.prefix_len() == network.max_prefix_len()
}

/// Returns the usual notation: a host without a length.
#[must_use]
pub fn name_of(network: IpNet) -> String {
    if is_host(network) { network.addr().to_string() } else { network.to_string() }
}

/// Returns the network of `source` with this length, or the source alone for 0.
#[must_use]
pub fn network_of(source: IpAddr, prefix: u8) -> IpNet {
    let network = IpNet::new(source, prefix).ok().filter(|_| prefix != 0);
    network.map_or_else(|| source.into(), |network| network.trunc())
}

/// Returns the length of `network` in the kernel's maps: 0 for a host.
#[must_use]
pub fn prefix_of(network: IpNet) -> u8 {
    if is_host(network) { 0 } else { network.prefix_len() }
}

/// The possible lengths of `IPV6_PREFIX`.
pub const PREFIXES: RangeInclusive<u8> = 48..=127;
