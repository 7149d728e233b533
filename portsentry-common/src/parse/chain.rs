//! Chains of IPv6 extension headers, RFC 8200 section 4.
//!
//! Linux follows a chain of any length. The verifier accepts only bounded loops and counts all of their steps.
//! Therefore a function that is verified separately follows a few headers at a time: each takes the verifier 700 steps.

use super::{
    ipv6::{AUTHENTICATION, FRAGMENT, is_extension},
    progress::{Chain, FARTHEST},
};
use crate::frame::Frame;

/// Number of headers followed per call.
const STEPS: usize = 8;
/// Calls of that function.
const ROUNDS: usize = 144;

/// Maximum number of extension headers that are followed: more than fit in a packet of 9,000 bytes.
pub const MAX_EXTENSIONS: usize = STEPS * ROUNDS;

impl Chain {
    /// Follows the chain to the transport header, to the end of a later fragment's headers, or as far as it can be
    /// read.
    #[inline(always)]
    #[must_use]
    pub fn follow<F: Frame + ?Sized>(mut self, frame: &F, end: usize) -> Self {
        for _ in 0..ROUNDS {
            self = frame.next_headers(self, end);
            if self.0 & Self::DONE != 0 {
                break;
            }
        }
        self
    }

    /// Follows the chain by at most `STEPS` headers.
    #[inline(always)]
    #[must_use]
    pub fn next<F: Frame + ?Sized>(mut self, frame: &F, end: usize) -> Self {
        for _ in 0..STEPS {
            if self.protocol() != FRAGMENT {
                self.0 |= Self::OPTIONS;
            }
            self = match self.step(frame, end) {
                Some(next) => next,
                None => return Self(self.0 | Self::DONE),
            };
            if self.0 & Self::DONE != 0 {
                break;
            }
        }
        self
    }

    /// Skips one header. Returns `None` if it runs past the packet, which ends at `end`.
    #[inline(always)]
    fn step<F: Frame + ?Sized>(self, frame: &F, end: usize) -> Option<Self> {
        let [next, length, high, low] = frame.load::<[u8; 4]>(self.offset())?;
        let number = self.protocol();
        let mut flags = self.0 & (0b11 << Self::PART | Self::OPTIONS);
        let length = match number {
            FRAGMENT => {
                let position = u16::from_be_bytes([high, low]);
                // A second fragment header doesn't complete a partial packet.
                match (position >> 3, position & 1) {
                    (0, 0) => {}
                    (0, _) => flags = flags & Self::OPTIONS | 1 << Self::PART,
                    _ => flags = flags & Self::OPTIONS | 0b10 << Self::PART,
                }
                8
            }
            // RFC 4302 section 2.2: the length is in words of four octets, minus two.
            AUTHENTICATION => (usize::from(length) + 2) * 4,
            _ => (usize::from(length) + 1) * 8,
        };
        let offset = self.offset() + length;
        if offset > end || offset > FARTHEST {
            return None;
        }
        let is_later = flags >> Self::PART & 0b10 != 0;
        if is_later || !is_extension(next) {
            flags |= Self::DONE;
        }
        Some(Self(Self::new(next, offset).0 | flags))
    }
}
