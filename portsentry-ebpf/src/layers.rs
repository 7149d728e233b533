//! Header chains of any length. The verifier checks these functions separately, and each call gets the offset at
//! which to continue.

use aya_ebpf::{bindings::xdp_md, programs::XdpContext};
use portsentry_common::parse::{Chain, Deep, Link, MAX_TAGS, Malformed, Network};

use crate::frame::XdpFrame;

/// Fields of a link layer packed into a word. From the lowest bit: its length, the VLAN's identifier, and one of
/// these kinds.
const LENGTH: u64 = 0x3fff;
const VLAN: u32 = 32;
const NETWORK: u32 = 48;
const OTHER: u64 = 0;
const IPV4: u64 = 1;
const IPV6: u64 = 2;
const BURIED: u64 = 3;
const MALFORMED: u64 = 4;

/// Returns the link layer that [`deep_link`] packed into `word`.
#[inline(always)]
pub fn unpack(word: u64) -> Result<Link, Malformed> {
    let network = match word >> NETWORK {
        IPV4 => Network::Ipv4,
        IPV6 => Network::Ipv6,
        BURIED => Network::Buried,
        MALFORMED => return Err(Malformed::Link),
        _ => Network::Other,
    };
    Ok(Link { network, length: (word & LENGTH) as usize, vlan: (word >> VLAN) as u16, is_deep: true })
}

// Holds for every link layer that isn't buried. The mask is the verifier's bound on the offset.
const _: () = assert!(14 + 4 * MAX_TAGS + 8 < LENGTH as usize);

/// Reads a link layer of any depth.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn deep_link(context: *mut xdp_md) -> u64 {
    let context = XdpContext::new(context);
    let Ok(link) = Deep::link(&XdpFrame::<false>::new(&context)) else { return MALFORMED << NETWORK };
    let network = match link.network {
        Network::Ipv4 => IPV4,
        Network::Ipv6 => IPV6,
        Network::Buried => BURIED,
        Network::Other => OTHER,
    };
    network << NETWORK | u64::from(link.vlan) << VLAN | link.length as u64
}

/// Reads the next VLAN tags.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn next_tags(context: *mut xdp_md, deep: u64) -> u64 {
    let context = XdpContext::new(context);
    Deep::from_word(deep).next(&XdpFrame::<false>::new(&context)).to_word()
}

/// Follows a chain of IPv6 extension headers to its end.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn follow(context: *mut xdp_md, chain: u64, end: u64) -> u64 {
    let context = XdpContext::new(context);
    Chain::from_word(chain).follow(&XdpFrame::<false>::new(&context), end as usize).to_word()
}

/// Follows the chain for some more headers.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn next_headers(context: *mut xdp_md, chain: u64, end: u64) -> u64 {
    let context = XdpContext::new(context);
    Chain::from_word(chain).next(&XdpFrame::<false>::new(&context), end as usize).to_word()
}
