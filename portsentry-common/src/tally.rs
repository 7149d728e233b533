//! Counts the distinct (address, port) pairs that a source has probed or completed handshakes with, in bounded
//! memory.

use bytemuck::{Pod, Zeroable};

use crate::address::Address;

/// An odd number whose multiples differ in all bits (Knuth, TAOCP 6.4).
const SPREAD: u32 = 0x9e37_79b9;

/// Bits of a pair's hash that hold its port.
const PORT: u32 = 0xffff;

/// Returns a hash of an address, combined with the port itself. Two ports of one address never collide.
#[inline(always)]
#[must_use]
pub fn pair<A: Address>(address: A, port: u16) -> u32 {
    let mut hash = 0_u32;
    for word in address.to_mapped().words() {
        hash = (hash ^ word).wrapping_mul(SPREAD);
    }
    hash & !PORT | u32::from(port)
}

/// The distinct pairs of one source. A retransmission, or a second attempt at the same port, adds none.
///
/// Only the last [`Tally::PAIRS`] pairs are remembered; an older one counts again.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct Tally {
    /// Time of the last new pair, in nanoseconds of `CLOCK_MONOTONIC`.
    pub last_ns: u64,
    /// Number of distinct pairs so far.
    pub hits: u32,
    /// Number of distinct ports among these pairs.
    pub ports: u32,
    /// Hashes of the pairs: see [`pair`].
    pub pairs: [u32; Tally::PAIRS],
}

impl Tally {
    /// Number of pairs that are remembered.
    pub const PAIRS: usize = 16;
    /// An empty tally.
    pub const EMPTY: Self = Self { last_ns: 0, hits: 0, ports: 0, pairs: [0; Self::PAIRS] };

    /// Adds a pair and returns the number of pairs. A tally starts over once its last new pair is `window_ns` old;
    /// with 0 it never does.
    ///
    /// A known pair doesn't extend the tally: a client that retries one port for months must not keep the other
    /// pairs alive.
    #[inline(always)]
    pub fn count(&mut self, pair: u32, now_ns: u64, window_ns: u64) -> u32 {
        if window_ns != 0 && now_ns.saturating_sub(self.last_ns) >= window_ns {
            (self.hits, self.ports) = (0, 0);
        }
        let (mut is_known, mut new_port) = (false, 1);
        for (place, known) in (0..).zip(&self.pairs) {
            // Not by `take`, whose end the kernel's verifier wouldn't see.
            if place >= self.hits {
                break;
            }
            let difference = *known ^ pair;
            if difference == 0 {
                is_known = true;
                break;
            }
            if difference & PORT == 0 {
                new_port = 0;
            }
        }
        if !is_known {
            self.ports = self.ports.saturating_add(new_port);
            self.pairs[self.hits as usize % Self::PAIRS] = pair;
            self.hits = self.hits.saturating_add(1);
            self.last_ns = now_ns;
        }
        self.hits
    }

    /// Returns the number of traps for which the pairs count as proof: one per port, and a quarter for each further
    /// address with a known port. An honest client with one wrong port may try it at all addresses of a name.
    #[inline(always)]
    #[must_use]
    pub const fn traps(&self) -> u32 {
        const SHARE: u32 = 4;
        self.ports.saturating_mul(SHARE - 1).saturating_add(self.hits) / SHARE
    }
}

/// The completed handshakes of one source.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct Handshakes {
    /// Handshakes with traps.
    pub traps: Tally,
    /// Time of the last use of an established connection to a service in nanoseconds of `CLOCK_MONOTONIC`, or 0 for
    /// never.
    pub connected_ns: u64,
}

impl Handshakes {
    /// No handshakes yet.
    pub const NONE: Self = Self { traps: Tally::EMPTY, connected_ns: 0 };
    /// Time for which a source counts as connected after its last packet on a connection: ten minutes, longer than
    /// most keep-alive intervals.
    const CONNECTED_NS: u64 = 600_000_000_000;

    /// Adds a handshake with the trap at `pair`. Returns the number of traps for which the source's handshakes
    /// count.
    #[inline(always)]
    pub fn count(&mut self, pair: u32, now_ns: u64, window_ns: u64) -> u32 {
        self.traps.count(pair, now_ns, window_ns);
        self.traps.traps()
    }

    /// Whether the source has a connection to a service at `now_ns`.
    #[inline(always)]
    #[must_use]
    pub const fn is_connected(&self, now_ns: u64) -> bool {
        self.connected_ns != 0 && now_ns.saturating_sub(self.connected_ns) < Self::CONNECTED_NS
    }
}

