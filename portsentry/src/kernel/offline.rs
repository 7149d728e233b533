//! The maps of blocked and fenced sources while no daemon runs, for the commands `block` and `unblock`.

use std::{collections::BTreeSet, path::Path, sync::Arc, time::SystemTime};

use aya::maps::{HashMap, LpmTrie, Map, MapData};
use ipnet::IpNet;
use portsentry_common::{
    block::{Block, Origin, Proof},
    classify::Protocol,
    gate::Held,
};

use super::{
    Blocked, BlockedNetworks, Error, Observer, Pins, ScanMemory, blocked_networks, clock, gate::Gate,
};
use crate::policy::{State, is_host, network_of, prefix_of};

/// The pins of an ended daemon. No daemon can start while they are open.
#[derive(Debug)]
pub struct OfflineMaps {
    blocked: Blocked,
    fenced: Blocked,
    networks: BlockedNetworks,
    scans: Option<ScanMemory>,
    pins: Pins,
}

impl OfflineMaps {
    /// Opens the pins in `directory`. Returns `None` if it has no pins of PortSentry.
    ///
    /// # Errors
    ///
    /// [`Error::Running`] if a daemon runs; others if the maps can't be opened or belong to another version.
    pub fn open(directory: &Path) -> Result<Option<Self>, Error> {
        let Some(observer) = Observer::open(directory)? else { return Ok(None) };
        // Another version's maps are refused.
        observer.sources(State::Blocked)?;
        let pins = Pins::open(directory)?;
        let data = |name: &'static str| MapData::from_pin(pins.map(name)).map_err(Error::map(name));
        let gate = Arc::new(Gate::pinned(directory)?);
        let open = |names: [&'static str; 2], held, kind: fn(MapData) -> Map| -> Result<Blocked, Error> {
            let [v4, v6] = names;
            let capacity = data(v4)?.info().map_err(Error::map(v4))?.max_entries();
            Ok(Blocked::new(
                (names, held),
                HashMap::try_from(kind(data(v4)?)).map_err(Error::map(v4))?,
                HashMap::try_from(kind(data(v6)?)).map_err(Error::map(v6))?,
                Arc::clone(&gate),
                capacity,
            ))
        };
        let blocked = open(["BLOCKED_V4", "BLOCKED_V6"], Held::Blocked, Map::HashMap)?;
        let fenced = open(["FENCED_V4", "FENCED_V6"], Held::Fenced, Map::LruHashMap)?;
        let capacity =
            data(blocked_networks::MAP)?.info().map_err(Error::map(blocked_networks::MAP))?.max_entries();
        let networks = LpmTrie::try_from(Map::LpmTrie(data(blocked_networks::MAP)?));
        let networks = networks.map_err(Error::map(blocked_networks::MAP))?;
        let networks = BlockedNetworks::new(networks, gate, capacity);
        let scans = ScanMemory::open(directory)?;
        Ok(Some(Self { blocked, fenced, networks, scans, pins }))
    }

    /// Whether the program is attached to an interface, so that the maps are enforced.
    #[must_use]
    pub fn is_enforced(&self) -> bool {
        self.pins.links().next().is_some()
    }

    /// Blocks a host or network, which the blocked file already lists, until `until` or permanently. IPv6 networks
    /// with the length `prefix` (`IPV6_PREFIX`) are in the same map as hosts.
    pub fn block(&mut self, network: IpNet, until: Option<SystemTime>, prefix: u8) -> Result<(), Error> {
        let until = until.map_or(0, clock::monotonic_at);
        let until_ns = u64::try_from(until).unwrap_or(1);
        let block = Block { until_ns, prefix: prefix_of(network), ..administrators() };
        if is_host(network) || matches!(network, IpNet::V6(_)) && network.prefix_len() == prefix {
            self.blocked.insert(network.addr(), &block)
        } else {
            self.networks.insert(network, &block)
        }
    }

    /// Lifts the blocks of networks that the block list no longer contains.
    pub fn unblock_networks(&mut self, networks: &BTreeSet<IpNet>) -> Result<(), Error> {
        let mut wanted = self.networks.read()?;
        wanted.retain(|network, _| !networks.contains(network));
        self.networks.replace(&wanted)
    }

    /// Clears the failed first contacts of the sources in `network`, which are IPv6 networks with the length `prefix`
    /// (`IPV6_PREFIX`).
    pub fn acquit(&self, network: IpNet, prefix: u8) -> Result<(), Error> {
        self.scans.as_ref().map_or(Ok(()), |scans| scans.acquit(network, prefix))
    }

    /// Lifts the block or fence of a host and the IPv6 network that contains it, or of a network and everything in it,
    /// except entries of the block list.
    pub fn unblock(&mut self, network: IpNet) -> Result<(), Error> {
        let prefix = prefix_of(network);
        let is_in =
            |inner: IpNet, block: &Block| block.origin != Origin::List as u8 && network.contains(&inner);
        if !is_host(network) {
            for map in [&mut self.blocked, &mut self.fenced] {
                let all = map.read()?.into_iter();
                let inside = all.filter(|(key, block)| is_in(network_of(*key, block.prefix), block));
                map.remove_all(inside.map(|(key, _)| key).collect::<Vec<_>>())?;
            }
            for (inner, _) in self.networks.read()?.into_iter().filter(|(inner, block)| is_in(*inner, block))
            {
                self.networks.remove(inner)?;
            }
        }
        if !is_host(network) && self.networks.get(network)?.is_some() {
            self.networks.remove(network)?;
        }
        for map in [&mut self.blocked, &mut self.fenced] {
            while let Some((key, block)) = map.holding(network.addr())? {
                // A single host's entry doesn't block the network.
                if prefix != 0 && block.prefix != prefix {
                    break;
                }
                map.remove(key)?;
            }
        }
        Ok(())
    }
}

/// Returns a permanent block by an administrator.
fn administrators() -> Block {
    Block {
        since_ns: clock::monotonic_ns(),
        protocol: Protocol::Tcp as u8,
        origin: Origin::File as u8,
        proof: Proof::Administrator as u8,
        mirrored: 1,
        ..bytemuck::Zeroable::zeroed()
    }
}
