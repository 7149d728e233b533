//! The table of single local addresses before the maps of local networks.

use std::{collections::BTreeMap, fmt, net::IpAddr, os::fd::AsFd};

use aya::maps::{Array, IterableMap, MapData};
use ipnet::IpNet;
use portsentry_common::{
    address::{Address, Ipv4, Ipv6},
    local_hosts::{LocalHost, SLOTS, slot},
};

use super::{Error, batch};

/// The map's name.
pub(super) const MAP: &str = "LOCAL_HOSTS";

type Raw = [u8; size_of::<LocalHost>()];

/// The table.
pub(super) struct LocalHosts {
    map: Array<MapData, Raw>,
    /// Its contents, once written.
    written: Option<Vec<LocalHost>>,
}

impl fmt::Debug for LocalHosts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("LocalHosts").finish_non_exhaustive()
    }
}

impl LocalHosts {
    pub(super) const fn new(map: Array<MapData, Raw>) -> Self {
        Self { map, written: None }
    }

    /// Makes the table hold the single addresses of `networks`, whose values are localities. If several share a slot, it
    /// holds the first.
    pub(super) fn show(&mut self, networks: &BTreeMap<IpNet, u32>) -> Result<(), Error> {
        let wanted = table(networks);
        let mut entries: Vec<(u32, Raw)> = Vec::new();
        for (index, host) in (0..).zip(&wanted) {
            let old = self.written.as_ref().map(|written| written[index as usize]);
            if old == Some(*host) {
                continue;
            }
            // A program may read the slot between two words. So it is first empty.
            let steps = [LocalHost::default(), LocalHost { version: 0, ..*host }, *host];
            entries.extend(steps.map(|step| (index, bytemuck::cast(step))));
        }
        batch::update(self.map.map().fd().as_fd(), &entries)
            .map_err(|source| Error::System { what: "writing the table of local addresses", source })?;
        self.written = Some(wanted);
        Ok(())
    }
}

fn table(networks: &BTreeMap<IpNet, u32>) -> Vec<LocalHost> {
    let mut table = vec![LocalHost::default(); SLOTS];
    for (network, locality) in networks {
        if network.prefix_len() != network.max_prefix_len() {
            continue;
        }
        let (slot, host) = match network.addr() {
            IpAddr::V4(address) => entry(Ipv4::from(address), *locality),
            IpAddr::V6(address) => entry(Ipv6::from(address), *locality),
        };
        let place = &mut table[slot];
        if place.version == 0 {
            *place = host;
        }
    }
    table
}

/// Returns the address's slot and entry.
fn entry<A: Address>(address: A, locality: u32) -> (usize, LocalHost) {
    (slot(address) as usize, LocalHost::new(address, locality))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn single_addresses_are_in_the_table_and_networks_are_not() {
        let networks = ["192.0.2.0/24", "192.0.2.1/32", "2001:db8::/64", "2001:db8::1/128"];
        let networks = networks.map(|network| (network.parse().unwrap(), 1)).into();
        let found: Vec<LocalHost> =
            table(&networks).into_iter().filter(|host| *host != LocalHost::default()).collect();
        assert_eq!(found.len(), 2);
        let v4 = Ipv4::from(std::net::Ipv4Addr::new(192, 0, 2, 1));
        assert_eq!(table(&networks)[slot(v4) as usize].locality_of(v4), Some(1));
    }

    #[test]
    fn the_first_of_several_addresses_in_a_slot_stays() {
        let all: BTreeMap<IpNet, u32> =
            (0..2000_u32).map(|number| (IpNet::from(IpAddr::from(number.to_be_bytes())), 2)).collect();
        let table = table(&all);
        let held = table.iter().filter(|host| host.locality == 2).count();
        assert!(held > SLOTS / 2, "{held} of {SLOTS}");
    }
}
