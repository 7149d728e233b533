//! The number of guarded addresses in a block.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
};

use ipnet::IpNet;
use portsentry_common::{
    environment::Locality,
    scan::group::{BLOCK, View},
};

/// Maximum number of blocks whose count is remembered: an IPv6 network has any number.
const BLOCKS: usize = 4096;

/// The watched networks, and the counts of blocks.
#[derive(Debug, Default)]
pub(super) struct Guarded {
    /// The networks, the longest prefix last. `None` before the first use.
    networks: Option<Vec<Network>>,
    blocks: HashMap<(View, u128), u32>,
}

/// A network, whose address is a number as in [`View::block`].
#[derive(Debug)]
struct Network {
    address: u128,
    length: u32,
    is_guarded: bool,
}

impl Guarded {
    /// Forgets the networks, because they may have changed.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Returns the number of guarded addresses in a block. `watched` returns the watched networks.
    pub(super) fn count(
        &mut self,
        view: View,
        block: u128,
        watched: impl FnOnce() -> BTreeMap<IpNet, u32>,
    ) -> u32 {
        if let Some(count) = self.blocks.get(&(view, block)) {
            return *count;
        }
        let networks = self.networks.get_or_insert_with(|| sorted(&watched()));
        let mut is_guarded = [false; BLOCK as usize];
        for network in networks {
            network.fill(view, block, &mut is_guarded);
        }
        let count = is_guarded.iter().map(|it| u32::from(*it)).sum();
        if self.blocks.len() >= BLOCKS {
            self.blocks.clear();
        }
        self.blocks.insert((view, block), count);
        count
    }
}

impl Network {
    fn new(network: IpNet, locality: u32) -> Self {
        let (address, before) = match network.network() {
            IpAddr::V4(address) => (address.to_ipv6_mapped().to_bits(), 96),
            IpAddr::V6(address) => (address.to_bits(), 0),
        };
        let length = before + u32::from(network.prefix_len());
        Self { address, length, is_guarded: locality != Locality::Foreign as u32 }
    }

    /// Sets the places of its addresses in a block.
    fn fill(&self, view: View, block: u128, is_guarded: &mut [bool; BLOCK as usize]) {
        let mask = u128::MAX.checked_shl(u128::BITS - self.length).unwrap_or(0);
        if view.block(block ^ self.address) & mask != 0 {
            return;
        }
        // The bits of a place that the network leaves open.
        let open = view.place(!mask);
        let first = view.place(self.address);
        is_guarded[first as usize..=(first | open) as usize].fill(self.is_guarded);
    }
}

fn sorted(watched: &BTreeMap<IpNet, u32>) -> Vec<Network> {
    let mut networks: Vec<Network> =
        watched.iter().map(|(network, locality)| Network::new(*network, *locality)).collect();
    networks.sort_by_key(|network| network.length);
    networks
}

#[cfg(test)]
mod tests {
    use super::{super::tests::watched, *};

    #[test]
    fn watched_addresses_are_counted() {
        let mut guarded = Guarded::default();
        for (view, block, expected) in [
            (View::Hosts, "::ffff:203.0.112.0", 511),
            (View::Hosts, "::ffff:203.0.114.0", 512),
            (View::Hosts, "::ffff:198.51.100.0", 1),
            (View::Hosts, "::ffff:192.0.2.0", 0),
            (View::Hosts, "2001:db8:5::", 512),
            (View::Hosts, "2001:db8:6::", 128),
            (View::Hosts, "2001:db8:6::200", 0),
            (View::Subnets, "2001:db8:5::1", 511),
            (View::Subnets, "2001:db8:5::2", 512),
            (View::Subnets, "2001:db8:7::1", 16),
            (View::Subnets, "2001:db8:6::1", 1),
            (View::Subnets, "2001:db8:6::80", 0),
            (View::Subnets, "2001:db8:8::1", 0),
        ] {
            let number = block.parse::<std::net::Ipv6Addr>().unwrap().to_bits();
            let count = guarded.count(view, view.block(number), watched);
            assert_eq!(count, expected, "{view:?}, {block}");
        }
    }

    #[test]
    fn a_flood_takes_no_more_memory() {
        let mut guarded = Guarded::default();
        for number in 0..3 * BLOCKS as u128 {
            guarded.count(View::Hosts, number << 9, watched);
        }
        assert!(guarded.blocks.len() <= BLOCKS, "{}", guarded.blocks.len());
    }
}
