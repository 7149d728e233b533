//! A block or fence as the register and the files know it.

use std::{
    net::IpAddr,
    ops::RangeInclusive,
    time::{Duration, SystemTime},
};

use ipnet::IpNet;
use portsentry_common::{block::Proof, classify::Protocol};

/// When a network became blocked or fenced, until when, and for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hold {
    /// When it was blocked or fenced.
    pub since: SystemTime,
    /// When that ends; `None` for never.
    pub until: Option<SystemTime>,
    /// Port of the probe that led to it; 0 where an administrator wrote the address alone.
    pub port: u16,
    /// That probe's transport protocol.
    pub protocol: Protocol,
    /// What proves that the source itself sent it.
    pub proof: Proof,
    /// It is fenced, not blocked.
    pub is_fence: bool,
}

impl Hold {
    /// A block without an end, which nothing proves.
    #[must_use]
    pub const fn for_good(since: SystemTime, port: u16, protocol: Protocol) -> Self {
        Self { since, until: None, port, protocol, proof: Proof::None, is_fence: false }
    }

    /// An administrator's block, of an address or network alone.
    #[must_use]
    pub const fn ordered(since: SystemTime, until: Option<SystemTime>) -> Self {
        Self { until, proof: Proof::Administrator, ..Self::for_good(since, 0, Protocol::Tcp) }
    }

    /// Whether an administrator has written another end than `other`'s.
    #[must_use]
    pub fn has_other_terms_than(&self, other: &Self) -> bool {
        let Some(until) = self.until.filter(|_| self.proof == Proof::Administrator) else { return false };
        !other.until.is_some_and(|other| is_same_moment(until, other))
    }

    /// Whether it began at another moment than `other`.
    #[must_use]
    pub fn is_apart_from(&self, other: &Self) -> bool {
        !is_same_moment(self.since, other.since)
    }

    /// Whether its end has come at `now`.
    #[must_use]
    pub fn is_over(&self, now: SystemTime) -> bool {
        self.until.is_some_and(|until| until <= now)
    }
}

/// How much two times of one block may differ: one may be the kernel's, and files have whole seconds.
const ROUNDING: Duration = Duration::from_secs(2);

/// Whether two times, of which either may be rounded to a second, tell of the same block's beginning or end.
#[must_use]
pub fn is_same_moment(one: SystemTime, other: SystemTime) -> bool {
    one.duration_since(other).unwrap_or_else(|error| error.duration()) < ROUNDING
}

/// A network that is blocked or fenced. A host is a network of its own, a /32 or /128.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// Whom.
    pub network: IpNet,
    /// Since when, until when, for what.
    pub hold: Hold,
}

impl Record {
    /// The network's first address, which is the host itself where it is one.
    #[must_use]
    pub const fn source(&self) -> IpAddr {
        match self.network {
            IpNet::V4(network) => IpAddr::V4(network.addr()),
            IpNet::V6(network) => IpAddr::V6(network.addr()),
        }
    }

    /// As people write it.
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

/// As people write it: a host without a length.
#[must_use]
pub fn name_of(network: IpNet) -> String {
    if is_host(network) { network.addr().to_string() } else { network.to_string() }
}

/// The network of `source` of that length; 0 for the source alone.
#[must_use]
pub fn network_of(source: IpAddr, prefix: u8) -> IpNet {
    let network = IpNet::new(source, prefix).ok().filter(|_| prefix != 0);
    network.map_or_else(|| source.into(), |network| network.trunc())
}

/// The length of `network` as the kernel's maps have it: 0 for a host.
#[must_use]
pub fn prefix_of(network: IpNet) -> u8 {
    if is_host(network) { 0 } else { network.prefix_len() }
}

/// The lengths that IPv6 networks are held by (`IPV6_PREFIX`).
pub const PREFIXES: RangeInclusive<u8> = 48..=127;
