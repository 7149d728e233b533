//! The devices above each interface: a bridge above its ports, a VLAN device above its base, a VRF above its members.
//! A packet that arrives on an interface is delivered as one of the devices above it.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
};

use nix::sys::socket::SockProtocol;

use super::PATIENCE;
use crate::{
    netlink::{Socket, attributes},
    pppoe,
};

/// `RTM_NEWLINK` and `RTM_GETLINK`.
const NEW_LINK: u16 = 16;
const GET_LINK: u16 = 18;
/// Length of `struct ifinfomsg`.
const LINK: usize = 16;
/// Attributes of `include/uapi/linux/if_link.h`.
const NAME: u16 = 3;
const LOWER: u16 = 5;
const MASTER: u16 = 10;
const INFO: u16 = 18;
const LOWER_NAMESPACE: u16 = 37;
const KIND: u16 = 1;
/// Kinds whose "link" is the peer of a pair, or the device through which a tunnel's packets leave. Packets that
/// arrive there are not delivered as this device.
const APART: [&[u8]; 16] = [
    b"veth",
    b"netkit",
    b"vxcan",
    b"vxlan",
    b"geneve",
    b"gre",
    b"gretap",
    b"ip6gre",
    b"ip6gretap",
    b"erspan",
    b"ip6erspan",
    b"ipip",
    b"sit",
    b"ip6tnl",
    b"vti",
    b"vti6",
];

/// Reads the devices.
#[derive(Debug)]
pub struct Devices(Socket);

/// A device, and the devices directly above it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Link {
    index: u32,
    master: Option<u32>,
    lower: Option<u32>,
    carries: bool,
    is_ppp: bool,
}

impl Devices {
    /// Opens a socket.
    pub fn open() -> io::Result<Self> {
        Socket::open(SockProtocol::NetlinkRoute, Some(PATIENCE)).map(Self)
    }

    /// Returns the devices as which packets from `watched` interfaces are delivered, each with these interfaces.
    /// Each watched interface is included.
    pub fn read(&mut self, watched: &BTreeSet<u32>) -> io::Result<BTreeMap<u32, BTreeSet<u32>>> {
        let (mut links, carriers) = (Vec::new(), pppoe::carriers());
        self.0.list((GET_LINK, &[0; LINK]), NEW_LINK, |body| links.extend(read(body, &carriers)))?;
        Ok(above(&links, watched))
    }
}

/// Reads one device; `carriers` are the names of interfaces that carry PPPoE sessions.
fn read(body: &[u8], carriers: &[Vec<u8>]) -> Option<Link> {
    let (header, rest) = body.split_at_checked(LINK)?;
    let number = |wanted| {
        attributes(rest).find(|(kind, _)| *kind == wanted).and_then(|(_, value)| value.first_chunk()).copied()
    };
    let number = |wanted| number(wanted).map(u32::from_ne_bytes);
    let kind = attributes(rest)
        .filter(|(kind, _)| *kind == INFO)
        .flat_map(|(_, info)| attributes(info))
        .find_map(|(kind, value)| (kind == KIND).then_some(value));
    let text = |value: &'_ [u8]| value.strip_suffix(&[0]).unwrap_or(value).to_vec();
    let kind = kind.map(text);
    let name = attributes(rest).find(|(kind, _)| *kind == NAME).map(|(_, name)| text(name));
    let is_apart =
        kind.as_deref().is_some_and(|kind| APART.contains(&kind)) || number(LOWER_NAMESPACE).is_some();
    Some(Link {
        index: u32::from_ne_bytes(*header.get(4..)?.first_chunk()?),
        master: number(MASTER),
        lower: number(LOWER).filter(|_| !is_apart),
        carries: name.is_some_and(|name| carriers.contains(&name)),
        is_ppp: kind.as_deref() == Some(b"ppp"),
    })
}

fn above(links: &[Link], watched: &BTreeSet<u32>) -> BTreeMap<u32, BTreeSet<u32>> {
    let mut reached: BTreeMap<u32, BTreeSet<u32>> = BTreeMap::new();
    for interface in watched {
        let mut found = vec![*interface];
        while let Some(device) = found.pop() {
            // A device may be reached in two ways, such as a VLAN device that is also a port of a bridge.
            if !reached.entry(device).or_default().insert(*interface) {
                continue;
            }
            found.extend(links.iter().filter(|link| link.index == device).filter_map(|link| link.master));
            found.extend(links.iter().filter(|link| link.lower == Some(device)).map(|link| link.index));
            // The kernel doesn't say which session belongs to which interface.
            if links.iter().any(|link| link.index == device && link.carries) {
                found.extend(links.iter().filter(|link| link.is_ppp).map(|link| link.index));
            }
        }
    }
    reached
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(index: u32, master: u32, lower: u32) -> Link {
        let some = |number: u32| (number != 0).then_some(number);
        Link { index, master: some(master), lower: some(lower), carries: false, is_ppp: false }
    }

    #[test]
    fn a_device_takes_what_comes_by_all_below_it() {
        // Two cards in a bond, a VLAN device on that, which is a port of a bridge in a VRF; and a separate card.
        let links = [
            link(1, 0, 0),
            link(2, 4, 0),
            link(3, 4, 0),
            link(4, 0, 0),
            link(5, 6, 4),
            link(6, 7, 0),
            link(7, 0, 0),
            link(8, 0, 0),
        ];
        let both = BTreeSet::from([2, 3]);
        let found = above(&links, &BTreeSet::from([2, 3, 8]));
        let expected = [
            (2, BTreeSet::from([2])),
            (3, BTreeSet::from([3])),
            (4, both.clone()),
            (5, both.clone()),
            (6, both.clone()),
            (7, both),
            (8, BTreeSet::from([8])),
        ];
        assert_eq!(found, expected.into());
        let session =
            [Link { carries: true, ..link(1, 0, 0) }, Link { is_ppp: true, ..link(2, 0, 0) }, link(3, 0, 0)];
        let found = above(&session, &BTreeSet::from([1, 3]));
        let expected = [(1, [1]), (2, [1]), (3, [3])].map(|(device, by)| (device, BTreeSet::from(by)));
        assert_eq!(found, expected.into(), "a PPP interface is above the card of its session");
        let ring = [link(1, 2, 0), link(2, 1, 0)];
        assert_eq!(above(&ring, &BTreeSet::from([1])).len(), 2, "a ring ends");
    }

    #[test]
    fn the_kernel_tells_of_loopback() {
        let index = nix::net::if_::if_nametoindex("lo").unwrap();
        let found = Devices::open().unwrap().read(&BTreeSet::from([index])).unwrap();
        assert_eq!(found, BTreeMap::from([(index, BTreeSet::from([index]))]));
    }
}
