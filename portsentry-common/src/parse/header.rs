//! Reads of fields that both IP headers share.

use super::Link;
use crate::frame::{Bytes, Frame};

/// Returns the first eight bytes of an IP header in host byte order. Lengths are extracted from this word: Linux
/// 6.12's verifier doesn't know that a swapped 16-bit number has only 16 bits, and refuses it as an offset.
#[inline(always)]
pub(super) fn beginning<B: Bytes>(packet: B, offset: usize) -> Option<u64> {
    packet.read(offset).map(u64::from_be)
}

/// Returns the length of the packet from `offset` on, if it is too long for its length field, which is then 0.
/// Linux merges segments into such packets ("BIG TCP").
#[cold]
#[inline(always)]
pub(super) fn oversize<F: Frame>(frame: &F, offset: usize) -> Option<usize> {
    let length = frame.length().saturating_sub(offset);
    (length > usize::from(u16::MAX)).then_some(length)
}

/// Returns the bytes from which an IP header behind `link` can be read directly. They start at a constant offset,
/// because for a variable one the verifier doesn't keep the bounds between two checks.
#[inline(always)]
pub(super) fn near<F: Frame>(frame: &F, link: &Link) -> Option<F::Bytes> {
    (F::IS_BARE || !link.is_deep).then(|| frame.fresh_bytes())
}
