//! Decides in which mode the kernel program is attached to an interface, and when it may become native.
//!
//! Several drivers (ixgbe, igb and nfp among them) refuse a larger MTU while a native program is attached. So the program is native
//! only on an interface that has been configured, and generic until then: it stops the same packets, at a higher cost.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use super::interfaces::is_reachable;
use crate::{
    config::XdpMode,
    host::{Link, LinkState},
};

/// How long an interface must have been configured, with the same MTU: scripts that run after the address is set may set the MTU.
pub const SETTLED: Duration = Duration::from_secs(5);
/// How long an interface must have had a carrier without getting an address: as one that only mirrors another's packets. Far longer than a
/// switch with spanning tree keeps a port from forwarding.
pub const CONNECTED: Duration = Duration::from_mins(5);
/// Time after the machine's boot within which an address may come from an initramfs, and the MTU is yet to be set.
pub const BOOTING: Duration = Duration::from_mins(3);

/// How the program is to be attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// Natively, or in generic mode if the driver refuses.
    Auto,
    /// Natively.
    Native,
    /// In generic mode. An earlier run's native program is detached first.
    Generic,
    /// In generic mode until the interface is configured. An earlier run's native program stays.
    Provisional,
}

/// What the decision depends on.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// `XDP_MODE`
    pub wanted: XdpMode,
    /// `CHALLENGE`
    pub challenges: bool,
    /// The interface.
    pub link: &'a Link,
    /// Whether its driver forgets native programs.
    pub forgets: bool,
    /// How long it has been ready for a native program.
    pub readiness: Readiness,
}

/// Decides how the program is attached at the time `now`, with a reason or consequence for the log.
#[must_use]
pub fn place(facts: &Facts<'_>, now: Instant) -> (Placement, Option<&'static str>) {
    let Facts { wanted, challenges, link, forgets, readiness } = facts;
    let answers_by_veth = *challenges && link.is("veth");
    match wanted {
        // A bond with a native program refuses members that run one or don't support one.
        XdpMode::Auto if link.is("bond") => {
            (Placement::Generic, Some("so that every card can join the bond at any time"))
        }
        // Answers to a challenge from a veth in native mode are lost unless its peer has an XDP program, too (the
        // kernel's `drivers/net/veth.c`).
        XdpMode::Auto if answers_by_veth => (
            Placement::Generic,
            Some("because CHALLENGE is on, and answers sent from a native veth can be lost"),
        ),
        XdpMode::Native if answers_by_veth => (
            Placement::Native,
            Some(
                "and CHALLENGE is on: its answers are lost unless the veth's other end runs an XDP program, \
                 too; XDP_MODE=\"auto\" loses none",
            ),
        ),
        XdpMode::Auto if *forgets => (
            Placement::Generic,
            Some("because its driver forgets native programs when the link or the rings are reset"),
        ),
        XdpMode::Native if *forgets => (
            Placement::Native,
            Some(
                "but its driver forgets the program when the link or the rings are reset, and then nothing is \
                 judged or dropped; XDP_MODE=\"auto\" avoids that",
            ),
        ),
        XdpMode::Auto if has_mtu_of_its_own(link) && readiness.at().is_none_or(|at| at > now) => (
            Placement::Provisional,
            Some("until it is configured, because drivers may refuse a larger MTU beside a native program"),
        ),
        XdpMode::Auto => (Placement::Auto, None),
        XdpMode::Native => (Placement::Native, None),
        XdpMode::Generic => (Placement::Generic, None),
    }
}

/// Whether a native program may keep the interface from getting a larger MTU. Most virtual interfaces can't run one.
fn has_mtu_of_its_own(link: &Link) -> bool {
    !link.is_loopback && (link.kind.is_none() || link.is("veth"))
}

/// Since when an interface has been ready for a native program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Readiness {
    /// Since when it has been configured with the same MTU.
    configured: Option<Instant>,
    /// Since when it has had a carrier.
    connected: Option<Instant>,
    /// Whether it was configured before the daemon looked.
    was_configured: bool,
    mtu: u32,
}

impl Readiness {
    /// Returns that of an interface that nothing changes any more, if it is configured.
    #[must_use]
    pub fn of_old(link: &Link, links: &BTreeMap<u32, Link>, now: Instant) -> Self {
        let readiness = Self::default().after(link, links, now);
        Self { was_configured: readiness.configured.is_some(), ..readiness }
    }

    /// Returns that of an interface which is `link` at the time `now`, and had this readiness before.
    #[must_use]
    pub fn after(self, link: &Link, links: &BTreeMap<u32, Link>, now: Instant) -> Self {
        let since = |before: Option<Instant>, holds: bool| holds.then(|| before.unwrap_or(now));
        let has_same_mtu = link.mtu == self.mtu;
        let configured = since(self.configured.filter(|_| has_same_mtu), is_configured(link, links));
        Self {
            configured,
            connected: since(self.connected, link.state == LinkState::Connected),
            was_configured: self.was_configured && has_same_mtu && configured.is_some(),
            mtu: link.mtu,
        }
    }

    /// Returns the time from which it is ready, if nothing changes.
    #[must_use]
    pub fn at(self) -> Option<Instant> {
        let settled = if self.was_configured { Duration::ZERO } else { SETTLED };
        let configured = self.configured.map(|since| since + settled);
        let connected = self.connected.map(|since| since + CONNECTED);
        configured.into_iter().chain(connected).min()
    }

    /// Returns the reason why it is ready.
    #[must_use]
    pub fn reason(self) -> &'static str {
        if self.configured.is_some() {
            "now that it is configured"
        } else {
            "because it has been connected for five minutes without an address"
        }
    }
}

/// Whether it is up, and has an address by which this host can be reached, or belongs to a bond, bridge or the like that is up.
fn is_configured(link: &Link, links: &BTreeMap<u32, Link>) -> bool {
    let has_master = || link.master.and_then(|master| links.get(&master)).is_some_and(is_up);
    is_up(link) && (is_reachable(link, links) || has_master())
}

fn is_up(link: &Link) -> bool {
    link.state != LinkState::Down
}

#[cfg(test)]
#[path = "placement/tests.rs"]
mod tests;
