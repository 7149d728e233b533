//! Parses Ethernet and up to two VLAN tags.

use super::{
    Malformed,
    link::{ETHERNET, ETHERTYPE, Link, Network, VLAN_ID, is_tag},
};
use crate::frame::{Bytes, Frame};

/// Parses the Ethernet header and up to two VLAN tags. Returns `None` if there are more, or if the frame is too
/// short.
#[inline(always)]
pub(crate) fn near_link<B: Bytes>(frame: B) -> Option<Link> {
    let ethertype = frame.read::<u16>(ETHERTYPE)?;
    if !is_tag(ethertype) {
        return Link::near(ethertype, ETHERNET, 0);
    }
    let [tag, ethertype] = frame.read::<[u16; 2]>(14)?;
    if !is_tag(ethertype) {
        return Link::near(ethertype, 18, u16::from_be(tag) & VLAN_ID);
    }
    let [tag, ethertype] = frame.read::<[u16; 2]>(18)?;
    Link::near(ethertype, 22, u16::from_be(tag) & VLAN_ID)
}

/// Parses the link layer of `frame`.
#[inline(always)]
pub fn link<F: Frame>(frame: &F) -> Result<Link, Malformed> {
    if F::IS_BARE {
        return bare(frame);
    }
    near_link(frame.bytes()).map_or_else(|| frame.deep_link(), Ok)
}

/// Returns the empty link layer of a frame that begins with its IP header.
#[inline(always)]
fn bare<F: Frame>(frame: &F) -> Result<Link, Malformed> {
    // Read as a word, because for a single octet the compiler checks the bounds with halves of pointers.
    let [version, ..] = frame.read::<[u8; 4]>(0).ok_or(Malformed::Link)?;
    let network = match version >> 4 {
        4 => Network::Ipv4,
        6 => Network::Ipv6,
        _ => Network::Other,
    };
    Ok(Link { network, length: 0, vlan: 0, is_deep: true })
}
