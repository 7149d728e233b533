//! Numbered sources, the same in the maps and in the programs that walk through them.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    ops::Range,
};

use crate::bytecode::{
    Code, FRAME,
    operation::{ADD, MOVE, MULTIPLY, SHIFT_RIGHT, XOR},
};

/// Number of honest sources in a walk.
pub(crate) const HONEST: u32 = 1 << 20;

/// The finaliser of `MurmurHash3` (Appleby): shifts, each but the last followed by a multiplication. A bijection.
const MIX: [(u32, Option<u32>); 3] = [(16, Some(0x85eb_ca6b)), (13, Some(0xc2b2_ae35)), (16, None)];

fn mix(number: u32) -> u32 {
    MIX.into_iter()
        .fold(number, |mixed, (shift, factor)| (mixed ^ mixed >> shift).wrapping_mul(factor.unwrap_or(1)))
}

/// Returns the same function as instructions on the lower half of `register`. Clobbers `free`.
pub(crate) fn mixing(code: Code, register: u8, free: u8) -> Code {
    MIX.into_iter().fold(code, |code, (shift, factor)| {
        let code = code
            .alu32_by(MOVE, free, register)
            .alu32(SHIFT_RIGHT, free, shift.cast_signed())
            .alu32_by(XOR, register, free);
        match factor {
            Some(factor) => code.alu32(MULTIPLY, register, factor.cast_signed()),
            None => code,
        }
    })
}

/// An address family of the sources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    V4,
    V6,
}

pub(crate) const FAMILIES: [Family; 2] = [Family::V4, Family::V6];

impl Family {
    /// Returns its name.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        }
    }

    /// Returns source `number`. IPv4 sources are anywhere, IPv6 sources each in a separate /48.
    pub(crate) fn source(self, number: u32) -> IpAddr {
        let [a, b, c, d] = mix(number).to_le_bytes();
        match self {
            Self::V4 => Ipv4Addr::new(a, b, c, d).into(),
            Self::V6 => {
                let mut octets = Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 1).octets();
                octets[2..6].copy_from_slice(&[a, b, c, d]);
                octets.into()
            }
        }
    }

    /// Returns the offset of the source address in an untagged frame.
    pub(crate) const fn place(self) -> i16 {
        match self {
            Self::V4 => 26,
            Self::V6 => 22,
        }
    }

    /// Returns the number of words in an address.
    pub(crate) const fn words(self) -> i16 {
        match self {
            Self::V4 => 1,
            Self::V6 => 4,
        }
    }

    /// Returns instructions that give each frame of this length the next source. Its number is in the array called
    /// `map`.
    pub(crate) fn flood(self, length: usize, map: &'static str, sources: &Range<u32>) -> Code {
        const NUMBER: u8 = 5;
        const SHIFTED: u8 = 1;
        let octets = if self == Self::V4 { 0 } else { 2 };
        let code = Code::with_frame(length).next_number(NUMBER, map, sources.end - sources.start).alu32(
            ADD,
            NUMBER,
            sources.start.cast_signed(),
        );
        mixing(code, NUMBER, SHIFTED).store(4, FRAME, self.place() + octets, NUMBER)
    }

    /// Returns instructions that give each frame the next source. The frame's bytes from `slot` on hold its number.
    pub(crate) fn walk(self, slot: usize, sources: &Range<u32>) -> Code {
        const NUMBER: u8 = 4;
        const MIXED: u8 = 5;
        const SHIFTED: u8 = 1;
        let at = i16::try_from(slot).unwrap_or(i16::MAX);
        let code = Code::with_frame(slot + 4)
            .load(4, NUMBER, FRAME, at)
            .alu32(ADD, NUMBER, 1)
            .wrap(NUMBER, sources.start, sources.end)
            .store(4, FRAME, at, NUMBER)
            .alu32_by(MOVE, MIXED, NUMBER);
        let octets = if self == Self::V4 { 0 } else { 2 };
        mixing(code, MIXED, SHIFTED).store(4, FRAME, self.place() + octets, MIXED)
    }
}
