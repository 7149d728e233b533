//! Ethernet and VLAN tags. It must not look past them.

use super::Malformed;
use crate::frame::Bytes;

/// `EtherType` of IPv4 as it stands in the frame.
pub(crate) const IPV4: u16 = 0x0800_u16.to_be();
/// `EtherType` of IPv6 as it stands in the frame.
pub(crate) const IPV6: u16 = 0x86dd_u16.to_be();
/// IEEE 802.1Q.
pub(crate) const CUSTOMER_TAG: u16 = 0x8100_u16.to_be();
/// IEEE 802.1ad.
const SERVICE_TAG: u16 = 0x88a8_u16.to_be();
/// The identifier's twelve bits in a tag.
const VLAN_ID: u16 = 0x0fff;

/// Offset of the `EtherType`, in bytes.
pub(crate) const ETHERTYPE: usize = 12;

/// Length of a VLAN tag, in bytes.
pub(crate) const TAG: usize = 4;

/// Length of the Ethernet header without tags, in bytes.
pub const ETHERNET: usize = 14;

/// What the frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// An IPv4 packet.
    Ipv4,
    /// An IPv6 packet.
    Ipv6,
    /// Nothing that can probe a port.
    Other,
}

impl Network {
    /// What follows that `EtherType`, as it stands in the frame.
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
    /// What follows it.
    pub network: Network,
    /// Offset of what follows it, in bytes.
    pub length: usize,
    /// Identifier of the innermost VLAN tag, 0 without one.
    pub vlan: u16,
}

impl Link {
    #[inline(always)]
    fn new(ethertype: u16, length: usize, vlan: u16) -> Self {
        Self { network: Network::of(ethertype), length, vlan }
    }
}

/// Whether that `EtherType`, as it stands in the frame, is a VLAN tag's.
#[inline(always)]
fn is_tag(ethertype: u16) -> bool {
    ethertype == CUSTOMER_TAG || ethertype == SERVICE_TAG
}

/// The Ethernet header of `frame` and up to two VLAN tags; behind a third, the network is [`Network::Other`].
#[inline(always)]
pub fn link<B: Bytes>(frame: B) -> Result<Link, Malformed> {
    let ethertype = frame.read::<u16>(ETHERTYPE).ok_or(Malformed::Link)?;
    if !is_tag(ethertype) {
        return Ok(Link::new(ethertype, ETHERNET, 0));
    }
    let [tag, ethertype] = frame.read::<[u16; 2]>(14).ok_or(Malformed::Link)?;
    if !is_tag(ethertype) {
        return Ok(Link::new(ethertype, 18, u16::from_be(tag) & VLAN_ID));
    }
    let [tag, ethertype] = frame.read::<[u16; 2]>(18).ok_or(Malformed::Link)?;
    Ok(Link::new(ethertype, 22, u16::from_be(tag) & VLAN_ID))
}
