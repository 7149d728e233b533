//! Selects the interfaces to watch, so that each frame from outside is judged once.

use std::{collections::BTreeMap, fmt};

use crate::{
    config::Interfaces,
    host::{Link, Name},
};

/// Maximum number of stacked interfaces (the kernel's `MAX_NEST_DEV` is 8).
const DEEPEST: usize = 16;

/// Reason why an interface is not watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeftOut {
    /// `INTERFACES` does not include it.
    Unwanted,
    /// It is a member of a watched bond or team; a member that runs a program could not join.
    Member(Name),
    /// Its frames are judged at the interface below it.
    Above(Name),
    /// It is a bridge or switch whose frames are judged at this port.
    Ports(Name),
    /// It is a bridge or switch without ports.
    NoPorts,
    /// It is the host's end of a container's veth pair.
    Container,
    /// A program is at its other end, such as a virtual machine or a VPN.
    Tun,
    /// It is a VRF, whose frames are judged at its members.
    Vrf,
    /// It is an `IPsec` interface. Its packets come with the link header of the interface that received them, which its type
    /// denies (`skb_mac_header_rebuild` in the kernel's `xfrm_input.c`).
    Ipsec,
}

impl fmt::Display for LeftOut {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unwanted => formatter.write_str("INTERFACES leaves it out"),
            Self::Member(master) => write!(formatter, "a member of {master}, which is watched"),
            Self::Above(lower) => write!(formatter, "its frames are judged at {lower}, below it"),
            Self::Ports(port) => write!(formatter, "its frames are judged at its ports, as {port}"),
            Self::NoPorts => formatter.write_str("it has no ports"),
            Self::Container => {
                formatter.write_str("the host's end of a container's veth pair, without an address")
            }
            Self::Tun => formatter.write_str("a tun or tap device: a program is at its other end"),
            Self::Ipsec => formatter.write_str("an IPsec interface, whose packets can't be read there"),
            Self::Vrf => formatter.write_str("its frames are judged at the members of this VRF"),
        }
    }
}

/// Decides for each of `links` whether it is watched, or why not.
#[must_use]
pub fn choose(wanted: &Interfaces, links: &BTreeMap<u32, Link>) -> BTreeMap<u32, Result<(), LeftOut>> {
    let stack = Stack { links, with_loopback: *wanted == Interfaces::All };
    let chosen = |link: &Link| match wanted {
        // A program attached there would see nothing, also if the interface is named.
        _ if link.is("xfrm") => Err(LeftOut::Ipsec),
        Interfaces::Named(names) if names.iter().any(|name| link.is_called(name)) => Ok(()),
        Interfaces::Named(_) => Err(LeftOut::Unwanted),
        Interfaces::All | Interfaces::AllButLoopback => stack.judge(link, 0),
    };
    links.iter().map(|(index, link)| (*index, chosen(link))).collect()
}

/// Returns the watched interfaces, and the others by the reason why they are not watched.
#[must_use]
pub fn described(
    wanted: &Interfaces,
    links: &BTreeMap<u32, Link>,
) -> (Vec<String>, BTreeMap<String, Vec<String>>) {
    let (mut watched, mut left_out) = (Vec::new(), BTreeMap::<_, Vec<_>>::new());
    for (index, chosen) in choose(wanted, links) {
        let Some(name) = links.get(&index).map(|link| link.name.to_string()) else { continue };
        match chosen {
            Ok(()) => watched.push(name),
            Err(reason) => left_out.entry(reason.to_string()).or_default().push(name),
        }
    }
    (watched, left_out)
}

/// Returns the names in `wanted` that no interface has.
pub fn missing<'a>(wanted: &'a Interfaces, links: &'a BTreeMap<u32, Link>) -> impl Iterator<Item = &'a str> {
    let names = if let Interfaces::Named(names) = wanted { names.as_slice() } else { &[] };
    let is_there = |name: &str| links.values().any(|link| link.is_called(name));
    names.iter().map(String::as_str).filter(move |name| !is_there(name))
}

