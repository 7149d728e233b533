//! Link layers with more than two VLAN tags, and PPPoE sessions (RFC 2516).
//!
//! Linux removes any number of tags that name no VLAN (`__netif_receive_skb_core`). They are read like a chain of
//! extension headers: see [`super::chain`].

use super::{
    ETHERTYPE, IP, Malformed,
    link::{ETHERNET, Link, Network, PPPOE, VLAN_ID, is_tag},
    progress::Deep,
};
use crate::frame::Frame;

/// Number of tags read per call.
const STEPS: usize = 16;
/// Calls of that function.
const ROUNDS: usize = 144;

/// Maximum number of VLAN tags that are read: more than fit in a frame of 9,000 bytes.
pub const MAX_TAGS: usize = STEPS * ROUNDS;

/// Length of a PPPoE session's header, in bytes.
const SESSION: usize = 6;
/// PPP's protocol numbers for IPv4 and IPv6 (RFC 1332, RFC 5072).
const PPP_IPV4: u16 = 0x0021;
const PPP_IPV6: u16 = 0x0057;

impl Deep {
    /// Reads at most `STEPS` further tags, up to the frame's end.
    #[inline(always)]
    #[must_use]
    pub fn next<F: Frame + ?Sized>(mut self, frame: &F) -> Self {
        for _ in 0..STEPS {
            if !is_tag(self.ethertype()) {
                return Self(self.0 | Self::DONE);
            }
            let Some([tag, ethertype]) = frame.load::<[u16; 2]>(self.offset()) else {
                return Self(self.0 | Self::DONE);
            };
            self = Self::new(self.offset() + 4, ethertype, u16::from_be(tag) & VLAN_ID);
        }
        self
    }

    /// Parses the link layer of `frame`, with any number of tags. Beyond [`MAX_TAGS`] it returns [`Network::Buried`].
    #[inline(always)]
    pub fn link<F: Frame + ?Sized>(frame: &F) -> Result<Link, Malformed> {
        let ethertype = frame.load(ETHERTYPE).ok_or(Malformed::Link)?;
        let mut deep = Deep::new(ETHERNET, ethertype, 0);
        for _ in 0..ROUNDS {
            deep = frame.next_tags(deep);
            if deep.0 & Deep::DONE != 0 {
                break;
            }
        }
        let (offset, ethertype, vlan) = (deep.offset(), deep.ethertype(), deep.vlan());
        // The last call may have read the last tag without a look at what follows.
        if deep.0 & Deep::DONE == 0 && is_tag(ethertype) {
            return Ok(Link { network: Network::Buried, length: offset, vlan, is_deep: true });
        }
        if is_tag(ethertype) {
            return Err(Malformed::Link);
        }
        if ethertype != PPPOE {
            return Ok(Link { network: Network::of(ethertype), length: offset, vlan, is_deep: true });
        }
        let [high, low] = frame.load::<[u8; 2]>(offset + SESSION).ok_or(Malformed::Link)?;
        // An odd first octet is a complete compressed number (RFC 1661 section 6.5). Linux accepts that even if it was
        // not negotiated.
        let (number, length) =
            if high & 1 == 1 { (high.into(), 1) } else { (u16::from_be_bytes([high, low]), IP) };
        let network = match number {
            PPP_IPV4 => Network::Ipv4,
            PPP_IPV6 => Network::Ipv6,
            _ => Network::Other,
        };
        Ok(Link { network, length: offset + SESSION + length, vlan, is_deep: true })
    }
}
