//! Sends SYNs from a socket at a given rate.

use std::{
    cell::Cell,
    net::Ipv4Addr,
    thread,
    time::{Duration, Instant},
};

use portsentry_tests::lab::{Family, Lab, Wire, syn};

/// A watched port.
const PORT: u16 = 7;
/// Frames sent between two readings of the clock.
const AT_ONCE: u32 = 16;
/// Pause when ahead of schedule.
const PAUSE: Duration = Duration::from_micros(20);
/// Offset of the source in an untagged IPv4 frame without options.
const SOURCE: usize = 26;
/// Offsets of the checksums that cover it: those of the IP header and of TCP.
const CHECKSUMS: [usize; 2] = [24, 50];

/// A sender of SYNs to a watched port.
pub(crate) struct Paced {
    wire: Wire,
    frame: Vec<u8>,
}

thread_local! {
    /// Number of SYNs sent so far, so that no source repeats in a later run.
    static COUNT: Cell<u32> = const { Cell::new(0) };
}

impl Paced {
    pub(crate) fn new(lab: &Lab) -> Self {
        let frame = syn((Family::V4.member(99), 40_000).into(), (Family::V4.host(), PORT).into());
        Self { wire: Wire::mouth(&lab.scanner), frame }
    }

    /// Sends `rate` SYNs per second, or as many as possible, each from a different source. Returns the number sent.
    pub(crate) fn send(
        mut self,
        rate: Option<f64>,
        time: Duration,
        source: impl Fn(u32) -> Option<Ipv4Addr>,
    ) -> u64 {
        let begun = Instant::now();
        let mut sent = 0_u64;
        loop {
            let elapsed = begun.elapsed();
            if elapsed >= time {
                return sent;
            }
            // The number fits easily into an f64.
            #[expect(clippy::cast_precision_loss)]
            if rate.is_some_and(|rate| sent as f64 > elapsed.as_secs_f64() * rate) {
                thread::sleep(PAUSE);
                continue;
            }
            for _ in 0..AT_ONCE {
                let count = COUNT.replace(COUNT.get().wrapping_add(1));
                if let Some(source) = source(count) {
                    self.set_source(source);
                }
                self.wire.send_frame(&self.frame);
            }
            sent += u64::from(AT_ONCE);
        }
    }

    /// Changes the source, and adjusts the checksums (RFC 1624).
    fn set_source(&mut self, source: Ipv4Addr) {
        let new = source.octets();
        for at in CHECKSUMS {
            let word = |octets: &[u8], at: usize| u32::from(u16::from_be_bytes([octets[at], octets[at + 1]]));
            let mut sum = 0xffff - word(&self.frame, at);
            for half in [0, 2] {
                sum += 0xffff - word(&self.frame, SOURCE + half) + word(&new, half);
            }
            let folded = (sum & 0xffff) + (sum >> 16);
            let folded = (folded & 0xffff) + (folded >> 16);
            let checksum = !u16::try_from(folded).unwrap_or_default();
            self.frame[at..at + 2].copy_from_slice(&checksum.to_be_bytes());
        }
        self.frame[SOURCE..SOURCE + 4].copy_from_slice(&new);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_follow_the_source() {
        let lab = Lab::new();
        let mut paced = Paced::new(&lab);
        for source in [[203, 0, 113, 9], [0, 0, 0, 0], [255, 255, 255, 255]].map(Ipv4Addr::from) {
            paced.set_source(source);
            let segment = portsentry_tests::lab::segment(&paced.frame).expect("a segment");
            assert!(segment.is_sound && segment.source.ip() == source, "{segment:?}");
        }
    }
}
