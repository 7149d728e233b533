//! Damages a frame's bits, bytes and lengths. At least the length of an Ethernet header remains.

use fastrand::Rng;

/// Length of an Ethernet header.
const LEAST: usize = 14;
/// Bytes at the edges of ranges.
const EDGES: [u8; 12] = [0, 1, 4, 5, 6, 17, 0x40, 0x45, 0x60, 0x7f, 0x80, 0xff];

/// Damages `frame` in a few places, mostly in its headers.
pub(super) fn damage(random: &mut Rng, mut frame: Vec<u8>) -> Vec<u8> {
    for _ in 0..random.u8(1..4) {
        let headers = frame.len().min(100);
        let at = random.usize(..headers);
        match random.u8(..10) {
            0..3 => frame[at] ^= 1 << random.u8(..8),
            3 => frame[at] = random.u8(..),
            4..6 => frame[at] = EDGES[random.usize(..EDGES.len())],
            6 => frame[at] = frame[at].wrapping_add(if random.bool() { 1 } else { 255 }),
            7 => frame.truncate(random.usize(LEAST..=frame.len())),
            8 => {
                let bytes: Vec<u8> = (0..random.usize(1..9)).map(|_| random.u8(..)).collect();
                frame.splice(at..at, bytes);
            }
            _ => {
                let end = (at + random.usize(1..9)).min(frame.len());
                frame.drain(at..end);
            }
        }
        if frame.len() < LEAST {
            frame.resize(LEAST, 0);
        }
    }
    frame
}
