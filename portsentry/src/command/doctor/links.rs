//! The interfaces of this network namespace, as the kernel and their drivers describe them.

use std::io;

use crate::{
    host::{self, Observer, Running},
    kernel::{Ethtool, Framing, Offloads, Queues},
};

/// An interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Link {
    pub index: u32,
    pub name: String,
    pub is_loopback: bool,
    /// Whether its frames begin with an Ethernet header.
    pub is_ethernet: bool,
    /// Whether its frames begin with the IP header.
    pub is_bare: bool,
    /// Its kind in `ip link add type`; `None` for a card.
    pub kind: Option<String>,
    pub driver: Option<String>,
    /// In bytes, without the Ethernet header.
    pub mtu: u32,
    pub queues: Option<Queues>,
    pub offloads: Option<Offloads>,
    pub xdp: Option<Running>,
}

/// Returns every interface, as described by the kernel and by its driver.
pub(super) fn read() -> io::Result<Vec<(host::Link, Link)>> {
    let ethtool = Ethtool::open()?;
    let links = Observer::connect()?.interfaces()?;
    Ok(links.into_values().map(|link| (link.clone(), describe(link, &ethtool))).collect())
}

fn describe(link: host::Link, ethtool: &Ethtool) -> Link {
    let name = link.name.bytes();
    let framing = Framing::of_type(link.hardware);
    Link {
        index: link.index,
        is_loopback: link.is_loopback,
        is_ethernet: framing == Framing::Ethernet,
        is_bare: framing == Framing::Bare,
        mtu: link.mtu,
        xdp: link.xdp,
        driver: ethtool.driver(name),
        queues: ethtool.queues(name),
        offloads: ethtool.offloads(name),
        name: link.name.to_string(),
        kind: link.kind,
    }
}
