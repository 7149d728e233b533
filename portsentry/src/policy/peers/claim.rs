//! What peers say about networks, by this host's clock.

use std::time::{Duration, SystemTime};

/// Milliseconds since 1970.
pub type Millis = u64;
/// The number of a peer in the kernel's maps. [`HERE`] and [`ONLY_HERE`] are this gateway.
pub type Number = u32;

/// Returns a time in milliseconds since 1970.
#[must_use]
pub fn millis_of(time: SystemTime) -> Millis {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Returns the time of a number of milliseconds since 1970.
#[must_use]
pub fn time_of(millis: Millis) -> SystemTime {
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(millis)).unwrap_or(SystemTime::UNIX_EPOCH)
}

/// This gateway's own number.
pub const HERE: Number = 0;
/// This gateway's number for what its administrators don't tell the fleet.
pub const ONLY_HERE: Number = Number::MAX;

/// Whether a number is this gateway's.
pub(super) const fn is_own(number: Number) -> bool {
    number == HERE || number == ONLY_HERE
}

/// A peer's word that it blocks a source, by this host's clock. Of two words of a peer the later block counts, and of
/// one block the later end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Claim {
    /// Start.
    pub since: Millis,
    /// End.
    pub until: Millis,
    /// A [`portsentry_common::block::Proof`].
    pub proof: u8,
    /// A [`portsentry_common::classify::Kind`], or 0.
    pub kind: u8,
    /// Port of the last probe, or 0.
    pub port: u16,
    /// IP protocol number of the last probe.
    pub protocol: u8,
    /// When the same was first said: a lift since then holds it back. Usually its start.
    pub first: Millis,
}

/// A network that an administrator of the fleet has exempted, or exempts no longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Allowed {
    /// The moment.
    pub at: Millis,
    /// Whether it is exempt.
    pub allowed: bool,
}

/// A peer's block or fence that is in the kernel's map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Enforced {
    /// The peer.
    pub number: Number,
    /// What it said.
    pub claim: Claim,
    /// Whether it is a fence.
    pub is_fence: bool,
}
