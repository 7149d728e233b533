//! The link layer of a frame: Ethernet, VLAN tags, PPPoE.

/// `EtherType` of IPv4 in wire order.
pub(crate) const IPV4: u16 = 0x0800_u16.to_be();
/// `EtherType` of IPv6 in wire order.
pub(crate) const IPV6: u16 = 0x86dd_u16.to_be();
/// IEEE 802.1Q.
pub(crate) const CUSTOMER_TAG: u16 = 0x8100_u16.to_be();
/// IEEE 802.1ad.
const SERVICE_TAG: u16 = 0x88a8_u16.to_be();
/// A PPPoE session (RFC 2516).
pub(super) const PPPOE: u16 = 0x8864_u16.to_be();
/// The identifier's twelve bits in a tag.
pub(super) const VLAN_ID: u16 = 0x0fff;

/// Offset of the `EtherType`, in bytes.
pub(crate) const ETHERTYPE: usize = 12;

/// Length of a VLAN tag, in bytes.
pub(crate) const TAG: usize = 4;

/// Length of the Ethernet header without tags, in bytes.
pub const ETHERNET: usize = 14;

/// The network layer in a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// An IPv4 packet.
    Ipv4,
    /// An IPv6 packet.
    Ipv6,
    /// A network layer that can't carry a probe.
    Other,
    /// A packet behind more tags than are read. Its source is unknown.
    Buried,
}

impl Network {
    /// Returns the network layer of this `EtherType`, which is in wire order.
    #[inline(always)]
    pub(crate) fn of(ethertype: u16) -> Self {
        match ethertype {
            IPV4 => Self::Ipv4,
            IPV6 => Self::Ipv6,
            _ => Self::Other,
        }
    }
}

/// The link layer of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// The network layer behind it.
    pub network: Network,
    /// Offset of the network layer, in bytes.
    pub length: usize,
    /// Identifier of the innermost VLAN tag, or 0 without one.
    pub vlan: u16,
    /// Whether the link layer isn't plain Ethernet with at most two VLAN tags, so that the frame can't be rewritten
    /// into an answer.
    pub is_deep: bool,
}

impl Link {
    #[inline(always)]
    pub(super) fn near(ethertype: u16, length: usize, vlan: u16) -> Option<Self> {
        if is_tag(ethertype) || ethertype == PPPOE {
            return None;
        }
        Some(Self { network: Network::of(ethertype), length, vlan, is_deep: false })
    }
}

/// Whether this `EtherType`, in wire order, is that of a VLAN tag.
#[inline(always)]
pub(super) fn is_tag(ethertype: u16) -> bool {
    ethertype == CUSTOMER_TAG || ethertype == SERVICE_TAG
}
