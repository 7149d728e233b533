//! The bitmaps before the maps of ignored networks.

use std::{fmt, os::fd::AsFd};

use aya::maps::{Array, IterableMap, MapData};
use ipnet::{IpNet, Ipv4Subnets, Ipv6Subnets};
use portsentry_common::{
    address::{Ipv4, Ipv6},
    near_ignored::{NearIgnored, WORDS},
};

use super::{Error, batch};

/// The maps' names, IPv4's and IPv6's.
pub(super) const NEAR: [&str; 2] = ["NEAR_IGNORED_V4", "NEAR_IGNORED_V6"];
/// An IPv6 network shorter than this has all bits.
const SHORTEST: u8 = 16;

type Words = [u64; WORDS];

/// Both families' bitmaps.
pub(super) struct Bitmaps {
    maps: [Array<MapData, u64>; 2],
    /// Their contents, once written.
    written: Option<Box<[Words; 2]>>,
}

impl fmt::Debug for Bitmaps {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Bitmaps").finish_non_exhaustive()
    }
}

impl Bitmaps {
    pub(super) const fn new(maps: [Array<MapData, u64>; 2]) -> Self {
        Self { maps, written: None }
    }

    /// Makes the bitmaps hold exactly the bits of `networks`.
    pub(super) fn show<'a>(&mut self, networks: impl Iterator<Item = &'a IpNet>) -> Result<(), Error> {
        let wanted = bits(networks);
        for (family, map) in self.maps.iter().enumerate() {
            let written = self.written.as_ref().map(|written| &written[family]);
            let changed: Vec<(u32, u64)> = (0..)
                .zip(wanted[family])
                .filter(|(index, word)| written.is_none_or(|written| written[*index as usize] != *word))
                .collect();
            batch::update(map.map().fd().as_fd(), &changed)
                .map_err(|source| Error::System { what: "writing the bitmap of ignored networks", source })?;
        }
        self.written = Some(wanted);
        Ok(())
    }
}

/// Returns the bits of `networks`, for IPv4 and IPv6.
fn bits<'a>(networks: impl Iterator<Item = &'a IpNet>) -> Box<[Words; 2]> {
    let mut all = Box::new([[0; WORDS]; 2]);
    let [v4, v6] = &mut *all;
    for network in networks {
        match network {
            IpNet::V4(network) => {
                let length = network.prefix_len().max(Ipv4::LENGTH);
                for subnet in Ipv4Subnets::new(network.network(), network.broadcast(), length) {
                    set(v4, Ipv4::from(subnet.network()).near_ignored());
                    if length > Ipv4::LENGTH {
                        break;
                    }
                }
            }
            IpNet::V6(network) if network.prefix_len() < SHORTEST => *v6 = [u64::MAX; WORDS],
            IpNet::V6(network) if network.prefix_len() >= Ipv6::LENGTH => {
                set(v6, Ipv6::from(network.network()).near_ignored());
            }
            IpNet::V6(network) => Ipv6Subnets::new(network.network(), network.broadcast(), Ipv6::LENGTH)
                .for_each(|subnet| set(v6, Ipv6::from(subnet.network()).near_ignored())),
        }
    }
    all
}

fn set(words: &mut Words, bit: u16) {
    words[usize::from(bit) / 64] |= 1 << (bit % 64);
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

    use proptest::prelude::*;

    use super::*;

    fn is_near(bits: &[Words; 2], address: IpAddr) -> bool {
        let (family, bit) = match address {
            IpAddr::V4(address) => (0, Ipv4::from(address).near_ignored()),
            IpAddr::V6(address) => (1, Ipv6::from(address).near_ignored()),
        };
        bits[family][usize::from(bit) / 64] >> (bit % 64) & 1 != 0
    }

    proptest! {
        #[test]
        fn every_host_of_an_ignored_ipv4_network_is_near_one(address: u32, length in 0u8..=32, host: u32) {
            let network = IpNet::new(Ipv4Addr::from(address).into(), length).unwrap();
            let hosts = u32::MAX.checked_shr(length.into()).unwrap_or(0);
            let host = Ipv4Addr::from(address & !hosts | host & hosts);
            prop_assert!(is_near(&bits([network].iter()), host.into()));
        }

        #[test]
        fn every_host_of_an_ignored_ipv6_network_is_near_one(address: u128, length in 12u8..=128, host: u128) {
            let network = IpNet::new(Ipv6Addr::from(address).into(), length).unwrap();
            let hosts = u128::MAX.checked_shr(length.into()).unwrap_or(0);
            let host = Ipv6Addr::from(address & !hosts | host & hosts);
            prop_assert!(is_near(&bits([network].iter()), host.into()));
        }
    }

    #[test]
    fn hosts_elsewhere_are_not_near() {
        let networks = ["10.0.0.0/8", "192.0.2.0/24", "2001:db8::/48", "fe80::/64"];
        let networks = networks.map(|network| network.parse().unwrap());
        let bits = bits(networks.iter());
        for (address, expected) in [
            ("10.255.7.7", true),
            ("11.0.0.1", false),
            ("192.0.3.1", true),
            ("192.1.0.1", false),
            ("2001:db8:1::1", true),
            ("2001:db9::1", false),
            ("fe80::1", true),
        ] {
            assert_eq!(is_near(&bits, address.parse().unwrap()), expected, "{address}");
        }
    }
}