/// Whether the interface, or one above it, has an address by which this host can be reached.
#[must_use]
pub fn is_reachable(link: &Link, links: &BTreeMap<u32, Link>) -> bool {
    Stack { links, with_loopback: false }.is_addressed(link, 0)
}

/// Stacked interfaces.
struct Stack<'a> {
    links: &'a BTreeMap<u32, Link>,
    with_loopback: bool,
}

impl Stack<'_> {
    fn judge(&self, link: &Link, depth: usize) -> Result<(), LeftOut> {
        if link.is_loopback {
            return if self.with_loopback { Ok(()) } else { Err(LeftOut::Unwanted) };
        }
        if depth > DEEPEST {
            return Ok(());
        }
        if let Some(master) = link.master.and_then(|master| self.links.get(&master))
            && takes_frames(master)
        {
            return Err(LeftOut::Member(master.name.clone()));
        }
        match link.kind.as_deref().unwrap_or_default() {
            "vlan" | "macvlan" | "macvtap" | "ipvlan" | "ipvtap" => match self.below(link) {
                Some(lower) if self.is_judged(lower, depth) => Err(LeftOut::Above(lower.name.clone())),
                _ => Ok(()),
            },
            // Its packets are read within the sessions' frames.
            "ppp" => {
                let carriers = || link.carriers.iter().filter_map(|index| self.links.get(index));
                match carriers().next() {
                    Some(first) if carriers().all(|carrier| self.is_judged(carrier, depth)) => {
                        Err(LeftOut::Above(first.name.clone()))
                    }
                    _ => Ok(()),
                }
            }
            "veth" | "netkit" if link.is_lower_elsewhere && !self.is_addressed(link, depth) => {
                Err(LeftOut::Container)
            }
            "tun" => Err(LeftOut::Tun),
            "vrf" => Err(LeftOut::Vrf),
            "bridge" | "openvswitch" => self.judge_switch(link, depth),
            _ => Ok(()),
        }
    }

    /// A bridge is watched only if its ports are not.
    fn judge_switch(&self, switch: &Link, depth: usize) -> Result<(), LeftOut> {
        let is_port = |link: &&Link| match link.master.and_then(|master| self.links.get(&master)) {
            // All ports belong to the same data path, whichever switch has them.
            Some(master) if switch.is("openvswitch") => master.is("openvswitch"),
            Some(master) => master.index == switch.index,
            None => false,
        };
        let mut ports = self.links.values().filter(is_port).peekable();
        if ports.peek().is_none() {
            return Err(LeftOut::NoPorts);
        }
        match ports.find(|port| self.is_judged(port, depth)) {
            Some(port) => Err(LeftOut::Ports(port.name.clone())),
            None => Ok(()),
        }
    }

    /// Whether frames that arrive on `link` are judged there, below it, or at its master.
    fn is_judged(&self, link: &Link, depth: usize) -> bool {
        matches!(
            self.judge(link, depth + 1),
            Ok(()) | Err(LeftOut::Member(_) | LeftOut::Above(_) | LeftOut::Ports(_))
        )
    }

    /// Returns the interface below it, if it is in this network namespace.
    fn below(&self, link: &Link) -> Option<&Link> {
        link.lower.filter(|_| !link.is_lower_elsewhere).and_then(|lower| self.links.get(&lower))
    }

    /// Whether it, or an interface above it, has an address by which this host can be reached.
    fn is_addressed(&self, link: &Link, depth: usize) -> bool {
        let is_above =
            |above: &&Link| above.lower == Some(link.index) && !above.is_lower_elsewhere && !above.is("veth");
        link.is_addressed
            || (depth <= DEEPEST
                && self.links.values().filter(is_above).any(|above| self.is_addressed(above, depth + 1)))
    }
}

/// Whether a master receives its members' frames as its own. Bonds and teams do, and all other masters except those
/// that only forward frames or look them up elsewhere.
fn takes_frames(master: &Link) -> bool {
    !["bridge", "openvswitch", "vrf"].iter().any(|kind| master.is(kind))
}

#[cfg(test)]
#[path = "interfaces/tests.rs"]
mod tests;
