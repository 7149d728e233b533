//! A second network between the same members, of frames that carry VLAN tags. It must not know who is scanned.

use std::net::{IpAddr, Ipv4Addr};

use super::{INTERFACE, Lab, Namespace};

/// How a frame is tagged, outermost first: IEEE 802.1Q, or 802.1ad ("`QinQ`").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tag {
    /// One customer tag.
    Single,
    /// A service tag around a customer tag.
    Double,
}

impl Lab {
    /// Adds the host and the scanner to a network of tagged frames; their addresses on it. Tags stand in the frames
    /// themselves from there on, not beside them as a driver that takes them off would have it.
    #[must_use]
    pub fn add_tagged(&self, tag: Tag) -> (IpAddr, IpAddr) {
        for port in ["port1", "port2", "port3"] {
            keep_tags_in_frames(&self.switch, port);
        }
        let network = if tag == Tag::Single { 51 } else { 113 };
        let address = |member: u8| match tag {
            Tag::Single => Ipv4Addr::new(198, network, 100, member),
            Tag::Double => Ipv4Addr::new(203, 0, network, member),
        };
        let (host, scanner) = (address(1), address(2));
        for (member, address) in [(&self.host, host), (&self.scanner, scanner)] {
            keep_tags_in_frames(member, INTERFACE);
            let script = match tag {
                Tag::Single => format!(
                    "link add link {INTERFACE} name tagged type vlan id 7\naddress add {address}/24 dev tagged\n\
                     link set tagged up"
                ),
                Tag::Double => format!(
                    "link add link {INTERFACE} name outer type vlan proto 802.1ad id 5\nlink set outer up\n\
                     link add link outer name twice type vlan id 7\naddress add {address}/24 dev twice\n\
                     link set twice up"
                ),
            };
            member.ip(&script);
        }
        (host.into(), scanner.into())
    }
}

fn keep_tags_in_frames(namespace: &Namespace, interface: &str) {
    for offload in ["tx-vlan-hw-insert", "tx-vlan-stag-hw-insert"] {
        namespace.run("ethtool", &["-K", interface, offload, "off"]);
    }
}
