//! The table of single local addresses, before the tries of local networks (`LOCAL_V4`, `LOCAL_V6`), in which a look-up
//! takes many times as long.
//!
//! Each address has one slot. If several share it, the table holds one of them, and only the tries hold the others. The
//! daemon enters an address after the tries hold it.

use bytemuck::{Pod, Zeroable};

use crate::address::Address;

/// Number of slots.
pub const SLOTS: usize = 1 << BITS;
const BITS: u32 = 9;

/// A slot of the table.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct LocalHost {
    /// 4 or 6, or 0 if the slot is empty.
    pub version: u32,
    /// A [`crate::environment::Locality`].
    pub locality: u32,
    /// Halves of the address, IPv4 as IPv4-mapped.
    pub address: [u64; 2],
}

impl LocalHost {
    /// Returns the entry for `address` with a locality's number.
    #[must_use]
    pub fn new<A: Address>(address: A, locality: u32) -> Self {
        Self { version: A::VERSION.into(), locality, address: address.to_mapped().halves() }
    }

    /// Returns the locality's number if this is the entry of `address`.
    #[inline(always)]
    #[must_use]
    pub fn locality_of<A: Address>(&self, address: A) -> Option<u32> {
        let [high, low] = address.to_mapped().halves();
        let is_its = self.version == A::VERSION.into() && self.address[0] == high && self.address[1] == low;
        is_its.then_some(self.locality)
    }
}

/// Returns the number of the address's slot, by multiplicative hashing.
#[inline(always)]
#[must_use]
pub fn slot<A: Address>(address: A) -> u32 {
    let [a, b, c, d] = address.to_mapped().words();
    (a ^ b ^ c ^ d).to_le().wrapping_mul(0x9e37_79b9) >> (u32::BITS - BITS)
}

#[cfg(test)]
mod tests {
    use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
    use std::{collections::BTreeSet, vec::Vec};

    use proptest::prelude::*;

    use super::*;
    use crate::address::{Ipv4, Ipv6};

    fn slot_of(address: IpAddr) -> u32 {
        match address {
            IpAddr::V4(address) => slot(Ipv4::from(address)),
            IpAddr::V6(address) => slot(Ipv6::from(address)),
        }
    }

    #[test]
    fn the_addresses_of_a_gateway_have_slots_of_their_own() {
        let addresses: Vec<IpAddr> = [
            "10.0.0.1",
            "10.0.1.1",
            "172.16.0.1",
            "192.168.1.1",
            "203.0.113.9",
            "fe80::5054:ff:fe12:3456",
            "fd00::5054:ff:fe12:3456",
            "2001:db8::5054:ff:fe12:3456",
            "2001:db8:1::1",
            "2001:db8:2::1",
        ]
        .map(|address| address.parse().unwrap())
        .into();
        let slots: BTreeSet<u32> = addresses.iter().copied().map(slot_of).collect();
        assert_eq!(slots.len(), addresses.len());
    }

    proptest! {
        #[test]
        fn an_entry_is_of_its_address_alone(address: u128, other: u128, locality in 1_u32..3) {
            let [address, other] = [address, other].map(|address| Ipv6::from(Ipv6Addr::from(address)));
            let entry = LocalHost::new(address, locality);
            prop_assert_eq!(entry.locality_of(address), Some(locality));
            prop_assert_eq!(entry.locality_of(other), (address == other).then_some(locality));
            prop_assert!((slot(address) as usize) < SLOTS);
        }

        #[test]
        fn a_mapped_address_is_another_and_an_empty_slot_is_of_none(address: u32) {
            let v4 = Ipv4::from(Ipv4Addr::from(address));
            let entry = LocalHost::new(v4, 1);
            prop_assert_eq!((entry.locality_of(v4), entry.locality_of(v4.to_mapped())), (Some(1), None));
            for empty in [LocalHost::default(), LocalHost { version: 0, ..entry }] {
                prop_assert_eq!((empty.locality_of(v4), empty.locality_of(v4.to_mapped())), (None, None));
            }
            let nowhere = [LocalHost::default().locality_of(Ipv4::from_word(0)), LocalHost::default().locality_of(Ipv6::from_halves([0; 2]))];
            prop_assert_eq!(nowhere, [None; 2]);
        }
    }
}
