//! What a SYN of a distributed scan aims at.

use super::{BLOCK, BLOCK_BITS};
use crate::{address::Address, scan::Shape};

/// The bits of the addresses of a block that tell them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum View {
    /// The last ones: neighbours.
    Hosts = 0,
    /// The last ones of an IPv6 address's subnet identifier: the hosts of neighbouring /64s with one interface
    /// identifier.
    Subnets = 1,
}

impl View {
    /// The views of an IPv4 address.
    pub const V4: &[Self] = &[Self::Hosts];
    /// The views of an IPv6 address.
    pub const V6: &[Self] = &[Self::Hosts, Self::Subnets];

    /// Returns the view with this number.
    #[must_use]
    pub const fn of(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Hosts),
            1 => Some(Self::Subnets),
            _ => None,
        }
    }

    /// Returns the number of bits below those that tell the addresses of a block apart.
    #[must_use]
    pub const fn shift(self) -> u32 {
        match self {
            Self::Hosts => 0,
            Self::Subnets => 64,
        }
    }

    /// Returns the block of an address.
    #[must_use]
    pub const fn block(self, address: u128) -> u128 {
        address & !self.mask()
    }

    /// Returns the place of an address in its block.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "the bits of a place")]
    pub const fn place(self, address: u128) -> u32 {
        ((address & self.mask()) >> self.shift()) as u32
    }

    /// Returns the address at a place of a block.
    #[must_use]
    pub const fn address(self, block: u128, place: u32) -> u128 {
        block | (place as u128) << self.shift()
    }

    /// Returns the length of the shortest network that contains a block.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "at most 119")]
    pub const fn prefix(self) -> u8 {
        (u128::BITS - BLOCK_BITS - self.shift()) as u8
    }

    /// Whether this is the number of a block.
    #[must_use]
    pub const fn is_block(self, block: u128) -> bool {
        self.block(block) == block
    }

    const fn mask(self) -> u128 {
        (BLOCK as u128 - 1) << self.shift()
    }
}

/// The port, block and shape of a SYN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    pub(super) block: u128,
    pub(super) place: u32,
    pub(super) port: u16,
    pub(super) shape: Shape,
    pub(super) view: View,
}

impl Target {
    /// Returns the target of a SYN, as one of the views of its address.
    #[must_use]
    pub fn new<A: Address>(address: A, port: u16, shape: Shape, view: View) -> Self {
        let address = u128::from_be_bytes(address.to_mapped().octets);
        Self { block: view.block(address), place: view.place(address), port, shape, view }
    }

    /// Returns the block: its first address as a number.
    #[must_use]
    pub const fn block(&self) -> u128 {
        self.block
    }
}