const _: () = assert!(size_of::<Tally>() == 80 && size_of::<Handshakes>() == 88);

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, net::Ipv4Addr, vec, vec::Vec};

    use proptest::prelude::*;

    use super::*;
    use crate::address::{Ipv4, Ipv6};

    const HOUR: u64 = 3_600_000_000_000;

    #[test]
    fn a_repeated_pair_is_one_and_new_ones_add_up() {
        let mut tally = Tally::EMPTY;
        let hits: Vec<u32> = [7, 7, 7, 8, 7, 8, 9, 0, 0].map(|pair| tally.count(pair, HOUR, HOUR)).into();
        assert_eq!(hits, [1, 1, 1, 2, 2, 2, 3, 4, 4]);
    }

    #[test]
    fn another_address_at_a_known_port_is_a_quarter_of_a_trap() {
        let at = |address: u8, port| pair(Ipv4::from(Ipv4Addr::new(198, 51, 100, address)), port);
        for (what, pairs, expected) in [
            ("one port", vec![at(1, 23), at(1, 23)], 1),
            ("one port at four addresses", (1..5).map(|address| at(address, 23)).collect(), 1),
            ("one port at five", (1..6).map(|address| at(address, 23)).collect(), 2),
            ("one port at a hundred", (0..100).map(|address| at(address, 23)).collect(), 25),
            ("two ports", vec![at(1, 23), at(1, 79)], 2),
            ("two ports at two addresses", vec![at(1, 23), at(2, 79)], 2),
            ("eight ports", (1..9).map(|port| at(1, port)).collect(), 8),
        ] {
            let mut tally = Tally::EMPTY;
            for pair in pairs {
                tally.count(pair, HOUR, HOUR);
            }
            assert_eq!(tally.traps(), expected, "{what}");
            tally.count(at(1, 7), 3 * HOUR, HOUR);
            assert_eq!(tally.traps(), 1, "{what}, long ago");
        }
    }

    #[test]
    fn addresses_of_one_network_are_distinct() {
        let v4: HashSet<u32> =
            (0..=255).map(|last| pair(Ipv4::from(Ipv4Addr::new(192, 0, 2, last)), 23)).collect();
        let v6 = |last| Ipv6::from(core::net::Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last));
        let v6: HashSet<u32> = (0..1024).map(|last| pair(v6(last), 23)).collect();
        assert_eq!((v4.len(), v6.len()), (256, 1024));
    }

    #[test]
    fn a_tally_ages_from_its_last_new_pair() {
        for (window, steps, expected) in [
            (HOUR, [(1, 0), (2, HOUR - 1), (3, 2 * HOUR - 2)], [1, 2, 3]),
            (HOUR, [(1, 0), (2, HOUR), (3, HOUR)], [1, 1, 2]),
            (HOUR, [(1, 0), (1, HOUR - 1), (2, HOUR)], [1, 1, 1]),
            (0, [(1, 0), (2, 9000 * HOUR), (3, 90_000 * HOUR)], [1, 2, 3]),
        ] {
            let mut tally = Tally::EMPTY;
            let hits = steps.map(|(pair, now)| tally.count(pair, 5 * HOUR + now, window));
            assert_eq!(hits, expected, "{window} {steps:?}");
        }
    }

    #[test]
    fn a_clock_that_is_behind_forgets_nothing() {
        let mut tally = Tally::EMPTY;
        tally.count(1, 2 * HOUR, HOUR);
        assert_eq!(tally.count(2, 2 * HOUR - 5, HOUR), 2);
    }

    #[test]
    fn a_connection_counts_for_a_while() {
        let at = |connected_ns, now| Handshakes { connected_ns, ..Handshakes::NONE }.is_connected(now);
        assert!(at(HOUR, HOUR) && at(HOUR, HOUR + 599_999_999_999) && at(HOUR, HOUR - 1));
        assert!(!at(0, 5) && !at(HOUR, HOUR + 600_000_000_000));
    }

    proptest! {
        #[test]
        fn distinct_pairs_are_counted_exactly_up_to_the_memory(pairs in prop::collection::vec(0u32..20, 1..200)) {
            let (mut tally, mut all) = (Tally::EMPTY, HashSet::new());
            for pair in pairs {
                all.insert(pair);
                if all.len() > Tally::PAIRS {
                    break;
                }
                prop_assert_eq!(tally.count(pair, HOUR, HOUR) as usize, all.len());
            }
        }

        #[test]
        fn it_never_counts_more_than_there_were(pairs in prop::collection::vec(any::<u32>(), 0..100)) {
            let mut tally = Tally::EMPTY;
            let count = u32::try_from(pairs.len()).unwrap();
            for pair in pairs {
                prop_assert!(tally.count(pair, HOUR, HOUR) <= count);
            }
        }

        #[test]
        fn the_ports_of_an_address_are_distinct(v4: u32, v6: u128, one: u16, other: u16) {
            let v4 = Ipv4::from(Ipv4Addr::from(v4));
            prop_assert_eq!(pair(v4, one) == pair(v4, other), one == other);
            let v6 = Ipv6::from(core::net::Ipv6Addr::from(v6));
            prop_assert_eq!(pair(v6, one) == pair(v6, other), one == other);
        }
    }
}
